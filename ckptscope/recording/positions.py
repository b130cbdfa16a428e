"""Where the data stood after each recorded step, by counting from the start of its attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ckptscope.recording.columns import UNKNOWN, Column
from ckptscope.recording.model import Attempt, RecordedAttempt, Start

NO_EPOCH_SIZE = "the size of an epoch is not known"
SHORT_BATCHES = "a pass may end with a short batch, and its size is not known"
MISCOUNTED = "the recorder's count and the iterator's state disagree"


@dataclass(frozen=True)
class Positions:
    """Where the data stood after each recorded step, by counting; :data:`UNKNOWN` where it cannot
    be told.

    Attributes:
        step, batches, examples: the step, and what had left the iterator.
        epoch, into: pass of the last example consumed, and examples consumed of that pass.
        reason: why something is unknown.
    """

    step: Column
    batches: Column
    examples: Column
    epoch: Column
    into: Column
    reason: str | None


def positions_of(found: RecordedAttempt) -> Positions:
    """Positions by counting, from the start of the attempt."""
    columns = found.columns
    if found.doubt is not None:
        unknown = np.full(found.num_rows, UNKNOWN, np.int64)
        return Positions(columns["step"], unknown, unknown, unknown, unknown, found.doubt)
    told = _positions(
        found.attempt, columns["step"], columns["epoch"], columns["batches"], columns["examples"]
    )
    return _where_known(told, columns["batches"] != UNKNOWN)


def _where_known(told: Positions, known: np.ndarray[Any, np.dtype[np.bool_]]) -> Positions:
    """Nothing is told of rows whose batches were found to be miscounted."""
    if known.all():
        return told
    columns = {
        name: np.where(known, getattr(told, name), UNKNOWN)
        for name in ("batches", "examples", "epoch", "into")
    }
    return Positions(told.step, **columns, reason=told.reason or MISCOUNTED)


def _positions(
    attempt: Attempt, step: Column, epoch: Column, batches: Column, examples: Column
) -> Positions:
    unknown = np.full(len(step), UNKNOWN, np.int64)
    if attempt.counting == "epochs":
        return _by_epochs(attempt, step, epoch, batches, unknown)
    start, size = attempt.start, attempt.batch_size
    if start.batches is None:
        return Positions(
            step, batches, examples, unknown, unknown, start.reason or "the start is not known"
        )
    if len(step) and (examples != UNKNOWN).all():
        return _from_examples(attempt, step, batches, examples, unknown)
    if size is None:
        return Positions(step, batches, unknown, unknown, unknown, "the batch size is not known")
    made = batches - start.batches
    if attempt.epoch_size is None and attempt.repeats and not (attempt.spans or attempt.drops):
        return Positions(step, batches, unknown, unknown, unknown, SHORT_BATCHES)
    if attempt.spans or attempt.epoch_size is None:
        base = _begun(attempt, start.batches * size)
        return _from_examples(attempt, step, batches, base + made * size, unknown)
    per_pass, delivered = _pass_of(attempt, size, attempt.epoch_size)
    begun, place = _place_of(start, size, per_pass, delivered)
    passes, inside = _in_passes(made, begun, place, size, per_pass, delivered)
    return Positions(step, batches, passes * delivered + inside, passes, inside, None)


def _place_of(start: Start, size: int, per_pass: int, delivered: int) -> tuple[int, int]:
    """(epoch, examples of it) of a start; without its place in the pass as many batches from the
    first pass on as the iterator has given.
    """
    if start.epoch is not None and start.into is not None:
        return start.epoch, start.into
    given = start.batches or 0
    before = max(given - 1, 0)
    return before // per_pass, min((before % per_pass + 1) * size, delivered) if given else 0


def _in_passes(
    made: Column, epoch: int, into: int, size: int, per_pass: int, delivered: int
) -> tuple[Column, Column]:
    """(epoch, examples of it) after so many batches from a place, where batches end with a pass.

    The place need not lie at the end of a batch of this size."""
    rest = -(-max(0, delivered - into) // size)
    later = np.maximum(made - rest - 1, 0)
    inside = made <= rest
    return (
        np.where(inside, epoch, epoch + 1 + later // per_pass),
        np.minimum(np.where(inside, into + made * size, (later % per_pass + 1) * size), delivered),
    )


def _begun(attempt: Attempt, counted: int) -> int:
    """Examples of the stream at the start: by the place in its pass, where that is known. What a
    state decodes to may count examples that a pass drops.
    """
    start, size = attempt.start, delivered_by(attempt)
    if start.epoch is not None and start.into is not None and size:
        return start.epoch * size + start.into
    return start.examples if start.examples is not None else counted


def _pass_of(attempt: Attempt, size: int, epoch_size: int) -> tuple[int, int]:
    """(batches, examples) of a pass where batches end with it."""
    if attempt.drops:
        return max(1, epoch_size // size), max(1, epoch_size // size) * size
    return max(1, -(-epoch_size // size)), epoch_size


def delivered_by(attempt: Attempt) -> int | None:
    """Examples of a pass that reach the trainer: without the short batch at its end, where that
    is dropped.
    """
    size, batch = attempt.epoch_size, attempt.batch_size
    return (
        _pass_of(attempt, batch, size)[1]
        if size and batch and attempt.drops and not attempt.spans
        else size
    )


def _from_examples(
    attempt: Attempt, step: Column, batches: Column, examples: Column, unknown: Column
) -> Positions:
    size = delivered_by(attempt)
    if not size:
        return Positions(step, batches, examples, unknown, unknown, NO_EPOCH_SIZE)
    before = np.maximum(examples - 1, 0)
    into = before % size + 1
    into[examples == 0] = 0
    return Positions(step, batches, examples, before // size, into, None)


def _by_epochs(
    attempt: Attempt, step: Column, epoch: Column, batches: Column, unknown: Column
) -> Positions:
    size = attempt.batch_size
    if size is None:
        return Positions(step, batches, unknown, epoch, unknown, "the batch size is not known")
    into = batches * size
    if attempt.epoch_size is not None:
        _, delivered = _pass_of(attempt, size, attempt.epoch_size)
        into = np.minimum(into, delivered)
        return Positions(step, batches, epoch * delivered + into, epoch, into, None)
    return Positions(step, batches, unknown, epoch, into, None)


def place_counted(
    attempt: Attempt, epoch: int, batches: int, examples: int = UNKNOWN
) -> tuple[Place, str | None]:
    """(place, why something of it is not known) of one row of an attempt."""
    row = [np.array([value], np.int64) for value in (0, epoch, batches, examples)]
    told = _positions(attempt, *row)
    return place_at(told, 0), told.reason


@dataclass(frozen=True, slots=True)
class Place:
    """One place in the data; None where it is not known.

    Attributes:
        examples: consumed since the beginning.
        epoch, into: pass of the last example, and examples of that pass.
    """

    examples: int | None = None
    epoch: int | None = None
    into: int | None = None

    @property
    def in_epoch(self) -> tuple[int, int] | None:
        """(epoch, into), where both are known."""
        return None if self.epoch is None or self.into is None else (self.epoch, self.into)


def place_after(found: RecordedAttempt, rows: int) -> Place:
    """Where the data stood after so many rows of an attempt; 0 is its start."""
    if rows and rows <= found.num_rows:
        return place_at(positions_of(found), rows - 1)
    return start_of(found)


def place_at(positions: Positions, row: int) -> Place:
    """Where the data stood after a row."""
    values = (int(column[row]) for column in (positions.examples, positions.epoch, positions.into))
    return Place(*(None if value == UNKNOWN else value for value in values))


def start_of(found: RecordedAttempt) -> Place:
    """Where the data stood before the first row of an attempt."""
    attempt, start = found.attempt, found.attempt.start
    if attempt.counting == "epochs":
        return _start_in_epoch(found)
    if start.batches is None:
        return Place()
    if start.epoch is not None and start.into is not None and delivered_by(attempt):
        # What a state decodes to may count examples that a pass drops; the place in the pass does
        # not.
        return Place(
            start.epoch * (delivered_by(attempt) or 0) + start.into, start.epoch, start.into
        )
    one = np.zeros(1, np.int64)
    examples = one + start.examples if start.examples is not None else one + UNKNOWN
    return place_at(_positions(attempt, one, one, one + start.batches, examples), 0)


def _start_in_epoch(found: RecordedAttempt) -> Place:
    """Each epoch has an iterator of its own: the first one began where its first batch was taken,
    or where the iterator stood that was restored.
    """
    if not found.num_rows:
        return Place()
    positions, begun = positions_of(found), first_into(found.attempt)
    examples, epoch, into = (
        int(column[0]) for column in (positions.examples, positions.epoch, positions.into)
    )
    if UNKNOWN in (epoch, into):
        return Place()
    return Place(None if examples == UNKNOWN else examples - into + begun, epoch, begun)


def first_into(attempt: Attempt) -> int:
    """Examples of its first epoch that an attempt had behind it, where each epoch has an iterator
    of its own.
    """
    start = attempt.start
    return (
        start.into if start.into is not None else (start.batches or 0) * (attempt.batch_size or 0)
    )
