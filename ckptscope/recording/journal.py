"""Event files of one attempt: sealed chunks, and a tail that repeats what is not sealed yet.

TensorBoard keeps 10 to 100 points of a tag, always the newest. So a tag gets at most eight sealed
chunks, and the tail is whole in its newest event: nothing that is needed is thinned out. Every
attempt has tags of its own, because a restart would otherwise evict its predecessor's later steps
(tensorboard/data/server, ``EventFileLoader``)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from ckptscope.formats.event_file import RecordedBytes, bytes_record, file_name, version_record
from ckptscope.recording.columns import Chunk, encode
from ckptscope.recording.journal_files import DIRECTORY

SEALED_ROWS = 4096
PER_TAG = 8
MAX_HEADERS = 8


def tag(kind: str, attempt: str, group: int | None = None) -> str:
    """``ckptscope/pos/<attempt>/<group>``."""
    return f"ckptscope/{kind}/{attempt}" + ("" if group is None else f"/{group:05d}")


class Journal:
    """Appends to one event file; after an error to a new one, since the old one may end in half a
    record.

    Raises:
        OSError: from every method that writes.
    """

    def __init__(self, log_dir: str, attempt: str) -> None:
        self.directory = os.path.join(log_dir, DIRECTORY)
        self.attempt = attempt
        self._file: BinaryIO | None = None
        self._counts: dict[str, int] = {}
        self._last_steps: dict[str, int] = {}
        self._header: bytes | None = None
        self._num_files = 0

    def header(self, value: Mapping[str, Any]) -> None:
        """What is known of the attempt; the newest counts."""
        data = json.dumps(value, allow_nan=False).encode()
        if data == self._header or self._counts.get("run", 0) >= MAX_HEADERS:
            return
        self._header = data
        self._write("run", self._next("run"), data, grouped=False)

    def sealed(self, chunk: Chunk) -> None:
        """A full chunk, which will not be written again."""
        self._write("pos", int(chunk.columns["step"][-1]), encode(chunk))

    def tail(self, chunk: Chunk) -> None:
        """All rows since the last sealed chunk."""
        self._write("tail", int(chunk.columns["step"][-1]), encode(chunk), grouped=False)

    def note(self, kind: str, step: int, value: Mapping[str, Any]) -> None:
        """A JSON object: ``ckpt`` a checkpoint, ``state`` a decoded position, ``gap`` steps
        that are missing.
        """
        self._write(kind, step, json.dumps(value, allow_nan=False).encode())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self, kind: str) -> int:
        return self._counts.get(kind, 0)

    def _write(self, kind: str, step: int, data: bytes, *, grouped: bool = True) -> None:
        number = self._next(kind)
        name = tag(kind, self.attempt, number // PER_TAG if grouped else None)
        # Steps of a tag must grow: TensorBoard drops what comes at or after a step that comes
        # again.
        step = max(step, self._last_steps.get(name, -1) + 1) if grouped or kind == "run" else step
        now = time.time()
        try:
            file = self._file or self._opened(now)
            file.write(bytes_record(RecordedBytes(name, step, now, data)))
            file.flush()
        except OSError:
            self._abandon()
            raise
        self._counts[kind] = number + 1
        self._last_steps[name] = step

    def _opened(self, now: float) -> BinaryIO:
        os.makedirs(self.directory, exist_ok=True)
        self._num_files += 1
        path = file_name(self.directory, f"{self.attempt}.{self._num_files}")
        file = open(path, "xb", buffering=0)  # noqa: SIM115
        self._file = file
        file.write(version_record(now))
        if self._num_files > 1 and self._header is not None:
            file.write(
                bytes_record(
                    RecordedBytes(tag("run", self.attempt), self._next("run"), now, self._header)
                )
            )
        return file

    def _abandon(self) -> None:
        try:
            self.close()
        except OSError:
            self._file = None
