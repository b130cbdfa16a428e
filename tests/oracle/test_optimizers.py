"""Every optimizer of TensorFlow and Keras: its slots are slots, the weights are the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ckptscope.checkpoint.discover import find
from ckptscope.checkpoint.meta_graph import read_meta_graph
from ckptscope.checkpoint.roles import take_inventory

V1 = {
    "GradientDescent": lambda train: train.GradientDescentOptimizer(0.1),
    "Momentum": lambda train: train.MomentumOptimizer(0.1, 0.9),
    "Adam": lambda train: train.AdamOptimizer(0.1),
    "named": lambda train: train.AdamOptimizer(0.1, name="AdamOfMine"),
    "Adagrad": lambda train: train.AdagradOptimizer(0.1),
    "AdagradDA": lambda train: train.AdagradDAOptimizer(0.1, train.get_or_create_global_step()),
    "Adadelta": lambda train: train.AdadeltaOptimizer(0.1),
    "RMSProp": lambda train: train.RMSPropOptimizer(0.1),
    "centered": lambda train: train.RMSPropOptimizer(0.1, centered=True),
    "Ftrl": lambda train: train.FtrlOptimizer(0.1),
}
KERAS = (
    "SGD",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Adagrad",
    "Adadelta",
    "RMSprop",
    "Ftrl",
    "Lion",
    "Lamb",
    "Adafactor",
)


def _parameters(inventory: Any) -> int:
    return sum(variable.entry.num_elements for variable in inventory.of_role("weight"))


@pytest.mark.parametrize("scope", ["", "net", "a_longer_scope"])
@pytest.mark.parametrize("name", V1)
def test_slots_of_tf1(tf, tmp_path, name, scope):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope(scope) if scope else v1.variable_scope(""):
            w = v1.get_variable("w", [3, 2])
            b = v1.get_variable("b", [2])
            loss = tf.reduce_sum(tf.square(tf.matmul(tf.ones([1, 3]), w) + b))
            optimizer = V1[name](v1.train)
            optimizer.minimize(loss)
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model"))
        slots = {
            optimizer.get_slot(variable, slot).op.name: variable.op.name
            for slot in optimizer.get_slot_names()
            for variable in (w, b)
        }
    meta, _ = read_meta_graph(prefix)
    assert meta is not None
    for graph in (meta, None):
        with find(prefix).open() as checkpoint:
            inventory = take_inventory(checkpoint, graph)
        found = {v.key: v.slot_of for v in inventory.true_slots}
        assert found == slots
        assert _parameters(inventory) == 8
        assert inventory.orphan_slots == ()
        assert inventory.weights_without_slots == ()
        assert inventory.slot_gaps == ()


@pytest.mark.parametrize("name", KERAS)
def test_slots_of_keras(tf, tmp_path, name):
    keras = tf.keras
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(keras.optimizers, name)(0.1, **options)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(np.ones((2, 3), "float32"), training=True) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    prefix = tf.train.Checkpoint(model=model, optimizer=optimizer).save(str(tmp_path / "c"))
    with find(prefix).open() as checkpoint:
        inventory = take_inventory(checkpoint)
    assert _parameters(inventory) == model.count_params()
    assert {v.slot_of for v in inventory.true_slots if v.slot_of} == {
        v.key for v in inventory.of_role("weight") if not v.is_statistic
    }
    assert inventory.weights_without_slots == ()
    assert inventory.orphan_slots == ()
    assert inventory.slot_gaps == ()
