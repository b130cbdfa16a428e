"""Roles in name-based checkpoints: by the stored graph, then by names and shapes.

Savers store slots under the names that slot creators give: after the variable
(tensorflow/python/training/slot_creator.py), with the scope of the optimizer before it where that
was made inside one, and for partitioned variables with what is left of the part's name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ckptscope.checkpoint import role_words as words
from ckptscope.checkpoint.graph_updates import whole_name
from ckptscope.checkpoint.inventory import Inventory, Role, Variable
from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Checkpoint, TensorEntry
from ckptscope.checkpoint.optimizers import (
    HYPER,
    POWERS,
    RATES,
    SLOT_NAMES,
    is_slot_name,
    sounds_like_slot,
)
from ckptscope.checkpoint.roles_of_objects import without_false_copies
from ckptscope.formats.dtypes import STRING, VARIANT

_AVERAGE, _POWER = "/ExponentialMovingAverage", "_power"
_NUMBERED = re.compile(r"_\d+$")
_DIGITS = re.compile(r"\d+$")
# The scope that Keras and contrib's optimize_loss put their own variables in.
_OPTIMIZER_SCOPE = re.compile(
    r"(^|/)(training(_\d+)?|OptimizeLoss)/(\w*(Adam|SGD|RMSprop|Adagrad|Adadelta|Adamax|Ftrl)\w*/)?",
    re.IGNORECASE,
)
_NO_SLOTS = frozenset(("mask", "kernel", "bias", "weights", "biases", "target", "old"))


@dataclass(frozen=True, slots=True)
class _Tie:
    owner: str
    slot_name: str


@dataclass(slots=True)
class _Known:
    """What the stored graph and the names together show, before any single name is judged."""

    entries: Mapping[str, TensorEntry]
    meta: MetaGraph | None
    ties: dict[str, _Tie] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)
    roles: dict[str, Role] = field(default_factory=dict)
    orphans: dict[str, str] = field(default_factory=dict)  # slot -> variable that is not stored
    averages_of_stored: bool = False


def inventory_of_names(checkpoint: Checkpoint, meta: MetaGraph | None) -> Inventory:
    """Every variable of a name-based checkpoint with its role."""
    known = _Known(checkpoint.entries, meta)
    if meta is not None:
        _ask_graph(known, meta)
    _tie_by_name(known)
    known.averages_of_stored = any(
        key.endswith(_AVERAGE) and key.removesuffix(_AVERAGE) in known.entries
        for key in known.entries
    )
    trained = _trained(meta)
    variables = [
        _variable(key, entry, known, None if trained is None else key in trained)
        for key, entry in known.entries.items()
    ]
    named = {key for key in known.entries if key.endswith((_AVERAGE, _POWER))}
    certain = named.union(known.ties, known.roles, known.orphans)
    return Inventory(
        without_false_copies(variables, certain),
        (),
        tuple(dict.fromkeys(known.orphans.values())),
    )


def _variable(key: str, entry: TensorEntry, known: _Known, is_trained: bool | None) -> Variable:
    tie = known.ties.get(key)
    if tie is not None and key not in known.weights:
        return Variable(
            key, None, key, entry, "optimizer_slot", tie.owner, tie.slot_name, False, is_trained
        )
    if key in known.orphans:
        name = key.rpartition("/")[2]
        return Variable(key, None, key, entry, "optimizer_slot", None, name, False, is_trained)
    role: Role = "weight" if key in known.weights else _role(key, entry, known)
    statistic = role == "weight" and not is_trained and words.is_statistic(key)
    return Variable(key, None, key, entry, role, None, None, statistic, is_trained)


# ------------------------------------------------------------ by the stored graph


def _trained(meta: MetaGraph | None) -> set[str] | None:
    """Keys of what optimizers of the graph update; None if nothing is known to train."""
    if meta is None or not meta.has_train_op:
        return None
    names = {update.variable for update in meta.optimizer_ops}
    names |= {name for name in meta.state_changed if whole_name(name) in meta.trainable}
    return {key for name in names if (key := meta.key_of(name)) is not None}


def _ask_graph(known: _Known, meta: MetaGraph) -> None:
    for update in meta.optimizer_ops:
        owner = meta.key_of(update.variable)
        if owner is not None and owner in known.entries:
            known.weights.add(owner)
        for slot in update.slots:
            key = meta.key_of(slot)
            if key is None or key not in known.entries or POWERS.search(key):
                continue
            if owner is not None and owner in known.entries:
                known.ties[key] = _Tie(owner, key.rpartition("/")[2])
            else:
                known.orphans[key] = whole_name(update.variable)
    for key in known.entries:
        name = meta.name_of(key)
        if name is None:
            continue
        whole = whole_name(name)
        if whole in meta.trainable and key not in known.ties and key not in known.orphans:
            known.weights.add(key)
        elif (role := _role_in_graph(name, known.entries[key], meta)) is not None:
            known.roles[key] = role
    known.roles.update(
        (key, "optimizer_slot")
        for key in _kept_by_hand(known, meta)
        if key not in known.ties and key not in known.weights
    )


def _role_in_graph(name: str, entry: TensorEntry, meta: MetaGraph) -> Role | None:
    if name == meta.global_step:
        return "counter"
    if "Table" in meta.saved_ops.get(name, ""):
        return "bookkeeping"
    if any(name in update.rate_from for update in meta.optimizer_ops):
        return "optimizer_hyper" if entry.dtype.is_floating and not entry.shape else None
    return None


def _kept_by_hand(known: _Known, meta: MetaGraph) -> Iterator[str]:
    """Sums of gradients and traces: training changes them, they are not trainable, and what
    training assigns to weights without an optimizer's op comes from them.
    """
    by_ops = {update.variable for update in meta.optimizer_ops}
    by_hand = {
        name
        for name in meta.state_changed
        if whole_name(name) in meta.trainable and name not in by_ops
    }
    shapes = {meta.state_shapes.get(name) for name in by_hand}
    for name in meta.state_read & meta.state_changed:
        key = meta.key_of(name)
        if (
            whole_name(name) not in meta.trainable
            and name in meta.state_feeds
            and meta.state_shapes.get(name)
            and meta.state_shapes[name] in shapes
            and key is not None
            and key in known.entries
            and not words.is_statistic(key)
        ):
            yield key


# ------------------------------------------------------------ by names and shapes


def _tie_by_name(known: _Known) -> None:
    found: dict[str, _Tie] = {}
    for key in known.entries:
        if key not in known.ties and key not in known.weights:
            tie = _tie_of(key, known.entries)
            if tie is not None:
                found[key] = tie
    unnamed = Counter(
        tie.slot_name for tie in found.values() if not sounds_like_slot(tie.slot_name)
    )
    for key, tie in found.items():
        # A name that no optimizer is known by is a slot's if several variables have it.
        if sounds_like_slot(tie.slot_name) or unnamed[tie.slot_name] > 1:
            known.ties[key] = tie
    if known.meta is None:
        _find_orphans(known)
    # What has slots is trained, whatever its name.
    known.weights.update(tie.owner for tie in known.ties.values() if tie.owner not in known.ties)


def _tie_of(key: str, entries: Mapping[str, TensorEntry]) -> _Tie | None:
    """The stored variable that a key is a slot of by its name, of equal shape but for slots right
    below it with a slot's name (Adafactor's are vectors).
    """
    parent, _, name = key.rpartition("/")
    if not parent or f"/{name}" == _AVERAGE:
        return None
    if parent in entries and is_slot_name(name):
        return _Tie(parent, name)
    shape = entries[key].shape
    if not shape:
        return None
    direct = entries.get(parent)
    if direct is not None:
        if direct.shape != shape or name in _NO_SLOTS:
            return None
        return _Tie(parent, name)
    owner = _owner(parent, shape, entries) if sounds_like_slot(name) else None
    if owner is not None:
        return _Tie(owner, name)
    return _named_before(key, shape, entries)


def _owner(parent: str, shape: tuple[int, ...], entries: Mapping[str, TensorEntry]) -> str | None:
    """Without the optimizer's scope before it, and without what is left of a part's name behind it:
    ``dnn/dnn/a/kernel/part_0`` becomes ``dnn/a/kernel/t_0``.
    """
    parts = parent.split("/")
    for start in range(len(parts)):
        for end in range(len(parts), start, -1):
            name = "/".join(parts[start:end])
            found = entries.get(name)
            rest = _DIGITS.sub("0", "/".join(parts[end:]))
            if found is not None and found.shape == shape and f"{name}/part_0".endswith(rest):
                return name
    return None


def _named_before(
    key: str, shape: tuple[int, ...], entries: Mapping[str, TensorEntry]
) -> _Tie | None:
    """``Adam/m/dense/kernel``: optimizer and slot come before the variable."""
    parts = key.split("/")
    for start in range(2, len(parts)):
        if is_slot_name(parts[start - 1]) and sounds_like_slot(parts[start - 2]):
            owner = "/".join(parts[start:])
            if owner in entries and entries[owner].shape == shape:
                return _Tie(owner, parts[start - 1])
    return None


def _find_orphans(known: _Known) -> None:
    """Keys named as the slots of others are, whose own variable is not stored."""
    names = {
        tie.slot_name
        for key, tie in known.ties.items()
        if key == f"{tie.owner}/{tie.slot_name}" and tie.slot_name in SLOT_NAMES
    }
    for key in known.entries:
        owner, _, name = key.rpartition("/")
        if owner and name in names and key not in known.ties and known.entries[key].shape:
            known.orphans[key] = owner


# ------------------------------------------------------------ what nothing ties


def _role(key: str, entry: TensorEntry, known: _Known) -> Role:
    if entry.dtype is VARIANT:
        return "iterator"
    if key in known.roles:
        return known.roles[key]
    if key.endswith(_AVERAGE):
        return _role_of_average(key.removesuffix(_AVERAGE), entry, known)
    for is_so, role in _PLAIN_ROLES:
        if is_so(key, entry):
            return role
    return "unknown"


def _role_of_average(owner: str, entry: TensorEntry, known: _Known) -> Role:
    """An average of a value that is no variable watches the training."""
    if owner in known.entries:
        return "ema"
    if known.meta is not None and known.meta.variables:
        return "ema" if owner in known.meta.variables | known.meta.trainable else "metric"
    return "metric" if known.averages_of_stored or not entry.shape else "ema"


def _is_count(key: str, entry: TensorEntry) -> bool:
    return entry.dtype.is_integer and not entry.shape


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _is_rate(key: str, entry: TensorEntry) -> bool:
    if _last(key) in RATES:
        return True
    return _NUMBERED.sub("", _last(key)) in HYPER and bool(_OPTIMIZER_SCOPE.search(key))


def _is_number(key: str, entry: TensorEntry) -> bool:
    return entry.dtype.is_floating or entry.dtype.name.startswith(("complex", "q"))


# The first that fits says the role.
_PLAIN_ROLES: tuple[tuple[Callable[[str, TensorEntry], bool], Role], ...] = (
    (lambda key, entry: bool(POWERS.search(key)), "optimizer_slot"),
    (lambda key, entry: words.is_loss_scale(key), "loss_scale"),
    (lambda key, entry: words.is_generator(key), "rng"),
    (_is_count, "counter"),
    (_is_rate, "optimizer_hyper"),
    (lambda key, entry: bool(_OPTIMIZER_SCOPE.match(key)), "optimizer_slot"),
    (lambda key, entry: words.is_statistic(key), "weight"),
    (lambda key, entry: words.is_sum(key), "optimizer_slot"),
    (lambda key, entry: words.is_metric(key, not entry.shape), "metric"),
    (_is_number, "weight"),
    (lambda key, entry: words.is_table(key) or entry.dtype is STRING, "bookkeeping"),
)
