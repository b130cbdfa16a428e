"""Counts that something speaks against: put right where the evidence decides, else a doubt."""

from __future__ import annotations

from typing import Any

import numpy as np

from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.model import Attempt, RecordedAttempt, SavedCheckpoint, Start
from ckptscope.recording.positions import positions_of
from ckptscope.recording.reconciliation import (
    FIRST_UNTOLD,
    GUESSED,
    OTHER_SIZE,
    WHICH_EPOCH,
    reconciled,
)
from ckptscope.recording.steps import first_step, num_steps

FRESH = Start(0, 0, 0, 0, "fresh")
Rows = list[tuple[int, int, int]]


def attempt(
    name: str, rows: Rows, *, saves: tuple[SavedCheckpoint, ...] = (), **facts: Any
) -> RecordedAttempt:
    """One with (step, epoch, batches) for rows; passes of 40 examples in batches of 4."""
    told = {
        "batch_size": 4,
        "epoch_size": 40,
        "order": "fixed",
        "start": FRESH,
        "tool_version": "0.1.0",
        "started_s": float(ord(name[0])),
        **facts,
    }
    table = np.array(rows, np.int64).reshape(-1, 3)
    unknown = np.full(len(rows), UNKNOWN, np.int64)
    columns = {
        "step": table[:, 0],
        "epoch": table[:, 1],
        "batches": table[:, 2],
        "examples": unknown,
        "wall_time_ms": unknown,
    }
    return RecordedAttempt(Attempt(id=name, **told), columns, saves)


def stream(first: int, last: int, before: int = 0) -> Rows:
    return [(step, UNKNOWN, step - first + 1 + before) for step in range(first, last + 1)]


def saved(name: str, step: int, sequence: int, batches: int | None, told: str | None = None):
    decoded = {"batches_consumed": batches}
    return SavedCheckpoint(
        f"/run/ckpt-{step}", step, name, sequence, 0.0, decoded=decoded, disagreement=told
    )


def going_on(step: int, parent: str = "a") -> dict[str, Any]:
    return {"restored_step": step, "parent": parent, "restored_from": f"/run/ckpt-{step}"}


def test_two_batches_a_step_that_were_not_told_are_no_skip():
    found = reconciled(
        [
            attempt("a", stream(1, 13), spans=True),
            attempt(
                "b",
                stream(11, 22, 20),
                spans=True,
                start=Start(20, 80, 1, 40, "decoded"),
                **going_on(10),
            ),
        ]
    )
    (restart,) = restarts_of(found)
    assert (restart.moved, restart.repeated, restart.skipped) == (None, (), ())
    assert "the iterator gave 2 batches where the recorder counted one" in restart.reason


def test_batches_that_were_thrown_away_are_a_skip_where_a_state_confirms_the_count():
    first = attempt("a", stream(1, 13), spans=True, saves=(saved("a", 5, 5, 5),))
    second = attempt(
        "b", stream(11, 22, 20), spans=True, start=Start(20, 80, 1, 40, "decoded"), **going_on(10)
    )
    (restart,) = restarts_of(reconciled([first, second]))
    assert (restart.reason, restart.moved) == (None, 40)
    assert [(item.epoch, item.start, item.stop) for item in restart.skipped] == [(1, 0, 40)]


def test_fit_of_earlier_versions_over_data_of_unknown_size_is_not_known():
    first = attempt("a", stream(1, 25))
    second = attempt("b", stream(21, 30), **going_on(20))
    (restart,) = restarts_of(reconciled([first, second]))
    assert (restart.reason, restart.moved) == (GUESSED, None)


def test_an_iterator_that_ends_with_its_pass_is_in_place_at_the_same_place_of_it():
    first = attempt("a", stream(1, 16), repeats=False)
    there = attempt(
        "b", stream(14, 20, 3), repeats=False, start=Start(3, 12, 0, 12, "decoded"), **going_on(13)
    )
    (restart,) = restarts_of(reconciled([first, there]))
    assert (restart.reason, restart.moved, restart.repeated) == (None, 0, ())
    elsewhere = attempt(
        "b", stream(14, 20, 5), repeats=False, start=Start(5, 20, 0, 20, "decoded"), **going_on(13)
    )
    (restart,) = restarts_of(reconciled([first, elsewhere]))
    assert restart.reason == WHICH_EPOCH


