"""What each optimizer keeps: its slots under all their names, and the ops that update with it.

One entry for each optimizer, from which every list about optimizers is made. Sources:
tensorflow/python/training/*.py and contrib/opt (TF1 slots are named after the optimizer, the next
ones with ``_1``, ``_2``); keras/optimizers/optimizer_v2 (slots of the object graph);
keras/src/optimizers (lists of variables); tensorflow/core/ops/training_ops.cc (inputs of ops)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of an optimizer.

    Attributes:
        name: as Keras 2 and TF2's slot variables call it; one word for what releases call
            differently.
        lists: attribute names of the lists that Keras 2.11 and later keep.
        is_optional: only with some settings (centered, amsgrad, momentum).
    """

    name: str
    lists: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class UpdateOp:
    """An op that updates one variable; the first input is the variable.

    Attributes:
        slots: inputs that are slots.
        rate: input that is the learning rate; ``sparse_rate`` where the sparse op has another.
    """

    name: str
    slots: tuple[int, ...]
    rate: int
    sparse_rate: int | None = None


@dataclass(frozen=True, slots=True)
class OptimizerRow:
    """One optimizer.

    Attributes:
        title: the field's name.
        tf1: names that TF1 optimizers give their slots; a slot's number follows as ``_1``.
        tf1_slots: the same where they are not numbered (BERT's ``adam_m``).
        slots: in the order in which TF1 numbers them.
        hyper: hyper-parameters that are stored by name.
        updates: ops of a graph.
        keeps_powers: TF1 keeps ``beta1_power`` and the like as variables.
        powers: those.
        is_uneven: matrices have other slots than vectors.
    """

    title: str
    tf1: tuple[str, ...] = ()
    tf1_slots: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()
    hyper: tuple[str, ...] = ()
    updates: tuple[UpdateOp, ...] = ()
    powers: tuple[str, ...] = ()
    is_uneven: bool = False

    @property
    def is_stateless(self) -> bool:
        """It keeps nothing for its variables, whatever its settings."""
        return not self.slots

    @property
    def keeps_powers(self) -> bool:
        """TF1 keeps the powers of its betas as variables."""
        return bool(self.powers)

    @property
    def tf1_names(self) -> tuple[tuple[str, ...], ...]:
        """For each TF1 name the names of its slots: ``(Adam, Adam_1)``."""
        numbered = tuple(
            tuple(name if index == 0 else f"{name}_{index}" for index in range(len(self.slots)))
            for name in self.tf1
        )
        return (*numbered, self.tf1_slots) if self.tf1_slots else numbered


_M, _V = Slot("m", ("momentums",)), Slot("v", ("velocities",))
_BETAS = ("beta_1", "beta_2", "epsilon")
_ADAM_POWERS = ("beta1_power", "beta2_power")

