"""What each variable is for: weight, optimizer slot, counter, … by structure first, by name where
nothing else tells.

Structures: Keras 3 and Keras 2.11+ keep a flat ``_variables`` list in the optimizer
(keras/src/optimizers/ base_optimizer.py), older Keras and TF1 use slot variables of the object
graph, Saver checkpoints use suffixes of names (tensorflow/python/training/slot_creator.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import OBJECT_GRAPH_KEY, Checkpoint, TensorEntry
from ckptscope.checkpoint.object_graph import ObjectGraph, ObjectNode
from ckptscope.formats.dtypes import VARIANT

Role = Literal[
    "weight",
    "optimizer_slot",
    "optimizer_hyper",
    "counter",
    "rng",
    "iterator",
    "metric",
    "ema",
    "loss_scale",
    "bookkeeping",
    "unknown",
]
ROLES: tuple[Role, ...] = (
    "weight",
    "optimizer_slot",
    "optimizer_hyper",
    "counter",
    "rng",
    "iterator",
    "metric",
    "ema",
    "loss_scale",
    "bookkeeping",
    "unknown",
)

_ITERATIONS = ("_iterations", "iterations", "iter", "_iteration")
_HYPER = frozenset(
    """
    learning_rate _learning_rate beta_1 beta_2 beta decay momentum rho epsilon initial_decay
    learning_rate_power initial_accumulator_value l1_regularization_strength
    l2_regularization_strength weight_decay lr _lr _current_learning_rate
    """.split()
)
_LOSS_SCALE = frozenset(
    (
        "current_loss_scale",
        "good_steps",
        "dynamic_scale",
        "loss_scale",
        "num_good_steps",
        "_num_good_steps",
    )
)
_LOSS_SCALE_NAME = re.compile(r"loss_?scale|good_steps", re.IGNORECASE)
_NOT_SLOT_LISTS = frozenset(
    (
        "_variables",
        "_trainable_variables",
        "_trainable_variables_indices",
        "_index_dict",
        "_overwrite_variable_with_gradient",
    )
)
_EMA_LISTS = ("_model_variables_moving_average", "_model_variable_moving_average")
_EMA_NAME = re.compile(
    r"(^|[/_.])(ema|averages?|moving_averages?|shadow|polyak|swa|ExponentialMovingAverage)([/_.\d]|$)",
    re.IGNORECASE,
)
_METRIC_PATH = re.compile(
    r"(^|/)(_?metrics?|compiled_metrics|_metrics_list|keras_api/metrics|_compile_metrics|_loss_tracker)(/|$)"
)
_ACCUMULATOR = re.compile(
    r"(^|[/_])(accum|accums|accumulators?|accumulated|grad_accum\w*|gradient_accumul\w*|acc_grads?|accum_grads?)([/_]|$)",
    re.IGNORECASE,
)
_OPTIMIZER_PATH = re.compile(r"(^|/)(opt|\w*optimi[sz]er)/", re.IGNORECASE)
_RNG_NAME = re.compile(r"(^|/)(_state_var|seed_generator_state|StateVar)(_\d+)?$")
# Suffixes that TF1 optimizers give their slots, and what some libraries add.
_SLOT_NAMES = frozenset(
    """
    Momentum Adam Adam_1 AdaMax AdaMax_1 Adagrad AdagradDA AdagradDA_1 Adadelta Adadelta_1
    RMSProp RMSProp_1 RMSProp_2 Ftrl Ftrl_1 ProximalAdagrad AdamW AdamW_1 adam_m adam_v
    LARSOptimizer LAMB LAMB_1 m v vhat momentum rms mg accumulator linear accum_grad accum_var
    velocity
    """.split()
)
_NUMBERED = re.compile(r"_\d+$")
# Slots that come together: where one is stored, the others of its set are needed, too.
_SLOT_SETS = (
    ("Adam", "Adam_1"),
    ("AdaMax", "AdaMax_1"),
    ("AdagradDA", "AdagradDA_1"),
    ("Adadelta", "Adadelta_1"),
    ("RMSProp", "RMSProp_1"),
    ("Ftrl", "Ftrl_1"),
    ("AdamW", "AdamW_1"),
    ("adam_m", "adam_v"),
    ("LAMB", "LAMB_1"),
)
# Optimizers that keep other slots for matrices than for vectors (Adafactor, Muon).
_UNEVEN_SLOTS = frozenset(("r", "c", "adam_momentums", "adam_velocities", "adam_velocity_hats"))
_POWERS = re.compile(r"(^|/)(beta[12]_power|beta_[12]_power)(_\d+)?$")
_TF1_STEPS = re.compile(r"(^|/)(global_step|training_step|train_step|step)(_\d+)?$")
_SAVED_ATTRIBUTE = "/.ATTRIBUTES/"


@dataclass(frozen=True, slots=True)
class Variable:
    """One stored tensor with its meaning.

    Attributes:
        object_path: path of its object in the saved program; None for name-based checkpoints.
        full_name: the variable's own name, where stored.
        slot_of: key of the variable that an optimizer slot belongs to.
        slot_name: which slot.
    """

    key: str
    object_path: str | None
    full_name: str | None
    entry: TensorEntry
    role: Role
    slot_of: str | None = None
    slot_name: str | None = None


@dataclass(frozen=True, slots=True)
class Optimizer:
    """One optimizer of an object-based checkpoint.

    Attributes:
        path: its object path.
        iterations: key of its iteration counter.
        slot_names: in order of appearance.
        trainable: keys of the variables it trains, where it lists them.
        hyper: names of its stored hyper-parameters.
        wraps: path of the optimizer inside it (loss scaling).
        scale_is_fixed: it scales the loss by a constant, which needs no variable.
    """

    path: str
    iterations: str | None
    slot_names: tuple[str, ...]
    trainable: tuple[str, ...] | None
    hyper: tuple[str, ...]
    wraps: str | None
    scale_is_fixed: bool = False


@dataclass(frozen=True)
class Inventory:
    """All variables with their roles, and the optimizers among the objects."""

    variables: tuple[Variable, ...]
    optimizers: tuple[Optimizer, ...]

    def of_role(self, *roles: Role) -> list[Variable]:
        """Variables that have one of these roles, in the order of the file for each."""
        return [variable for role in roles for variable in self._by_role.get(role, ())]

    @cached_property
    def _by_role(self) -> Mapping[Role, list[Variable]]:
        found: dict[Role, list[Variable]] = {}
        for variable in self.variables:
            found.setdefault(variable.role, []).append(variable)
        return found

    @cached_property
    def true_slots(self):
        return [
            v
            for v in self.of_role("optimizer_slot")
            if v.slot_of
            or v.slot_name
            or not _ACCUMULATOR.search(v.object_path or v.key)
            or _OPTIMIZER_PATH.search(v.object_path or v.key)
        ]

    @cached_property
    def gradient_sums(self):
        return [v for v in self.of_role("optimizer_slot") if v not in self.true_slots]

    @cached_property
    def weights_without_slots(self):
        owned = {v.slot_of for v in self.of_role("optimizer_slot") if v.slot_of}
        if not owned:
            return ()
        return tuple(
            v.key
            for v in self.of_role("weight")
            if v.key not in owned
            and v.entry.dtype.is_floating
            and v.entry.shape
            and not re.search(
                r"moving_|running_|/mean$|/variance$|population",
                (v.full_name or v.object_path or v.key).replace("/.ATTRIBUTES/VARIABLE_VALUE", ""),
            )
        )

    @cached_property
    def orphan_slots(self):
        return ()

    @cached_property
    def slot_gaps(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(variable, missing slots) where an optimizer keeps slots for others that this
        variable lacks.
        """
        have: dict[tuple[str, str], set[str]] = {}
        names: dict[str, set[str]] = {}
        for optimizer in self.optimizers:
            if optimizer.slot_names and optimizer.wraps is None:
                have.update({(optimizer.path, key): set() for key in optimizer.trainable or ()})
        for variable in self.of_role("optimizer_slot"):
            if variable.slot_of is not None and variable.slot_name is not None:
                owner = self._owner_of_slot(variable.key)
                have.setdefault((owner, variable.slot_of), set()).add(variable.slot_name)
                names.setdefault(owner, set()).add(variable.slot_name)
        uneven = {owner for owner, slots in names.items() if slots & _UNEVEN_SLOTS}
        gaps = []
        for (owner, target), slots in have.items():
            # Without an object graph slots of several optimizers cannot be told apart: only sets
            # are certain.
            together = {name for group in _SLOT_SETS if slots & set(group) for name in group}
            wanted = together | (names.get(owner, set()) if owner else set())
            if owner not in uneven and wanted - slots:
                gaps.append((target, tuple(sorted(wanted - slots))))
        return tuple(gaps)

    def _owner_of_slot(self, key: str) -> str:
        """Object path of the optimizer that a slot belongs to; empty for name-based checkpoints."""
        if "/.OPTIMIZER_SLOT/" in key:
            return (
                key.partition("/.OPTIMIZER_SLOT/")[2]
                .partition("/.ATTRIBUTES/")[0]
                .rpartition("/")[0]
            )
        return next(
            (
                item.path
                for item in self.optimizers
                if item.path and key.startswith(f"{item.path}/")
            ),
            "",
        )


