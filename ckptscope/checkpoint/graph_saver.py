"""Which key a Saver stores each variable of its graph under.

Source: tensorflow/core/ops/io_ops.cc (SaveV2, SaveSlices, Save); tensorflow/python/training/
saver.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ckptscope.checkpoint.graph import Graph, node_name

if TYPE_CHECKING:
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

# Saving ops: how many inputs come before the tensors. Names of tensors are the second input.
_SAVES = {"SaveV2": 3, "SaveSlices": 3, "Save": 2}
# Between a variable, a table or an iterator and the tensor that is stored of it.
_HANDED_ON = frozenset(
    (
        "Identity",
        "ReadVariableOp",
        "Cast",
        "SerializeIterator",
        "LookupTableExport",
        "LookupTableExportV2",
    )
)
_MAX_NAMES = 1 << 20


def saved_names(graph: Graph, save_tensor: str) -> dict[str, tuple[str, ...]] | None:
    """Checkpoint key -> names of the nodes stored under it, several for a partitioned variable.

    ``save_tensor`` names the Saver's output, so that another Saver's list is not taken; None if
    the graph has no op that saves."""
    root = graph.nodes.get(node_name(save_tensor))
    nodes = graph.reach([root], lambda node: False) if root is not None else []
    saving = [node for node in nodes if node.op in _SAVES]
    saving = saving or [node for node in graph.nodes.values() if node.op in _SAVES]
    found: dict[str, list[str]] = {}
    for node in saving:
        for key, name in _stored_by(graph, node):
            found.setdefault(key, []).append(name)
    return {key: tuple(names) for key, names in found.items()} if saving else None


def saves_iterator(graph: Graph, names: Iterable[str]) -> bool:
    """An iterator is among the nodes stored."""
    return any(
        name in graph.nodes and "Iterator" in graph.nodes[name].op and not graph.nodes[name].input
        for name in names
    )


def _stored_by(graph: Graph, node: NodeDef) -> Iterator[tuple[str, str]]:
    names = _tensor_names(graph, node)
    for name, tensor in zip(names, list(node.input)[_SAVES[node.op] :], strict=False):
        if not tensor.startswith("^"):
            yield name, _origin(graph, node_name(tensor))


def _tensor_names(graph: Graph, node: NodeDef) -> list[str]:
    constant = graph.nodes.get(node_name(node.input[1])) if len(node.input) > 1 else None
    if constant is None or constant.op != "Const":
        return []
    values = constant.attr["value"].tensor.string_val
    return [value.decode("utf-8", "backslashreplace") for value in values[:_MAX_NAMES]]


def _origin(graph: Graph, name: str) -> str:
    for _ in range(32):
        node = graph.nodes.get(name)
        if node is None or node.op not in _HANDED_ON or not node.input:
            break
        name = node_name(node.input[0])
    return name
