"""The ``checkpoint`` state file of a directory, a text protobuf.

Source: tensorflow/python/training/checkpoint_state.proto. Paths are written as the program had
them: relative, absolute, of Windows, and for a sharded V1 checkpoint with ``?????`` for the number
of the shard (tensorflow/python/training/saver.py)."""

from __future__ import annotations

import ntpath
import os
import re
from dataclasses import dataclass

from ckptscope.checkpoint.lfs import pointed_nbytes

STATE_FILE = "checkpoint"
_MAX_NBYTES = 1 << 20
_STRING = r':\s*"((?:[^"\\]|\\.)*)"'
_LATEST = re.compile(rf"^\s*model_checkpoint_path{_STRING}", re.MULTILINE)
_EVERY = re.compile(rf"^\s*all_model_checkpoint_paths{_STRING}", re.MULTILINE)
_TIMESTAMP = re.compile(r"^\s*all_model_checkpoint_timestamps:\s*([-+.\deE]+)\s*$", re.MULTILINE)
_WINDOWS = re.compile(r"^([A-Za-z]:[\\/]|\\\\|[^/]*\\)")


@dataclass(frozen=True, slots=True)
class StateFile:
    """What a state file says.

    Attributes:
        latest: the latest checkpoint, as written; None if there is none.
        every: all that the program kept, in the order in which they were saved.
        problem: why nothing can be read of it, as a clause; None if something can.
        exists: there is such a file.
    """

    latest: str | None = None
    every: tuple[str, ...] = ()
    problem: str | None = None
    exists: bool = True

    @classmethod
    def read(cls, path: str) -> StateFile:
        """Read it; whatever is wrong is in the result."""
        try:
            if not os.path.isfile(path):
                return cls(exists=False)
            with open(path, "rb") as file:
                data = file.read(_MAX_NBYTES)
        except OSError as error:
            return cls(problem=f"cannot be read: {error.strerror}")
        text = data.decode("utf-8", "backslashreplace")
        latest = _LATEST.search(text)
        every = [_unescape(found) for found in _EVERY.findall(text)]
        stamps = _TIMESTAMP.findall(text)
        if len(stamps) == len(every):
            try:
                times = [float(stamp) for stamp in stamps]
            except ValueError:
                times = [0.0] * len(every)
            order = sorted(range(len(every)), key=times.__getitem__)
            every = [every[place] for place in order]
        if latest is None:
            if pointed_nbytes(data) is not None:
                return cls(problem="is a git-LFS pointer, not the file: run `git lfs pull`")
            problem = "is empty" if not data.strip() else "names no latest checkpoint"
            return cls(None, tuple(every), problem)
        return cls(_unescape(latest[1]), tuple(every))


def read_state_file(path: str) -> tuple[str | None, tuple[str, ...]]:
    """(latest, all) of a ``checkpoint`` state file, as written in it."""
    found = StateFile.read(path)
    return found.latest, found.every


def is_of_windows(path: str) -> bool:
    """Whether a path was written on Windows."""
    return bool(_WINDOWS.match(path))


def name_of(path: str) -> str:
    """The last part of a path that a state file names, as the file is called; for a sharded V1
    checkpoint the first shard's.
    """
    name = ntpath.basename(path) if is_of_windows(path) else os.path.basename(path)
    return name.replace("-?????-of-", "-00000-of-")


def local_path(path: str) -> str:
    """A path that a state file names, as this system writes it."""
    if is_of_windows(path) and not re.match(r"^[A-Za-z]:|\\\\", path):
        path = path.replace("\\", "/")
    return path.replace("-?????-of-", "-00000-of-")


def _unescape(text: str) -> str:
    """Undo the text format's escapes: bytes in octal, and backslash before a character."""
    raw = re.sub(
        rb"\\([0-7]{3}|.)",
        lambda match: bytes((int(match[1], 8) & 0xFF,)) if len(match[1]) == 3 else match[1],
        text.encode("utf-8", "surrogateescape"),
    )
    return raw.decode("utf-8", "backslashreplace")
