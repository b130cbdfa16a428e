"""Where the recorder counted the data to stand: records of this version and of earlier ones."""

from __future__ import annotations

import pytest

from ckptscope.checkpoint.run_record import RunRecord
from ckptscope.resume.neighbours import Delivered, Neighbour
from ckptscope.resume.recorded import RecordedPlace, believed, recorded_place
from tests.resume.rules.iterators import pipeline, record

PLAIN = ("BatchDatasetV2", "TensorSliceDataset")
BATCHES_REPEATED = ("RepeatDataset", "BatchDatasetV2", "TensorSliceDataset")
REPEATED = ("BatchDatasetV2", "RepeatDataset", "TensorSliceDataset")


def now(**more: object) -> RunRecord:
    """A record of this version, of a loop."""
    return record(**{"fed": "loop", "counted_batches": 7, **more})


def early(*ops: str, counted: int = 7, step: int = 7, **more: object) -> RunRecord:
    """A record of an earlier version: a count of batches of 4, and 40 examples an epoch."""
    sizes = {"batch_size": 4, "epoch_size": 40}
    return record(pipeline(*ops), step=step, counted_batches=counted, **{**sizes, **more})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (record(), None),
        (now(counted_batches=None), None),
        (now(position_problem="counting and decoding disagree"), None),
        (now(), RecordedPlace(7, batches_of_run=7)),
        (
            now(
                batch_size=4,
                epoch_size=40,
                epoch=0,
                examples_into_epoch=28,
                examples_counted=28,
                epochs="one_iterator",
                order="fixed",
            ),
            RecordedPlace(7, 28, 0, 28, 4, 40, False, True, 7),
        ),
        (now(order="shuffled"), RecordedPlace(7, order_is_fixed=False, batches_of_run=7)),
        (
            now(order="fixed", order_depends_on_epoch=True),
            RecordedPlace(7, order_is_fixed=False, batches_of_run=7),
        ),
        (
            now(order="fixed", deterministic=False),
            RecordedPlace(7, order_is_fixed=False, batches_of_run=7),
        ),
        # an iterator for each epoch: what was counted is of the running one
        (
            now(epochs="iterator_per_epoch", epoch=0, batches_into_epoch=7),
            RecordedPlace(7, epoch=0, iterator_per_epoch=True, batches_of_run=7),
        ),
        (
            now(epochs="iterator_per_epoch", epoch=2, batches_into_epoch=7, steps_per_epoch=10),
            RecordedPlace(7, epoch=2, iterator_per_epoch=True, batches_of_run=27),
        ),
        (
            now(epochs="iterator_per_epoch", epoch=2, steps_per_epoch=10),
            RecordedPlace(7, epoch=2, iterator_per_epoch=True),
        ),
        (
            now(epochs="iterator_per_epoch", epoch=2, batches_into_epoch=7),
            RecordedPlace(7, epoch=2, iterator_per_epoch=True),
        ),
    ],
)
def test_records_of_this_version(given: RunRecord | None, expected: RecordedPlace | None) -> None:
    assert recorded_place(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (record(counted_batches=7), None),  # no pipeline
        (early(*PLAIN, batch_size=None), RecordedPlace(7, order_is_fixed=True)),
        (early(*PLAIN, epoch_size=None), RecordedPlace(7, batch_size=4, order_is_fixed=True)),
        # nothing repeats the data: one iterator for each epoch
        (early(*PLAIN), RecordedPlace(7, 28, 0, 28, 4, 40, True, True, 7)),
        (early(*PLAIN, counted=10, step=10), RecordedPlace(10, 40, 0, 40, 4, 40, True, True, 10)),
        (early(*PLAIN, counted=1, step=11), RecordedPlace(1, 44, 1, 4, 4, 40, True, True, 11)),
        (early(*PLAIN, counted=0, step=0), RecordedPlace(0, 0, 0, 0, 4, 40, True, True, 0)),
        (
            early(*PLAIN, counted=3, step=3, epoch_size=10),  # batches of 4, 4 and 2
            RecordedPlace(3, 10, 0, 10, 4, 10, True, True, 3),
        ),
        (
            early(*PLAIN, counted=3, step=7),  # not that of the step
            RecordedPlace(3, None, None, None, 4, 40, True, True),
        ),
        # one iterator
        (early(*BATCHES_REPEATED), RecordedPlace(7, 28, 0, 28, 4, 40, False, True, 7)),
        (
            early(*BATCHES_REPEATED, counted=10),
            RecordedPlace(10, 40, 0, 40, 4, 40, False, True, 10),
        ),
        (
            early(*BATCHES_REPEATED, counted=11),
            RecordedPlace(11, 44, 1, 4, 4, 40, False, True, 11),
        ),
        (early(*BATCHES_REPEATED, counted=0), RecordedPlace(0, 0, 0, 0, 4, 40, False, True, 0)),
        # short batches at the ends of passes: examples do not follow
        (
            early(*BATCHES_REPEATED, epoch_size=10),
            RecordedPlace(7, batch_size=4, order_is_fixed=True),
        ),
        (early(*REPEATED, epoch_size=10), RecordedPlace(7, 28, 2, 8, 4, 10, False, True, 7)),
        # another order
        (
            early(*REPEATED, "ShuffleDatasetV3"),
            RecordedPlace(7, 28, 0, 28, 4, 40, False, False, 7),
        ),
    ],
)
def test_records_of_earlier_versions(given: RunRecord, expected: RecordedPlace | None) -> None:
    assert recorded_place(given) == expected


