import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorboard.compat.proto import tensor_pb2

from ckptscope.errors import CkptscopeError, MalformedMessageError
from ckptscope.formats.dtypes import dtype_of
from ckptscope.formats.tensor_proto import (
    parse_tensor_proto,
    shape_of,
    split_strings,
    tensor_array,
    tensor_values,
    unpack,
)
from tests import writers

NUMERIC = tuple(
    """
    float32 float64 int32 uint8 int16 int8 int64 bool uint16 float16 uint32 uint64
    """.split()
)


def proto(dtype, shape, **fields):
    found = tensor_pb2.TensorProto(dtype=dtype, **fields)
    for size in shape:
        found.tensor_shape.dim.add(size=size)
    return found


@given(
    st.sampled_from(NUMERIC).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, min_side=0))
    )
)
def test_content_round_trip(array):
    message = parse_tensor_proto(writers.tensor_proto(array))
    assert shape_of(message) == array.shape
    np.testing.assert_array_equal(tensor_array(message), array)
    assert tensor_array(message).dtype == array.dtype
    assert np.array_equal(
        np.array(tensor_values(message), array.dtype).reshape(array.shape),
        array,
        equal_nan=array.dtype.kind == "f",
    )


@pytest.mark.parametrize("name", ["float32", "float64", "int32", "uint8", "int16", "int8", "int64"])
def test_typed_fields(name):
    array = np.arange(6, dtype=name).reshape(2, 3)
    message = parse_tensor_proto(writers.tensor_proto(array, content=False))
    np.testing.assert_array_equal(tensor_array(message), array)
    assert tensor_values(message, 2) == [0, 1]


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (proto(3, (3,), int_val=[1, 2]), [1, 2, 2]),  # the last value repeats
        (proto(1, (2,)), [0, 0]),  # proto3 leaves a lone default out
        (proto(10, (2, 2), bool_val=[True]), [True] * 4),
        (proto(9, ()), [0]),
        (proto(7, (), string_val=[b"\xff\x00"]), [b"\xff\x00"]),
        (proto(7, (2,)), [b"", b""]),
        (proto(9, (0,)), []),
    ],
)
def test_short_fields(message, values):
    assert tensor_values(message) == values
    assert tensor_array(message).reshape(-1).tolist() == values


@pytest.mark.parametrize(
    ("message", "values"),
    [
        (proto(19, (2,), half_val=[0x3C00, 0xC000]), [1.0, -2.0]),
        (proto(14, (2,), half_val=[0x3F80, 0xC000]), [1.0, -2.0]),
        (proto(8, (2,), scomplex_val=[1, 2, 3, 4]), [1 + 2j, 3 + 4j]),
        (proto(18, (1,), dcomplex_val=[1, 2]), [1 + 2j]),
        (proto(23, (2,), uint64_val=[2**64 - 1, 0]), [2**64 - 1, 0]),
        (proto(6, (2,), int_val=[-128, 127]), [-128, 127]),
    ],
)
def test_values_of_special_dtypes(message, values):
    assert tensor_array(message).tolist() == values


@given(st.lists(st.binary(max_size=8), max_size=5))
def test_strings_round_trip(values):
    message = parse_tensor_proto(writers.tensor_proto(values))
    assert tensor_values(message) == values
    assert tensor_array(message).tolist() == values
    lengths = b"".join(writers.varint(len(value)) for value in values)
    assert split_strings(lengths + b"".join(values), len(values)) == (values, len(lengths))


@pytest.mark.parametrize(
    "message",
    [
        proto(1, (3,), tensor_content=b"\0" * 11),
        proto(1, (1 << 20, 1 << 20)),
        proto(1, (-1,)),
        proto(3, (1,), int_val=[1, 2]),
        tensor_pb2.TensorProto(dtype=1, tensor_shape={"unknown_rank": True}),
    ],
)
def test_values_that_do_not_fill_the_shape(message):
    with pytest.raises(MalformedMessageError):
        tensor_array(message)


@pytest.mark.parametrize("number", [0, 20, 21, 999])
def test_dtypes_without_values(number):
    for read in (tensor_array, tensor_values):
        with pytest.raises(CkptscopeError):
            read(proto(number, (1,)))


@pytest.mark.parametrize("data", [b"\x0a", b"\x12\x7f", b"\xff" * 12])
def test_no_message(data):
    with pytest.raises(MalformedMessageError):
        parse_tensor_proto(data)


@given(st.binary(max_size=80))
def test_any_bytes_end(data):
    try:
        message = parse_tensor_proto(data)
        if np.prod([axis.size for axis in message.tensor_shape.dim], dtype=float) < 1e6:
            tensor_array(message)
            tensor_values(message)
    except CkptscopeError:
        pass


@pytest.mark.parametrize(
    ("content", "count"), [(b"", 1), (b"\x05ab", 1), (b"\x80", 1), (b"\x01a", 3)]
)
def test_strings_that_do_not_fit(content, count):
    with pytest.raises(CkptscopeError):
        split_strings(content, count)


def test_unpack_wants_all_bytes():
    assert unpack(dtype_of(9), (7).to_bytes(8, "little"), 1) == [7]
    with pytest.raises(MalformedMessageError):
        unpack(dtype_of(9), bytes(15), 2)
