"""Writes what ckptscope reads: sorted string tables, V2 bundles, V1 files and iterator states.

Independent of the package's readers, so that ``read(write(x)) == x`` says something. Formats:
TensorFlow's lib/io/table_builder.cc, util/tensor_bundle/tensor_bundle.cc,
util/tensor_slice_writer.cc, lib/strings/ordered_code.cc, framework/variant_tensor_data.proto,
framework/dataset.proto."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cramjam
import google_crc32c
import numpy as np
from tensorboard.compat.proto import tensor_pb2, trackable_object_graph_pb2

from ckptscope.checkpoint.model import Checkpoint

MAGIC = 0xDB4775248B80FB57
FLOAT, STRING, INT64, VARIANT = 1, 7, 9, 21
NUMPY_NUMBERS = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
    "float8_e5m2": 24,
    "float8_e4m3fn": 25,
    "int4": 29,
    "uint4": 30,
}
Axes = Sequence[tuple[int, int]]


# ------------------------------------------------------------ wire format


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def number(field_number: int, value: int) -> bytes:
    return varint(field_number << 3) + varint(value)


def text(field_number: int, value: bytes) -> bytes:
    return varint(field_number << 3 | 2) + varint(len(value)) + value


def masked(crc: int) -> bytes:
    return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def masked_crc(data: bytes) -> bytes:
    return masked(google_crc32c.value(data))


def shape_proto(shape: Iterable[int]) -> bytes:
    return b"".join(text(2, number(1, size)) for size in shape)


def slice_proto(axes: Axes) -> bytes:
    return b"".join(
        text(1, b"" if length < 0 else (number(1, start) if start else b"") + number(2, length))
        for start, length in axes
    )


# ------------------------------------------------------------ ordered keys


def ordered_unsigned(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((len(digits),)) + digits


def ordered_signed(value: int) -> bytes:
    """As many leading bits as bytes: ones for numbers >= 0, zeros below; then the number in
    two's complement.
    """
    length = 1
    while not -(1 << (7 * length - 1)) <= value < 1 << (7 * length - 1):
        length += 1
    bits = (1 << (8 * length)) - (1 << (7 * length)) ^ (value & ((1 << (8 * length)) - 1))
    return bits.to_bytes(length, "big")


def ordered_text(value: bytes) -> bytes:
    escapes = {0: b"\x00\xff", 255: b"\xff\x00"}
    return b"".join(escapes.get(byte, bytes((byte,))) for byte in value) + b"\x00\x01"


def slice_key(name: str, axes: Axes) -> bytes:
    numbers = b"".join(ordered_signed(start) + ordered_signed(length) for start, length in axes)
    return ordered_unsigned(0) + ordered_text(name.encode()) + ordered_unsigned(len(axes)) + numbers


# ------------------------------------------------------------ tables


def block(entries: Iterable[tuple[bytes, bytes]], restart_every: int = 16) -> bytes:
    out, restarts, last = bytearray(), [0], b""
    for index, (key, value) in enumerate(entries):
        shared = 0
        if index % restart_every:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        elif index:
            restarts.append(len(out))
        out += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        last = key
    words = (*restarts, len(restarts))
    return bytes(out) + b"".join(word.to_bytes(4, "little") for word in words)


def table(entries: Mapping[bytes, bytes], block_nbytes: int = 4096, snappy: bool = False) -> bytes:
    """A sorted string table; a new block starts when the entries of one exceed ``block_nbytes``."""
    out = bytearray()

    def put(contents: bytes, compress: bool = False) -> bytes:
        body = (
            bytes(cramjam.snappy.compress_raw(contents)) + b"\x01"
            if compress
            else contents + b"\x00"
        )
        handle = varint(len(out)) + varint(len(body) - 1)
        out.extend(body + masked_crc(body))
        return handle

    groups: list[list[tuple[bytes, bytes]]] = [[]]
    used = 0
    for item in sorted(entries.items()):
        if groups[-1] and used + len(item[0]) + len(item[1]) > block_nbytes:
            groups.append([])
            used = 0
        groups[-1].append(item)
        used += len(item[0]) + len(item[1])
    index = [(group[-1][0], put(block(group), snappy)) for group in groups if group]
    handles = put(block(())) + put(block(index, 1))
    return bytes(out) + handles.ljust(40, b"\x00") + MAGIC.to_bytes(8, "little")


# ------------------------------------------------------------ bundles


def string_tensor(values: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(stored bytes, masked checksum) of a string tensor."""
    fed = b"".join(len(value).to_bytes(4, "little") for value in values)
    lengths_crc = masked_crc(fed)
    joined = b"".join(values)
    return b"".join(varint(len(value)) for value in values) + lengths_crc + joined, masked_crc(
        fed + lengths_crc + joined
    )