@pytest.mark.parametrize(
    ("into", "size", "at_end"),
    [(40, 40, True), (36, 40, False), (None, None, False), (0, 0, False)],
)
def test_the_end_of_an_epoch(into: int | None, size: int | None, at_end: bool) -> None:
    assert RecordedPlace(7, examples_into_epoch=into, epoch_size=size).at_epoch_end == at_end


def neighbour(
    sizes: tuple[int, int] | None = None, step: int | None = None, batches: int | None = None
) -> Neighbour:
    """What another checkpoint says of sizes, steps and batches."""
    counters = {} if step is None else {"step": step}
    return Neighbour(
        "ckpt-5", counters=counters, delivered={"it": Delivered(batches)}, recorded_sizes=sizes
    )


PLACE = RecordedPlace(7)


@pytest.mark.parametrize(
    ("place", "given", "neighbours", "expected"),
    [
        (PLACE, early(*PLAIN), (), PLACE),
        (PLACE, early(*PLAIN), (neighbour((4, 40)),), PLACE),
        (PLACE, early(*PLAIN), (neighbour((8, 40)),), None),  # the batch size changed
        (PLACE, early(*PLAIN), (neighbour((4, 80)),), None),
        (PLACE, now(), (neighbour((8, 40)),), PLACE),  # this version counts what there is
        (PLACE, early(*PLAIN), (neighbour(step=5, batches=10),), None),  # two for each step
        (PLACE, early(*PLAIN), (neighbour(step=5, batches=9),), PLACE),
        (PLACE, early(*PLAIN), (neighbour(step=5),), PLACE),
        (PLACE, early(*PLAIN), (neighbour(batches=10),), PLACE),
        (RecordedPlace(14), early(*PLAIN), (neighbour(step=5, batches=10),), RecordedPlace(14)),
        (None, early(*PLAIN), (neighbour((8, 40)),), None),
        (PLACE, None, (neighbour((8, 40)),), PLACE),
    ],
)
def test_early_counts_are_held_against_the_neighbours(
    place: RecordedPlace | None,
    given: RunRecord | None,
    neighbours: tuple[Neighbour, ...],
    expected: RecordedPlace | None,
) -> None:
    assert believed(place, given, "step", neighbours) == expected
