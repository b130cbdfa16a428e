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
EXACT = [param for param in DECIDABLE if param.values[0]["truth"]["resume"] == "exact"]
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
def test_undecidable_is_never_better_than_measured_without_a_condition(row):
    resume = inspected(row["target"])["resume"]
    evidence = [c for c in resume["conditions"] if c["source"] == "evidence"]
    not_better = VERDICTS.index(resume["verdict"]) <= VERDICTS.index(row["truth"]["resume"])
    assert not_better or (resume["verdict"] == "exact" and evidence)


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
            "renamed_keys",
            "partitioned_ftrl",
            "step_starts_at_one",
            "accumulation",
            "model_named_opt",
            "numbers_again",
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


@pytest.mark.parametrize("row", EXACT)
def test_exact_ones_have_no_finding_that_says_otherwise(row):
    findings = inspected(row["target"])["resume"]["findings"]
    assert [
        finding["code"] for finding in findings if finding["verdict"] not in (None, "exact")
    ] == []


STARTS_OVER = [
    row for row in samples.JUDGED if row["decidable"] and "iterator" in row["truth"]["lost"]
]
NOT_STORED = """estimator_plain_115 estimator_plain_215 queue_115 saveload_noiterator_221
    saver_noiterator_115 saver_v1_115 start_index_missing_221 tfrecord_noiterator_221""".split()


@pytest.mark.parametrize("row", [pytest.param(row, id=row["name"]) for row in STARTS_OVER])
def test_no_range_is_told_without_a_recording(row):
    """An earlier restart cannot be excluded, so what is repeated does not follow from the step."""
    found = cs.inspect(row["target"], batch_size=4, epoch_size=40).resume
    assert found.loss is None
    assert found.position.examples_consumed is None or found.position.position_class == "derivable"


@pytest.mark.parametrize("name", NOT_STORED)
def test_a_restart_repeats_at_most_what_was_consumed(name):
    resume = json.loads(cs.inspect(name, batch_size=4, epoch_size=40).to_json())["resume"]
    assert resume["position"]["class"] == "lost"
    (finding,) = [f for f in resume["findings"] if f["code"] == "DATA002"]
    (truth,) = [row["truth"] for row in samples.JUDGED if row["name"] == name]
    consumed = truth["position"]["batches_consumed"]
    assert f"at most {consumed} batches, all since the run began" in finding["message"]


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
    assert len(samples.ROWS) >= 65
