"""Optimizer objects of the object graph: which there are, and what each keeps.

Structures: Keras 3 and Keras 2.11 to 2.15 keep lists of variables in the optimizer
(keras/src/optimizers/base_optimizer.py), older Keras and TF1 use slot variables of the object
graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ckptscope.checkpoint import role_words as words
from ckptscope.checkpoint.inventory import Optimizer, Role
from ckptscope.checkpoint.object_graph import ObjectGraph, ObjectNode
from ckptscope.checkpoint.optimizers import (
    AVERAGE_LISTS,
    HYPER,
    ITERATIONS,
    NOT_SLOT_LISTS,
    POWERS,
)

_INNER = ("inner_optimizer", "base_optimizer")
# Roles that copies of weights have: averages, sums of gradients, slots of a hand-made optimizer.
COPIES: frozenset[Role] = frozenset(("ema", "optimizer_slot"))


@dataclass(frozen=True, slots=True)
class Mark:
    """What an optimizer says of one variable."""

    role: Role
    slot_of: str | None = None
    slot_name: str | None = None


def is_optimizer(node: ObjectNode) -> bool:
    """It has slots or lists of variables; a step and a rate alone are any program's."""
    if node.slot_variables:
        return True
    names = {name for name, _ in node.children}
    if node.node_id == 0:
        return False
    if not names.intersection(ITERATIONS):
        return "inner_optimizer" in names and bool(names & {"dynamic_scale", "step_counter"})
    if names & {"_variables", "_trainable_variables", "inner_optimizer", "_index_dict"}:
        return True
    # Keras 2 stored a decay beside the rate, whatever the optimizer.
    return "iter" in names and ("decay" in names or len(names & HYPER) > 1)


def _key(node: ObjectNode) -> str | None:
    return node.attributes[0].key if node.attributes else None


