"""The file of one attempt."""

from __future__ import annotations

import errno
import json
import os
import time
from typing import Any, BinaryIO, Mapping, Sequence

from .layout import bytes_record, encode_rows, version_record

DIRECTORY = "ckptscope"
# Names begin so; what TensorBoard takes for an event file has ``tfevents`` in its name.
PREFIX = "positions."


class Journal:
    """Appends to one file; after an error that cannot be undone to a new one.

    Its name has nothing of an event file's, so that TensorBoard lists no run for it. Every method
    raises OSError where it cannot write."""

    def __init__(self, log_dir: str, attempt: str) -> None:
        self.directory = os.path.join(log_dir, DIRECTORY)
        self.attempt = attempt
        self._file: BinaryIO | None = None
        self._size = self._num_files = self._num_headers = 0
        self._header: bytes | None = None

    def header(self, value: Mapping[str, Any]) -> None:
        """What is known of the attempt; the newest counts."""
        data = json.dumps(value, allow_nan=False).encode()
        if data != self._header:
            self._write("run", self._num_headers, data)
            self._header, self._num_headers = data, self._num_headers + 1

    def rows(self, first: int, rows: Sequence[tuple[int, ...]]) -> None:
        """Rows that follow on those that were written; ``first`` is their number."""
        self._write("pos", rows[-1][0], encode_rows(self.attempt, first, rows))

    def note(self, kind: str, step: int, value: Mapping[str, Any]) -> None:
        """A JSON object: ``ckpt`` a checkpoint, ``state`` a decoded position, ``raw`` a state as it
        is, ``gap`` steps that are missing.
        """
        self._write(kind, step, json.dumps(value, allow_nan=False).encode())

    def notice_removal(self) -> bool:
        """Whether somebody removed the file; the next record begins another one then."""
        if self._file is None or os.fstat(self._file.fileno()).st_nlink:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, kind: str, step: int, data: bytes) -> None:
        now = time.time()
        file, record = self._file, b""
        if file is None:
            file, record = self._opened(now)
        record += bytes_record("ckptscope/%s/%s" % (kind, self.attempt), max(0, step), now, data)
        try:
            _write_all(file, record)
        except OSError:
            self._undo(file)
            raise
        self._size += len(record)

    def _opened(self, now: float) -> tuple[BinaryIO, bytes]:
        """Another file, and what it begins with."""
        os.makedirs(self.directory, exist_ok=True)
        self._num_files += 1
        # Milliseconds, so that names come in the order of time.
        name = "%s%d.%s.%d" % (PREFIX, now * 1000, self.attempt, self._num_files)
        file: BinaryIO = open(os.path.join(self.directory, name), "xb", buffering=0)
        self._file, self._size = file, 0
        record = version_record(now)
        if self._header is not None:
            tag = "ckptscope/run/%s" % self.attempt
            record += bytes_record(tag, self._num_headers - 1, now, self._header)
        return file, record

    def _undo(self, file: BinaryIO) -> None:
        """Take back half a record, behind which nothing could be read."""
        try:
            file.truncate(self._size)
            file.seek(self._size)
            if not self._size:
                os.remove(file.name)
                self.close()
        except OSError:
            try:
                self.close()
            except OSError:
                pass


def _write_all(file: BinaryIO, data: bytes) -> None:
    """A raw write may take only a part, without an error."""
    view = memoryview(data)
    while view:
        count = file.write(view)
        if not count:
            raise OSError(errno.EIO, "nothing could be written")
        view = view[count:]
