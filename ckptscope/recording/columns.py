"""Steps in columns: deltas, shuffled by byte, compressed. A linear column takes next to nothing.

Layout: ``CKSC``, version, length of a JSON header, the header (attempt, first sequence number,
number of rows, names of the columns), then for all columns in turn the first value and the
differences as little-endian int64, byte 0 of all rows before byte 1 of all rows, in one zlib
stream."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ckptscope.errors import MalformedMessageError, TruncatedError, UnsupportedFormatError

COLUMNS = ("step", "epoch", "batches", "examples", "wall_time_ms")
UNKNOWN = -1
_MAGIC = b"CKSC"
_VERSION = 1
_HEAD = struct.Struct("<4sBI")
_MAX_ROWS = 1 << 22
Column = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive steps of one attempt.

    Attributes:
        first: sequence number of the first row, counted from 0 in its attempt.
        columns: by name, all of one length; :data:`UNKNOWN` where a value is not known.
    """

    attempt: str
    first: int
    columns: Mapping[str, Column]

    @property
    def num_rows(self) -> int:
        """Length of the columns."""
        return len(next(iter(self.columns.values()), ()))


def encode(chunk: Chunk) -> bytes:
    """A chunk as bytes."""
    names = list(chunk.columns)
    header = json.dumps(
        {"attempt": chunk.attempt, "first": chunk.first, "rows": chunk.num_rows, "columns": names}
    ).encode()
    stored = b"".join(
        np.diff(values.astype("<i8"), prepend=np.int64(0)).view(np.uint8).reshape(-1, 8).T.tobytes()
        for values in chunk.columns.values()
    )
    return _HEAD.pack(_MAGIC, _VERSION, len(header)) + header + zlib.compress(stored, 6)


def decode(data: bytes) -> Chunk:
    """A chunk from bytes; sizes are bounded before anything is allocated.

    Raises:
        UnsupportedFormatError: written by a later version.
        CorruptCheckpointError: it is none, or damaged.
    """
    if len(data) < _HEAD.size:
        raise TruncatedError("a chunk of steps is cut off")
    magic, version, length = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise MalformedMessageError("no chunk of steps")
    if version > _VERSION:
        raise UnsupportedFormatError(
            f"recorded by a later version (chunk format {version}); update ckptscope"
        )
    try:
        header = json.loads(data[_HEAD.size : _HEAD.size + length])
        names, rows = [str(name) for name in header["columns"]], int(header["rows"])
        attempt, first = str(header["attempt"]), int(header["first"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise MalformedMessageError(f"header of a chunk of steps: {error}") from None
    if not 0 <= rows <= _MAX_ROWS or len(names) > 64 or first < 0:
        raise MalformedMessageError(f"a chunk of {rows} steps and {len(names)} columns")
    wanted = rows * len(names) * 8
    stream = zlib.decompressobj()
    try:
        stored = stream.decompress(data[_HEAD.size + length :], wanted + 1)
    except zlib.error as error:
        raise MalformedMessageError(f"a chunk of steps: {error}") from None
    if not stream.eof:
        raise TruncatedError("a chunk of steps is cut off, or longer than it says")
    if len(stored) != wanted:
        raise MalformedMessageError(
            f"a chunk of {rows} steps has {len(stored)} bytes instead of {wanted}"
        )
    columns = {}
    for number, name in enumerate(names):
        piece = np.frombuffer(stored, np.uint8, rows * 8, number * rows * 8).reshape(8, rows)
        columns[name] = np.cumsum(
            np.ascontiguousarray(piece.T).view("<i8").reshape(-1), dtype=np.int64
        )
    return Chunk(attempt, first, columns)
