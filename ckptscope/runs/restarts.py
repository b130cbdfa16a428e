"""What each restart of a run cost, counted up, with the steps that it shows in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ckptscope.recording.columns import UNKNOWN, Column
from ckptscope.recording.intervals import merged, num_examples
from ckptscope.recording.lineage import Restart
from ckptscope.recording.model import RecordedAttempt
from ckptscope.recording.positions import positions_of, start_of
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
    repeated = num_examples(restart.repeated) if known else None
    skipped = num_examples(restart.skipped) if known else None
    rows = _rows_within(found, restart)
    steps = found.columns["step"]
    return RestartCost(
        restart, numbers[restart.attempt], numbers[restart.parent], repeated, skipped, rows,
        None if rows is None else (int(steps[rows[0]]), int(steps[rows[1]])),
        _label(restart.moved, repeated, skipped),
        _text(restart, numbers[restart.parent], found.attempt.parent_inferred),
    )  # fmt: skip


def _rows_within(found: RecordedAttempt, restart: Restart) -> tuple[int, int] | None:
    """First and last row that read some of what the restart repeated; rows come in the order of the data."""
    ranges = restart.repeated
    if not ranges or not found.num_rows:
        return None
    after, scale = _linear(found, max(item.stop for item in ranges) + 1, restart.in_epochs)
    start = start_of(found)
    begun = start.in_epoch if restart.in_epochs else (0, start.examples or 0)
    before = np.concatenate(([0 if begun is None else begun[0] * scale + begun[1]], after[:-1]))

    def reading(item: EpochRange) -> Column:
        read: Column = np.flatnonzero(
            (after > item.epoch * scale + item.start) & (before < item.epoch * scale + item.stop)
        )
        return read

    first, last = reading(ranges[0]), reading(ranges[-1])
    return (int(first[0]), int(last[-1])) if len(first) and len(last) else None


def _linear(found: RecordedAttempt, least: int, in_epochs: bool) -> tuple[Column, int]:
    """Places after each row as one growing number, and what an epoch counts in it."""
    positions = positions_of(found)
    if not in_epochs:
        return positions.examples, 1
    scale = max(least, int(positions.into.max()) + 1)
    return np.where(positions.epoch == UNKNOWN, UNKNOWN, positions.epoch * scale + positions.into), scale


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


def _text(restart: Restart, parent: int, is_inferred: bool) -> str:
    """What a restart cost, in sentences."""
    frontier = "" if restart.exact_ranges else " (of the frontier: in what order elements came is not recorded)"
    text = f"Went on from attempt {parent}" + (", as its steps suggest," if is_inferred else "")
    text += (f" at step {restart.step:,}" if restart.step is not None else "") + _where(restart)
    if restart.dead_steps:
        one = restart.dead_steps == 1
        text += f"; {restart.dead_steps:,} later step{'' if one else 's'} of it {'is' if one else 'are'} lost"
    if restart.reason is not None:
        return f"{text}. What it repeated or skipped is not known: {restart.reason}."
    if restart.repeated:
        earlier = ", as an earlier restart made it" if restart.moved is not None and restart.moved >= 0 else ""
        text += f". It read {num_examples(restart.repeated):,} examples again{earlier}: {_ranges(restart, restart.repeated)}{frontier}"
    if restart.skipped:
        text += (
            f". It skipped {num_examples(restart.skipped):,} examples: {_ranges(restart, restart.skipped)}{frontier}"
        )
    return f"{text}." if restart.repeated or restart.skipped else f"{text}{frontier}."


def _where(restart: Restart) -> str:
    if restart.moved is None:
        return ""
    if restart.moved == 0:
        return ", where its checkpoint was saved"
    return f", with its data {abs(restart.moved):,} examples {'ahead of' if restart.moved > 0 else 'behind'} that place"


def _ranges(restart: Restart, ranges: tuple[EpochRange, ...]) -> str:
    return describe_ranges(tuple(merged(ranges)), in_epochs=restart.in_epochs)
