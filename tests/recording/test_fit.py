"""What the callback records of ``fit`` as people call it, against what the model was given."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import ckptscope as cs
from ckptscope.checkpoint.run_record import read_run_record
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.positions import positions_of
from ckptscope.recording.reader import read_recording

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::UserWarning")]
SIZE, BATCH = 22, 4


def ids(size: int = SIZE, start: int = 0):
    import tensorflow as tf

    return tf.data.Dataset.range(start, size).map(
        lambda i: (tf.reshape(tf.cast(i, tf.float32), [1]),) * 2
    )


def model(given: list[list[int]], **compiled: Any):
    """A model that logs what each of its steps is given."""
    import keras
    import tensorflow as tf

    class Logging(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs / 100.0)

        def train_step(self, data):
            tf.numpy_function(
                lambda batch: given.append(batch[:, 0].astype(int).tolist()), [data[0]], []
            )
            return super().train_step(data)

    made = Logging()
    options = dict(compiled.pop("optimizer", {}))
    made.compile(keras.optimizers.SGD(1e-3, **options), "mse", **compiled)
    made(tf.zeros([1, 1]))
    return made


def arrays(shuffle: bool):
    x = np.arange(SIZE, dtype=np.float32)[:, None]
    return {"x": x, "y": x, "batch_size": BATCH, "shuffle": shuffle}


def sequence():
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, number):
            x = np.arange(number * 4, min(SIZE, number * 4 + 4), dtype=np.float32)[:, None]
            return x, x

    return {"x": Batches()}


def generator():
    def batches():
        at = 0
        while True:
            x = (np.arange(at, at + 4) % SIZE).astype(np.float32)[:, None]
            at += 4
            yield x, x

    return {"x": batches(), "steps_per_epoch": 5}


@dataclass(frozen=True)
class Call:
    """One call of ``fit``; what it is given, how the model is compiled, and what is recorded."""

    data: Any
    counting: str
    compiled: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    is_fixed: bool = True


FIT = {
    "known size": Call(lambda: {"x": ids().batch(4)}, "epochs"),
    "unknown size": Call(lambda: {"x": ids().filter(lambda x, y: True).batch(4)}, "epochs"),
    "steps_per_epoch": Call(
        lambda: {"x": ids().repeat().batch(4)}, "stream", fit={"steps_per_epoch": 5}
    ),
    "steps_per_epoch that are all of the data": Call(
        lambda: {"x": ids().batch(4)}, "epochs", fit={"steps_per_epoch": 6}
    ),
    "executions": Call(lambda: {"x": ids().batch(4)}, "epochs", {"steps_per_execution": 4}),
    "executions, unknown size": Call(
        lambda: {"x": ids().filter(lambda x, y: True).batch(4)},
        "epochs",
        {"steps_per_execution": 4},
    ),
    "gathered gradients": Call(
        lambda: {"x": ids().batch(4)},
        "epochs",
        {"optimizer": {"gradient_accumulation_steps": 2}},
    ),
    "validation": Call(lambda: {"x": ids().batch(4), "validation_data": ids().batch(3)}, "epochs"),
    "class weights": Call(lambda: {"x": ids().batch(4), "class_weight": None}, "epochs"),
    "arrays in order": Call(lambda: arrays(False), "epochs"),
    "arrays, shuffled": Call(lambda: arrays(True), "epochs", is_fixed=False),
    "PyDataset": Call(sequence, "epochs", told={"batch_size": 4, "epoch_size": SIZE}),
    "generator": Call(generator, "stream", told={"batch_size": 4, "epoch_size": SIZE}),
    "seeded shuffle": Call(
        lambda: {"x": ids().shuffle(30, seed=3).batch(4)}, "epochs", is_fixed=False
    ),
}

# Where a short batch lies among the others nobody knows.
UNEVEN = {"PyDataset", "generator"}


@pytest.mark.parametrize("name", FIT)
def test_every_batch_is_recorded_where_it_was(name, tmp_path):
    call, given = FIT[name], []
    made = model(given, **call.compiled)
    data = call.data()
    position = cs.keras.DataPosition(str(tmp_path), flush_interval_s=0.05, **call.told)
    made.fit(**data, epochs=3, verbose=0, callbacks=[position], **call.fit)
    (found,) = read_recording(str(tmp_path))
    positions = positions_of(found)
    assert (found.attempt.counting, found.attempt.fed, found.attempt.closed) == (
        call.counting,
        "fit",
        True,
    )
    assert sum(item.num_steps for item in cs.history(str(tmp_path)).summaries()) == len(given)
    assert int(found.columns["step"][-1]) == len(given)
    assert found.attempt.order == ("fixed" if call.is_fixed else "shuffled") or name in (
        "unknown size",
        "executions, unknown size",
        "PyDataset",
        "generator",
    )
    taken = np.cumsum([len(batch) for batch in given])
    steps = found.columns["step"].tolist()
    for step, examples in zip(steps, positions.examples.tolist(), strict=True):
        assert examples in (UNKNOWN, taken[step - 1])
    if name not in UNEVEN and "unknown" not in name:
        assert UNKNOWN not in positions.examples
    elif name in UNEVEN:
        assert "batch" in positions.reason


def test_fit_called_again_is_no_restart(tmp_path):
    given: list[list[int]] = []
    made, data = model(given), ids().batch(4)
    for _ in range(2):
        position = cs.keras.DataPosition(str(tmp_path), dataset=data, flush_interval_s=0.05)
        made.fit(data, epochs=2, verbose=0, callbacks=[position])
    history = cs.history(str(tmp_path))
    first, second = history.attempts
    assert history.restarts == ()
    assert second.attempt.continues == first.attempt.id
    assert positions_of(second).epoch.tolist() == [2] * 6 + [3] * 6
    assert second.columns["step"].tolist() == list(range(13, 25))
    assert {count for _, count in history.coverage()} == {1}
    assert "goes on from attempt 1 in the same process" in printed(tmp_path)


def printed(directory) -> str:
    from rich.console import Console

    from ckptscope.render.history_text import print_history

    out = io.StringIO()
    print_history(cs.history(str(directory)), Console(width=200, file=out))
    return out.getvalue()


def test_a_new_process_begins_the_orders_of_a_seeded_shuffle_again(tmp_path):
    """In place, and yet another order than the run would have gone on with."""
    data = ids().shuffle(30, seed=3).batch(4)
    for initial in (0, 1):
        given: list[list[int]] = []
        made = model(given)
        made.optimizer.build(made.trainable_variables)
        made.optimizer.iterations.assign(6 * initial)
        position = cs.keras.DataPosition(str(tmp_path), dataset=data, flush_interval_s=0.05)
        made.fit(data, epochs=initial + 1, initial_epoch=initial, verbose=0, callbacks=[position])
    (restart,) = cs.history(str(tmp_path)).restarts
    assert (restart.moved, restart.order_again, restart.reason) == (0, "first", None)
    assert "but the order of epoch 0 is used again" in printed(tmp_path)


def test_a_stream_that_begins_later_is_told_or_seen(tmp_path):
    """``skip`` in the pipeline, and ``start=`` where no pipeline shows it."""
    whole = ids().repeat().batch(4)
    beginnings = [
        ({"x": whole.skip(5)}, {}),
        ({"x": whole.skip(5)}, {"skipped": 5}),
        ({"x": whole}, {"start": 20}),
    ]
    for number, (data, told) in enumerate(beginnings):
        directory = tmp_path / str(number)
        for steps in (5, 2):
            made = model([])
            made.optimizer.build(made.trainable_variables)
            is_second = steps == 2
            made.optimizer.iterations.assign(5 * is_second)
            position = cs.keras.DataPosition(
                str(directory), flush_interval_s=0.05, **(told if is_second else {})
            )
            made.fit(
                **(data if is_second else {"x": whole}),
                steps_per_epoch=steps,
                epochs=1,
                verbose=0,
                callbacks=[position],
            )
        (restart,) = cs.history(str(directory)).restarts
        assert (restart.moved, restart.repeated, restart.skipped) == (0, (), ()), data


@pytest.mark.parametrize("name", ["best.weights.h5", "best.keras"])
@pytest.mark.parametrize("order", ["before", "behind"])
def test_files_of_keras_get_a_run_record(name, order, tmp_path):
    import keras

    data = ids().batch(4)
    made = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), keras.layers.Dropout(0.3)])
    made.compile("sgd", "mse")
    path = str(tmp_path / name)
    callbacks = [
        keras.callbacks.ModelCheckpoint(path, save_weights_only=name.endswith("weights.h5")),
    ]
    position = cs.keras.DataPosition(str(tmp_path), dataset=data, flush_interval_s=0.05)
    callbacks.insert(0 if order == "before" else 1, position)
    made.fit(data, epochs=2, verbose=0, callbacks=callbacks)
    record, problem = read_run_record(path)
    assert problem is None
    assert (record.step, record.epoch, record.examples_into_epoch) == (12, 1, SIZE)
    assert (record.fed, record.epochs, record.steps_per_epoch) == ("fit", "iterator_per_epoch", 6)
    assert record.is_at_epoch_end and record.iterations == 12
    assert [kind for _, kind in record.random_layers] == ["Dropout"]
    assert (record.order, record.order_depends_on_epoch) == ("fixed", False)
    assert (record.opaque_layers, record.num_layers) == ((), 4)
    (found,) = read_recording(str(tmp_path))
    assert [saved.sequence for saved in found.checkpoints] == [6, 12]
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_layers_are_looked_into_under_whatever_name():
    import keras

    from ckptscope.recording.live import layers_of

    class Own(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.source = [keras.random.SeedGenerator(1)]

        def call(self, inputs):
            return inputs

    made = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.RandomFlip(name="flip"),
            keras.layers.Pipeline([keras.layers.RandomRotation(0.1, name="turn")], name="pipe"),
            Own(),
            keras.layers.Lambda(lambda inputs: inputs, name="lambda"),
            keras.layers.Flatten(name="flat"),
        ]
    )
    found = layers_of(made)
    assert {item["name"] for item in found.random} == {"flip", "turn", "own"}
    assert set(found.opaque) == {"own (Own)", "lambda (Lambda)"}
    assert found.num_layers > 6
