"""Comparing an iterator with the run's step counter, and the position that follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ckptscope.iterator.position import COUNTS, Hints, Position, Reading
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.resume.recorded import RecordedPlace

# The name of the run record as a witness.
RUN_RECORD = "the run record"
# Below so many updates a whole ratio says nothing.
_MIN_UPDATES = 3
AgreementKind = Literal[
    "agrees", "several_per_step", "whole_passes_behind", "ahead", "behind", "contradicts", "unknown"
]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How an iterator stands to the step counter and the other witnesses.

    Attributes:
        kind: ``agrees``: as many batches left it as steps (or updates) were made.
            ``several_per_step``: a whole number of batches for each step, or as many as the
            recorder counted. ``whole_passes_behind``: the difference is whole passes, as where a
            Python loop makes an iterator for each. ``ahead``, ``behind``: by ``batches``.
            ``contradicts``: no batch size fits. ``unknown``: nothing to compare.
        batches: how many batches it is ahead or behind, where known.
        passes: how many whole passes it is behind.
        batches_per_update: so many batches left the iterator for each update of the optimizer.
        batches_per_step: so many for each step; 0 where only the recorder's count shows it.
        implied_batch_size: the batch size with which it would agree, where no other is known.
        compared_with: the number it was compared with: of steps, or of updates.
        witness: who says that number, in words, where it is not the step.
        delivered: batches that left it, by its own state.
        lost_before: name of the neighbour that shows the difference to be of an earlier loss.
        fetched_ahead: why the batches it is ahead are lost at every save.
        not_training: why it is not the iterator that feeds the training.
        feeds: who shows that it feeds the training although it is behind.
        mixed_batches: the batch size changed during the run, so that batches do not follow from
            examples.
        confirmed_by: name of the neighbour in which the same assumptions lead to a count that is
            in step.
        reached: examples after as many batches, where passes are not counted in the state.
    """

    kind: AgreementKind
    batches: int | None = None
    passes: int | None = None
    batches_per_update: int | None = None
    batches_per_step: int | None = None
    implied_batch_size: int | None = None
    compared_with: int | None = None
    witness: str | None = None
    delivered: int | None = None
    lost_before: str | None = None
    fetched_ahead: str | None = None
    not_training: str | None = None
    feeds: str | None = None
    mixed_batches: bool = False
    confirmed_by: str | None = None
    reached: Tally | None = None

    @property
    def in_step(self) -> bool:
        """Nothing is lost between the iterator and the step."""
        return self.kind in ("agrees", "several_per_step")


def compare(reading: Reading, step: int | None, source: str | None, hints: Hints) -> Agreement:
    """Compare what left the iterator with the steps made, or the updates."""
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
        return _modulo(progress, examples, step)
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
    if examples < step:
        # Fewer examples than steps, whatever the size of a batch. Where nothing repeats the data a
        # loop may have made iterators for the passes before.
        return Agreement("behind" if progress.repeated else "unknown")
    return Agreement("contradicts")


def _modulo(progress: Progress, examples: Tally, step: int) -> Agreement:
    """The number of whole passes is not stored, or not their size: compare what is left of a
    pass.
    """
    into, passes, per_pass = examples.into or 0, examples.passes, examples.size
    expected = step * (progress.batch_size or 1)
    if into > expected:
        return Agreement("ahead")
    if per_pass is not None or progress.uncut is not None:
        if passes is not None:
            return Agreement("unknown")
        possible = progress.after(step) if progress.batched else ()
        same = next((tally for tally in possible if tally.into == into), None)
        if same is not None:
            return Agreement("agrees", reached=same)
        if _several_steps_for_each(progress, into, step):
            return Agreement("behind")
        if not progress.batched and per_pass:
            return Agreement("agrees" if (expected - into) % per_pass == 0 else "contradicts")
        return Agreement("contradicts" if possible else "unknown")
    if passes is None:
        if into == expected:
            return Agreement("agrees")
        # Later passes have at least as many examples as were consumed of this one.
        return Agreement("behind") if expected - into < into else Agreement("unknown")
    return Agreement("ahead" if passes and into == expected else "unknown")


