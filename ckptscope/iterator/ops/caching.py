"""Caches in memory and on disk."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.iterator.ops.spec import READ_AHEAD, Evaluator, OpSpec, spec
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.tree import Stage


def _memory_cache(stage: Stage, evaluator: Evaluator) -> Progress:
    complete = "cache_completed" in stage
    count = stage.integer("num_elements")
    count = stage.integer("cache_size") if count is None else count
    index = stage.integer("index")
    below = evaluator.below(stage) if stage.inputs else Progress.of(Tally())
    if complete and index is not None:
        return replace(
            Progress.of(Tally.single_pass(index, count)), ended=index == count, opaque=True
        )
    if count is None:
        return Progress.unknown("the cache stored no count", ended=below.ended)
    if complete:  # filled to its end in this pass, not read from yet
        return replace(Progress.of(Tally.single_pass(count, count)), ended=True, opaque=True)
    return replace(
        below,
        elements=Tally.single_pass(count),
        examples=Tally.single_pass(count) if not below.batched else below.examples,
        reason=None,
        assumptions=(),
    )


def _file_cache(stage: Stage, evaluator: Evaluator) -> Progress:
    index = stage.integer("cur_index")
    if index is None:
        return Progress.unknown("the file cache stored no index")
    below = evaluator.below(stage) if stage.inputs else replace(Progress.of(Tally()), opaque=True)
    tally = Tally.single_pass(index)
    return replace(
        below, elements=tally, examples=Tally() if below.batched else tally, reason=None
    ).assuming(READ_AHEAD)


def _cached(stage: Stage) -> int | None:
    count = stage.integer("num_elements")
    return stage.integer("cache_size") if count is None else count


SPECS: tuple[OpSpec, ...] = (
    spec("MemoryCache", _memory_cache, _cached),
    spec("FileCache", _file_cache),
)
