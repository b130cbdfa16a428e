"""Sorted string tables: the container of V2 indexes and of whole V1 checkpoints.

Source: tensorflow/tsl (xla/tsl) lib/io/{format,block,table}.cc, which is LevelDB's table format:
data blocks with prefix-compressed keys, an index block of block handles, a footer of 48 bytes that
ends in a magic number. Each block is followed by one byte of compression type and the masked
CRC-32C of block and type byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ckptscope.errors import ChecksumMismatchError, MalformedMessageError, TruncatedError, reading
from ckptscope.formats.checksum import masked_crc32c
from ckptscope.formats.cursor import read_varint

FOOTER_NBYTES = 48
MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER_NBYTES = 5
_UNCOMPRESSED, _SNAPPY = 0, 1
# A block is at most 256 KiB plus one entry; a damaged length prefix must not make snappy allocate
# more than this.
_MAX_EXPANSION = 64


@dataclass(frozen=True, slots=True)
class BlockHandle:
    """Where a block lies: ``offset`` and ``nbytes`` in the file, without the trailer."""

    offset: int
    nbytes: int


class Table:
    """A table held in ``data`` (bytes or a mapped file).

    Args:
        data: the whole file.
        path: named in errors.

    Raises:
        TruncatedError, MalformedMessageError, ChecksumMismatchError: footer or index block are
            damaged.
    """

    def __init__(self, data: bytes | memoryview, path: str) -> None:
        self._data = data
        self._path = path
        nbytes = len(data)
        with reading(path, "table footer", max(0, nbytes - FOOTER_NBYTES)):
            if nbytes == 0:
                raise TruncatedError(
                    "the file is empty; the save did not finish, or the disk was full"
                )
            if nbytes < FOOTER_NBYTES or bytes(data[nbytes - 8 : nbytes]) != MAGIC:
                raise MalformedMessageError(
                    "no table footer: the file is not a checkpoint index, or was cut off "
                    "while it was written"
                )
            footer = bytes(data[nbytes - FOOTER_NBYTES : nbytes])
            position = 0
            values = []
            for _ in range(4):
                value, position = read_varint(footer, position)
                values.append(value)
        index = BlockHandle(values[2], values[3])
        self.handles = tuple(self._handle(value) for _, value in self.entries(index))

    def _handle(self, value: bytes) -> BlockHandle:
        with reading(self._path, "block handle"):
            offset, position = read_varint(value, 0)
            nbytes, _ = read_varint(value, position)
        return BlockHandle(offset, nbytes)

    def block(self, handle: BlockHandle) -> bytes:
        """One block, its checksum verified, decompressed."""
        data, end = self._data, handle.offset + handle.nbytes + _TRAILER_NBYTES
        with reading(self._path, "table block", handle.offset):
            if end > len(data):
                raise TruncatedError(f"wants bytes up to {end}, the file has {len(data)}")
            contents = bytes(data[handle.offset : end - 4])
            stored = int.from_bytes(data[end - 4 : end], "little")
            computed = masked_crc32c(contents)
            if stored != computed:
                raise ChecksumMismatchError(
                    f"checksum is {stored:#010x} in the file, {computed:#010x} of its bytes"
                )
            compression, contents = contents[-1], contents[:-1]
            if compression == _UNCOMPRESSED:
                return contents
            if compression == _SNAPPY:
                return snappy_decompress(contents)
            raise MalformedMessageError(f"unknown compression type {compression}")

    def entries(self, handle: BlockHandle) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of one block in key order."""
        block = self.block(handle)
        with reading(self._path, "entries of the table block", handle.offset):
            if len(block) < 4:
                raise TruncatedError("no restart array")
            num_restarts = int.from_bytes(block[-4:], "little")
            end = len(block) - 4 - 4 * num_restarts
            if end < 0:
                raise MalformedMessageError(f"{num_restarts} restart points do not fit the block")
            position, key = 0, b""
            while position < end:
                start = position
                # The three lengths of an entry are nearly always one byte each.
                shared, unshared, length = block[position], block[position + 1], block[position + 2]
                if (shared | unshared | length) < 0x80:
                    position += 3
                else:
                    shared, position = read_varint(block, position)
                    unshared, position = read_varint(block, position)
                    length, position = read_varint(block, position)
                split = position + unshared
                stop = split + length
                if shared > len(key) or stop > end:
                    raise MalformedMessageError("an entry reaches past its block", offset=start)
                key = key[:shared] + block[position:split]
                yield key, block[split:stop]
                position = stop

    def get(self, key: bytes) -> bytes | None:
        """The value of one key, found by halves; None where there is none."""
        low, high = 0, len(self.handles)
        while high - low > 1:
            middle = (low + high) // 2
            first = next(self.entries(self.handles[middle]), None)
            low, high = (middle, high) if first is None or first[0] <= key else (low, middle)
        found = self.entries(self.handles[low]) if self.handles else iter(())
        return next((value for known, value in found if known == key), None)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for handle in self.handles:
            yield from self.entries(handle)


def snappy_decompress(data: bytes, expected_nbytes: int | None = None) -> bytes:
    """Decompress raw snappy (no framing).

    Args:
        expected_nbytes: what the surrounding message says the result measures; None if it does not
            say.

    Raises:
        MalformedMessageError: not snappy, or a length that the data cannot reach.
    """
    import cramjam

    length, _ = read_varint(data, 0)
    # One snappy element expands to 64 bytes at most, from at least two bytes.
    if length > (len(data) + 1) * _MAX_EXPANSION or (
        expected_nbytes is not None and length != expected_nbytes
    ):
        raise MalformedMessageError(f"compressed data of {len(data)} bytes claims to hold {length}")
    try:
        return bytes(cramjam.snappy.decompress_raw(data))
    except (
        Exception
    ) as error:  # cramjam raises its own DecompressionError, not exported in all versions
        raise MalformedMessageError(f"compressed data cannot be decompressed: {error}") from None