def _several_steps_for_each(progress: Progress, into: int, step: int) -> bool:
    """The step is a whole multiple of the batches: each batch is trained on several times, as where
    networks take turns.
    """
    size = progress.batch_size or 1
    batches, rest = divmod(into, size)
    return not rest and batches >= _MIN_UPDATES and step > batches and step % batches == 0


def resume_position(
    *,
    step: int | None,
    training: tuple[Reading | None, Agreement] | None,
    iterators: int = 0,
    candidates: int = 0,
    damaged: bool = False,
    data_index: tuple[str, int] | None = None,
    starts_at_zero: bool = False,
    hints: Hints = Hints(),
    recorded: RecordedPlace | None = None,
    in_step: int = 0,
    epoch_end: int | None = None,
) -> Position:
    """The run's position: the training iterator's where it agrees with the step, else what counters
    prove, else what the recorder counted.

    Every field that is None gets its reason.

    Args:
        in_step: iterators that agree with the step, where several feed the training.
        recorded: what the run record beside the checkpoint says.
        epoch_end: the epoch at whose end the checkpoint was saved, where the next one begins with
            a new iterator in any case.
    """
    if damaged:
        return _blank(step, None, "stored bytes are damaged")
    position = _from_files(
        step, training, iterators, candidates, data_index, starts_at_zero, hints, in_step
    )
    if epoch_end is not None and position.kind == "lost":
        position = replace(position, kind="derivable")
    if recorded is None or not _fits(recorded, training):
        return position
    return _completed_by_record(position, recorded)


def _from_files(
    step: int | None,
    training: tuple[Reading | None, Agreement] | None,
    iterators: int,
    candidates: int,
    data_index: tuple[str, int] | None,
    starts_at_zero: bool,
    hints: Hints,
    in_step: int,
) -> Position:
    if training is not None and training[0] is not None:
        return _from_iterator(training[0], training[1], step, hints)
    if training is not None:
        return _blank(step, "stored", "the iterator's state could not be decoded")
    if candidates > 1:
        why = (
            f"{candidates} iterators are stored, and it is not clear which one feeds the "
            "training (see iterators)"
        )
        blank = _blank(step, "stored", why)
        if step is None or in_step < 2:
            return blank
        reasons = {name: text for name, text in blank.reasons.items() if name != "batches_consumed"}
        return replace(blank, batches_consumed=step, reasons=reasons, known_from="state")
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
            known_from="counters",
        )
    if data_index is not None:
        return _from_index(data_index, step, hints)
    return _blank(step, "lost", "no iterator state and no data position is stored")


def _fits(recorded: RecordedPlace, training: tuple[Reading | None, Agreement] | None) -> bool:
    """The state does not say otherwise than the recorder counted: what is decoded wins."""
    if training is None or training[0] is None:
        return True
    delivered = training[1].delivered
    if delivered is None:
        size = training[0].position.batch_size
        return size is None or recorded.batch_size in (None, size)
    return delivered in (recorded.batches, recorded.batches_of_run)


def _completed_by_record(position: Position, recorded: RecordedPlace) -> Position:
    """What the files do not tell, as the recorder counted it."""
    counted: dict[str, int | None] = {
        "epoch": recorded.epoch,
        "examples_into_epoch": recorded.examples_into_epoch,
        "batch_size": recorded.batch_size,
    }
    # A stored iterator counts since it was created; the recorder since the run began.
    if position.kind != "stored" or not recorded.iterator_per_epoch:
        counted["batches_consumed"] = recorded.batches_of_run
        counted["examples_consumed"] = recorded.examples
    if position.epoch not in (None, recorded.epoch) or position.examples_into_epoch is not None:
        counted["epoch"] = counted["examples_into_epoch"] = None
    new = {
        name: value
        for name, value in counted.items()
        if value is not None and getattr(position, name) is None
    }
    if not set(new) - {"batch_size"}:
        return position
    reasons = {name: why for name, why in position.reasons.items() if name not in new}
    return replace(
        position,
        epoch=new.get("epoch", position.epoch),
        examples_into_epoch=new.get("examples_into_epoch", position.examples_into_epoch),
        batches_consumed=new.get("batches_consumed", position.batches_consumed),
        examples_consumed=new.get("examples_consumed", position.examples_consumed),
        batch_size=new.get("batch_size", position.batch_size),
        reasons=reasons,
        known_from="run_record",
    )


