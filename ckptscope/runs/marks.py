"""What stands beside the lines of a plot: checkpoints, restarts with their bands, beginnings of
epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ckptscope.iterator.position import Position
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.intervals import Span, union, without
from ckptscope.recording.lineage import spans_of
from ckptscope.recording.parents import rows_before
from ckptscope.recording.positions import delivered_by, start_of
from ckptscope.runs.axes import Values, XMode, YAxis, y_of, y_of_span
from ckptscope.runs.model import CheckpointRow, Run
from ckptscope.runs.picture import Band, CheckpointMark, RestartMark, Traced
from ckptscope.runs.restarts import Reads, RestartCost

_MAX_SKIPPED_BANDS = 12
_MAX_EPOCH_LINES = 60


# ------------------------------------------------------------ checkpoints


def checkpoint_marks(
    run: Run, traced: Sequence[Traced], axis: YAxis, x: XMode, reads: Reads
) -> tuple[CheckpointMark, ...]:
    """Checkpoints whose place on x is known; those that are gone, of steps that are lost, only
    among all reads.
    """
    by_id = {item.found.attempt.id: item for item in traced}
    marks = []
    for row in run.checkpoints:
        item = None if row.saved is None else by_id.get(row.saved.attempt)
        is_of_lost_step = row.saved is not None and (item is None or row.saved.sequence > item.kept)
        if reads == "effective" and row.is_gone and is_of_lost_step:
            continue
        at = row.saved_s if x == "time" else row.step if row.step is not None else row.row.number
        if at is not None:
            attempt = row.saved.attempt if row.saved is not None else None
            y = _y_of_checkpoint(row, item, axis)
            marks.append(
                CheckpointMark(
                    row.id,
                    float(at),
                    y,
                    row.row.verdict,
                    row.name,
                    attempt,
                    row.step,
                    row.is_gone,
                )
            )
    return tuple(marks)


def _y_of_checkpoint(row: CheckpointRow, item: Traced | None, axis: YAxis) -> float | None:
    """Where its data stood: as it says itself, else by the recorder's count."""
    for position in (row.row.position, row.row.place):
        if position is not None and (value := _y_of_position(axis, position)) is not None:
            return value
    if row.counted is None or item is None:
        return None
    counted = row.counted
    return y_of(
        axis, counted.examples, counted.epoch, counted.into, delivered_by(item.found.attempt)
    )


def _y_of_position(axis: YAxis, position: Position) -> float | None:
    return y_of(
        axis,
        position.examples_consumed,
        position.epoch,
        position.examples_into_epoch,
        position.epoch_size,
    )


