"""Recordings below a remote logdir, read through the file systems that TensorBoard itself has.

TensorBoard lists no run for a recording, so its data provider cannot be asked. Files only grow:
one is fetched again when its size is another."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Sequence, Set
from typing import Any

from ckptscope.recording.journal_files import DIRECTORY, is_recording
from ckptscope.recording.model import RecordedAttempt
from ckptscope.recording.reader import read_places
from ckptscope.runs.places import MAX_DEPTH, MAX_SECONDS, RunPlace

MAX_DIRECTORIES = 2_000
MAX_FILE_NBYTES = 256 << 20
# Names that are no directories; each other one is a question to the file system.
_FILE = re.compile(r"\.(index|meta|json|jsonl|pbtxt|h5|keras)$|\.data-\d+-of-\d+$|tfevents")


def file_system() -> Any:
    """TensorFlow's, where TensorBoard has imported it (that knows ``gs://``); else TensorBoard's
    own (``s3://`` with boto3, and what fsspec knows, if they are installed).
    """
    loaded = getattr(getattr(sys.modules.get("tensorflow"), "io", None), "gfile", None)
    if loaded is not None:
        return loaded
    from tensorboard.compat.tensorflow_stub.io import gfile

    return gfile


class RemoteRuns:
    """Recordings below remote roots, as places without directories."""

    def __init__(self, roots: Sequence[tuple[str | None, str]]) -> None:
        """``roots``: what runs are named below, and the address."""
        self._roots = roots
        self._files: dict[str, dict[str, int]] = {}
        self._copies = tempfile.mkdtemp(prefix="ckptscope-remote-")
        weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)
        self._copied: dict[str, int] = {}
        self.problems: list[str] = []

    def places(self, without: Set[str]) -> list[RunPlace]:
        """Runs with recordings, apart from those that were found already."""
        self.problems, files = [], {}
        for name, address in self._roots:
            try:
                for home, found in _recordings(file_system(), address.rstrip("/")):
                    files[_named(name, home)] = found
            except Exception as error:  # no such file system, no network, no permission
                self.problems.append(
                    f"Recordings below {address} cannot be listed: {str(error) or type(error)}. "
                    "Install fsspec with the package of that file system (gcsfs, s3fs)."
                )
        self._files = files
        return [RunPlace(name, name) for name in files if name not in without]

    def stamp(self, place: RunPlace) -> object:
        """What changes when there is something new to read; None for a run of somebody else."""
        found = self._files.get(place.name)
        return None if found is None else tuple(sorted(found.items()))

    def read(self, place: RunPlace) -> tuple[RecordedAttempt, ...]:
        """All attempts of a run."""
        directory = os.path.join(self._copies, place.name.replace("/", "%2F"), DIRECTORY)
        os.makedirs(directory, exist_ok=True)
        for path, size in self._files[place.name].items():
            copy = os.path.join(directory, path.rpartition("/")[2])
            if self._copied.get(path) != size and size <= MAX_FILE_NBYTES:
                with file_system().GFile(path, "rb") as file, open(copy, "wb") as written:
                    written.write(file.read())
                self._copied[path] = size
        return read_places([directory])


def _recordings(files: Any, root: str) -> Iterator[tuple[str, dict[str, int]]]:
    """(run below the root, its files with their sizes); bounded as the search of local ones."""
    waiting, count, deadline = [("", root)], 0, time.monotonic() + MAX_SECONDS
    while waiting and count < MAX_DIRECTORIES and time.monotonic() < deadline:
        home, here = waiting.pop()
        count += 1
        names = sorted({name.rstrip("/") for name in files.listdir(here)})
        if here.rpartition("/")[2] == DIRECTORY:
            found = {f"{here}/{name}": 0 for name in names if is_recording(name)}
            if found:
                run = home.rpartition("/")[0]
                yield run, {path: int(files.stat(path).length) for path in found}
            continue
        if home.count("/") >= MAX_DEPTH:
            continue
        for name in names:
            hides = not name or name.startswith(".") or _FILE.search(name)
            if not hides and (name == DIRECTORY or files.isdir(f"{here}/{name}")):
                waiting.append((f"{home}/{name}", f"{here}/{name}"))


def _named(root: str | None, home: str) -> str:
    parts = [part for part in (root, home.strip("/")) if part]
    return "/".join(parts) or "."
