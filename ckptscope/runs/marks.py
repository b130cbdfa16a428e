"""What stands beside the lines of a plot: checkpoints, restarts with their bands, beginnings of epochs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ckptscope.iterator.position import Position
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.intervals import merged, num_examples, within, without
from ckptscope.recording.lineage import reads_of
from ckptscope.recording.positions import delivered_by, start_of
from ckptscope.resume.model import EpochRange
from ckptscope.runs.axes import Reads, XMode, YAxis, y_of, y_of_range
from ckptscope.runs.model import CheckpointRow, Run
from ckptscope.runs.picture import Band, CheckpointMark, RestartMark, Traced
from ckptscope.runs.restarts import RestartCost

_MAX_SKIPPED_BANDS = 12
_MAX_EPOCH_LINES = 60


# ---------------------------------------------------------------------------------------------------- checkpoints


def checkpoint_marks(
    run: Run, traced: Sequence[Traced], axis: YAxis, x: XMode, reads: Reads
) -> tuple[CheckpointMark, ...]:
    """Checkpoints whose place on x is known; those that are gone, of steps that are lost, only among all reads."""
    by_id = {item.found.attempt.id: item for item in traced}
    marks = []
    for row in run.checkpoints:
        item = None if row.saved is None else by_id.get(row.saved.attempt)
        is_gone = row.id is None and row.saved is not None and (item is None or row.saved.sequence > item.kept)
        if reads == "effective" and is_gone:
            continue
        at = row.saved_s if x == "time" else row.step if row.step is not None else row.row.number
        if at is not None:
            attempt = row.saved.attempt if row.saved is not None else None
            y = _y_of_checkpoint(row, item, axis)
            marks.append(
                CheckpointMark(row.id, float(at), y, row.row.verdict, os.path.basename(row.row.path), attempt, row.step)
            )
    return tuple(marks)


def _y_of_checkpoint(row: CheckpointRow, item: Traced | None, axis: YAxis) -> float | None:
    """Where its data stood: as it says itself, else by the recorder's count."""
    for position in (row.row.position, row.row.place):
        if position is not None and (value := _y_of_position(axis, position)) is not None:
            return value
    if row.saved is None or item is None or not 1 <= row.saved.sequence <= item.found.num_rows:
        return None
    counted = float(item.y[row.saved.sequence - 1])
    return None if np.isnan(counted) else counted


def _y_of_position(axis: YAxis, position: Position) -> float | None:
    return y_of(axis, position.examples_consumed, position.epoch, position.examples_into_epoch, position.epoch_size)


