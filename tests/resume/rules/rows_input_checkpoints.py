"""Rows of iterators in files of their own."""

from __future__ import annotations

from pathlib import Path

from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.partners import Partner
from ckptscope.resume.model import Evidence
from tests.resume.rules.iterators import (
    AT_0,
    at,
    at_7,
    iterator,
)
from tests.resume.rules.table import Row, Says

SAMPLES = Path(__file__).resolve().parents[3] / "sample_ckpts"
SAME_PERIOD = (
    "Resume from the step of which both are there, or save both with the same period (the hook "
    "takes its times from RunConfig)."
)
NEW_HOOK = "Make a new CheckpointInputPipelineHook for each train() call."
REPAIR_STATE_FILE = (
    "Delete the state file (checkpoint_input), or make it name the last whole input.ckpt-N; then "
    "make a new hook for each train() call."
)


def partner(step: int, problem: str | None = None) -> Partner:
    """The input checkpoint of that step."""
    prefix = f"run/input.ckpt-{step}"
    return Partner(prefix, "input.ckpt", step, problem is None, problem)


ROWS = [
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
