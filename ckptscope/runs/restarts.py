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
    repeated = _count(restart.repeated) if known else None
    skipped = _count(restart.skipped) if known else None
    rows = _rows_within(found, restart.repeated)
    steps = found.columns["step"]
    return RestartCost(
        restart, numbers[restart.attempt], numbers[restart.parent], repeated, skipped, rows,
        None if rows is None else (int(steps[rows[0]]), int(steps[rows[1]])),
        _label(restart.moved, repeated, skipped), describe_restart(restart, numbers[restart.parent]),
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


def _label(moved: int | None, repeated: int | None, skipped: int | None) -> str:
    if repeated is None or skipped is None:
        return "loss not known"
    if moved is not None and moved >= 0:
        # It did not go back: what it read again is what an earlier restart had begun to repeat.
        start = "in place" if moved == 0 else f"⇥ {skipped:,} skipped" if skipped else f"⇥ {moved:,} ahead"
        return start + (f", ↺ {repeated:,} read again" if repeated else "")
    parts = [f"↺ {repeated:,} repeated"] if repeated else []
    parts += [f"⇥ {skipped:,} skipped"] if skipped else []
    return ", ".join(parts) or ("no loss seen" if moved is None else f"↺ {-moved:,} back")


def describe_restart(restart: Restart, parent: int) -> str:
    """What a restart cost, in sentences; ``parent`` is the number of the attempt that it goes on from."""
    frontier = "" if restart.exact_ranges else " (of the frontier: in what order elements came is not recorded)"
    text = f"Went on from attempt {parent}" + (f" at step {restart.step:,}" if restart.step is not None else "")
    text += _where(restart)
    if restart.dead_steps:
        one = restart.dead_steps == 1
        text += f"; {restart.dead_steps:,} later step{'' if one else 's'} of it {'is' if one else 'are'} lost"
    if restart.reason is not None:
        return f"{text}. What it repeated or skipped is not known: {restart.reason}."
    if restart.repeated:
        earlier = ", as an earlier restart made it" if restart.moved is not None and restart.moved >= 0 else ""
        text += f". It read {_count(restart.repeated):,} examples again{earlier}: {_ranges(restart.repeated)}{frontier}"
    if restart.skipped:
        text += f". It skipped {_count(restart.skipped):,} examples: {_ranges(restart.skipped)}{frontier}"
    return f"{text}." if restart.repeated or restart.skipped else f"{text}{frontier}."


def _where(restart: Restart) -> str:
    if restart.moved is None:
        return ""
    if restart.moved == 0:
        return ", where its checkpoint was saved"
    return f", with its data {abs(restart.moved):,} examples {'ahead of' if restart.moved > 0 else 'behind'} that place"


def _count(ranges: tuple[EpochRange, ...]) -> int:
    return sum(item.stop - item.start for item in ranges)


def _ranges(ranges: tuple[EpochRange, ...]) -> str:
    return describe_ranges(tuple(merged(ranges)))


def start_examples(found: RecordedAttempt) -> int | None:
    """Examples consumed before the first row; None where not known."""
    start = found.attempt.start
    if start.examples is not None:
        return start.examples
    size = found.attempt.batch_size
    return None if start.batches is None or size is None else start.batches * size
