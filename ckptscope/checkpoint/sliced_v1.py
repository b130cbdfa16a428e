"""Saver V1: one sorted string table with all tensors in slices.

Source: tensorflow/core/util/tensor_slice_writer.cc, tensor_slice_reader.cc,
saved_tensor_slice.proto. The value under the empty key lists all tensors; every other value carries
the name, the slice and a ``TensorProto``. Blocks are checksummed; single tensors are not."""

from __future__ import annotations

import math
import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ckptscope.checkpoint.model import Checkpoint, Damage, TensorEntry
from ckptscope.checkpoint.slices import uncovered
from ckptscope.errors import (
    CorruptCheckpointError,
    MalformedMessageError,
    UnsupportedFormatError,
    reading,
)
from ckptscope.formats.dtypes import STRING, dtype_of, numpy_dtype
from ckptscope.formats.messages import (
    Extents,
    SlicedTensor,
    parse_saved_slice,
    parse_sliced_header,
)
from ckptscope.formats.regular import open_regular
from ckptscope.formats.sstable import Table
from ckptscope.formats.tensor_proto import parse_tensor_proto, tensor_array, tensor_values

if TYPE_CHECKING:
    import numpy


_SHARD = re.compile(r"^(.+)-\d{5}-of-(\d{5})$")
_MAX_SHARDS = 10_000


def open_sliced(path: str) -> Checkpoint:
    """Open a V1 checkpoint: one file, or all shards of one by the name of any of them.

    Raises:
        CorruptCheckpointError: no table, or a damaged header block.
    """
    paths, lost = _shards(path)
    reader = SlicedReader(paths, lost)
    entries: dict[str, TensorEntry] = {}
    stored: dict[str, list[Extents]] = {}
    producers = []
    for shard, table in enumerate(reader.tables):
        tensors, producer = _header(table, paths[shard])
        producers.append(producer)
        for tensor in tensors:
            dtype = dtype_of(tensor.dtype)
            stored.setdefault(tensor.name, []).extend(tensor.slices)
            entries.setdefault(
                tensor.name,
                TensorEntry(
                    tensor.name,
                    dtype,
                    tensor.shape,
                    shard,
                    0,
                    math.prod(tensor.shape) * dtype.nbytes,
                    None,
                ),
            )
    reader.listed = stored
    return Checkpoint(
        prefix=path,
        format="sliced_v1",
        style="name_based",
        entries=entries,
        num_shards=len(paths) + len(lost),
        files=paths,
        nbytes=sum(map(os.path.getsize, paths)),
        producer=f"graph version {producers[0]}" if producers[0] else None,
        graph=None,
        graph_problem=None,
        reader=reader,
    )


