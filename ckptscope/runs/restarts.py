"""What each restart of a run cost, counted up, with the steps that it shows in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ckptscope.recording.columns import Column
from ckptscope.recording.lineage import Positions, Restart, merged, positions_of, start_of
from ckptscope.recording.reader import RecordedAttempt
from ckptscope.resume.model import EpochRange, describe_ranges
from ckptscope.run_history import RunHistory


@dataclass(frozen=True, slots=True)
class RestartCost:
    """A restart as it is shown.

    Attributes:
        number, parent_number: of the attempts.
        num_repeated, num_skipped: examples; None where not known.
        repeat_rows: [first, last] rows of the attempt that read again what had been read; None where none did.
        label: a few words, with a symbol.
        text: a sentence.
    """

    restart: Restart
    number: int
    parent_number: int
    num_repeated: int | None
    num_skipped: int | None
    repeat_rows: tuple[int, int] | None
    repeat_steps: tuple[int, int] | None
    label: str
    text: str


def costs_of(history: RunHistory, numbers: Mapping[str, int]) -> tuple[RestartCost, ...]:
    """The restarts of a run, in order; ``numbers`` of attempts by their ids."""
    attempts = {found.attempt.id: found for found in history.attempts}
    return tuple(_cost(restart, attempts[restart.attempt], numbers) for restart in history.restarts)


def _cost(restart: Restart, found: RecordedAttempt, numbers: Mapping[str, int]) -> RestartCost:
    known = restart.reason is None
    repeated = sum(item.stop - item.start for item in restart.repeated) if known else None
    skipped = sum(item.stop - item.start for item in restart.skipped) if known else None
    rows = _rows_within(found, restart.repeated)
    steps = found.columns["step"]
    return RestartCost(
        restart, numbers[restart.attempt], numbers[restart.parent], repeated, skipped, rows,
        None if rows is None else (int(steps[rows[0]]), int(steps[rows[1]])),
        _label(repeated, skipped), _text(restart, numbers[restart.parent], repeated, skipped),
    )  # fmt: skip


def _rows_within(found: RecordedAttempt, ranges: Sequence[EpochRange]) -> tuple[int, int] | None:
    """First and last row that read some of the ranges."""
    if not ranges or not found.num_rows:
        return None
    positions = positions_of(found)
    before_epoch, before = _before(found, positions)
    # A row that runs into the next pass read the end of one and the beginning of the other.
    crossed = positions.epoch != before_epoch
    within = np.zeros(found.num_rows, bool)
    for item in ranges:
        own = (positions.epoch == item.epoch) & (positions.into > item.start)
        within |= own & (np.where(crossed, 0, before) < item.stop)
        within |= crossed & (before_epoch == item.epoch) & (before < item.stop) & bool(found.attempt.spans)
    rows = np.flatnonzero(within)
    return (int(rows[0]), int(rows[-1])) if len(rows) else None


def _before(found: RecordedAttempt, positions: Positions) -> tuple[Column, Column]:
    """(epoch, into) before each row: those of the row before it, and the start of the attempt."""
    start = start_of(found.attempt) or (0, 0)
    return np.concatenate(([start[0]], positions.epoch[:-1])), np.concatenate(([start[1]], positions.into[:-1]))


def _label(repeated: int | None, skipped: int | None) -> str:
    if repeated is None or skipped is None:
        return "loss not known"
    parts = [f"↺ {repeated:,} repeated"] if repeated else []
    parts += [f"⇥ {skipped:,} skipped"] if skipped else []
    return ", ".join(parts) or "in place"


def _text(restart: Restart, parent: int, repeated: int | None, skipped: int | None) -> str:
    frontier = "" if restart.exact_ranges else " (of the frontier: in what order elements came is not recorded)"
    text = f"Went on from attempt {parent}" + (f" at step {restart.step:,}" if restart.step is not None else "")
    if repeated == skipped == 0:
        text += f", where its checkpoint was saved{frontier}"
    if restart.dead_steps:
        one = restart.dead_steps == 1
        text += f"; {restart.dead_steps:,} later step{'' if one else 's'} of it {'is' if one else 'are'} lost"
    if repeated is None or skipped is None:
        return f"{text}. What it repeated or skipped is not known: {restart.reason}."
    if repeated:
        text += f". It repeated {repeated:,} examples: {describe_ranges(_joined(restart.repeated))}{frontier}"
    if skipped:
        text += f". It skipped {skipped:,} examples: {describe_ranges(_joined(restart.skipped))}{frontier}"
    return f"{text}."


def _joined(ranges: tuple[EpochRange, ...]) -> tuple[EpochRange, ...]:
    return tuple(merged(ranges))


def start_examples(found: RecordedAttempt) -> int | None:
    """Examples consumed before the first row; None where not known."""
    start = found.attempt.start
    if start.examples is not None:
        return start.examples
    size = found.attempt.batch_size
    return None if start.batches is None or size is None else start.batches * size
