"""What each restart of a run cost, counted up, with the steps that it shows in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ckptscope.recording.intervals import num_examples, within
from ckptscope.recording.lineage import Restart, effective, in_numbers, spans_of
from ckptscope.recording.model import RecordedAttempt
from ckptscope.recording.positions import positions_of, start_of
from ckptscope.run_history import RunHistory

# Steps that survive in the last weights, or all that were made.
Reads = Literal["effective", "all"]


@dataclass(frozen=True, slots=True)
class RestartCost:
    """A restart as it is shown.

    Attributes:
        number, parent_number: of the attempts.
        num_repeated, num_skipped: examples; None where not known.
        num_repeated_kept: examples that those of its steps read again which survive in the last
            weights.
        repeat_rows: [first, last] rows of the attempt that read again what had been read; None
            where none did.
        label: a few words, with a symbol.
        text: a sentence.
    """

    restart: Restart
    number: int
    parent_number: int
    num_repeated: int | None
    num_skipped: int | None
    num_repeated_kept: int | None
    repeat_rows: tuple[int, int] | None
    repeat_steps: tuple[int, int] | None
    label: str
    text: str


def costs_of(history: RunHistory, numbers: Mapping[str, int]) -> tuple[RestartCost, ...]:
    """The restarts of a run, in order; ``numbers`` of attempts by their ids."""
    attempts = {found.attempt.id: found for found in history.attempts}
    kept = {found.attempt.id: rows for found, rows in effective(history.attempts)}
    return tuple(
        _cost(restart, attempts[restart.attempt], numbers, kept.get(restart.attempt, 0))
        for restart in history.restarts
    )


def _cost(
    restart: Restart, found: RecordedAttempt, numbers: Mapping[str, int], kept: int
) -> RestartCost:
    known = restart.reason is None
    repeated = num_examples(restart.repeated_spans) if known else None
    skipped = num_examples(restart.skipped_spans) if known else None
    rows = _rows_within(found, restart)
    steps = found.columns["step"]
    survived = (
        num_examples(within(spans_of(found, kept), restart.repeated_spans)) if known else None
    )
    return RestartCost(
        restart,
        numbers[restart.attempt],
        numbers[restart.parent],
        repeated,
        skipped,
        survived,
        rows,
        None if rows is None else (int(steps[rows[0]]), int(steps[rows[1]])),
        label_of(restart, repeated, skipped),
        in_numbers(_text(restart, numbers[restart.parent], found.attempt.parent_inferred), numbers),
    )


def _rows_within(found: RecordedAttempt, restart: Restart) -> tuple[int, int] | None:
    """First and last row that read some of what the restart repeated; rows come in the order of
    the data.
    """
    spans = restart.repeated_spans
    if not spans or not found.num_rows:
        return None
    positions, start = positions_of(found), start_of(found)
    if found.attempt.counting == "epochs":
        scale = restart.epoch_size or 0
        after = positions.epoch * scale + positions.into
        begun = None if start.in_epoch is None else start.in_epoch[0] * scale
    else:
        after, begun = positions.examples, start.examples
    before = np.concatenate(([begun or 0], after[:-1]))
    first = np.flatnonzero((after > spans[0][0]) & (before < spans[0][1]))
    last = np.flatnonzero((after > spans[-1][0]) & (before < spans[-1][1]))
    return (int(first[0]), int(last[-1])) if len(first) and len(last) else None


def label_of(restart: Restart, repeated: int | None, skipped: int | None) -> str:
    """A few words for so many examples."""
    moved = restart.moved
    if repeated is None or skipped is None:
        return "loss not known"
    if moved is not None and moved >= 0:
        # It did not go back: what it read again is what an earlier restart had begun to repeat.
        start = (
            "in place" + (", order of epoch 0" if restart.order_again == "first" else "")
            if moved == 0
            else f"⇥ {skipped:,} skipped"
            if skipped
            else f"⇥ {moved:,} ahead"
        )
        return start + (f", ↺ {repeated:,} read again" if repeated else "")
    parts = [f"↺ {repeated:,} repeated"] if repeated else []
    parts += [f"⇥ {skipped:,} skipped"] if skipped else []
    return ", ".join(parts) or ("no loss seen" if moved is None else f"↺ {-moved:,} back")


def _text(restart: Restart, parent: int, is_inferred: bool) -> str:
    """What a restart cost, in sentences."""
    frontier = (
        ""
        if restart.exact_ranges
        else " (of the frontier: in what order elements came is not recorded)"
    )
    text = f"Resumed from attempt {parent}" + (", as its steps suggest," if is_inferred else "")
    text += (f" at step {restart.step:,}" if restart.step is not None else "") + _where(restart)
    if restart.lost_steps:
        text += f"; {restart.lost_steps} lost"
    if restart.reason is not None:
        return f"{text}. What it repeated or skipped is not known: {restart.reason}."
    if restart.repeated_spans:
        earlier = (
            ", as an earlier restart made it"
            if restart.moved is not None and restart.moved >= 0
            else ""
        )
        count = num_examples(restart.repeated_spans)
        text += (
            f". It read {count:,} examples again{earlier}: "
            f"{restart.described(restart.repeated_spans)}{frontier}"
        )
    if restart.skipped_spans:
        count = num_examples(restart.skipped_spans)
        text += (
            f". It skipped {count:,} examples: {restart.described(restart.skipped_spans)}{frontier}"
        )
    return f"{text}." if restart.repeated_spans or restart.skipped_spans else f"{text}{frontier}."


def _where(restart: Restart) -> str:
    if restart.moved is None:
        return ""
    if restart.moved == 0:
        order = f", but {restart.new_order}" if restart.new_order else ""
        return f", in place{order}"
    return (
        f", with its data {abs(restart.moved):,} examples "
        f"{'ahead of' if restart.moved > 0 else 'behind'} that place"
    )
