"""``fit`` under a distribution strategy: the callback must not stop it. Two workers of several are
tried by tests/recording/test_old_python.py: Keras 3 does not train with MultiWorkerMirrored.
"""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

from ckptscope.recording.portable import writer
from ckptscope.recording.reader import read_recording
from tests.command import ROOT

pytestmark = pytest.mark.tf

MIRRORED = """
import sys
import tensorflow as tf
import keras
import ckptscope as cs
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
data = tf.data.Dataset.range(40).map(lambda i: (tf.zeros([1]), tf.zeros([1]))).batch(4)
position = cs.keras.DataPosition(sys.argv[1], dataset=data)
for _ in range(2):
    model.fit(data, epochs=1, verbose=0, callbacks=[position])
print("trained", int(model.optimizer.iterations.numpy()))
"""


def test_mirrored(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MIRRORED, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=200,
    )
    assert "trained 20" in done.stdout, done.stderr[-2000:]
    assert "not fully recorded" not in done.stderr
    steps = [found.columns["step"].tolist() for found in read_recording(str(tmp_path))]
    assert steps == [list(range(1, 11)), list(range(11, 21))]


def fit(callback, epochs: int = 1) -> int:
    """Train on three batches an epoch; the steps that were made."""
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    zeros = np.zeros((12, 1), np.float32)
    model.fit(zeros, zeros, batch_size=4, epochs=epochs, verbose=0, callbacks=[callback])
    return int(model.optimizer.iterations)


def test_what_goes_wrong_in_the_callback_stays_in_it(tmp_path, monkeypatch):
    from ckptscope.keras import DataPosition

    def broken(*args, **kwargs):
        raise RuntimeError("broken")

    monkeypatch.setattr(writer.Recorder, "__init__", broken)
    with pytest.warns(RuntimeWarning, match="broken") as told:
        assert fit(DataPosition(str(tmp_path), batch_size=4), epochs=2) == 6
    assert len([item for item in told if "broken" in str(item.message)]) == 1


def test_a_pickled_callback_begins_anew(tmp_path):
    from ckptscope.keras import DataPosition

    callback = DataPosition(str(tmp_path), batch_size=4)
    fit(callback, epochs=2)
    fit(pickle.loads(pickle.dumps(callback)))
    assert [item.num_rows for item in read_recording(str(tmp_path))] == [6, 3]