def variant_tensor(messages: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(stored bytes, masked checksum) of a variant tensor; each message is a
    ``VariantTensorDataProto``.
    """
    fed, stored = b"", b""
    for message in messages:
        fed += len(message).to_bytes(8, "little") + message
        crc = masked_crc(fed)
        fed += crc
        stored += varint(len(message)) + message + crc
    return stored, masked_crc(fed)


@dataclass
class Bundle:
    """Collects tensors, then writes ``<prefix>.index`` and its data files."""

    num_shards: int = 1
    entries: dict[bytes, bytes] = field(default_factory=dict)
    shards: dict[int, bytearray] = field(default_factory=dict)
    big_endian: bool = False

    def raw(
        self,
        key: bytes,
        dtype: int,
        shape: Sequence[int],
        stored: bytes,
        crc: bytes,
        shard: int = 0,
    ) -> Bundle:
        data = self.shards.setdefault(shard, bytearray())
        parts = [number(1, dtype), text(2, shape_proto(shape))]
        parts += [
            number(tag, value)
            for tag, value in ((3, shard), (4, len(data)), (5, len(stored)))
            if value
        ]
        self.entries[key] = b"".join(parts) + varint(6 << 3 | 5) + crc
        data += stored
        return self

    def array(
        self, key: str | bytes, values: np.ndarray, shard: int = 0, dtype: int | None = None
    ) -> Bundle:
        name = key.encode() if isinstance(key, str) else key
        if values.dtype == object:
            stored, crc = string_tensor(list(values.reshape(-1)))
            return self.raw(name, STRING, values.shape, stored, crc, shard)
        stored = np.ascontiguousarray(values).tobytes()
        return self.raw(
            name,
            dtype or NUMPY_NUMBERS[values.dtype.name],
            values.shape,
            stored,
            masked_crc(stored),
            shard,
        )

    def variant(
        self, key: str, messages: Sequence[bytes], shape: Sequence[int] | None = None
    ) -> Bundle:
        stored, crc = variant_tensor(messages)
        return self.raw(
            key.encode(), VARIANT, (len(messages),) if shape is None else shape, stored, crc
        )

    def sliced(self, key: str, whole: np.ndarray, slices: Sequence[Axes], shard: int = 0) -> Bundle:
        parts = [number(1, NUMPY_NUMBERS[whole.dtype.name]), text(2, shape_proto(whole.shape))]
        self.entries[key.encode()] = b"".join(
            (*parts, *(text(7, slice_proto(axes)) for axes in slices))
        )
        for axes in slices:
            where = tuple(
                slice(None) if length < 0 else slice(start, start + length)
                for start, length in axes
            )
            self.array(slice_key(key, axes), whole[where], shard)
        return self

    def graph(self, nodes: Sequence[Mapping[str, object]]) -> Bundle:
        """Object graph; a node is ``{children: {name: id}, attributes: {name: key}, slots:
        [(var, name, node)]}``.
        """
        proto = trackable_object_graph_pb2.TrackableObjectGraph()
        for node in nodes:
            added = proto.nodes.add()
            for name, child in dict(node.get("children", {})).items():
                added.children.add(node_id=child, local_name=name)
            for name, key in dict(node.get("attributes", {})).items():
                added.attributes.add(
                    name=name, checkpoint_key=key, full_name=str(node.get("full_name", ""))
                )
            for variable, name, slot in node.get("slots", ()):  # type: ignore[attr-defined]
                added.slot_variables.add(
                    original_variable_node_id=variable, slot_name=name, slot_variable_node_id=slot
                )
        return self.array(
            "_CHECKPOINTABLE_OBJECT_GRAPH", np.array(proto.SerializeToString(), dtype=object)
        )

    def index(self, **options: object) -> bytes:
        header = (
            number(1, self.num_shards)
            + (number(2, 1) if self.big_endian else b"")
            + text(3, number(1, 1))
        )
        return table({b"": header, **self.entries}, **options)  # type: ignore[arg-type]

    def write(self, prefix: Path | str, **options: object) -> str:
        Path(f"{prefix}.index").write_bytes(self.index(**options))
        for shard in range(self.num_shards):
            path = Path(f"{prefix}.data-{shard:05d}-of-{self.num_shards:05d}")
            path.write_bytes(bytes(self.shards.get(shard, b"")))
        return str(prefix)


def copy_bundle(checkpoint: Checkpoint, replaced: Mapping[str, Sequence[bytes]]) -> Bundle:
    """A bundle of one shard again, some of its strings or variants replaced, all checksums
    right.
    """
    bundle = Bundle()
    for key, entry in checkpoint.entries.items():
        stored, crc = checkpoint.reader.read_bytes(entry), (entry.crc32c or 0).to_bytes(4, "little")
        if key in replaced:
            stored, crc = (variant_tensor if entry.dtype.name == "variant" else string_tensor)(
                replaced[key]
            )
        bundle.raw(key.encode(), entry.dtype.number, entry.shape, stored, crc)
    return bundle


def messages_of(stored: bytes) -> list[bytes]:
    """The messages in the stored bytes of a variant tensor."""
    found, position = [], 0
    while position < len(stored):
        length = shift = 0
        while True:
            byte = stored[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        found.append(stored[position : position + length])
        position += length + 4
    return found


# ------------------------------------------------------------ V1 files


def tensor_proto(
    values: np.ndarray | Sequence[bytes], dtype: int | None = None, content: bool = True
) -> bytes:
    """A serialized ``TensorProto``; ``content`` puts numbers into ``tensor_content``, else into
    the typed field.
    """
    array = np.asarray(values) if not isinstance(values, list) else np.array(values, dtype=object)
    proto = tensor_pb2.TensorProto(
        dtype=dtype or (STRING if array.dtype == object else NUMPY_NUMBERS[array.dtype.name])
    )
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        proto.string_val.extend(array.reshape(-1).tolist())
    elif content:
        proto.tensor_content = array.tobytes()
    else:
        target = {"float32": proto.float_val, "float64": proto.double_val, "int64": proto.int64_val}
        target.get(array.dtype.name, proto.int_val).extend(array.reshape(-1).tolist())
    return proto.SerializeToString()


def sliced_v1(
    tensors: Mapping[str, tuple[np.ndarray, Sequence[Axes]]], snappy: bool = True, **options: object
) -> bytes:
    """A V1 checkpoint: name -> (whole tensor, its slices)."""
    metas, entries = b"", {}
    for name, (whole, slices) in tensors.items():
        dtype = NUMPY_NUMBERS[whole.dtype.name]
        meta = text(1, name.encode()) + text(2, shape_proto(whole.shape)) + number(3, dtype)
        metas += text(1, meta + b"".join(text(4, slice_proto(axes)) for axes in slices))
        for axes in slices:
            where = tuple(
                slice(None) if length < 0 else slice(start, start + length)
                for start, length in axes
            )
            proto = tensor_pb2.TensorProto.FromString(tensor_proto(whole[where], content=False))
            proto.ClearField("tensor_shape")  # as TensorFlow writes them
            saved = (
                text(1, name.encode())
                + text(2, slice_proto(axes))
                + text(3, proto.SerializeToString())
            )
            entries[slice_key(name, axes)] = text(2, saved)
    header = text(1, metas + text(2, number(1, 1)))
    return table({b"": header, **entries}, snappy=snappy, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------ iterator states

State = Mapping[str, Mapping[str, np.ndarray]]


def _variant(metadata: bytes, tensors: Iterable[bytes]) -> bytes:
    body = text(1, b"tensorflow::Iterator") + text(2, metadata)
    return body + b"".join(text(3, tensor) for tensor in tensors)


def named_state(state: State) -> list[bytes]:
    """TF 2.0 to 2.14: one variant for each name, one tensor for each of its keys."""
    return [
        _variant(
            b"@@".join((name.encode(), *(key.encode() for key in keys))),
            map(tensor_proto, keys.values()),
        )
        for name, keys in state.items()
    ]


def compressed_state(state: State) -> list[bytes]:
    """TF 2.15 and newer: the tensors of a name packed into one compressed element."""
    messages = []
    for name, keys in state.items():
        data, components = b"", b""
        for values in keys.values():
            array = np.asarray(values)
            strings = array.dtype == object
            pieces = list(array.reshape(-1)) if strings else [array.tobytes()]
            dtype = STRING if strings else NUMPY_NUMBERS[array.dtype.name]
            sizes = text(4, b"".join(varint(len(piece)) for piece in pieces))
            components += text(2, number(1, dtype) + text(2, shape_proto(array.shape)) + sizes)
            data += b"".join(pieces)
        element = text(1, bytes(cramjam.snappy.compress_raw(data))) + components
        proto = tensor_pb2.TensorProto(dtype=VARIANT)
        proto.variant_val.add(type_name="tensorflow.data.CompressedElement", metadata=element)
        metadata = b"@@".join((name.encode(), *(key.encode() for key in keys)))
        messages.append(_variant(metadata, [proto.SerializeToString()]))
    return messages


def single_state(state: State) -> list[bytes]:
    """TF 1.15: one variant for all, keys spelt out."""
    keys = [f"{name}:{key}".encode() for name, held in state.items() for key in held]
    return [
        _variant(
            b"@@".join(keys),
            (tensor_proto(values) for held in state.values() for values in held.values()),
        )
    ]
