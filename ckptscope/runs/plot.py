"""Position against step: what a plot of a run shows, thinned out without losing an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.lineage import effective
from ckptscope.recording.model import RecordedAttempt
from ckptscope.recording.positions import Positions, delivered_by, positions_of
from ckptscope.recording.summary import attempt_label
from ckptscope.runs.axes import (
    X_LABELS,
    Y_AXES,
    Values,
    XMode,
    YAxis,
    YMode,
    file_offsets,
    file_ticks,
    x_values,
    y_values,
)
from ckptscope.runs.marks import bands_of, checkpoint_marks, epoch_lines, origin_of, restart_marks
from ckptscope.runs.model import Run
from ckptscope.runs.picture import CheckpointMark, Line, Part, PositionPlot, Traced
from ckptscope.runs.restarts import Reads, RestartCost
from ckptscope.runs.thinning import Rows, thinned

POINTS = 4000
_MAX_EPOCH_EDGES = 2000


def position_plot(
    run: Run,
    *,
    y: YMode = "examples",
    x: XMode = "step",
    reads: Reads = "effective",
    visible: tuple[float, float] | None = None,
    points: int = POINTS,
) -> PositionPlot:
    """What to draw of a run.

    Args:
        visible: [from, to] of x that is in view; outside of it few points are given.
        points: about how many to give in all.
    """
    axis = Y_AXES[y]
    kept = {found.attempt.id: rows for found, rows in effective(run.history.attempts)}
    traced = [
        _traced(found, axis, x, kept.get(found.attempt.id, 0)) for found in run.history.attempts
    ]
    lines = _lines(run, traced, axis, x, reads, visible, points)
    checkpoints = checkpoint_marks(run, traced, axis, x, reads)
    everything = [value for line in lines for value in (line.x.min(), line.x.max())] + [
        mark.x for mark in checkpoints
    ]
    shown = [cost for cost in run.costs if reads == "all" or cost.restart.attempt in kept]
    bands, notes = bands_of(traced, shown, axis, x, reads)
    files = next((item.attempt.files for item in reversed(run.training) if item.attempt.files), ())
    return PositionPlot(
        x,
        X_LABELS[x],
        y,
        axis.label,
        _reason(traced, checkpoints),
        file_ticks(run) if y == "record" else (),
        reads,
        tuple(file.path for file in files),
        lines,
        restart_marks(traced, run.costs, axis, x),
        bands,
        epoch_lines(traced, x),
        checkpoints,
        (float(min(everything)), float(max(everything))) if everything else None,
        sum(found.num_rows for found in run.history.attempts),
        _num_drawn(traced, reads),
        tuple(notes),
    )


def _num_drawn(traced: Sequence[Traced], reads: Reads) -> int:
    return sum(item.rows(reads) for item in traced)


def _traced(found: RecordedAttempt, axis: YAxis, x: XMode, kept: int) -> Traced:
    positions = positions_of(found)
    return Traced(found, positions, x_values(found, x), y_values(found, positions, axis), kept)


def _reason(traced: Sequence[Traced], checkpoints: Sequence[CheckpointMark]) -> str | None:
    if any(np.isfinite(item.y).any() for item in traced) or any(
        mark.y is not None for mark in checkpoints
    ):
        return None
    told = [item.positions.reason for item in traced if item.positions.reason is not None]
    if told:
        return f"not known: {told[0]}"
    return (
        "not known: neither the recording nor a checkpoint tells it in this unit"
        if traced or checkpoints
        else None
    )


def _lines(
    run: Run,
    traced: Sequence[Traced],
    axis: YAxis,
    x: XMode,
    reads: Reads,
    visible: tuple[float, float] | None,
    points: int,
) -> tuple[Line, ...]:
    parts: list[tuple[Traced, Part, int, int]] = []
    for item in traced:
        if item.found.attempt.kind != "train":
            parts += (
                [(item, "eval", 0, item.found.num_rows)]
                if reads == "all" and item.found.num_rows
                else []
            )
            continue
        if item.kept:
            parts.append((item, "kept", 0, item.kept))
        if reads == "all" and item.kept < item.found.num_rows:
            parts.append(
                (item, "lost", max(0, item.kept - 1), item.found.num_rows)
            )  # from where it parts
    spans = [_visible_rows(item.x[first:last], visible) for item, _, first, last in parts]
    in_view = sum(last - first for first, last in spans) or 1
    total = sum(last - first for *_, first, last in parts) or 1
    made = []
    for (item, part, first, last), span in zip(parts, spans, strict=True):
        share = max(8, points * (span[1] - span[0]) // in_view)
        outside = max(8, points * (last - first) // total // 4)
        keep = _events(item, run.costs)
        keep = keep[(keep >= first) & (keep < last)] - first
        values = np.where(np.isfinite(item.y[first:last]), item.y[first:last], -1)
        made.append(
            _line(run, item, part, first + thinned(values, span, share, keep, outside), axis, x)
        )
    return tuple(made)


def _visible_rows(x: Values, visible: tuple[float, float] | None) -> tuple[int, int]:
    if visible is None:
        return 0, len(x)
    inside = np.flatnonzero((x >= visible[0]) & (x <= visible[1]))
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)


def _events(item: Traced, costs: Sequence[RestartCost]) -> Rows:
    """Rows that must be drawn: at checkpoints, where attempts part, at the ends of bands and of
    passes.
    """
    rows = [saved.sequence - 1 for saved in item.found.checkpoints]
    rows += [item.kept - 1, item.kept]
    rows += [
        row
        for cost in costs
        if cost.restart.attempt == item.found.attempt.id
        for row in cost.repeat_rows or ()
    ]
    edges = np.flatnonzero(np.diff(item.positions.epoch))
    if len(edges) <= _MAX_EPOCH_EDGES:
        rows += [*edges.tolist(), *(edges + 1).tolist()]
    return np.array([row for row in rows if 0 <= row < item.found.num_rows], np.int64)


def _line(run: Run, item: Traced, part: Part, rows: Rows, axis: YAxis, x: XMode) -> Line:
    """One line; it begins where the attempt began, which is before its first row."""
    attempt, positions = item.found.attempt, item.positions
    number = run.numbers[attempt.id]
    chosen = Positions(
        positions.step[rows],
        positions.batches[rows],
        positions.examples[rows],
        positions.epoch[rows],
        positions.into[rows],
        positions.reason,
    )
    xs, ys = item.x[rows], item.y[rows]
    start = origin_of(item, axis, x) if len(rows) and rows[0] == 0 else None
    if start is not None:
        # Times of steps are rounded down, so that the first may lie before the beginning.
        xs, ys = np.insert(xs, 0, min(start.x, xs[0])), np.insert(ys, 0, start.y)
        firsts = (start.step, start.batches, start.examples, start.epoch, start.into)
        names = ("step", "batches", "examples", "epoch", "into")
        known = {
            name: np.insert(getattr(chosen, name), 0, first)
            for name, first in zip(names, firsts, strict=True)
        }
        chosen = Positions(**known, reason=chosen.reason)
    label = attempt_label(item.found, number) + (", lost" if part == "lost" else "")
    file, record = next_records(item.found, chosen.into)
    return Line(attempt.id, number, attempt.kind, part, label, xs, ys, chosen, file, record)


def next_records(found: RecordedAttempt, into: Any) -> tuple[Any, Any]:
    """(number of the file, record in it) of the next example after ``into`` examples of a pass;
    None where unknown.
    """
    offsets = file_offsets(found.attempt)
    if not offsets or offsets[-1] < 1 or offsets[-1] != found.attempt.epoch_size:
        return None, None
    # A pass may end before the end of the last file: its short batch is dropped.
    at = np.where(into >= (delivered_by(found.attempt) or offsets[-1]), 0, into)
    file = np.searchsorted(offsets, at, side="right") - 1
    record = at - np.array(offsets)[file]
    return np.where(into == UNKNOWN, UNKNOWN, file), np.where(into == UNKNOWN, UNKNOWN, record)
