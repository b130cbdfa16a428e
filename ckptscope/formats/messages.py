"""The protobuf messages of checkpoints that no installed package ships, as field tables.

Sources: tensorflow/core/protobuf/tensor_bundle.proto,
tensorflow/core/util/saved_tensor_slice.proto,
tensorflow/core/framework/{tensor_slice,versions}.proto, tensorflow/core/framework/dataset.proto.
Everything else comes compiled with tensorboard (``tensorboard.compat.proto``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ckptscope.errors import MalformedMessageError, TruncatedError
from ckptscope.formats.cursor import (
    FIXED32,
    LENGTH_DELIMITED,
    VARINT,
    read_varint,
    signed64,
    wire_fields,
)

_MAX_RANK = 254  # TensorShape's own limit


@dataclass(frozen=True, slots=True)
class Extents:
    """A slice of a tensor: for each axis (start, length); length -1 means the whole axis."""

    axes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class BundleHeader:
    """``BundleHeaderProto``: stored under the empty key."""

    num_shards: int
    big_endian: bool
    producer: int


class BundleEntry(NamedTuple):
    """``BundleEntryProto``: one tensor of a bundle. ``slices`` is empty unless it was saved
    partitioned.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    nbytes: int
    crc32c: int | None
    slices: tuple[Extents, ...]


@dataclass(frozen=True, slots=True)
class CompressedComponent:
    """One tensor inside a ``CompressedElement``."""

    dtype: int
    shape: tuple[int, ...]
    nbytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CompressedElement:
    """``CompressedElement``: raw snappy ``data`` of several tensors."""

    data: bytes
    components: tuple[CompressedComponent, ...]
    version: int