def epochs(*parts: tuple[int, int, int], step: int = 1) -> Rows:
    """(epoch, first batch, last batch) one after the other."""
    told = [(epoch, at) for epoch, first, last in parts for at in range(first, last + 1)]
    return [(step + row, epoch, batches) for row, (epoch, batches) in enumerate(told)]


def test_a_restored_iterator_that_was_counted_from_0_shows_itself_at_the_end_of_its_epoch():
    first = attempt("a", epochs((0, 1, 10), (1, 1, 4)), counting="epochs")
    told = {"counting": "epochs", "start": Start(3, 12, 0, 12, "decoded"), **going_on(13)}
    second = attempt("b", epochs((1, 1, 7), (2, 1, 4), step=14), **told)
    (restart,) = restarts_of(reconciled([first, second]))
    assert (restart.reason, restart.moved, restart.repeated) == (None, 0, ())
    anew = attempt("b", epochs((1, 1, 10), (2, 1, 4), step=14), **told)
    (restart,) = restarts_of(reconciled([first, anew]))
    assert (restart.moved, [item.stop for item in restart.repeated]) == (-12, [12])
    cut = attempt("b", epochs((1, 1, 5), step=14), **told)
    (restart,) = restarts_of(reconciled([first, cut]))
    assert restart.reason == FIRST_UNTOLD


def test_full_executions_at_the_end_of_an_epoch_are_cut():
    rows = [(4, 0, 4), (8, 0, 8), (12, 0, 12), (16, 1, 4), (20, 1, 8), (24, 1, 12)]
    (found,) = reconciled([attempt("a", rows, counting="epochs")])
    assert found.columns["step"].tolist() == [4, 8, 10, 14, 18, 20]
    assert (num_steps(found), first_step(found)) == (20, 1)
    assert positions_of(found).examples.tolist() == [16, 32, 40, 56, 72, 80]


def test_a_start_that_was_decoded_later_moves_the_rows_and_settles_disagreements():
    told = "5 batches were counted, the iterator's state says 15"
    found = attempt(
        "b",
        stream(11, 16),
        spans=True,
        start=Start(10, source="decoded later"),
        saves=(saved("b", 15, 5, 15, told),),
        **going_on(10),
    )
    _, second = reconciled([attempt("a", stream(1, 13), spans=True), found])
    assert second.columns["batches"].tolist() == list(range(11, 17))
    assert second.checkpoints[0].disagreement is None


def test_the_decoded_state_wins_from_there_and_nothing_is_known_before():
    saves = (saved("a", 4, 4, 4), saved("a", 8, 8, 9), saved("a", 12, 12, 13))
    (found,) = reconciled([attempt("a", stream(1, 14), spans=True, saves=saves)])
    assert found.columns["batches"].tolist() == [
        1,
        2,
        3,
        4,
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
    ]
    (grows,) = reconciled([attempt("a", stream(1, 14), spans=True, saves=saves[:2])])
    assert grows.columns["batches"].tolist()[8:] == [UNKNOWN] * 6


def test_a_changed_size_of_a_batch_is_in_place_and_its_steps_are_not_known():
    first = attempt("a", stream(1, 13), spans=True)
    second = attempt(
        "b",
        stream(11, 20, 10),
        spans=True,
        batch_size=8,
        start=Start(10, source="counted"),
        **going_on(10),
    )
    (restart,) = restarts_of(reconciled([first, second]))
    assert (restart.reason, restart.moved) == (None, 0)
    assert (restart.repeated, restart.skipped) == ((), ())
    assert positions_of(reconciled([first, second])[1]).reason == OTHER_SIZE
