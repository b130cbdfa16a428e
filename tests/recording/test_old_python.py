"""The one file, run by a Python that cannot have ckptscope: ``python3.7`` with TensorFlow 1.15 or 2,
on the path or named by CKPTSCOPE_OLD_PYTHON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope.recording import portable
from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.positions import positions_of
from ckptscope.recording.reader import read_recording
from tests.command import ROOT

OLD = os.environ.get("CKPTSCOPE_OLD_PYTHON") or shutil.which("python3.7")


def tensorflow_of(python: str | None) -> str | None:
    if python is None:
        return None
    found = subprocess.run(
        [python, "-c", "import tensorflow; print(tensorflow.__version__)"],
        capture_output=True,
        text=True,
    )
    return found.stdout.strip().split("\n")[-1] if found.returncode == 0 else None


VERSION = tensorflow_of(OLD)
pytestmark = pytest.mark.skipif(
    VERSION is None,
    reason="no python3.7 with TensorFlow is on the path, and CKPTSCOPE_OLD_PYTHON names none",
)
eager = pytest.mark.skipif(not (VERSION or "").startswith("2"), reason="needs TensorFlow 2")


def run(*arguments: object, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [str(OLD), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def beside(tmp_path) -> Path:
    """A directory with the one file and the sessions of test_hook.py."""
    source = Path(portable.__file__).parent
    text = subprocess.run([str(OLD), str(source)], capture_output=True, text=True, check=True)
    (tmp_path / "ckptscope_portable.py").write_text(text.stdout)
    shutil.copy(ROOT / "tests" / "recording" / "sessions.py", tmp_path)
    return tmp_path


def test_the_example(tmp_path):
    run("examples/estimator_style.py", tmp_path)
    attempts = cs.history(str(tmp_path)).attempts
    truth: dict[int, list[tuple[int, list[int]]]] = {}
    for line in (tmp_path / "ids.jsonl").read_text().splitlines():
        row = json.loads(line)
        truth.setdefault(row["pid"], []).append((row["step"], row["ids"]))
    for found, rows in zip(attempts, truth.values(), strict=True):
        assert found.columns["step"].tolist() == [step for step, _ in rows]
        assert found.attempt.tool_version == "portable" and not found.problems
    assert attempts[1].attempt.start.batches in (10, None)
    for restart in cs.history(str(tmp_path)).restarts:
        assert restart.skipped == ()


SESSIONS = """
import json, sys
from ckptscope_portable import DataPositionHook
from sessions import BATCH, EXAMPLES, train
facts = {"batch_size": BATCH, "epoch_size": EXAMPLES, "flush_interval_s": 0.05}
rows = []
for last, stop, restore in ((20, 13, "nothing"), (17, None, sys.argv[2])):
    hook = DataPositionHook(sys.argv[1], **facts)
    rows.append(train(sys.argv[1], [hook], last, order=sys.argv[3], restore=restore, stop_at=stop))
json.dump(rows, open("rows.json", "w"))
"""


@pytest.mark.parametrize("order", ["hook first", "hook last"])
@pytest.mark.parametrize("restore", ["everything", "weights"])
def test_both_orders_of_hooks(beside, order, restore):
    (beside / "program.py").write_text(SESSIONS)
    run("program.py", beside / "model", restore, order, cwd=beside)
    attempts = read_recording(str(beside / "model"))
    rows = json.loads((beside / "rows.json").read_text())
    for found, done in zip(attempts, rows, strict=True):
        assert found.columns["step"].tolist() == [step for step, _ in done]
        assert positions_of(found).into.tolist() == [ids[-1] + 1 for _, ids in done]
    (restart,) = restarts_of(attempts)
    assert (restart.step, restart.dead_steps) == (10, 3)
    assert bool(restart.repeated) == (restore == "weights") and restart.skipped == ()


LOOP = """
import sys
import tensorflow as tf
from ckptscope_portable import record
dataset = tf.data.Dataset.range(40).repeat().batch(4)
iterator, step = iter(dataset), tf.Variable(0)
checkpoint = tf.train.Checkpoint(iterator=iterator, step=step)
manager = tf.train.CheckpointManager(checkpoint, sys.argv[1], None)
checkpoint.restore(manager.latest_checkpoint)
with record(
    sys.argv[1], iterator=iterator, batch_size=4, epoch_size=40,
    restored_from=manager.latest_checkpoint,
) as recorder:
    for number in range(int(step) + 1, int(sys.argv[2]) + 1):
        next(iterator)
        step.assign(number)
        recorder.step(number)
        if number % 5 == 0:
            recorder.saved(manager.save(), number)
