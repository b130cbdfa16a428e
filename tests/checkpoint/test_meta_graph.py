"""Facts of small graphs written down as ``name = Op(inputs)``."""

import re

import pytest
from tensorboard.compat.proto import meta_graph_pb2

from ckptscope.checkpoint.meta_graph import read_meta_graph

INT32, INT64, FLOAT, STRING, BOOL = 3, 9, 1, 7, 10
_LINE = re.compile(r"(\S+) = (\w+)\(([^)]*)\)(.*)")


def graph_of(tmp_path, text, *, train=(), trainable=(), save="save", keys=None):
    """A .meta of lines ``name = Op(a, ^b) key=value …``; ``int``/``float`` make scalars."""
    proto = meta_graph_pb2.MetaGraphDef()
    proto.graph_def.versions.producer = 24
    for line in filter(str.strip, text.splitlines()):
        name, op, inputs, rest = _LINE.match(line.strip()).groups()
        node = proto.graph_def.node.add(name=name, op=op)
        node.input.extend(part.strip() for part in inputs.split(",") if part.strip())
        for word in rest.split():
            _attribute(node, *word.split("="))
    if keys is not None:
        names = proto.graph_def.node.add(name="save/names", op="Const")
        names.attr["value"].tensor.dtype = STRING
        names.attr["value"].tensor.string_val.extend(key.encode() for key in keys)
    for name in train:
        proto.collection_def["train_op"].node_list.value.append(name)
    for name in trainable:
        from tensorboard.compat.proto import variable_pb2

        variable = variable_pb2.VariableDef(variable_name=f"{name}:0")
        proto.collection_def["trainable_variables"].bytes_list.value.append(
            variable.SerializeToString()
        )
    proto.saver_def.save_tensor_name = f"{save}:0"
    path = tmp_path / "model.meta"
    path.write_bytes(proto.SerializeToString())
    meta, problem = read_meta_graph(str(tmp_path / "model"))
    assert problem is None
    return meta


def _attribute(node, key, value):
    if key == "is":  # a constant
        node.attr["value"].tensor.dtype = INT64
        node.attr["value"].tensor.tensor_shape.SetInParent()
        node.attr["value"].tensor.int64_val.append(int(value))
    elif key == "dtype":
        node.attr["dtype"].type = {"int": INT64, "float": FLOAT, "bool": BOOL}[value]
        node.attr["shape"].shape.SetInParent()
    elif key == "shape":
        for size in value.split(","):
            node.attr["shape"].shape.dim.add(size=int(size))
    else:
        node.attr[key].i = int(value)


SGD = """
w = VarHandleOp() dtype=float shape=2
read = ReadVariableOp(w)
rate = Const() is=1
"""


@pytest.mark.parametrize(
    ("text", "read", "changed", "raised"),
    [
        ("train = ResourceApplyGradientDescent(w, rate, read)", {"w"}, {"w"}, ()),
        # A step that only counts.
        (
            """
            n = VarHandleOp() dtype=int
            one = Const() is=1
            update = ResourceApplyGradientDescent(w, rate, read)
            train = AssignAddVariableOp(n, one, ^update)
            """,
            {"w"},
            {"w", "n"},
            ("n",),
        ),
        # By another number it is no counter of steps.
        (
            """
            n = VarHandleOp() dtype=int
            size = Const() is=32
            train = AssignAddVariableOp(n, size)
            """,
            set(),
            {"n"},
            (),
        ),
        # n = n + 1
        (
            """
            n = VariableV2() dtype=int
            old = Identity(n)
            one = Const() is=1
            new = AddV2(one, old)
            train = Assign(n, new)
            """,
            set(),
            {"n"},
            ("n",),
        ),
        # A table, and a rate computed from a local variable.
        (
            """
            table = MutableHashTableV2()
            warm = VarHandleOp() dtype=float
            key = Const() is=1
            found = LookupTableFindV2(table, key, key)
            more = ReadVariableOp(warm)
            scaled = Mul(more, found)
            update = ResourceApplyGradientDescent(w, scaled, read)
            train = LookupTableInsertV2(table, key, read, ^update)
            """,
            {"w", "warm", "table"},
            {"w", "table"},
            (),
        ),
        # What decides whether the update runs is read, through control inputs too.
        (
            """
            turn = VarHandleOp() dtype=int
            value = ReadVariableOp(turn)
            due = Switch(value, value)
            pivot = Identity(due:1)
            train = ResourceApplyGradientDescent(w, rate, rate, ^pivot)
            """,
            {"w", "turn"},
            {"w"},
            (),
        ),
        # A shape is no value.
        (
            """
            other = VarHandleOp() dtype=float shape=2
            value = ReadVariableOp(other)
            size = Shape(value)
            train = ResourceApplyGradientDescent(w, rate, size)
            """,
            {"w"},
            {"w"},
            (),
        ),
        # A random generator in a variable.
        (
            """
            state = VarHandleOp() dtype=int shape=3
            noise = StatefulUniform(state, rate, rate)
            train = ResourceApplyGradientDescent(w, rate, noise)
            """,
            {"w", "state"},
            {"w", "state"},
            (),
        ),
    ],
)
def test_state(tmp_path, text, read, changed, raised):
    meta = graph_of(tmp_path, SGD + text, train=["train"])
    assert meta.state_read == read
    assert meta.state_changed == changed
    assert meta.raised_counters == raised
    assert meta.state_only_counted == changed - read
    assert set(meta.state_ops) == read | changed