# Where two rows share a name (Adam's and RMSprop's "velocities"), the first says what it means.
OPTIMIZERS = (
    OptimizerRow(
        "Adam",
        tf1=("Adam",),
        slots=(_M, _V, Slot("vhat", ("velocity_hats",), is_optional=True)),
        hyper=_BETAS,
        updates=(
            UpdateOp("ApplyAdam", (1, 2), 5),
            UpdateOp("ApplyAdamWithAmsgrad", (1, 2, 3), 6),
        ),
        powers=_ADAM_POWERS,
    ),
    OptimizerRow(
        "AdamW",
        tf1=("AdamW", "AdamWeightDecay", "AdamWeightDecayOptimizer"),
        tf1_slots=("adam_m", "adam_v"),
        slots=(_M, _V),
        hyper=("weight_decay", "weight_decay_rate"),
        powers=_ADAM_POWERS,
    ),
    OptimizerRow("LAMB", tf1=("LAMB", "LAMBOptimizer"), slots=(_M, _V)),
    OptimizerRow(
        "Adamax",
        tf1=("AdaMax", "Adamax"),
        slots=(Slot("m", ("m",)), Slot("v", ("u",))),
        updates=(UpdateOp("ApplyAdaMax", (1, 2), 4),),
        powers=("beta1_power",),
    ),
    OptimizerRow("Nadam", tf1=("Nadam",), slots=(_M, _V)),
    OptimizerRow(
        "SGD",
        tf1=("Momentum", "SGD"),
        slots=(Slot("momentum", ("momentums",), is_optional=True),),
        hyper=("momentum",),
        updates=(
            UpdateOp("ApplyMomentum", (1,), 2),
            UpdateOp("ApplyKerasMomentum", (1,), 2),
        ),
    ),
    OptimizerRow(
        "Gradient descent",
        tf1=("GradientDescent",),
        updates=(
            UpdateOp("ApplyGradientDescent", (), 1),
            UpdateOp("ApplyProximalGradientDescent", (), 1),
        ),
    ),
    OptimizerRow(
        "Adagrad",
        tf1=("Adagrad", "ProximalAdagrad"),
        slots=(Slot("accumulator", ("accumulators",)),),
        hyper=("initial_accumulator_value",),
        updates=(
            UpdateOp("ApplyAdagrad", (1,), 2),
            UpdateOp("ApplyAdagradV2", (1,), 2),
            UpdateOp("ApplyProximalAdagrad", (1,), 2),
        ),
    ),
    OptimizerRow(
        "AdagradDA",
        tf1=("AdagradDA",),
        slots=(Slot("gradient_accumulator"), Slot("gradient_squared_accumulator")),
        updates=(UpdateOp("ApplyAdagradDA", (1, 2), 4, 5),),
    ),
    OptimizerRow(
        "Adadelta",
        tf1=("Adadelta",),
        slots=(
            Slot("accum_grad", ("accumulated_grads",)),
            Slot("accum_var", ("accumulated_delta_vars",)),
        ),
        hyper=("rho",),
        updates=(UpdateOp("ApplyAdadelta", (1, 2), 3),),
    ),
    OptimizerRow(
        "RMSprop",
        tf1=("RMSProp", "RMSprop"),
        slots=(
            Slot("rms", ("velocities",)),
            Slot("momentum", ("momentums",)),
            Slot("mg", ("average_gradients",), is_optional=True),
        ),
        hyper=("rho", "momentum"),
        updates=(
            UpdateOp("ApplyRMSProp", (1, 2), 3),
            UpdateOp("ApplyCenteredRMSProp", (1, 2, 3), 4),
        ),
    ),
    OptimizerRow(
        "Ftrl",
        tf1=("Ftrl",),
        slots=(Slot("accumulator", ("accumulators",)), Slot("linear", ("linears",))),
        hyper=(
            "beta",
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
        ),
        updates=(
            UpdateOp("ApplyFtrl", (1, 2), 4, 5),
            UpdateOp("ApplyFtrlV2", (1, 2), 4, 5),
        ),
    ),
    OptimizerRow(
        "LARS", tf1=("LARSOptimizer", "LARS"), slots=(Slot("momentum", is_optional=True),)
    ),
    OptimizerRow(
        "AddSign",
        tf1=("AddSign",),
        slots=(Slot("m"),),
        updates=(UpdateOp("ApplyAddSign", (1,), 2),),
    ),
    OptimizerRow(
        "PowerSign",
        tf1=("PowerSign",),
        slots=(Slot("m"),),
        updates=(UpdateOp("ApplyPowerSign", (1,), 2),),
    ),
    OptimizerRow("Lion", slots=(_M,)),
    OptimizerRow(
        "Lookahead, moving average",
        slots=(Slot("slow", is_optional=True), Slot("average", is_optional=True)),
    ),
    OptimizerRow(
        "Adafactor",
        tf1=("Adafactor",),
        slots=(Slot("r", ("r",)), Slot("c", ("c",)), Slot("v", ("v",))),
        is_uneven=True,
    ),
    OptimizerRow(
        "Muon",
        slots=(
            Slot("momentum", ("momentums",)),
            Slot("adam_momentum", ("adam_momentums",)),
            Slot("adam_velocity", ("adam_velocities", "adam_velocity_hats")),
        ),
        is_uneven=True,
    ),
)

# ------------------------------------------------------------ lists made from the table

