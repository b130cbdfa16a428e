"""Which seeds programs use: the pairs that a replay of a shuffle tries.

TensorFlow turns what a program gives into a pair of base seeds (tensorflow/python/framework/
random_seed.py): an op seed alone becomes (87654321, seed), a global seed alone (global, the next
number of Python's generator seeded with it), both together (global, seed). Each is reduced modulo
2**31 - 1.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckptscope.iterator.philox import Seeds

DEFAULT_GRAPH_SEED = 87654321
MAX_SEED = 2**31 - 1
# Op seeds, and seeds that are op seed and global seed at once, are tried below this.
NUM_OP_SEEDS = 1 << 16
_QUICK_SEEDS, _QUICK_PAIRS = 256, 16
_SMALL_PAIRS = 128
_NUM_GLOBAL_SEEDS = 1 << 11
# Op seeds that a global seed implies: of usual ones so many, since a model that is built before the
# data takes some, too; of the others the first few.
NUM_DERIVED = 256
_NUM_FEW_DERIVED = 16
# Seeds that people like.
_USUAL = (
    *range(33),
    *(37, 41, 42, 43, 44, 50, 55, 64, 66, 69, 73, 77, 88, 99, 100, 101, 105, 111, 113, 117),
    *(121, 122, 123, 124, 125, 127, 128, 137, 144, 200, 201, 222, 231, 234, 255, 256, 300, 314),
    *(321, 333, 345, 360, 365, 400, 404, 420, 444, 456, 500, 512, 520, 543, 555, 567, 600, 622),
    *(654, 666, 678, 700, 720, 777, 789, 800, 888, 900, 911, 987, 999, 1000, 1001, 1010, 1011),
    *(1024, 1111, 1112, 1212, 1221, 1230, 1231, 1234, 1235, 1313, 1331, 1337, 1357, 1492, 1729),
    *(1776, 1789, 1812, 1984, *range(1988, 2035), 2048, 2222, 2345, 2357, 2468, 2718, 3000),
    *(3141, 3333, 3407, 3456, 4000, 4096, 4242, 4321, 4444, 4567, 5000, 5555, 5678, 6666, 6789),
    *(7777, 8192, 8888, 9001, 9876, 9999, 10000, 10086, 12345, 16384, 20000, 22222, 27182, 31337),
    *(31415, 32767, 33333, 42424, 54321, 55555, 65535, 65536, 77777, 88888, 99999, 100000, 111111),
    *(112358, 123123, 123321, 123456, 141421, 161803, 200000, 222222, 271828, 314159, 333333),
    *(424242, 555555, 654321, 666666, 777777, 888888, 999999, 1000000, 1234321, 1234567, 2718281),
    *(3141592, 7654321, 12345678, 27182818, 31415926, 87654321, 123454321, 123456789, 271828182),
    *(314159265, 987654321, 1000000007, 1234567890, 2147483646),
)


def reduced(seed: int) -> int:
    """A seed as TensorFlow takes it."""
    return seed % MAX_SEED


def base_of(global_seed: int | None, op_seed: int) -> tuple[int, int]:
    """The base pair of a shuffle with that ``seed=``, under ``tf.random.set_seed`` or without."""
    first = DEFAULT_GRAPH_SEED if global_seed is None else reduced(global_seed)
    pair = first, reduced(op_seed)
    return pair if pair != (0, 0) else (0, MAX_SEED)  # (0, 0) would mean "none given"


def derived(global_seed: int, count: int = NUM_DERIVED) -> list[int]:
    """Op seeds that eager TensorFlow takes, in order, where only the global seed is set: what
    ``random.Random(global_seed).randint(0, 2**31 - 1)`` gives.
    """
    generator = random.Random(global_seed)
    return [reduced(generator.randint(0, 2**31 - 1)) for _ in range(count)]


def _derived(global_seed: int, count: int) -> Any:
    """The same as an array, for very many global seeds."""
    import numpy

    # randint rejects what is too large of 32-bit outputs: about half of them.
    words = 2 * count + 12 * math.isqrt(count) + 16
    block = random.Random(global_seed).getrandbits(32 * words).to_bytes(4 * words, "little")
    outputs = numpy.frombuffer(block, "<u4")
    taken = outputs[outputs < 2**31][:count] % numpy.uint32(MAX_SEED)
    return taken if len(taken) == count else _derived(global_seed, 2 * count)[:count]


def quick_bases(
    global_seed: int | None, shuffle_seed: int | None, pairs: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, int]]:
    """Base pairs that are tried one by one: those that the user or a stored graph gives, and the
    smallest.
    """
    yield from pairs
    if shuffle_seed is not None:
        yield base_of(None, shuffle_seed)
        if global_seed is not None:
            yield base_of(global_seed, shuffle_seed)
    if global_seed is not None:
        for op_seed in (*derived(global_seed), *range(2048)):
            yield base_of(global_seed, op_seed)
    for op_seed in range(_QUICK_SEEDS):
        yield DEFAULT_GRAPH_SEED, op_seed
    for first in range(_QUICK_PAIRS):
        for op_seed in range(_QUICK_PAIRS):
            yield base_of(first, op_seed)


def usual_bases() -> tuple[Seeds, Seeds]:
    """All other base pairs that are tried, as two arrays."""
    import numpy

    usual = numpy.array(_USUAL, dtype=numpy.uint64)
    small = numpy.arange(_SMALL_PAIRS, dtype=numpy.uint64)
    alone = numpy.concatenate((numpy.arange(NUM_OP_SEEDS, dtype=numpy.uint64), usual, _dates()))
    parts: list[tuple[Any, Any]] = [
        (numpy.full_like(alone, DEFAULT_GRAPH_SEED), alone),
        (alone, alone),
        *((few.repeat(len(small)), numpy.tile(small, len(few))) for few in (small, usual)),
        (usual.repeat(len(usual)), numpy.tile(usual, len(usual))),
    ]
    often = set(_USUAL)
    for seeds, count in (
        (_USUAL, NUM_DERIVED),
        ([seed for seed in range(_NUM_GLOBAL_SEEDS) if seed not in often], _NUM_FEW_DERIVED),
    ):
        implied = numpy.array([_derived(seed, count) for seed in seeds]).astype(numpy.uint64)
        globals_ = numpy.array(seeds, dtype=numpy.uint64) % numpy.uint64(MAX_SEED)
        parts.append((globals_.repeat(implied.shape[1]), implied.ravel()))
    first, second = (numpy.concatenate(columns) for columns in zip(*parts, strict=True))
    return first, second


def _dates() -> Any:
    """Days of this century so far, as numbers: 20240229."""
    import numpy

    years, months, days = range(2010, 2031), range(1, 13), range(1, 32)
    return numpy.array(
        [year * 10000 + month * 100 + day for year in years for month in months for day in days],
        dtype=numpy.uint64,
    )
