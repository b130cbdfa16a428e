"""``fit`` under a distribution strategy: the callback must not stop it. Two workers of several are
tried by tests/recording/test_old_python.py: Keras 3 does not train with MultiWorkerMirrored.
"""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

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


def test_what_goes_wrong_in_the_callback_stays_in_it(tmp_path, monkeypatch):
    from ckptscope import keras as module

    def broken(*args, **kwargs):
        raise RuntimeError("broken")

    monkeypatch.setattr(module, "RunRecorder", broken)
    callback = module.DataPosition(str(tmp_path))
    with pytest.warns(RuntimeWarning, match="broken") as told:
        callback.on_train_begin()
        callback.on_epoch_begin(0)
        callback.on_train_batch_end(0)
        callback.on_train_batch_end("odd")
        callback.on_train_end()
    assert len(told) == 1


def test_a_pickled_callback_begins_anew(tmp_path):
    from ckptscope.keras import DataPosition

    callback = DataPosition(str(tmp_path), batch_size=4)
    callback.on_train_begin()
    copied = pickle.loads(pickle.dumps(callback))
    assert copied.recorder is None
    copied.on_train_begin()
    for found, steps in ((callback, 3), (copied, 2)):
        found.on_epoch_begin(0)
        for batch in range(steps):
            found.on_train_batch_end(batch)
        found.on_train_end()
    assert sorted(item.num_rows for item in read_recording(str(tmp_path))) == [2, 3]
