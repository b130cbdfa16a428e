"""What a recording is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ckptscope.recording.columns import Column

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the data, in the order in which it is read.

    Attributes:
        num_records: None where they were not counted.
        fingerprint: of its size, beginning and end.
    """

    path: str
    nbytes: int | None = None
    num_records: int | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Where the data stood when an attempt began.

    Attributes:
        batches, examples: that had left the iterator; None where not known.
        epoch, into: pass of the last of them, and how many of that pass.
        source: ``decoded`` from the iterator, ``counted`` (its state is that of the checkpoint),
            ``given`` by the program, ``fresh`` (a new iterator), ``decoded later`` (from the first
            checkpoint), ``parent`` (where the checkpoint of the parent was saved), or None.
        reason: why something is not known.
    """

    batches: int | None = None
    examples: int | None = None
    epoch: int | None = None
    into: int | None = None
    source: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One process of a run, as its header tells.

    Attributes:
        id: random, never used again.
        kind: ``train`` or ``eval``.
        host: name, and ``process`` its number among ``hosts``.
        restored_from: prefix of the checkpoint that it started from; None where it started anew, or
            that is not known.
        parent: attempt that wrote that checkpoint; ``parent_inferred``: found by step, not told.
        start: where the data stood.
        counting: ``stream``: batches are counted over the life of one iterator. ``epochs``: each
            epoch has an iterator of its own, and rows carry the epoch.
        batch_size: examples of a full batch.
        epoch_size: examples that one pass delivers.
        spans: batches run across the end of a pass (the repeat comes before the batch).
        drops: a short last batch is dropped.
        order: ``fixed``, or what makes it another: ``shuffled``, ``interleaved``; None where not
            known.
        held: elements that may lie between the reader and the trainer (shuffle buffer, open files),
            for ``order``.
        files: in reading order, where the order is that of the files.
        fed: ``fit``, ``loop`` or ``hook``; None in recordings of earlier versions.
        repeats: a ``repeat`` lies in the pipeline, so that one iterator goes on over its passes;
            without it an iterator ends with its pass.
        steps_per_epoch: batches of an epoch, as ``fit`` was told or saw it end.
        order_depends_on_epoch: another pass comes in another order; None where that is not known.
        seeded: its shuffles have seeds, so that a new process draws the same orders again, from the
            first on.
        continues: attempt of the same process that this one goes on from without a restart, as
            where ``fit`` is called again.
        closed: its end was written: no step is missing behind the last row.
    """

    id: str
    started_s: float
    kind: str = "train"
    host: str = ""
    process: int = 0
    hosts: int = 1
    restored_from: str | None = None
    restored_step: int | None = None
    parent: str | None = None
    parent_inferred: bool = False
    start: Start = field(default_factory=Start)
    counting: str = "stream"
    batch_size: int | None = None
    epoch_size: int | None = None
    spans: bool = False
    drops: bool | None = None
    order: str | None = None
    held: int | None = None
    files: tuple[SourceFile, ...] = ()
    fed: str | None = None
    repeats: bool | None = None
    steps_per_epoch: int | None = None
    order_depends_on_epoch: bool | None = None
    seeded: bool | None = None
    continues: str | None = None
    closed: bool = False
    tool_version: str = ""

    def to_jsonable(self) -> dict[str, Any]:
        """For the header event."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """A checkpoint that an attempt wrote.

    Attributes:
        sequence: rows written before it.
        decoded: the position that its iterator state implies; None where it holds none, ``problem``
            says why.
        disagreement: how counting and decoding differ, in words.
    """

    path: str
    step: int
    attempt: str
    sequence: int
    wall_time_s: float
    verdict: str | None = None
    decoded: Mapping[str, Any] | None = None
    problem: str | None = None
    disagreement: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Steps that could not be written down."""

    attempt: str
    first: int
    last: int
    reason: str


@dataclass(frozen=True)
class RecordedAttempt:
    """One attempt with all its rows.

    Attributes:
        columns: by name, one entry for each step in the order of writing; :data:`UNKNOWN` where not
            known.
        missing: rows that were written and could not be read, or never were.
        problems: what could not be read, in words.
        doubt: why its counts are not to be believed, though its rows are whole; None where nothing
            speaks against them.
    """

    attempt: Attempt
    columns: Mapping[str, Column]
    checkpoints: tuple[SavedCheckpoint, ...] = ()
    states: tuple[Mapping[str, Any], ...] = ()
    gaps: tuple[Gap, ...] = ()
    missing: int = 0
    problems: tuple[str, ...] = ()
    doubt: str | None = None

    @property
    def num_rows(self) -> int:
        """Rows that were recorded; a row may hold several steps."""
        return len(self.columns["step"])