@dataclass(frozen=True, slots=True)
class SlicedTensor:
    """``SavedSliceMeta``: one tensor named in the header of a V1 checkpoint."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    slices: tuple[Extents, ...]


def _varint_of(number: int, wire_type: int, value: int | bytes | memoryview) -> int:
    if wire_type != VARINT or not isinstance(value, int):
        raise MalformedMessageError(f"field {number} is not a varint")
    return value


def _bytes_of(number: int, wire_type: int, value: int | bytes | memoryview) -> bytes:
    if wire_type != LENGTH_DELIMITED or isinstance(value, int):
        raise MalformedMessageError(f"field {number} is not a message or string")
    return bytes(value)


@lru_cache(maxsize=4096)
def parse_shape(data: bytes) -> tuple[int, ...]:
    """``TensorShapeProto`` as a tuple; unknown axes are -1."""
    shape: list[int] = []
    for number, wire_type, value in wire_fields(data):
        if number == 2:
            size = 0
            for inner, inner_type, inner_value in wire_fields(_bytes_of(number, wire_type, value)):
                if inner == 1:
                    size = signed64(_varint_of(inner, inner_type, inner_value))
            if size < -1:
                raise MalformedMessageError(f"an axis of {size} elements")
            shape.append(size)
            if len(shape) > _MAX_RANK:
                raise MalformedMessageError(f"more than {_MAX_RANK} axes")
        elif number == 3 and value:
            raise MalformedMessageError("a shape of unknown rank")
    return tuple(shape)


def parse_extents(data: bytes) -> Extents:
    """``TensorSliceProto``."""
    axes: list[tuple[int, int]] = []
    for number, wire_type, value in wire_fields(data):
        if number == 1:
            start, length = 0, -1
            for inner, inner_type, inner_value in wire_fields(_bytes_of(number, wire_type, value)):
                if inner == 1:
                    start = signed64(_varint_of(inner, inner_type, inner_value))
                elif inner == 2:
                    length = signed64(_varint_of(inner, inner_type, inner_value))
            axes.append((start, length))
    return Extents(tuple(axes))


def parse_bundle_header(data: bytes) -> BundleHeader:
    """``BundleHeaderProto``; absent fields take their proto3 defaults."""
    num_shards = endianness = producer = 0
    for number, wire_type, value in wire_fields(data):
        if number == 1:
            num_shards = _varint_of(number, wire_type, value)
        elif number == 2:
            endianness = _varint_of(number, wire_type, value)
        elif number == 3:
            for inner, inner_type, inner_value in wire_fields(_bytes_of(number, wire_type, value)):
                if inner == 1:
                    producer = _varint_of(inner, inner_type, inner_value)
    return BundleHeader(num_shards, endianness == 1, producer)


def parse_bundle_entry(data: bytes) -> BundleEntry:
    """``BundleEntryProto``. Called for every variable, so varints are read in place."""
    dtype = shard = offset = nbytes = 0
    shape: tuple[int, ...] = ()
    crc: int | None = None
    slices: list[Extents] = []
    position, end = 0, len(data)
    try:
        while position < end:
            tag = data[position]
            if tag == 0x35:  # field 6, fixed32
                crc = int.from_bytes(data[position + 1 : position + 5], "little")
                position += 5
                continue
            value = data[position + 1]
            position += 2
            if value >= 0x80:
                value, position = read_varint(data, position - 1)
            if tag == 0x20:
                offset = value
            elif tag == 0x28:
                nbytes = value
            elif tag == 0x12:
                shape = parse_shape(data[position : position + value])
                position += value
            elif tag == 0x08:
                dtype = value
            elif tag == 0x18:
                shard = value
            elif tag == 0x3A:
                slices.append(parse_extents(data[position : position + value]))
                position += value
            else:
                raise MalformedMessageError(
                    f"unknown field {tag >> 3} of wire type {tag & 7}", offset=position
                )
    except IndexError:
        raise TruncatedError("the entry ends inside a field", offset=position) from None
    if position != end:
        raise TruncatedError("the entry ends inside a field", offset=position)
    if -1 in shape:
        raise MalformedMessageError("a stored tensor with an axis of unknown size")
    return BundleEntry(dtype, shape, shard, offset, nbytes, crc, tuple(slices))


def parse_sliced_header(data: bytes) -> tuple[tuple[SlicedTensor, ...], int]:
    """``SavedTensorSlices`` under the empty key of a V1 file: (tensors, producer version)."""
    tensors: list[SlicedTensor] = []
    producer = 0
    for number, wire_type, value in wire_fields(data):
        if number != 1:
            continue
        for inner, inner_type, inner_value in wire_fields(_bytes_of(number, wire_type, value)):
            piece = _bytes_of(inner, inner_type, inner_value)
            if inner == 1:
                tensors.append(_parse_slice_meta(piece))
            elif inner == 2:
                for field, field_type, field_value in wire_fields(piece):
                    if field == 1:
                        producer = _varint_of(field, field_type, field_value)
    return tuple(tensors), producer


def _parse_slice_meta(data: bytes) -> SlicedTensor:
    name, dtype = b"", 0
    shape: tuple[int, ...] = ()
    slices: list[Extents] = []
    for number, wire_type, value in wire_fields(data):
        if number == 1:
            name = _bytes_of(number, wire_type, value)
        elif number == 2:
            shape = parse_shape(_bytes_of(number, wire_type, value))
        elif number == 3:
            dtype = _varint_of(number, wire_type, value)
        elif number == 4:
            slices.append(parse_extents(_bytes_of(number, wire_type, value)))
    return SlicedTensor(name.decode("utf-8", "backslashreplace"), dtype, shape, tuple(slices))


def parse_saved_slice(data: bytes) -> tuple[str, Extents, bytes] | None:
    """``SavedTensorSlices.data`` of a V1 file: (name, slice, serialized TensorProto); None for
    the header.
    """
    for number, wire_type, value in wire_fields(data):
        if number != 2:
            continue
        name, extents, tensor = b"", Extents(()), b""
        for inner, inner_type, inner_value in wire_fields(_bytes_of(number, wire_type, value)):
            piece = _bytes_of(inner, inner_type, inner_value)
            if inner == 1:
                name = piece
            elif inner == 2:
                extents = parse_extents(piece)
            elif inner == 3:
                tensor = piece
        return name.decode("utf-8", "backslashreplace"), extents, tensor
    return None


def parse_compressed_element(data: bytes) -> CompressedElement:
    """``CompressedElement`` of tensorflow/core/framework/dataset.proto."""
    payload, version = b"", 0
    components: list[CompressedComponent] = []
    for number, wire_type, value in wire_fields(data):
        if number == 1:
            payload = _bytes_of(number, wire_type, value)
        elif number == 2:
            components.append(_parse_component(_bytes_of(number, wire_type, value)))
        elif number == 3:
            version = _varint_of(number, wire_type, value)
    return CompressedElement(payload, tuple(components), version)


def _parse_component(data: bytes) -> CompressedComponent:
    dtype = 0
    shape: tuple[int, ...] = ()
    nbytes: list[int] = []
    for number, wire_type, value in wire_fields(data):
        if number == 1:
            dtype = _varint_of(number, wire_type, value)
        elif number == 2:
            shape = parse_shape(_bytes_of(number, wire_type, value))
        elif number in (3, 4):  # 3 held a single size in older element layouts
            if wire_type == VARINT:
                nbytes.append(_varint_of(number, wire_type, value))
                continue
            packed = _bytes_of(number, wire_type, value)
            position = 0
            while position < len(packed):
                size, position = read_varint(packed, position)
                nbytes.append(size)
        elif wire_type == FIXED32:
            raise MalformedMessageError(f"unexpected fixed field {number}")
    return CompressedComponent(dtype, shape, tuple(nbytes))


def encode_slice_key(name: bytes, extents: Extents) -> bytes:
    """The key under which a bundle stores one slice of a partitioned tensor.

    Source: tensorflow/core/util/saved_tensor_slice_util.cc (EncodeTensorNameSlice) and
    tensorflow/core/lib/strings/ordered_code.cc.
    """
    escaped = name.replace(b"\x00", b"\x00\xff") if b"\xff" not in name else _escape(name)
    parts = [_ordered_unsigned(0), escaped, b"\x00\x01", _ordered_unsigned(len(extents.axes))]
    for start, length in extents.axes:
        parts += [_ordered_signed(start), _ordered_signed(length)]
    return b"".join(parts)


def _escape(name: bytes) -> bytes:
    return b"".join({0: b"\x00\xff", 255: b"\xff\x00"}.get(byte, bytes((byte,))) for byte in name)


def _ordered_unsigned(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((len(digits),)) + digits


def _ordered_signed(value: int) -> bytes:
    magnitude = ~value if value < 0 else value
    if magnitude < 64:
        return bytes((0x80 ^ (value & 0xFF),))
    length = magnitude.bit_length() // 7 + 1
    digits = bytearray((value & ((1 << 80) - 1)).to_bytes(10, "big")[10 - length :])
    # The header has as many leading ones as the number has bytes; it can reach into a second byte.
    header = ((1 << length) - 1) << (16 - length)
    digits[0] ^= header >> 8
    digits[1] ^= header & 0xFF
    return bytes(digits)
