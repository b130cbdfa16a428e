from __future__ import annotations

import numpy as np
import pytest

from ckptscope.inspection import inspect
from ckptscope.iterator.position import COUNTS, Hints, Position, Reading
from ckptscope.iterator.progress import Assumption, Progress, Tally
from ckptscope.resume.agreement import Agreement, compare, resume_position
from tests import writers

AGREES = Agreement("agrees")
UNKNOWN = Agreement("unknown")


def batches(total, per_pass=None, **options) -> Progress:
    return Progress(Tally(total, size=per_pass), Tally(), batched=True, batch_size=4, **options)


def examples(total=None, passes=None, into=None, size=None, **options) -> Progress:
    return Progress(
        Tally(), Tally(total, passes, into, size), batched=True, **{"batch_size": None, **options}
    )


def reading(
    progress: Progress, exhausted: bool = False, position: Position | None = None
) -> Reading:
    return Reading(position or Position("stored"), progress, True, exhausted, progress.assumptions)


def agreement(progress, step, source="own", hints=None, exhausted=False) -> Agreement:
    return compare(reading(progress, exhausted), step, source, hints or Hints())


@pytest.mark.parametrize(
    ("progress", "step", "expected"),
    [
        # as many batches as steps
        (batches(7), 7, AGREES),
        (batches(0), 0, AGREES),
        (batches(7), None, UNKNOWN),
        # more: batches were fetched and lost
        (batches(9), 7, Agreement("ahead", 2)),
        (batches(1), 0, Agreement("ahead", 1)),
        (batches(14), 7, Agreement("ahead", 7)),
        # fewer: an earlier loss, or another iterator
        (batches(4), 12, Agreement("behind", 8)),
        (batches(0), 12, Agreement("behind", 12)),
        # fewer by whole passes: a Python loop makes an iterator for each epoch
        (batches(4, per_pass=10), 24, Agreement("whole_passes_behind", 20, 2)),
        (batches(4, per_pass=10), 14, Agreement("whole_passes_behind", 10, 1)),
        (batches(4, per_pass=10), 23, Agreement("behind", 19)),
        (batches(4, per_pass=10, repeated=True), 24, Agreement("behind", 20)),
        # the batch size is not stored
        (examples(28), 7, Agreement("unknown", implied_batch_size=4)),
        (examples(0), 0, Agreement("agrees", 0)),
        (examples(0), 7, Agreement("behind", 7)),
        # only what is left of a pass is stored, and the batch size is known
        (examples(into=28, batch_size=4), 7, AGREES),
        (examples(into=32, batch_size=4), 7, Agreement("ahead")),
        (examples(into=24, batch_size=4), 7, Agreement("behind")),
        (examples(into=8, batch_size=4), 12, UNKNOWN),  # 40 examples in earlier passes, perhaps
        (
            examples(into=8, size=40, batch_size=4),
            12,
            Agreement("agrees", reached=Tally(48, 1, 8, 40)),
        ),
        (examples(into=8, size=40, batch_size=4), 13, Agreement("contradicts")),
        (examples(into=8, size=40, batch_size=4), 1, Agreement("ahead")),
        # fewer examples than steps, whatever the size of a batch
        (examples(5, passes=0, repeated=True), 7, Agreement("behind")),
        (examples(5, passes=0), 7, UNKNOWN),  # a loop may have made iterators before
        # no batch size fits, unless a short batch spoils the division
        (examples(30, passes=0), 7, Agreement("contradicts")),
        (examples(30, passes=0, pass_over=True), 7, UNKNOWN),
        (examples(30, passes=0, is_shuffled=True), 7, UNKNOWN),
        (examples(30, passes=1), 7, UNKNOWN),
        (examples(30, passes=1, crosses_passes=True), 7, Agreement("contradicts")),
        (examples(30), 0, Agreement("ahead")),
        # passes end with a short batch: 10 examples in batches of 4, 4 and 2
        (
            examples(into=4, size=10, batch_size=4, drops_remainder=False),
            7,
            Agreement("agrees", reached=Tally(24, 2, 4, 10)),
        ),
        (
            examples(into=4, size=10, batch_size=4, drops_remainder=False),
            8,
            Agreement("contradicts"),
        ),
        # nothing says that the short batch is kept: 2 or 3 batches a pass
        (
            examples(into=8, size=10, batch_size=4),
            8,
            Agreement("agrees", reached=Tally(28, 2, 8, 10)),
        ),
        (
            examples(into=8, size=10, batch_size=4),
            6,
            Agreement("agrees", reached=Tally(24, 2, 8, 8)),
        ),
        # the batches cross the ends of passes
        (
            examples(into=8, size=10, batch_size=4, crosses_passes=True, repeated=True),
            7,
            Agreement("agrees", reached=Tally(28, 2, 8, 10)),
        ),
        (
            examples(into=4, size=10, batch_size=4, crosses_passes=True, repeated=True),
            7,
            Agreement("contradicts"),
        ),
        # each batch is trained on three times
        (examples(into=16, size=40, batch_size=4), 12, Agreement("behind")),
        # passes are counted, not their size
        (examples(passes=1, into=8, batch_size=4), 2, Agreement("ahead")),
        (examples(passes=1, into=8, batch_size=4), 12, UNKNOWN),
        # nothing to compare
        (Progress.unknown("its counters are gone", ended=True), 10, UNKNOWN),
    ],
)
def test_table(progress, step, expected):
    assert agreement(progress, step) == expected


