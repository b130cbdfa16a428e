"""Rows of the data position."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Damage
from ckptscope.checkpoint.partners import Partner
from ckptscope.resume.agreement import Agreement
from ckptscope.resume.facts import Facts, StepFact
from ckptscope.resume.model import Evidence
from ckptscope.resume.recorded import RecordedPlace
from tests.resume.rules.iterators import (
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

EVALUATION = "its name is that of an iterator for evaluation"
UNKNOWN = Agreement("unknown", compared_with=7)
OTHER = Agreement("behind", 7, compared_with=7, delivered=0, not_training=EVALUATION)
DAMAGED = (Damage("data", "run/ckpt-7.data-00000-of-00001", "kernel", 0, "cut off"),)
FIRST, SECOND = iterator(UNKNOWN, key="first"), iterator(UNKNOWN, key="second")
INDEX = ("start_index", 28)
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


ROWS = [
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
