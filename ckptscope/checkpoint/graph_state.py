"""What training reads and changes: variables, tables and counters behind the updates of a graph.

A value matters where it flows into something that training keeps. What an op only waits for (a
control input), or what ends in a summary, changes nothing. Source: op names and their inputs in
tensorflow/core/ops/{state,resource_variable,training,lookup,stateful_random,data_flow}_ops.cc."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ckptscope.checkpoint.graph import Flow, Op
from ckptscope.formats.dtypes import dtype_of

REF_VARIABLES = frozenset(("VariableV2", "Variable", "TemporaryVariable"))
VARIABLE_OPS = REF_VARIABLES | {"VarHandleOp", "AutoReloadVariable"}
_TABLE = re.compile(r"Mutable(Dense)?HashTable(OfTensors)?(V2)?$")
_GRADIENT_SUMS = re.compile(r"(Sparse)?(Resource)?ConditionalAccumulator$")

_UPDATE = re.compile(r"(Resource)?(Sparse)?Apply[A-Z]")
_ADDS = ("AssignAdd", "AssignSub", "AssignAddVariableOp", "AssignSubVariableOp")
_OVERWRITES = ("Assign", "AssignVariableOp")
# Ops that change the state at their first input.
_CHANGES = re.compile(
    r"(Assign(Add|Sub)?(VariableOp)?"
    r"|(Resource)?Scatter(Nd)?(Update|Add|Sub|Mul|Div|Min|Max)"
    r"|(Resource)?StridedSliceAssign|(Resource)?CountUpTo"
    r"|LookupTable(Insert|Remove|Import)(V2)?"
    r"|Stateful(Standard|Uniform|Truncated|Random)\w*|Rng(Skip|ReadAndSkip)"
    r"|(Resource)?(Sparse)?AccumulatorApplyGradient|(Resource)?(Sparse)?AccumulatorTakeGradient)$"
)
# Of those, the ones that also use what is there.
_USES_ITSELF = re.compile(
    r"(Resource)?CountUpTo|Stateful|Rng|(Resource)?(Sparse)?AccumulatorTake"
    r"|(Resource)?Scatter(Nd)?(Mul|Div|Min|Max)"
)
# Their values do not depend on the values of their inputs.
_NO_VALUE = frozenset(
    (
        "Shape",
        "ShapeN",
        "Rank",
        "Size",
        "VariableShape",
        "ZerosLike",
        "OnesLike",
        "VarIsInitializedOp",
        "IsVariableInitialized",
    )
)
# They hand on a reference or a resource, and by their other inputs decide where to.
_HANDS_ON = frozenset(
    (
        "Switch",
        "RefSwitch",
        "Enter",
        "RefEnter",
        "Merge",
        "RefMerge",
        "RefIdentity",
        "Identity",
        *_OVERWRITES[:1],
        *_ADDS[:2],
    )
)
ADDITIONS = ("Add", "AddV2")


@dataclass(slots=True)
class GraphState:
    """State by what training does with it, each a name of a node.

    Attributes:
        feeds: state whose value flows into a trainable variable other than by an optimizer's op.
        ops: name -> op.
        used: all ops whose values flow into what training changes.
    """

    read: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    raised: dict[str, None] = field(default_factory=dict)
    ops: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    feeds: set[str] = field(default_factory=set)
    used: Mapping[str, Op] = field(default_factory=dict)


def is_state(op: Op) -> bool:
    """It holds values between two steps."""
    return op.op in VARIABLE_OPS or bool(_TABLE.match(op.op)) or bool(_GRADIENT_SUMS.match(op.op))


def is_update(op: str) -> bool:
    """An optimizer's update of one variable: ``ApplyAdam``, ``ResourceSparseApplyFtrl``, …"""
    return bool(_UPDATE.match(op))


def changes_state(op: str) -> bool:
    """It gives state a new value."""
    return is_update(op) or bool(_CHANGES.match(op))


