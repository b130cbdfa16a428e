"""Where the recorder counted the data to stand, from the run record beside a checkpoint.

A record of this version says it outright. Earlier ones hold a count of batches only, of the run or
of the running epoch: it is used where the pipeline and the step leave one reading of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ckptscope.checkpoint.meta_graph import GraphPipeline
from ckptscope.checkpoint.run_record import RunRecord
from ckptscope.dataset_ops import of_node
from ckptscope.resume.neighbours import Neighbour


@dataclass(frozen=True, slots=True)
class RecordedPlace:
    """Where the data stood when this checkpoint was saved, as the recorder counted.

    Attributes:
        batches: that the recorder counted; of the running epoch where each has an iterator.
        examples: place in the data of the run; None where the size of an epoch is not known.
        epoch: 0-based, of the last example consumed.
        examples_into_epoch: consumed of that epoch.
        batch_size: examples of a full batch.
        epoch_size: examples that one epoch delivers.
        iterator_per_epoch: the program makes an iterator for each epoch; None where not known.
        order_is_fixed: each epoch comes in the same order.
        batches_of_run: since the run began; None where that does not follow.
    """

    batches: int
    examples: int | None = None
    epoch: int | None = None
    examples_into_epoch: int | None = None
    batch_size: int | None = None
    epoch_size: int | None = None
    iterator_per_epoch: bool | None = None
    order_is_fixed: bool | None = None
    batches_of_run: int | None = None

    @property
    def at_epoch_end(self) -> bool:
        """The last example of an epoch has been delivered."""
        return bool(self.epoch_size) and self.examples_into_epoch == self.epoch_size


def recorded_place(record: RunRecord | None) -> RecordedPlace | None:
    """The place that a run record tells; None where it does not, or two counts disagreed."""
    if record is None or record.position_problem is not None or record.counted_batches is None:
        return None
    if record.fed is not None:
        return _told(record)
    if record.pipeline is None:
        return None
    return _followed(record, record.pipeline)


def keeps_order(pipeline: GraphPipeline) -> bool:
    """Each pass comes in the same order: nothing shuffles, or hands over what is ready first."""
    rows = [of_node(op) for op in pipeline.ops]
    if pipeline.nondeterministic or any(row is None for row in rows):
        return False
    return not any(row.draws for row in rows if row is not None)


def _told(record: RunRecord) -> RecordedPlace:
    per_epoch = None if record.epochs is None else record.epochs == "iterator_per_epoch"
    fixed = None if record.order is None else record.order == "fixed"
    if record.order_depends_on_epoch is False and record.order is not None:
        fixed = True  # whatever the order is, it is that of every epoch
    if record.order_depends_on_epoch or record.deterministic is False:
        fixed = False
    size, examples = record.batch_size, record.examples_counted
    of_run = record.counted_batches
    if per_epoch:
        of_run = _batches_before(record) if record.epoch else record.batches_into_epoch
    return RecordedPlace(
        batches=record.counted_batches or 0,
        examples=examples,
        epoch=record.epoch,
        examples_into_epoch=record.examples_into_epoch,
        batch_size=size,
        epoch_size=record.epoch_size,
        iterator_per_epoch=per_epoch,
        order_is_fixed=fixed,
        batches_of_run=of_run,
    )


def _batches_before(record: RunRecord) -> int | None:
    """Batches since the run began, where each epoch has an iterator of its own."""
    if record.steps_per_epoch is None or record.batches_into_epoch is None or record.epoch is None:
        return None
    return record.epoch * record.steps_per_epoch + record.batches_into_epoch


def _followed(record: RunRecord, pipeline: GraphPipeline) -> RecordedPlace | None:
    """From the count of an earlier version: of the run, or of the running epoch."""
    size, epoch_size = record.batch_size, record.epoch_size
    counted = record.counted_batches or 0
    rows = [of_node(op) for op in pipeline.ops]
    repeats = next((i for i, row in enumerate(rows) if row is not None and row.repeats), None)
    fixed = keeps_order(pipeline)
    if not size or not epoch_size:
        return RecordedPlace(counted, batch_size=size, order_is_fixed=fixed)
    if repeats is None:
        return _of_one_pass(record, counted, size, epoch_size, fixed)
    batch = next((i for i, row in enumerate(rows) if row is not None and row.makes_batches), 0)
    if repeats < batch and epoch_size % size:
        return RecordedPlace(counted, batch_size=size, order_is_fixed=fixed)
    examples = counted * size
    return RecordedPlace(
        batches=counted,
        examples=examples,
        epoch=max(0, examples - 1) // epoch_size,
        examples_into_epoch=(examples - 1) % epoch_size + 1 if examples else 0,
        batch_size=size,
        epoch_size=epoch_size,
        iterator_per_epoch=False,
        order_is_fixed=fixed,
        batches_of_run=counted,
    )


def _of_one_pass(
    record: RunRecord, counted: int, size: int, epoch_size: int, fixed: bool
) -> RecordedPlace | None:
    """Nothing repeats the data, so the program makes an iterator for each epoch."""
    per_epoch = -(-epoch_size // size)
    if counted % per_epoch != record.step % per_epoch:
        return RecordedPlace(
            counted,
            batch_size=size,
            epoch_size=epoch_size,
            iterator_per_epoch=True,
            order_is_fixed=fixed,
        )
    epoch = max(0, record.step - 1) // per_epoch
    within = (record.step - 1) % per_epoch + 1 if record.step else 0
    into = min(within * size, epoch_size)
    return RecordedPlace(
        batches=counted,
        examples=epoch * epoch_size + into,
        epoch=epoch,
        examples_into_epoch=into,
        batch_size=size,
        epoch_size=epoch_size,
        iterator_per_epoch=True,
        order_is_fixed=fixed,
        batches_of_run=record.step,
    )


def believed(
    place: RecordedPlace | None,
    record: RunRecord | None,
    step_key: str | None,
    neighbours: tuple[Neighbour, ...],
) -> RecordedPlace | None:
    """The place, unless an early record is contradicted by the neighbours.

    Earlier recorders counted in batches of the present size, and one for each step where nobody
    told them otherwise."""
    if place is None or record is None or record.fed is not None:
        return place
    sizes = (record.batch_size, record.epoch_size)
    for neighbour in neighbours:
        if neighbour.recorded_sizes is not None and neighbour.recorded_sizes != sizes:
            return None
        step = neighbour.counters.get(step_key or "")
        for given in neighbour.delivered.values():
            several = step and given.batches and given.batches >= 2 * step
            if several and place.batches == record.step:
                return None
    return place