def take_inventory(checkpoint: Checkpoint, meta: MetaGraph | None = None) -> Inventory:
    """Give every variable its role."""
    if checkpoint.graph is not None:
        return _object_based(checkpoint, checkpoint.graph)
    return Inventory(tuple(_name_based(checkpoint, meta)), ())


# ------------------------------------------------------------ object-based


@dataclass(frozen=True, slots=True)
class _Mark:
    role: Role
    slot_of: str | None = None
    slot_name: str | None = None


def _object_based(checkpoint: Checkpoint, graph: ObjectGraph) -> Inventory:
    marks: dict[str, _Mark] = {}
    optimizers = []
    for node in graph.nodes:
        if _is_optimizer(node):
            optimizers.append(_mark_optimizer(graph, node, marks))
    variables = []
    paths, node_of_key = graph.paths, graph.node_of_key
    for key, entry in checkpoint.entries.items():
        owner = node_of_key.get(key)
        path = (
            key.partition(_SAVED_ATTRIBUTE)[0]
            if _SAVED_ATTRIBUTE in key
            else (paths.get(owner.node_id) if owner else None)
        )
        full_name = (
            next((a.full_name for a in owner.attributes if a.key == key), None) if owner else None
        )
        mark = marks.get(key) or _Mark(
            _plain_role(key, path or key, full_name, entry, graph, owner)
        )
        variables.append(
            Variable(key, path, full_name or None, entry, mark.role, mark.slot_of, mark.slot_name)
        )
    return Inventory(tuple(variables), tuple(optimizers))


