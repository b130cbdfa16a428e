import numpy as np
import pytest

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.discover import find
from ckptscope.checkpoint.layers import layers_without_variables
from ckptscope.checkpoint.meta_graph import MetaGraph, OptimizerOp, read_meta_graph
from ckptscope.checkpoint.roles import ROLES, take_inventory
from tests import samples, writers

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def inventory_of(target):
    location = find(str(samples.ROOT / target))
    meta, _ = read_meta_graph(location.prefix)
    with location.open() as checkpoint:
        return take_inventory(checkpoint, meta)


KERAS = {
    "weight": 37,
    "optimizer_slot": 74,
    "optimizer_hyper": 1,
    "counter": 2,
    "iterator": 27,
    "bookkeeping": 2,
}
SAVER = {"weight": 37, "optimizer_slot": 74, "counter": 1}


# The model has 24 + 6 + 6 + 1 = 37 parameters (see the samples' README); that of the Savers 24 + 6
# + 6 = 36.
@pytest.mark.parametrize(
    ("target", "elements"),
    [
        ("full_221", KERAS),
        ("full_215", KERAS),
        ("full_24", {**KERAS, "optimizer_hyper": 4, "iterator": 25}),
        ("sgd_221", {key: value for key, value in KERAS.items() if key != "optimizer_slot"}),
        ("ema_215", {**KERAS, "ema": 37}),
        ("lossscale_215", {**KERAS, "loss_scale": 2}),
        ("generator_221", {**KERAS, "rng": 3}),
        ("batchnorm_215", {**KERAS, "weight": 61, "optimizer_slot": 98}),
        ("model_only_221", {"weight": 37, "bookkeeping": 2}),
        (
            "savedmodel_215",
            {
                "weight": 37,
                "optimizer_slot": 74,
                "optimizer_hyper": 1,
                "counter": 1,
                "metric": 2,
                "bookkeeping": 1,
            },
        ),
        ("saver_noiterator_115", {**SAVER, "weight": 36}),
        ("saver_v1_115", {**SAVER, "weight": 36}),
        ("partitioned_115", {**SAVER, "weight": 36, "iterator": 1}),
        ("sharded_115", {**SAVER, "weight": 36, "iterator": 1}),
        ("estimator_plain_215", {**SAVER, "weight": 36}),
    ],
)
def test_elements_by_role(target, elements):
    found = {}
    for variable in inventory_of(target).variables:
        found[variable.role] = found.get(variable.role, 0) + variable.entry.num_elements
    assert found == elements


@pytest.mark.parametrize("target", samples.TARGETS)
def test_every_variable_has_a_role(target):
    inventory = inventory_of(target)
    assert inventory.variables
    assert {variable.role for variable in inventory.variables} <= set(ROLES)
    if not target.startswith("read/"):
        assert inventory.of_role("unknown") == []
        assert inventory.of_role("weight")


TRAINED = [
    row["target"]
    for row in samples.JUDGED
    if row["target"] in samples.READABLE
    and row["target"] not in ("model_only_221", "sgd_221", "weight_left_out_115")
]


@pytest.mark.parametrize("target", TRAINED)
def test_slots_belong_to_weights_of_their_shape(target):
    inventory = inventory_of(target)
    by_key = {variable.key: variable for variable in inventory.variables}
    owners = {}
    for slot in inventory.of_role("optimizer_slot"):
        if not slot.entry.shape:  # beta powers belong to the optimizer
            continue
        owner = by_key[slot.slot_of]
        assert owner.role == "weight"
        assert owner.entry.shape == slot.entry.shape
        owners.setdefault(owner.key, []).append(slot.slot_name)
    assert len(owners) >= 3
    assert all(
        len(set(names)) == len(names) == 2 for names in owners.values()
    )  # Adam keeps two for each


@pytest.mark.parametrize(
    ("target", "slot", "owner", "name"),
    [
        (
            "full_221",
            f"optimizer/_variables/5{VALUE}",
            f"optimizer/_trainable_variables/1{VALUE}",
            "velocities",
        ),
        (
            "full_215",
            f"optimizer/_variables/6{VALUE}",
            f"model/layer_with_weights-1/kernel{VALUE}",
            "velocities",
        ),
        ("saver_iterator_115", "kernel/Adam_1", "kernel", "Adam_1"),
        ("partitioned_115", "output/Adam", "output", "Adam"),
    ],
)
def test_slots_resolved(target, slot, owner, name):
    (found,) = (variable for variable in inventory_of(target).variables if variable.key == slot)
    assert (found.slot_of, found.slot_name) == (owner, name)


