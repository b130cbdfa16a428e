"""What to do about a data position that is not stored, by how the program is fed."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from ckptscope.iterator.position import Hints
from ckptscope.resume.advice import ADVICE, advice_for
from ckptscope.resume.facts import Facts, Feeding, Framework, StepFact
from ckptscope.resume.recorded import RecordedPlace
from tests.resume.rules.iterators import at_7, pipeline, record

PLACE = RecordedPlace(7, 28, 0, 28, 4, 40, False, True, 7)
SIZES = Hints(batch_size=4, epoch_size=40)
AGREED = StepFact(7, "step", "own", standing="agreed")
BATCHES = pipeline("OwnDataset", "BatchDatasetV2", "RangeDataset")
BATCHES_REPEATED = pipeline("OwnDataset", "RepeatDataset", "BatchDatasetV2", "RangeDataset")
REPEATED = pipeline("OwnDataset", "BatchDatasetV2", "RepeatDataset", "RangeDataset")

# The first sentences of each row, which say what to change.
FIRST: dict[tuple[Feeding, str], str] = {
    ("loop", ""): "Make the iterator once (iterator = iter(dataset))",
    ("loop", "saved_model"): "Save for training with tf.train.Checkpoint, not as a SavedModel.",
    ("fit", ""): "Save at the end of an epoch, with a dataset whose order does not depend",
    ("fit", "keras_backup"): "Save at the end of an epoch (save_freq='epoch')",
    ("estimator", ""): "Pass tf.data.experimental.CheckpointInputPipelineHook(estimator) in hooks=",
    ("iterator", ""): "Make a saveable before the Saver",
    ("queue", ""): "A queue cannot be saved. Read the data with tf.data and save its iterator",
    ("placeholder", ""): "The program feeds its batches itself. Save the index of the next example",
    ("generator", ""): "A generator or Python function cannot be saved by TensorFlow. Save the",
}


def test_each_row_is_listed() -> None:
    assert set(ADVICE) == set(get_args(Feeding))
    assert {(feeding, name) for feeding, row in ADVICE.items() for name in row} == set(FIRST)


@pytest.mark.parametrize("feeding", get_args(Feeding))
@pytest.mark.parametrize("framework", get_args(Framework))
def test_advice_fits_the_program(feeding: Feeding, framework: Framework) -> None:
    expected = FIRST.get((feeding, framework), FIRST[feeding, ""])
    given = advice_for(at_7(feeding=feeding, framework=framework))
    assert given.startswith(expected)
    assert given == ADVICE[feeding].get(framework, ADVICE[feeding][""])


def recorded(place: RecordedPlace = PLACE, feeding: Feeding = "loop", **more: object) -> Facts:
    """No iterator stored, and a place that the recorder counted."""
    return at_7(recorded=place, feeding=feeding, **more)


def counted(**more: object) -> Facts:
    """No iterator stored, and a step that another witness confirms."""
    plain = {"step": AGREED, "hints": SIZES, "order_is_fixed": True}
    return at_7(**{**plain, **more})


def skip(facts: Facts) -> str | None:
    """What is advised besides the row."""
    given, row = advice_for(facts), ADVICE[facts.feeding][""]
    assert given.endswith(row)
    return given.removesuffix(row).rstrip() or None


def skips(where: str, sure: str = "") -> str:
    return f"To resume from here, skip what was already trained on{sure}: {where}."


SEVEN = "dataset.skip(7) after batch(), once, or skip(28) before it"
UNLESS_RESTARTED = " if the run was never restarted before"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(recorded(), skips(SEVEN), id="a loop"),
        pytest.param(recorded(feeding="estimator"), skips(SEVEN), id="an Estimator"),
        pytest.param(recorded(feeding="iterator"), skips(SEVEN), id="a Saver"),
        pytest.param(recorded(feeding="fit"), None, id="never for fit"),
        pytest.param(recorded(feeding="queue"), None, id="a queue"),
        pytest.param(recorded(feeding="placeholder"), None, id="placeholders"),
        pytest.param(recorded(feeding="generator"), None, id="a generator"),
        pytest.param(
            recorded(replace(PLACE, iterator_per_epoch=True)), None, id="an iterator for each epoch"
        ),
        pytest.param(recorded(replace(PLACE, order_is_fixed=False)), None, id="order not fixed"),
        pytest.param(recorded(replace(PLACE, order_is_fixed=None)), None, id="order not known"),
        pytest.param(recorded(replace(PLACE, batches=0)), None, id="nothing consumed"),
        pytest.param(recorded(replace(PLACE, batch_size=None)), None, id="no batch size"),
        pytest.param(recorded(replace(PLACE, epoch_size=None)), None, id="no size of an epoch"),
        # modulo an epoch, so that it never empties the dataset
        pytest.param(recorded(replace(PLACE, batches=27)), skips(SEVEN), id="the third epoch"),
        pytest.param(recorded(replace(PLACE, batches=20)), None, id="the end of an epoch"),
        pytest.param(
            recorded(replace(PLACE, batches=2, epoch_size=10)),
            skips("dataset.skip(2) after batch(), once, or skip(8) before it"),
            id="before the short batch",
        ),
        pytest.param(
            recorded(replace(PLACE, epoch_size=10)), None, id="who makes the passes is not known"
        ),
        pytest.param(
            recorded(replace(PLACE, epoch_size=10), run_record=record(BATCHES_REPEATED)),
            skips("dataset.skip(1) after batch(), once, or skip(4) before it"),
            id="three batches an epoch",
        ),
        pytest.param(
            recorded(replace(PLACE, epoch_size=10), run_record=record(BATCHES)),
            skips("dataset.skip(1) after batch(), once, or skip(4) before it"),
            id="three batches, and the program repeats them",
        ),
        pytest.param(
            recorded(replace(PLACE, batches=9, epoch_size=10), run_record=record(BATCHES_REPEATED)),
            None,
            id="the end of an epoch with a short batch",
        ),
        pytest.param(
            recorded(replace(PLACE, epoch_size=12), run_record=record(REPEATED)),
            skips("dataset.skip(1) after batch(), once, or skip(4) before it"),
            id="whole batches",
        ),
        pytest.param(
            recorded(replace(PLACE, epoch_size=10), run_record=record(REPEATED)),
            skips("dataset.skip(2) after batch(), once, or skip(8) before it"),
            id="batches cross the ends of epochs",
        ),
        pytest.param(
            recorded(replace(PLACE, batches=8, epoch_size=10), run_record=record(REPEATED)),
            skips("dataset.skip(2) between repeat() and batch(), once"),
            id="and one is cut by the end of an epoch",
        ),
        # without a recording
        pytest.param(counted(), skips(SEVEN, UNLESS_RESTARTED), id="a step that is agreed"),
        pytest.param(
            counted(step=replace(AGREED, value=27)),
            skips(SEVEN, UNLESS_RESTARTED),
            id="a step in the third epoch",
        ),
        pytest.param(counted(step=replace(AGREED, standing="alone")), None, id="a step alone"),
        pytest.param(counted(step=replace(AGREED, value=None)), None, id="no step"),
        pytest.param(counted(order_is_fixed=None), None, id="a step, and order not known"),
        pytest.param(counted(hints=Hints(batch_size=4)), None, id="a step, and no epoch"),
        pytest.param(counted(hints=Hints(epoch_size=40)), None, id="a step, and no batch"),
        pytest.param(counted(feeding="fit"), None, id="a step of fit"),
    ],
)
def test_where_to_begin(facts: Facts, expected: str | None) -> None:
    assert skip(facts) == expected
