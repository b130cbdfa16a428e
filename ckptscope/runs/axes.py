"""What can be shown against what: positions of an attempt, a checkpoint or a range in the unit
of an axis.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.intervals import Span
from ckptscope.recording.model import Attempt, RecordedAttempt
from ckptscope.recording.positions import Positions, delivered_by
from ckptscope.runs.model import Run

XMode = Literal["step", "time"]
YMode = Literal["examples", "epoch", "record"]
Values = np.ndarray[Any, np.dtype[np.float64]]
_MAX_TICKS = 40


@dataclass(frozen=True, slots=True)
class YAxis:
    """One way to tell a position.

    Attributes:
        column: from (examples, epoch, into, size of an epoch) to values; NaN where one is not
            known.
    """

    mode: YMode
    label: str
    column: Callable[[Values, Values, Values, int | None], Values]


def _fraction(examples: Values, epoch: Values, into: Values, size: int | None) -> Values:
    return epoch + into / size if size else np.where(into == 0, epoch, np.nan)


Y_AXES: dict[str, YAxis] = {
    axis.mode: axis
    for axis in (
        YAxis("examples", "examples consumed", lambda examples, epoch, into, size: examples),
        YAxis("epoch", "epoch", _fraction),
        YAxis("record", "examples into the epoch", lambda examples, epoch, into, size: into),
    )
}
X_LABELS: dict[str, str] = {"step": "training step", "time": "time"}


def _floats(column: Any) -> Values:
    return np.where(column == UNKNOWN, np.nan, column).astype(np.float64)


def y_values(found: RecordedAttempt, positions: Positions, axis: YAxis) -> Values:
    """Where an attempt stood after each row."""
    examples, epoch, into = (
        _floats(positions.examples),
        _floats(positions.epoch),
        _floats(positions.into),
    )
    return axis.column(examples, epoch, into, delivered_by(found.attempt))


def y_of(
    axis: YAxis, examples: int | None, epoch: int | None, into: int | None, size: int | None
) -> float | None:
    """One position on the axis; None where it is not known."""
    value = float(axis.column(_one(examples), _one(epoch), _one(into), size)[0])
    return None if np.isnan(value) else value


def _one(value: int | None) -> Values:
    return np.array([np.nan if value is None else value], np.float64)


def y_of_span(axis: YAxis, span: Span, size: int | None) -> tuple[float, float] | None:
    """[from, to) of a span of the stream on the axis; None where it lies in several epochs and
    the axis shows one.
    """
    start, stop = span
    if axis.mode == "examples":
        return float(start), float(stop)
    if not size:
        return None
    if axis.mode == "epoch":
        return start / size, stop / size
    epoch = start // size
    return (
        None
        if (stop - 1) // size != epoch
        else (float(start - epoch * size), float(stop - epoch * size))
    )


def x_values(found: RecordedAttempt, mode: XMode) -> Values:
    """Step or Unix seconds of each row."""
    if mode == "step":
        return found.columns["step"].astype(np.float64)
    return _floats(found.columns["wall_time_ms"]) / 1000


def file_ticks(run: Run) -> tuple[tuple[int, str], ...]:
    """(first example, name) of each data file, where they are read in order; thinned out if
    there are many.
    """
    attempt = next((found.attempt for found in reversed(run.training) if found.attempt.files), None)
    offsets = [] if attempt is None else file_offsets(attempt)
    if attempt is None or not offsets:
        return ()
    every = -(-len(attempt.files) // _MAX_TICKS)
    pairs = [
        (offset, os.path.basename(file.path))
        for offset, file in zip(offsets, attempt.files, strict=False)
    ]
    return tuple(pairs[::every])


def file_offsets(attempt: Attempt) -> list[int]:
    """Example at which each file begins, and the end of the last; empty where that is not known."""
    offsets = [0]
    for file in attempt.files:
        if file.num_records is None:
            return []
        offsets.append(offsets[-1] + file.num_records)
    return offsets if attempt.files and attempt.order == "fixed" else []
