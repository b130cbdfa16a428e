"""Write a V2 bundle with many small variables, without TensorFlow:  python make_bundle.py PREFIX
NUM_VARIABLES

Name-based, as a TF1 Saver writes it: float32 weights of 4x4 with the two slots of Adam each, and
``global_step``. The layout is described in docs/formats.md; TensorFlow reads the result
(tf.train.list_variables)."""

import itertools
import random
import struct
import sys
from collections.abc import Iterable

import google_crc32c

BLOCK_NBYTES = 1 << 18
RESTART_INTERVAL = 16
FLOAT32, INT64 = 1, 9


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def field(number: int, value: int) -> bytes:
    """A varint field; proto3 leaves zeros out."""
    return varint(number << 3) + varint(value) if value else b""


def message(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


def entry(dtype: int, shape: tuple[int, ...], offset: int, data: bytes) -> bytes:
    """BundleEntryProto."""
    axes = b"".join(message(2, field(1, size)) for size in shape)
    crc = varint(6 << 3 | 5) + struct.pack("<I", masked_crc(data))
    return field(1, dtype) + message(2, axes) + field(4, offset) + field(5, len(data)) + crc


class Block:
    """Entries with shared prefixes, then the restart points."""

    def __init__(self) -> None:
        self.data, self.restarts, self.count, self.last = bytearray(), [], 0, b""

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.count % RESTART_INTERVAL == 0:
            self.restarts.append(len(self.data))
        else:
            shared = next(
                (i for i, (a, b) in enumerate(zip(key, self.last, strict=False)) if a != b), None
            )
            shared = min(len(key), len(self.last)) if shared is None else shared
        self.data += (
            varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        )
        self.count, self.last = self.count + 1, key

    def finish(self) -> bytes:
        restarts = self.restarts or [0]
        return bytes(self.data) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def write_table(path: str, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Data blocks, an empty metaindex block, the index block, the footer."""
    with open(path, "wb") as file:

        def put(block: Block) -> bytes:
            """Write a block; returns its handle."""
            body = block.finish() + b"\x00"  # not compressed
            handle = varint(file.tell()) + varint(len(body) - 1)
            file.write(body + struct.pack("<I", masked_crc(body)))
            return handle

        index, block = Block(), Block()
        for key, value in items:
            block.add(key, value)
            if len(block.data) >= BLOCK_NBYTES:
                index.add(block.last, put(block))
                block = Block()
        if block.count:
            index.add(block.last, put(block))
        footer = put(Block()) + put(index)
        file.write(footer.ljust(40, b"\x00") + bytes.fromhex("57fb808b247547db"))


def names(count: int) -> list[str]:
    """``count`` names: weights with their slots, and the step."""
    blocks = (
        f"model/block_{n // 4:05d}/{('kernel', 'bias', 'gamma', 'beta')[n % 4]}"
        for n in itertools.count()
    )
    every = itertools.chain.from_iterable(
        (name, f"{name}/Adam", f"{name}/Adam_1") for name in blocks
    )
    return sorted(["global_step", *itertools.islice(every, count - 1)])


def write_bundle(prefix: str, count: int) -> None:
    randoms = random.Random(0)
    items = [
        (b"", field(1, 1) + message(3, field(1, 1)))
    ]  # BundleHeaderProto: one shard, version 1
    offset = 0
    with open(f"{prefix}.data-00000-of-00001", "wb") as file:
        for name in names(count):
            if name == "global_step":
                data, value = (1000).to_bytes(8, "little"), (INT64, ())
            else:
                data, value = (
                    struct.pack("<16f", *(randoms.gauss(0, 0.1) for _ in range(16))),
                    (FLOAT32, (4, 4)),
                )
            items.append((name.encode(), entry(*value, offset, data)))
            file.write(data)
            offset += len(data)
    write_table(f"{prefix}.index", items)


if __name__ == "__main__":
    write_bundle(sys.argv[1], int(sys.argv[2]))
