"""Steps and updates: who counted them, and whom to believe.

A variable called ``step`` is a claim. The optimizers' iterations, TF1's beta powers, slots that are
not zero any more, the neighbours of the checkpoint, the stored graph and the run record are heard
beside it. Contract section 6 says who wins.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Checkpoint, TensorEntry
from ckptscope.checkpoint.roles import Inventory, Variable
from ckptscope.checkpoint.run_record import RunRecord
from ckptscope.errors import CkptscopeError
from ckptscope.resume.facts import STEP_NAMES, StepFact, UpdateFact, Witness
from ckptscope.resume.neighbours import Neighbour

_POWER = re.compile(r"(^|/)beta([12])_power(_\d+)?$")
_OPTIMIZER_COUNTER = re.compile(r"(^|/)\w*optimizer\w*/(global_step|iter|iterations)$", re.I)
# Slots that every optimizer starts at zero, so that another value shows an update.
_ZERO_AT_FIRST = frozenset(
    """
    m v vhat momentum momentums velocity velocities mom Momentum Adam Adam_1 AdamW AdamW_1 AdaMax
    AdaMax_1 LAMB LAMB_1 Adadelta Adadelta_1 RMSProp_1 adam_m adam_v u momentum_cache
    velocity_hats mg gradient_average
    """.split()
)
# So much of the slots is read to see whether they are all zero.
_SLOTS_LOOKED_AT = 64
_ELEMENTS_LOOKED_AT = 4096
_FIRST_LOOK = 64
# Powers of so many optimizers are followed; multiplying out a tiny one takes a quarter of a second.
_MOST_POWERS = 16
_USUAL_BETA2 = (0.999, 0.99, 0.98, 0.95, 0.9999, 0.9, 0.995, 0.998, 0.997)
_FLOAT32 = struct.Struct("<f")
_LEAST_NORMAL = 2.0**-126  # smaller ones are rounded more coarsely, or flushed to zero


def updates_of(
    checkpoint: Checkpoint,
    inventory: Inventory,
    counters: Mapping[str, int],
    broken: frozenset[str | None],
) -> UpdateFact:
    """How many updates the stored optimizers have made, as far as anybody tells."""
    counts = tuple(_iterations(inventory, counters))
    moved, all_zero = _slots(checkpoint, inventory, broken)
    powers = None if checkpoint.graph is not None else _powers(checkpoint, broken)
    zero = bool(counts) and not any(witness.value for witness in counts)
    return UpdateFact(counts, powers, moved, idle=zero and all_zero)


def _iterations(inventory: Inventory, counters: Mapping[str, int]) -> Iterator[Witness]:
    paths = {variable.key: variable.object_path or variable.key for variable in inventory.variables}
    told = set()
    inner = [optimizer for optimizer in inventory.optimizers if optimizer.wraps is None]
    for optimizer in inner or inventory.optimizers:
        path = paths.get(optimizer.iterations or "", "")
        if path in counters and path not in told:
            told.add(path)
            yield Witness(path, counters[path], optimizer.iterations)
    for path, value in counters.items():
        if _OPTIMIZER_COUNTER.search(path) and path not in told and "/" in path:
            told.add(path)
            yield Witness(path, value, next((k for k, p in paths.items() if p == path), path))


def _slots(
    checkpoint: Checkpoint, inventory: Inventory, broken: frozenset[str | None]
) -> tuple[str | None, bool]:
    """(key of a slot that has moved, all slots are zero as far as they were read)."""
    slots = [v for v in inventory.of_role("optimizer_slot") if v.slot_name or v.slot_of]
    all_zero = len(slots) <= _SLOTS_LOOKED_AT
    for variable in slots[:_SLOTS_LOOKED_AT]:
        if variable.key in broken or not variable.entry.dtype.is_floating:
            all_zero = False
            continue
        try:
            values = checkpoint.values(variable.key, _FIRST_LOOK)
            if not any(values) and variable.entry.num_elements > _FIRST_LOOK:
                values = checkpoint.values(variable.key, _ELEMENTS_LOOKED_AT)
        except (CkptscopeError, ValueError, OSError):
            all_zero = False
            continue
        if any(values):
            if _starts_at_zero(variable):
                return variable.key, False
            all_zero = False
        elif len(values) < variable.entry.num_elements:
            all_zero = False
    return None, all_zero


def _starts_at_zero(variable: Variable) -> bool:
    name = (variable.slot_name or "").rpartition("/")[2]
    return name in _ZERO_AT_FIRST or re.sub(r"_\d+$", "", name) in ("Momentum", "Adam", "AdaMax")


def _powers(checkpoint: Checkpoint, broken: frozenset[str | None]) -> Witness | None:
    """Updates that TF1's Adam has made: its powers are beta ** (updates + 1)."""
    found: dict[str, dict[str, tuple[str, float]]] = {}
    for key, entry in checkpoint.entries.items():
        match = _POWER.search(key)
        if match is None or entry.shape or not entry.dtype.is_floating or key in broken:
            continue
        try:
            (value,) = checkpoint.values(key, 1)
        except (CkptscopeError, ValueError, OSError):
            continue
        group = key[: match.start()] + (match[3] or "")
        found.setdefault(group, {})[match[2]] = (key, float(value))
    counts = [
        Witness(pair["1"][0], made, pair["1"][0])
        for pair in islice(found.values(), _MOST_POWERS)
        if len(pair) == 2 and (made := updates_by_powers(pair["1"][1], pair["2"][1])) is not None
    ]
    return max(counts, key=lambda witness: witness.value or 0, default=None)


