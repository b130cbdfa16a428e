"""TensorBundle V2: ``<prefix>.index`` and ``<prefix>.data-NNNNN-of-NNNNN``.

Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc and
tensorflow/core/protobuf/tensor_bundle.proto; naming in tensor_bundle/naming.cc; keys of slices in
tensorflow/core/util/saved_tensor_slice_util.cc."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ckptscope.checkpoint.bundle_strings import string_checksum, strings, variant_checksum
from ckptscope.checkpoint.lfs import MAX_POINTER_NBYTES, pointed_nbytes, pointer_problem
from ckptscope.checkpoint.model import OBJECT_GRAPH_KEY, Checkpoint, Damage, TensorEntry
from ckptscope.checkpoint.object_graph import parse_object_graph
from ckptscope.checkpoint.slices import uncovered
from ckptscope.errors import (
    ChecksumMismatchError,
    CkptscopeError,
    CorruptCheckpointError,
    LfsPointerError,
    MalformedMessageError,
    MissingShardError,
    TruncatedError,
    UnsupportedFormatError,
    reading,
)
from ckptscope.formats.checksum import RunningChecksum, masked_crc32c
from ckptscope.formats.dtypes import STRING, VARIANT, dtype_of, numpy_dtype
from ckptscope.formats.messages import (
    BundleHeader,
    Extents,
    encode_slice_key,
    parse_bundle_entry,
    parse_bundle_header,
)
from ckptscope.formats.regular import open_regular
from ckptscope.formats.sstable import Table
from ckptscope.formats.tensor_proto import unpack

if TYPE_CHECKING:
    import numpy

_CHUNK_NBYTES = 1 << 20
_MAX_SHARDS = 100_000
# Keys are stored as what they add to the one before: a small file can stand for very long ones.
_MAX_KEY_NBYTES, _MAX_KEY_EXPANSION = 1 << 24, 100
_MAX_ELEMENTS = (1 << 63) - 1  # of a tensor of TensorFlow


def shard_name(prefix: str, shard: int, num_shards: int) -> str:
    """File name of one data shard."""
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"


def open_bundle(prefix: str) -> Checkpoint:
    """Open the bundle with that prefix.

    Raises:
        CorruptCheckpointError: the index cannot be read.
        LfsPointerError: the index is a git-LFS pointer.
        UnsupportedFormatError: written on a big-endian machine.
    """
    index = f"{prefix}.index"
    with open_regular(index) as file:
        data = file.read()
    if (nbytes := pointed_nbytes(data)) is not None:
        raise LfsPointerError(pointer_problem(nbytes), path=index)
    header, entries = _read_index(data, index)
    if header.big_endian:
        raise UnsupportedFormatError(
            "written on a big-endian machine, which this version does not read", path=index
        )
    shards = [shard_name(prefix, shard, header.num_shards) for shard in range(header.num_shards)]
    reader = BundleReader(prefix, header.num_shards)
    graph, problem = None, None
    if OBJECT_GRAPH_KEY in entries:
        try:
            (message,) = reader.read_values(entries[OBJECT_GRAPH_KEY], 1)
            if not isinstance(message, bytes):
                raise MalformedMessageError(f"stored as {entries[OBJECT_GRAPH_KEY].dtype.name}")
            graph = parse_object_graph(message)
        except LfsPointerError:
            pass  # said of its file
        except (CkptscopeError, ValueError) as error:
            entry = entries[OBJECT_GRAPH_KEY]
            problem = Damage(
                "malformed", shards[entry.shard], entry.key, entry.offset, f"object graph: {error}"
            )
    files = (index, *(shard for shard in shards if os.path.exists(shard)))
    return Checkpoint(
        prefix=prefix,
        format="tensor_bundle",
        style="object_based" if OBJECT_GRAPH_KEY in entries else "name_based",
        entries=entries,
        num_shards=header.num_shards,
        files=files,
        nbytes=sum(os.path.getsize(file) for file in files),
        producer=f"tensor bundle version {header.producer}" if header.producer else None,
        graph=graph,
        graph_problem=problem,
        reader=reader,
    )


def _read_index(data: bytes, path: str) -> tuple[BundleHeader, dict[str, TensorEntry]]:
    header: BundleHeader | None = None
    entries: dict[str, TensorEntry] = {}
    raw_keys: dict[bytes, TensorEntry] = {}
    partitioned = []
    key = b""
    key_nbytes = 0
    try:
        for key, value in Table(data, path):
            if header is None:
                if key:
                    raise MalformedMessageError(
                        "the table has no bundle header; it is no checkpoint index"
                    )
                header = parse_bundle_header(value)
                if not 0 < header.num_shards <= _MAX_SHARDS:
                    raise MalformedMessageError(f"{header.num_shards} shards")
                continue
            key_nbytes += len(key)
            if key_nbytes > _MAX_KEY_NBYTES and key_nbytes > _MAX_KEY_EXPANSION * len(data):
                raise MalformedMessageError("its keys are far longer than the file")
            entry = parse_bundle_entry(value)
            if math.prod(entry.shape) > _MAX_ELEMENTS:
                raise MalformedMessageError(f"a shape of {len(entry.shape)} axes is too large")
            if entry.shard >= header.num_shards:
                raise MalformedMessageError(f"shard {entry.shard} of {header.num_shards}")
            name = key.decode("utf-8", "backslashreplace")
            dtype = dtype_of(entry.dtype)
            tensor = TensorEntry(
                name, dtype, entry.shape, entry.shard, entry.offset, entry.nbytes, entry.crc32c
            )
            if entry.slices:
                partitioned.append((key, tensor, entry.slices))
            if key[0] == 0:
                raw_keys[key] = tensor
            else:
                entries[name] = tensor
    except CorruptCheckpointError as error:
        error.path = error.path or path
        error.structure = error.structure or (
            f"entry of {key[:200]!r}" if header is not None else "bundle header"
        )
        raise
    if header is None:
        raise MalformedMessageError("the table is empty", path=path, structure="bundle header")
    for key, tensor, all_extents in partitioned:
        slices = []
        for extents in all_extents:
            part = raw_keys.get(encode_slice_key(key, extents))
            slices.append((extents, part or _absent(tensor, extents)))
        entries[tensor.key] = TensorEntry(
            tensor.key,
            tensor.dtype,
            tensor.shape,
            slices[0][1].shard,
            slices[0][1].offset,
            sum(part.nbytes for _, part in slices),
            None,
            tuple(slices),
        )
    return header, entries


def _absent(tensor: TensorEntry, extents: Extents) -> TensorEntry:
    """Stands for a slice that the index lists and does not hold; reading it raises."""
    shape = tuple(
        size if length < 0 else length
        for size, (_, length) in zip(tensor.shape, extents.axes, strict=False)
    )
    return replace(
        tensor, shape=shape, offset=-1, nbytes=math.prod(shape) * tensor.dtype.nbytes, slices=()
    )


class BundleReader:
    """Reads tensors of one bundle. Data files are opened when first needed."""

    def __init__(self, prefix: str, num_shards: int) -> None:
        self._prefix = prefix
        self._num_shards = num_shards
        self._descriptors: dict[int, int] = {}
        self._maps: dict[int, mmap.mmap] = {}
        self._sizes: dict[int, int] = {}
        self._window = (-1, 0, b"")
        self._verified: set[tuple[int, int, int]] = set()  # shard, offset and size

    def close(self) -> None:
        """Close the data files."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        self._maps.clear()  # arrays may still look into them: the garbage collector unmaps

    def path(self, shard: int) -> str:
        """File name of a shard of this bundle."""
        return shard_name(self._prefix, shard, self._num_shards)

    def _descriptor(self, shard: int) -> int:
        if shard not in self._descriptors:
            try:
                descriptor = os.open(self.path(shard), os.O_RDONLY | getattr(os, "O_BINARY", 0))
            except FileNotFoundError:
                raise MissingShardError(
                    "this data shard is missing; copy it back, or use another checkpoint",
                    path=self.path(shard),
                ) from None
            except OSError as error:
                raise CkptscopeError(
                    f"cannot be read: {error.strerror}", path=self.path(shard)
                ) from None
            self._refuse_pointer(descriptor, shard)
            self._descriptors[shard] = descriptor
        return self._descriptors[shard]

    def _refuse_pointer(self, descriptor: int, shard: int) -> None:
        """No value is read out of the text of a git-LFS pointer."""
        if os.fstat(descriptor).st_size > MAX_POINTER_NBYTES:
            return
        nbytes = pointed_nbytes(os.pread(descriptor, MAX_POINTER_NBYTES, 0))
        if nbytes is not None:
            os.close(descriptor)
            raise LfsPointerError(pointer_problem(nbytes), path=self.path(shard))

    def _span(self, entry: TensorEntry) -> tuple[int, int]:
        """(offset, available bytes), checked against the file before anything is allocated."""
        if entry.offset == -1:
            raise MalformedMessageError(
                f"the index lists a slice of shape {list(entry.shape)} and does not hold it",
                path=f"{self._prefix}.index",
                structure=entry.key,
            )
        descriptor = self._descriptor(entry.shard)
        size = self._sizes.get(entry.shard)
        if size is None or entry.offset + entry.nbytes > size:
            size = self._sizes[entry.shard] = os.fstat(descriptor).st_size
        if entry.offset < 0 or entry.nbytes < 0 or entry.offset + entry.nbytes > size:
            raise TruncatedError(
                f"wants bytes {entry.offset} to {entry.offset + entry.nbytes}, the file "
                f"has {size}; "
                "it was cut off, or the save did not finish",
                path=self.path(entry.shard),
                structure=entry.key,
                offset=entry.offset,
            )
        return entry.offset, size

    def read_bytes(self, entry: TensorEntry) -> bytes:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        offset, _ = self._span(entry)
        data = os.pread(self._descriptor(entry.shard), entry.nbytes, offset)
        while len(data) < entry.nbytes:  # reads of more than 2 GiB come in parts
            more = os.pread(
                self._descriptor(entry.shard), entry.nbytes - len(data), offset + len(data)
            )
            if not more:
                raise TruncatedError(
                    "the file shrank while it was read",
                    path=self.path(entry.shard),
                    structure=entry.key,
                    offset=offset,
                )
            data += more
        return data

    def read_into(self, entry: TensorEntry, start: int, target: memoryview) -> None:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        offset = self._span(entry)[0] + start
        descriptor, done = self._descriptor(entry.shard), 0
        while done < len(target):  # reads of more than 2 GiB come in parts
            count = os.preadv(descriptor, [target[done:]], offset + done)
            if count == 0:
                raise TruncatedError(
                    "the file shrank while it was read",
                    path=self.path(entry.shard),
                    structure=entry.key,
                    offset=offset,
                )
            done += count

    def read_values(self, entry: TensorEntry, limit: int) -> list[Any]:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        if entry.slices:
            return [] if limit == 0 else list(self.read_array(entry).reshape(-1)[:limit].tolist())
        count = min(limit, entry.num_elements)
        with reading(self.path(entry.shard), entry.key, entry.offset):
            if entry.dtype is STRING:
                return strings(self.read_bytes(entry), entry.num_elements)[:count]
            head = TensorEntry(
                entry.key,
                entry.dtype,
                (count,),
                entry.shard,
                entry.offset,
                min(entry.nbytes, count * entry.dtype.nbytes),
                None,
            )
            return unpack(entry.dtype, self.read_bytes(head), count)

    def verify(self, entry: TensorEntry) -> None:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        for part in tuple(part for _, part in entry.slices) or (entry,):
            place = part.shard, part.offset, part.nbytes
            if place in self._verified:
                continue
            self._span(part)
            if not self._intact(part):
                raise ChecksumMismatchError(
                    "stored bytes do not match their checksum",
                    path=self.path(part.shard),
                    structure=entry.key,
                    offset=part.offset,
                )
            self._verified.add(place)

    def read_array(self, entry: TensorEntry) -> numpy.ndarray[Any, Any]:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        import numpy

        dtype = numpy_dtype(entry.dtype)
        if entry.slices:
            self._refuse_gaps(entry)
            whole = self._empty(entry, dtype)
            for extents, part in entry.slices:
                where = tuple(
                    slice(None) if length < 0 else slice(start, start + length)
                    for start, length in extents.axes
                )
                values = self.read_array(part)
                if whole[where].shape != values.shape:
                    raise MalformedMessageError(
                        f"a slice of shape {values.shape} at {extents.axes} of {entry.shape}",
                        path=self.path(part.shard),
                        structure=entry.key,
                    )
                whole[where] = values
            return whole
        with reading(self.path(entry.shard), entry.key, entry.offset):
            if entry.dtype is STRING:
                words = strings(self.read_bytes(entry), entry.num_elements)
                return numpy.array(words, dtype=object).reshape(entry.shape)
            if entry.nbytes != math.prod(entry.shape) * dtype.itemsize:
                raise MalformedMessageError(
                    f"{entry.nbytes} bytes for shape {entry.shape} of {entry.dtype.name}"
                )
            if entry.nbytes == 0:
                return self._empty(entry, dtype)
            offset, _ = self._span(entry)
            if entry.shard not in self._maps:
                self._maps[entry.shard] = mmap.mmap(
                    self._descriptor(entry.shard), 0, access=mmap.ACCESS_READ
                )
            flat = numpy.frombuffer(
                self._maps[entry.shard], dtype, count=math.prod(entry.shape), offset=offset
            )
            return flat.reshape(entry.shape)

    def _empty(self, entry: TensorEntry, dtype: numpy.dtype[Any]) -> numpy.ndarray[Any, Any]:
        import numpy

        try:
            return numpy.empty(entry.shape, dtype)
        except ValueError:  # axes too long for an array, although another is 0
            raise MalformedMessageError(
                f"shape {entry.shape} is too large",
                path=f"{self._prefix}.index",
                structure=entry.key,
            ) from None

    def _refuse_gaps(self, entry: TensorEntry) -> None:
        """Elements that no slice holds would be whatever memory held."""
        problem = uncovered(entry)
        if problem is not None:
            raise MalformedMessageError(problem, path=f"{self._prefix}.index", structure=entry.key)

    def check(
        self,
        entries: Mapping[str, TensorEntry],
        checksums: bool,
        progress: Callable[[int], None] | None,
    ) -> list[Damage]:
        """See :class:`ckptscope.checkpoint.model.TensorReader`."""
        stored = [
            (entry.key, part)
            for entry in entries.values()
            for part in (tuple(part for _, part in entry.slices) or (entry,))
        ]
        stored.sort(key=lambda pair: (pair[1].shard, pair[1].offset))
        damage: list[Damage] = []
        unreadable: set[int] = set()
        self._window = (-1, 0, b"")  # the file may have changed since the last check
        self._verified.clear()
        for key, entry in stored:
            if entry.shard in unreadable:
                continue
            found = self._problem(key, entry, checksums)
            if found is not None and found.key is None:
                unreadable.add(entry.shard)
                lost = sum(other.shard == entry.shard for _, other in stored)
                found = replace(found, problem=f"{found.problem} ({lost} tensors are in it)")
            if found is not None:
                damage.append(found)
            if progress is not None:
                progress(entry.nbytes)
        return damage + self._unclaimed([entry for _, entry in stored], unreadable)

    def _problem(self, key: str, entry: TensorEntry, checksums: bool) -> Damage | None:
        """What is wrong with one tensor; without key where its whole file cannot be read."""
        try:
            self._span(entry)
            if entry.dtype.nbytes and entry.nbytes != entry.num_elements * entry.dtype.nbytes:
                raise MalformedMessageError(
                    f"{entry.nbytes} bytes for shape {entry.shape} of {entry.dtype.name}"
                )
            if not checksums:
                return None
            if self._intact(entry):
                self._verified.add((entry.shard, entry.offset, entry.nbytes))
                return None
            return Damage(
                "checksum",
                self.path(entry.shard),
                key,
                entry.offset,
                "stored bytes do not match their checksum",
            )
        except TruncatedError as error:
            return Damage("short_shard", self.path(entry.shard), key, entry.offset, error.message)
        except CorruptCheckpointError as error:
            return Damage("malformed", self.path(entry.shard), key, entry.offset, error.message)
        except CkptscopeError as error:
            path = self.path(entry.shard)
            name = f"{os.path.basename(path)} " if isinstance(error, LfsPointerError) else ""
            return Damage("missing_shard", path, None, None, f"{name}{error.message}")

    def _unclaimed(self, stored: list[TensorEntry], unreadable: set[int]) -> list[Damage]:
        """Bytes behind the last tensor of each file: harmless, but a sign of something."""
        ends: dict[int, int] = {}
        for entry in stored:
            ends[entry.shard] = max(ends.get(entry.shard, 0), entry.offset + entry.nbytes)
        notes = []
        for shard, end in ends.items():
            path = self.path(shard)
            extra = (
                os.path.getsize(path) - end
                if shard not in unreadable and os.path.exists(path)
                else 0
            )
            if extra > 0:
                problem = f"{extra} bytes at the end belong to no tensor"
                notes.append(Damage("unclaimed", path, None, end, problem, fatal=False))
        return notes

    def _intact(self, entry: TensorEntry) -> bool:
        if entry.dtype is STRING:
            computed = string_checksum(self.read_bytes(entry), entry.num_elements)
        elif entry.dtype is VARIANT:
            computed = variant_checksum(self.read_bytes(entry), entry.num_elements)
        elif entry.nbytes <= _CHUNK_NBYTES:
            computed = masked_crc32c(self._ahead(entry.shard, entry.offset, entry.nbytes))
        else:
            running = RunningChecksum()
            for start in range(0, entry.nbytes, _CHUNK_NBYTES):
                running.feed(
                    self._ahead(
                        entry.shard, entry.offset + start, min(_CHUNK_NBYTES, entry.nbytes - start)
                    )
                )
            computed = running.masked
        return computed == (entry.crc32c or 0)

    def _ahead(self, shard: int, offset: int, nbytes: int) -> bytes:
        """Bytes of a shard; small tensors that follow one another are read together."""
        known_shard, start, window = self._window
        if known_shard != shard or not start <= offset or offset + nbytes > start + len(window):
            window, start = os.pread(self._descriptor(shard), _CHUNK_NBYTES, offset), offset
            self._window = (shard, start, window)
        return window if nbytes == len(window) else window[offset - start : offset - start + nbytes]
