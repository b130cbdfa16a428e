"""The file of one attempt."""

from __future__ import annotations

import errno
import json
import os
import time

from .layout import bytes_record, encode_rows, version_record

DIRECTORY = "ckptscope"
# Names begin so; what TensorBoard takes for an event file has ``tfevents`` in its name.
PREFIX = "positions."


class Journal:
    """Appends to one file; after an error that cannot be undone to a new one.

    Its name has nothing of an event file's, so that TensorBoard lists no run for it. Every method
    raises OSError where it cannot write."""

    def __init__(self, log_dir, attempt):
        self.directory = os.path.join(log_dir, DIRECTORY)
        self.attempt = attempt
        self._file = None
        self._size = self._num_files = 0
        self._header = None

    def header(self, value):
        """What is known of the attempt; the newest counts."""
        data = json.dumps(value, allow_nan=False).encode()
        if data != self._header:
            self._write("run", int(time.time() * 1000), data)
            self._header = data

    def rows(self, first, rows):
        """Rows that follow on those that were written; ``first`` is their number."""
        self._write("pos", rows[-1][0], encode_rows(self.attempt, first, rows))

    def note(self, kind, step, value):
        """A JSON object: ``ckpt`` a checkpoint, ``state`` a decoded position, ``raw`` a state as it
        is, ``gap`` steps that are missing.
        """
        self._write(kind, step, json.dumps(value, allow_nan=False).encode())

    def notice_removal(self):
        """Whether somebody removed the file; the next record begins another one then."""
        if self._file is None or os.fstat(self._file.fileno()).st_nlink:
            return False
        self.close()
        return True

    def close(self):
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, kind, step, data):
        now = time.time()
        record = bytes_record("ckptscope/%s/%s" % (kind, self.attempt), max(0, step), now, data)
        if self._file is None:
            record = self._opened(now) + record
        try:
            _write_all(self._file, record)
        except OSError:
            self._undo()
            raise
        self._size += len(record)

    def _opened(self, now):
        os.makedirs(self.directory, exist_ok=True)
        self._num_files += 1
        name = "%s%d.%s.%d" % (PREFIX, now, self.attempt, self._num_files)
        self._file = open(os.path.join(self.directory, name), "xb", buffering=0)
        self._size = 0
        record = version_record(now)
        if self._header is not None:
            tag = "ckptscope/run/%s" % self.attempt
            record += bytes_record(tag, int(now * 1000), now, self._header)
        return record

    def _undo(self):
        """Take back half a record, behind which nothing could be read."""
        try:
            self._file.truncate(self._size)
            self._file.seek(self._size)
            if not self._size:
                os.remove(self._file.name)
                self.close()
        except OSError:
            try:
                self.close()
            except OSError:
                pass


def _write_all(file, data):
    """A raw write may take only a part, without an error."""
    view = memoryview(data)
    while view:
        count = file.write(view)
        if not count:
            raise OSError(errno.EIO, "nothing could be written")
        view = view[count:]
