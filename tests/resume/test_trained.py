"""Which weights are trained, by what, and whether all that training needs is stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.graph_updates import OptimizerOp
from ckptscope.checkpoint.inventory import Inventory, Optimizer
from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Damage
from ckptscope.checkpoint.object_graph import ObjectGraph
from ckptscope.resume.facts import WeightFact
from ckptscope.resume.neighbours import Neighbour
from ckptscope.resume.trained import (
    adam_without_powers,
    graph_state_lost,
    momentum_of,
    name_of,
    unsaved_of_graph,
    weights_of,
)
from tests.resume.rules.table import BIAS, KERNEL, MOMENTUM, graph, stored, variable
from tests.writers import Bundle

GAMMA = replace(variable("layer/gamma", shape=(6,)), full_name="norm/gamma")
CENTER = variable("center", shape=(6,))
MEAN = replace(variable("norm/moving_mean", shape=(6,)), is_statistic=True)
COUNT = variable("count", "counter", shape=(), dtype="int64")
DAMAGE = Damage("checksum", "data", "kernel", 0, "it differs")


def changed(*keys: str, name: str = "ckpt-5") -> Neighbour:
    return Neighbour(name, changed=frozenset(keys))


# ------------------------------------------------------------ weights


def weights(*variables, neighbours=(), meta=None, orphans=(), prefix="nowhere/ckpt-7"):
    facts = stored(*variables)
    inventory = Inventory(tuple(variables), (), orphans)
    location = Location(str(prefix), "tensor_bundle", "", 7)
    return weights_of(facts.checkpoint, inventory, meta, tuple(neighbours), location)


TRAINED = (KERNEL, MOMENTUM)
UPDATES = graph(optimizer_ops=(OptimizerOp("ApplyMomentum", "kernel", ("opt/m/kernel",)),))
UNKNOWN_CHANGES = Neighbour("ckpt-5", changed=None)


@pytest.mark.parametrize(
    ("variables", "neighbours", "expected"),
    [
        # without slots, and nobody to ask
        ((*TRAINED, BIAS), (), WeightFact(without_slots=("bias",))),
        ((*TRAINED, GAMMA), (), WeightFact(without_slots=("norm/gamma",))),
        # nothing is without slots: all have them, none has any, statistics, integers
        (TRAINED, (), WeightFact()),
        ((KERNEL, BIAS), (), WeightFact()),
        ((*TRAINED, MEAN), (), WeightFact()),
        ((*TRAINED, replace(COUNT, role="weight")), (), WeightFact()),
        # it changed in a neighbour
        (
            (*TRAINED, BIAS),
            (changed("bias", "kernel"),),
            WeightFact(("bias",), ("bias",), "ckpt-5"),
        ),
        (
            (*TRAINED, BIAS, GAMMA),
            (changed("layer/gamma"),),
            WeightFact(("bias", "norm/gamma"), ("norm/gamma",), "ckpt-5"),
        ),
        (
            (*TRAINED, BIAS),
            (changed("kernel"), changed("bias", name="ckpt-9")),  # frozen for a while
            WeightFact(("bias",), ("bias",), "ckpt-9"),
        ),
        (
            (*TRAINED, BIAS),
            (changed(), changed("bias", name="ckpt-9")),
            WeightFact(("bias",), ("bias",), "ckpt-9"),
        ),
        # frozen: others were trained since, and this one was not
        ((*TRAINED, BIAS), (changed("kernel"),), WeightFact()),
        ((*TRAINED, BIAS), (changed(),), WeightFact(("bias",))),
        ((*TRAINED, BIAS), (UNKNOWN_CHANGES,), WeightFact(("bias",))),
        # a name that no layer trains by: it may be a statistic
        ((*TRAINED, CENTER), (changed("center", "kernel"),), WeightFact(("center",))),
    ],
)
def test_weights_without_slots(variables, neighbours, expected):
    assert weights(*variables, neighbours=neighbours) == expected


def test_a_graph_that_shows_the_updates_settles_it():
    assert weights(*TRAINED, BIAS, meta=UPDATES) == WeightFact()
    assert weights(*TRAINED, BIAS, meta=graph()) == WeightFact(without_slots=("bias",))


def test_owners_of_slots_that_are_not_stored():
    assert weights(*TRAINED, orphans=("gone",)) == WeightFact(owners_missing=("gone",))


def test_weights_in_another_format(tmp_path):
    prefix = tmp_path / "ckpt-7"
    assert weights(COUNT, prefix=prefix) == WeightFact()
    (tmp_path / "state.msgpack").touch()
    assert weights(COUNT, prefix=prefix) == WeightFact(elsewhere="state.msgpack")
    assert weights(KERNEL, prefix=prefix) == WeightFact()


def test_a_variable_is_called_as_a_person_knows_it():
    assert name_of(GAMMA) == "norm/gamma"
    assert name_of(replace(GAMMA, full_name=None)) == "layer/gamma"
    assert name_of(replace(GAMMA, key="k", full_name=None, object_path=None)) == "k"


# ------------------------------------------------------------ momentum and powers

HYPER = "opt/momentum/.ATTRIBUTES/VARIABLE_VALUE"
SGD = Optimizer("opt", None, (), None, ("learning_rate", "momentum"), None)


@pytest.mark.parametrize(
    ("value", "hyper", "broken", "expected"),
    [
        (0.9, SGD.hyper, (), True),
        (0.0, SGD.hyper, (), False),
        (0.9, ("learning_rate",), (), False),
        (0.9, SGD.hyper, (HYPER,), False),
    ],
)
def test_momentum(tmp_path, value, hyper, broken, expected):
    prefix = Bundle().array(HYPER, np.array(value, np.float32)).write(tmp_path / "ckpt-1")
    with open_bundle(prefix) as checkpoint:
        inventory = Inventory((), (replace(SGD, hyper=hyper),))
        assert momentum_of(checkpoint, inventory, frozenset(broken)) is expected
        elsewhere = Inventory((), (replace(SGD, path="other"),))
        assert momentum_of(checkpoint, elsewhere, frozenset()) is False


def slot(name: str):
    return variable(f"kernel/{name}", "optimizer_slot", "kernel", name)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ((KERNEL, slot("Adam"), slot("Adam_1")), True),
        ((KERNEL, slot("gan/Adam")), True),
        ((KERNEL, slot("Adam"), variable("beta1_power", "optimizer_slot", shape=())), False),
        ((KERNEL, slot("Adam"), variable("gan/beta1_power_1", "unknown", shape=())), False),
        ((KERNEL, slot("Adam"), variable("beta2_power", "unknown", shape=())), True),
        ((KERNEL, slot("Momentum")), False),
        ((KERNEL, slot("AdamW")), False),
        ((KERNEL, slot("Adam_2")), False),
        ((KERNEL,), False),
    ],
)
def test_adam_without_powers(variables, expected):
    facts = stored(*variables)
    assert adam_without_powers(facts.checkpoint, facts.inventory) is expected


def test_optimizers_of_an_object_graph_keep_no_powers():
    facts = stored(KERNEL, slot("Adam"))
    checkpoint = replace(facts.checkpoint, graph=ObjectGraph(()))
    assert adam_without_powers(checkpoint, facts.inventory) is False


# ------------------------------------------------------------ state of a stored graph


def training(*state: str, **more) -> MetaGraph:
    """A graph whose training reads and changes this state."""
    names = frozenset(state)
    known = {"has_train_op": True, "state_read": names, "state_changed": names, **more}
    return graph(**known)


TABLE = {"table": "MutableHashTableV2"}


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (training("seen"), (("seen", "variable"),)),
        (
            training("seen", "a", state_ops={"seen": "VariableV2"}),
            (("a", "variable"), ("seen", "VariableV2")),
        ),
        # read or changed, but not both
        (training("seen", state_read=frozenset()), ()),
        (training("seen", state_changed=frozenset()), ()),
        # stored, or listed by the Saver
        (training("kernel"), ()),
        (training("kernel/part_0"), ()),
        (training("seen", saved={"another/key": "seen"}), ()),
        (training("seen/part_3", saved={"another/key": "seen"}), ()),
        # judged by name elsewhere
        (training("bias", variables=frozenset(("bias",))), ()),
        (training("count", global_step="count"), ()),
        (training("beta1_power"), ()),
        (training("gan/beta2_power_1"), ()),
        (training("v", optimizer_ops=(OptimizerOp("ApplyMomentum", "kernel", ("v",)),)), ()),
        # tables lie under keys of their own
        (training("table", state_ops=TABLE), (("table", "MutableHashTableV2"),)),
        (training("words", state_ops={"words": "MutableHashTableV2"}), ()),
        (training("words"), (("words", "variable"),)),
        # nothing that trains is known
        (training("seen", has_train_op=False), ()),
        (None, ()),
    ],
)
def test_state_of_the_training_graph(meta, expected):
    facts = stored(KERNEL, variable("words-keys", "unknown"))
    assert graph_state_lost(facts.checkpoint, meta) == expected


def unsaved(meta, *variables, damage=()):
    facts = stored(*(variables or (KERNEL,)))
    return unsaved_of_graph(facts.checkpoint, facts.inventory, meta, damage)


def holds(*names: str, **more) -> MetaGraph:
    """A graph with these variables beside the trainable ``kernel``."""
    known = {
        "variables": frozenset(("kernel", *names)),
        "trainable": frozenset(("kernel",)),
        **more,
    }
    return graph(**known)


def used(*names: str, **more) -> MetaGraph:
    """The training reads and changes them."""
    state = frozenset(names)
    return holds(*names, has_train_op=True, state_read=state, state_changed=state, **more)


RATE = OptimizerOp("ApplyGradientDescent", "kernel", (), rate_from=("rate",))
SLOTTED = OptimizerOp("ApplyMomentum", "kernel", ("strange/part_0",))
AVERAGE = "kernel/ExponentialMovingAverage"


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        # what it is
        (holds("moving_mean", "a"), {"weights": ("a", "moving_mean")}),
        (holds(AVERAGE), {"ema": (AVERAGE,)}),
        (holds("loss_scale/good_steps"), {"loss_scale": ("loss_scale/good_steps",)}),
        (holds("rate", optimizer_ops=(RATE,)), {"lr_schedule": ("rate",)}),
        (
            holds("step", global_step="step", optimizer_ops=(replace(RATE, rate_from=("step",)),)),
            {"lr_schedule": ("step",)},
        ),
        # judged elsewhere: trainable ones, slots, the step, the powers
        (graph(variables=frozenset(("w",)), trainable=frozenset(("w",))), {}),
        (holds("strange", optimizer_ops=(SLOTTED,)), {}),
        (holds("kernel/Adam", "kernel/Adam_1"), {}),
        (holds("step", global_step="step"), {}),
        (holds("beta1_power", "gan/beta2_power_1"), {}),
        # beside a variable of the graph, under a name that no slot has
        (holds("kernel/trace"), {"weights": ("kernel/trace",)}),
        # a slot's name beside no variable of the graph
        (holds("other/Adam"), {"weights": ("other/Adam",)}),
        # where the training op is known only what it reads and changes counts
        (used("moving_mean"), {"weights": ("moving_mean",)}),
        (holds("moving_mean", has_train_op=True), {}),
        (holds("moving_mean", has_train_op=True, state_read=frozenset(("moving_mean",))), {}),
        (holds("rate", optimizer_ops=(RATE,), has_train_op=True), {"lr_schedule": ("rate",)}),
        # stored, under its own name or another
        (graph(variables=frozenset(("kernel",))), {}),
        (graph(variables=frozenset(("w",)), saved={"kernel": "w"}), {}),
        (graph(variables=frozenset(("kernel",)), saved={"k": "kernel"}), {}),
        (graph(variables=frozenset(("w",)), saved={"k": "w"}), {"weights": ("w",)}),
        (None, {}),
    ],
)
def test_other_variables_of_the_graph(meta, expected):
    assert unsaved(meta) == expected


def test_other_variables_do_not_count_without_weights_or_in_a_damaged_file():
    meta = holds("moving_mean")
    assert unsaved(meta, variable(AVERAGE, "ema")) == {"weights": ("moving_mean",)}
    assert unsaved(meta, COUNT) == {}
    assert unsaved(meta, damage=(DAMAGE,)) == {}
    assert unsaved(meta, damage=(replace(DAMAGE, fatal=False),)) == unsaved(meta)
