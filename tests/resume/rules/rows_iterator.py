"""Rows of the data position."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Damage
from ckptscope.checkpoint.partners import Partner
from ckptscope.resume.agreement import RUN_RECORD, Agreement
from ckptscope.resume.facts import Facts, StepFact, UpdateFact, Witness
from ckptscope.resume.model import Evidence
from ckptscope.resume.recorded import RecordedPlace
from tests.resume.rules.iterators import (
    AGREES,
    AT_0,
    AT_7,
    EXHAUSTED,
    FILE,
    KEY,
    WHERE,
    at,
    at_7,
    iterator,
    reading,
)
from tests.resume.rules.table import KERNEL, Row, Says, stored, variable

SAMPLES = Path(__file__).resolve().parents[3] / "sample_ckpts"
EVALUATION = "its name is that of an iterator for evaluation"
UNKNOWN = Agreement("unknown", compared_with=7)
OTHER = Agreement("behind", 7, compared_with=7, delivered=0, not_training=EVALUATION)
DAMAGED = (Damage("data", "run/ckpt-7.data-00000-of-00001", "kernel", 0, "cut off"),)
FIRST, SECOND = iterator(UNKNOWN, key="first"), iterator(UNKNOWN, key="second")
INDEX = ("start_index", 28)
SEVEN_UPDATES = "iterations = 7"

SAVE_IT = (
    "Make the iterator once (iterator = iter(dataset)), add it to the checkpoint "
    "(tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, iterator=iterator)), and "
    "take batches with next(iterator)."
)
AT_EPOCH_END = (
    "Save at the end of an epoch, with a dataset whose order does not depend on earlier epochs, "
    "and go on with initial_epoch. Inside an epoch fit cannot save its place: write the loop "
    "yourself for that, and save the iterator."
)
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
SAME_PERIOD = (
    "Resume from the step of which both are there, or save both with the same period (the hook "
    "takes its times from RunConfig)."
)
NEW_HOOK = "Make a new CheckpointInputPipelineHook for each train() call."
REPAIR_STATE_FILE = (
    "Delete the state file (checkpoint_input), or make it name the last whole input.ckpt-N; then "
    "make a new hook for each train() call."
)
FIXED_ORDER = (
    "Give the dataset an order that depends on the epoch alone: no shuffle that reshuffles each "
    "iteration, or one that is seeded by the epoch number."
)
AT_MOST_7 = (
    "no iterator state is stored, so the data starts over. That repeats at most 7 batches, all "
    "since the run began; fewer if it was restarted before"
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


def starts_over(message: str, remedy: str = SAVE_IT, *keys: str) -> tuple[Says, ...]:
    """What DATA002 says."""
    evidence = tuple(Evidence(key=key) for key in keys)
    return (Says("missing", message, "approximate", "", evidence, remedy),)


def partner(step: int, problem: str | None = None) -> Partner:
    """The input checkpoint of that step."""
    prefix = f"run/input.ckpt-{step}"
    return Partner(prefix, "input.ckpt", step, problem is None, problem)


def recorded(**more: object) -> Facts:
    """Nothing of the data stored at step 7, and what the recorder counted."""
    return at_7(recorded=RecordedPlace(**more))  # type: ignore[arg-type]


STORED = [
    Row(
        "DATA001",
        "in step",
        at_7(iterator()),
        (
            Says(
                "saved",
                "the iterator's state is stored: 28 examples delivered",
                None,
                KEY,
                WHERE,
            ),
        ),
    ),
    Row(
        "DATA001",
        "not counted",
        at_7(iterator(UNKNOWN, read=reading(None))),
        (Says("saved", "the iterator's state is stored", None, KEY, WHERE),),
    ),
    Row(
        "DATA001",
        "in an unnamed file",
        at_7(iterator(source_file="", read=reading(1))),
        (
            Says(
                "saved",
                "the iterator's state is stored: 1 example delivered",
                None,
                KEY,
                (Evidence(None, KEY),),
            ),
        ),
    ),
    Row("DATA001", "an evaluation", at_7(iterator(replace(UNKNOWN, not_training=EVALUATION)))),
    Row("DATA001", "ahead", at_7(iterator(ahead(1)))),
    Row("DATA001", "behind", at_7(iterator(behind(1)))),
    Row("DATA001", "contradicts", at_7(iterator(Agreement("contradicts")))),
    Row("DATA001", "not the training one", at_7(iterator(OTHER))),
    Row("DATA001", "exhausted", at_7(iterator(read=EXHAUSTED))),
    Row("DATA001", "not decoded", at_7(iterator(read=None, error="cut off"))),
    Row("DATA002", "nothing stored", at_7(), starts_over(AT_MOST_7)),
    Row(
        "DATA002",
        "step not known",
        at(StepFact()),
        starts_over("no iterator state is stored, so the data starts over"),
    ),
    Row(
        "DATA002",
        "fit starts each epoch over",
        at_7(feeding="fit", framework="keras"),
        starts_over("no iterator state is stored, so the data starts over", AT_EPOCH_END),
    ),
    Row(
        "DATA002",
        "examples recorded",
        recorded(batches=7, iterator_per_epoch=True, epoch=1, examples_into_epoch=28),
        starts_over(
            "no iterator state is stored, so the data starts over. By the run record 28 examples "
            "of epoch 1 had been delivered"
        ),
    ),
    Row(
        "DATA002",
        "examples of an epoch without a number recorded",
        recorded(batches=7, iterator_per_epoch=True, examples_into_epoch=1),
        starts_over(
            "no iterator state is stored, so the data starts over. By the run record 1 example of "
            "its epoch had been delivered"
        ),
    ),
    Row(
        "DATA002",
        "batches of an epoch recorded",
        recorded(batches=7, iterator_per_epoch=True, epoch=2),
        starts_over(
            "no iterator state is stored, so the data starts over. By the run record 7 batches of "
            "epoch 2 had been delivered"
        ),
    ),
    Row(
        "DATA002",
        "batches recorded",
        recorded(batches=7, iterator_per_epoch=False, epoch=0, examples_into_epoch=28),
        starts_over(
            "no iterator state is stored, so the data starts over. By the run record 7 batches had "
            "been delivered"
        ),
    ),
    Row(
        "DATA002",
        "iterator of the graph left out",
        at(StepFact(), meta=MetaGraph(has_iterator=True)),
        starts_over(
            "the stored graph has an iterator that is not among the saved objects, so the data "
            "starts over"
        ),
    ),
    Row(
        "DATA002",
        "a variable called iterator",
        stored(KERNEL, variable("my_iterator"), step=StepFact()),
        starts_over(
            "no iterator state is stored, so the data starts over (my_iterator is a plain "
            "variable, not an iterator)",
            SAVE_IT,
            "my_iterator",
        ),
    ),
    Row(
        "DATA002",
        "no iterator in the graph",
        at(StepFact(), meta=MetaGraph()),
        starts_over("no iterator state is stored, so the data starts over"),
    ),
    Row(
        "DATA002",
        "iterator of the graph saved",
        at(StepFact(), meta=MetaGraph(has_iterator=True, iterator_saved=True)),
        starts_over("no iterator state is stored, so the data starts over"),
    ),
    Row("DATA002", "an iterator", at_7(iterator())),
    Row("DATA002", "a data index", at_7(data_index=INDEX)),
    Row("DATA002", "at step 0", at(AT_0)),
    Row("DATA002", "an input checkpoint", at_7(partners=(partner(7),))),
    Row("DATA002", "the end of an epoch", at_7(epoch_end=0)),
    Row("DATA002", "damaged", at_7(damage=DAMAGED)),
    Row("DATA002", "no weights", Facts(step=AT_7)),
]

WITHOUT_ITERATOR = [
    Row(
        "DATA003",
        "an index",
        at_7(data_index=INDEX),
        (
            Says(
                "saved",
                "start_index = 28 is stored: the program itself can skip to its place in the data",
                None,
                "start_index",
                (Evidence(key="start_index", value=28),),
            ),
        ),
    ),
    Row("DATA003", "an iterator besides", at_7(iterator(), data_index=INDEX)),
    Row("DATA003", "at step 0", at(AT_0, data_index=INDEX)),
    Row("DATA003", "no index", at_7()),
    Row(
        "DATA004",
        "at step 0",
        at(AT_0),
        (
            Says(
                "not_needed",
                "the run is at step 0: nothing was consumed yet, so starting the data anew loses "
                "nothing",
            ),
        ),
    ),
    Row("DATA004", "an optimizer at 0", at(StepFact(0, None, "optimizer"))),
    Row("DATA004", "at step 1", at(StepFact(1, "step", "own"))),
    Row("DATA004", "an iterator", at(AT_0, iterator())),
    Row(
        "COND107",
        "an index",
        at_7(data_index=INDEX),
        ("The program skips to start_index = 28 when it starts.",),
    ),
    Row("COND107", "no index", at_7()),
    Row("COND107", "at step 0", at(AT_0, data_index=INDEX)),
    Row("COND107", "an iterator besides", at_7(iterator(), data_index=INDEX)),
    Row(
        "COND108",
        "an index",
        at_7(data_index=INDEX),
        (
            "The order of the data is the same in every run and every epoch (no shuffle, or one "
            "that gives the same order again).",
        ),
    ),
    Row("COND108", "no index", at_7()),
    Row("COND108", "at step 0", at(AT_0, data_index=INDEX)),
    Row("COND108", "an iterator besides", at_7(iterator(), data_index=INDEX)),
    Row(
        "DATA025",
        "the same order",
        at_7(epoch_end=1, order_is_fixed=True),
        (
            Says(
                "not_needed",
                "saved at the end of epoch 1, and each epoch has an iterator of its own and the "
                "same order: nothing is repeated",
            ),
        ),
    ),
    Row(
        "DATA025",
        "another order",
        at_7(epoch_end=1, order_is_fixed=False),
        (
            Says(
                "unknown",
                "saved at the end of epoch 1, so no example is repeated, but the order of the next "
                "epoch depends on the earlier ones",
                "approximate",
                remedy=FIXED_ORDER,
            ),
        ),
    ),
    Row(
        "DATA025",
        "order not known",
        at_7(epoch_end=1),
        (
            Says(
                "unknown",
                "saved at the end of epoch 1, so no example is repeated, but nothing shows that "
                "the order of the next epoch does not depend on earlier ones",
                "approximate",
                remedy=FIXED_ORDER,
            ),
        ),
    ),
    Row("DATA025", "inside an epoch", at_7()),
    Row("DATA025", "damaged", at_7(epoch_end=1, damage=DAMAGED)),
    Row("DATA025", "no weights", Facts(epoch_end=1)),
    Row(
        "COND129",
        "fit",
        at_7(epoch_end=1, order_is_fixed=True, feeding="fit"),
        ("fit goes on with epoch 2 (initial_epoch=2, or BackupAndRestore).",),
    ),
    Row("COND129", "a loop", at_7(epoch_end=1, order_is_fixed=True)),
    Row("COND129", "another order", at_7(epoch_end=1, order_is_fixed=False, feeding="fit")),
    Row("COND129", "inside an epoch", at_7(order_is_fixed=True, feeding="fit")),
]

OUT_OF_STEP = [
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
        "COND121",
        "exhausted",
        at_7(iterator(read=EXHAUSTED)),
        (
            "No further epoch is trained after the one of this iterator, or the order does not "
            "change between epochs.",
        ),
    ),
    Row(
        "COND121",
        "made for each epoch",
        at_7(iterator(Agreement("whole_passes_behind", 5, 1))),
        (
            "No further epoch is trained after the one of this iterator, or the order does not "
            "change between epochs.",
        ),
    ),
    Row("COND121", "in step", at_7(iterator())),
    Row("COND121", "another one", at_7(iterator(OTHER, read=EXHAUSTED))),
]

OF_WHICH = [
    Row(
        "DATA007",
        "exhausted",
        at_7(iterator(read=EXHAUSTED)),
        (
            Says(
                "saved",
                "the iterator has come to the end of its data: a resumed run gets no more of it "
                "and ends at once, as the run itself would have",
                None,
                KEY,
                WHERE,
            ),
        ),
    ),
    Row("DATA007", "another one", at_7(iterator(OTHER, read=EXHAUSTED))),
    Row("DATA007", "in step", at_7(iterator())),
    Row(
        "DATA008",
        "not decoded",
        at_7(iterator(UNKNOWN, read=None, error="it names no stage")),
        (
            Says(
                "unknown",
                "the iterator's state cannot be decoded: it names no stage",
                "approximate",
                KEY,
                WHERE,
                "Report the file's TensorFlow version. Until then treat the data position as lost.",
            ),
        ),
    ),
    Row("DATA008", "damaged", at_7(iterator(UNKNOWN, read=None, error="cut"), damage=DAMAGED)),
    Row("DATA008", "decoded", at_7(iterator())),
    Row(
        "DATA012",
        "two",
        at_7(FIRST, SECOND),
        (
            Says(
                "unknown",
                "2 iterators are stored and none alone is in step with the counter: first, second",
            ),
        ),
    ),
    Row("DATA012", "one of them trains", at_7(FIRST, SECOND, training=SECOND)),
    Row("DATA012", "one is exhausted", at_7(FIRST, replace(SECOND, reading=EXHAUSTED))),
    Row("DATA012", "one is another", at_7(FIRST, replace(SECOND, agreement=OTHER))),
    Row(
        "COND115",
        "two",
        at_7(FIRST, SECOND),
        ("All iterators that feed the training are among the 2 stored ones.",),
    ),
    Row("COND115", "one of them trains", at_7(FIRST, SECOND, training=SECOND)),
    Row("COND115", "one is exhausted", at_7(FIRST, replace(SECOND, reading=EXHAUSTED))),
    Row(
        "DATA016",
        "exhausted",
        at_7(FIRST, replace(SECOND, reading=EXHAUSTED), training=FIRST),
        (
            Says(
                "not_needed",
                "another iterator is stored (exhausted), probably of an evaluation or a warm-up",
                None,
                "second",
                (Evidence(FILE, "second"),),
            ),
        ),
    ),
    Row(
        "DATA016",
        "out of step",
        at_7(FIRST, SECOND, training=SECOND),
        (
            Says(
                "not_needed",
                "another iterator is stored (not in step with the counter), probably of an "
                "evaluation or a warm-up",
                None,
                "first",
                (Evidence(FILE, "first"),),
            ),
        ),
    ),
    Row("DATA016", "none singled out", at_7(FIRST, SECOND)),
    Row("DATA016", "only one", at_7(FIRST)),
]

OF_PARTNERS = [
    Row(
        "DATA010",
        "earlier",
        at_7(partners=(partner(1), partner(5))),
        (
            Says(
                "inconsistent",
                "input.ckpt-5 is the nearest stored input state, 2 steps earlier than the model of "
                "step 7",
                "approximate",
                "input.ckpt-5",
                (Evidence("run/input.ckpt-5.index"),),
                SAME_PERIOD,
            ),
        ),
    ),
    Row(
        "DATA010",
        "later",
        at_7(partners=(partner(7, "cut off"), partner(8))),
        (
            Says(
                "inconsistent",
                "input.ckpt-8 is the nearest stored input state, 1 step later than the model of "
                "step 7",
                "approximate",
                "input.ckpt-8",
                (Evidence("run/input.ckpt-8.index"),),
                SAME_PERIOD,
            ),
        ),
    ),
    Row("DATA010", "of this step", at_7(partners=(partner(5), partner(7)))),
    Row("DATA010", "none whole", at_7(partners=(partner(5, "cut off"),))),
    Row("DATA010", "at step 0", at(AT_0, partners=(partner(5),))),
    Row("DATA010", "an iterator", at_7(iterator(), partners=(partner(5),))),
    Row(
        "DATA010",
        "no number",
        at_7(partners=(partner(5),), location=Location("run/best", "tensor_bundle", "", None)),
    ),
    Row(
        "DATA011",
        "of this step",
        at_7(partners=(partner(7, "only input.ckpt-7.meta is there, without its index"),)),
        (
            Says(
                "missing",
                "the save of input.ckpt-7 was never finished: only input.ckpt-7.meta is there, "
                "without its index",
                "approximate",
                "input.ckpt-7",
                (Evidence("run/input.ckpt-7"),),
                NEW_HOOK,
            ),
        ),
    ),
    Row(
        "DATA011",
        "of another step",
        at_7(iterator(), partners=(partner(7), partner(8, "cut off"))),
        (
            Says(
                "inconsistent",
                "the save of input.ckpt-8 was never finished: cut off",
                None,
                "input.ckpt-8",
                (Evidence("run/input.ckpt-8"),),
                NEW_HOOK,
            ),
        ),
    ),
    Row(
        "DATA011",
        "of another step, and no iterator",
        at_7(partners=(partner(8, "cut off"),)),
        (
            Says(
                "inconsistent",
                "the save of input.ckpt-8 was never finished: cut off",
                None,
                "input.ckpt-8",
                (Evidence("run/input.ckpt-8"),),
                NEW_HOOK,
            ),
        ),
    ),
    Row(
        "DATA011",
        "of this step, and an iterator",
        at_7(iterator(), partners=(partner(7, "cut off"),)),
        (
            Says(
                "inconsistent",
                "the save of input.ckpt-7 was never finished: cut off",
                None,
                "input.ckpt-7",
                (Evidence("run/input.ckpt-7"),),
                NEW_HOOK,
            ),
        ),
    ),
    Row("DATA011", "whole", at_7(iterator(), partners=(partner(7),))),
    Row(
        "DATA018",
        "unfinished",
        at_7(unfinished_input=("run/checkpoint_input", "input.ckpt-7_temp_1f")),
        (
            Says(
                "damaged",
                "checkpoint_input names input.ckpt-7_temp_1f, a save that never finished: "
                "restoring with the hook fails",
                "impossible",
                "input.ckpt-7_temp_1f",
                (Evidence("run/checkpoint_input", value="input.ckpt-7_temp_1f"),),
                REPAIR_STATE_FILE,
            ),
        ),
    ),
    Row(
        "DATA018",
        "an iterator",
        at_7(iterator(), unfinished_input=("run/checkpoint_input", "input.ckpt-7_temp_1f")),
    ),
    Row("DATA018", "none", at_7()),
    Row(
        "COND113",
        "of an input checkpoint",
        at_7(iterator(source_file="run/input.ckpt-7"), framework="estimator"),
        (
            "A new CheckpointInputPipelineHook is passed to each train() call: a reused one does "
            "not restore the state.",
        ),
    ),
    Row("COND113", "in the checkpoint itself", at_7(iterator(), framework="estimator")),
    Row("COND113", "no Estimator", at_7(iterator(source_file="run/input.ckpt-7"))),
    Row(
        "COND114",
        "a Saver",
        at_7(iterator(), framework="saver", meta=MetaGraph()),
        (
            "The program does not run the iterator's initializer after it has restored the "
            "checkpoint.",
        ),
    ),
    Row("COND114", "no graph", at_7(iterator(), framework="saver")),
    Row("COND114", "no iterator", at_7(framework="saver", meta=MetaGraph())),
    Row("COND114", "objects", at_7(iterator(), meta=MetaGraph())),
    Row(
        "DATA026",
        "all here",
        at_7(
            location=Location(str(SAMPLES / "manager_run_221/ckpt-4"), "tensor_bundle", "", 4),
            other_hosts=("ckpt-4", "ckpt-8"),
        ),
        (
            Says(
                "saved",
                "the input pipelines of 2 hosts belong together: ckpt-4, ckpt-8",
            ),
        ),
    ),
    Row(
        "DATA026",
        "one absent",
        at_7(
            location=Location(str(SAMPLES / "manager_run_221/ckpt-4"), "tensor_bundle", "", 4),
            other_hosts=("ckpt-4", "ds-001-of-002"),
        ),
        (
            Says(
                "missing",
                "the input pipelines of 2 hosts belong together; ds-001-of-002 is not here",
                "approximate",
                "ds-001-of-002",
                remedy="Keep the iterator checkpoints of all hosts together.",
            ),
        ),
    ),
    Row(
        "DATA026",
        "several absent",
        at_7(other_hosts=("ds-000-of-002", "ds-001-of-002")),
        (
            Says(
                "missing",
                "the input pipelines of 2 hosts belong together; ds-000-of-002, ds-001-of-002 are "
                "not here",
                "approximate",
                "ds-000-of-002",
                remedy="Keep the iterator checkpoints of all hosts together.",
            ),
        ),
    ),
    Row("DATA026", "one host", at_7()),
]

OF_COUNTS = [
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

ROWS = [*STORED, *WITHOUT_ITERATOR, *OUT_OF_STEP, *OF_WHICH, *OF_PARTNERS, *OF_COUNTS]
