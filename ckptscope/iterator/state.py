"""From the stored variant to (name, key, tensor): the three encodings of an iterator state.

Sources: tensorflow/core/data/serialization_utils.cc (VariantTensorDataReader and Writer,
``kDelimiter`` "@@", ``kFullNameRandomHex``), tensorflow/core/framework/variant_tensor_data.proto,
tensorflow/core/data/compression_utils.cc, tensor_bundle.cc (WriteVariantTensor). In short:

* TF 1.15: one variant for the whole iterator; its metadata lists a full key for each tensor.
* TF 2.x: one variant for each name; metadata is ``NAME@@key@@key…``, one tensor for each key.
* TF 2.15 and newer: the same, with the tensors of a name packed into one ``CompressedElement``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ckptscope.errors import (
    CorruptCheckpointError,
    IteratorStateError,
    MalformedMessageError,
    TruncatedError,
)
from ckptscope.formats.cursor import read_varint, wire_fields
from ckptscope.formats.dtypes import STRING, VARIANT, DType, dtype_of
from ckptscope.formats.messages import CompressedElement, parse_compressed_element
from ckptscope.formats.sstable import snappy_decompress
from ckptscope.formats.tensor_proto import parse_tensor_proto, shape_of, tensor_values, unpack

_DELIMITER = b"@@"
_COMPRESSED_TYPE = "tensorflow.data.CompressedElement"
# Old-style keys start with this constant and repeat the full prefix.
_HASH = re.compile(r"^[0-9a-f]{32}\|")


@dataclass(frozen=True, slots=True)
class StateTensor:
    """One tensor of an iterator state; its values are decoded when asked for."""

    dtype: DType
    shape: tuple[int, ...]
    payload: Any  # TensorProto, or the raw little-endian bytes, or the list of strings

    @property
    def num_elements(self) -> int:
        """Product of the axes."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values themselves."""
        if isinstance(self.payload, bytes):
            return len(self.payload)
        if self.dtype is STRING:
            return sum(len(text) for text in self.values())
        return self.num_elements * self.dtype.nbytes

    def values(self, limit: int | None = None) -> list[Any]:
        """Elements in row-major order, at most ``limit``.

        Raises:
            MalformedMessageError: no such number of elements is stored, or the dtype has no Python
                form.
        """
        if isinstance(self.payload, list):
            return self.payload[:limit]
        if isinstance(self.payload, bytes):
            count = self.num_elements if limit is None else min(limit, self.num_elements)
            return unpack(self.dtype, self.payload, count)
        return tensor_values(self.payload, limit)

    def scalar(self) -> Any:
        """The first element."""
        values = self.values(1)
        if not values:
            raise MalformedMessageError("an empty tensor where a scalar was expected")
        return values[0]


@dataclass(frozen=True, eq=False)
class Record:
    """All tensors stored under one name, decoded when first asked for.

    Attributes:
        name: ``Iterator::Root::Prefetch``; empty for TF 1.15, whose keys are complete.
        keys: of the tensors, in their order.
        body: the serialized ``VariantTensorDataProto``.
        nbytes: bytes in the checkpoint, framing included.
    """

    name: str
    keys: tuple[str, ...]
    body: memoryview
    nbytes: int

    @cached_property
    def tensors(self) -> tuple[StateTensor, ...]:
        """One tensor for each key.

        Raises:
            CorruptCheckpointError: the record is malformed.
        """
        stored = [
            bytes(value)
            for number, _, value in wire_fields(self.body)
            if number == 3 and not isinstance(value, int)
        ]
        protos = [parse_tensor_proto(data) for data in stored]
        if (
            len(protos) == 1
            and protos[0].dtype == VARIANT.number
            and len(protos[0].variant_val) == 1
        ):
            inner = protos[0].variant_val[0]
            if inner.type_name == _COMPRESSED_TYPE:
                tensors = tuple(_uncompress(parse_compressed_element(inner.metadata)))
                return self._matched(tensors)
        return self._matched(
            tuple(StateTensor(dtype_of(proto.dtype), shape_of(proto), proto) for proto in protos)
        )

    def _matched(self, tensors: tuple[StateTensor, ...]) -> tuple[StateTensor, ...]:
        if len(tensors) != len(self.keys):
            raise MalformedMessageError(
                f"{len(tensors)} tensors for {len(self.keys)} keys under {self.name!r}"
            )
        return tensors


@dataclass(frozen=True, slots=True)
class IteratorRecords:
    """An iterator state split into its records; ``encoding`` is ``single``, ``named`` or
    ``compressed``.
    """

    encoding: str
    records: tuple[Record, ...]

    def decode_all(self) -> None:
        """Decode every record, buffered elements too.

        Raises:
            IteratorStateError: one cannot be decoded.
        """
        for record in self.records:
            try:
                _ = record.tensors
            except CorruptCheckpointError as error:
                raise IteratorStateError(f"{record.name}: {error}") from None


