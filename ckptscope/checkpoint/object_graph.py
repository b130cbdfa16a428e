"""The object graph of an object-based checkpoint.

Source: tensorflow/core/protobuf/trackable_object_graph.proto; tensorflow/python/checkpoint/. Node 0
is the root. One object reachable under several names is one node with several paths; the shortest
comes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ckptscope.checkpoint.object_keys import OBJECT_GRAPH_KEY, ObjectKey
from ckptscope.errors import MalformedMessageError


@dataclass(frozen=True, slots=True)
class Attribute:
    """One saved value of an object: ``name`` (``VARIABLE_VALUE``), ``full_name``, checkpoint
    ``key``.
    """

    name: str
    full_name: str
    key: str


@dataclass(frozen=True, slots=True)
class SlotVariable:
    """One optimizer slot: which variable, which slot, which node holds it."""

    variable: int
    slot_name: str
    node: int


@dataclass(frozen=True, slots=True)
class ObjectNode:
    """One object of the saved program."""

    node_id: int
    children: tuple[tuple[str, int], ...]
    attributes: tuple[Attribute, ...]
    slot_variables: tuple[SlotVariable, ...]

    def child(self, name: str) -> int | None:
        """Node id of the child under that name."""
        for edge, node_id in self.children:
            if edge == name:
                return node_id
        return None


@dataclass(frozen=True)
class ObjectGraph:
    """All objects; ``nodes[i].node_id == i``."""

    nodes: tuple[ObjectNode, ...]

    @property
    def root(self) -> ObjectNode:
        """The object that was saved."""
        return self.nodes[0]

    def child(self, node: ObjectNode, *names: str) -> ObjectNode | None:
        """The object reached from ``node`` along ``names``."""
        for name in names:
            node_id = node.child(name)
            if node_id is None:
                return None
            node = self.nodes[node_id]
        return node

    @cached_property
    def paths(self) -> Mapping[int, str]:
        """Shortest path from the root for each reachable node; slots are reached through their
        optimizer.
        """
        paths = {0: ""}
        queue = deque([0])
        while queue:
            node = self.nodes[queue.popleft()]
            prefix = f"{paths[node.node_id]}/" if node.node_id else ""
            for name, child in node.children:
                if child not in paths:
                    paths[child] = prefix + name
                    queue.append(child)
        for node in self.nodes:
            for slot in node.slot_variables:
                owner, target = paths.get(node.node_id), paths.get(slot.variable)
                if owner is not None and target is not None and slot.node not in paths:
                    paths[slot.node] = ObjectKey(target, None, owner, slot.slot_name).name
        return paths

    @cached_property
    def node_of_key(self) -> Mapping[str, ObjectNode]:
        """The object that each checkpoint key belongs to."""
        return {attribute.key: node for node in self.nodes for attribute in node.attributes}

    def edges_to(self, node_id: int) -> Iterator[tuple[ObjectNode, str]]:
        """Every (parent, name) under which a node is reachable."""
        return iter(self._parents.get(node_id, ()))

    @cached_property
    def _parents(self) -> Mapping[int, list[tuple[ObjectNode, str]]]:
        parents: dict[int, list[tuple[ObjectNode, str]]] = {}
        for node in self.nodes:
            for name, child in node.children:
                parents.setdefault(child, []).append((node, name))
        return parents


def parse_object_graph(message: bytes) -> ObjectGraph:
    """Parse a serialized ``TrackableObjectGraph``.

    Raises:
        MalformedMessageError: not such a message, or references to nodes that do not exist.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import trackable_object_graph_pb2

    try:
        proto = trackable_object_graph_pb2.TrackableObjectGraph.FromString(message)
    except DecodeError as error:
        raise MalformedMessageError(f"not an object graph: {error}") from None
    total = len(proto.nodes)
    nodes = []
    for node_id, node in enumerate(proto.nodes):
        children = tuple((child.local_name, child.node_id) for child in node.children)
        slots = tuple(
            SlotVariable(slot.original_variable_node_id, slot.slot_name, slot.slot_variable_node_id)
            for slot in node.slot_variables
        )
        referred = [child for _, child in children] + [
            number for slot in slots for number in (slot.variable, slot.node)
        ]
        if any(not 0 <= number < total for number in referred):
            raise MalformedMessageError(
                f"node {node_id} of the object graph refers to a node that does not exist"
            )
        attributes = tuple(
            Attribute(item.name, item.full_name, item.checkpoint_key) for item in node.attributes
        )
        nodes.append(ObjectNode(node_id, children, attributes, slots))
    if not nodes:
        raise MalformedMessageError("the object graph is empty")
    return ObjectGraph(tuple(nodes))


def graph_of_keys(keys: Iterable[str]) -> ObjectGraph:
    """The object graph as far as keys show it: no full names, each object under one path."""
    children: list[dict[str, int]] = [{}]
    attributes: list[list[Attribute]] = [[]]
    slots: list[list[SlotVariable]] = [[]]

    def new_node() -> int:
        children.append({})
        attributes.append([])
        slots.append([])
        return len(children) - 1

    def node_at(path: str) -> int:
        node = 0
        for name in path.split("/") if path else ():
            if name not in children[node]:
                children[node][name] = new_node()
            node = children[node][name]
        return node

    for key in keys:
        if key == OBJECT_GRAPH_KEY:
            continue
        parts = ObjectKey.parse(key)
        node = node_at(parts.path)
        if parts.optimizer is not None:
            slot = new_node()
            slots[node_at(parts.optimizer)].append(SlotVariable(node, parts.slot_name or "", slot))
            node = slot
        attributes[node].append(Attribute(parts.attribute or "", "", key))
    return ObjectGraph(
        tuple(
            ObjectNode(number, tuple(edges.items()), tuple(values), tuple(own))
            for number, (edges, values, own) in enumerate(
                zip(children, attributes, slots, strict=True)
            )
        )
    )