@pytest.mark.parametrize(
    ("consumed", "updates", "expected"),
    [
        (7, 7, AGREES),
        (
            28,
            7,
            Agreement("unknown", batches_per_update=4),
        ),  # gradients of four batches are accumulated
        (29, 7, Agreement("ahead", 22)),
        (3, 7, Agreement("behind", 4)),
        (4, 2, Agreement("ahead", 2)),  # below three updates a whole factor says nothing
    ],
)
def test_optimizer_iterations_as_step(consumed, updates, expected):
    assert agreement(batches(consumed), updates, "optimizer") == expected


def test_an_own_step_has_no_batches_for_each_update():
    assert agreement(batches(28), 7, "own") == Agreement("ahead", 21)


def test_several_for_each_step_are_in_step():
    assert Agreement("several_per_step").in_step
    assert not Agreement("ahead", 7).in_step


def test_elements_that_are_no_batches_are_counted_one_by_one():
    progress = Progress.of(Tally.single_pass(28, 40))
    assert agreement(progress, 28) == AGREES
    assert agreement(progress, 7, hints=Hints(batch_size=4)) == Agreement("ahead", 21)


def test_exhausted_iterator_has_nothing_to_compare():
    assert agreement(Progress.unknown("ended", ended=True), 10, exhausted=True) == UNKNOWN


# ------------------------------------------------------------ the position


def position_of(training=None, **facts) -> Position:
    defaults = {
        "step": 7,
        "iterators": 0 if training is None else 1,
        "candidates": 0 if training is None else 1,
        "damaged": False,
        "data_index": None,
        "starts_at_zero": False,
        "hints": Hints(),
    }
    return resume_position(training=training, **{**defaults, **facts})


STORED = Position("stored", None, 0, 7, 28, 28, 4, 40)


@pytest.mark.parametrize("kind", ["ahead", "behind", "contradicts"])
def test_disagreement_blanks_all_but_the_step(kind):
    found = position_of((reading(batches(9), position=STORED), Agreement(kind, 2)))
    assert (found.kind, found.step) == ("stored", 7)
    assert [getattr(found, name) for name in (*COUNTS, "batch_size")] == [None] * 5
    assert set(found.reasons) == {*COUNTS, "batch_size"}


def test_agreement_keeps_the_numbers():
    found = position_of((reading(batches(7), position=STORED), AGREES))
    assert (found.step, found.batches_consumed, found.examples_consumed, found.epoch) == (
        7,
        7,
        28,
        0,
    )


def test_whole_passes_behind_count_on_the_epoch():
    found = position_of(
        (reading(batches(7), position=STORED), Agreement("whole_passes_behind", 20, 2)), step=27
    )
    assert (found.epoch, found.batches_consumed, found.examples_into_epoch) == (2, 7, 28)


def test_assumptions_need_an_agreeing_step():
    progress = batches(7).assuming(Assumption("ORIGIN", "the range starts at 0", True))
    held = position_of((reading(progress, position=STORED), UNKNOWN))
    assert (held.step, held.batches_consumed) == (7, None)
    assert "the range starts at 0" in held.reasons["batches_consumed"]
    assert position_of((reading(progress, position=STORED), AGREES)).batches_consumed == 7


