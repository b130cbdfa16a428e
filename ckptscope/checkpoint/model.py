"""What a checkpoint is to the rest of the package, whatever format it was stored in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ckptscope.checkpoint.object_keys import OBJECT_GRAPH_KEY as OBJECT_GRAPH_KEY
from ckptscope.formats.dtypes import DType
from ckptscope.formats.messages import Extents

if TYPE_CHECKING:
    import numpy

    from ckptscope.checkpoint.object_graph import ObjectGraph

# Leading values of larger tensors are read without reading the whole for its checksum.
_VERIFIED_NBYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One stored tensor.

    Attributes:
        key: checkpoint key; bytes that are no UTF-8 are shown as ``\\xNN``.
        shape: full shape, also where the tensor is stored in slices.
        shard: number of the data file.
        offset: first byte in that file.
        nbytes: stored bytes (for slices: their sum).
        crc32c: masked checksum of the stored bytes; None where the format keeps none for a single
            tensor.
        slices: (extents, entry) pairs of a partitioned tensor, else empty. The offset of a slice
            that is listed and has no entry of its own is -1.
    """

    key: str
    dtype: DType
    shape: tuple[int, ...]
    shard: int
    offset: int
    nbytes: int
    crc32c: int | None
    slices: tuple[tuple[Extents, TensorEntry], ...] = ()

    @property
    def num_elements(self) -> int:
        """Product of the axes."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing wrong with the stored bytes.

    Attributes:
        kind: ``missing_shard`` (also a git-LFS pointer), ``short_shard``, ``checksum``,
            ``malformed``, ``index``, ``unclaimed``; of verifying only ``meta`` and ``absent``.
        fatal: restoring would raise.
    """

    kind: str
    file: str
    key: str | None
    offset: int | None
    problem: str
    fatal: bool = True


class TensorReader(Protocol):
    """What a format offers for the tensors that it lists."""

    def verify(self, entry: TensorEntry) -> None:
        """Compare the stored bytes with their checksum, once for each tensor.

        Raises:
            CorruptCheckpointError: they differ, or are not all there.
        """

    def read_bytes(self, entry: TensorEntry) -> bytes:
        """The stored bytes of an entry without slices."""

    def read_into(self, entry: TensorEntry, start: int, target: memoryview) -> None:
        """Fill ``target`` with stored bytes of an entry without slices, from byte ``start`` of
        it on.
        """

    def read_array(self, entry: TensorEntry) -> numpy.ndarray[Any, Any]:
        """The tensor's values, a view of the mapped file where the dtype allows."""

    def read_values(self, entry: TensorEntry, limit: int) -> list[Any]:
        """At most ``limit`` leading elements as Python values, without NumPy unless the tensor
        is in slices.
        """

    def check(
        self,
        entries: Mapping[str, TensorEntry],
        checksums: bool,
        progress: Callable[[int], None] | None,
    ) -> list[Damage]:
        """Compare the files with what the index says; with ``checksums`` read every byte."""

    def close(self) -> None:
        """Release mapped files."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An open checkpoint: its index in memory, its tensors on disk.

    Opening reads metadata only. Use it as a context manager, or call :meth:`close`.

    Attributes:
        prefix: path without ``.index``; for V1 the file itself.
        format: ``tensor_bundle`` or ``sliced_v1``.
        style: ``object_based`` or ``name_based``.
        entries: by key, in the order of the file.
        files: files that make it up, index first.
        nbytes: their sizes, summed.
        producer: version of the writer as far as the format keeps one, in words.
        graph: the object graph, None for name-based checkpoints.
        graph_problem: why the object graph could not be read, if so.
    """

    prefix: str
    format: str
    style: str
    entries: Mapping[str, TensorEntry]
    num_shards: int
    files: tuple[str, ...]
    nbytes: int
    producer: str | None
    graph: ObjectGraph | None
    graph_problem: Damage | None
    reader: TensorReader = field(repr=False, compare=False)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the files."""
        self.reader.close()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __getitem__(self, key: str) -> numpy.ndarray[Any, Any]:
        """The tensor as a NumPy array, read-only and a view of the file where possible. Its
        bytes are compared with their checksum the first time.

        Args:
            key: a checkpoint key, or a name that resolves to one (:mod:`ckptscope.checkpoint.names`).

        Raises:
            TensorNotFoundError: no such key.
            CorruptCheckpointError: its bytes do not match their checksum, or cannot be read.
            UnsupportedFormatError: its dtype has no NumPy form.
        """
        entry = self.entry(key)
        values = self.reader.read_array(entry)
        self.reader.verify(entry)
        return values

    def entry(self, key: str) -> TensorEntry:
        """The index entry of ``key``, or of the variable that has that name.

        Raises:
            TensorNotFoundError: no such variable, or several; the message names the closest ones.
        """
        found = self.entries.get(key)
        if found is None:
            from ckptscope.checkpoint.names import resolve

            found = self.entries[resolve(self, key)]
        return found

    def values(self, key: str, limit: int = 64) -> list[Any]:
        """At most ``limit`` leading elements as Python values, without importing NumPy. Small
        tensors are compared with their checksum first.

        Raises:
            TensorNotFoundError: no such key.
            CorruptCheckpointError: its bytes do not match their checksum, or cannot be read.
        """
        entry = self.entry(key)
        if entry.nbytes <= _VERIFIED_NBYTES:
            self.reader.verify(entry)
        return self.reader.read_values(entry, limit)