# ---------------------------------------------------------------------------------------------------- restarts


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an attempt began: on both axes, and in what is counted (:data:`UNKNOWN` where not known)."""

    x: float
    y: float
    step: int
    batches: int
    examples: int
    epoch: int
    into: int


def origin_of(item: Traced, axis: YAxis, x: XMode, step: int | None = None) -> Origin | None:
    """Where an attempt began; None where its start is not known.

    Args:
        step: that it went on from; by default as it says itself, else the one before its first.
    """
    attempt, steps = item.found.attempt, item.found.columns["step"]
    step = step if step is not None else attempt.restored_step
    if step is None and len(steps):
        step = max(0, int(steps[0]) - (int(steps[1] - steps[0]) if len(steps) > 1 else 1))
    start = start_of(item.found)
    y = y_of(axis, start.examples, start.epoch, start.into, delivered_by(attempt))
    if step is None or y is None:
        return None
    examples, epoch, into = (UNKNOWN if value is None else value for value in (start.examples, start.epoch, start.into))
    at = attempt.started_s if x == "time" else float(step)
    batches = UNKNOWN if attempt.start.batches is None else attempt.start.batches
    return Origin(at, y, step, batches, examples, epoch, into)


def restart_marks(
    traced: Sequence[Traced], costs: Sequence[RestartCost], axis: YAxis, x: XMode
) -> tuple[RestartMark, ...]:
    """Where attempts began that went on from another."""
    by_id = {item.found.attempt.id: item for item in traced}
    marks = []
    for cost in costs:
        item = by_id[cost.restart.attempt]
        origin = origin_of(item, axis, x, cost.restart.step)
        first = float(item.y[0]) if len(item.y) and np.isfinite(item.y[0]) else None
        marks.append(RestartMark(cost, _began(item, cost, x), first if origin is None else origin.y))
    return tuple(marks)


def _began(item: Traced, cost: RestartCost, x: XMode) -> float | None:
    if x == "time":
        return item.found.attempt.started_s
    step = cost.restart.step
    return float(step) if step is not None else float(item.x[0]) if len(item.x) else None


# ---------------------------------------------------------------------------------------------------- bands


def bands_of(
    traced: Sequence[Traced], costs: Sequence[RestartCost], axis: YAxis, x: XMode, reads: Reads
) -> tuple[tuple[Band, ...], list[str]]:
    """What restarts repeated and skipped, and sentences on what cannot be drawn.

    Among effective reads only what survives of it: steps that are lost repeat nothing, and what was read later is not
    missing.
    """
    by_id = {item.found.attempt.id: item for item in traced}
    rows = [(item, item.kept if reads == "effective" else item.found.num_rows) for item in traced]
    every = [one for item, count in rows if item.found.attempt.kind == "train" for one in reads_of(item.found, count)]
    bands: list[Band] = []
    notes: list[str] = []
    for cost in costs:
        item = by_id[cost.restart.attempt]
        if reads == "effective" and not item.kept:
            continue
        bands += _repeated(item, cost, x, reads)
        missing = without(cost.restart.skipped, every)
        found, told = _skipped(item, cost, missing, axis)
        bands += found
        notes += told
    return tuple(bands), notes


def _repeated(item: Traced, cost: RestartCost, x: XMode, reads: Reads) -> list[Band]:
    if cost.repeat_rows is None:
        return []
    first, last = cost.repeat_rows
    kept = item.kept if reads == "effective" else item.found.num_rows
    if first >= kept:
        return []
    count = num_examples(within(reads_of(item.found, kept), cost.restart.repeated))
    word = "repeated" if cost.restart.moved is None or cost.restart.moved < 0 else "read again"
    # The reads of a step happen after the step before it.
    start = float(item.x[first - 1]) if first else _began(item, cost, x)
    start = float(item.x[first]) if start is None else min(start, float(item.x[first]))
    return [Band("repeated", cost.number, "x", start, float(item.x[min(last, kept - 1)]), f"↺ {count:,} {word}")]


def _skipped(
    item: Traced, cost: RestartCost, missing: Sequence[EpochRange], axis: YAxis
) -> tuple[list[Band], list[str]]:
    """The largest pieces first; pieces that touch are one: the end of a pass is the beginning of the next."""
    if axis.mode == "record" and len({one.epoch for one in missing}) > 1:
        return [], [f"restart {cost.number}: what it skipped lies in several epochs; see it against examples or epochs"]
    pieces: list[tuple[float, float, int]] = []
    for one in merged(missing):
        pair = y_of_range(axis, one, delivered_by(item.found.attempt))
        if pair is None:
            continue
        if pieces and pair[0] <= pieces[-1][1]:
            low, high, count = pieces.pop()
            pieces.append((low, max(high, pair[1]), count + one.stop - one.start))
        else:
            pieces.append((*pair, one.stop - one.start))
    pieces.sort(key=lambda piece: -piece[2])
    bands = [
        Band("skipped", cost.number, "y", low, high, f"⇥ {count:,} skipped")
        for low, high, count in pieces[:_MAX_SKIPPED_BANDS]
    ]
    if len(pieces) <= _MAX_SKIPPED_BANDS:
        return bands, []
    return bands, [
        f"restart {cost.number}: the {_MAX_SKIPPED_BANDS} largest of {len(pieces):,} skipped ranges are drawn"
    ]


# ---------------------------------------------------------------------------------------------------- epochs


def epoch_lines(traced: Sequence[Traced], x: XMode) -> tuple[tuple[int, float], ...]:
    """Where passes begin, over the steps that survive; every k-th if there are many."""
    found: dict[int, float] = {}
    for item in traced:
        epoch = item.positions.epoch[: item.kept]
        if not len(epoch):
            continue
        place = start_of(item.found).in_epoch
        # A recording that begins within a pass does not know where that pass began.
        if place is not None and epoch[0] > 0 and (place[0] < epoch[0] or place[1] == 0):
            origin = item.found.attempt.started_s if x == "time" else item.found.attempt.restored_step
            found.setdefault(int(epoch[0]), float(item.x[0] if origin is None else origin))
        for row in (np.flatnonzero(np.diff(epoch)) + 1).tolist():
            if epoch[row] > 0:
                found.setdefault(int(epoch[row]), float(item.x[row - 1]))
    every = -(-len(found) // _MAX_EPOCH_LINES) or 1
    return tuple(sorted(found.items())[::every])
