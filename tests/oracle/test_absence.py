"""TensorFlow as the oracle: restoring raises for each key that is said to be missing."""

from __future__ import annotations

import pytest

from ckptscope.checkpoint.absence import missing_keys
from ckptscope.checkpoint.discover import find

tf = pytest.importorskip("tensorflow")


class State(tf.train.experimental.PythonState):
    """State of the program that is not a tensor."""

    def serialize(self) -> str:
        return "x"

    def deserialize(self, text: str) -> None:
        pass


def program() -> tf.train.Checkpoint:
    model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1)])
    optimizer = tf.keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    return tf.train.Checkpoint(
        model=model,
        optimizer=optimizer,
        state=State(),
        table=tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0),
        dense=tf.lookup.experimental.DenseHashTable(tf.int64, tf.int64, 0, -1, -2),
        generator=tf.random.Generator.from_seed(1),
        step=tf.Variable(3, dtype=tf.int64),
    )


def test_restoring_raises_for_each_missing_key(tmp_path):
    path = program().write(str(tmp_path / "whole"))
    reader = tf.train.load_checkpoint(path)
    dtypes = reader.get_variable_to_dtype_map()
    values = {key: tf.constant(reader.get_tensor(key), dtypes[key]) for key in dtypes}
    with find(path).open() as stored:
        assert missing_keys(stored) == ()
    told = 0
    for dropped in values:
        if dropped == "_CHECKPOINTABLE_OBJECT_GRAPH":
            continue
        kept = [key for key in values if key != dropped]
        prefix = str(tmp_path / "part")
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=kept,
            shape_and_slices=[""] * len(kept),
            tensors=[values[key] for key in kept],
        )
        with find(prefix).open() as stored:
            assert [(item.key, item.raises) for item in missing_keys(stored)] == [(dropped, True)]
        with pytest.raises((tf.errors.NotFoundError, KeyError)):
            program().read(prefix)
        told += 1
    assert told > 10