"""


@eager
def test_a_loop(beside):
    (beside / "program.py").write_text(LOOP)
    for last in (13, 18):
        run("program.py", beside / "model", last, cwd=beside)
    one, two = read_recording(str(beside / "model"))
    assert one.columns["step"].tolist() == list(range(1, 14))
    assert two.columns["step"].tolist() == list(range(11, 19))
    assert (two.attempt.start.batches, two.attempt.restored_step) == (10, 10)
    (restart,) = restarts_of((one, two))
    assert (restart.moved, restart.repeated, restart.dead_steps) == (0, (), 3)


FIT = """
import sys
import tensorflow as tf
from ckptscope_portable import DataPosition
dataset = tf.data.Dataset.range(40).map(lambda i: (tf.zeros([1]), tf.zeros([1]))).batch(4)
model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(1,))])
model.compile("sgd", "mse", **({"steps_per_execution": 4} if sys.argv[2] == "several" else {}))
position = DataPosition(sys.argv[1], dataset=dataset, batch_size=4, epoch_size=40)
for _ in range(2):
    model.fit(dataset, epochs=2, verbose=0, callbacks=[position])
assert int(model.optimizer.iterations) == 40
"""


@eager
@pytest.mark.parametrize("steps", ["one", "several"])
def test_fit(beside, steps):
    (beside / "program.py").write_text(FIT)
    run("program.py", beside / "logs", steps, cwd=beside)
    one, two = read_recording(str(beside / "logs"))
    made = [4, 8, 10, 14, 18, 20] if steps == "several" else list(range(1, 21))
    assert one.columns["step"].tolist() == made
    assert two.columns["step"].tolist() == [20 + step for step in made]
    positions = positions_of(one)
    assert positions.epoch.tolist() == [(step - 1) // 10 for step in made]
    assert positions.into.tolist() == [((step - 1) % 10 + 1) * 4 for step in made]


WORKERS = """
import json, os, socket, subprocess, sys
if len(sys.argv) == 2:
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    hosts = ["127.0.0.1:%d" % each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    children = []
    for index in range(2):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        children.append(subprocess.Popen(
            [sys.executable, __file__, sys.argv[1], str(index)],
            env=dict(os.environ, TF_CONFIG=json.dumps(config), CUDA_VISIBLE_DEVICES="-1"),
        ))
    sys.exit(max(child.wait(200) for child in children))
import tensorflow as tf
from ckptscope_portable import DataPosition
with tf.distribute.MultiWorkerMirroredStrategy().scope():
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
dataset = tf.data.Dataset.range(40).map(lambda i: (tf.zeros([1]), tf.zeros([1]))).batch(4)
position = DataPosition(sys.argv[1], dataset=dataset)
model.fit(dataset, epochs=2, verbose=0, callbacks=[position])
"""


@eager
def test_two_workers(beside):
    (beside / "program.py").write_text(WORKERS)
    run("program.py", beside / "logs", cwd=beside)
    found = read_recording(str(beside / "logs"))
    assert sorted((item.attempt.process, item.attempt.hosts) for item in found) == [(0, 2), (1, 2)]
    assert [item.columns["step"].tolist() for item in found] == [list(range(1, 21))] * 2


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-rs"]))
