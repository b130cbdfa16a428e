"""Philox 4x32-10, the generator behind TensorFlow's shuffles, one output at a time or many seeds at
once.

Sources: tensorflow/core/lib/random/philox_random.h and the paper it cites (Salmon et al., SC 2011).
A pair of 64-bit seeds keys it: the first is the key, the second the upper half of the counter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray

    Seeds = NDArray[uint64]

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK32, _MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
DRAWS_PER_BLOCK = 4
# So many seeds at once keep all intermediate arrays in the second-level cache.
_CHUNK = 1 << 13


def philox_block(seed: int, seed2: int, block: int) -> tuple[int, int, int, int]:
    """Four 32-bit outputs number ``4 * block`` to ``4 * block + 3`` of the generator keyed by
    two 64-bit seeds.
    """
    low, high = seed & _MASK64, seed2 & _MASK64
    c0, c1, c2, c3 = block & _MASK32, (block >> 32) & _MASK32, high & _MASK32, high >> 32
    k0, k1 = low & _MASK32, low >> 32
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK32, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK32
        k0, k1 = (k0 + _W0) & _MASK32, (k1 + _W1) & _MASK32
    return c0, c1, c2, c3


def draws(seed: int, seed2: int, first: int, count: int) -> tuple[int, ...]:
    """``count`` outputs of the generator, from number ``first``."""
    values: list[int] = []
    for block in range(first // DRAWS_PER_BLOCK, (first + count + 3) // DRAWS_PER_BLOCK):
        values.extend(philox_block(seed, seed2, block))
    start = first % DRAWS_PER_BLOCK
    return tuple(values[start : start + count])


def find_seeds(
    first: Seeds, second: Seeds, starts: Iterable[int], wanted: tuple[int, int]
) -> tuple[tuple[int, int], int] | None:
    """((seed, seed2), start): which of many pairs of seeds gives ``wanted`` as outputs number
    ``start`` and ``start + 1``; None if none does.

    Args:
        first, second: the pairs, as uint64 arrays of one length, all below 2**32.
        starts: where the two outputs may lie, most likely first; those that lie in one block cost
            as much as one of them. Two outputs of different blocks are not looked for.
    """
    blocks: dict[int, list[int]] = {}
    for start in starts:
        block, place = divmod(start, DRAWS_PER_BLOCK)
        if place < DRAWS_PER_BLOCK - 1:
            blocks.setdefault(block, []).append(place)
    for block, places in blocks.items():
        for chunk in range(0, len(first), _CHUNK):
            keys, counters = first[chunk : chunk + _CHUNK], second[chunk : chunk + _CHUNK]
            outputs = _many(keys, counters, block)
            for place in places:
                hits = (outputs[place] == wanted[0]).nonzero()[0]
                for hit in hits.tolist():
                    if int(outputs[place + 1][hit]) == wanted[1]:
                        pair = int(keys[hit]), int(counters[hit])
                        return pair, block * DRAWS_PER_BLOCK + place
    return None


def _many(first: Seeds, second: Seeds, block: int) -> tuple[Any, Any, Any, Any]:
    """One block of each of many generators whose seeds are below 2**32."""
    import numpy

    mask, shift = numpy.uint64(_MASK32), numpy.uint64(32)
    m0, m1 = numpy.uint64(_M0), numpy.uint64(_M1)
    low, high = first, numpy.uint64(0)
    c0: Any = numpy.uint64(block & _MASK32)
    c1: Any = numpy.uint64((block >> 32) & _MASK32)
    c2: Any = second
    c3: Any = numpy.uint64(0)
    for turn in range(10):
        # Keys grow by a constant each round; the upper half is the same for all.
        k0 = (low + numpy.uint64(turn * _W0 & _MASK32)) & mask
        k1 = high + numpy.uint64(turn * _W1 & _MASK32)
        p0, p1 = m0 * c0, m1 * c2
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & mask, (p0 >> shift) ^ c3 ^ k1, p0 & mask
    return c0, c1, c2, c3
