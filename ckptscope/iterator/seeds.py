"""Proving that a shuffle is seeded: replaying its generator.

A state holds the seeds of the present pass, not the base seeds of the program. With reshuffling
they are two 32-bit draws of a Philox 4x32-10 generator keyed by the base seeds; a new process makes
its own base seeds unless the program gives them. Reproducing the stored draws from a small seed
proves (up to a 64-bit coincidence) that it does.

Sources: tensorflow/core/lib/random/philox_random.h and the paper it cites (Salmon et al., SC 2011);
tensorflow/python/framework/random_seed.py (87654321, and how op seeds follow from a global seed);
tensorflow/core/data/dataset_utils and tensorflow/core/kernels/data/random_seed_ops.cc.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ckptscope.iterator.ops import OPS
from ckptscope.iterator.position import Hints
from ckptscope.iterator.tree import IteratorTree, Stage

DEFAULT_GRAPH_SEED = 87654321
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK32, _MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
_QUICK_SEEDS = 256
NUM_OP_SEEDS = 1 << 16
_QUICK_PAIRS = 16
_SMALL_PAIRS = 128
_NUM_GLOBAL_SEEDS = 1 << 11
_NUM_DERIVED = 4
_SMALL = 1 << 20
_MAX_DRAWS = 1 << 40

SeedStatus = Literal["proven", "unproven", "whole", "current_pass", "given_mismatch", "unseeded"]


@dataclass(frozen=True, slots=True)
class SeedProof:
    """What is known of the order of one stage that draws.

    Attributes:
        path: of the stage.
        op: title of the stage, in the user's words.
        status: ``proven`` (its seed reproduces what is stored), ``whole`` (its whole generator, or
            the order that it fixed, is stored), ``current_pass`` (only the present pass remains to
            this iterator), ``unproven``, ``unseeded`` (the stored seeds can come from no given
            seed), ``given_mismatch`` (a given seed does not fit).
        how: in words.
        remaining: elements for which the order is still stored; None if that is not known.
        holds_order: the order of the current pass is stored.
        base: the base seeds that reproduce what is stored.
    """

    path: str
    op: str
    status: SeedStatus
    how: str
    remaining: int | None
    holds_order: bool = True
    base: tuple[int, int] | None = None


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
    for block in range(first // 4, (first + count + 3) // 4):
        values.extend(philox_block(seed, seed2, block))
    start = first % 4
    return tuple(values[start : start + count])


def prove(tree: IteratorTree, hints: Hints) -> Iterator[SeedProof]:
    """One proof for each stage of an iterator that draws random numbers."""
    if tree.root is None:
        return
    proofs = list(_prove_below(tree.root, tree, hints, False, False))
    proven = [proof.base for proof in proofs if proof.base is not None]
    given = _given(hints)
    wrong = given is not None and proven and not any(_fits(base, hints) for base in proven)
    for proof in proofs:
        if wrong and proof.base is not None:
            how = f"{proof.how}, not from the given {given}"
            proof = replace(proof, status="given_mismatch", how=how)
        yield proof


def _given(hints: Hints) -> str | None:
    """The seeds that the user says the program has, in words."""
    said = {"global seed": hints.global_seed, "shuffle seed": hints.shuffle_seed}
    return " and ".join(f"{name} {seed}" for name, seed in said.items() if seed is not None) or None


def _fits(base: tuple[int, int], hints: Hints) -> bool:
    return (hints.global_seed is None or base[0] == hints.global_seed) and (
        hints.shuffle_seed is None or base[1] == hints.shuffle_seed
    )


def _prove_below(
    stage: Stage, tree: IteratorTree, hints: Hints, repeated: bool, cached: bool
) -> Iterator[SeedProof]:
    spec = OPS.get(stage.op)
    if spec is not None and spec.draws:
        yield _prove_stage(stage, tree, hints, repeated, cached)
    repeated = repeated or stage.op in ("FiniteRepeat", "ForeverRepeat")
    cached = cached or (stage.op == "MemoryCache" and "cache_completed" in stage)
    for _, child in stage.inputs:
        yield from _prove_below(child, tree, hints, repeated, cached)


def _prove_stage(
    stage: Stage, tree: IteratorTree, hints: Hints, repeated: bool, cached: bool
) -> SeedProof:
    title = {"Random": "random numbers", "GlobalShuffle": "global shuffle"}.get(stage.op, "shuffle")
    remaining = _remaining(stage)

    def proof(status: SeedStatus, how: str, holds_order: bool = True) -> SeedProof:
        return SeedProof(stage.path, title, status, how, remaining, holds_order)

    if cached:
        return proof("whole", "it lies below a complete cache, which holds its order")
    if tree.is_legacy and stage.op == "ShuffleAndRepeat":
        return proof(
            "whole", "TensorFlow 1.15 stores the whole generator of a shuffle that is repeated"
        )
    pairs = tuple(pair for pair in hints.op_seeds if pair != (0, 0))
    unseeded_graph = bool(hints.op_seeds) and not pairs
    seed, seed2 = stage.integer("seed"), stage.integer("seed2")
    if seed is None or seed2 is None:
        if pairs and not unseeded_graph and all(pair != (0, 0) for pair in hints.op_seeds):
            return proof("proven", "the stored graph gives its seed")
        return proof("unproven", "this TensorFlow stores no seed of it", holds_order=False)
    found = _find_base(stage, seed, seed2, hints, pairs)
    if found is not None:
        return replace(proof("proven", found[0]), base=found[1])
    fused = stage.op == "ShuffleAndRepeat"
    if stage.op == "Random" and not repeated and not tree.is_legacy:
        return proof("whole", "its present seeds and count are stored, and no repeat makes it anew")
    if not fused and not repeated and not _made_again(stage):
        return proof("current_pass", "no repeat makes it anew, so only the present pass remains")
    given = _given(hints)
    if given is not None:
        return proof("given_mismatch", f"the given {given} does not reproduce the stored draws")
    if not 0 <= seed <= _MASK32 or not 0 <= seed2 <= _MASK32:
        return proof(
            "unseeded",
            "its stored seeds are 64-bit random numbers, as TensorFlow makes them where "
            "none is given",
        )
    return proof(
        "unproven",
        "no small seed reproduces the stored draws (give --shuffle-seed or --global-seed)",
    )


def _made_again(stage: Stage) -> bool:
    """Its dataset has given more than one iterator, so the program loops over it in Python."""
    made = stage.integer("epoch_num_random_samples")
    made = stage.integer("ds_num_random_samples") if made is None else made
    # Two draws make the seeds of a pass where it is reshuffled, one where it is not.
    fixed = not all(0 <= (stage.integer(key) or 0) <= _MASK32 for key in ("seed", "seed2"))
    return made is not None and made > (1 if fixed else 2)


def _remaining(stage: Stage) -> int | None:
    """Elements whose order is stored: those in the buffer; more if the input is not at its end,
    but not known.
    """
    if stage.op not in ("Shuffle", "ShuffleAndRepeat"):
        return None
    drained = stage.flag("end_of_input_sequence") or stage.flag("slices_reached_end_of_sequence_0")
    start, end = stage.integer("slices_start_0"), stage.integer("slices_end_0")
    if start is None or end is None or not (drained or (stage.integer("slices_size") or 0) > 1):
        return None
    return end - start


def _find_base(
    stage: Stage, seed: int, seed2: int, hints: Hints, pairs: tuple[tuple[int, int], ...]
) -> tuple[str, tuple[int, int]] | None:
    """(how, base seeds): how the stored seeds follow from given ones; None if they are not
    found to.
    """
    stored = (seed, seed2)
    if seed == DEFAULT_GRAPH_SEED:
        return f"its stored seed is the op seed {seed2}", stored
    if stored in pairs:
        return f"the stored graph has its seeds {stored}", stored
    if 0 <= seed < _SMALL and 0 <= seed2 < _SMALL:
        return f"its stored seeds are the global seed {seed} and the op seed {seed2}", stored
    if 0 <= seed < _SMALL and seed2 in tuple(_derived(seed)):
        return f"its stored seeds follow from the global seed {seed}", stored
    drawn = stage.integer("epoch_num_random_samples")
    drawn = stage.integer("ds_num_random_samples") if drawn is None else drawn
    if (
        drawn is None
        or not 2 <= drawn < _MAX_DRAWS
        or not (0 <= seed <= _MASK32 and 0 <= seed2 <= _MASK32)
    ):
        return None
    for base in _candidates(hints, pairs):
        if draws(*base, drawn - 2, 2) == stored:
            return _name_base(base), base
    match = _search(drawn, stored)
    return None if match is None else (_name_base(match), match)


def _name_base(base: tuple[int, int]) -> str:
    if base[0] == DEFAULT_GRAPH_SEED:
        return f"its draws follow from the op seed {base[1]}"
    return f"its draws follow from the global seed {base[0]} and the op seed {base[1]}"


def _derived(global_seed: int, count: int = _NUM_DERIVED) -> Iterator[int]:
    """Op seeds that eager TensorFlow takes, in order, where only the global seed is set."""
    generator = random.Random(global_seed)
    for _ in range(count):
        yield generator.randint(0, 2**31 - 1)


def _candidates(hints: Hints, pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    yield from pairs
    if hints.shuffle_seed is not None:
        yield DEFAULT_GRAPH_SEED, hints.shuffle_seed
        if hints.global_seed is not None:
            yield hints.global_seed, hints.shuffle_seed
    if hints.global_seed is not None:
        for op_seed in _derived(hints.global_seed, 256):
            yield hints.global_seed, op_seed
        for op_seed in range(2048):
            yield hints.global_seed, op_seed
    for op_seed in range(_QUICK_SEEDS):
        yield DEFAULT_GRAPH_SEED, op_seed
    for global_seed in range(_QUICK_PAIRS):
        for op_seed in range(_QUICK_PAIRS):
            yield global_seed, op_seed


def _search(drawn: int, wanted: tuple[int, int]) -> tuple[int, int] | None:
    """The base seeds that give ``wanted`` as draws ``drawn - 2`` and ``drawn - 1``, many tried at
    once with NumPy.

    Tried: all op seeds below :data:`NUM_OP_SEEDS`, small global seeds with small op seeds, and with
        those that
    they imply where none is given.
    """
    import numpy

    block, place = divmod(drawn - 2, 4)
    if place > 2:
        return None
    implied = [(seed, op_seed) for seed in range(_NUM_GLOBAL_SEEDS) for op_seed in _derived(seed)]
    implied += [(seed, op_seed) for seed in range(_SMALL_PAIRS) for op_seed in range(_SMALL_PAIRS)]
    first = numpy.full(NUM_OP_SEEDS + len(implied), DEFAULT_GRAPH_SEED, dtype=numpy.uint64)
    second = numpy.arange(len(first), dtype=numpy.uint64)
    if implied:
        first[NUM_OP_SEEDS:], second[NUM_OP_SEEDS:] = numpy.array(implied, dtype=numpy.uint64).T
    mask, shift = numpy.uint64(_MASK32), numpy.uint64(32)
    k0, k1 = first, numpy.zeros_like(first)
    c0 = numpy.full_like(first, block & _MASK32)
    c1 = numpy.full_like(first, (block >> 32) & _MASK32)
    c2, c3 = second, numpy.zeros_like(first)
    for _ in range(10):
        p0, p1 = numpy.uint64(_M0) * c0, numpy.uint64(_M1) * c2
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & mask, (p0 >> shift) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + numpy.uint64(_W0)) & mask, (k1 + numpy.uint64(_W1)) & mask
    outputs = (c0, c1, c2, c3)
    hits = numpy.flatnonzero((outputs[place] == wanted[0]) & (outputs[place + 1] == wanted[1]))
    return (int(first[hits[0]]), int(second[hits[0]])) if len(hits) else None