def test_optimizer_of_keras_3():
    (optimizer,) = inventory_of("full_221").optimizers
    assert optimizer.path == "optimizer"
    assert optimizer.iterations == f"optimizer/_iterations{VALUE}"
    assert set(optimizer.slot_names) == {"momentums", "velocities"}
    assert len(optimizer.trainable) == 4
    assert optimizer.hyper == ("learning_rate",)
    assert optimizer.wraps is None


def test_optimizer_inside_a_loss_scale():
    optimizers = {
        optimizer.path: optimizer for optimizer in inventory_of("lossscale_215").optimizers
    }
    assert f"optimizer/_iterations{VALUE}" in {
        optimizer.iterations for optimizer in optimizers.values()
    }
    scales = {
        variable.object_path for variable in inventory_of("lossscale_215").of_role("loss_scale")
    }
    assert scales == {"optimizer/loss_scale/current_loss_scale", "optimizer/loss_scale/good_steps"}


@pytest.mark.parametrize(
    ("name", "array", "role"),
    [
        ("dense/kernel", np.zeros((2, 2), "float32"), "weight"),
        ("dense/kernel/Adam", np.zeros((2, 2), "float32"), "optimizer_slot"),
        ("dense/kernel/Momentum", np.zeros((2, 2), "float32"), "optimizer_slot"),
        ("dense/kernel/ExponentialMovingAverage", np.zeros((2, 2), "float32"), "ema"),
        ("beta1_power", np.float32(0.5), "optimizer_slot"),
        ("global_step", np.int64(3), "counter"),
        ("loss_scale", np.float32(1024), "loss_scale"),
        ("learning_rate", np.float32(0.1), "optimizer_hyper"),
        ("other/Adam", np.zeros(2, "float32"), "weight"),  # no variable that it could belong to
    ],
)
def test_names_without_a_graph(tmp_path, name, array, role):
    bundle = (
        writers.Bundle()
        .array("dense/kernel", np.zeros((2, 2), "float32"))
        .array(name, np.asarray(array))
    )
    with open_bundle(bundle.write(tmp_path / "c")) as checkpoint:
        roles = {variable.key: variable.role for variable in take_inventory(checkpoint).variables}
    assert roles[name] == role


def test_slots_of_the_object_graph(tmp_path):
    bundle = writers.Bundle()
    kernel, slot, step = (
        f"model/kernel{VALUE}",
        f"model/kernel/.OPTIMIZER_SLOT/opt/m{VALUE}",
        f"opt/iter{VALUE}",
    )
    bundle.array(kernel, np.zeros((2, 3), "float32")).array(
        slot, np.zeros((2, 3), "float32")
    ).array(step, np.array(7))
    bundle.graph(
        [
            {"children": {"model": 1, "opt": 2}},
            {"children": {"kernel": 3}},
            {"children": {"iter": 4}, "slots": [(3, "m", 5)]},
            {"attributes": {"VARIABLE_VALUE": kernel}},
            {"attributes": {"VARIABLE_VALUE": step}},
            {"attributes": {"VARIABLE_VALUE": slot}},
        ]
    )
    with open_bundle(bundle.write(tmp_path / "c")) as checkpoint:
        inventory = take_inventory(checkpoint)
    found = {variable.key: variable for variable in inventory.variables}
    assert (found[slot].role, found[slot].slot_of, found[slot].slot_name) == (
        "optimizer_slot",
        kernel,
        "m",
    )
    assert (found[kernel].role, found[kernel].object_path) == ("weight", "model/kernel")
    assert found[step].role == "counter"
    assert [optimizer.iterations for optimizer in inventory.optimizers] == [step]


WEIGHT = np.zeros((3, 2), "float32")
VECTOR = np.zeros(2, "float32")
ONE = np.float32(1)


def roles_of(tmp_path, arrays, meta=None):
    bundle = writers.Bundle()
    for key, array in arrays.items():
        bundle.array(key, np.asarray(array))
    with open_bundle(bundle.write(tmp_path / "c")) as checkpoint:
        return take_inventory(checkpoint, meta)


def short(inventory):
    return {
        variable.key: (variable.role, variable.slot_of, variable.slot_name)
        for variable in inventory.variables
    }


