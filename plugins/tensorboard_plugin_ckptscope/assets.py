"""Files of the page: its own modules, and the chart library out of the installed plotly package."""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import threading
from importlib import resources
from pathlib import Path

JAVASCRIPT, CSS = "text/javascript", "text/css"
# The library's page, which `ckptscope report` uses too, and what makes it a tab.
_PACKAGES = (("ckptscope", "web"), ("tensorboard_plugin_ckptscope", "static"))
_TYPES = {".js": JAVASCRIPT, ".css": CSS}


def modules() -> dict[str, tuple[bytes, str]]:
    """(content, type) of each file by name; the only ones that are served."""
    found = {}
    for package, folder in _PACKAGES:
        for item in (resources.files(package) / folder).iterdir():
            kind = _TYPES.get(Path(item.name).suffix)
            if kind is not None:
                found[item.name] = (item.read_bytes(), kind)
    return found


class Chart:
    """plotly.js, compressed once; absent where plotly is not installed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._compressed: bytes | None = None
        self._path = self._find()
        self.name = None if self._path is None else f"plotly-{importlib.metadata.version('plotly')}.js"

    @staticmethod
    def _find() -> Path | None:
        """Where it lies; found without importing plotly, which takes a while."""
        try:
            spec = importlib.util.find_spec("plotly")
            importlib.metadata.version("plotly")
        except (ImportError, ValueError):
            return None
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            path = Path(place) / "package_data" / "plotly.min.js"
            if path.is_file():
                return path
        return None

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
