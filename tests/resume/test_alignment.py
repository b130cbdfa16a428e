"""How an iterator stands to all witnesses: each branch of "ahead" and of "behind"."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ckptscope.iterator.position import Hints, Position, Reading
from ckptscope.iterator.progress import Assumption, Progress, Tally
from ckptscope.resume.agreement import RUN_RECORD, Agreement
from ckptscope.resume.alignment import Witnesses, align
from ckptscope.resume.neighbours import Delivered, Neighbour

KEY = "iterator/.ATTRIBUTES/ITERATOR_STATE"
ORIGIN = Assumption("RANGE_ORIGIN", "the range starts at 0", True)
GUESS = Assumption("FILE_ORDER", "files are read in the order of their names", True, is_guess=True)
OF_EVALUATION = (
    "its name is that of an iterator for evaluation, and its count is not that of the run"
)


def delivered(
    batches: int | None, per_pass: int | None = None, *assumptions: Assumption, ended: bool = False
) -> Reading:
    """An iterator that has delivered so many batches of 4."""
    progress = Progress(
        Tally(batches, size=per_pass),
        Tally(),
        batched=True,
        batch_size=4,
        assumptions=assumptions,
    )
    return Reading(Position("stored"), progress, True, ended, assumptions)


def examples(total: int) -> Reading:
    """An iterator whose batches are of unknown size."""
    progress = Progress(Tally(), Tally(total), batched=True, batch_size=None)
    return Reading(Position("stored"), progress, True, False, ())


def into(examples: int) -> Reading:
    """An iterator in batches of 4 that counts no passes."""
    progress = Progress(Tally(), Tally(into=examples), batched=True, batch_size=4)
    return Reading(Position("stored"), progress, True, False, ())


def neighbour(
    name: str,
    step: int | None,
    batches: int | None,
    *,
    later: bool = False,
    exhausted: bool = False,
    assumptions: frozenset[str] = frozenset(),
) -> Neighbour:
    """What another checkpoint says of the step and of the iterator."""
    return Neighbour(
        name,
        later,
        counters={} if step is None else {"step": step},
        delivered={KEY: Delivered(batches, exhausted, assumptions)},
    )


def at_step(step: int | None, *neighbours: Neighbour, **more: object) -> Witnesses:
    """The run's step, and who else testifies."""
    plain = Witnesses(step, "step", "own", neighbours=neighbours)
    return replace(plain, **more)  # type: ignore[arg-type]


def updates(count: int, name: str = "iterations") -> dict[str, object]:
    """An optimizer that has made so many updates."""
    return {"updates": ((f"{name} = {count}", count),)}


def told(reading: Reading, witnesses: Witnesses, key: str = KEY) -> Agreement:
    """How the iterator stands to them."""
    return align(key, reading, witnesses, Hints())


def ahead(batches: int, delivered: int, **more: object) -> Agreement:
    plain = Agreement("ahead", batches, compared_with=delivered - batches, delivered=delivered)
    return replace(plain, **more)  # type: ignore[arg-type]


def behind(batches: int, delivered: int, **more: object) -> Agreement:
    plain = Agreement("behind", batches, compared_with=delivered + batches, delivered=delivered)
    return replace(plain, **more)  # type: ignore[arg-type]


def several(lead: int, step: int, **more: object) -> Agreement:
    plain = Agreement(
        "several_per_step",
        lead,
        compared_with=step,
        delivered=step + lead,
        batches_per_step=(step + lead) // step,
    )
    return replace(plain, **more)  # type: ignore[arg-type]


IN_STEP = Agreement("agrees", compared_with=7, delivered=7)


