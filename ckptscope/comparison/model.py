"""What a comparison of two checkpoints is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ckptscope.checkpoint.location import Remark
from ckptscope.checkpoint.roles import Role
from ckptscope.inspection import CheckpointInfo
from ckptscope.iterator.position import Position
from ckptscope.resume.model import EpochRange

if TYPE_CHECKING:
    import pandas

Kind = Literal["added", "removed", "renamed", "dtype", "shape", "value", "unreadable"]
# How they are listed: what cannot be compared first.
KINDS: tuple[Kind, ...] = ("unreadable", "removed", "added", "dtype", "shape", "renamed", "value")


@dataclass(frozen=True, slots=True)
class Rule:
    """When two elements count as equal.

    Attributes:
        rtol, atol: NumPy's tolerances; None where neither was given.
        equal_nan: NaN equals NaN; None where nothing was said.
        selected: which variables are compared, in words; empty if all are.
    """

    rtol: float | None = None
    atol: float | None = None
    equal_nan: bool | None = None
    selected: str = ""

    @property
    def is_exact(self) -> bool:
        """Bytes are compared, not numbers."""
        return self.rtol is None and self.atol is None and self.equal_nan is None

    @property
    def text(self) -> str:
        """The rule in words."""
        selected = f"; {self.selected}" if self.selected else ""
        if self.is_exact:
            return f"equal bytes (identical NaNs are equal, -0.0 differs from 0.0){selected}"
        nan = "NaN equals NaN" if self.equal_nan else "NaN differs from everything"
        tolerance = f"|a - b| <= {self.atol or 0:g} + {self.rtol or 0:g} * |b|, with b from B"
        return f"{tolerance}; {nan}{selected}"


@dataclass(frozen=True, slots=True)
class Measures:
    """How far two tensors of one shape are apart, in float64, over elements that are finite on both
    sides.

    Attributes:
        num_changed: elements that differ under the rule; None where it could not be counted.
        max_abs: max |b - a|.
        max_rel: max |b - a| / max(|a|, |b|), 0/0 counting as 0.
        rel_l2: ||b - a|| / ||a||; None where a is all zero.
        cosine: a.b / (||a|| ||b||); None where either is all zero. Of complex numbers its modulus.
    """

    num_elements: int
    num_changed: int | None
    max_abs: float | None = None
    max_rel: float | None = None
    rel_l2: float | None = None
    cosine: float | None = None
    num_nan_a: int | None = None
    num_nan_b: int | None = None
    num_inf_a: int | None = None
    num_inf_b: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One variable that is not the same.

    Attributes:
        key: in B; in A if it was removed.
        old_key: in A, where that differs.
        score: of a rename, 100 where the content is equal, else how alike the paths are in percent.
        dtype, shape: in B; in A if it was removed.
        old_dtype, old_shape: in A, where they differ.
        counts: it makes the checkpoints different; bookkeeping does not.
        problem: why it could not be read.
        full_name: the variable's own name, where it is stored.
        slot_of, slot_name: for optimizer slots.
    """

    kind: Kind
    key: str
    role: Role
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    old_key: str | None = None
    score: int | None = None
    old_dtype: str | None = None
    old_shape: tuple[int, ...] | None = None
    stats: Measures | None = None
    counts: bool = True
    problem: str | None = None
    full_name: str | None = None
    slot_of: str | None = None
    slot_name: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """All compared variables of one role.

    Attributes:
        num_by_checksum: of the equal ones, how many were not read.
        num_elements_changed: in those with a count.
        nbytes: compared, of B (of A for what was removed).
    """

    role: Role
    num_equal: int
    num_by_checksum: int
    counted: Mapping[Kind, int]
    num_elements: int
    num_elements_changed: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should look at. ``repeated`` and ``skipped`` are in examples."""

    code: str
    text: str
    repeated: tuple[EpochRange, ...] = ()
    skipped: tuple[EpochRange, ...] = ()


@dataclass(frozen=True, slots=True)
class StateChange:
    """One part of the training state, in words; ``changed`` is False where it stayed as it was."""

    component: str
    name: str
    changed: bool
    old: str | None
    new: str | None
    text: str


@dataclass(frozen=True, slots=True)
class StageChange:
    """One stage of a pipeline in both states.

    Attributes:
        path: its normalised name.
        kind: ``same``, ``moved``, ``added`` or ``removed``.
        held: elements in its buffers, A and B.
        more_read: elements that it read from its input between the two; None where not known.
        text: what happened, in words.
    """

    path: str
    title: str
    kind: Literal["same", "moved", "added", "removed"]
    held: tuple[int | None, int | None]
    more_read: int | None
    text: str


@dataclass(frozen=True, slots=True)
class IteratorChange:
    """One iterator in both checkpoints.

    Attributes:
        same: at the same place, with the same next elements; shown, not guessed.
        why: what shows it, or why it differs.
        batches_delta, examples_delta, epochs_delta: how far it moved; None where not known.
    """

    key: str
    old_key: str | None
    kind: Literal["same", "moved", "added", "removed", "undecoded"]
    same: bool
    why: str
    batches_delta: int | None = None
    examples_delta: int | None = None
    epochs_delta: int | None = None
    stages: tuple[StageChange, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceMove:
    """How far reading went in one source of the data, reading ahead included."""

    op: str
    file: str | None
    old_record: int | None
    new_record: int | None
    records_delta: int | None
    bytes_delta: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The answer: are they the same, how far did training and data move, is anything alarming.

    Attributes:
        verdicts: of A and B, each on its own.
        epochs_delta: whole epochs between the two positions.
    """

    same: bool
    step_delta: int | None
    batches_delta: int | None
    examples_delta: int | None
    epochs_delta: int | None
    sources: tuple[SourceMove, ...]
    verdicts: tuple[str, str]
    alarms: tuple[Alarm, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckpointDiff:
    """Everything that is said of two checkpoints.

    Attributes:
        positions: in the data, of A and B, each on its own account; None where it is not stored.
        changes: in the order of B's keys.
        equal_keys: of variables without a change.
        groups: totals by role, bookkeeping last.
        training: parts of the training state, also those that stayed as they were.
        notes: what limits the comparison, in words.
        remarks: what a person should know of the directories; not part of the JSON.
        num_left_out: variables that a pattern kept from being compared.
    """

    a: CheckpointInfo
    b: CheckpointInfo
    rule: Rule
    summary: Summary
    positions: tuple[Position | None, Position | None]
    changes: tuple[Change, ...]
    equal_keys: tuple[str, ...]
    groups: tuple[Group, ...]
    training: tuple[StateChange, ...]
    iterators: tuple[IteratorChange, ...]
    notes: tuple[str, ...]
    num_left_out: int = 0
    remarks: tuple[Remark, ...] = ()

    def to_json(self) -> str:
        """The contract's JSON object, as text."""
        from ckptscope.render.diff_json import diff_pieces

        return "".join(diff_pieces(self))

    def to_frame(self) -> pandas.DataFrame:
        """One row for each change."""
        from ckptscope.render.frames import diff_frame

        return diff_frame(self)

    def _repr_html_(self) -> str:
        from ckptscope.render.notebook import diff_html

        return diff_html(self)
