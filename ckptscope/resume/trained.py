"""Which weights are trained, by what, and whether all that training needs is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ckptscope.checkpoint.discover import Location
from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Checkpoint, Damage
from ckptscope.checkpoint.optimizers import SLOT_NAMES
from ckptscope.checkpoint.roles import Inventory, Variable
from ckptscope.resume.beside import weights_elsewhere
from ckptscope.resume.facts import WeightFact
from ckptscope.resume.model import Component
from ckptscope.resume.neighbours import Neighbour

# What a layer trains; other names may be statistics that no gradient reaches.
_TRAINED_NAME = re.compile(r"(^|/)_?(kernel|bias|embeddings|weights|w|b|gamma|beta|filters)$")
_BOOKKEPT_BY_STEP = re.compile(r"(^|/)beta[12]_power(_\d+)?$")
_PARTITION = re.compile(r"/part_\d+")


def weights_of(
    checkpoint: Checkpoint,
    inventory: Inventory,
    meta: MetaGraph | None,
    neighbours: tuple[Neighbour, ...],
    location: Location,
) -> WeightFact:
    """Weights that no stored optimizer trains, and slots of weights that are not stored."""
    free = () if meta is not None and meta.optimizer_ops else inventory.weights_without_slots
    without = tuple(variable.key for variable in free)
    by_key = {variable.key: variable for variable in inventory.variables}
    changed, where = _first_change(without, by_key, neighbours)
    moved = frozenset[str]().union(*(neighbour.changed or () for neighbour in neighbours))
    if any(variable.slot_of in moved for variable in inventory.true_slots):
        # Others were trained between the checkpoints; what did not change then is frozen.
        without = tuple(key for key in without if key in moved)
    has_weights = bool(inventory.of_role("weight", "ema"))
    return WeightFact(
        without_slots=tuple(name_of(by_key[key]) for key in without),
        changed=tuple(name_of(by_key[key]) for key in changed),
        changed_in=where,
        owners_missing=tuple(inventory.orphan_slots),
        elsewhere=None if has_weights else weights_elsewhere(location),
    )


def _first_change(
    keys: Sequence[str], by_key: Mapping[str, Variable], neighbours: Sequence[Neighbour]
) -> tuple[tuple[str, ...], str | None]:
    """(keys of what a layer trains that differ in a neighbour, its name), the first that has any."""
    for neighbour in neighbours:
        differ = neighbour.changed or frozenset()
        found = tuple(
            key for key in keys if key in differ and _TRAINED_NAME.search(name_of(by_key[key]))
        )
        if found:
            return found, neighbour.name
    return (), None


def name_of(variable: Variable) -> str:
    """The variable as a person knows it."""
    return variable.full_name or variable.object_path or variable.key


def momentum_of(
    checkpoint: Checkpoint, inventory: Inventory, broken: frozenset[str | None]
) -> bool:
    """An optimizer has a momentum that is not zero: Keras 2 stores it as a hyper-parameter."""
    for optimizer in inventory.optimizers:
        key = f"{optimizer.path}/momentum/.ATTRIBUTES/VARIABLE_VALUE"
        stored = "momentum" in optimizer.hyper and key in checkpoint.entries and key not in broken
        if stored and checkpoint.values(key, 1) != [0.0]:
            return True
    return False


def adam_without_powers(checkpoint: Checkpoint, inventory: Inventory) -> bool:
    """TF1's Adam has slots here, and its powers are not stored."""
    if checkpoint.graph is not None:
        return False
    adam = any(
        re.fullmatch(r"Adam(_1)?", (variable.slot_name or "").rpartition("/")[2])
        for variable in inventory.of_role("optimizer_slot")
    )
    return adam and not any("beta1_power" in key for key in checkpoint.entries)


def graph_state_lost(checkpoint: Checkpoint, meta: MetaGraph | None) -> tuple[tuple[str, str], ...]:
    """(name, op) of variables and tables that the training op reads and changes, and that are
    neither stored nor in the list of what the Saver writes.
    """
    if meta is None or not meta.has_train_op:
        return ()
    stored = set(checkpoint.entries)
    listed: Mapping[str, str] = meta.saved or {}
    names = set(listed.values())
    lost = []
    for name in sorted(meta.state_read & meta.state_changed):
        whole = _PARTITION.sub("", name)
        op = meta.state_ops.get(name, "variable")
        if {name, whole} & (stored | names) or _BOOKKEPT_BY_STEP.search(name):
            continue
        if name in meta.variables or name == meta.global_step or _is_slot(name, meta):
            continue  # judged by name: weights, slots, the step
        if "Table" in op and any(name in key for key in stored):
            continue
        lost.append((name, op))
    return tuple(lost)


def unsaved_of_graph(
    checkpoint: Checkpoint,
    inventory: Inventory,
    meta: MetaGraph | None,
    damage: Sequence[Damage],
) -> dict[Component, tuple[str, ...]]:
    """Variables of the graph, beside the trainable ones, that are not stored, by what they are.

    Where the training op is known only those count that it reads and changes; what it does not read
    is not needed."""
    if meta is None or any(item.fatal for item in damage):
        return {}
    if not inventory.of_role("weight", "ema"):
        return {}
    slots = {_PARTITION.sub("", slot) for update in meta.optimizer_ops for slot in update.slots}
    rates = {name for update in meta.optimizer_ops for name in update.rate_from}
    found: dict[Component, list[str]] = {}
    for name in sorted(rates | (meta.variables - meta.trainable - slots)):
        if name in checkpoint.entries or (meta.key_of(name) or name) in checkpoint.entries:
            continue
        kind = _kind_of_unsaved(name, rates, meta)
        if kind is not None:
            found.setdefault(kind, []).append(name)
    return {kind: tuple(names) for kind, names in found.items()}


def _kind_of_unsaved(name: str, rates: set[str], meta: MetaGraph) -> Component | None:
    if name in rates:
        return "lr_schedule"
    if name == meta.global_step or _BOOKKEPT_BY_STEP.search(name) or _has_owner(name, meta):
        return None
    if meta.has_train_op and name not in meta.state_read & meta.state_changed:
        return None
    if "ExponentialMovingAverage" in name:
        return "ema"
    return "loss_scale" if "loss_scale" in name else "weights"


def _has_owner(name: str, meta: MetaGraph) -> bool:
    """A slot by its name: ``a/kernel/Adam`` beside ``a/kernel``."""
    owner, _, slot = name.rpartition("/")
    if slot == "ExponentialMovingAverage":
        return False
    return owner in meta.variables and re.sub(r"_\d+$", "", slot) in SLOT_NAMES


def _is_slot(name: str, meta: MetaGraph) -> bool:
    return any(name in update.slots for update in meta.optimizer_ops)
