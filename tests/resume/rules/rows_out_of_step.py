"""Rows of iterators that are ahead, behind, or others."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.resume.agreement import RUN_RECORD, Agreement
from ckptscope.resume.facts import Facts, StepFact, UpdateFact, Witness
from ckptscope.resume.recorded import RecordedPlace
from tests.resume.rules.iterators import (
    AGREES,
    EXHAUSTED,
    KEY,
    WHERE,
    at,
    at_7,
    iterator,
    reading,
)
from tests.resume.rules.table import Row, Says

EVALUATION = "its name is that of an iterator for evaluation"
UNKNOWN = Agreement("unknown", compared_with=7)
OTHER = Agreement("behind", 7, compared_with=7, delivered=0, not_training=EVALUATION)
SEVEN_UPDATES = "iterations = 7"

BETWEEN_STEPS = (
    "Save between steps, with as many next() calls as steps. Do not fetch the next batch before "
    "the step counter is raised."
)
COMPARE = (
    "Compare with earlier checkpoints of the run (ckptscope inspect DIR --all). Save the training "
    "iterator under its own name."
)
SAVE_TRAINING = (
    "Save the iterator that the loop takes its batches from: make it once (iterator = "
    "iter(dataset)), add it to the checkpoint, and call next(iterator)."
)


def ahead(batches: int | None, **more: object) -> Agreement:
    """Ahead of step 7."""
    plain = Agreement("ahead", batches, compared_with=7)
    return replace(plain, **more)  # type: ignore[arg-type]


def behind(batches: int | None, **more: object) -> Agreement:
    """Behind step 7."""
    plain = Agreement("behind", batches, compared_with=7)
    return replace(plain, **more)  # type: ignore[arg-type]


def is_ahead(message: str) -> tuple[Says, ...]:
    """What DATA005 says."""
    return (Says("inconsistent", message, "approximate", KEY, WHERE, BETWEEN_STEPS),)


def is_behind(message: str) -> tuple[Says, ...]:
    """What DATA006 says."""
    return (Says("inconsistent", message, None, KEY, WHERE, COMPARE),)


def recorded(**more: object) -> Facts:
    """Nothing of the data stored at step 7, and what the recorder counted."""
    return at_7(recorded=RecordedPlace(**more))  # type: ignore[arg-type]


ROWS = [
    Row(
        "DATA005",
        "two batches",
        at_7(iterator(ahead(2, delivered=9))),
        is_ahead(
            "the iterator is 2 batches ahead of step 7: fetched before the save, and training will "
            "not see them"
        ),
    ),
    Row(
        "DATA005",
        "one batch at every save",
        at_7(iterator(ahead(1, delivered=8, fetched_ahead="it is as far ahead in ckpt-6"))),
        is_ahead(
            "the iterator is 1 batch ahead of step 7 (it is as far ahead in ckpt-6): fetched "
            "before the save, and training will not see it"
        ),
    ),
    Row(
        "DATA005",
        "nobody counts",
        at(StepFact(), iterator(ahead(None))),
        is_ahead(
            "the iterator is some batches ahead of the step: fetched before the save, and training "
            "will not see them"
        ),
    ),
    Row(
        "DATA005",
        "twice the step and one",
        at_7(iterator(ahead(8, delivered=15))),
        is_ahead(
            "the iterator has delivered 15 batches at step 7: several for each step, and some that "
            "training had not used yet and will not see"
        ),
    ),
    Row(
        "DATA005",
        "twice a step of three",
        at(StepFact(3, "step", "own"), iterator(ahead(4, delivered=7))),
        is_ahead(
            "the iterator has delivered 7 batches at step 3: several for each step, and some that "
            "training had not used yet and will not see"
        ),
    ),
    Row(
        "DATA005",
        "twice a small step says nothing",
        at(StepFact(2, "step", "own"), iterator(ahead(3, delivered=5))),
        is_ahead(
            "the iterator is 3 batches ahead of step 2: fetched before the save, and training will "
            "not see them"
        ),
    ),
    Row("DATA005", "skipped long ago", at_7(iterator(ahead(2, lost_before="ckpt-6")))),
    Row("DATA005", "not the training one", at_7(iterator(ahead(2, not_training=EVALUATION)))),
    Row("DATA005", "in step", at_7(iterator())),
    Row(
        "DATA006",
        "or another iterator",
        at_7(iterator(behind(3))),
        is_behind(
            "the iterator is 3 batches behind step 7: an earlier resume lost its place, or it is "
            "not the training iterator"
        ),
    ),
    Row(
        "DATA006",
        "it moved with the steps",
        at_7(iterator(behind(1, feeds="ckpt-6"))),
        is_behind(
            "the iterator is 1 batch behind step 7: it is as far behind in ckpt-6 and moves with "
            "the steps, so an earlier resume lost its place"
        ),
    ),
    Row(
        "DATA006",
        "it was recorded",
        at_7(iterator(behind(None, feeds=RUN_RECORD))),
        is_behind(
            "the iterator is some batches behind step 7: the run record counted as many batches, "
            "so an earlier resume lost its place"
        ),
    ),
    Row("DATA006", "not the training one", at_7(iterator(OTHER))),
    Row("DATA006", "whole passes", at_7(iterator(Agreement("whole_passes_behind", 5, 1)))),
    Row("DATA006", "in step", at_7(iterator())),
    Row(
        "DATA013",
        "no batch size",
        at_7(iterator(Agreement("contradicts", compared_with=7), read=reading(30, None))),
        (
            Says(
                "inconsistent",
                "no batch size makes the iterator agree with step 7; whether it is ahead cannot be "
                "told",
                "approximate",
                KEY,
                WHERE,
                "Give --batch-size, or save a step counter of the loop.",
            ),
        ),
    ),
    Row(
        "DATA013",
        "not with this batch size",
        at_7(iterator(Agreement("contradicts", compared_with=7))),
        (
            Says(
                "inconsistent",
                "batches of 4 do not make the iterator agree with step 7; whether it is ahead "
                "cannot be told",
                "approximate",
                KEY,
                WHERE,
                "Give --batch-size, or save a step counter of the loop.",
            ),
        ),
    ),
    Row("DATA013", "no step", at(StepFact(), iterator(Agreement("contradicts")))),
    Row(
        "DATA013",
        "not the training one",
        at_7(iterator(Agreement("contradicts", not_training=EVALUATION))),
    ),
    Row("DATA013", "unknown", at_7(iterator(UNKNOWN))),
    Row(
        "DATA022",
        "another one",
        at_7(iterator(OTHER)),
        (
            Says(
                "missing",
                "iterator is not the iterator that feeds the training: its name is that of an "
                "iterator for evaluation",
                "approximate",
                "iterator",
                WHERE,
                SAVE_TRAINING,
            ),
        ),
    ),
    Row("DATA022", "behind", at_7(iterator(behind(3)))),
    Row(
        "COND106",
        "behind",
        at_7(iterator(behind(3))),
        ("The iterator under iterator feeds the training (it is behind the step counter).",),
    ),
    Row("COND106", "a neighbour shows it", at_7(iterator(behind(3, feeds="ckpt-6")))),
    Row("COND106", "another one", at_7(iterator(OTHER))),
    Row("COND106", "in step", at_7(iterator())),
    Row(
        "COND125",
        "two batches",
        at_7(iterator(ahead(2, lost_before="ckpt-6"))),
        (
            "The 2 batches by which the iterator is ahead of the step were skipped earlier (it is "
            "as far ahead in ckpt-6), not fetched when this was saved.",
        ),
    ),
    Row(
        "COND125",
        "one batch",
        at_7(iterator(ahead(1, lost_before="ckpt-6"))),
        (
            "The 1 batch by which the iterator is ahead of the step was skipped earlier (it is as "
            "far ahead in ckpt-6), not fetched when this was saved.",
        ),
    ),
    Row("COND125", "fetched at this save", at_7(iterator(ahead(2)))),
    Row(
        "COND125",
        "another one",
        at_7(iterator(ahead(2, lost_before="ckpt-6", not_training=EVALUATION))),
    ),
    Row(
        "COND110",
        "with the step",
        at_7(iterator(replace(UNKNOWN, implied_batch_size=4), read=reading(28, None))),
        (
            "The batch size is 4: then the 28 examples that the iterator has delivered agree with "
            "step 7.",
        ),
    ),
    Row(
        "COND110",
        "with the updates",
        at_7(
            iterator(
                replace(UNKNOWN, implied_batch_size=4, witness=SEVEN_UPDATES),
                read=reading(28, None),
            )
        ),
        (
            "The batch size is 4: then the 28 examples that the iterator has delivered agree with "
            "the 7 updates.",
        ),
    ),
    Row("COND110", "size known", at_7(iterator())),
    Row(
        "COND110",
        "another one",
        at_7(iterator(replace(UNKNOWN, implied_batch_size=4, not_training=EVALUATION))),
    ),
    Row(
        "COND110",
        "examples not known",
        at_7(iterator(replace(UNKNOWN, implied_batch_size=4), read=reading(None, None))),
    ),
    Row(
        "COND120",
        "accumulated",
        at_7(iterator(replace(UNKNOWN, batches_per_update=2))),
        (
            "The program takes 2 batches for each update of the optimizer: then the iterator "
            "agrees with its 7 updates.",
        ),
    ),
    Row(
        "COND120",
        "another count than the step",
        at_7(iterator(Agreement("unknown", compared_with=1, batches_per_update=28))),
        (
            "The program takes 28 batches for each update of the optimizer: then the iterator "
            "agrees with its 1 update.",
        ),
    ),
    Row("COND120", "unknown", at_7(iterator(UNKNOWN))),
    Row(
        "COND120",
        "another one",
        at_7(iterator(replace(UNKNOWN, batches_per_update=2, not_training=EVALUATION))),
    ),
    Row(
        "COND124",
        "of a step",
        at_7(iterator(Agreement("several_per_step", batches_per_step=2))),
        ("The program takes 2 batches for each step: then nothing is lost.",),
    ),
    Row(
        "COND124",
        "of an update",
        at_7(iterator(Agreement("several_per_step", batches_per_step=2, witness=SEVEN_UPDATES))),
        ("The program takes 2 batches for each update of the optimizer: then nothing is lost.",),
    ),
    Row(
        "COND124",
        "the recorder counted",
        at_7(iterator(Agreement("several_per_step", witness=RUN_RECORD))),
    ),
    Row("COND124", "one of a step", at_7(iterator(AGREES))),
    Row(
        "COND124",
        "another one",
        at_7(iterator(Agreement("several_per_step", batches_per_step=2, not_training=EVALUATION))),
    ),
    Row(
        "COND111",
        "steps",
        at_7(iterator(UNKNOWN)),
        (
            "The iterator under iterator has delivered as many batches as the run made steps (7): "
            "its counters do not show it.",
        ),
    ),
    Row(
        "COND111",
        "updates where the step began at 1",
        at(
            StepFact(8, "step", "own", starts_at=1),
            iterator(UNKNOWN),
            updates=UpdateFact((Witness("iterations", 7),)),
        ),
        (
            "The iterator under iterator has delivered as many batches as the optimizer made "
            "updates (7): its counters do not show it.",
        ),
    ),
    Row("COND111", "in step", at_7(iterator())),
    Row("COND111", "no step", at(StepFact(), iterator(UNKNOWN))),
    Row("COND111", "exhausted", at_7(iterator(UNKNOWN, read=EXHAUSTED))),
    Row("COND111", "not decoded", at_7(iterator(UNKNOWN, read=None))),
    Row("COND111", "recorded", at_7(iterator(replace(UNKNOWN, feeds=RUN_RECORD)))),
    Row("COND111", "a batch size", at_7(iterator(replace(UNKNOWN, implied_batch_size=4)))),
    Row("COND111", "for each update", at_7(iterator(replace(UNKNOWN, batches_per_update=2)))),
    Row("COND111", "another one", at_7(iterator(replace(UNKNOWN, not_training=EVALUATION)))),
]
