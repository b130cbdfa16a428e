"""The updates of a graph: what trains, with which slots, at which rate.

Source: tensorflow/python/training/optimizer.py (the TRAIN_OP collection holds what ``minimize``
gave); inputs of update ops in :mod:`ckptscope.checkpoint.optimizers`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ckptscope.checkpoint.graph import Flow, Graph, Op, in_initializer, node_name
from ckptscope.checkpoint.graph_feeding import placeholders
from ckptscope.checkpoint.graph_state import (
    ADDITIONS,
    VARIABLE_OPS,
    changes_state,
    handle,
    is_state,
    is_update,
    raises,
)
from ckptscope.checkpoint.optimizers import update_op

_RESTORES = frozenset(("RestoreV2", "Restore", "RestoreSlice"))
# What minimize() puts behind its updates: a group, and the step that it raises.
_BEHIND_UPDATES = frozenset(("NoOp", "Identity", "AssignAdd", "AssignAddVariableOp"))
_PART = re.compile(r"/part_\d+")


@dataclass(frozen=True, slots=True)
class OptimizerOp:
    """One update of one variable: ``ApplyAdam`` of ``a/kernel`` with slots ``a/kernel/Adam``…

    ``slots`` are those variables whatever they are called, in the order of the op's inputs;
    ``rate_from`` names the variables that its learning rate is computed from, ``rate_fed`` the
    placeholders.
    """

    op: str
    variable: str
    slots: tuple[str, ...]
    rate_from: tuple[str, ...] = ()
    rate_fed: tuple[str, ...] = ()


def whole_name(name: str) -> str:
    """A partitioned variable's own name: ``a/kernel/part_0`` is of ``a/kernel``."""
    return _PART.sub("", name)


def training_roots(
    graph: Graph, train_ops: Iterable[str], trainable: Collection[str]
) -> tuple[str, ...]:
    """Names of the nodes that a training step runs.

    Without a collection of training ops these are the optimizers' updates, else what gives a
    trainable variable another value."""
    named = tuple(node_name(name) for name in train_ops if node_name(name) in graph.nodes)
    if named:
        return tuple(dict.fromkeys(named))
    updates = [node.name for node in graph.nodes.values() if is_update(node.op)]
    if updates:
        return (*updates, *_run_behind(graph, updates))
    return tuple(_handmade(graph, trainable))


def _run_behind(graph: Graph, updates: list[str]) -> Iterator[str]:
    reached = set(updates)
    waiting: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        if node.op in _BEHIND_UPDATES:
            for name in node.input:
                if name.startswith("^"):
                    waiting.setdefault(node_name(name), []).append(node.name)
    queue = list(updates)
    while queue:
        for name in waiting.get(queue.pop(), ()):
            if name not in reached:
                reached.add(name)
                queue.append(name)
                yield name


def changed_behind(graph: Graph, roots: Iterable[str]) -> frozenset[str]:
    """State that is changed by ops that wait for a training step.

    ``minimize`` may be followed by an assignment under ``control_dependencies([train_op])``: the
    collection names only the former, the program runs the latter."""
    takers: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        if not in_initializer(node):
            for name in node.input:
                takers.setdefault(node_name(name), []).append(node.name)
    queue = list(roots)
    reached = dict.fromkeys(queue)
    while queue:
        for name in takers.get(queue.pop(), ()):
            if name not in reached:
                reached[name] = None
                queue.append(name)
    flow = Flow(graph, [name for name in reached if changes_state(graph.nodes[name].op)])
    changing = (flow.ops[name] for name in reached if name in flow.ops)
    targets = (handle(flow, op.data[0])[0] for op in changing if op.data and changes_state(op.op))
    return frozenset(op.name for op in targets if op is not None)


def _handmade(graph: Graph, trainable: Collection[str]) -> Iterator[str]:
    """Assignments to trainable variables that are no initialisation and no restoring."""
    assigning = [
        node.name
        for node in graph.nodes.values()
        if changes_state(node.op) and len(node.input) > 1 and not node.name.endswith("/Assign")
    ]
    flow = Flow(graph, assigning)
    for name in assigning:
        op = flow.ops.get(name)
        if op is None:
            continue
        variable, _ = handle(flow, op.data[0])
        behind = flow.walk(op.data[1:]).values()
        if (
            variable is not None
            and whole_name(variable.name) in trainable
            and any(is_state(other) for other in behind)
            and not any(other.op in _RESTORES for other in behind)
        ):
            yield name


def updates_of(flow: Flow) -> tuple[OptimizerOp, ...]:
    """The optimizers' updates among what training runs."""
    return tuple(_update(flow, op) for op in flow.ops.values() if is_update(op.op))


def _update(flow: Flow, op: Op) -> OptimizerOp:
    variables = [handle(flow, name)[0] for name in op.data]
    known = update_op(op.op)
    positions = known.slots if known is not None else range(1, len(variables))
    slots = tuple(
        slot.name
        for index in positions
        if index < len(variables) and (slot := variables[index]) is not None
    )
    rates = [op.data[known.rate]] if known is not None and known.rate < len(op.data) else []
    behind = flow.walk(rates).values()
    return OptimizerOp(
        op.op.removeprefix("Resource"),
        variables[0].name if variables and variables[0] is not None else "",
        slots,
        tuple(other.name for other in behind if other.op in VARIABLE_OPS),
        placeholders(behind),
    )


def all_raised_counters(graph: Graph) -> tuple[str, ...]:
    """Integer scalars that anything in the graph raises by 1."""
    counting = []
    for node in graph.nodes.values():
        if node.op in ("AssignAdd", "AssignAddVariableOp"):
            counting.append(node.name)
        elif node.op in ("Assign", "AssignVariableOp") and len(node.input) > 1:
            value = graph.nodes.get(node_name(node.input[1]))
            if value is not None and value.op in ADDITIONS:
                counting.append(node.name)
    flow = Flow(graph, counting)
    raised = (raises(flow, flow.ops[name]) for name in counting if name in flow.ops)
    return tuple(dict.fromkeys(name for name in raised if name is not None))
