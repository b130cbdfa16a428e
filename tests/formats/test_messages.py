import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.errors import CorruptCheckpointError, MalformedMessageError
from ckptscope.formats.messages import (
    Extents,
    encode_slice_key,
    parse_bundle_entry,
    parse_bundle_header,
    parse_compressed_element,
    parse_extents,
    parse_saved_slice,
    parse_shape,
    parse_sliced_header,
)
from tests import writers

AXIS = st.one_of(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), st.just((0, -1)))
SHAPE = st.lists(st.integers(0, 2**40), max_size=6).map(tuple)


@given(SHAPE)
def test_shape_round_trip(shape):
    assert parse_shape(writers.shape_proto(shape)) == shape


def test_scalar_axis_of_zero_elements():
    assert parse_shape(writers.text(2, b"")) == (0,)  # proto3 leaves a size of 0 out


@pytest.mark.parametrize(
    "data",
    [
        writers.number(3, 1),  # unknown rank
        writers.shape_proto((-2,)),
        writers.shape_proto([1] * 255),
        writers.number(2, 4),  # an axis that is no message
        b"\x12\x7f",
    ],
)
def test_shapes_that_cannot_be(data):
    with pytest.raises(CorruptCheckpointError):
        parse_shape(data)


@given(st.lists(AXIS, max_size=4).map(tuple))
def test_extents_round_trip(axes):
    assert parse_extents(writers.slice_proto(axes)) == Extents(axes)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"\x08\x01\x1a\x02\x08\x01", (1, False, 1)),
        (b"\x08\x03", (3, False, 0)),
        (b"\x08\x01\x10\x01", (1, True, 0)),
        (b"", (0, False, 0)),
    ],
)
def test_bundle_header(data, header):
    found = parse_bundle_header(data)
    assert (found.num_shards, found.big_endian, found.producer) == header


@given(
    st.integers(1, 30),
    SHAPE,
    st.integers(0, 9),
    st.integers(0, 2**50),
    st.integers(0, 2**50),
    st.integers(0, 2**32 - 1),
    st.lists(st.lists(AXIS, max_size=3).map(tuple), max_size=3),
)
def test_bundle_entry_round_trip(dtype, shape, shard, offset, nbytes, crc, slices):
    data = writers.number(1, dtype) + writers.text(2, writers.shape_proto(shape))
    data += writers.number(3, shard) + writers.number(4, offset) + writers.number(5, nbytes)
    data += b"\x35" + crc.to_bytes(4, "little")
    data += b"".join(writers.text(7, writers.slice_proto(axes)) for axes in slices)
    entry = parse_bundle_entry(data)
    assert (entry.dtype, entry.shape, entry.shard, entry.offset, entry.nbytes) == (
        dtype,
        shape,
        shard,
        offset,
        nbytes,
    )
    assert (entry.crc32c, entry.slices) == (crc, tuple(map(Extents, slices)))


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\x01\x35\x00\x00",  # ends inside its checksum
        b"\x12\x7f\x00",  # ends inside its shape
        b"\x08\x01\x4a\x00",  # unknown field
        b"\x0d\x01\x00\x00\x00",  # dtype of another wire type
        writers.text(2, writers.shape_proto((-1,))),
    ],
)
def test_malformed_entries(data):
    with pytest.raises(CorruptCheckpointError):
        parse_bundle_entry(data)


@given(st.binary(max_size=60))
def test_any_entry_ends(data):
    for parse in (
        parse_bundle_entry,
        parse_bundle_header,
        parse_sliced_header,
        parse_saved_slice,
        parse_compressed_element,
    ):
        with contextlib.suppress(CorruptCheckpointError):
            parse(data)


# Literal bytes by the definition in ordered_code.cc.
@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "80"),
        (1, "81"),
        (63, "bf"),
        (64, "c040"),
        (8191, "dfff"),
        (8192, "e02000"),
        (1 << 20, "f0100000"),
        (-1, "7f"),
        (-64, "40"),
        (-65, "3fbf"),
        (-8192, "2000"),
        (-8193, "1fdfff"),
        (2**62, "ffc0" + "4" + "0" * 15),
        (2**63 - 1, "ffc07fffffffffffffff"),
        (-(2**63), "003f8000000000000000"),
    ],
)
def test_ordered_numbers(value, encoded):
    key = encode_slice_key(b"w", Extents(((value, 0),)))
    assert key.hex() == "00" + b"w".hex() + "0001" + "0101" + encoded + "80"


INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64, INT64)
def test_encoded_numbers_sort_as_numbers(one, other):
    keys = [encode_slice_key(b"w", Extents(((value, 0),))) for value in (one, other)]
    assert (keys[0] < keys[1]) == (one < other)


@given(st.text(max_size=10), st.lists(st.tuples(INT64, INT64), max_size=3).map(tuple))
def test_slice_keys_equal_the_writers(name, axes):
    assert encode_slice_key(name.encode(), Extents(axes)) == writers.slice_key(name, axes)


@given(st.binary(max_size=8), st.binary(max_size=8))
def test_names_are_escaped_apart(one, other):
    keys = [encode_slice_key(name, Extents(())) for name in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)
    assert (keys[0] < keys[1]) == (one < other)


def test_sliced_header():
    meta = (
        writers.text(1, b"w") + writers.text(2, writers.shape_proto((4, 6))) + writers.number(3, 1)
    )
    meta += writers.text(4, writers.slice_proto(((0, 2), (0, -1))))
    (tensor,), producer = parse_sliced_header(
        writers.text(1, writers.text(1, meta) + writers.text(2, writers.number(1, 38)))
    )
    assert (tensor.name, tensor.dtype, tensor.shape, producer) == ("w", 1, (4, 6), 38)
    assert tensor.slices == (Extents(((0, 2), (0, -1))),)


def test_saved_slice():
    saved = (
        writers.text(1, b"w")
        + writers.text(2, writers.slice_proto(((2, 2),)))
        + writers.text(3, b"tensor")
    )
    assert parse_saved_slice(writers.text(2, saved)) == ("w", Extents(((2, 2),)), b"tensor")
    assert parse_saved_slice(writers.text(1, b"")) is None


@pytest.mark.parametrize("packed", [True, False])
def test_compressed_element(packed):
    sizes = (
        writers.text(4, b"\x03\x80\x01")
        if packed
        else writers.number(4, 3) + writers.number(4, 128)
    )
    component = writers.number(1, 7) + writers.text(2, writers.shape_proto((2,))) + sizes
    element = parse_compressed_element(
        writers.text(1, b"data") + writers.text(2, component) + writers.number(3, 1)
    )
    assert (element.data, element.version) == (b"data", 1)
    assert [(c.dtype, c.shape, c.nbytes) for c in element.components] == [(7, (2,), (3, 128))]


def test_message_where_a_number_belongs():
    with pytest.raises(MalformedMessageError):
        parse_bundle_header(writers.text(1, b"x"))
