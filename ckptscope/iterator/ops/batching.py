"""Stages that make batches and take them apart."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.iterator.held import batch_results
from ckptscope.iterator.ops.spec import UNIFORM_BATCHES, Evaluator, OpSpec, spec
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.tree import Stage


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _batch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    ended = stage.flag("input_impl_empty") or stage.flag("exhausted")
    return replace(below.made_batches(), ended=ended)


def _map_and_batch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    held, batch_size = batch_results(stage)
    met_end = below.ended or any(
        key.endswith("_end_of_input") and stage.flag(key) for key in stage.items
    )
    made = below.made_batches(batch_size)
    made = replace(made, pass_over=made.pass_over or met_end, ended=met_end and held == 0)
    return replace(
        made, examples=made.examples.minus(held), in_flight=_sum(made.in_flight, held)
    ).completed()


def _unbatch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    rows, current = stage.integer("n"), stage.integer("current_index")
    if rows is None or current is None:
        return Progress.unknown("the batch that is being split is not stored", ended=below.ended)
    pending = rows - current
    if below.examples.total is not None and below.batched:
        tally = below.examples.minus(pending)
        ended = below.ended and pending <= 0
        return replace(
            below,
            elements=tally,
            examples=tally,
            batched=False,
            batch_size=1,
            ended=ended,
            in_flight=_sum(below.in_flight, pending),
        )
    if below.elements.total is not None:
        count = (below.elements.total - 1) * rows + current if below.elements.total else 0
        result = Progress.of(Tally.single_pass(max(0, count)))
        return replace(result, in_flight=None).assuming(*below.assumptions, UNIFORM_BATCHES)
    why = below.reason or "the batches before it cannot be counted"
    return Progress.unknown(why, ended=below.ended and pending <= 0)


def _rebatch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    offset = stage.integer("offset")
    first = stage.tensor("tensors[0]")
    rows = first.shape[0] if first is not None and first.shape else 0
    held = 0 if offset is None or offset < 0 or first is None else rows - offset
    # Rows pass through: examples stay what they are, whatever the batches below hold.
    return replace(
        below,
        elements=Tally(),
        examples=below.examples.minus(held),
        batched=True,
        crosses_passes=below.repeated,
        batch_size=None,
        ended=below.ended and held == 0,
        in_flight=_sum(below.in_flight, held),
    )


def _rebatch_rows(stage: Stage) -> int:
    first, offset = stage.tensor("tensors[0]"), stage.integer("offset")
    return first.shape[0] - max(offset or 0, 0) if first is not None and first.shape else 0


def _unbatch_rows(stage: Stage) -> int:
    return (stage.integer("n") or 0) - (stage.integer("current_index") or 0)


def _num_in_batches(stage: Stage) -> int:
    return batch_results(stage)[0]


SPECS: tuple[OpSpec, ...] = (
    spec("BatchV2", _batch),
    spec("MapAndBatch", _map_and_batch, _num_in_batches),
    spec("ParallelBatch", _map_and_batch, _num_in_batches),
    spec("Unbatch", _unbatch, _unbatch_rows),
    spec("RebatchV2", _rebatch, _rebatch_rows),
)
