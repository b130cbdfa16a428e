"""Files of the page that shows runs: its modules and style, and the chart library out of the
installed plotly package.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

_IMPORT = re.compile(r"^import \{[^}]*\} from '\./([\w-]+\.js)';$", re.MULTILINE)


def page_files() -> dict[str, str]:
    """Modules and style by file name."""
    folder = resources.files("ckptscope") / "web"
    return {
        item.name: item.read_text(encoding="utf-8")
        for item in folder.iterdir()
        if item.name.endswith((".js", ".css"))
    }


def bundled(files: Mapping[str, str], entries: tuple[str, ...]) -> str:
    """One script out of modules: each after those that it imports, without import lines and the
    word export.

    Top-level names are unique over all modules; a test holds that.
    """
    done: dict[str, str] = {}

    def add(name: str) -> None:
        if name in done:
            return
        done[name] = ""
        for needed in _IMPORT.findall(files[name]):
            add(needed)
        done[name] = done.pop(name) or re.sub(
            r"^export ", "", _IMPORT.sub("", files[name]), flags=re.MULTILINE
        )

    for entry in entries:
        add(entry)
    return "\n".join(done.values())


def chart_path() -> Path | None:
    """plotly.js; found without importing plotly, which takes a while. None where it is not
    installed.
    """
    try:
        spec = importlib.util.find_spec("plotly")
    except Exception:  # whatever a broken installation raises: tables work without a chart
        return None
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(place) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path
    return None


def chart_version() -> str:
    """Of the installed plotly package."""
    try:
        return importlib.metadata.version("plotly")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