def _is_optimizer(node: ObjectNode) -> bool:
    if node.slot_variables:
        return True
    names = {name for name, _ in node.children}
    if not names.intersection(_ITERATIONS):
        return "inner_optimizer" in names and bool(names & {"dynamic_scale", "step_counter"})
    return bool(
        names & (_HYPER | {"_variables", "_trainable_variables", "inner_optimizer", "_index_dict"})
    )


def _key(node: ObjectNode) -> str | None:
    return node.attributes[0].key if node.attributes else None


def _numbered(graph: ObjectGraph, node: ObjectNode) -> list[ObjectNode]:
    """Elements of a tracked list, in order; empty if the node is none."""
    numbers = sorted((int(name), child) for name, child in node.children if name.isdigit())
    return (
        [graph.nodes[child] for _, child in numbers] if len(numbers) == len(node.children) else []
    )


def _mark(
    marks: dict[str, _Mark],
    target: ObjectNode,
    role: Role,
    slot_of: str | None = None,
    slot_name: str | None = None,
) -> None:
    key = _key(target)
    if key is None:
        return
    before = marks.get(key)
    if (
        before is not None
        and before.role in ("counter", "optimizer_hyper")
        and role == "optimizer_slot"
    ):
        return
    if before is None or role == "weight" or (before.slot_name is None and slot_name):
        marks[key] = _Mark(role, slot_of, slot_name)