# ------------------------------------------------------------ restarts


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an attempt began: on both axes, and in what is counted (:data:`UNKNOWN` where not
    known).
    """

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
    examples, epoch, into = (
        UNKNOWN if value is None else value for value in (start.examples, start.epoch, start.into)
    )
    at = attempt.started_s if x == "time" else float(step)
    batches = UNKNOWN if attempt.start.batches is None else attempt.start.batches
    return Origin(at, y, step, batches, examples, epoch, into)


def restart_marks(
    traced: Sequence[Traced], costs: Sequence[RestartCost], axis: YAxis, x: XMode
) -> tuple[RestartMark, ...]:
    """Where attempts began that went on from another, labelled as in the table of restarts."""
    by_id = {item.found.attempt.id: item for item in traced}
    marks = []
    for cost in costs:
        item = by_id[cost.restart.attempt]
        origin = origin_of(item, axis, x, cost.restart.step)
        first = float(item.y[0]) if len(item.y) and np.isfinite(item.y[0]) else None
        y = first if origin is None else origin.y
        marks.append(RestartMark(cost, cost.label, _began(item, cost, x), y))
    return tuple(marks)


def _began(item: Traced, cost: RestartCost, x: XMode) -> float | None:
    if x == "time":
        return item.found.attempt.started_s
    step = cost.restart.step
    return float(step) if step is not None else float(item.x[0]) if len(item.x) else None


# ------------------------------------------------------------ bands


def bands_of(
    traced: Sequence[Traced], costs: Sequence[RestartCost], axis: YAxis, x: XMode, reads: Reads
) -> tuple[tuple[Band, ...], list[str]]:
    """What restarts repeated and skipped, and sentences on what cannot be drawn.

    Among effective reads only what survives of it: steps that are lost repeat nothing, and what was
        read later is not
    missing.
    """
    by_id = {item.found.attempt.id: item for item in traced}
    training = [item for item in traced if item.found.attempt.kind == "train"]
    every = union(span for item in training for span in spans_of(item.found, item.rows(reads)))
    bands: list[Band] = []
    notes: list[str] = []
    for cost in costs:
        item = by_id[cost.restart.attempt]
        bands += _repeated(item, cost, x, reads)
        missing = without(cost.restart.skipped_spans, every)
        found, told = _skipped(cost, missing, axis)
        if item.rows(reads):
            parent = by_id[cost.restart.parent]
            bands += [
                replace(band, beside=_beside(item, parent, cost, span, x, reads))
                for band, span in found
            ]
            notes += told
    return tuple(bands), notes


def _repeated(item: Traced, cost: RestartCost, x: XMode, reads: Reads) -> list[Band]:
    if cost.repeat_rows is None:
        return []
    first, last = cost.repeat_rows
    rows = item.rows(reads)
    if first >= rows:
        return []
    word = "repeated" if cost.restart.moved is None or cost.restart.moved < 0 else "read again"
    # The reads of a step happen after the step before it.
    start = float(item.x[first - 1]) if first else _began(item, cost, x)
    start = float(item.x[first]) if start is None else min(start, float(item.x[first]))
    label = f"↺ {cost.num_repeated:,} {word}"
    return [Band("repeated", cost.number, "x", start, float(item.x[min(last, rows - 1)]), label)]


def _skipped(
    cost: RestartCost, missing: Sequence[Span], axis: YAxis
) -> tuple[list[tuple[Band, Span]], list[str]]:
    """The largest pieces first, as bands; and sentences on those that are not drawn."""
    bands: list[tuple[Band, Span]] = []
    notes = []
    for span in sorted(missing, key=lambda one: one[0] - one[1])[:_MAX_SKIPPED_BANDS]:
        pair = y_of_span(axis, span, cost.restart.epoch_size)
        if pair is not None:
            # A part of what the restart skipped may have been read since, hence another word.
            label = f"⇥ {span[1] - span[0]:,} not read"
            bands.append((Band("skipped", cost.number, "y", *pair, label), span))
    if len(bands) < min(len(missing), _MAX_SKIPPED_BANDS):
        notes.append(
            f"restart {cost.number}: what it skipped lies in several epochs; see it "
            "against examples or epochs"
        )
    if len(missing) > _MAX_SKIPPED_BANDS:
        notes.append(
            f"restart {cost.number}: the {_MAX_SKIPPED_BANDS} largest of {len(missing):,} "
            "skipped ranges are drawn"
        )
    return bands, notes


def _beside(
    item: Traced, parent: Traced, cost: RestartCost, span: Span, x: XMode, reads: Reads
) -> tuple[float, float]:
    """The part of x in which the run went past a span that was skipped: the steps of its epochs,
    of the attempt that skipped it and of its parent until then.
    """
    until, size = item.rows(reads), cost.restart.epoch_size
    begun = _began(item, cost, x)
    values = item.x[:until]
    if size:
        epochs = (span[0] // size, (span[1] - 1) // size)
        left = rows_before(parent.found, item.found.attempt)
        values = np.concatenate([_of_epochs(parent, left, epochs), _of_epochs(item, until, epochs)])
    if begun is not None:
        values = np.append(values, begun)  # the jump itself
    first = float(values.min()) if len(values) else float(item.x[0])
    last = float(values.max()) if len(values) else float(item.x[0])
    return first, (last if last > first else max(last, float(item.x[0])))


def _of_epochs(item: Traced, rows: int, epochs: tuple[int, int]) -> Values:
    """x of the rows that lie in these epochs."""
    epoch = item.positions.epoch[:rows]
    return item.x[:rows][(epoch >= epochs[0]) & (epoch <= epochs[1])]


# ------------------------------------------------------------ epochs


def epoch_lines(traced: Sequence[Traced], x: XMode) -> tuple[tuple[int, float], ...]:
    """Where passes begin, over the steps that survive; every k-th if there are many."""
    edges = [
        (item, np.flatnonzero(np.diff(item.positions.epoch[: item.kept])) + 1) for item in traced
    ]
    every = -(-sum(len(rows) for _, rows in edges) // _MAX_EPOCH_LINES) or 1
    found: dict[int, float] = {}
    for item, rows in edges:
        epoch = item.positions.epoch
        if not item.kept:
            continue
        place = start_of(item.found).in_epoch
        # A recording that begins within a pass does not know where that pass began.
        if (
            place is not None
            and epoch[0] > 0
            and (place[0] < epoch[0] or place[1] == 0)
            and epoch[0] % every == 0
        ):
            origin = (
                item.found.attempt.started_s if x == "time" else item.found.attempt.restored_step
            )
            found.setdefault(int(epoch[0]), float(item.x[0] if origin is None else origin))
        for row in rows[(epoch[rows] > 0) & (epoch[rows] % every == 0)].tolist():
            found.setdefault(int(epoch[row]), float(item.x[row - 1]))
    return tuple(sorted(found.items()))
