"""Which record a byte offset is: by walking the lengths of record files.

Sources: tensorflow/core/lib/io/record_reader.h (``uint64 length, uint32 masked crc of length, data,
uint32 masked crc of data``); tensorflow/core/lib/io/buffered_inputstream (lines end in a line
feed). Offsets of compressed files count in the uncompressed stream."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK_NBYTES = 1 << 18
_FRAME_NBYTES = 16


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """Result of looking an offset up.

    Attributes:
        index: 0-based number of the record that starts at the offset; None if none does.
        problem: why not: the file is gone, ends before the offset, or has no record boundary there.
        is_missing: the file could not be opened; nothing is known of the data.
    """

    index: int | None
    problem: str | None = None
    is_missing: bool = False


class DataFiles:
    """Data files that a state names, opened where they can be found.

    Args:
        root: directory against which relative names are resolved, besides the working directory.
        known: all files that the program reads, in its order, where a graph or a run record names
            them.
        may_list: where they are not known, those that lie beside one may be taken for them, which
            is a guess.
    """

    def __init__(
        self, root: str | None = None, known: tuple[str, ...] = (), *, may_list: bool = True
    ) -> None:
        self._root = root
        self._known = known
        self._may_list = may_list
        self._lines: dict[tuple[str, int | None], RecordIndex] = {}

    def resolve(self, name: str) -> str | None:
        """Path of an existing local file, None if there is none. The given root goes first."""
        candidates = [name]
        if self._root is not None:
            candidates = [os.path.join(self._root, name.lstrip(os.sep)), name]
        return next((path for path in candidates if os.path.isfile(path)), None)

    def record_at(self, name: str, offset: int) -> RecordIndex:
        """Number of the TFRecord that starts at ``offset``; a file's end counts as the record
        behind the last.
        """
        return self._cached(name, offset, "record")

    def line_at(self, name: str, offset: int) -> RecordIndex:
        """Number of the text line that starts at ``offset``."""
        return self._cached(name, offset, "line")

    def num_records(self, name: str, kind: str) -> int | None:
        """Records (``record``) or lines (``line``) of a whole file, None if it cannot be read."""
        return self._cached(name, None, kind).index

    def _cached(self, name: str, offset: int | None, kind: str) -> RecordIndex:
        key = (f"{kind}:{name}", offset)
        if key not in self._lines:
            path = self.resolve(name)
            if path is None:
                self._lines[key] = RecordIndex(None, "the file is not here (see --data-root)", True)
            else:
                try:
                    self._lines[key] = (_find_record if kind == "record" else _find_line)(
                        path, offset
                    )
                except (OSError, zlib.error, EOFError) as error:
                    self._lines[key] = RecordIndex(None, f"the file cannot be read: {error}")
        return self._lines[key]

    def read_with(self, name: str) -> tuple[list[str], bool]:
        """(files that are read in one pass with this one, in reading order; whether they are
        known, not guessed from what lies beside it).
        """
        for number, known in enumerate(self._known):
            if _is_same(name, known) or _is_same(self.resolve(name) or name, known):
                files = list(self._known)
                files[number] = name
                return files, True
            # Named on another machine: the program reads the same names below another directory.
            above = known.removesuffix(name)
            if above.endswith(os.sep) and above != known:
                return [file.removeprefix(above) for file in self._known], True
        return (self._siblings(name), False) if self._may_list else ([], False)

    def _siblings(self, name: str) -> list[str]:
        """Files of the same directory whose names differ from this one in digits only, in name
        order.
        """
        path = self.resolve(name)
        if path is None:
            return []
        pattern = re.sub(r"\d+", r"\\d+", re.escape(os.path.basename(path)))
        found = sorted(
            file for file in os.listdir(os.path.dirname(path) or ".") if re.fullmatch(pattern, file)
        )
        return [os.path.join(os.path.dirname(name), file) for file in found]


def _is_same(name: str, known: str) -> bool:
    return os.path.abspath(name) == os.path.abspath(known)


def _stream(path: str) -> Iterator[bytes]:
    """Chunks of the uncompressed file; gzip and zlib are recognised by their first bytes."""
    with open(path, "rb") as file:
        head = file.read(2)
        file.seek(0)
        if head == b"\x1f\x8b":
            decompressor = zlib.decompressobj(31)
        elif head in (b"\x78\x01", b"\x78\x9c", b"\x78\xda"):
            decompressor = zlib.decompressobj(15)
        else:
            while chunk := file.read(_CHUNK_NBYTES):
                yield chunk
            return
        while chunk := file.read(_CHUNK_NBYTES):
            while chunk:
                yield decompressor.decompress(chunk, 1 << 22)
                chunk = decompressor.unconsumed_tail
                if decompressor.eof:
                    chunk = decompressor.unused_data
                    decompressor = zlib.decompressobj(31)


def _is_compressed(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) in (b"\x1f\x8b", b"\x78\x01", b"\x78\x9c", b"\x78\xda")


def _find_record(path: str, wanted: int | None) -> RecordIndex:
    if not _is_compressed(path):
        return _find_plain_record(path, wanted)
    buffered, start, index = bytearray(), 0, 0
    for chunk in _stream(path):
        buffered += chunk
        position = 0
        while len(buffered) - position >= 8:
            if start + position == wanted:
                return RecordIndex(index)
            length = int.from_bytes(buffered[position : position + 8], "little") + _FRAME_NBYTES
            if position + length > len(buffered):
                break
            position += length
            index += 1
        start += position
        del buffered[:position]
        if wanted is not None and start > wanted:
            return _no_boundary(wanted)
    return _at_end(start, bool(buffered), index, wanted)


def _find_plain_record(path: str, wanted: int | None) -> RecordIndex:
    """Reads one length of eight bytes for each record, never the data."""
    size = os.path.getsize(path)
    position = index = 0
    with open(path, "rb") as file:
        while position < size and (wanted is None or position < wanted):
            file.seek(position)
            length = int.from_bytes(file.read(8), "little") + _FRAME_NBYTES
            if position + length > size:
                return RecordIndex(
                    None, f"record {index} at byte {position} reaches past the end of the file"
                )
            position += length
            index += 1
    return _at_end(position, False, index, wanted)


def _at_end(position: int, rest: bool, index: int, wanted: int | None) -> RecordIndex:
    if wanted is None or position == wanted:
        return RecordIndex(None, "the file ends inside a record") if rest else RecordIndex(index)
    if position < wanted:
        return RecordIndex(
            None,
            f"the file ends at byte {position}, before byte {wanted}: it has changed "
            "since the save",
        )
    return _no_boundary(wanted)


def _no_boundary(wanted: int) -> RecordIndex:
    return RecordIndex(
        None, f"no record starts at byte {wanted}: the file has changed since the save"
    )


def _find_line(path: str, wanted: int | None) -> RecordIndex:
    position = lines = 0
    last = b"\n"
    for chunk in _stream(path):
        if wanted is not None and position + len(chunk) > wanted:
            chunk = chunk[: wanted - position]
        lines += chunk.count(b"\n")
        position += len(chunk)
        last = chunk[-1:] or last
        if position == wanted:
            break
    if wanted is not None and position < wanted:
        return RecordIndex(
            None,
            f"the file ends at byte {position}, before byte {wanted}: it has changed "
            "since the save",
        )
    # A last line without line feed is a line, too.
    return RecordIndex(lines + (last != b"\n"))
