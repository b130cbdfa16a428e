"""``TensorProto`` to Python values or NumPy arrays.

Source: tensorflow/core/framework/tensor.proto: values lie in ``tensor_content`` (raw little-endian
bytes; for strings: varint lengths, then the bytes) or in the typed field of the dtype, where a last
value that repeats is stored once and proto3 omits a lone default."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from ckptscope.errors import MalformedMessageError
from ckptscope.formats.cursor import read_varint
from ckptscope.formats.dtypes import STRING, DType, dtype_of, numpy_dtype

if TYPE_CHECKING:
    import numpy
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

# Kept apart from "absurd": a typed field may legally repeat one value over a whole tensor.
MAX_ELEMENTS = 1 << 31


def parse_tensor_proto(data: bytes) -> TensorProto:
    """Parse a serialized ``TensorProto``.

    Raises:
        MalformedMessageError: the bytes are no such message.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import tensor_pb2

    try:
        return tensor_pb2.TensorProto.FromString(bytes(data))
    except DecodeError as error:
        raise MalformedMessageError(f"not a TensorProto: {error}") from None


def shape_of(proto: TensorProto) -> tuple[int, ...]:
    """Shape of a stored tensor.

    Raises:
        MalformedMessageError: unknown or absurd axes.
    """
    shape = tuple(axis.size for axis in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise MalformedMessageError(f"a stored tensor of shape {shape}")
    if math.prod(shape) > MAX_ELEMENTS:
        raise MalformedMessageError(f"a stored tensor of {math.prod(shape)} elements")
    return shape


def tensor_values(proto: TensorProto, limit: int | None = None) -> list[Any]:
    """The elements in row-major order as Python values, without NumPy; at most ``limit`` of them.

    Only for the dtypes that iterator states use for their counters: integers, bool, floats and
        strings.

    Raises:
        MalformedMessageError: too few bytes, or a dtype without Python form.
    """
    dtype = dtype_of(proto.dtype)
    count = math.prod(shape_of(proto))
    if limit is not None:
        count = min(count, limit)
    if proto.tensor_content:
        content = proto.tensor_content
        if dtype is STRING:
            return split_strings(content, math.prod(shape_of(proto)))[0][:count]
        return unpack(dtype, content, count)
    if dtype.field is None or (dtype.code is None and dtype is not STRING):
        raise MalformedMessageError(
            f"values of dtype {dtype.name} in a TensorProto are not read here"
        )
    stored = list(getattr(proto, dtype.field)[:count])
    if len(stored) < count:
        default: Any = b"" if dtype is STRING else False if dtype.code == "?" else 0
        stored += [stored[-1] if stored else default] * (count - len(stored))
    return stored


def unpack(dtype: DType, content: bytes | memoryview, count: int) -> list[Any]:
    """``count`` little-endian elements of a fixed-width dtype, without NumPy."""
    if dtype.code is None:
        raise MalformedMessageError(f"values of dtype {dtype.name} are not read here")
    if len(content) < count * dtype.nbytes:
        raise MalformedMessageError(
            f"{count} {dtype.name} elements want {count * dtype.nbytes} bytes, not {len(content)}"
        )
    return list(struct.unpack_from(f"<{count}{dtype.code}", content))


def split_strings(content: bytes, count: int) -> tuple[list[bytes], int]:
    """Strings stored as varint lengths followed by all bytes; returns (strings, position behind
    the lengths).
    """
    if count > len(content):
        raise MalformedMessageError(f"{count} strings in {len(content)} bytes")
    lengths, position = [], 0
    for _ in range(count):
        length, position = read_varint(content, position)
        lengths.append(length)
    start = position
    if sum(lengths) > len(content) - position:
        raise MalformedMessageError(f"strings of {sum(lengths)} bytes in {len(content) - position}")
    strings = []
    for length in lengths:
        strings.append(bytes(content[position : position + length]))
        position += length
    return strings, start


def tensor_array(proto: TensorProto) -> numpy.ndarray[Any, Any]:
    """The tensor as a NumPy array (``object[...]`` of bytes for strings).

    Raises:
        MalformedMessageError: values do not fill the shape.
        UnsupportedFormatError: a dtype without NumPy form.
    """
    import numpy

    dtype, shape = dtype_of(proto.dtype), shape_of(proto)
    count = math.prod(shape)
    target = numpy_dtype(dtype)
    if dtype is STRING:
        return numpy.array(tensor_values(proto), dtype=object).reshape(shape)
    if proto.tensor_content:
        if len(proto.tensor_content) != count * target.itemsize:
            raise MalformedMessageError(
                f"{len(proto.tensor_content)} bytes for shape {shape} of {dtype.name}"
            )
        return numpy.frombuffer(proto.tensor_content, target).reshape(shape)
    raw = getattr(proto, dtype.field or "", ())
    if isinstance(raw, bytes):
        stored = numpy.frombuffer(raw, target)
    elif dtype.name in ("complex64", "complex128"):
        stored = numpy.array(raw, dtype=target.type(0).real.dtype).view(target)
    elif dtype.field == "half_val":
        stored = numpy.array(raw, dtype=numpy.uint16).view(target)
    else:
        stored = numpy.array(raw).astype(target)
    if len(stored) == count:
        return stored.reshape(shape)
    if len(stored) > count:
        raise MalformedMessageError(f"{len(stored)} values for shape {shape}")
    filled = numpy.zeros(count, target)
    if len(stored):
        filled[: len(stored)] = stored
        filled[len(stored) :] = stored[-1]
    return filled.reshape(shape)