@pytest.mark.parametrize(
    ("text", "random"),
    [
        ("train = ResourceApplyGradientDescent(w, rate, noise)", 1),
        (
            """
            shown = ScalarSummary(rate, noise)
            train = ResourceApplyGradientDescent(w, rate, read, ^shown)
            """,
            0,
        ),
    ],
)
def test_random_ops_that_reach_an_update(tmp_path, text, random):
    noise = "noise = RandomUniform(rate)\n"
    meta = graph_of(tmp_path, SGD + noise + text, train=["train"])
    assert len(meta.random_ops) == random


def test_without_a_collection_the_updates_are_the_roots(tmp_path):
    text = """
    update = ResourceApplyGradientDescent(w, rate, read)
    n = VarHandleOp() dtype=int
    one = Const() is=1
    group = NoOp(^update)
    raise = AssignAddVariableOp(n, one, ^group)
    m = VarHandleOp() dtype=int
    elsewhere = AssignAddVariableOp(m, one)
    """
    meta = graph_of(tmp_path, SGD + text)
    assert meta.has_train_op
    assert meta.raised_counters == ("n",)
    assert set(meta.all_raised_counters) == {"n", "m"}


def test_updates_by_hand_are_roots_but_no_initialisation(tmp_path):
    text = """
    w/Assign = AssignVariableOp(w, rate)
    save/RestoreV2 = RestoreV2(rate)
    save/Assign = AssignVariableOp(w, save/RestoreV2)
    step = AssignSubVariableOp(w, read)
    """
    assert graph_of(tmp_path, SGD + text, trainable=["w"]).state_changed == {"w"}
    nothing = graph_of(tmp_path, SGD + text.rpartition("step =")[0], trainable=["w"])
    assert (nothing.has_train_op, nothing.feeding) == (False, None)


def test_keys_of_the_saver_that_wrote_the_checkpoint(tmp_path):
    text = """
    iterator = IteratorV2()
    state = SerializeIterator(iterator)
    value = Identity(read)
    save/SaveV2 = SaveV2(rate, save/names, rate, value, state, read)
    save = Identity(rate, ^save/SaveV2)
    other = SaveV2(rate, save/names, rate, rate, rate, rate)
    """
    meta = graph_of(tmp_path, SGD + text, keys=["a", "it-state", "a"])
    assert meta.saved == {"a": "w", "it-state": "iterator"}
    assert meta.saved_ops["iterator"] == "IteratorV2"
    assert meta.iterator_saved
    assert meta.key_of("w") == "a"
    assert meta.name_of("a") == "w"
    assert meta.key_of("not there") is None


def test_no_saver(tmp_path):
    assert graph_of(tmp_path, SGD).saved is None


@pytest.mark.parametrize(
    ("text", "feeding", "rates"),
    [
        ("x = Placeholder() dtype=float shape=-1,2", "placeholder", ()),
        ("x = Placeholder() dtype=bool", "none", ()),  # a flag
        ("x = Placeholder() dtype=float", "none", ()),  # one number
        ("q = FIFOQueueV2()\nx = QueueDequeueV2(q)", "queue", ()),
        ("it = IteratorV2()\nx = IteratorGetNext(it)", "iterator", ()),
        (
            "rate2 = Placeholder() dtype=float\nx = Identity(read)\n"
            "also = ResourceApplyGradientDescent(w, rate2, x)",
            "none",
            ("rate2",),
        ),
    ],
)
def test_feeding(tmp_path, text, feeding, rates):
    graph = f"{SGD}{text}\ntrain = ResourceApplyGradientDescent(w, rate, x)"
    roots = ["train", "also"] if "also" in text else ["train"]
    meta = graph_of(tmp_path, graph, train=roots)
    assert (meta.feeding, meta.fed_rates) == (feeding, rates)


def test_a_circle_of_datasets_is_a_problem(tmp_path):
    proto = meta_graph_pb2.MetaGraphDef()
    proto.graph_def.node.add(name="it", op="IteratorV2")
    proto.graph_def.node.add(name="ds", op="PrefetchDataset", input=["ds"])
    proto.graph_def.node.add(name="make", op="MakeIterator", input=["ds", "it"])
    (tmp_path / "m.meta").write_bytes(proto.SerializeToString())
    meta, problem = read_meta_graph(str(tmp_path / "m"))
    assert meta is None
    assert "its own input" in problem
