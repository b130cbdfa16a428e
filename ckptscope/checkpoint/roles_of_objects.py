"""Roles in object-based checkpoints: by the optimizers among the objects, then by place and
name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from ckptscope.checkpoint import role_words as words
from ckptscope.checkpoint.inventory import Inventory, Role, Variable
from ckptscope.checkpoint.model import Checkpoint, TensorEntry
from ckptscope.checkpoint.object_graph import ObjectGraph, ObjectNode
from ckptscope.checkpoint.object_keys import OBJECT_CONFIG, OBJECT_GRAPH_KEY, ObjectKey
from ckptscope.checkpoint.optimizer_objects import COPIES, Mark, OptimizerReader, is_optimizer
from ckptscope.checkpoint.optimizers import HYPER, RATES
from ckptscope.formats.dtypes import STRING, VARIANT

_METRIC: frozenset[Role] = frozenset(("metric",))
_LAYER_CHILDREN = frozenset(
    ("layer-0", "layer_with_weights-0", "_layers", "_operations", "_functional", "keras_api")
)


@dataclass(frozen=True, slots=True)
class _Place:
    """One variable and where it lies, for the rules below."""

    key: ObjectKey
    path: str
    full_name: str | None
    entry: TensorEntry
    graph: ObjectGraph
    node: ObjectNode | None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def is_count(self) -> bool:
        return self.entry.dtype.is_integer and not self.entry.shape


def inventory_of_objects(checkpoint: Checkpoint, graph: ObjectGraph) -> Inventory:
    """Every variable of an object-based checkpoint with its role."""
    marks: dict[str, Mark] = {}
    full_names = {
        attribute.key: attribute.full_name for node in graph.nodes for attribute in node.attributes
    }
    optimizers = tuple(
        OptimizerReader(graph, node, marks).read() for node in graph.nodes if is_optimizer(node)
    )
    variables = [
        _variable(key, entry, graph, marks, full_names.get(key) or None)
        for key, entry in checkpoint.entries.items()
    ]
    kept = without_false_copies(variables, marks)
    lists_weights = any(optimizer.trainable is not None for optimizer in optimizers)
    return Inventory(kept, optimizers, () if lists_weights else tuple(_orphans(kept)))


def _variable(
    key: str,
    entry: TensorEntry,
    graph: ObjectGraph,
    marks: Mapping[str, Mark],
    full_name: str | None,
) -> Variable:
    parts = ObjectKey.parse(key)
    node = graph.node_of_key.get(key)
    path: str | None = parts.name
    if parts.attribute is None:
        path = graph.paths.get(node.node_id) if node else None
    mark = marks.get(key)
    if mark is None:
        mark = Mark(_plain_role(_Place(parts, path or key, full_name, entry, graph, node)))
    statistic = mark.role == "weight" and words.is_statistic(full_name or path or key)
    return Variable(key, path, full_name, entry, mark.role, mark.slot_of, mark.slot_name, statistic)


def without_false_copies(
    variables: list[Variable], certain: Container[str]
) -> tuple[Variable, ...]:
    """A variable that only its name calls a copy of a weight has the shape of a weight.

    Where no weight is left at all, what names took away are the weights (a model that is called
    ``swa``, ``opt`` or ``metrics``)."""

    def by_name(variable: Variable, roles: frozenset[Role]) -> bool:
        return (
            variable.role in roles
            and variable.key not in certain
            and bool(variable.entry.shape)
            and variable.entry.dtype.is_floating
        )

    shapes = {variable.entry.shape for variable in variables if variable.role == "weight"}
    wrong = COPIES if shapes else COPIES.union(_METRIC)
    return tuple(
        replace(variable, role="weight")
        if by_name(variable, wrong) and variable.entry.shape not in shapes
        else variable
        for variable in variables
    )


def _orphans(variables: tuple[Variable, ...]) -> Iterator[str]:
    """Full names of variables that are not stored, from slots named after them.

    Keras 2.11 to 2.15 call a slot ``m/dense/kernel``. What comes before the variable's name is
    known from the slots whose variables are stored."""
    own = {variable.key: variable.full_name for variable in variables}
    stored = {variable.full_name for variable in variables if variable.full_name}
    slots = [v for v in variables if v.role == "optimizer_slot" and v.full_name]
    leading = {
        slot.full_name.removesuffix(owner)
        for slot in slots
        if slot.slot_of is not None
        and slot.full_name
        and (owner := own.get(slot.slot_of))
        and slot.full_name.endswith(f"/{owner}")
    }
    found: dict[str, None] = {}
    for slot in slots:
        for prefix in leading if slot.slot_of is None else ():
            target = (slot.full_name or "").removeprefix(prefix)
            if target and target != slot.full_name and target not in stored and slot.entry.shape:
                found[target] = None
    yield from found


# ------------------------------------------------------------ what no optimizer claims


def _plain_role(place: _Place) -> Role:
    for is_so, role in _PLAIN_ROLES:
        if is_so(place):
            return role
    return "unknown"


def _is_bookkeeping(place: _Place) -> bool:
    return (
        place.key.path == OBJECT_GRAPH_KEY
        or place.path == OBJECT_GRAPH_KEY
        or place.key.attribute == OBJECT_CONFIG
        or place.name == "save_counter"
    )


def _is_table(place: _Place) -> bool:
    """What a lookup table, a vocabulary or a replay buffer holds."""
    if (place.key.attribute or "").startswith("table"):
        return True
    return words.is_table(place.path) and (
        place.entry.dtype is STRING
        or not place.entry.dtype.is_floating
        or "replay_buffer" in place.path
        or "_table" in place.path
    )


def _is_generator(place: _Place) -> bool:
    return words.is_generator(place.path) or bool(
        place.full_name and words.is_generator(place.full_name)
    )


def _is_loss_scale(place: _Place) -> bool:
    return place.name in words.LOSS_SCALE or "/loss_scale/" in f"/{place.path}/"


def _is_metric(place: _Place) -> bool:
    """Keras metrics keep ``total`` and ``count``, and are reached under a name that no layer
    has.
    """
    if words.is_metric(place.path, not place.entry.shape):
        return True
    return place.node is not None and any(
        name in words.METRIC_CHILDREN
        and any(edge in words.METRIC_CHILDREN and edge != "count" for edge, _ in parent.children)
        for parent, name in place.graph.edges_to(place.node.node_id)
    )


def _is_statistic(place: _Place) -> bool:
    return place.entry.dtype.is_floating and words.is_statistic(place.full_name or place.path)


def _is_average(place: _Place) -> bool:
    return words.is_average(place.path) or bool(
        place.full_name and words.is_average(place.full_name)
    )


def _in_named_optimizer(place: _Place) -> bool:
    """Below something called an optimizer that somebody wrote, and that is no model."""
    match = words.OPTIMIZER_PATH.match(f"{place.path}")
    if match is None:
        return False
    node = place.graph.child(place.graph.root, *match.group(0).rstrip("/").split("/"))
    return node is None or not any(name in _LAYER_CHILDREN for name, _ in node.children)


def _is_counter(place: _Place) -> bool:
    return place.is_count and (
        "/" not in place.path
        or words.is_step_like(place.name)
        or not _in_layer(place.graph, place.node)
    )


def _is_number(place: _Place) -> bool:
    dtype = place.entry.dtype
    if dtype.is_floating or place.is_count:
        return True
    return (
        dtype.is_integer or dtype.name == "bool" or dtype.name.startswith(("complex", "q"))
    ) and _in_layer(place.graph, place.node)


# The first that fits says the role.
_PLAIN_ROLES: tuple[tuple[Callable[[_Place], bool], Role], ...] = (
    (_is_bookkeeping, "bookkeeping"),
    (lambda place: place.entry.dtype is VARIANT, "iterator"),
    (_is_table, "bookkeeping"),
    (_is_generator, "rng"),
    (_is_loss_scale, "loss_scale"),
    (_is_metric, "metric"),
    (_is_statistic, "weight"),
    (_is_average, "ema"),
    (lambda place: words.is_sum(place.path), "optimizer_slot"),
    (
        lambda place: place.name in HYPER and _in_named_optimizer(place),
        "optimizer_hyper",
    ),
    (lambda place: place.name in RATES and not place.entry.shape, "optimizer_hyper"),
    (lambda place: place.is_count and _in_named_optimizer(place), "counter"),
    (_in_named_optimizer, "optimizer_slot"),
    (_is_counter, "counter"),
    (_is_number, "weight"),
)


def _in_layer(graph: ObjectGraph, node: ObjectNode | None) -> bool:
    """Another variable lies beside it, so its owner is a layer or module."""
    if node is None:
        return False
    return any(
        len(parent.children) > 1 and parent.node_id != 0
        for parent, _ in graph.edges_to(node.node_id)
    )
