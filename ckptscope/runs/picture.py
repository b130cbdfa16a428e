"""What a plot of a run is made of: lines, marks and bands in the units of its axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ckptscope.recording.model import RecordedAttempt
from ckptscope.recording.positions import Positions
from ckptscope.runs.axes import Values, XMode, YMode
from ckptscope.runs.restarts import Reads, RestartCost

Part = Literal["kept", "lost", "eval"]


@dataclass(frozen=True)
class Line:
    """Steps of one attempt; columns have one entry for each point, NaN or :data:`UNKNOWN` where not
    known.

    Attributes:
        part: ``kept`` where the steps survive in the last weights, ``lost`` where not, ``eval`` of
            evaluations.
        file, record: of the next example, by number in ``PositionPlot.files``; None where files are
            not read in order.
    """

    attempt: str
    number: int
    kind: str
    part: Part
    label: str
    x: Values
    y: Values
    positions: Positions
    file: Any = None
    record: Any = None


@dataclass(frozen=True, slots=True)
class RestartMark:
    """Where an attempt began; ``x`` and ``y`` None where that is not known."""

    cost: RestartCost
    label: str
    x: float | None
    y: float | None


@dataclass(frozen=True, slots=True)
class Band:
    """What a restart repeated (steps, on x) or skipped (data, on y).

    Attributes:
        beside: of one on y, the part of x in which the run went past it: its epoch, until the
            restart and in the attempt that skipped.
    """

    kind: Literal["repeated", "skipped"]
    restart: int
    axis: Literal["x", "y"]
    start: float
    stop: float
    label: str
    beside: tuple[float, float] | tuple[None, None] = (None, None)


@dataclass(frozen=True, slots=True)
class CheckpointMark:
    """A checkpoint; ``y`` is None where its position is not stored, ``is_gone`` where only the
    recording is left of it.
    """

    id: str | None
    x: float
    y: float | None
    verdict: str | None
    label: str
    attempt: str | None
    step: int | None
    is_gone: bool = False


@dataclass(frozen=True)
class PositionPlot:
    """Everything that the plot shows.

    Attributes:
        reason: why there is no position to show.
        ticks: (value, text) on the y axis where files begin.
        extent: of x over everything; None where there is nothing.
        epochs: (number, x) where a pass begins.
        num_steps: recorded; ``num_drawn`` of them belong to the lines.
    """

    x_mode: XMode
    x_label: str
    y_mode: YMode
    y_label: str
    reason: str | None
    ticks: tuple[tuple[int, str], ...]
    reads: Reads
    files: tuple[str, ...]
    lines: tuple[Line, ...]
    restarts: tuple[RestartMark, ...]
    bands: tuple[Band, ...]
    epochs: tuple[tuple[int, float], ...]
    checkpoints: tuple[CheckpointMark, ...]
    extent: tuple[float, float] | None
    num_steps: int
    num_drawn: int
    notes: tuple[str, ...]

    @property
    def num_points(self) -> int:
        """Points of all lines."""
        return sum(len(line.x) for line in self.lines)

    @property
    def is_thinned(self) -> bool:
        """Whether steps were left out."""
        return self.num_points < self.num_drawn


@dataclass(frozen=True)
class Traced:
    """An attempt on both axes, with how many of its rows survive."""

    found: RecordedAttempt
    positions: Positions
    x: Values
    y: Values
    kept: int

    def rows(self, reads: Reads) -> int:
        """Steps that are among those reads, from the first on."""
        return self.kept if reads == "effective" else self.found.num_rows
