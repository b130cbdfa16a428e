"""The page of the TensorBoard tab as one file that opens offline: style, modules, chart library
and answers inside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from ckptscope.render.page_files import bundled, chart_path, page_files

# Nothing is fetched: whatever the file says, it cannot reach out.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)
# By JavaScript's encodeURIComponent.
_UNESCAPED = "!'()*-._~"
_START = (
    "start(document.body, "
    "embedded(JSON.parse(document.getElementById('answers').textContent)), pageHost());"
)


def answer_key(route: str, **parameters: Any) -> str:
    """What the page asks for, as ``queryText`` in web/api.js spells it."""
    pairs = (
        f"{name}={quote(_spelled(value), safe=_UNESCAPED)}"
        for name, value in sorted(parameters.items())
    )
    return route + ("?" + "&".join(pairs) if parameters else "")


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def report_html(answers: Mapping[str, Any], title: str) -> str:
    """The whole file.

    Args:
        answers: of the routes, by :func:`answer_key`.
        title: of the page.
    """
    files = page_files()
    chart = chart_path()
    plotly = (
        "" if chart is None else f"<script>{_script(chart.read_text(encoding='utf-8'))}</script>"
    )
    modules = bundled(files, ("app.js", "api.js", "page.js"))
    html = "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title>",
            f"<style>{files['style.css']}</style></head><body>",
            '<script type="application/json" '
            f'id="answers">{_data({"answers": dict(answers)})}</script>',
            plotly,
            f'<script type="module">{_script(modules)}\n{_START}</script>',
            "</body></html>\n",
        )
    )
    # Names of files may hold bytes that are no text.
    return html.encode("utf-8", "backslashreplace").decode("utf-8")


def _script(text: str) -> str:
    """Source that cannot end its element early."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _data(value: Any) -> str:
    """JSON that cannot end its element early."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(value: Any) -> Any:
    """Without numbers that JSON cannot hold: a damaged recording may have any time."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
