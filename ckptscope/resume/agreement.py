"""Comparing an iterator with the run's step counter, and the position that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ckptscope.iterator.position import COUNTS, Hints, Position, Reading
from ckptscope.iterator.tree import IteratorTree

# Below so many updates a whole ratio says nothing.
_MIN_UPDATES = 3
AgreementKind = Literal[
    "agrees", "whole_passes_behind", "ahead", "behind", "contradicts", "unknown"
]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How an iterator stands to the step counter.

    Attributes:
        kind: ``agrees``: as many batches left it as steps were made. ``whole_passes_behind``: the
            difference is whole passes, as where a Python loop makes an iterator for each.
            ``ahead``, ``behind``: by ``batches``. ``contradicts``: no batch size fits. ``unknown``:
            nothing to compare.
        batches: how many batches it is ahead or behind, where known.
        passes: how many whole passes it is behind.
        batches_per_update: as many batches left the iterator for each update of the optimizer.
        implied_batch_size: the batch size with which it would agree, where no other is known.
    """

    kind: AgreementKind
    batches: int | None = None
    passes: int | None = None
    batches_per_update: int | None = None
    implied_batch_size: int | None = None


def compare(
    reading: Reading, tree: IteratorTree, step: int | None, source: str | None, hints: Hints
) -> Agreement:
    """Compare what left the iterator with the steps made."""
    del tree
    if step is None:
        return Agreement("unknown")
    progress = reading.progress.completed()
    batches, examples = progress.elements.settled(), progress.examples.settled()
    size = progress.batch_size if progress.batched else hints.batch_size
    if reading.exhausted and batches.total is None:
        return Agreement("unknown")
    if batches.total is not None:
        return _by_difference(batches.total, step, batches.size, progress.repeated, source)
    if examples.total is not None and size is None and not progress.opaque:
        return _without_batch_size(examples.total, step, examples.passes, reading)
    if examples.into is not None and size is not None:
        return _modulo(examples.into, examples.passes, examples.size, step * size)
    return Agreement("unknown")