@pytest.mark.parametrize(
    ("key", "owner", "name"),
    [
        ("main/net/w/Adam", "net/w", "Adam"),  # made inside a scope
        ("OptimizeLoss/net/w/Adam_1", "net/w", "Adam_1"),
        ("net/w/part_0/Ftrl", "net/w", "Ftrl"),
        ("net/w/t_0/Adagrad", "net/w", "Adagrad"),  # what a scope of 4 letters leaves of "part_0"
        ("training/Adam/net/w/m", "net/w", "m"),
        ("training/Ftrl/net/w/linear", "net/w", "linear"),
        ("Adam/v/net/w", "net/w", "v"),
        ("net/w/AdamG_1", "net/w", "AdamG_1"),  # the optimizer has a name of its own
    ],
)
def test_slots_tied_by_name_and_shape(tmp_path, key, owner, name):
    inventory = roles_of(tmp_path, {"net/w": WEIGHT, "net/b": VECTOR, key: WEIGHT})
    assert short(inventory)[key] == ("optimizer_slot", owner, name)
    assert [variable.key for variable in inventory.true_slots] == [key]
    assert [variable.key for variable in inventory.weights_without_slots] == ["net/b"]


@pytest.mark.parametrize(
    ("key", "array"),
    [
        ("v/net/w", WEIGHT),  # a network in a scope v
        ("other/net/w", WEIGHT),
        ("net/w/mask", WEIGHT),
        ("main/net/w/Adam", VECTOR),  # not of that shape
        ("net/w/g", VECTOR),
    ],
)
def test_no_slots(tmp_path, key, array):
    assert short(roles_of(tmp_path, {"net/w": WEIGHT, key: array}))[key] == ("weight", None, None)


def test_slots_of_a_variable_that_is_not_stored(tmp_path):
    arrays = {"a": WEIGHT, "a/Momentum": WEIGHT, "b/Momentum": VECTOR}
    inventory = roles_of(tmp_path, arrays)
    assert inventory.orphan_slots == ("b",)
    assert short(inventory)["b/Momentum"] == ("optimizer_slot", None, "Momentum")
    assert roles_of(tmp_path, {"a": WEIGHT, "b/Momentum": VECTOR}).orphan_slots == ()


@pytest.mark.parametrize(
    ("arrays", "roles"),
    [
        # A model may be called anything.
        ({"opt/w": WEIGHT, "opt/b": VECTOR}, {"opt/w": "weight", "opt/b": "weight"}),
        ({"swa/w": WEIGHT, "global_step": np.int64(3)}, {"swa/w": "weight"}),
        ({"metrics/total": WEIGHT}, {"metrics/total": "weight"}),
        ({"accum/w": WEIGHT, "accum/w/Momentum": WEIGHT}, {"accum/w": "weight"}),
        ({"accum/w": WEIGHT, "w": WEIGHT}, {"accum/w": "optimizer_slot", "w": "weight"}),
        ({"accum/w": VECTOR, "w": WEIGHT}, {"accum/w": "weight"}),
        # An average of what is no variable watches the training.
        (
            {
                "w": WEIGHT,
                "w/ExponentialMovingAverage": WEIGHT,
                "loss/ExponentialMovingAverage": ONE,
            },
            {"w/ExponentialMovingAverage": "ema", "loss/ExponentialMovingAverage": "metric"},
        ),
        ({"w/ExponentialMovingAverage": WEIGHT}, {"w/ExponentialMovingAverage": "ema"}),
        (
            {"w": WEIGHT, "training/Adam/learning_rate": ONE, "training/Adam/beta_1": ONE},
            {
                "training/Adam/learning_rate": "optimizer_hyper",
                "training/Adam/beta_1": "optimizer_hyper",
            },
        ),
    ],
)
def test_roles_by_name(tmp_path, arrays, roles):
    found = {variable.key: variable.role for variable in roles_of(tmp_path, arrays).variables}
    assert {key: found[key] for key in roles} == roles


def test_statistics_need_no_slots(tmp_path):
    inventory = roles_of(
        tmp_path,
        {"w": WEIGHT, "w/Adam": WEIGHT, "w/Adam_1": WEIGHT, "bn/moving_mean": VECTOR, "g": VECTOR},
    )
    by_key = {variable.key: variable for variable in inventory.variables}
    assert by_key["bn/moving_mean"].is_statistic
    assert not by_key["w"].is_statistic
    assert [variable.key for variable in inventory.weights_without_slots] == ["g"]