@pytest.mark.parametrize(
    ("facts", "kind", "step"),
    [
        ({}, "lost", 7),
        ({"step": None}, "lost", None),
        ({"damaged": True, "step": None}, None, None),
        ({"damaged": True}, None, 7),
        ({"iterators": 2, "candidates": 2}, "stored", 7),
        ({"iterators": 1, "candidates": 1}, "stored", 7),
        ({"data_index": ("start_index", 28)}, "derivable", 7),
    ],
)
def test_positions_without_a_training_iterator(facts, kind, step):
    found = position_of(**facts)
    assert (found.kind, found.step) == (kind, step)
    missing = {name for name in ("step", *COUNTS, "batch_size") if getattr(found, name) is None}
    assert missing == set(found.reasons)
    assert missing >= set(COUNTS)


def test_step_zero_without_iterator_is_the_start():
    found = position_of(step=0, starts_at_zero=True)
    assert found.kind == "derivable"
    assert [getattr(found, name) for name in ("step", *COUNTS)] == [0] * 5


@pytest.mark.parametrize(
    ("index", "hints", "expected"),
    [
        (28, Hints(batch_size=4), (None, 7, 28, None)),
        (28, Hints(batch_size=4, epoch_size=20), (1, 7, 28, 8)),
        (28, Hints(batch_size=4, epoch_size=28), (0, 7, 28, 28)),
        (28, Hints(), (None, None, None, None)),
        (27, Hints(batch_size=4), (None, None, None, None)),
        (
            7,
            Hints(batch_size=4),
            (None, None, None, None),
        ),  # in batches, perhaps: the unit is not proven
    ],
)
def test_data_index(index, hints, expected):
    found = position_of(data_index=("start_index", index), hints=hints)
    assert (
        found.epoch,
        found.batches_consumed,
        found.examples_consumed,
        found.examples_into_epoch,
    ) == expected


# ------------------------------------------------------------ from files


def checkpoint(tmp_path, index, step, held=0, **extra):
    """``from_tensor_slices`` in batches of 4 behind a prefetch that holds ``held`` of them."""
    root = "Iterator::Root::Prefetch"
    prefetch = {"buffer_size": np.int64(held)}
    state = {root: prefetch, f"{root}::BatchV2::TensorSlice": {"i": np.int64(index)}}
    for number in range(held):
        state[f"{root}::{number}"] = {
            "status.code": np.int64(0),
            "buffer[0]": np.zeros((4, 3), "float32"),
            "buffer.size": np.int64(1),
        }
    bundle = writers.Bundle().array("w", np.ones(3, "float32")).array("global_step", np.array(step))
    return bundle.variant("iterator", writers.named_state(state)).write(tmp_path / f"ckpt-{step}")


@pytest.mark.parametrize(
    ("index", "held", "step", "verdict", "status"),
    [
        (36, 2, 7, None, "saved"),  # 36 read, two batches of 4 wait: 28 consumed
        (44, 2, 7, "approximate", "inconsistent"),
        (20, 2, 7, None, "inconsistent"),
    ],
)
def test_written_states(tmp_path, index, held, step, verdict, status):
    found = inspect(checkpoint(tmp_path, index, step, held))
    (iterator,) = found.iterators
    assert iterator.decoded
    assert iterator.stages[0].held_elements == held
    assert iterator.position.examples_consumed == index - 4 * held
    assert any(
        f.component == "iterator" and (f.status, f.verdict) == (status, verdict)
        for f in found.resume.findings
    )
    if status == "saved":
        assert (
            found.resume.position.examples_consumed,
            found.resume.position.batches_consumed,
        ) == (28, 7)
    else:
        assert found.resume.position.examples_consumed is None


@pytest.mark.parametrize(
    ("start", "stop", "size", "expected"),
    [
        (0, 0, 10, 0),
        (5, 5, None, 0),
        (3, 25, 10, 3),
        (0, 1000, 10, 100),
        (7, 650, None, 1),
        (0, 10**18, 10, 0),
    ],
)
def test_ranges_over_epochs_are_whole_or_not_told(start, stop, size, expected):
    from ckptscope.resume.model import epoch_ranges

    found = epoch_ranges(start, stop, size)
    assert len(found) == expected
    if found:
        assert sum(item.stop - item.start for item in found) == stop - start
        assert (
            found[0].start + found[0].epoch * (size or 0),
            found[-1].stop + found[-1].epoch * (size or 0),
        ) == (
            start,
            stop,
        )
