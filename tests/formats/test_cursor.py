import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.errors import CorruptCheckpointError, MalformedMessageError, TruncatedError, reading
from ckptscope.formats.cursor import read_varint, signed64, wire_fields
from tests import writers

UINT64 = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", 0),
        (b"\x7f", 127),
        (b"\x80\x01", 128),
        (b"\xac\x02", 300),
        (b"\xff" * 9 + b"\x01", 2**64 - 1),
        (b"\x80\x00", 0),  # longer than needed, and legal
    ],
)
def test_varint_vectors(data, value):
    assert read_varint(data, 0) == (value, len(data))


@given(UINT64, st.binary(max_size=3), st.binary(max_size=3))
def test_varint_round_trip(value, before, after):
    encoded = writers.varint(value)
    assert read_varint(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff"])
def test_varint_cut_off(data):
    with pytest.raises(TruncatedError):
        read_varint(data, 0)


def test_varint_too_long():
    with pytest.raises(MalformedMessageError):
        read_varint(b"\x80" * 10 + b"\x01", 0)


@pytest.mark.parametrize(
    ("raw", "value"), [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1)]
)
def test_signed64(raw, value):
    assert signed64(raw) == value


FIELD = st.one_of(
    st.tuples(st.integers(1, 2**20), st.just(0), UINT64),
    st.tuples(st.integers(1, 2**20), st.just(2), st.binary(max_size=20)),
    st.tuples(st.integers(1, 2**20), st.just(1), UINT64),
    st.tuples(st.integers(1, 2**20), st.just(5), st.integers(0, 2**32 - 1)),
)


def encoded(number, wire_type, value):
    tag = writers.varint(number << 3 | wire_type)
    if wire_type == 0:
        return tag + writers.varint(value)
    if wire_type == 2:
        return tag + writers.varint(len(value)) + value
    return tag + value.to_bytes(8 if wire_type == 1 else 4, "little")


@given(st.lists(FIELD, max_size=6), st.booleans())
def test_fields_round_trip(fields, as_view):
    data = b"".join(encoded(*field) for field in fields)
    found = wire_fields(memoryview(data) if as_view else data)
    assert [(n, w, bytes(v) if w == 2 else v) for n, w, v in found] == fields


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x00\x01", MalformedMessageError),  # field number 0
        (b"\x0b", MalformedMessageError),  # group
        (b"\x0e\x01", MalformedMessageError),  # wire type 6
        (b"\x0a\x05abc", TruncatedError),
        (b"\x0a" + b"\xff" * 9 + b"\x01", TruncatedError),  # 2**64 - 1 bytes
        (b"\x09\x00", TruncatedError),
        (b"\x0d\x00\x00\x00", TruncatedError),
    ],
)
def test_malformed_fields(data, error):
    with pytest.raises(error):
        list(wire_fields(data))


@given(st.binary(max_size=40))
def test_any_bytes_end(data):
    with contextlib.suppress(CorruptCheckpointError):
        list(wire_fields(data))


def test_reading_completes_errors():
    with pytest.raises(TruncatedError) as caught, reading("a/b.index", "header", 100):
        list(wire_fields(b"\x08\x01\x0a\x05abc"))
    assert (caught.value.path, caught.value.structure, caught.value.offset) == (
        "a/b.index",
        "header",
        102,
    )
    assert str(caught.value).startswith("a/b.index: header at byte 102: ")
