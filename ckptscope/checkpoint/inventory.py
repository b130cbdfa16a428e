"""What a checkpoint's variables are for: records, and what follows from all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from ckptscope.checkpoint.model import TensorEntry
from ckptscope.checkpoint.object_keys import ObjectKey
from ckptscope.checkpoint.optimizers import POWERS, SLOT_SETS, UNEVEN_SLOTS

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
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Variable:
    """One stored tensor with its meaning.

    Attributes:
        object_path: path of its object in the saved program; None for name-based checkpoints.
        full_name: the variable's own name, where stored.
        slot_of: key of the variable that an optimizer slot belongs to.
        slot_name: which slot.
        is_statistic: a weight that training follows but no optimizer trains (moving averages of
            a normalisation).
        is_trained: an optimizer of the stored graph updates it; None without such a graph.
    """

    key: str
    object_path: str | None
    full_name: str | None
    entry: TensorEntry
    role: Role
    slot_of: str | None = None
    slot_name: str | None = None
    is_statistic: bool = False
    is_trained: bool | None = None


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
    """All variables with their roles, and the optimizers among the objects.

    ``orphan_slots``: names of variables that are not stored although slots of theirs are.
    """

    variables: tuple[Variable, ...]
    optimizers: tuple[Optimizer, ...]
    orphan_slots: tuple[str, ...] = ()

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
    def true_slots(self) -> tuple[Variable, ...]:
        """Slots tied to a variable or to an optimizer object: not sums of gradients, not powers."""
        return tuple(
            variable
            for variable in self.of_role("optimizer_slot")
            if variable.slot_of is not None
            or (
                not POWERS.search(variable.object_path or variable.key)
                and (variable.slot_name is not None or self.owner_of_slot(variable.key))
            )
        )

    @cached_property
    def gradient_sums(self) -> tuple[Variable, ...]:
        """Sums of gradients and the like: kept as slots are, and tied to no weight or optimizer."""
        tied = {variable.key for variable in self.true_slots}
        return tuple(
            variable
            for variable in self.of_role("optimizer_slot")
            if variable.key not in tied and not POWERS.search(variable.object_path or variable.key)
        )

    @cached_property
    def weights_without_slots(self) -> tuple[Variable, ...]:
        """Weights that have no slot although others have, statistics aside."""
        owned = {variable.slot_of for variable in self.true_slots if variable.slot_of is not None}
        if not owned:
            return ()
        return tuple(
            variable
            for variable in self.of_role("weight")
            if variable.key not in owned
            and not variable.is_statistic
            and variable.entry.dtype.is_floating
        )

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
                owner = self.owner_of_slot(variable.key)
                have.setdefault((owner, variable.slot_of), set()).add(variable.slot_name)
                names.setdefault(owner, set()).add(variable.slot_name)
        uneven = {owner for owner, slots in names.items() if slots & UNEVEN_SLOTS}
        gaps = []
        for (owner, target), slots in have.items():
            # Without an object graph slots of several optimizers cannot be told apart: only sets
            # are certain.
            together = {name for group in SLOT_SETS if slots & set(group) for name in group}
            wanted = together | (names.get(owner, set()) if owner else set())
            if owner not in uneven and wanted - slots:
                gaps.append((target, tuple(sorted(wanted - slots))))
        return tuple(gaps)

    def owner_of_slot(self, key: str) -> str:
        """Object path of the optimizer that a slot belongs to; empty for name-based checkpoints."""
        optimizer = ObjectKey.parse(key).optimizer
        if optimizer is not None:
            return optimizer
        return next(
            (path for path in self._optimizer_paths if path and key.startswith(f"{path}/")), ""
        )

    @cached_property
    def _optimizer_paths(self) -> tuple[str, ...]:
        return tuple(item.path for item in self.optimizers)
