"""Stages that hand on what they get, or part of it."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.iterator.held import map_results, prefetch_entries
from ckptscope.iterator.ops.spec import SYMBOLIC, Evaluator, OpSpec, ProgressFunction, spec
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.tree import Stage


def transparent(stage: Stage, evaluator: Evaluator) -> Progress:
    """What its input gave."""
    return evaluator.below(stage)


_ERROR_WAITS = "an error waits in a buffer of the pipeline, which the next request will raise"


def _prefetch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    if "buffer_size" not in stage:
        return below.assuming(SYMBOLIC)
    entries = prefetch_entries(stage)
    if any(entry.is_error for entry in entries):
        return Progress.unknown(_ERROR_WAITS)
    ended = below.ended
    return _without_held(
        replace(below, ended=ended and not entries), [entry.leading for entry in entries], ended
    )


def _parallel_map(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    results = map_results(stage)
    if any(result.is_error for result in results):
        return Progress.unknown(_ERROR_WAITS)
    ended = below.ended
    return _without_held(
        replace(below, ended=ended and not results), [result.leading for result in results], ended
    )


def _without_held(below: Progress, leading: list[int | None], ended_below: bool) -> Progress:
    """Take elements that wait in a buffer away; batches among them show the batch size."""
    if not below.batched:
        return below.minus(len(leading), len(leading))
    sizes = [size for size in leading if size is not None]
    if sizes and len(sizes) == len(leading):
        into = below.examples.into
        # A lone batch may be the short one at the end of a pass; then it shows nothing.
        is_lone = len(sizes) == 1
        may_be_short = (
            ended_below
            or below.pass_over
            or (into is not None and (into < sizes[0] or into % sizes[0]))
        )
        if not below.is_shuffled and not (is_lone and may_be_short):
            below = below.with_batch_size(max(sizes))
        if below.batch_size is not None and min(sizes) < below.batch_size:
            below = replace(below, drops_remainder=False)
        return below.completed().minus(len(leading), sum(sizes)).completed()
    if below.batch_size is not None and not below.pass_over and not ended_below:
        return below.completed().minus(len(leading), len(leading) * below.batch_size).completed()
    return below.minus(len(leading), None if leading else 0)


def _filter(stage: Stage, evaluator: Evaluator) -> Progress:
    kept, dropped = stage.integer("filtered_elements"), stage.integer("dropped_elements")
    below = evaluator.below(stage)
    if kept is None or (kept == 0 and not dropped and below.elements.total != 0):
        return Progress.unknown(
            "this TensorFlow does not store how many elements a filter passed on", ended=below.ended
        )
    return _recounted(below, kept, replace_examples=not below.batched)


def _recounted(below: Progress, count: int, *, replace_examples: bool) -> Progress:
    """A stage with a counter of its own that drops some of its input; sizes of passes no longer
    hold.
    """
    tally = (
        Tally(count, below.elements.passes, None).filled()
        if below.repeated
        else Tally.single_pass(count)
    )
    examples = tally if replace_examples else Tally(None, tally.passes)
    return replace(
        below,
        elements=tally,
        examples=examples,
        reason=None,
        assumptions=(),
        batch_size=below.batch_size if below.batched else 1,
    )


def _unique(stage: Stage, evaluator: Evaluator) -> Progress:
    count = stage.integer("unique_elements_size") or 0
    return _recounted(evaluator.below(stage), count, replace_examples=True)


def _unknown_count(reason: str) -> ProgressFunction:
    def progress(stage: Stage, evaluator: Evaluator) -> Progress:
        below = evaluator.below(stage)
        if below.elements.total == 0:
            return below
        return Progress.unknown(reason, ended=below.ended)

    return progress


def _take(stage: Stage, evaluator: Evaluator) -> Progress:
    count = stage.integer("i")
    below = evaluator.below(stage)
    if count is None:
        return below
    ended = stage.flag("input_impl_empty")
    size = below.elements.size if below.repeated else (count if ended else None)
    elements = Tally(
        count,
        below.elements.passes if below.repeated else 0,
        below.elements.into if below.repeated else count,
        size,
    )
    examples = (
        elements
        if not below.batched
        else replace(below.examples, size=below.examples.size if below.repeated else None)
    )
    return replace(
        below,
        elements=elements.filled(),
        examples=examples.filled(),
        ended=ended,
        reason=None,
        assumptions=() if not below.repeated else below.assumptions,
    )


def _skip(stage: Stage, evaluator: Evaluator) -> Progress:
    skipped = stage.integer("i")
    below = evaluator.below(stage)
    if skipped is None:
        return below
    if below.repeated or below.batched:
        elements = Tally(below.elements.minus(skipped).total)
        return replace(
            below,
            elements=elements,
            examples=Tally() if below.batched else elements,
            mixed=True,
            epoch_reason="elements were skipped across passes",
        )
    size = None if below.elements.size is None else max(0, below.elements.size - skipped)
    tally = replace(below.elements.minus(skipped), size=size)
    return replace(below, elements=tally, examples=tally)


def _shard(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    if stage.integer("next_index") == 0:
        return Progress.of(Tally.single_pass(0))
    return Progress.unknown(
        "how many shards there are is not stored, nor which one this is", ended=below.ended
    )


def _num_results(stage: Stage) -> int:
    return len(map_results(stage))


_NOT_COUNTED = "a parallel filter does not store how many elements it passed on"

SPECS: tuple[OpSpec, ...] = (
    spec("Map", transparent),
    spec("ParallelMap", _parallel_map, _num_results, map_results),
    spec("Prefetch", _prefetch, lambda s: s.integer("buffer_size"), prefetch_entries),
    spec("Filter", _filter),
    spec("ParallelFilter", _unknown_count(_NOT_COUNTED)),
    spec("FiniteTake", _take),
    spec("FiniteSkip", _skip),
    spec("Shard", _shard),
    spec("Scan", transparent),
    spec("TakeWhile", transparent),
    spec("AssertCardinality", transparent),
    spec("Options", transparent),
    spec("IgnoreErrors", transparent),
    spec("Reduce", transparent),
    spec("Unique", _unique),
    spec("ParseExample", _parallel_map, _num_results, map_results),
)
