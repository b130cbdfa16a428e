"""What stands beside the lines of a plot: checkpoints, restarts with their bands, beginnings of epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.lineage import delivered_by, merged, place_after
from ckptscope.runs.axes import Reads, XMode, YAxis, y_of, y_of_checkpoint, y_of_range
from ckptscope.runs.model import Run
from ckptscope.runs.picture import Band, CheckpointMark, RestartMark, Traced
from ckptscope.runs.restarts import RestartCost, start_examples

_MAX_SKIPPED_BANDS = 12
_MAX_EPOCH_LINES = 60


def checkpoint_marks(
    run: Run, axis: YAxis, x: XMode, reads: Reads, kept: Mapping[str, int]
) -> tuple[CheckpointMark, ...]:
    """Checkpoints whose place on x is known; those that are gone, of steps that are lost, only among all reads."""
    marks = []
    for row in run.checkpoints:
        saved = row.saved
        is_gone = row.id is None and saved is not None and saved.sequence > kept.get(saved.attempt, 0)
        if reads == "effective" and is_gone:
            continue
        at = row.saved_s if x == "time" else row.step if row.step is not None else row.row.number
        if at is not None:
            name = os.path.basename(row.row.path)
            attempt = row.saved.attempt if row.saved is not None else None
            y = y_of_checkpoint(run, row, axis)
            marks.append(CheckpointMark(row.id, float(at), y, row.row.verdict, name, attempt, row.step))
    return tuple(marks)


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
    attempt = item.found.attempt
    steps = item.found.columns["step"]
    step = step if step is not None else attempt.restored_step
    if step is None and len(steps):
        step = max(0, int(steps[0]) - 1)
    counts = _start_counts(item)
    y = y_of(axis, *counts, delivered_by(attempt))
    if step is None or y is None:
        return None
    examples, epoch, into = (UNKNOWN if value is None else value for value in counts)
    at = attempt.started_s if x == "time" else float(step)
    batches = UNKNOWN if attempt.start.batches is None else attempt.start.batches
    return Origin(at, y, step, batches, examples, epoch, into)


def _start_counts(item: Traced) -> tuple[int | None, int | None, int | None]:
    """(examples, epoch, examples into it) before the first row."""
    found, positions = item.found, item.positions
    examples = start_examples(found)
    if found.attempt.counting == "epochs":
        known = found.num_rows and UNKNOWN not in (positions.examples[0], positions.into[0])
        examples = int(positions.examples[0]) - int(positions.into[0]) if known else None
    return examples, *(place_after(found, 0) or (None, None))


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


def bands_of(
    traced: Sequence[Traced], costs: Sequence[RestartCost], axis: YAxis, x: XMode, reads: Reads
) -> tuple[tuple[Band, ...], list[str]]:
    """What restarts repeated and skipped, and sentences on what cannot be drawn."""
    by_id = {item.found.attempt.id: item for item in traced}
    bands, notes = [], []
    for cost in costs:
        item = by_id[cost.restart.attempt]
        first, last = cost.repeat_rows or (0, -1)
        if reads == "effective":
            last = min(last, item.kept - 1)
        if first <= last:
            # The reads of a step happen after the step before it.
            start = float(item.x[first - 1]) if first else _began(item, cost, x)
            start = float(item.x[first]) if start is None else min(start, float(item.x[first]))
            bands.append(
                Band(
                    "repeated",
                    cost.number,
                    "x",
                    start,
                    float(item.x[last]),
                    f"↺ {cost.num_repeated:,} {'read again' if cost.restart.moved == 0 else 'repeated'}",
                )
            )
        if axis.mode == "record" and len({found.epoch for found in cost.restart.skipped}) > 1:
            notes.append(
                f"restart {cost.number}: what it skipped lies in several epochs; see it against examples or epochs"
            )
            continue
        skipped = [y_of_range(axis, found, delivered_by(item.found.attempt)) for found in merged(cost.restart.skipped)]
        ranges = _joined([pair for pair in skipped if pair is not None])
        for low, high in sorted(ranges, key=lambda pair: pair[0] - pair[1])[:_MAX_SKIPPED_BANDS]:
            bands.append(Band("skipped", cost.number, "y", low, high, f"⇥ {cost.num_skipped:,} skipped"))
        if len(ranges) > _MAX_SKIPPED_BANDS:
            notes.append(
                f"restart {cost.number}: the {_MAX_SKIPPED_BANDS} largest of {len(ranges):,} skipped ranges are drawn"
            )
    return tuple(bands), notes


def _joined(ranges: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Ranges that touch, as one: the end of a pass is the beginning of the next."""
    joined: list[tuple[float, float]] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined


def epoch_lines(traced: Sequence[Traced]) -> tuple[tuple[int, float], ...]:
    """Where passes begin, over the steps that survive; every k-th if there are many."""
    found: dict[int, float] = {}
    for item in traced:
        epoch = item.positions.epoch[: item.kept]
        for row in np.flatnonzero(np.diff(epoch, prepend=UNKNOWN)).tolist():
            if epoch[row] > 0:
                found.setdefault(int(epoch[row]), float(item.x[max(0, row - 1)]))
    every = -(-len(found) // _MAX_EPOCH_LINES) or 1
    return tuple(sorted(found.items())[::every])