def _shards(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(files that are there, files that are not) of the checkpoint that a file belongs to."""
    match = _SHARD.match(path)
    count = int(match[2]) if match else 1
    if match is None or not 0 < count <= _MAX_SHARDS:
        return (path,), ()
    every = [f"{match[1]}-{shard:05d}-of-{match[2]}" for shard in range(count)]
    there = tuple(name for name in every if name == path or os.path.isfile(name))
    return there, tuple(name for name in every if name not in there)


def _header(table: Table, path: str) -> tuple[tuple[SlicedTensor, ...], int]:
    """What the value under the empty key lists, and the version of the writer."""
    with reading(path, "V1 header"):
        first = next(table.entries(table.handles[0]), None) if table.handles else None
        if first is None or first[0] != b"":
            raise MalformedMessageError("the table has no header of saved tensors")
        tensors, producer = parse_sliced_header(first[1])
        if not tensors:
            raise MalformedMessageError(
                "a table, but not of a V1 checkpoint (is it the .index of a V2 one?)"
            )
        return tensors, producer


def _part(entry: TensorEntry, extents: Extents) -> TensorEntry:
    """One slice of a tensor by its shape."""
    shape = tuple(
        size if length < 0 else length
        for size, (_, length) in zip(entry.shape, extents.axes, strict=False)
    )
    return replace(entry, shape=shape or entry.shape)


class SlicedReader:
    """Reads tensors of one V1 checkpoint; where each lies is found when the first one is wanted.

    Attributes:
        tables: one for each file.
        listed: slices of each tensor by the headers.
    """

    def __init__(self, paths: tuple[str, ...], lost: tuple[str, ...]) -> None:
        self._paths, self._lost = paths, lost
        self._path = paths[0]
        self._nbytes = 0
        self.tables: list[Table] = []
        self.listed: Mapping[str, list[Extents]] = {}
        for path in paths:
            with open_regular(path) as file:
                nbytes = os.fstat(file.fileno()).st_size
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if nbytes else None
            self._nbytes += nbytes
            self.tables.append(Table(memoryview(mapped) if mapped is not None else b"", path))
        self._blocks: dict[str, list[tuple[int, int]]] | None = None
        self._last: tuple[str, bytes] = ("", b"")

    def close(self) -> None:
        """Nothing to do: arrays never look into the compressed file."""

    def _slices(self, name: str) -> list[tuple[Extents, bytes]]:
        if self._blocks is None:
            self._blocks = {}
            for shard, table in enumerate(self.tables):
                for number, handle in enumerate(table.handles):
                    for _, value in table.entries(handle):
                        found = parse_saved_slice(value)
                        if found is not None:
                            self._blocks.setdefault(found[0], []).append((shard, number))
        result = []
        for shard, number in dict.fromkeys(self._blocks.get(name, ())):
            table = self.tables[shard]
            for _, value in table.entries(table.handles[number]):
                found = parse_saved_slice(value)
                if found is not None and found[0] == name:
                    result.append((found[1], found[2]))
        if not result:
            raise MalformedMessageError(
                "listed in the header, but no data of it is stored", path=self._path, structure=name
            )
        return result

    def verify(self, entry: TensorEntry) -> None:
        """Nothing to do: every block is compared with its checksum whenever it is read."""

    def read_bytes(self, entry: TensorEntry) -> bytes:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        ((_, tensor),) = self._slices(entry.key)
        return tensor

    def read_into(self, entry: TensorEntry, start: int, target: memoryview) -> None:
        """See :class:`ckptscope.checkpoint.model.TensorReader`; the format compresses, so the
        tensor is read whole.
        """
        if self._last[0] != entry.key:
            self._last = (entry.key, self.read_array(entry).tobytes())
        target[:] = self._last[1][start : start + len(target)]

    def _proto(self, tensor: bytes, extents: Extents, entry: TensorEntry) -> Any:
        # V1 stores neither shape nor, for some types, dtype with the data of a slice.
        proto = parse_tensor_proto(tensor)
        lengths = [
            size if length < 0 else length
            for size, (_, length) in zip(entry.shape, extents.axes, strict=False)
        ]
        del proto.tensor_shape.dim[:]
        for length in lengths or entry.shape:
            proto.tensor_shape.dim.add().size = length
        if proto.dtype == 0:
            proto.dtype = entry.dtype.number
        return proto

    def read_values(self, entry: TensorEntry, limit: int) -> list[Any]:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        with reading(self._path, entry.key):
            slices = self._slices(entry.key)
            if len(slices) > 1:
                return list(self.read_array(entry).reshape(-1)[:limit].tolist())
            (extents, tensor) = slices[0]
            return tensor_values(self._proto(tensor, extents, entry), limit)

    def read_array(self, entry: TensorEntry) -> numpy.ndarray[Any, Any]:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        import numpy

        if entry.dtype.numpy is None:
            raise UnsupportedFormatError(
                f"values of dtype {entry.dtype.name} have no NumPy form", path=self._path
            )
        with reading(self._path, entry.key):
            # An element takes a byte at least; snappy makes 64 bytes of one at most.
            if entry.num_elements > self._nbytes * 64:
                raise MalformedMessageError(f"shape {entry.shape} does not fit the file")
            whole = numpy.empty(
                entry.shape, object if entry.dtype is STRING else numpy_dtype(entry.dtype)
            )
            slices = self._slices(entry.key)
            parts = tuple((extents, _part(entry, extents)) for extents, _ in slices)
            # Elements that no slice holds would be whatever memory held.
            if (problem := uncovered(replace(entry, slices=parts))) is not None:
                raise MalformedMessageError(problem)
            for extents, tensor in slices:
                where = tuple(
                    slice(None) if length < 0 else slice(start, start + length)
                    for start, length in extents.axes
                )
                try:
                    whole[where] = tensor_array(self._proto(tensor, extents, entry))
                except (ValueError, TypeError, IndexError) as error:
                    raise MalformedMessageError(
                        f"slice {extents.axes} does not fit {entry.shape}: {error}"
                    ) from None
            return whole

    def check(
        self,
        entries: Mapping[str, TensorEntry],
        checksums: bool,
        progress: Callable[[int], None] | None,
    ) -> list[Damage]:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        damage = [
            Damage("missing_shard", path, None, None, "this data shard is missing; copy it back")
            for path in self._lost
        ]
        for path, table in zip(self._paths, self.tables, strict=True):
            for handle in table.handles if checksums else ():
                try:
                    table.block(handle)
                except CorruptCheckpointError as error:
                    damage.append(Damage("checksum", path, None, handle.offset, error.message))
                if progress is not None:
                    progress(handle.nbytes)
        if not self._lost:
            damage += self._incomplete(entries.values())
        return damage

    def _incomplete(self, entries: Iterable[TensorEntry]) -> Iterator[Damage]:
        """Tensors whose slices, as the headers list them, do not make up their shape."""
        for entry in entries:
            extents = self.listed.get(entry.key) or [Extents(())]
            parts = tuple((one, _part(entry, one)) for one in extents)
            problem = uncovered(replace(entry, slices=parts))
            if problem is not None:
                yield Damage("malformed", self._path, entry.key, None, problem)