def split_records(data: bytes, num_elements: int, key: str) -> IteratorRecords:
    """Split the stored bytes of one iterator.

    Args:
        data: stored bytes of the variant tensor.
        num_elements: elements of that tensor, from the index.
        key: checkpoint key, named in errors.

    Raises:
        IteratorStateError: the bytes are no iterator state.
    """
    view = memoryview(data)
    records = []
    encoding = "named"
    position = 0
    try:
        for number in range(num_elements):
            length, start = read_varint(data, position)
            if length > len(data) - start - 4:
                raise TruncatedError(f"element {number} wants {length} bytes", offset=position)
            record, style = _parse_record(
                view[start : start + length], start + length + 4 - position
            )
            if number == 0 and style is not None:
                encoding = style
            records.append(record)
            position = start + length + 4
        if position != len(data):
            raise MalformedMessageError(
                f"{len(data) - position} bytes behind the last element", offset=position
            )
    except CorruptCheckpointError as error:
        raise IteratorStateError(f"the variant is no iterator state: {error}", key=key) from None
    return IteratorRecords(encoding, tuple(records))


def _parse_record(body: memoryview, nbytes: int) -> tuple[Record, str | None]:
    metadata, num_tensors, compressed = b"", 0, False
    for number, _, value in wire_fields(body):
        if isinstance(value, int):
            continue
        if number == 2:
            metadata = bytes(value)
        elif number == 3:
            num_tensors += 1
            compressed = num_tensors == 1 and _COMPRESSED_TYPE.encode() in bytes(value[:64])
    parts = tuple(
        part.decode("utf-8", "backslashreplace") for part in metadata.split(_DELIMITER) if part
    )
    if not parts:
        return Record("", (), body, nbytes), None
    if (
        num_tensors == len(parts)
        and not compressed
        and (num_tensors > 1 or ":" in parts[0].rpartition("::")[2])
    ):
        return Record("", parts, body, nbytes), "single"
    return Record(parts[0], parts[1:], body, nbytes), "compressed" if compressed else "named"


def _uncompress(element: CompressedElement) -> Iterator[StateTensor]:
    expected = sum(size for component in element.components for size in component.nbytes)
    data = snappy_decompress(element.data, expected) if element.data else b""
    position = 0
    for component in element.components:
        dtype = dtype_of(component.dtype)
        count = math.prod(component.shape)
        total = sum(component.nbytes)
        piece = data[position : position + total]
        position += total
        if dtype is STRING:
            strings, start = [], 0
            for size in component.nbytes:
                strings.append(piece[start : start + size])
                start += size
            if len(strings) != count:
                raise MalformedMessageError(f"{len(strings)} strings for shape {component.shape}")
            yield StateTensor(dtype, component.shape, strings)
        elif dtype.nbytes:
            if total != count * dtype.nbytes:
                raise MalformedMessageError(
                    f"{total} bytes for shape {component.shape} of {dtype.name}"
                )
            yield StateTensor(dtype, component.shape, piece)
        else:
            yield StateTensor(dtype, component.shape, parse_tensor_proto(piece))


@dataclass(frozen=True, slots=True)
class StateItem:
    """One key of a state, its name normalised over releases.

    Attributes:
        name: full name of the stage or of a part of it, without hash.
        key: key within that name.
        hashed: the key carried the constant prefix of the old style. In TF 2.4 to 2.11 that alone
            tells a shuffle's ``num_elements`` (live elements) from the number of slots of its
            buffer.
        record: where the tensor lies.
        index: its number in the record.
    """

    name: str
    key: str
    hashed: bool
    record: Record
    index: int


def items_of(record: Record) -> Iterator[StateItem]:
    """The keys of a record with normalised names."""
    name, name_hashed = _unhash(record.name)
    for index, raw in enumerate(record.keys):
        key, hashed = _unhash(raw)
        if name:
            if key.startswith(f"{name}:"):
                key = key[len(name) + 1 :]
            yield StateItem(name, key, hashed or name_hashed, record, index)
            continue
        # TF 1.15: the key is "name:key", sometimes "name:name:key", in one case a bare key.
        full, _, short = _split_full_key(key)
        if full and short.startswith(f"{full}:"):
            short = short[len(full) + 1 :]
        yield StateItem(full, short, True, record, index)


def _unhash(text: str) -> tuple[str, bool]:
    match = _HASH.match(text)
    return (text[match.end() :], True) if match else (text, False)


def _split_full_key(key: str) -> tuple[str, str, str]:
    """Split at the first single colon: names use double colons only."""
    match = re.search(r"(?<!:):(?!:)", key)
    return (key[: match.start()], ":", key[match.end() :]) if match else ("", "", key)
