"""Elements of variable length in a bundle: strings and variants, and what their checksums are fed.

Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc (WriteStringTensor, WriteVariantTensor).
"""

from __future__ import annotations

from ckptscope.errors import MalformedMessageError
from ckptscope.formats.checksum import RunningChecksum
from ckptscope.formats.cursor import read_varint


def strings(data: bytes, count: int) -> list[bytes]:
    """Strings of one tensor: varint lengths, masked checksum of the lengths, the bytes."""
    lengths, position = [], 0
    if count > len(data):
        raise MalformedMessageError(f"{count} strings in {len(data)} bytes")
    for _ in range(count):
        length, position = read_varint(data, position)
        lengths.append(length)
    if sum(lengths) != len(data) - position - 4:
        raise MalformedMessageError(
            f"strings of {sum(lengths)} bytes in {len(data) - position - 4}"
        )
    found, position = [], position + 4
    for length in lengths:
        found.append(data[position : position + length])
        position += length
    return found


def string_checksum(data: bytes, count: int) -> int:
    """Fed: each length as 4 bytes (8 beyond 32 bits), the stored checksum of the lengths, then
    all bytes.
    """
    running, position = RunningChecksum(), 0
    for _ in range(count):
        length, position = read_varint(data, position)
        running.feed(length.to_bytes(4 if length <= 0xFFFFFFFF else 8, "little"))
    if int.from_bytes(data[position : position + 4], "little") != running.masked:
        return -1
    running.feed(data[position:])
    return running.masked


def variant_checksum(data: bytes, count: int) -> int:
    """Fed: each length as 8 bytes, the message, the stored running checksum behind it."""
    running, position = RunningChecksum(), 0
    for _ in range(count):
        length, position = read_varint(data, position)
        if length > len(data) - position - 4:
            return -1
        running.feed(length.to_bytes(8, "little"))
        running.feed(data[position : position + length])
        position += length
        if int.from_bytes(data[position : position + 4], "little") != running.masked:
            return -1
        running.feed(data[position : position + 4])
        position += 4
    return running.masked
