"""Stages with several inputs."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.iterator.ops.spec import Evaluator, OpSpec, spec
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.tree import Stage


def _zip(stage: Stage, evaluator: Evaluator) -> Progress:
    inputs = [
        evaluator.evaluate(child)
        for _, child in sorted(stage.inputs, key=lambda pair: pair[0] or 0)
    ]
    ended = stage.flag("input_impls_empty")
    known = [
        progress
        for progress in inputs
        if progress.elements.total is not None or progress.elements.into is not None
    ]
    if not known:
        gone = (
            "the data has ended and its counters are gone"
            if ended
            else "no input of the zip has a count"
        )
        reason = next((progress.reason for progress in inputs if progress.reason), gone)
        return Progress.unknown(reason, ended=ended)
    # All inputs have given the same number. Where only some are repeated it is not known which one
    # makes the epochs.
    if len({progress.repeated for progress in inputs}) > 1:
        known = [
            replace(
                item,
                elements=Tally(item.elements.total),
                examples=Tally(item.examples.total),
                repeated=True,
            )
            for item in known
        ]
    best = min(
        known, key=lambda progress: (len(progress.assumptions), progress.elements.total is None)
    )
    batches = next((progress for progress in inputs if progress.batched), None)
    if batches is not None:
        rests = any(assumption.needs_step for assumption in batches.assumptions)
        examples = Tally() if rests else replace(batches.examples, size=None)
        elements = replace(best.elements, size=None)
        # Batches on their way are not counted alike by inputs that hold examples.
        return replace(
            batches,
            elements=elements,
            examples=examples,
            uncut=None,
            ended=ended,
            in_flight=batches.in_flight if all(item.batched for item in inputs) else None,
        )
    sizes = [progress.elements.size for progress in inputs if not progress.repeated]
    in_flight = inputs[0].in_flight
    if any(progress.in_flight != in_flight for progress in inputs):
        best = replace(best, in_flight=None)
    # An input without a size may be the shorter one.
    size = (
        min(filter(None, sizes))
        if sizes and None not in sizes
        else best.elements.size
        if best.repeated
        else None
    )
    tally = replace(best.elements, size=size)
    return replace(best, elements=tally, examples=tally, ended=ended)


def _concatenate(stage: Stage, evaluator: Evaluator) -> Progress:
    active, inputs = stage.integer("i"), stage.numbered()
    if active is None:
        return Progress.unknown("which input is being read is not stored")
    below = (
        evaluator.evaluate(inputs[active])
        if active in inputs
        else Progress.of(Tally.single_pass(0))
    )
    if active == 0:
        return replace(
            below,
            elements=replace(below.elements, size=None),
            examples=replace(below.examples, size=None),
        )
    before = [
        evaluator.evaluate(inputs[number]).examples.total if number in inputs else None
        for number in range(active)
    ]
    if None in before or below.batched:
        return Progress.unknown(
            "how long the inputs before the present one were is not stored", ended=below.ended
        )
    total = sum(number or 0 for number in before)
    tally = Tally.single_pass(
        None if below.examples.total is None else total + below.examples.total
    )
    return replace(below, elements=tally, examples=tally)


def _directed(stage: Stage, evaluator: Evaluator) -> Progress:
    inputs = [evaluator.evaluate(child) for slot, child in stage.inputs if slot is not None]
    reason = "several datasets are mixed, so an epoch is not defined"
    totals = [progress.elements.total for progress in inputs]
    expected = sum(key.startswith("data_input_impl_empty[") for key in stage.items)
    if not inputs or None in totals or len(inputs) < expected:
        why = next(
            (progress.reason for progress in inputs if progress.reason),
            "an input that has ended left no count",
        )
        return replace(Progress.unknown(why), mixed=True, epoch_reason=reason)
    total = sum(count or 0 for count in totals)
    assumptions = tuple({a.code: a for progress in inputs for a in progress.assumptions}.values())
    batched = any(progress.batched for progress in inputs)
    return Progress(
        Tally(total),
        Tally() if batched else Tally(total),
        batched=batched,
        batch_size=None if batched else 1,
        mixed=True,
        assumptions=assumptions,
        epoch_reason=reason,
    )


SPECS: tuple[OpSpec, ...] = (
    spec("Zip", _zip),
    spec("Concatenate", _concatenate),
    spec("DirectedInterleave", _directed),
)
