"""Proving that a shuffle is seeded: replaying its generator.

A state holds the seeds of the present pass, not the base seeds of the program. With reshuffling
they are two 32-bit draws of a Philox 4x32-10 generator keyed by the base seeds; a new process makes
its own base seeds unless the program gives them. Reproducing the stored draws from a small or usual
seed proves (up to a 64-bit coincidence) that it does.

All iterators of one dataset draw from one generator. So the pair that a pass was given may be any
that the generator has made, and a generator that has made more than the passes of this iterator
need has served another one, too.

Sources: tensorflow/core/data/dataset_utils, tensorflow/core/kernels/data/random_seed_ops.cc and
shuffle_dataset_op.cc.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ckptscope.iterator.ops import OPS, is_inner
from ckptscope.iterator.ops.repeating import input_passes_begun, passes_begun
from ckptscope.iterator.philox import draws, find_seeds, philox_block
from ckptscope.iterator.position import Hints
from ckptscope.iterator.seed_guesses import (
    DEFAULT_GRAPH_SEED,
    MAX_SEED,
    base_of,
    derived,
    quick_bases,
    reduced,
    usual_bases,
)
from ckptscope.iterator.tree import IteratorTree, Stage

__all__ = ["DEFAULT_GRAPH_SEED", "SeedProof", "SeedStatus", "draws", "philox_block", "prove"]

_MASK32 = 0xFFFFFFFF
# Stored seeds below this are the base seeds themselves: random ones are rarely so small.
_SMALL = 1 << 20
_MAX_DRAWS = 1 << 40
_DRAWS_PER_PASS = 2
# Earlier pairs of draws that are tried with all seeds, and with the smallest.
_MAX_STARTS, _MAX_QUICK_STARTS = 8, 512

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
        made_by: title of the stage whose function makes this one anew for each of its elements
            (``flat_map``); None outside functions.
        extra_draws: outputs of its generator beyond what the passes of this iterator need: another
            iterator of the same dataset has drawn, too. 0 where none have, or it is not known.
    """

    path: str
    op: str
    status: SeedStatus
    how: str
    remaining: int | None
    holds_order: bool = True
    base: tuple[int, int] | None = None
    made_by: str | None = None
    extra_draws: int = 0


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What the stages above one mean for it.

    Attributes:
        begun: passes of it that were begun; None where that is not stored.
        repeated: a repeat makes it anew for each pass.
        cached: it lies below a cache that is complete.
        made_by: title of the innermost stage whose function makes it.
    """

    begun: int | None = 1
    repeated: bool = False
    cached: bool = False
    made_by: str | None = None

    def above_input(
        self, stage: Stage, tree: IteratorTree, slot: int | None, child: Stage
    ) -> _Surroundings:
        """For an input of a stage that stands in these surroundings."""
        spec = OPS.get(stage.op)
        if spec is None:
            return self
        if spec.nests and is_inner(slot, child):
            # Each call of the function makes a dataset with a generator of its own, unless it
            # returns one from outside.
            return replace(self, begun=None, repeated=False, made_by=spec.title)
        if spec.repeats:
            begun = input_passes_begun(stage, tree)
            # How many passes the earlier ones of a repeat below a repeat had is not stored.
            begun = begun if self.begun == 1 else None
            return replace(self, begun=begun, repeated=True)
        if spec.may_lack_input and "cache_completed" in stage:
            return replace(self, cached=True)
        return self


def prove(tree: IteratorTree, hints: Hints) -> Iterator[SeedProof]:
    """One proof for each stage of an iterator that draws random numbers."""
    if tree.root is None:
        return
    proofs = list(_prove_below(tree.root, tree, hints, _Surroundings()))
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
    return (hints.global_seed is None or base[0] == reduced(hints.global_seed)) and (
        hints.shuffle_seed is None or base[1] == base_of(hints.global_seed, hints.shuffle_seed)[1]
    )


def _prove_below(
    stage: Stage, tree: IteratorTree, hints: Hints, around: _Surroundings
) -> Iterator[SeedProof]:
    spec = OPS.get(stage.op)
    if spec is not None and spec.draws:
        yield replace(_prove_stage(stage, tree, hints, around), made_by=around.made_by)
    for slot, child in stage.inputs:
        yield from _prove_below(child, tree, hints, around.above_input(stage, tree, slot, child))


def _prove_stage(
    stage: Stage, tree: IteratorTree, hints: Hints, around: _Surroundings
) -> SeedProof:
    # A fused shuffle is two calls in the program: only one of them draws.
    title = "shuffle" if OPS[stage.op].is_fused else OPS[stage.op].title
    remaining = _remaining(stage)

    def proof(status: SeedStatus, how: str, holds_order: bool = True) -> SeedProof:
        return SeedProof(stage.path, title, status, how, remaining, holds_order)

    fused = OPS[stage.op].is_fused
    if around.cached:
        return proof("whole", "it lies below a complete cache, which holds its order")
    if tree.is_legacy and fused:
        return proof(
            "whole", "TensorFlow 1.15 stores the whole generator of a shuffle that is repeated"
        )
    pairs = tuple(pair for pair in hints.op_seeds if pair != (0, 0))
    seed, seed2 = stage.integer("seed"), stage.integer("seed2")
    if seed is None or seed2 is None:
        if pairs and len(pairs) == len(hints.op_seeds):
            return proof("proven", "the stored graph gives its seed")
        return proof("unproven", "this TensorFlow stores no seed of it", holds_order=False)
    begun = passes_begun(stage, tree) if fused and around.begun == 1 else around.begun
    is_made_again = fused or around.repeated
    needed = _DRAWS_PER_PASS * begun if begun is not None and is_made_again else None
    found = _find_base(stage, (seed, seed2), hints, pairs, needed)
    if found is not None:
        how, base, spent = found
        # Passes of a repeat are counted; of other passes the pair itself tells where it lies.
        extra = max(0, (_drawn(stage) or 0) - (needed if needed is not None else spent))
        return replace(proof("proven", how), base=base, extra_draws=extra if spent else 0)
    if around.made_by is None and not is_made_again:
        if OPS[stage.op].is_source and not tree.is_legacy:
            how = "its present seeds and count are stored, and no repeat makes it anew"
            return proof("whole", how)
        if not _made_again(stage):
            how = "no repeat makes it anew, so only the present pass remains"
            return proof("current_pass", how)
    given = _given(hints)
    if given is not None:
        return proof("given_mismatch", f"the given {given} does not reproduce the stored draws")
    anew = f", and {around.made_by} makes it anew for each of its elements"
    if not _is_drawn(seed, seed2):
        how = (
            "its stored seeds are 64-bit random numbers, as TensorFlow makes them where none is "
            "given"
        )
        return proof("unseeded", how + (anew if around.made_by else ""))
    how = "no small seed reproduces the stored draws"
    return proof(
        "unproven",
        f"{how}{anew if around.made_by else ''} (give --shuffle-seed or --global-seed)",
    )


def _is_drawn(seed: int, seed2: int) -> bool:
    """Two 32-bit outputs of a generator, as far as their size tells."""
    return 0 <= seed <= _MASK32 and 0 <= seed2 <= _MASK32


def _drawn(stage: Stage) -> int | None:
    """Outputs that the generator of the stage's dataset has made."""
    drawn = stage.integer("epoch_num_random_samples")
    return stage.integer("ds_num_random_samples") if drawn is None else drawn


