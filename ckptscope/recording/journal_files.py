"""Where recordings lie."""

from __future__ import annotations

import os

from ckptscope.recording.portable.journal import DIRECTORY as DIRECTORY
from ckptscope.recording.portable.journal import PREFIX

_MAX_DEPTH = 3
# Recordings of the first releases are event files, which TensorBoard lists as a run.
_OLD = ".tfevents."


def is_recording(name: str) -> bool:
    """Whether a file of a directory :data:`DIRECTORY` is a recording, by its name."""
    return name.startswith(PREFIX) or _OLD in name


def recordings_in(directory: str) -> list[str]:
    """Directories below ``directory`` that hold recordings, itself included."""
    found = []
    for here, below, _ in os.walk(directory):
        depth = os.path.relpath(here, directory).count(os.sep) + (here != directory)
        below[:] = (
            sorted(name for name in below if not name.startswith(".")) if depth < _MAX_DEPTH else []
        )
        if os.path.basename(here) == DIRECTORY and any(map(is_recording, os.listdir(here))):
            found.append(here)
    return found