@pytest.mark.parametrize(
    ("reading", "witnesses", "expected"),
    [
        pytest.param(delivered(7), at_step(7), IN_STEP, id="in step"),
        # ------------------------------------------- the updates as a witness
        pytest.param(
            delivered(84),
            at_step(7, **updates(84)),
            Agreement("agrees", compared_with=84, witness="iterations = 84", delivered=84),
            id="as many as updates, whatever the step counts",
        ),
        pytest.param(
            delivered(7),
            at_step(8, **updates(7)),
            Agreement("agrees", compared_with=7, witness="iterations = 7", delivered=7),
            id="the step started at 1",
        ),
        pytest.param(
            examples(28),
            at_step(8, **updates(7)),
            Agreement(
                "unknown",
                implied_batch_size=4,
                compared_with=7,
                witness="iterations = 7",
                delivered=None,
            ),
            id="the step started at 1, and the batch size is not stored",
        ),
        pytest.param(
            examples(27),
            at_step(9, **updates(7)),
            Agreement("unknown", implied_batch_size=3, compared_with=9),
            id="the step divides the examples",
        ),
        pytest.param(
            delivered(84),
            at_step(None, **updates(21)),
            Agreement(
                "unknown",
                batches_per_update=4,
                compared_with=21,
                witness="iterations = 21",
                delivered=84,
            ),
            id="several for each update, and no step",
        ),
        pytest.param(
            delivered(84),
            at_step(None, **updates(84)),
            Agreement("agrees", compared_with=84, witness="iterations = 84", delivered=84),
            id="as many as updates, and no step",
        ),
        pytest.param(
            examples(12),
            at_step(6, **updates(4)),
            Agreement("unknown", implied_batch_size=3, compared_with=4, witness="iterations = 4"),
            id="the step may have started at 2",
        ),
        pytest.param(
            examples(12),
            at_step(6, **updates(3)),
            Agreement("unknown", implied_batch_size=2, compared_with=6),
            id="it has not started at 3",
        ),
        pytest.param(
            examples(12),
            at_step(6, **updates(6)),
            Agreement("unknown", implied_batch_size=2, compared_with=6),
            id="step and updates are one",
        ),
        pytest.param(
            examples(12),
            at_step(3, **updates(6)),
            Agreement("unknown", implied_batch_size=4, compared_with=3),
            id="more updates than steps",
        ),
        pytest.param(
            examples(28),
            at_step(100, **updates(7)),
            Agreement("unknown", implied_batch_size=4, compared_with=7, witness="iterations = 7"),
            id="only the updates divide the examples",
        ),
        pytest.param(
            delivered(84),
            at_step(200, updates=(("a = 3", 3), ("b = 84", 84))),
            Agreement("agrees", compared_with=84, witness="b = 84", delivered=84),
            id="the second optimizer",
        ),
        # ------------------------------------------- ahead: several for each step
        pytest.param(delivered(6), at_step(3), several(3, 3), id="twice a step of 3"),
        pytest.param(delivered(4), at_step(2), ahead(2, 4), id="twice a step of 2"),
        pytest.param(delivered(13), at_step(7), ahead(6, 13), id="less than twice"),
        pytest.param(delivered(15), at_step(7), ahead(8, 15), id="twice and one"),
        pytest.param(delivered(21), at_step(7), several(14, 7), id="three times"),
        pytest.param(
            delivered(20),
            at_step(7, **updates(10)),
            several(13, 7, batches_per_step=2, witness="iterations = 10"),
            id="twice the updates",
        ),
        pytest.param(
            delivered(9),
            at_step(7, recorded=9),
            Agreement("several_per_step", 2, witness=RUN_RECORD, delivered=9),
            id="ahead as far as the recorder counted",
        ),
        pytest.param(
            delivered(9),
            at_step(7, recorded=8),
            ahead(2, 9),
            id="farther than the recorder counted",
        ),
        # ------------------------------------------- ahead: an earlier loss
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-1", 1, 1), neighbour("ckpt-5", 5, 7)),
            ahead(2, 9, lost_before="ckpt-5", confirmed_by="ckpt-1"),
            id="as far ahead before, and less before that",
        ),
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-5", 5, 5), neighbour("ckpt-8", 8, 10, later=True)),
            ahead(2, 9, lost_before="ckpt-8", confirmed_by="ckpt-5"),
            id="as far ahead later, and less before",
        ),
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-5", 5, 5)),
            ahead(2, 9, confirmed_by="ckpt-5"),
            id="less ahead before, and nobody as far",
        ),
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-5", 5, 5), neighbour("copy", 7, 9)),
            ahead(2, 9, confirmed_by="ckpt-5"),
            id="a copy of the same step is no witness",
        ),
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-5", 5, 7), neighbour("ckpt-8", 8, 8, later=True)),
            ahead(2, 9, confirmed_by="ckpt-8"),
            id="less ahead only later",
        ),
        pytest.param(
            delivered(10),
            at_step(7, neighbour("ckpt-1", 1, 0), neighbour("ckpt-2", 2, 4), Neighbour("ckpt-3")),
            ahead(3, 10),
            id="neighbours that confirm nothing",
        ),
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-0", 0, 1), neighbour("ckpt-3", 3, 6)),
            ahead(2, 9),
            id="another rate confirms nothing",
        ),
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-5", 5, None), neighbour("best", None, 9)),
            ahead(2, 9),
            id="neighbours that do not tell",
        ),
        # ------------------------------------------- ahead: fetched at every save
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-5", 5, 7), neighbour("ckpt-8", 8, 10, later=True)),
            ahead(2, 9, fetched_ahead="it is as far ahead in ckpt-5"),
            id="as far ahead everywhere",
        ),
        pytest.param(
            delivered(9),
            at_step(7, neighbour("ckpt-5", 5, 8)),
            ahead(2, 9),
            id="farther ahead before",
        ),
        pytest.param(
            delivered(9),
            at_step(7, staging=("StagingArea",)),
            ahead(2, 9, fetched_ahead="StagingArea holds them"),
            id="a staging area",
        ),
        # ------------------------------------------- behind
        pytest.param(
            delivered(4, 10),
            at_step(24),
            Agreement("whole_passes_behind", 20, 2, compared_with=24, delivered=4),
            id="(b) whole passes",
        ),
        pytest.param(
            delivered(4),
            at_step(12, neighbour("ckpt-10", 10, 2)),
            behind(8, 4, feeds="ckpt-10"),
            id="(c) it moved with the steps",
        ),
        pytest.param(
            delivered(4),
            at_step(12, neighbour("ckpt-10", 10, 3)),
            behind(8, 4),
            id="(e) it did not move with the steps",
        ),
        pytest.param(
            delivered(4),
            at_step(12, neighbour("copy", 12, 4)),
            behind(8, 4),
            id="(e) a copy does not show that it moved",
        ),
        pytest.param(
            delivered(0),
            at_step(12),
            behind(12, 0, not_training="it has delivered nothing although the run made 12 steps"),
            id="(d) at 0",
        ),
        pytest.param(
            delivered(0),
            at_step(12, neighbour("ckpt-10", 10, 0)),
            behind(
                12,
                0,
                not_training="it has delivered nothing here and in ckpt-10 although the run made "
                "12 steps",
            ),
            id="(d) at 0 before, too",
        ),
        pytest.param(
            delivered(0),
            at_step(None, **updates(5)),
            Agreement(
                "unknown",
                delivered=0,
                not_training="it has delivered nothing although the run made 5 updates",
            ),
            id="(d) at 0, and only updates are counted",
        ),
        pytest.param(delivered(0), at_step(None), Agreement("unknown", delivered=0), id="a start"),
        pytest.param(
            delivered(None, ended=True),
            at_step(12, neighbour("ckpt-14", 14, None, later=True, exhausted=True)),
            Agreement(
                "unknown",
                compared_with=12,
                not_training="its data has ended, and in ckpt-14 the run has gone on without it",
            ),
            id="(d) exhausted, and the run went on",
        ),
        pytest.param(
            delivered(None, ended=True),
            at_step(12, neighbour("ckpt-14", 14, 2, later=True)),
            Agreement("unknown", compared_with=12),
            id="exhausted, and made anew later",
        ),
        pytest.param(
            delivered(None, ended=True),
            at_step(12, neighbour("ckpt-10", 10, None, exhausted=True)),
            Agreement("unknown", compared_with=12),
            id="exhausted before, too",
        ),
        pytest.param(delivered(4), at_step(12), behind(8, 4), id="(e) else"),
        pytest.param(
            delivered(4),
            at_step(12, recorded=4),
            replace(behind(8, 4, feeds=RUN_RECORD), compared_with=None),
            id="the recorder counted as many",
        ),
        pytest.param(
            delivered(4),
            at_step(12, neighbour("ckpt-10", 10, 2), recorded=4),
            Agreement("behind", 8, feeds=RUN_RECORD, delivered=4),
            id="the recorder before the neighbours",
        ),
        pytest.param(
            delivered(0),
            at_step(12, recorded=0),
            Agreement("behind", 12, feeds=RUN_RECORD, delivered=0),
            id="the recorder saw nothing delivered, either",
        ),
        pytest.param(
            delivered(4, 10),
            at_step(24, neighbour("ckpt-23", 23, 3)),
            Agreement("whole_passes_behind", 20, 2, compared_with=24, delivered=4),
            id="(b) before (c)",
        ),
        pytest.param(
            delivered(4, 10, ended=True),
            at_step(24, neighbour("ckpt-25", 25, None, later=True, exhausted=True)),
            Agreement("whole_passes_behind", 20, 2, compared_with=24, delivered=4),
            id="(b) before (d)",
        ),
        pytest.param(
            delivered(4),
            at_step(12, neighbour("ckpt-8", 8, 0)),
            behind(8, 4),
            id="(e) it had not begun",
        ),
        pytest.param(
            into(24),
            at_step(7, neighbour("ckpt-5", 5, 4)),
            Agreement("behind", compared_with=7),
            id="(e) nobody knows by how many",
        ),
        pytest.param(
            delivered(0),
            at_step(12, Neighbour("ckpt-9", counters={"step": 9}), neighbour("ckpt-10", 10, 1)),
            behind(12, 0, not_training="it has delivered nothing although the run made 12 steps"),
            id="(d) at 0 only here",
        ),
        pytest.param(
            delivered(0),
            at_step(12, neighbour("copy", 12, 0)),
            behind(12, 0, not_training="it has delivered nothing although the run made 12 steps"),
            id="(d) at 0 in a copy",
        ),
        pytest.param(
            delivered(4),
            at_step(12, neighbour("ckpt-14", 14, None, later=True, exhausted=True)),
            behind(8, 4),
            id="(e) it came to its end later",
        ),
        pytest.param(
            delivered(None, ended=True),
            at_step(
                12,
                neighbour("copy", 12, None, later=True, exhausted=True),
                neighbour("best", None, None, later=True, exhausted=True),
                Neighbour("ckpt-14", True, counters={"step": 14}),
            ),
            Agreement("unknown", compared_with=12),
            id="exhausted, and nobody shows that the run went on",
        ),
        # ------------------------------------------- nobody to compare with
        pytest.param(delivered(4), at_step(None), Agreement("unknown", delivered=4), id="no step"),
        pytest.param(
            delivered(9, None, GUESS),
            at_step(7),
            Agreement("unknown", compared_with=7),
            id="a guess proves no lead",
        ),
        pytest.param(
            delivered(9, None, GUESS),
            at_step(
                7, neighbour("ckpt-5", 5, 5, assumptions=frozenset(("FILE_ORDER", "SYMBOLIC")))
            ),
            ahead(2, 9, confirmed_by="ckpt-5"),
            id="a guess that a neighbour confirms",
        ),
        pytest.param(
            delivered(9, None, GUESS),
            at_step(7, neighbour("ckpt-5", 5, 5)),
            Agreement("unknown", compared_with=7),
            id="a neighbour that rests on less confirms nothing",
        ),
        pytest.param(
            delivered(9, None, ORIGIN),
            at_step(7),
            ahead(2, 9),
            id="what is no guess may prove a lead",
        ),
        pytest.param(
            delivered(4, None, ORIGIN),
            at_step(12, neighbour("ckpt-5", 5, 10, assumptions=frozenset(("RANGE_ORIGIN",)))),
            behind(8, 4),
            id="several for each step elsewhere confirm nothing",
        ),
        pytest.param(
            delivered(14, None, ORIGIN),
            at_step(7, neighbour("ckpt-5", 5, 10, assumptions=frozenset(("RANGE_ORIGIN",)))),
            Agreement(
                "several_per_step",
                7,
                batches_per_step=2,
                compared_with=7,
                delivered=14,
                confirmed_by="ckpt-5",
            ),
            id="the same rate elsewhere confirms",
        ),
        pytest.param(
            delivered(9),
            at_step(7, batch_size_changed=True),
            Agreement("unknown", compared_with=7, mixed_batches=True),
            id="the batch size changed",
        ),
        pytest.param(
            delivered(7),
            at_step(7, batch_size_changed=True),
            IN_STEP,
            id="the batch size changed, and it is in step",
        ),
    ],
)
def test_table(reading: Reading, witnesses: Witnesses, expected: Agreement) -> None:
    assert told(reading, witnesses) == expected