def updates_by_powers(first: float, second: float) -> int | None:
    """Updates after which both float32 powers come from usual betas; None where they do not tell.

    The multiplications are made again as TensorFlow makes them, and both results must be equal to
    the last bit. Where several betas give both powers, they do not tell.
    Source: tensorflow/python/training/adam.py: ``beta_power *= beta`` after each update.
    """
    if not (_LEAST_NORMAL <= first < 1 and _LEAST_NORMAL <= second < 1):
        return None
    found = set()
    for beta in _USUAL_BETA2:
        updates = _multiplications(beta, second)
        if updates is None:
            continue
        root = round(first ** (1 / (updates + 1)), 3)
        if 0 < root < 1 and _multiplications(root, first) == updates:
            found.add(updates)
    return found.pop() if len(found) == 1 else None


def _multiplications(beta: float, power: float) -> int | None:
    """How often beta was multiplied by itself in float32 to give that power; None if never."""
    factor = value = _float32(beta)
    made = 0
    while value > power:
        # A product of two float32 is exact in float64, so it is rounded once, as by TensorFlow.
        value = _float32(value * factor)
        made += 1
    return made if value == power else None


def _float32(value: float) -> float:
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return rounded


@dataclass(frozen=True, slots=True)
class StepSources:
    """Who can tell the step: everything but the updates.

    Attributes:
        counters: integer scalars by path.
        keys: the key of each path.
        number: the number in the file's name.
    """

    counters: Mapping[str, int]
    keys: Mapping[str, str]
    meta: MetaGraph | None = None
    neighbours: tuple[Neighbour, ...] = ()
    number: int | None = None
    record: RunRecord | None = None


def step_of(sources: StepSources, updates: UpdateFact) -> StepFact:
    """The run's step: its own counter unless refuted, else what may stand in for it."""
    own = dict(_own(sources))
    unset = next((key for key, value in own.items() if value == -1), None)
    if not own:
        found = _stand_in(sources, updates)
        return replace(found, unproven=() if found.value is not None else found.unproven)
    own = {key: value for key, value in own.items() if value != -1}
    if not own:
        return StepFact(unset=unset)  # iterations stand in for an absent counter only
    chosen = _chosen(own, updates)
    if chosen is None:
        return StepFact(None, next(iter(own)), "own", own, "contradicted", unset=unset)
    key, value = chosen
    by = _refuted_by(key, value, sources, updates)
    if by is not None:
        return _instead(sources, key, value, by)
    agreed = value in updates.values or value == sources.number
    start = _start(value, updates)
    return StepFact(
        value, key, "own", own, "agreed" if agreed else "alone", unset=unset, starts_at=start
    )


def _own(sources: StepSources) -> Iterator[tuple[str, int]]:
    """Counters that claim to be the run's step, by key."""
    counters, meta = sources.counters, sources.meta
    if meta is not None and meta.global_step is not None:
        name = meta.key_of(meta.global_step) or meta.global_step  # a Saver may have renamed it
        if name in counters:
            yield sources.keys.get(name, name), counters[name]
            return
    for name in STEP_NAMES:
        if name in counters:
            yield sources.keys.get(name, name), counters[name]