def test_roles_from_the_stored_graph(tmp_path):
    """The Saver's keys are not the graph's names, and names say nothing."""
    meta = MetaGraph(
        has_train_op=True,
        saved={"one": "net/w", "two": "x/net/w/Opt", "three": "net/part/part_0", "n": "steps"},
        saved_parts={"net/part/part_1": "three"},
        trainable=frozenset(("net/w", "net/part", "net/lost")),
        variables=frozenset(("net/w", "x/net/w/Opt", "steps", "net/part", "net/lost")),
        global_step="steps",
        optimizer_ops=(
            OptimizerOp("ApplyMomentum", "net/w", ("x/net/w/Opt",)),
            OptimizerOp("ApplyMomentum", "net/lost", ("four",)),
        ),
    )
    arrays = {"one": WEIGHT, "two": WEIGHT, "three": WEIGHT, "n": np.int64(4)}
    inventory = roles_of(tmp_path, arrays, meta)
    assert short(inventory) == {
        "one": ("weight", None, None),
        "two": ("optimizer_slot", "one", "two"),
        "three": ("weight", None, None),
        "n": ("counter", None, None),
    }
    trained = {variable.key: variable.is_trained for variable in inventory.variables}
    assert trained == {"one": True, "two": False, "three": False, "n": False}
    assert meta.key_of("net/part/part_1") == "three"
    assert meta.key_of("net/lost") is None
    assert meta.name_of("one") == "net/w"


def test_keys_tell_roles_where_the_object_graph_cannot_be_read(tmp_path):
    w, slot = f"model/w{VALUE}", f"model/w/.OPTIMIZER_SLOT/opt/m{VALUE}"
    inventory = roles_of(
        tmp_path,
        {
            w: WEIGHT,
            slot: WEIGHT,
            f"opt/iter{VALUE}": np.int64(3),
            f"opt/learning_rate{VALUE}": ONE,
            f"save_counter{VALUE}": np.int64(1),
        },
    )
    assert short(inventory)[slot] == ("optimizer_slot", w, "m")
    roles = {variable.key: variable.role for variable in inventory.variables}
    assert roles[f"opt/iter{VALUE}"] == "counter"
    assert roles[f"opt/learning_rate{VALUE}"] == "optimizer_hyper"
    assert roles[f"save_counter{VALUE}"] == "bookkeeping"
    assert [optimizer.path for optimizer in inventory.optimizers] == ["opt"]


@pytest.mark.parametrize("where", ["", "module/"])
def test_a_step_and_a_rate_are_no_optimizer(tmp_path, where):
    inventory = roles_of(
        tmp_path,
        {
            f"model/w{VALUE}": WEIGHT,
            f"{where}iterations{VALUE}": np.int64(3),
            f"{where}learning_rate{VALUE}": ONE,
        },
    )
    assert inventory.optimizers == ()
    assert inventory.true_slots == ()
    roles = {variable.key: variable.role for variable in inventory.variables}
    assert roles[f"{where}learning_rate{VALUE}"] == "optimizer_hyper"
    assert roles[f"{where}iterations{VALUE}"] == "counter"


@pytest.mark.parametrize(
    ("path", "array", "role"),
    [
        ("opt/layer_with_weights-0/kernel", WEIGHT, "weight"),
        ("my_optimizer/m/0", WEIGHT, "optimizer_slot"),  # of a shape that a weight has
        ("my_optimizer/m/0", np.zeros(7, "float32"), "weight"),
        ("accumulators/0", WEIGHT, "optimizer_slot"),
        ("swa/0", WEIGHT, "ema"),
        ("swa/0", np.zeros(7, "float32"), "weight"),
        ("_data_table/storage", np.zeros(7, "int64"), "bookkeeping"),
    ],
)
def test_copies_have_the_shape_of_a_weight(tmp_path, path, array, role):
    inventory = roles_of(tmp_path, {f"model/kernel{VALUE}": WEIGHT, f"{path}{VALUE}": array})
    assert short(inventory)[f"{path}{VALUE}"][0] == role
    assert inventory.true_slots == ()  # none is tied to a weight or an optimizer object


def test_layers_without_variables():
    with find(str(samples.ROOT / "dropout_k3_221")).open() as checkpoint:
        assert checkpoint.graph is not None
        assert len(layers_without_variables(checkpoint.graph)) == 1
    with find(str(samples.ROOT / "full_221")).open() as checkpoint:
        assert layers_without_variables(checkpoint.graph) == []
