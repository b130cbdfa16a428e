"""Bytes of a recording: rows in columns, notes, and the records around them.

Source: columns.py for rows; tensorflow/core/lib/io/record_writer.h and the messages of
tensorflow/core/util/event.proto for records, which event_file.py reads."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Sequence

COLUMNS = ("step", "epoch", "batches", "examples", "wall_time_ms")
UNKNOWN = -1


def _crc_table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return table


try:
    from google_crc32c import value as _crc32c
except ImportError:
    _TABLE = _crc_table()

    def _crc32c(data: bytes) -> int:
        crc = 0xFFFFFFFF
        for byte in data:
            crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
        return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = _crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)


def _frame(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + _masked(length) + message + _masked(message)


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _field(key: bytes, data: bytes) -> bytes:
    return key + _varint(len(data)) + data


def version_record(wall_time_s: float) -> bytes:
    """The first record: an ``Event`` with ``file_version``."""
    return _frame(b"\x09" + struct.pack("<d", wall_time_s) + _field(b"\x1a", b"brain.Event:2"))


def bytes_record(tag: str, step: int, wall_time_s: float, data: bytes) -> bytes:
    """A record with an ``Event`` of one bytes tensor, as event_file.py reads it."""
    tensor = b"\x08\x07" + _field(b"\x42", data)
    value = _field(b"\x0a", tag.encode()) + _field(b"\x42", tensor)
    event = b"\x09" + struct.pack("<d", wall_time_s) + b"\x10" + _varint(step)
    return _frame(event + _field(b"\x2a", _field(b"\x0a", value)))


def encode_rows(attempt: str, first: int, rows: Sequence[tuple[int, ...]]) -> bytes:
    """Consecutive rows in the layout of columns.py."""
    header = {"attempt": attempt, "first": first, "rows": len(rows), "columns": COLUMNS}
    text = json.dumps(header).encode()
    stored = []
    for values in zip(*rows):
        deltas = [after - before for before, after in zip((0,) + values, values)]
        data = struct.pack("<%dq" % len(deltas), *deltas)
        stored += [data[number::8] for number in range(8)]
    return struct.pack("<4sBI", b"CKSC", 1, len(text)) + text + zlib.compress(b"".join(stored), 6)