UPDATE_OPS = {update.name: update for row in OPTIMIZERS for update in row.updates}
# Updates of optimizers that keep nothing.
STATELESS_UPDATES = frozenset(
    update.name for row in OPTIMIZERS if row.is_stateless for update in row.updates
)
# Slots that come together: where one is stored, the others of its set are needed, too.
SLOT_SETS = tuple(
    names
    for row in OPTIMIZERS
    if not row.is_uneven
    for all_names in row.tf1_names
    if len(
        names := tuple(
            name for name, slot in zip(all_names, row.slots, strict=False) if not slot.is_optional
        )
    )
    > 1
)
# What optimizers keep beside their slots, by whatever name, in all releases.
HYPER = frozenset(
    (
        "learning_rate",
        "_learning_rate",
        "lr",
        "_lr",
        "_current_learning_rate",
        "decay",
        "initial_decay",
        *(name for row in OPTIMIZERS for name in row.hyper),
    )
)
RATES = frozenset(("learning_rate", "_learning_rate", "lr", "_lr"))
# Hyper-parameters whose optimizer always has slots once it has made an update.
NEEDS_SLOTS = frozenset(("beta_1", "beta_2", "rho"))
ITERATIONS = ("_iterations", "iterations", "iter", "_iteration")
# Lists of an optimizer that hold no slots.
NOT_SLOT_LISTS = frozenset(
    (
        "_variables",
        "_trainable_variables",
        "_trainable_variables_indices",
        "_index_dict",
        "_overwrite_variable_with_gradient",
    )
)
# Lists of an optimizer that hold averages of the weights.
AVERAGE_LISTS = ("_model_variables_moving_average", "_model_variable_moving_average")
POWERS = re.compile(r"(^|/)(beta[12]_power|beta_[12]_power)(_\d+)?$")


def _slot_names() -> Iterator[str]:
    for row in OPTIMIZERS:
        for names in row.tf1_names:
            yield from names
        yield from (slot.name for slot in row.slots)
        yield from row.tf1_slots


SLOT_NAMES = frozenset((*_slot_names(), "velocity"))


def _aliases() -> Iterator[tuple[str, str]]:
    for row in OPTIMIZERS:
        for slot in row.slots:
            yield slot.name, slot.name
    for row in OPTIMIZERS:
        for names in row.tf1_names:
            yield from (
                (name.lower(), slot.name) for name, slot in zip(names, row.slots, strict=False)
            )
        for slot in row.slots:
            yield from ((name, slot.name) for name in slot.lists)
    yield "velocity", "v"


_ALIASES = dict(reversed(list(_aliases())))
_EVEN_NAMES = {
    name
    for row in OPTIMIZERS
    if not row.is_uneven
    for slot in row.slots
    for name in (slot.name, *slot.lists)
}
# Slots that only some weights of an optimizer have.
UNEVEN_SLOTS = frozenset(
    name
    for row in OPTIMIZERS
    if row.is_uneven
    for slot in row.slots
    for name in (slot.name, *slot.lists)
    if name not in _EVEN_NAMES
)
_NUMBERED = re.compile(r"_\d+$")
# A TF1 optimizer may be given a name (``AdamG``), which is then that of its slots.
_NAMED_AFTER = re.compile(
    "|".join(sorted({name.lower() for row in OPTIMIZERS for name in row.tf1}, key=len)[::-1])
)


def canonical_slot(name: str) -> str:
    """One name for what releases call differently."""
    return _ALIASES.get(name.lower(), name.lower())


@lru_cache(maxsize=4096)
def is_slot_name(name: str) -> bool:
    """It is a slot's name in some release."""
    return name in SLOT_NAMES or _NUMBERED.sub("", name) in SLOT_NAMES


@lru_cache(maxsize=4096)
def sounds_like_slot(name: str) -> bool:
    """It is a slot's name, or an optimizer's own name with some addition: ``AdamG_1``."""
    return is_slot_name(name) or bool(_NAMED_AFTER.search(name.lower()))


def update_op(op: str) -> UpdateOp | None:
    """How a graph's update op is made, whether it takes resources or references, sparse or dense."""
    name = op.removeprefix("Resource")
    found = UPDATE_OPS.get(name.removeprefix("Sparse"))
    if found is None or not name.startswith("Sparse") or found.sparse_rate is None:
        return found
    return UpdateOp(name, found.slots, found.sparse_rate)
