"""What resuming repeats or never sees, in ranges of examples, where that is known.

Only where the size of an epoch and how often the program makes an iterator are known, where a
recording or counts that agree show where the data stood, and where the order is fixed."""

from __future__ import annotations

from ckptscope.iterator.position import Reading
from ckptscope.resume.facts import Facts, IteratorFact
from ckptscope.resume.model import EpochRange, Loss, epoch_ranges
from ckptscope.resume.recorded import RecordedPlace


def loss_of(facts: Facts) -> Loss | None:
    """The loss of resuming from these facts; None where nothing is lost or it is not known."""
    if facts.is_damaged or facts.absent:
        return None
    if facts.training is not None:
        return _of_iterator(facts, facts.training)
    if facts.iterators or facts.at_start or not facts.has_weights or facts.epoch_end is not None:
        return None
    if facts.partner_of_other_step is not None:
        return _of_partner(facts, facts.partner_of_other_step)
    if facts.recorded is not None and not facts.partners and facts.data_index is None:
        return _of_record(facts, facts.recorded)
    return None


def _of_iterator(facts: Facts, iterator: IteratorFact) -> Loss | None:
    """Batches that had left the iterator before they were trained on."""
    agreement, reading, step = iterator.agreement, iterator.reading, facts.step.value
    if reading is None or agreement.kind != "ahead" or not agreement.batches or not step:
        return None
    if agreement.lost_before is not None or agreement.not_training is not None:
        return None
    delivered = agreement.delivered or 0
    if delivered >= 2 * step or facts.order_is_fixed is False or facts.recorded is not None:
        return None
    if facts.neighbours and agreement.fetched_ahead is None:
        return None  # an earlier resume may have skipped them
    size = facts.hints.batch_size or reading.position.batch_size
    epoch_size = facts.hints.epoch_size or reading.position.epoch_size
    if not size or not epoch_size:
        return None
    start = _examples_after(reading, step, size, epoch_size)
    end = _examples_after(reading, step + agreement.batches, size, epoch_size)
    if start is None or end is None:
        return None
    return Loss(skipped=epoch_ranges(start, end, epoch_size))


def _examples_after(reading: Reading, batches: int, size: int, epoch_size: int) -> int | None:
    """Examples in the first so many batches; None where that depends on what becomes of a short
    batch at the end of an epoch, and that is not known.
    """
    if epoch_size % size == 0 or batches * size < epoch_size:
        return batches * size
    totals = {tally.total for tally in reading.progress.after(batches)}
    return totals.pop() if len(totals) == 1 else None


def _of_partner(facts: Facts, partner: IteratorFact) -> Loss | None:
    """Between the step of the model and that of the nearest input checkpoint, which agree."""
    step, size, epoch_size = facts.step.value, facts.hints.batch_size, facts.hints.epoch_size
    reading, other = partner.reading, partner.agreement.compared_with
    if reading is None or partner.agreement.kind != "agrees" or other is None or step is None:
        return None
    size = size or reading.position.batch_size
    epoch_size = epoch_size or reading.position.epoch_size
    if not size or not epoch_size or facts.order_is_fixed is False or partner.proofs:
        return None
    theirs = _examples_after(reading, other, size, epoch_size)
    ours = _examples_after(reading, step, size, epoch_size)
    if theirs is None or ours is None:
        return None
    if theirs < ours:
        return Loss(repeated=epoch_ranges(theirs, ours, epoch_size))
    return Loss(skipped=epoch_ranges(ours, theirs, epoch_size))


def _of_record(facts: Facts, place: RecordedPlace) -> Loss | None:
    """Everything that the running iterator had delivered: of the run, or of its epoch."""
    if not place.order_is_fixed or not place.epoch_size or place.at_epoch_end:
        return None
    if place.iterator_per_epoch:
        if place.epoch is None or not place.examples_into_epoch:
            return None
        return Loss(repeated=(EpochRange(place.epoch, 0, place.examples_into_epoch),))
    if place.iterator_per_epoch is None or not place.examples:
        return None
    if facts.step.value is None or place.batches_of_run != facts.step.value:
        return None  # a resume before this one: other examples were seen, too
    return Loss(repeated=epoch_ranges(0, place.examples, place.epoch_size))