def _mark_optimizer(graph: ObjectGraph, node: ObjectNode, marks: dict[str, _Mark]) -> Optimizer:
    children = {name: graph.nodes[child] for name, child in node.children}
    iterations = next(
        (
            _key(children[name])
            for name in _ITERATIONS
            if name in children and children[name].attributes
        ),
        None,
    )
    trainable = (
        [_key(item) for item in _numbered(graph, children["_trainable_variables"])]
        if "_trainable_variables" in children
        else None
    )
    slots: dict[str, None] = {}
    hyper = []

    for weight in trainable or ():
        if weight is not None:
            marks[weight] = _Mark("weight")
    for name, child in children.items():
        if name in _ITERATIONS:
            _mark(marks, child, "counter")
        elif name in _HYPER and child.attributes:
            _mark(marks, child, "optimizer_hyper")
            hyper.append(name.lstrip("_"))
        elif name in _LOSS_SCALE or (name == "step_counter" and "inner_optimizer" in children):
            _mark(marks, child, "loss_scale")
            for inner, inner_id in child.children:
                _mark(
                    marks,
                    graph.nodes[inner_id],
                    "loss_scale" if inner in _LOSS_SCALE else "unknown",
                )
        elif _POWERS.search(name) or (child.attributes and name not in _NOT_SLOT_LISTS):
            _mark(marks, child, "optimizer_slot")
    for name, child in children.items():
        if name in _NOT_SLOT_LISTS:
            continue
        role: Role = "ema" if name in _EMA_LISTS else "optimizer_slot"
        for index, item in enumerate(_numbered(graph, child)):
            owner = trainable[index] if trainable is not None and index < len(trainable) else None
            _mark(marks, item, role, owner, name.lstrip("_"))
            if role == "optimizer_slot" and _key(item) is not None:
                slots[name.lstrip("_")] = None
    for item in _numbered(graph, children["_variables"]) if "_variables" in children else ():
        _mark(marks, item, "optimizer_slot")
    for slot in node.slot_variables:
        _mark(
            marks,
            graph.nodes[slot.node],
            "optimizer_slot",
            _key(graph.nodes[slot.variable]),
            slot.slot_name,
        )
        slots[slot.slot_name] = None
    _resolve_by_name(graph, children, marks)
    wrapped = next(
        (
            child
            for name, child in children.items()
            if name in ("inner_optimizer", "base_optimizer")
        ),
        None,
    )
    return Optimizer(
        path=graph.paths.get(node.node_id, ""),
        iterations=iterations,
        slot_names=tuple(slots),
        trainable=None if trainable is None else tuple(key for key in trainable if key is not None),
        hyper=tuple(hyper),
        wraps=graph.paths.get(wrapped.node_id)
        if wrapped is not None and wrapped.node_id != node.node_id
        else None,
        scale_is_fixed=not _LOSS_SCALE & set(children),
    )


def _resolve_by_name(
    graph: ObjectGraph, children: Mapping[str, ObjectNode], marks: dict[str, _Mark]
) -> None:
    """Keras 2.11 to 2.15 name a slot ``m/dense/kernel``, after its variable, and keep no list
    of variables.
    """
    slots = _numbered(graph, children["_variables"]) if "_variables" in children else []
    unresolved = {
        attribute.full_name: attribute.key
        for item in slots
        for attribute in item.attributes
        if marks.get(attribute.key, _Mark("unknown")).role in ("optimizer_slot", "ema")
        and marks[attribute.key].slot_of is None
    }
    if not unresolved:
        return
    own = set(unresolved.values())
    by_name: dict[str, list[str]] = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            if attribute.full_name and attribute.key not in own:
                by_name.setdefault(attribute.full_name, []).append(attribute.key)
    for full_name, key in unresolved.items():
        parts = full_name.split("/")
        for start in range(
            1, len(parts)
        ):  # "m/dense/kernel", or "Adam/m/dense/kernel" where fit() made it
            candidates = by_name.get("/".join(parts[start:]), [])
            if len(candidates) == 1:
                slot_name = marks[key].slot_name or parts[start - 1]
                marks[key] = replace(marks[key], slot_of=candidates[0], slot_name=slot_name)
                break