class OptimizerReader:
    """Reads one optimizer object and marks what it keeps."""

    def __init__(self, graph: ObjectGraph, node: ObjectNode, marks: dict[str, Mark]) -> None:
        self.graph, self.node, self.marks = graph, node, marks
        self.children = {name: graph.nodes[child] for name, child in node.children}
        self.slots: dict[str, None] = {}
        self.hyper: list[str] = []
        self.trainable: list[str | None] | None = None
        if "_trainable_variables" in self.children:
            self.trainable = [_key(item) for item in self._numbered("_trainable_variables")]

    def read(self) -> Optimizer:
        """Mark all that it keeps."""
        for weight in self.trainable or ():
            if weight is not None:
                self.marks[weight] = Mark("weight")
        for name, child in self.children.items():
            self._mark_child(name, child)
        for name in self.children:
            if name not in NOT_SLOT_LISTS:
                self._mark_list(name)
        for item in self._numbered("_variables"):
            self._mark(item, "optimizer_slot")
        for slot in self.node.slot_variables:
            target = self.graph.nodes[slot.variable]
            self._mark(self.graph.nodes[slot.node], "optimizer_slot", _key(target), slot.slot_name)
            self._mark(target, "weight")
            self.slots[slot.slot_name] = None
        self._resolve_by_name()
        return self._described()

    def _described(self) -> Optimizer:
        paths, trainable = self.graph.paths, self.trainable
        inner = next((self.children[name] for name in _INNER if name in self.children), None)
        return Optimizer(
            path=paths.get(self.node.node_id, ""),
            iterations=next(
                (
                    _key(self.children[name])
                    for name in ITERATIONS
                    if name in self.children and self.children[name].attributes
                ),
                None,
            ),
            slot_names=tuple(self.slots),
            trainable=None if trainable is None else tuple(key for key in trainable if key),
            hyper=tuple(self.hyper),
            wraps=None
            if inner is None or inner.node_id == self.node.node_id
            else paths.get(inner.node_id),
            scale_is_fixed=not words.LOSS_SCALE & set(self.children),
        )

    def _numbered(self, name: str) -> list[ObjectNode]:
        """Elements of a tracked list, in order; empty if the child is none."""
        child = self.children.get(name)
        if child is None or not all(edge.isdigit() for edge, _ in child.children):
            return []
        numbers = sorted((int(edge), node_id) for edge, node_id in child.children)
        return [self.graph.nodes[node_id] for _, node_id in numbers]

    def _mark(
        self,
        target: ObjectNode,
        role: Role,
        slot_of: str | None = None,
        slot_name: str | None = None,
    ) -> None:
        key = _key(target)
        if key is None:
            return
        before = self.marks.get(key)
        if (
            before is not None
            and role == "optimizer_slot"
            and before.role in ("counter", "optimizer_hyper", "weight")
        ):
            return
        if before is None or role == "weight" or (before.slot_name is None and slot_name):
            self.marks[key] = Mark(role, slot_of, slot_name)

    def _mark_child(self, name: str, child: ObjectNode) -> None:
        """What an optimizer keeps once, not for each variable."""
        if name in ITERATIONS:
            self._mark(child, "counter")
        elif name in HYPER and child.attributes:
            self._mark(child, "optimizer_hyper")
            self.hyper.append(name.lstrip("_"))
        elif name in words.LOSS_SCALE or (
            name == "step_counter" and "inner_optimizer" in self.children
        ):
            self._mark(child, "loss_scale")
            for inner, node_id in child.children:
                role: Role = "loss_scale" if inner in words.LOSS_SCALE else "unknown"
                self._mark(self.graph.nodes[node_id], role)
        elif POWERS.search(name) or (child.attributes and name not in NOT_SLOT_LISTS):
            self._mark(child, "optimizer_slot")

    def _mark_list(self, name: str) -> None:
        """A list with one entry for each variable."""
        role: Role = "ema" if name in AVERAGE_LISTS else "optimizer_slot"
        trainable = self.trainable or []
        for index, item in enumerate(self._numbered(name)):
            owner = trainable[index] if index < len(trainable) else None
            self._mark(item, role, owner, name.lstrip("_"))
            if role == "optimizer_slot" and _key(item) is not None:
                self.slots[name.lstrip("_")] = None

    def _resolve_by_name(self) -> None:
        """Keras 2.11 to 2.15 name a slot ``m/dense/kernel``, after its variable, and keep no list
        of variables.
        """
        unresolved = {
            attribute.full_name: attribute.key
            for item in self._numbered("_variables")
            for attribute in item.attributes
            if attribute.key in self.marks
            and self.marks[attribute.key].role in COPIES
            and self.marks[attribute.key].slot_of is None
        }
        if not unresolved:
            return
        if self.trainable is not None:
            self._resolve_by_flat_name(unresolved)
            return
        by_name = self._keys_by_name(set(unresolved.values()))
        for full_name, key in unresolved.items():
            parts = full_name.split("/")
            # "m/dense/kernel", or "Adam/m/dense/kernel" where fit() made it
            for start in range(1, len(parts)):
                candidates = by_name.get("/".join(parts[start:]), [])
                if len(candidates) == 1:
                    before = self.marks[key]
                    slot_name = before.slot_name or parts[start - 1]
                    self.marks[key] = replace(before, slot_of=candidates[0], slot_name=slot_name)
                    self.marks.setdefault(candidates[0], Mark("weight"))
                    break

    def _resolve_by_flat_name(self, unresolved: Mapping[str, str]) -> None:
        """Keras 3 names a slot ``adam/dense_kernel_velocity``; its lists are not there where one
        has gaps.
        """
        flat = {
            attribute.full_name.replace("/", "_"): attribute.key
            for item in self._numbered("_trainable_variables")
            for attribute in item.attributes
            if attribute.full_name
        }
        for full_name, key in unresolved.items():
            parts = full_name.rpartition("/")[2].split("_")
            for end in range(len(parts) - 1, 0, -1):
                owner, slot_name = flat.get("_".join(parts[:end])), "_".join(parts[end:])
                if owner is not None:
                    self.marks[key] = Mark("optimizer_slot", owner, slot_name)
                    self.slots[slot_name] = None
                    break

    def _keys_by_name(self, without: set[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for node in self.graph.nodes:
            for attribute in node.attributes:
                if attribute.full_name and attribute.key not in without:
                    found.setdefault(attribute.full_name, []).append(attribute.key)
        return found