def _chosen(own: Mapping[str, int], updates: UpdateFact) -> tuple[str, int] | None:
    """The only value, or the one that an optimizer confirms; None where they differ."""
    if len(set(own.values())) == 1:
        return next(iter(own.items()))
    confirmed = [(key, value) for key, value in own.items() if value in updates.values]
    return confirmed[0] if len({value for _, value in confirmed}) == 1 else None


def _refuted_by(key: str, value: int, sources: StepSources, updates: UpdateFact) -> Witness | None:
    """Who shows that the counter is not the run's step."""
    most = updates.most
    made = (most.value or 0) if most is not None else 0
    if (value == 0 and made > 0) or (value == 1 and made >= 2):
        return most
    if value == 0 and updates.moved_slot is not None:
        return Witness("a slot that is not zero any more", None, updates.moved_slot)
    for neighbour in sources.neighbours:
        if neighbour.counters.get(key) != value:
            continue
        for witness in updates.counts:
            before = neighbour.counters.get(witness.key or "")
            if before is not None and witness.value is not None and before != witness.value:
                return replace(
                    witness, name=f"{witness.name}, which was {before:,} in {neighbour.name}"
                )
    return None


def _instead(sources: StepSources, key: str, value: int, by: Witness) -> StepFact:
    """A refuted counter: only the run record, or another counter of the graph, stands in for it."""
    refuted = Witness(key.partition("/.ATTRIBUTES/")[0], value, key)
    candidates = {key: value}
    if sources.record is not None and sources.record.step > 0:
        return StepFact(sources.record.step, None, "run_record", candidates, "alone", refuted, by)
    for name in _raised(sources.meta):
        counted = sources.counters.get(name)
        if counted and sources.keys.get(name, name) != key:
            return StepFact(
                counted, sources.keys.get(name, name), "graph", candidates, "alone", refuted, by
            )
    return StepFact(None, key, None, candidates, "contradicted", refuted, by)


def _raised(meta: MetaGraph | None) -> tuple[str, ...]:
    """Keys of the counters that the graph raises by one."""
    if meta is None:
        return ()
    return tuple(meta.key_of(name) or name for name in meta.raised_counters)


def _start(value: int, updates: UpdateFact) -> int:
    """What the counter was before the first update, where one optimizer counts one less."""
    made = updates.made
    return value - made if made and len(updates.counts) == 1 and value - made == 1 else 0


def _stand_in(sources: StepSources, updates: UpdateFact) -> StepFact:
    """No counter claims to be the step: one that names and neighbours confirm, else updates."""
    unproven = tuple(_unproven(sources))
    for witness in unproven:
        if _is_confirmed(witness, sources):
            key = witness.key or witness.name
            return StepFact(witness.value, key, "own", {key: witness.value or 0}, "agreed")
    counts = {witness.key or witness.name: witness.value or 0 for witness in updates.counts}
    values = set(counts.values())
    if len(values) == 1:
        key = next(iter(counts))
        return StepFact(values.pop(), key, "optimizer", counts, "alone", unproven=unproven)
    return StepFact(
        None, None, "optimizer" if counts else None, counts, "unknown", unproven=unproven
    )


def _unproven(sources: StepSources) -> Iterator[Witness]:
    """Counters of the program that may be its step, whatever they are called."""
    raised = _raised(sources.meta)
    for path, value in sources.counters.items():
        name = path.rpartition("/")[2]
        if name in ("save_counter", "ckpt_saved_epoch", "ckpt_saved_batch") or value <= 0:
            continue
        is_number = sources.number is not None and value == sources.number and sources.number > 1
        if is_number or path in raised:
            yield Witness(path, value, sources.keys.get(path, path))


def _is_confirmed(witness: Witness, sources: StepSources) -> bool:
    """Raised by the graph and the number of the file, or the number in a neighbour, too."""
    if witness.value != sources.number:
        return False
    if witness.name in _raised(sources.meta):
        return True
    return any(
        neighbour.number is not None
        and neighbour.counters.get(witness.key or "") == neighbour.number
        for neighbour in sources.neighbours
    )


def counter_values(
    checkpoint: Checkpoint, variables: Iterable[Variable], broken: frozenset[str | None]
) -> dict[str, int]:
    """Integer scalars by object path or name."""
    found: dict[str, int] = {}
    for variable in variables:
        entry: TensorEntry = variable.entry
        if not entry.dtype.is_integer or entry.shape or variable.key in broken:
            continue
        try:
            (value,) = checkpoint.values(variable.key, 1)
        except (CkptscopeError, ValueError):
            continue
        found[variable.object_path or variable.key] = int(value)
    return found
