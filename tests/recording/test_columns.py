"""Chunks of steps: what is written comes back, and damaged bytes end in a value or an error of
ours.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.errors import CkptscopeError, UnsupportedFormatError
from ckptscope.formats.event_file import RecordedBytes, bytes_record, read_bytes_of, version_record
from ckptscope.recording.columns import COLUMNS, Chunk, decode, encode

INT64 = st.integers(-(2**63), 2**63 - 1)


def chunk(rows: int = 100, attempt: str = "abc") -> Chunk:
    return Chunk(
        attempt,
        7,
        {name: np.arange(rows, dtype=np.int64) * (n + 1) for n, name in enumerate(COLUMNS)},
    )


@given(st.lists(st.tuples(INT64, INT64), max_size=50), st.text(max_size=8), st.integers(0, 2**40))
def test_chunks_come_back(rows, attempt, first):
    table = np.array(rows, np.int64).reshape(-1, 2)
    written = Chunk(attempt, first, {"step": table[:, 0], "x": table[:, 1]})
    found = decode(encode(written))
    assert (found.attempt, found.first, found.num_rows) == (attempt, first, len(rows))
    assert all((found.columns[name] == written.columns[name]).all() for name in written.columns)


def test_linear_columns_take_next_to_nothing():
    assert len(encode(chunk(4096))) < 0.1 * 4096


@given(st.integers(0, 400), st.integers(0, 7))
def test_flipped_bits_are_a_value_or_an_error(position, bit):
    data = bytearray(encode(chunk()))
    data[position % len(data)] ^= 1 << bit
    with contextlib.suppress(CkptscopeError):
        decode(bytes(data))


@given(st.integers(0, 400))
def test_cut_chunks_are_errors(length):
    data = encode(chunk())
    with pytest.raises(CkptscopeError):
        decode(data[: length % len(data)])


def test_huge_sizes_are_refused_before_they_are_allocated():
    data = encode(chunk(3))
    with pytest.raises(CkptscopeError, match="steps"):
        decode(data.replace(b'"rows": 3', b'"rows": 3000000000'.ljust(9)))


@pytest.mark.parametrize("rows", ["Infinity", "NaN", "-1", "1e400", '"3"', "null"])
def test_odd_numbers_of_rows_are_errors(rows):
    data = encode(chunk(3))
    length = int.from_bytes(data[5:9], "little")
    header = data[9 : 9 + length].replace(b'"rows": 3', f'"rows": {rows}'.encode())
    odd = data[:5] + len(header).to_bytes(4, "little") + header + data[9 + length :]
    if rows == '"3"':
        assert len(decode(odd).columns) == len(COLUMNS)
    else:
        with pytest.raises(CkptscopeError, match="chunk of"):
            decode(odd)


def test_later_versions_say_so():
    data = bytearray(encode(chunk()))
    data[4] = 99
    with pytest.raises(UnsupportedFormatError, match="update ckptscope"):
        decode(bytes(data))


# ------------------------------------------------------------ event files


def event_file(path, *items: RecordedBytes) -> bytes:
    data = version_record(1.0) + b"".join(map(bytes_record, items))
    path.write_bytes(data)
    return data


ITEMS = [RecordedBytes(f"ckptscope/pos/a/{n}", n, 2.0, bytes([n]) * 5) for n in range(4)]


def test_event_files_come_back(tmp_path):
    event_file(tmp_path / "f", *ITEMS)
    assert list(read_bytes_of(str(tmp_path / "f"), "ckptscope/")) == ITEMS
    assert not list(read_bytes_of(str(tmp_path / "f"), "other/"))


@pytest.mark.tf
def test_tensorflow_reads_what_we_write(tmp_path):
    import tensorflow as tf

    event_file(tmp_path / "f", *ITEMS)
    events = [
        tf.compat.v1.Event.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(tmp_path / "f"))
    ]
    assert events[0].file_version == "brain.Event:2"
    assert [
        (e.step, e.summary.value[0].tag, e.summary.value[0].tensor.string_val[0])
        for e in events[1:]
    ] == [(item.step, item.tag, item.data) for item in ITEMS]


@given(st.integers(0, 2000))
def test_a_file_that_is_cut_off_gives_what_is_whole(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("events") / "f"
    data = event_file(path, *ITEMS)
    path.write_bytes(data[: length % len(data)])
    found = list(read_bytes_of(str(path), "ckptscope/"))
    assert found == ITEMS[: len(found)]


@given(st.integers(0, 2000), st.integers(0, 7))
def test_a_flipped_bit_ends_the_file_with_an_error(tmp_path_factory, position, bit):
    path = tmp_path_factory.mktemp("events") / "f"
    data = bytearray(event_file(path, *ITEMS))
    data[position % len(data)] ^= 1 << bit
    path.write_bytes(data)
    found = []
    with pytest.raises(CkptscopeError):
        found.extend(read_bytes_of(str(path), "ckptscope/"))
        raise CkptscopeError("nothing was noticed") if found != ITEMS else AssertionError
    assert found == ITEMS[: len(found)]
