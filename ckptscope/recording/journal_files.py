"""Where recordings lie."""

from __future__ import annotations

import os

DIRECTORY = "ckptscope"
_MAX_DEPTH = 3


def recordings_in(directory: str) -> list[str]:
    """Directories below ``directory`` that hold recordings, itself included."""
    found = []
    for here, below, _ in os.walk(directory):
        depth = os.path.relpath(here, directory).count(os.sep) + (here != directory)
        below[:] = (
            sorted(name for name in below if not name.startswith(".")) if depth < _MAX_DEPTH else []
        )
        if os.path.basename(here) == DIRECTORY and any(
            ".tfevents." in name for name in os.listdir(here)
        ):
            found.append(here)
    return found
