"""Run records: what is written comes back, and whatever is wrong becomes a problem, never a
value that is not there.
"""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ckptscope as cs
from ckptscope.checkpoint.meta_graph import GraphPipeline
from ckptscope.checkpoint.run_record import RunRecord, read_run_record
from ckptscope.recording.model import SourceFile
from ckptscope.recording.run_record_writer import write_run_record
from tests import writers

PIPELINE = GraphPipeline(
    ops=("BatchDatasetV2", "RangeDataset"),
    batch_size=4,
    drops_remainder=False,
    epoch_size=40,
    seeds=((1, 2),),
    range_from_zero=True,
    nondeterministic=(),
    random_ops=(),
    python_ops=(),
)


def saved(directory, name: str = "ckpt-5", **changed: object) -> str:
    prefix = (
        writers.Bundle()
        .array("w", np.ones(3, np.float32))
        .array("global_step", np.array(5))
        .write(directory / name)
    )
    facts = {
        "attempt": "abc",
        "step": 5,
        "wall_time_s": time.time(),
        "pipeline": PIPELINE,
        "files": [SourceFile("/x", 3, 2, "f")],
        "batch_size": 4,
        "epoch_size": 40,
        "hosts": 1,
        "random_layers": [{"name": "d", "class": "Dropout"}],
        "position": {"counted_batches": 5},
        **changed,
    }
    write_run_record(prefix, **facts)
    return prefix


def test_a_record_comes_back(tmp_path):
    found, problem = read_run_record(saved(tmp_path))
    assert problem is None
    assert (found.attempt, found.step, found.pipeline, found.counted_batches) == (
        "abc",
        5,
        PIPELINE,
        5,
    )
    assert found.random_layers == (("d", "Dropout"),)
    assert (found.files[0].path, found.files[0].num_records) == ("/x", 2)
    assert not list(tmp_path.glob("*.tmp"))


def test_none_is_no_problem(tmp_path):
    prefix = writers.Bundle().array("w", np.ones(3, np.float32)).write(tmp_path / "c")
    assert read_run_record(prefix) == (None, None)


@given(st.integers(0, 5000), st.integers(0, 7), st.booleans())
def test_damaged_records_are_a_value_or_a_problem(tmp_path_factory, position, bit, cut):
    prefix = saved(tmp_path_factory.mktemp("record"))
    path = f"{prefix}.ckptscope.json"
    with open(path, "rb") as file:
        data = bytearray(file.read())
    position %= len(data)
    data[position] ^= 1 << bit
    with open(path, "wb") as file:
        file.write(data[:position] if cut else data)
    found, problem = read_run_record(prefix)
    assert (found is None) != (problem is None)
    assert found is None or isinstance(found, RunRecord)
    assert cs.inspect(prefix).resume.verdict in ("exact", "approximate")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"format_version": 1}',
        '{"format_version": "2.0"}',
        '{"format_version": "1.0"}',
        "[" * 10**5,
    ],
)
def test_what_is_no_record_says_so(tmp_path, text):
    prefix = saved(tmp_path)
    (tmp_path / "ckpt-5.ckptscope.json").write_text(text)
    found, problem = read_run_record(prefix)
    assert found is None
    assert "run record" in problem


def test_later_keys_are_ignored_and_later_formats_refused(tmp_path):
    prefix = saved(tmp_path)
    path = tmp_path / "ckpt-5.ckptscope.json"
    value = {**json.loads(path.read_text()), "something_new": [1], "format_version": "1.7"}
    path.write_text(json.dumps(value))
    assert read_run_record(prefix)[0] is not None
    path.write_text(json.dumps({**value, "format_version": "2.0"}))
    assert "does not read" in read_run_record(prefix)[1]


def test_diff_shows_that_the_pipeline_changed(tmp_path):
    a = saved(tmp_path, "ckpt-5")
    other = GraphPipeline(
        **{
            **{n: getattr(PIPELINE, n) for n in PIPELINE.__dataclass_fields__},
            "ops": ("ShuffleDatasetV3", *PIPELINE.ops),
        }
    )
    b = saved(tmp_path, "ckpt-6", pipeline=other)
    alarms = {alarm.code: alarm.text for alarm in cs.diff(a, b).summary.alarms}
    assert "new: ShuffleDatasetV3" in alarms["PIPELINE_CHANGED"]


def test_what_the_program_does_comes_back(tmp_path):
    prefix = saved(
        tmp_path,
        position={
            "counted_batches": 5,
            "epoch": 2,
            "batches_into_epoch": 5,
            "examples_into_epoch": 20,
            "examples_counted": 100,
            "start_examples": 80,
        },
        program={
            "fed": "fit",
            "epochs": "iterator_per_epoch",
            "steps_per_epoch": 10,
            "order": "shuffled",
            "order_depends_on_epoch": True,
            "deterministic": True,
            "opaque_layers": ["own (Own)"],
            "num_layers": 3,
        },
    )
    found, problem = read_run_record(prefix)
    assert problem is None
    assert (found.epoch, found.examples_into_epoch, found.examples_counted) == (2, 20, 100)
    assert (found.fed, found.epochs, found.order) == ("fit", "iterator_per_epoch", "shuffled")
    assert (found.steps_per_epoch, found.start_examples, found.hosts) == (10, 80, 1)
    assert (found.order_depends_on_epoch, found.opaque_layers) == (True, ("own (Own)",))
    assert found.is_at_epoch_end is False


def test_a_record_of_an_earlier_version_leaves_the_rest_open(tmp_path):
    found, _ = read_run_record(saved(tmp_path))
    assert (found.fed, found.epochs, found.epoch, found.order) == (None, None, None, None)
    assert found.is_at_epoch_end is None


def test_words_of_a_later_version_are_not_believed(tmp_path):
    found, problem = read_run_record(saved(tmp_path, program={"epochs": "several", "fed": 3}))
    assert problem is None
    assert (found.epochs, found.fed) == (None, None)


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras", "latest.weights.h5"])
def test_a_file_of_keras_is_known_by_its_fingerprint(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"weights" * 100)
    write_run_record(
        str(path),
        attempt="abc",
        step=5,
        wall_time_s=0.0,
        pipeline=None,
        files=(),
        batch_size=4,
        epoch_size=None,
        hosts=1,
        random_layers=None,
        position={"epoch": 1},
    )
    assert read_run_record(str(path))[0].epoch == 1
    path.write_bytes(b"weighty" * 100)
    found, problem = read_run_record(str(path))
    assert found is None
    assert "belongs to another checkpoint" in problem