def _blank(
    step: int | None, kind: Literal["stored", "derivable", "lost"] | None, reason: str
) -> Position:
    fields = (*COUNTS, "batch_size") if step is not None else ("step", *COUNTS, "batch_size")
    return Position(kind=kind, step=step, reasons=dict.fromkeys(fields, reason))


def own_position(reading: Reading, agreement: Agreement, step: int | None) -> Position:
    """An iterator's position on its own: numbers that rest on an assumption are told only if another
    witness confirms them.
    """
    told = any(getattr(reading.position, name) is not None for name in COUNTS)
    position = replace(reading.position, step=step, known_from="state" if told else None)
    if agreement.mixed_batches and position.batches_consumed is not None:
        why = "the batch size changed during the run, and how many batches had which is not stored"
        reasons = {**position.reasons, "batches_consumed": why}
        position = replace(position, batches_consumed=None, reasons=reasons)
    if step is None:
        why = "no step counter is stored, or several that differ"
        position = replace(position, reasons={**position.reasons, "step": why})
    unproven = [assumption.text for assumption in reading.assumptions if assumption.needs_step]
    confirmed = agreement.confirmed_by is not None or agreement.feeds == RUN_RECORD
    if not unproven or agreement.kind == "agrees" or confirmed:
        return position
    reason = f"it rests on what is not stored: {'; '.join(unproven)}"
    if position.batches_consumed is not None:
        reason += f" (it would be {position.batches_consumed:,} batches)"
    elif position.examples_consumed is not None:
        reason += f" (it would be {position.examples_consumed:,} examples)"
    return replace(_blank(step, "stored", reason), sources=position.sources)


_OUT_OF_STEP = {
    "ahead": "the iterator is ahead of the step counter",
    "behind": "the iterator is behind the step counter",
    "contradicts": "the iterator and the step counter contradict each other",
}


def _from_iterator(
    reading: Reading, agreement: Agreement, step: int | None, hints: Hints
) -> Position:
    if agreement.not_training is not None:
        return _blank(step, "lost", f"the stored iterator is another one: {agreement.not_training}")
    if agreement.kind in _OUT_OF_STEP and agreement.feeds != RUN_RECORD:
        why = f"{_OUT_OF_STEP[agreement.kind]} (see the iterator's own position)"
        return _blank(step, "stored", why)
    position = own_position(reading, agreement, step)
    if agreement.kind == "whole_passes_behind" and agreement.passes is not None:
        # The program makes an iterator for each pass: only the epoch counts on.
        return replace(
            position, epoch=None if position.epoch is None else position.epoch + agreement.passes
        )
    return _completed_by_step(position, reading, agreement)


def _completed_by_step(position: Position, reading: Reading, agreement: Agreement) -> Position:
    """Totals that TensorFlow does not store, where the iterator agrees with the step."""
    step = agreement.compared_with
    size, per_pass = position.batch_size, reading.position.epoch_size
    if (
        agreement.kind != "agrees"
        or step is None
        or size is None
        or position.batches_consumed is not None
    ):
        return position
    if position.examples_consumed is not None:
        return position
    if reading.progress.uncut is not None and agreement.reached is None:
        return position
    epoch, into, total = position.epoch, position.examples_into_epoch, step * size
    reached = agreement.reached
    if reached is not None and reached.total is not None:
        epoch, into, total = reached.passes, reached.into, reached.total
    elif per_pass and not reading.progress.batches_span_passes and per_pass % size:
        return position  # short batches at the ends of passes
    elif per_pass:
        epoch = (total - 1) // per_pass if total else 0
        into = (total - 1) % per_pass + 1 if total else 0
    elif into == total:
        epoch = 0
    told = {
        "batches_consumed": step,
        "examples_consumed": total,
        "epoch": epoch,
        "examples_into_epoch": into,
    }
    reasons = {name: why for name, why in position.reasons.items() if told.get(name) is None}
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
            known_from="counters",
        )
    return _blank(
        step, "derivable", f"{name} is {value}, but its unit is not stored (give --batch-size)"
    )
