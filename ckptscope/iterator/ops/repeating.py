"""Repeat and shuffle: what makes passes."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.dataset_ops import BY_ITERATOR
from ckptscope.iterator.held import Held, shuffle_live
from ckptscope.iterator.ops.sources import counter
from ckptscope.iterator.ops.spec import READ_AHEAD, Evaluator, OpSpec, spec
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.tree import IteratorTree, Stage


def _repeat(stage: Stage, evaluator: Evaluator) -> Progress:
    inner = stage.numbered()
    passes = stage.integer("i")
    if passes is None and inner:
        passes = max(inner)
    child = inner.get(passes if passes is not None else -1) or stage.child
    ended = stage.flag("input_impl_empty")
    if child is None:
        if ended:
            return replace(
                Progress.unknown("the data has ended and its counters are gone", ended=True),
                repeated=True,
            )
        below = Progress.of(Tally.single_pass(0))
        if passes is None:
            return replace(
                Progress.unknown("this TensorFlow does not store how often the data was repeated"),
                repeated=True,
            )
    else:
        below = evaluator.evaluate(child)
    if below.repeated and below.elements.passes is None:
        return replace(
            below,
            elements=Tally(),
            examples=Tally(),
            ended=ended,
            epoch_reason="nested repeats",
            reason=below.reason or "nested repeats",
        )

    def again(tally: Tally) -> Tally:
        if below.repeated:
            return Tally(None, None, None, None) if passes != 0 else tally
        return Tally(
            None, passes, tally.total if tally.total is not None else tally.into, tally.size
        ).filled()

    reason = below.reason
    if reason is None and passes is None:
        reason = "this TensorFlow does not store how often the data was repeated"
    elif reason is None and passes:
        reason = "how many elements one pass has is not stored (give --epoch-size)"
    return replace(
        below,
        elements=again(below.elements),
        examples=again(below.examples),
        repeated=True,
        ended=ended,
        reason=reason,
        mixed=below.mixed and not below.opaque,
    )


def passes_begun(stage: Stage, tree: IteratorTree) -> int | None:
    """Passes of its output that a stage which repeats has begun; None where that is not stored.

    The seeds of a fused shuffle are those of this pass, although its buffer may hold the next one,
    too.
    """
    if BY_ITERATOR[stage.op].is_fused:
        slices = stage.integer("slices_size") or 0
        return _fused_passes(stage, slices, tree.counts_passes_from_zero) + 1
    return input_passes_begun(stage, tree)


def input_passes_begun(stage: Stage, tree: IteratorTree) -> int | None:
    """Passes of its input that a stage which repeats has begun; None where that is not stored."""
    if BY_ITERATOR[stage.op].is_fused:
        epoch = stage.integer("epoch") or 0
        return epoch + 1 if tree.counts_passes_from_zero else max(epoch, 1)
    passes, numbered = stage.integer("i"), stage.numbered()
    if passes is None and numbered:
        passes = max(numbered)
    return None if passes is None else passes + 1


def _fused_passes(stage: Stage, slices: int, from_zero: bool) -> int:
    """Passes that a fused shuffle has handed out."""
    epoch = stage.integer("epoch") or 0
    return max(0, epoch - max(slices - 1, 0) if from_zero else epoch - max(slices, 1))


def _shuffle(stage: Stage, evaluator: Evaluator) -> Progress:
    slices, fused = stage.integer("slices_size"), BY_ITERATOR[stage.op].is_fused
    below = evaluator.below(stage)
    if slices is None:
        return Progress.unknown(f"{stage.op} stored no slices")
    first = 0
    if slices > 1 and not stage.integer("slices_end_0") and stage.integer("slices_start_1"):
        first, slices = (
            1,
            slices - 1,
        )  # restoring in TF 1.15 leaves an empty slice before the real ones
    start = stage.integer(f"slices_start_{first}") or 0
    end = stage.integer(f"slices_end_{first}") or 0
    drained = stage.flag("end_of_input_sequence") and end > 0
    if below.batched:
        tally = (
            _fused_tally(stage, evaluator, slices, start, end)
            if fused
            else Tally.single_pass(start)
        )
        return _shuffle_of_batches(stage, below, tally, fused, drained and slices <= 1)
    if not fused:
        size = end if drained and slices == 1 and not below.repeated else None
        opaque = below.opaque or stage.child is None
        if below.repeated:
            return replace(
                Progress.of(Tally(start)),
                repeated=True,
                mixed=True,
                ended=drained and start == end,
                epoch_reason="the data is repeated before it is shuffled, so passes overlap",
            )
        return replace(
            Progress.of(Tally.single_pass(start, size)),
            ended=drained and start == end,
            opaque=opaque,
            mixed=opaque and start > 0,
            epoch_reason="whether the data was repeated before it was shuffled is no longer in the "
            "state"
            if opaque
            else None,
        )
    return replace(
        Progress.of(_fused_tally(stage, evaluator, slices, start, end)),
        repeated=True,
        ended=drained and start == end and slices <= 1,
        opaque=below.opaque or stage.child is None,
    )


def _fused_tally(stage: Stage, evaluator: Evaluator, slices: int, start: int, end: int) -> Tally:
    """ShuffleAndRepeat counts over all passes; slice 0 is the pass that is being handed out."""
    drawn = stage.integer("num_random_samples") or 0
    passes: int | None = _fused_passes(stage, slices, evaluator.from_zero)
    if not evaluator.legacy and (passes == 0) != (start == drawn) and start:
        passes = None  # the two counters contradict each other
    if passes is None:
        return Tally(start)
    complete = slices > 1 or stage.flag("slices_reached_end_of_sequence_0")
    size: int | None = None
    if complete and end % (passes + 1) == 0:
        size = end // (passes + 1)
    elif passes and not evaluator.legacy and (start - drawn) % passes == 0:
        size = (start - drawn) // passes
    if size and not evaluator.legacy and start - drawn not in (passes * size, start):
        size = None
    into = (
        start - passes * size
        if size
        else (start if passes == 0 else None if evaluator.legacy else drawn)
    )
    return Tally(start, passes, into, size)


def _shuffle_of_batches(
    stage: Stage, below: Progress, tally: Tally, fused: bool, drained: bool
) -> Progress:
    """The short batch may come anywhere, so examples are what was read less what is live."""
    live = shuffle_live(stage)
    sizes = [held.leading for held in live] if live is not None else [None]
    known = [size for size in sizes if size is not None]
    held = sum(known) if len(known) == len(sizes) else None
    rests = any(
        assumption.needs_step for assumption in below.assumptions
    )  # on what the step cannot confirm here
    examples = Tally() if fused or below.repeated or rests else below.examples.minus(held)
    reason = (
        None
        if examples.total is not None
        else "batches are shuffled, so it is not known where the short one went"
    )
    return replace(
        below,
        elements=tally,
        examples=examples,
        batch_size=max(known) if len(known) > 1 else None,
        uncut=None,
        repeated=below.repeated or fused,
        ended=drained and not sizes,
        reason=reason,
        is_shuffled=True,
    )


def _num_shuffled(stage: Stage) -> int | None:
    return stage.integer("num_elements")


def _live(stage: Stage) -> list[Held]:
    return shuffle_live(stage) or []


SPECS: tuple[OpSpec, ...] = (
    spec("FiniteRepeat", _repeat),
    spec("Shuffle", _shuffle, _num_shuffled, _live),
    spec("ShuffleAndRepeat", _shuffle, _num_shuffled, _live),
    spec("GlobalShuffle", lambda s, e: counter("element_count")(s, e).assuming(READ_AHEAD)),
)
