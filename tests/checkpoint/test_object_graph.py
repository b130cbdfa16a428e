import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto import trackable_object_graph_pb2

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.object_graph import parse_object_graph
from ckptscope.errors import MalformedMessageError
from tests import samples, writers

KEY = "{}/.ATTRIBUTES/VARIABLE_VALUE"


def graph_of(tmp_path, nodes):
    bundle = writers.Bundle().array("w", np.ones(1)).graph(nodes)
    with open_bundle(bundle.write(tmp_path / "c")) as checkpoint:
        assert checkpoint.style == "object_based"
        return checkpoint.graph, checkpoint.graph_problem


NODES = [
    {"children": {"model": 1, "optimizer": 2, "alias": 3}},
    {"children": {"kernel": 3}},
    {"children": {"iter": 4}, "slots": [(3, "m", 5)]},
    {"attributes": {"VARIABLE_VALUE": KEY.format("model/kernel")}, "full_name": "dense/kernel"},
    {"attributes": {"VARIABLE_VALUE": KEY.format("optimizer/iter")}},
    {"attributes": {"VARIABLE_VALUE": KEY.format("alias/.OPTIMIZER_SLOT/optimizer/m")}},
]


def test_paths_and_keys(tmp_path):
    graph, problem = graph_of(tmp_path, NODES)
    assert problem is None
    assert graph.paths == {
        0: "",
        1: "model",
        2: "optimizer",
        3: "alias",
        4: "optimizer/iter",
        5: "alias/.OPTIMIZER_SLOT/optimizer/m",
    }
    node = graph.child(graph.root, "model", "kernel")
    assert node.attributes[0].full_name == "dense/kernel"
    assert graph.node_of_key[KEY.format("model/kernel")] is node
    assert graph.child(graph.root, "model", "bias") is None
    assert {(parent.node_id, name) for parent, name in graph.edges_to(3)} == {
        (0, "alias"),
        (1, "kernel"),
    }
    assert [
        (slot.variable, slot.slot_name, slot.node) for slot in graph.nodes[2].slot_variables
    ] == [(3, "m", 5)]


def test_cycles_end(tmp_path):
    graph, _ = graph_of(tmp_path, [{"children": {"a": 1}}, {"children": {"back": 0, "self": 1}}])
    assert graph.paths == {0: "", 1: "a"}


@pytest.mark.parametrize(
    "nodes",
    [
        [{"children": {"a": 1}}],
        [{"children": {"a": -1}}],
        [{"slots": [(0, "m", 7)]}],
        [{"slots": [(7, "m", 0)]}],
        [],
    ],
)
def test_references_to_nowhere(tmp_path, nodes):
    graph, problem = graph_of(tmp_path, nodes)
    assert graph is None
    assert problem.fatal
    assert problem.key == "_CHECKPOINTABLE_OBJECT_GRAPH"


@pytest.mark.parametrize("message", [b"\x0a", b"\x0a\x7f", b"no message"])
def test_no_message(message):
    with pytest.raises(MalformedMessageError):
        parse_object_graph(message)


@given(
    st.lists(
        st.lists(st.tuples(st.text(max_size=3), st.integers(0, 5)), max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_any_graph_has_a_path_for_each_node_it_reaches(children):
    proto = trackable_object_graph_pb2.TrackableObjectGraph()
    for edges in children:
        node = proto.nodes.add()
        for name, child in edges:
            node.children.add(local_name=name, node_id=child % len(children))
    graph = parse_object_graph(proto.SerializeToString())
    reached, stack = {0}, [0]
    while stack:
        for _, child in graph.nodes[stack.pop()].children:
            if child not in reached:
                reached.add(child)
                stack.append(child)
    assert set(graph.paths) == reached


def test_sample():
    with open_bundle(str(samples.ROOT / "full_221/ckpt-1")) as checkpoint:
        graph = checkpoint.graph
        assert {name for name, _ in graph.root.children} >= {
            "model",
            "optimizer",
            "step",
            "iterator",
            "save_counter",
        }
        named = {attribute.key for node in graph.nodes for attribute in node.attributes}
        # The iterator's saver adds a suffix of its own to the key that the graph names.
        assert {key.replace("/ITERATOR", "/ITERATOR_STATE") for key in named} == set(checkpoint) - {
            "_CHECKPOINTABLE_OBJECT_GRAPH"
        }
