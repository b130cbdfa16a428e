"""What a step takes, told by others than the two checkpoints that are compared."""

from __future__ import annotations

import pytest

from ckptscope.checkpoint.run_record import RecordedFile, RunRecord
from ckptscope.comparison.data import course_of
from ckptscope.comparison.pipelines import pipeline_change
from ckptscope.comparison.places import Place
from ckptscope.comparison.rates import known_rate
from ckptscope.resume.facts import Facts, IteratorFact, StepFact
from ckptscope.resume.neighbours import Delivered, Neighbour
from ckptscope.resume.recorded import RecordedPlace

ITERATOR = IteratorFact("it")


def place(step: int, batches: int | None, *, endless: bool = True) -> Place:
    return Place(step, None, ITERATOR, batches, endless=endless)


def record(**changes: object) -> RunRecord:
    values = {"path": "", "attempt": "a", "step": 0, "pipeline": None, "files": ()}
    values |= {"batch_size": None, "epoch_size": None, "random_layers": None, "versions": {}}
    return RunRecord(**(values | changes))


def earlier(*points: tuple[int, int | None], later: bool = False) -> tuple[Neighbour, ...]:
    return tuple(
        Neighbour(f"ckpt-{step}", later, step, {"step": step}, {"it": Delivered(batches)})
        for step, batches in points
    )


# (step, batches) of earlier checkpoints, of A, and the only rate that is left.
EARLIER = [
    ([(5, 5)], (10, 10), 1),
    ([(5, 10)], (10, 20), 2),
    ([], (10, 10), None),  # two checkpoints alone show nothing
    ([(5, 10)], (10, 15), None),  # at two for each step, then at one
    ([(5, 5), (15, 20)], (20, 25), 1),  # something was skipped between: that is no rate
    ([(5, 5)], (10, 5), None),
    ([(5, None)], (10, 10), None),
]


@pytest.mark.parametrize(("points", "at", "expected"), EARLIER)
def test_earlier_checkpoints_show_the_rate(points, at, expected):
    a = Facts(step=StepFact(at[0], "step"), neighbours=earlier(*points))
    places = (place(*at), place(at[0] + 5, None))
    assert known_rate(a, Facts(), places) == expected
    once = tuple(place(one.step, one.batches, endless=False) for one in places)
    assert known_rate(a, Facts(), once) is None


def test_later_checkpoints_show_nothing_of_what_came_before():
    a = Facts(step=StepFact(10, "step"), neighbours=earlier((5, 5), later=True))
    assert known_rate(a, Facts(), (place(10, 10), place(15, 20))) is None


# (rate recorded, batches counted) of A and B, at 10 and 20 batches.
RECORDED = [
    ((1, 10), (1, 20), 1),
    ((2, 10), (2, 20), 2),
    ((1, 10), (2, 20), None),
    ((1, 5), (1, 10), None),  # the program did not tell of every batch
    ((None, 10), (None, 20), None),
]


@pytest.mark.parametrize(("first", "second", "expected"), RECORDED)
def test_the_recorder_shows_the_rate_where_iterators_confirm_it(first, second, expected):
    a, b = (
        Facts(run_record=record(batches_per_step=rate), recorded=RecordedPlace(counted))
        for rate, counted in (first, second)
    )
    assert known_rate(a, b, (place(10, 10), place(15, 20))) == expected


# From (10, 10): where it is after 5 more steps, and the course with and without a known rate of 1.
COURSES = [
    (15, "in_step", "in_step"),
    (20, "ahead", "unknown"),
    (18, "ahead", "ahead"),
    (10, "lost", "lost"),
    (13, "lost", "lost"),
]


@pytest.mark.parametrize(("batches", "known", "alone"), COURSES)
def test_a_known_rate_leaves_no_other_reading(batches, known, alone):
    a, b = place(10, 10), place(15, batches)
    with_rate = course_of(a, b, 1)
    assert (with_rate.kind, with_rate.is_only) == (known, True)
    assert course_of(a, b).kind == alone


def files(*names: str, fingerprint: str | None = None) -> tuple[RecordedFile, ...]:
    return tuple(RecordedFile(name, None, None, fingerprint) for name in names)


PIPELINES = [
    ({"batch_size": 4}, {"batch_size": 8}, "the batch size became 8, from 4"),
    ({"batch_size": 4}, {"batch_size": None}, None),
    ({"files": files("d/a", "d/b")}, {"files": files("e/a", "e/b")}, None),  # moved
    ({"files": files("a", "b")}, {"files": files("a")}, "no longer read: b"),
    ({"files": files("a")}, {"files": files("a", "c")}, "new: c"),
    ({"files": files("a", "b")}, {"files": files("b", "a")}, "the same data files are read"),
    ({"files": files("a", fingerprint="1")}, {"files": files("a", fingerprint="2")}, "contents"),
    ({"files": files("a", fingerprint="1")}, {"files": files("a")}, None),
    ({"files": files("a")}, {"files": ()}, None),  # they were not found: that shows nothing
]


@pytest.mark.parametrize(("old", "new", "told"), PIPELINES)
def test_run_records_show_another_pipeline(old, new, told):
    a, b = Facts(run_record=record(**old)), Facts(run_record=record(**new))
    found = pipeline_change(a, b, (Place(1, None), Place(2, None)))
    assert found is None if told is None else told in (found or "")
    assert pipeline_change(a, Facts(), (Place(1, None), Place(2, None))) is None