def _by_difference(
    consumed: int, step: int, per_pass: int | None, repeated: bool, source: str | None
) -> Agreement:
    if consumed == step:
        return Agreement("agrees")
    if consumed > step:
        if source == "optimizer" and step >= _MIN_UPDATES and consumed % step == 0:
            # Several batches for each update (accumulated gradients, optimizers taking turns): no
            # contradiction.
            return Agreement("unknown", batches_per_update=consumed // step)
        return Agreement("ahead", consumed - step)
    missing = step - consumed
    if per_pass and not repeated and missing % per_pass == 0:
        return Agreement("whole_passes_behind", missing, missing // per_pass)
    return Agreement("behind", missing)


def _without_batch_size(
    examples: int, step: int, passes: int | None, reading: Reading
) -> Agreement:
    if step == 0:
        return Agreement("agrees" if examples == 0 else "ahead", None if examples else 0)
    if examples == 0:
        return Agreement("behind", step)
    if examples % step == 0:
        return Agreement("unknown", implied_batch_size=examples // step)
    progress = reading.progress
    if (
        progress.pass_over
        or progress.is_shuffled
        or (passes != 0 and not progress.batches_span_passes)
    ):
        return Agreement("unknown")  # a short batch at the end of a pass spoils the division
    return Agreement("contradicts")


def _modulo(into: int, passes: int | None, size: int | None, expected: int) -> Agreement:
    """The number of whole passes is not stored, or not their size: compare what is left of a
    pass.
    """
    if passes is None and size is None:
        if into == expected:
            return Agreement("agrees")
        if into > expected:
            return Agreement("ahead")
        # Later passes have at least as many examples as were consumed of this one.
        return Agreement("behind") if expected - into < into else Agreement("unknown")
    if passes is None and size is not None:
        if into > expected:
            return Agreement("ahead")
        return Agreement("agrees") if (expected - into) % size == 0 else Agreement("contradicts")
    if passes and size is None:
        rest = expected - into
        if rest <= 0:
            return Agreement("ahead")
        return Agreement("unknown")
    return Agreement("unknown")


def resume_position(
    *,
    step: int | None,
    training: tuple[Reading | None, Agreement] | None,
    iterators: int,
    candidates: int,
    damaged: bool,
    data_index: tuple[str, int] | None,
    starts_at_zero: bool,
    hints: Hints,
) -> Position:
    """The run's position: the training iterator's where it agrees with the step, else what counters
    prove.

    Every field that is None gets its reason.
    """
    if damaged:
        return _blank(step, None, "stored bytes are damaged")
    if training is not None and training[0] is not None:
        return _from_iterator(training[0], training[1], step, hints)
    if training is not None:
        return _blank(step, "stored", "the iterator's state could not be decoded")
    if candidates > 1:
        return _blank(
            step,
            "stored",
            f"{candidates} iterators are stored, and it is not clear which one feeds the "
            "training (see iterators)",
        )
    if iterators:
        return _blank(
            step,
            "stored",
            "the stored iterators are exhausted or out of step with the counter (see iterators)",
        )
    if starts_at_zero:
        return Position(
            kind="derivable",
            step=0,
            epoch=0,
            batches_consumed=0,
            examples_consumed=0,
            examples_into_epoch=0,
            batch_size=hints.batch_size,
            reasons={} if hints.batch_size else {"batch_size": "no batch was made yet"},
        )
    if data_index is not None:
        return _from_index(data_index, step, hints)
    return _blank(step, "lost", "no iterator state and no place in the data is stored")


def _blank(
    step: int | None, kind: Literal["stored", "derivable", "lost"] | None, reason: str
) -> Position:
    fields = (*COUNTS, "batch_size") if step is not None else ("step", *COUNTS, "batch_size")
    return Position(kind=kind, step=step, reasons=dict.fromkeys(fields, reason))


def own_position(reading: Reading, agreement: Agreement, step: int | None) -> Position:
    """An iterator's position on its own: numbers that rest on an assumption are told only if
    the step confirms them.
    """
    position = replace(reading.position, step=step)
    if step is None:
        why = "no step counter is stored, or several that differ"
        position = replace(position, reasons={**position.reasons, "step": why})
    unproven = [assumption.text for assumption in reading.assumptions if assumption.needs_step]
    if not unproven or agreement.kind == "agrees":
        return position
    reason = f"it rests on what is not stored: {'; '.join(unproven)}"
    if position.batches_consumed is not None:
        reason += f" (it would be {position.batches_consumed:,} batches)"
    elif position.examples_consumed is not None:
        reason += f" (it would be {position.examples_consumed:,} examples)"
    return replace(_blank(step, "stored", reason), sources=position.sources)


def _from_iterator(
    reading: Reading, agreement: Agreement, step: int | None, hints: Hints
) -> Position:
    if agreement.kind in ("ahead", "behind", "contradicts"):
        words = {
            "ahead": "the iterator is ahead of the step counter",
            "behind": "the iterator is behind the step counter",
            "contradicts": "the iterator and the step counter contradict each other",
        }
        return _blank(
            step, "stored", f"{words[agreement.kind]} (iterators[] holds what its own state tells)"
        )
    position = own_position(reading, agreement, step)
    if agreement.kind == "whole_passes_behind" and agreement.passes is not None:
        # The program makes an iterator for each pass: only the epoch counts on.
        return replace(
            position, epoch=None if position.epoch is None else position.epoch + agreement.passes
        )
    return _completed_by_step(position, reading, agreement, step)


def _completed_by_step(
    position: Position, reading: Reading, agreement: Agreement, step: int | None
) -> Position:
    """Totals that TensorFlow does not store, where the iterator agrees with the step."""
    size, per_pass = position.batch_size, reading.position.epoch_size
    if (
        agreement.kind != "agrees"
        or step is None
        or size is None
        or position.batches_consumed is not None
    ):
        return position
    if reading.progress.uncut is not None or position.examples_consumed is not None:
        return position
    total = step * size
    into = position.examples_into_epoch
    epoch = position.epoch
    if per_pass:
        epoch, into = (
            (total - 1) // per_pass if total else 0,
            (total - 1) % per_pass + 1 if total else 0,
        )
    elif into == total:
        epoch = 0
    reasons = {
        name: why
        for name, why in position.reasons.items()
        if name not in ("batches_consumed", "examples_consumed")
    }
    if epoch is not None:
        reasons.pop("epoch", None)
    if into is not None:
        reasons.pop("examples_into_epoch", None)
    return replace(
        position,
        batches_consumed=step,
        examples_consumed=total,
        epoch=epoch,
        examples_into_epoch=into,
        reasons=reasons,
    )


def _from_index(index: tuple[str, int], step: int | None, hints: Hints) -> Position:
    """A saved data index; its unit is known only where it agrees with the step."""
    name, value = index
    size = hints.batch_size
    if step is not None and size is not None and value == step * size:
        reasons = {
            "epoch": "the size of a pass is not stored (give --epoch-size)",
            "examples_into_epoch": "the size of a pass is not stored (give --epoch-size)",
        }
        epoch = into = None
        if hints.epoch_size:
            epoch, into = (
                (value - 1) // hints.epoch_size if value else 0,
                (value - 1) % hints.epoch_size + 1 if value else 0,
            )
            reasons = {}
        return Position(
            kind="derivable",
            step=step,
            epoch=epoch,
            batches_consumed=step,
            examples_consumed=value,
            examples_into_epoch=into,
            batch_size=size,
            reasons=reasons,
        )
    return _blank(
        step, "derivable", f"{name} is {value}, but its unit is not stored (give --batch-size)"
    )
