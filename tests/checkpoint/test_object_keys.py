import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.checkpoint.object_graph import graph_of_keys
from ckptscope.checkpoint.object_keys import (
    ObjectKey,
    escaped,
    has_object_keys,
    path_of,
    short_name,
    unescaped,
    variable_key,
)

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        (f"model/kernel{VALUE}", ObjectKey("model/kernel", "VARIABLE_VALUE")),
        (
            f"model/kernel/.OPTIMIZER_SLOT/optimizer/m{VALUE}",
            ObjectKey("model/kernel", "VARIABLE_VALUE", "optimizer", "m"),
        ),
        (
            f"a/w/.OPTIMIZER_SLOT/opts/0/inner/m.Sv..1{VALUE}",
            ObjectKey("a/w", "VARIABLE_VALUE", "opts/0/inner", "m/v.1"),
        ),
        ("iterator/.ATTRIBUTES/ITERATOR_STATE", ObjectKey("iterator", "ITERATOR_STATE")),
        ("dense/kernel/Adam", ObjectKey("dense/kernel/Adam")),
        ("_CHECKPOINTABLE_OBJECT_GRAPH", ObjectKey("_CHECKPOINTABLE_OBJECT_GRAPH")),
    ],
)
def test_keys(key, parts):
    assert ObjectKey.parse(key) == parts
    assert str(parts) == key
    assert path_of(key) == parts.name
    assert parts.is_slot is (parts.optimizer is not None)
    assert parts.slot_of == (variable_key(parts.path) if parts.is_slot else None)


def test_names_of_keys():
    assert short_name(f"a/b{VALUE}") == "a/b"
    assert short_name("it/.ATTRIBUTES/ITERATOR_STATE") == "it/.ATTRIBUTES/ITERATOR_STATE"
    assert has_object_keys(f"a{VALUE}")
    assert has_object_keys("_CHECKPOINTABLE_OBJECT_GRAPH")
    assert not has_object_keys("a/b")


@given(st.text(alphabet="aS./", max_size=8))
def test_escapes_come_back(name):
    assert unescaped(escaped(name)) == name
    assert "/" not in escaped(name)


names = st.text(alphabet="ab._", min_size=1, max_size=4).map(escaped)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@given(paths, st.sampled_from(["VARIABLE_VALUE", "ITERATOR_STATE"]), st.none() | paths, names)
def test_any_key_comes_back(path, attribute, optimizer, slot):
    parts = ObjectKey(path, attribute, optimizer, None if optimizer is None else slot)
    assert ObjectKey.parse(str(parts)) == parts


def test_a_graph_made_of_keys():
    slot = f"model/w/.OPTIMIZER_SLOT/opt/m{VALUE}"
    graph = graph_of_keys(
        [f"model/w{VALUE}", slot, f"opt/iter{VALUE}", "_CHECKPOINTABLE_OBJECT_GRAPH"]
    )
    optimizer = graph.child(graph.root, "opt")
    weight = graph.child(graph.root, "model", "w")
    assert weight is not None
    assert optimizer is not None
    (stored,) = optimizer.slot_variables
    assert (stored.variable, stored.slot_name) == (weight.node_id, "m")
    assert graph.node_of_key[slot].node_id == stored.node
    assert graph.paths[stored.node] == path_of(slot)