def _made_again(stage: Stage) -> bool:
    """Its dataset has given more than one iterator, so the program loops over it in Python."""
    made = _drawn(stage)
    # Two draws make the seeds of a pass where it is reshuffled, one where it is not.
    fixed = not _is_drawn(stage.integer("seed") or 0, stage.integer("seed2") or 0)
    return made is not None and made > (1 if fixed else _DRAWS_PER_PASS)


def _remaining(stage: Stage) -> int | None:
    """Elements whose order is stored: those in the buffer; more if the input is not at its end,
    but not known.
    """
    if not OPS[stage.op].shuffles:
        return None
    drained = stage.flag("end_of_input_sequence") or stage.flag("slices_reached_end_of_sequence_0")
    start, end = stage.integer("slices_start_0"), stage.integer("slices_end_0")
    if start is None or end is None or not (drained or (stage.integer("slices_size") or 0) > 1):
        return None
    return end - start


def _find_base(
    stage: Stage,
    stored: tuple[int, int],
    hints: Hints,
    pairs: tuple[tuple[int, int], ...],
    needed: int | None,
) -> tuple[str, tuple[int, int], int] | None:
    """(how, base seeds, outputs made up to the stored ones): how the stored seeds follow from given
    ones; None if they are not found to. The last is 0 where nothing was drawn.
    """
    how = _is_base(stored, pairs)
    if how is not None:
        return how, stored, 0
    drawn = _drawn(stage)
    if drawn is None or not _DRAWS_PER_PASS <= drawn < _MAX_DRAWS or not _is_drawn(*stored):
        return None
    last = drawn - _DRAWS_PER_PASS
    # This pass has a pair of its own, so that passes before it must fit in front.
    first = max(0, (needed or _DRAWS_PER_PASS) - _DRAWS_PER_PASS) if needed != drawn else last
    found = _replay(stored, hints, pairs, last, first)
    if found is None:
        return None
    base, start = found
    return _name_base(base), base, start + _DRAWS_PER_PASS


