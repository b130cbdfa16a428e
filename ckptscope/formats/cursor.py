"""Reading varints and protobuf fields from bytes that may be damaged.

Wire format: https://protobuf.dev/programming-guides/encoding/. Every length is checked against the
bytes that are left before anything is sliced, so absurd lengths neither allocate nor loop. Offsets
in errors count from the start of the given bytes; :func:`ckptscope.errors.reading` turns them into
offsets in the file."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.errors import MalformedMessageError, TruncatedError

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5


def read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Read an unsigned base-128 varint of at most 64 bits; returns (value, position behind it)."""
    result = shift = 0
    start = position
    end = len(data)
    while position < end:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise MalformedMessageError("a varint of more than ten bytes", offset=start)
    raise TruncatedError("the bytes end inside a varint", offset=start)


def signed64(value: int) -> int:
    """Reinterpret an unsigned 64-bit integer as two's complement."""
    return value - (1 << 64) if value >= 1 << 63 else value


def wire_fields(data: bytes | memoryview) -> Iterator[tuple[int, int, int | bytes | memoryview]]:
    """Yield (field number, wire type, value) of a protobuf message.

    Values are integers for varints and the two fixed widths (little endian), slices of ``data`` for
    length-delimited fields.
    """
    position, end = 0, len(data)
    while position < end:
        start = position
        tag, position = read_varint(data, position)
        wire_type = tag & 7
        if tag >> 3 == 0:
            raise MalformedMessageError("a field with number 0", offset=start)
        if wire_type == VARINT:
            value, position = read_varint(data, position)
            yield tag >> 3, wire_type, value
            continue
        if wire_type == LENGTH_DELIMITED:
            length, position = read_varint(data, position)
        elif wire_type == FIXED64:
            length = 8
        elif wire_type == FIXED32:
            length = 4
        else:
            raise MalformedMessageError(f"a field with wire type {wire_type}", offset=start)
        if length > end - position:
            raise TruncatedError(
                f"field {tag >> 3} wants {length} bytes, {end - position} are left", offset=start
            )
        piece = data[position : position + length]
        position += length
        if wire_type == LENGTH_DELIMITED:
            yield tag >> 3, wire_type, piece
        else:
            yield tag >> 3, wire_type, int.from_bytes(piece, "little")