@pytest.mark.parametrize(
    ("name", "is_evaluation"),
    [
        ("eval_iterator", True),
        ("validation", True),
        ("data/val/iterator", True),
        ("valid.iterator", True),
        ("test-iter", True),
        ("dev_1", True),
        ("Test2", True),
        ("evaluator", False),
        ("latest", False),
        ("device_iterator", False),
        ("interval", False),
    ],
)
def test_names_of_evaluation(name: str, is_evaluation: bool) -> None:
    key = f"{name}/.ATTRIBUTES/ITERATOR_STATE"
    expected = OF_EVALUATION if is_evaluation else None
    assert told(delivered(4), at_step(12), key).not_training == expected


@pytest.mark.parametrize(
    ("reading", "witnesses", "why"),
    [
        pytest.param(delivered(12), at_step(12), None, id="its count is the step"),
        pytest.param(delivered(84), at_step(12, **updates(84)), None, id="that of the updates"),
        pytest.param(delivered(24), at_step(12), None, id="a whole factor"),
        pytest.param(delivered(4), at_step(12, recorded=4), None, id="recorded"),
        pytest.param(delivered(4), at_step(0), None, id="nothing was trained"),
        pytest.param(delivered(4, 10), at_step(24), OF_EVALUATION, id="(a) before (b)"),
        pytest.param(
            delivered(4),
            Witnesses(12, "step", "own", neighbours=()),
            OF_EVALUATION,
            id="another count",
        ),
        pytest.param(delivered(None), at_step(12), OF_EVALUATION, id="a count that is assumed"),
        pytest.param(delivered(4), at_step(None, **updates(3)), OF_EVALUATION, id="no step"),
    ],
)
def test_evaluation_by_its_count(reading: Reading, witnesses: Witnesses, why: str | None) -> None:
    assert told(reading, witnesses, "eval/.ATTRIBUTES/ITERATOR_STATE").not_training == why


def test_evaluation_comes_before_moving_with_the_steps() -> None:
    key = "eval/.ATTRIBUTES/ITERATOR_STATE"
    before = replace(neighbour("ckpt-10", 10, 2), delivered={key: Delivered(2)})
    assert told(delivered(4), at_step(12, before), key).not_training == OF_EVALUATION