def _is_base(stored: tuple[int, int], pairs: tuple[tuple[int, int], ...]) -> str | None:
    """How the stored seeds are base seeds themselves, as where a shuffle does not reshuffle."""
    seed, seed2 = stored
    if seed == DEFAULT_GRAPH_SEED:
        return f"its stored seed is the op seed {seed2}"
    if stored in pairs:
        return f"the stored graph has its seeds {stored}"
    if (0 <= seed < _SMALL and 0 <= seed2 < _SMALL) or 0 <= seed == seed2 < MAX_SEED:
        return f"its stored seeds are the global seed {seed} and the op seed {seed2}"
    if 0 <= seed < MAX_SEED and seed2 in derived(seed):
        return f"its stored seeds follow from the global seed {seed}"
    return None


def _replay(
    stored: tuple[int, int],
    hints: Hints,
    pairs: tuple[tuple[int, int], ...],
    last: int,
    first: int,
) -> tuple[tuple[int, int], int] | None:
    """(base seeds, number of the first of the two outputs that are stored), searched from the last
    pair of outputs back to the one at ``first``.
    """
    quick = list(quick_bases(hints.global_seed, hints.shuffle_seed, pairs))
    for base in quick:
        if draws(*base, last, 2) == stored:
            return base, last
    earlier = range(last - _DRAWS_PER_PASS, first - 1, -_DRAWS_PER_PASS)
    # The pair of this pass comes first where one iterator draws at the beginning, last where others
    # drew meanwhile.
    nearest = dict.fromkeys((last, first, *earlier[: _MAX_STARTS - 2]))
    found = find_seeds(*usual_bases(), nearest, stored)
    if found is not None or not earlier:
        return found
    return _replay_quick(quick, earlier[:_MAX_QUICK_STARTS], stored)


def _replay_quick(
    bases: list[tuple[int, int]], starts: range, stored: tuple[int, int]
) -> tuple[tuple[int, int], int] | None:
    import numpy

    first, second = numpy.array(bases, dtype=numpy.uint64).T
    return find_seeds(first, second, starts, stored)


def _name_base(base: tuple[int, int]) -> str:
    if base[0] == DEFAULT_GRAPH_SEED:
        return f"its draws follow from the op seed {base[1]}"
    return f"its draws follow from the global seed {base[0]} and the op seed {base[1]}"
