import contextlib

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.errors import (
    ChecksumMismatchError,
    CorruptCheckpointError,
    MalformedMessageError,
    TruncatedError,
)
from ckptscope.formats.sstable import Table, snappy_decompress
from tests import writers

# Keys of few letters share long prefixes.
KEYS = st.one_of(st.text("ab/", max_size=30).map(str.encode), st.binary(max_size=12))
ENTRIES = st.dictionaries(KEYS, st.binary(max_size=200), max_size=60)


@given(ENTRIES, st.integers(1, 500), st.booleans())
def test_round_trip(entries, block_nbytes, snappy):
    found = list(Table(writers.table(entries, block_nbytes, snappy), "t"))
    assert found == sorted(entries.items())


@given(ENTRIES, st.booleans())
def test_blocks_are_read_on_their_own(entries, snappy):
    table = Table(memoryview(writers.table(entries, 64, snappy)), "t")
    assert [item for handle in table.handles for item in table.entries(handle)] == sorted(
        entries.items()
    )
    if len(entries) > 1 and sum(len(key) + len(value) for key, value in entries.items()) > 400:
        assert len(table.handles) > 1


def test_long_lengths_and_shared_prefixes():
    entries = {
        b"model/" * 50 + bytes((letter,)): b"v" * length
        for letter, length in zip(b"abc", (0, 127, 70_000), strict=True)
    }
    assert dict(Table(writers.table(entries, 1 << 20), "t")) == entries


def test_empty_table_has_no_entries():
    assert list(Table(writers.table({}), "t")) == []


def test_empty_file():
    with pytest.raises(TruncatedError, match="empty"):
        Table(b"", "t")


@pytest.mark.parametrize("data", [b"x", bytes(47), bytes(48), b"text\n" * 30])
def test_no_footer(data):
    with pytest.raises(MalformedMessageError, match="footer"):
        Table(data, "some.index")


@pytest.mark.parametrize("snappy", [False, True])
def test_every_flipped_byte_of_a_block_is_seen(snappy):
    entries = {b"a/%d" % number: b"value" * number for number in range(6)}
    data = writers.table(entries, 1 << 20, snappy)
    nbytes = Table(data, "t").handles[0].nbytes + 5
    for offset in range(nbytes):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        with pytest.raises(ChecksumMismatchError) as caught:
            list(Table(bytes(damaged), "dir/t.index"))
        assert caught.value.path == "dir/t.index"


@pytest.mark.parametrize("keep", range(0, 300, 7))
def test_cut_off_anywhere(keep):
    data = writers.table({b"k%03d" % number: b"x" * 20 for number in range(40)})
    with pytest.raises(CorruptCheckpointError):
        list(Table(data[:keep], "t"))


def test_unknown_compression():
    body = writers.block([(b"a", b"b")]) + b"\x07"
    index = writers.block([(b"a", writers.varint(0) + writers.varint(len(body) - 1))], 1) + b"\x00"
    data = body + writers.masked_crc(body) + index + writers.masked_crc(index)
    handle = writers.varint(len(body) + 4) + writers.varint(len(index) - 1)
    footer = (b"\x00\x00" + handle).ljust(40, b"\x00") + writers.MAGIC.to_bytes(8, "little")
    table = Table(data + footer, "t")
    with pytest.raises(MalformedMessageError, match="compression type 7"):
        list(table)


def one_block(contents):
    body = contents + b"\x00"
    return body + writers.masked_crc(body)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\x00\x00",
        (9).to_bytes(4, "little"),  # nine restart points in no bytes
        b"\x05\x01\x00a" + bytes(4) + (1).to_bytes(4, "little"),  # shares five bytes with nothing
        b"\x00\x7f\x00a" + bytes(4) + (1).to_bytes(4, "little"),  # key past the end
        b"\x00\x01\xff\xff\xff\xff\x0fa"
        + bytes(4)
        + (1).to_bytes(4, "little"),  # value past the end
        b"\x00" + bytes(4) + (1).to_bytes(4, "little"),  # ends inside the lengths
        b"\x80" + bytes(4) + (1).to_bytes(4, "little"),
    ],
)
def test_malformed_index_block_with_right_checksum(contents):
    data = one_block(contents)
    footer = b"\x00\x00\x00" + writers.varint(len(contents))
    with pytest.raises(CorruptCheckpointError):
        list(Table(data + footer.ljust(40, b"\x00") + writers.MAGIC.to_bytes(8, "little"), "t"))


@given(st.binary(max_size=60))
def test_any_block_contents_end(contents):
    data = one_block(contents)
    footer = (b"\x00\x00\x00" + writers.varint(len(contents))).ljust(
        40, b"\x00"
    ) + writers.MAGIC.to_bytes(8, "little")
    with contextlib.suppress(CorruptCheckpointError):
        list(Table(data + footer, "t"))


@given(st.binary(max_size=400))
def test_snappy_round_trip(data):
    assert snappy_decompress(bytes(cramjam.snappy.compress_raw(data)), len(data)) == data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", None),
        (b"\xff\xff\xff\xff\x0f\x00a", None),  # claims 4 GiB
        (bytes(cramjam.snappy.compress_raw(b"abc")), 4),  # the message around it says otherwise
        (b"\x05\x08ab", None),  # fewer bytes than claimed
        (b"\x04\x05\x09", None),  # copies from before the start
    ],
)
def test_snappy_that_is_none(data, expected):
    with pytest.raises(CorruptCheckpointError):
        snappy_decompress(data, expected)