def _plain_role(
    key: str,
    path: str,
    full_name: str | None,
    entry: TensorEntry,
    graph: ObjectGraph,
    node: ObjectNode | None,
) -> Role:
    """The role of a variable that no optimizer claims."""
    if (
        key == OBJECT_GRAPH_KEY
        or path in ("save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH")
        or path.endswith("/save_counter")
    ):
        return "bookkeeping"
    if entry.dtype is VARIANT:
        return "iterator"
    name = path.rpartition("/")[2]
    if _RNG_NAME.search(path) or (full_name and _RNG_NAME.search(full_name)):
        return "rng"
    if name in _LOSS_SCALE or "/loss_scale/" in f"/{path}/":
        return "loss_scale"
    if _METRIC_PATH.search(path) or (node is not None and _is_metric(graph, node)):
        return "metric"
    if _EMA_NAME.search(path) or (
        full_name and _EMA_NAME.search(full_name) and "moving_" not in full_name.rpartition("/")[2]
    ):
        return "ema"
    if _ACCUMULATOR.search(path):
        return "optimizer_slot"
    if _OPTIMIZER_PATH.search(path):  # an optimizer that somebody wrote
        return (
            "optimizer_hyper"
            if name in _HYPER
            else "counter"
            if entry.dtype.is_integer and not entry.shape
            else "optimizer_slot"
        )
    if entry.dtype.is_integer and not entry.shape:
        return (
            "counter"
            if "/" not in path or _is_step_like(name) or not _in_layer(graph, node)
            else "weight"
        )
    if (
        entry.dtype.is_floating
        or entry.dtype.name.startswith(("complex", "q"))
        or entry.dtype.is_integer
        or entry.dtype.name == "bool"
    ):
        return "weight" if entry.dtype.is_floating or _in_layer(graph, node) else "unknown"
    return "unknown"


def _is_step_like(name: str) -> bool:
    return name.endswith(
        ("step", "steps", "counter", "iteration", "iterations", "epoch", "epochs", "batch")
    )


def _is_metric(graph: ObjectGraph, node: ObjectNode) -> bool:
    """Keras metrics keep ``total`` and ``count``, and are reached under a name that no layer
    has.
    """
    for parent, name in graph.edges_to(node.node_id):
        names = {edge for edge, _ in parent.children}
        if name in (
            "total",
            "count",
            "true_positives",
            "false_positives",
            "true_negatives",
            "false_negatives",
        ) and names & {"total", "true_positives", "false_positives"}:
            return True
    return False


def _in_layer(graph: ObjectGraph, node: ObjectNode | None) -> bool:
    """A floating-point variable lies beside it, so its owner is a layer or module."""
    if node is None:
        return False
    return any(
        len(parent.children) > 1 and parent.node_id != 0
        for parent, _ in graph.edges_to(node.node_id)
    )


# ------------------------------------------------------------ name-based


def _name_based(checkpoint: Checkpoint, meta: MetaGraph | None) -> Iterator[Variable]:
    slots: dict[str, tuple[str, str]] = {}
    for update in meta.optimizer_ops if meta is not None else ():
        for slot in update.slots:
            owner = re.sub(r"/part_\d+", "", update.variable)
            name = re.sub(r"/part_\d+", "", slot)
            if not _POWERS.search(slot):
                slots[name] = (owner, name.rpartition("/")[2])
    for key, entry in checkpoint.entries.items():
        yield _named_variable(key, entry, checkpoint, slots, meta)


def _named_variable(
    key: str,
    entry: TensorEntry,
    checkpoint: Checkpoint,
    slots: Mapping[str, tuple[str, str]],
    meta: MetaGraph | None,
) -> Variable:
    def made(role: Role, slot_of: str | None = None, slot_name: str | None = None) -> Variable:
        return Variable(key, None, key, entry, role, slot_of, slot_name)

    if entry.dtype is VARIANT:
        return made("iterator")
    if key in slots and slots[key][0] in checkpoint.entries:
        return made("optimizer_slot", *slots[key])
    if meta is not None and key in meta.trainable:
        return made("weight")
    if key.endswith("/ExponentialMovingAverage"):
        return made("ema")
    owner, _, name = key.rpartition("/")
    if owner in checkpoint.entries and (
        name in _SLOT_NAMES or _NUMBERED.sub("", name) in _SLOT_NAMES
    ):
        return made("optimizer_slot", owner, name)
    if _POWERS.search(key):
        return made("optimizer_slot")
    if name in _LOSS_SCALE or _LOSS_SCALE_NAME.search(key):
        return made("loss_scale")
    if _RNG_NAME.search(key):
        return made("rng")
    if entry.dtype.is_integer and not entry.shape:
        return made("counter")
    if name in ("learning_rate", "lr"):
        return made("optimizer_hyper")
    if _ACCUMULATOR.search(key) and not (meta is not None and key in meta.trainable):
        return made("optimizer_slot")
    if _METRIC_PATH.search(key):
        return made("metric")
    return made(
        "weight"
        if entry.dtype.is_floating or entry.dtype.name.startswith(("complex", "q"))
        else "unknown"
    )
