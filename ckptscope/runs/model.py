"""A run as it is shown: its checkpoints, recorded or found, beside what was recorded of its
steps.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ckptscope.recording.model import RecordedAttempt, SavedCheckpoint
from ckptscope.recording.positions import Place
from ckptscope.run_history import HistoryRow, RunHistory
from ckptscope.runs.places import RunPlace
from ckptscope.runs.restarts import RestartCost

ROW_NBYTES = 6000  # a judged checkpoint with its positions and messages, about
Source = Literal["disk", "recorded", "both"]


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One checkpoint of a run.

    Attributes:
        id: opaque; None where the file is not there (any more), or lies outside the root.
        row: as judged now; where it is not there, what was recorded of it.
        saved: what was recorded when it was written.
        attempt_number: of the attempt that wrote it.
        counted: where the data stood by the recorder's count; None where nothing was recorded of
            it.
    """

    id: str | None
    row: HistoryRow
    source: Source
    saved: SavedCheckpoint | None = None
    attempt_number: int | None = None
    counted: Place | None = None

    @property
    def name(self) -> str:
        """What a person calls it: the last part of its path, or the directory of a SavedModel."""
        directory, name = os.path.split(self.row.path)
        is_saved_model = name == "variables" == os.path.basename(directory)
        return os.path.basename(os.path.dirname(directory)) if is_saved_model else name

    @property
    def is_gone(self) -> bool:
        """Only the recording is left of it: nothing can be resumed from it."""
        return self.source == "recorded"

    @property
    def step(self) -> int | None:
        """The run's step, as stored; else as recorded."""
        stored = self.row.position.step if self.row.position is not None else None
        return stored if stored is not None or self.saved is None else self.saved.step

    @property
    def saved_s(self) -> float | None:
        """When it was written."""
        return self.saved.wall_time_s if self.saved is not None else self.row.saved_s


@dataclass(frozen=True, slots=True)
class Run:
    """One run with everything that was read of it.

    Attributes:
        checkpoints: in step order.
        numbers: of attempts, by their ids.
        costs: what restarts cost.
        problems: what could not be read, in words.
    """

    place: RunPlace
    history: RunHistory
    checkpoints: tuple[CheckpointRow, ...]
    numbers: Mapping[str, int]
    costs: tuple[RestartCost, ...]
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Relative to the root."""
        return self.place.name

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        columns = sum(
            column.nbytes for found in self.history.attempts for column in found.columns.values()
        )
        return columns + ROW_NBYTES * len(self.checkpoints)

    @property
    def training(self) -> tuple[RecordedAttempt, ...]:
        """Attempts that trained."""
        return tuple(found for found in self.history.attempts if found.attempt.kind == "train")

    def attempt(self, identity: str) -> RecordedAttempt:
        """A recorded attempt.

        Raises:
            KeyError: there is none.
        """
        for found in self.history.attempts:
            if found.attempt.id == identity:
                return found
        raise KeyError(identity)
