"""Every sample against what was measured when its run was resumed."""

from __future__ import annotations

import hashlib
import json

import pytest

import ckptscope as cs
from ckptscope.resume.model import VERDICTS
from tests import samples

pytestmark = pytest.mark.usefixtures("in_samples")
JUDGED = [pytest.param(row, id=row["name"]) for row in samples.JUDGED]
DECIDABLE = [pytest.param(row, id=row["name"]) for row in samples.JUDGED if row["decidable"]]
UNDECIDABLE = [pytest.param(row, id=row["name"]) for row in samples.JUDGED if not row["decidable"]]
COUNTS = (
    "step",
    "epoch",
    "batches_consumed",
    "examples_consumed",
    "examples_into_epoch",
    "batch_size",
)
BAD = {"missing", "partial", "inconsistent", "damaged", "unknown"}


def wrong_fields(position, truth):
    """Claimed fields that differ from the truth; null is always allowed."""
    named = {name: position[name] for name in COUNTS} | {"dataset_size": position["epoch_size"]}
    return {
        name: (value, truth[name])
        for name, value in named.items()
        if value is not None and name in truth and value != truth[name]
    }


def inspected(target):
    return json.loads(cs.inspect(target).to_json())


@pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in samples.ROWS])
def test_files_are_those_of_the_manifest(row):
    for file, digest in row["sha256"].items():
        assert hashlib.sha256((samples.ROOT / file).read_bytes()).hexdigest() == digest, file
    on_disk = {
        str(path.relative_to(samples.ROOT))
        for path in (samples.ROOT / row["target"]).rglob("*")
        if path.is_file()
    }
    assert on_disk <= set(row["sha256"])


@pytest.mark.parametrize("row", DECIDABLE)
def test_verdict_is_the_measured_one(row):
    assert inspected(row["target"])["resume"]["verdict"] == row["truth"]["resume"]


@pytest.mark.parametrize("row", UNDECIDABLE)
def test_undecidable_is_never_exact_without_a_condition(row):
    resume = inspected(row["target"])["resume"]
    worse = VERDICTS.index(row["truth"]["resume"]) < VERDICTS.index(resume["verdict"])
    if worse and resume["verdict"] == "exact":
        assert [
            condition for condition in resume["conditions"] if condition["source"] == "evidence"
        ]


@pytest.mark.parametrize("row", JUDGED)
def test_no_claimed_field_is_wrong(row):
    resume = inspected(row["target"])["resume"]
    assert wrong_fields(resume["position"], row["truth"]["position"]) == {}


@pytest.mark.parametrize("row", JUDGED)
def test_every_null_has_its_reason(row):
    report = inspected(row["target"])
    for position in (
        report["resume"]["position"],
        *(iterator["position"] for iterator in report["iterators"]),
    ):
        for name in (
            "epoch",
            "batches_consumed",
            "examples_consumed",
            "examples_into_epoch",
            "batch_size",
        ):
            assert position[name] is not None or position["reasons"].get(name), (name, position)


# Where all of it is stored, all of it must be told.
COMPLETE = [
    row
    for row in samples.JUDGED
    if row["truth"]["resume"] == "exact"
    and row["name"].startswith(
        (
            "full_2",
            "tfrecord_offset",
            "tfrecord_gzip",
            "saver_iterator",
            "partitioned",
            "sharded",
            "estimator_hook_1",
            "estimator_hook_2",
            "manager_run_221",
            "two_iterators",
            "generator",
            "lossscale",
            "ema",
            "batchnorm",
            "sgd",
        )
    )
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in COMPLETE])
def test_complete_positions(row):
    position = inspected(row["target"])["resume"]["position"]
    assert position["class"] == "stored"
    assert {name: position[name] for name in COUNTS} == {
        name: row["truth"]["position"][name] for name in COUNTS
    }


def test_unstarted_position_is_all_zero():
    position = inspected("unstarted_221")["resume"]["position"]
    assert [
        position[name]
        for name in ("epoch", "batches_consumed", "examples_consumed", "examples_into_epoch")
    ] == [0] * 4


@pytest.mark.parametrize("row", DECIDABLE)
def test_every_lost_component_has_a_finding(row):
    findings = inspected(row["target"])["resume"]["findings"]
    named = {finding["component"] for finding in findings if finding["status"] in BAD}
    assert set(row["truth"]["lost"]) <= named


@pytest.mark.parametrize("row", DECIDABLE)
def test_exact_ones_have_no_finding_that_says_otherwise(row):
    if row["truth"]["resume"] != "exact":
        return
    findings = inspected(row["target"])["resume"]["findings"]
    assert [
        finding["code"] for finding in findings if finding["verdict"] not in (None, "exact")
    ] == []


@pytest.mark.parametrize("row", DECIDABLE)
def test_loss_of_a_restart_is_all_that_was_consumed(row):
    """The loss needs the batch size; with it, a run that starts over repeats what it had
    consumed.
    """
    truth = row["truth"]
    if truth["resume"] != "approximate" or "iterator" not in truth["lost"]:
        return
    found = json.loads(cs.inspect(row["target"], batch_size=4, epoch_size=40).to_json())["resume"]
    if found["position"]["step"] is None or found["position"]["class"] != "lost":
        return
    repeated = found["loss"]["repeated_elements"]
    if isinstance(repeated[0], int):
        repeated = [{"epoch": 0, "from": repeated[0], "to": repeated[1]}]
    consumed = truth["position"]["examples_consumed"]
    assert repeated[-1]["epoch"] * 40 + repeated[-1]["to"] == consumed


RUNS = [pytest.param(row, id=row["name"]) for row in samples.ROWS if row.get("history")]


@pytest.mark.parametrize("row", RUNS)
def test_history(row):
    rows = json.loads(cs.inspect_all(row["target"]).to_json())["history"]
    assert [found["checkpoint"]["path"] for found in rows] == [
        truth["target"] for truth in row["history"]
    ]
    for found, truth in zip(rows, row["history"], strict=True):
        assert found["verdict"] == truth["truth"]["resume"]
        assert wrong_fields(found["position"], truth["truth"]["position"]) == {}


@pytest.mark.parametrize("row", RUNS)
def test_history_agrees_with_single_inspections(row):
    for found, truth in zip(cs.inspect_all(row["target"]).rows, row["history"], strict=True):
        one = cs.inspect(truth["target"])
        assert (found.verdict, found.position, found.headline) == (
            one.resume.verdict,
            one.resume.position,
            one.resume.headline,
        )


def test_iterator_behind_the_step_is_told():
    found = inspected("manager_run_lost_221")
    assert found["iterators"][0]["position"]["batches_consumed"] == 4
    assert found["resume"]["position"]["batches_consumed"] is None
    assert any(
        f["component"] == "iterator" and f["status"] == "inconsistent"
        for f in found["resume"]["findings"]
    )
    assert any(
        "feeds the training" in c["text"] and c["source"] == "evidence"
        for c in found["resume"]["conditions"]
    )


def test_held_elements():
    """Two batches wait in the prefetch; the shuffle read 55 and handed 36 on."""
    (stage,) = inspected("full_221")["iterators"][0]["stages"]
    held = {}
    while stage:
        held[stage["op"]] = stage["held_elements"]
        (stage,) = stage["inputs"] or (None,)
    assert held["Prefetch"] == 2
    assert held["ShuffleAndRepeat"] == 19


def test_all_samples_have_a_truth_or_are_for_reading():
    assert all(row.get("truth") or row["name"].startswith("read/") for row in samples.ROWS)
    assert len(samples.ROWS) >= 42