def state_of(flow: Flow, is_trainable: Callable[[str], bool] = lambda name: False) -> GraphState:
    """What the ops of a flow do with state."""
    found = GraphState()
    values: list[str] = []
    by_hand: list[str] = []
    for op in flow.ops.values():
        if changes_state(op.op):
            taken = list(_effect(flow, op, found))
            values.extend(taken)
            target, _ = handle(flow, op.data[0]) if op.data else (None, ())
            if not is_update(op.op) and target is not None and is_trainable(target.name):
                by_hand.extend(taken)
    found.feeds = {op.name for op in flow.walk(by_hand, _value_inputs).values() if is_state(op)}
    found.used = flow.walk(values, _value_inputs)
    for op in found.used.values():
        if is_state(op):
            found.read.add(op.name)
    for name in sorted(found.read | found.changed):
        op = flow.ops[name]
        found.ops[name] = op.op
        if op.op in VARIABLE_OPS and not op.attr["shape"].shape.unknown_rank:
            found.shapes[name] = tuple(axis.size for axis in op.attr["shape"].shape.dim)
    return found


def _effect(flow: Flow, op: Op, found: GraphState) -> Iterator[str]:
    """Note what one op changes; give the nodes whose values it takes."""
    yield from op.guards
    yield from _pivots(flow, op)
    counter = raises(flow, op)
    for index, name in enumerate(op.data):
        state, deciding = handle(flow, name) if index == 0 or is_update(op.op) else (None, ())
        if state is None:
            if counter is None:
                yield name
            continue
        yield from deciding
        found.changed.add(state.name)
        if is_update(op.op) or _USES_ITSELF.match(op.op):
            found.read.add(state.name)
    if counter is not None:
        found.raised[counter] = None


def handle(flow: Flow, name: str) -> tuple[Op | None, tuple[str, ...]]:
    """(the state that a reference or resource stands for, nodes that decide which).

    The value of a variable, read before, is no reference to it."""
    deciding: list[str] = []
    copied = False
    for _ in range(64):
        op = flow.ops.get(name)
        if op is None:
            break
        if is_state(op):
            return (None, ()) if copied and op.op in REF_VARIABLES else (op, tuple(deciding))
        if op.op not in _HANDS_ON or not op.data:
            break
        copied = copied or op.op == "Identity"
        if op.op in ("Switch", "RefSwitch"):
            deciding.extend(op.data[1:])
        name = op.data[0]
    return None, ()


def _pivots(flow: Flow, op: Op) -> Iterator[str]:
    """What decides whether an op inside tf.cond runs: a control input that a Switch gives."""
    for name in op.control:
        before = flow.ops.get(name)
        while before is not None and before.op == "Identity" and before.data:
            before = flow.ops.get(before.data[0])
        if before is not None and before.op == "Switch":
            yield before.name


def _value_inputs(op: Op) -> Iterable[str]:
    """Inputs whose values an op's own value depends on."""
    if op.op in _NO_VALUE or is_state(op):
        return ()
    return op.data[1:] if op.op in _OVERWRITES else op.data


def raises(flow: Flow, op: Op) -> str | None:
    """The counter that an op raises by 1: ``AssignAdd(n, 1)``, or ``Assign(n, n + 1)``."""
    if len(op.data) < 2 or op.op not in ("AssignAdd", "AssignAddVariableOp", *_OVERWRITES):
        return None
    counter, _ = handle(flow, op.data[0])
    if counter is None or not _is_count(counter):
        return None
    if op.op not in _OVERWRITES:
        return counter.name if flow.constant(op.data[1]) == [1] else None
    total = flow.ops.get(op.data[1])
    if total is None or total.op not in ADDITIONS or len(total.data) != 2:
        return None
    for own, other in (total.data, total.data[::-1]):
        if flow.constant(other) == [1] and _read_of(flow, own) == counter.name:
            return counter.name
    return None


def _read_of(flow: Flow, name: str) -> str | None:
    """The variable that a node is the plain value of."""
    for _ in range(16):
        op = flow.ops.get(name)
        if op is None or is_state(op):
            return None if op is None else op.name
        if op.op not in ("Identity", "ReadVariableOp") or not op.data:
            return None
        name = op.data[0]
    return None


def _is_count(op: Op) -> bool:
    """An integer scalar variable."""
    if op.op not in VARIABLE_OPS:
        return False
    shape = op.attr["shape"].shape
    return dtype_of(op.attr["dtype"].type).is_integer and not shape.unknown_rank and not shape.dim
