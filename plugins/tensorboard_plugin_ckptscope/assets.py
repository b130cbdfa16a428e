"""Files of the page: the library's own page, what makes it a tab, and the chart library."""

from __future__ import annotations

import gzip
import threading
from importlib import resources
from pathlib import Path

from ckptscope.render.page_files import chart_path, chart_version, page_files

JAVASCRIPT = "text/javascript"
_TYPES = {".js": JAVASCRIPT, ".css": "text/css"}


def modules() -> dict[str, tuple[str, str]]:
    """(content, type) of each file by name; the only ones that are served."""
    own = resources.files("tensorboard_plugin_ckptscope") / "static"
    files = {
        **page_files(),
        **{item.name: item.read_text(encoding="utf-8") for item in own.iterdir()},
    }
    return {
        name: (text, _TYPES[Path(name).suffix])
        for name, text in files.items()
        if Path(name).suffix in _TYPES
    }


class Chart:
    """plotly.js, compressed once; ``name`` is None where plotly is not installed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compressed: bytes | None = None
        self._path = chart_path()
        self.name = None if self._path is None else f"plotly-{chart_version()}.js"

    def compressed(self) -> bytes:
        """The library, gzipped.

        Raises:
            FileNotFoundError: plotly is not installed.
        """
        with self._lock:
            if self._compressed is None:
                if self._path is None:
                    raise FileNotFoundError("plotly is not installed")
                self._compressed = gzip.compress(self._path.read_bytes(), 6)
            return self._compressed
