"""All checkpoints of a run in step order: where each stood, its verdict, and what went wrong since the one before.

Where the run was recorded, also its attempts, and what each restart cost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptscope.checkpoint.discover import Location, all_in
from ckptscope.comparison.data import move_between, places_of
from ckptscope.comparison.model import Alarm
from ckptscope.comparison.sides import Side, quick_alarms
from ckptscope.errors import CheckpointNotFoundError, CkptscopeError
from ckptscope.inspection import CheckpointInfo, checkpoint_info
from ckptscope.iterator.position import Hints, Position
from ckptscope.recording.journal_files import recordings_in
from ckptscope.resume.facts import gather
from ckptscope.resume.model import EpochRange
from ckptscope.resume.report import evaluate

if TYPE_CHECKING:
    import pandas

    from ckptscope.recording.lineage import Positions, Restart
    from ckptscope.recording.reader import RecordedAttempt


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One checkpoint of a run; ``error`` is set where it could not be read.

    Attributes:
        number: at the end of its name.
        position: of the run; null where the iterator is out of step.
        place: the iterator's own position, whether or not it is in step.
        batches_moved: since the readable checkpoint before; None where not known.
        alarms: against the readable checkpoint before.
    """

    checkpoint: CheckpointInfo | None
    path: str
    number: int | None
    position: Position | None
    verdict: str | None
    headline: str | None
    error: str | None
    has_evidence_conditions: bool = False
    place: Position | None = None
    batches_moved: int | None = None
    alarms: tuple[Alarm, ...] = ()


@dataclass(frozen=True, slots=True)
class RunHistory:
    """All checkpoints of a directory in step order, and what was recorded of the run.

    Attributes:
        attempts: recorded processes, in the order in which they started; empty where nothing was recorded.
        restarts: what each attempt that went on from another's checkpoint repeated or skipped.
    """

    directory: str
    rows: tuple[HistoryRow, ...]
    attempts: tuple[RecordedAttempt, ...] = ()
    restarts: tuple[Restart, ...] = ()

    def positions(self, attempt: str) -> Positions:
        """Where the data stood after each step of a recorded attempt.

        Raises:
            KeyError: no such attempt.
        """
        from ckptscope.recording.lineage import positions_of

        found = next((item for item in self.attempts if item.attempt.id == attempt), None)
        if found is None:
            raise KeyError(attempt)
        return positions_of(found)

    def coverage(self, *, effective_only: bool = True) -> tuple[tuple[EpochRange, int], ...]:
        """How often each part of each pass was read.

        Args:
            effective_only: reads that survive in the weights of the last attempt; else all that happened.
        """
        from ckptscope.recording.lineage import coverage, effective, reads_of

        training = [found for found in self.attempts if found.attempt.kind == "train"]
        chain = effective(training) if effective_only else [(found, found.num_rows) for found in training]
        return coverage([item for found, rows in chain for item in reads_of(found, rows)])

    def file_coverage(self, *, effective_only: bool = True) -> tuple[tuple[str, int, int, int, int], ...]:
        """(file, epoch, first record, record after the last, reads) for data files that are read in order.

        Empty where the order is another, or records were not counted.
        """
        from ckptscope.recording.lineage import in_files

        files = next((found.attempt.files for found in reversed(self.attempts) if found.attempt.files), ())
        return tuple(
            (name, item.epoch, first, last, count)
            for item, count in self.coverage(effective_only=effective_only)
            for name, first, last in in_files(item, files)
        )

    def steps_frame(self) -> pandas.DataFrame:
        """One row for each recorded step: attempt, step, batches, examples, epoch, place in it, and whether it survives."""
        from ckptscope.render.frames import steps_frame

        return steps_frame(self)

    def to_json(self) -> str:
        """The contract's JSON object, as text."""
        from ckptscope.render.jsonable import dumps, history_to_jsonable

        return dumps(history_to_jsonable(self))

    def to_frame(self) -> pandas.DataFrame:
        """One row for each checkpoint."""
        from ckptscope.render.frames import history_frame

        return history_frame(self)

    def _repr_html_(self) -> str:
        from ckptscope.render.notebook import history_html

        return history_html(self)


def inspect_all(
    path: str, *, batch_size: int | None = None, epoch_size: int | None = None, global_seed: int | None = None,
    shuffle_seed: int | None = None, data_root: str | None = None, verify: bool = False,
) -> RunHistory:  # fmt: skip
    """Inspect every checkpoint of a run, in step order; unreadable ones become rows with their error.

    Each is compared with the readable one before it: the alarms of :mod:`ckptscope.comparison.alarms` that need no values.

    Raises:
        CheckpointNotFoundError: there is none.
    """
    hints = Hints(batch_size, epoch_size, global_seed, shuffle_seed, data_root)
    rows = []
    before: Side | None = None
    attempts, restarts = _recorded(str(path))
    for location in _checkpoints(str(path), bool(attempts)):
        try:
            side = _judged(location, hints, verify)
        except CkptscopeError as error:
            rows.append(HistoryRow(None, location.prefix, location.number, None, None, None, str(error)))
            continue
        rows.append(_row(location, side, before))
        before = side
    return RunHistory(str(path), tuple(rows), attempts, restarts)


def _recorded(path: str) -> tuple[tuple[RecordedAttempt, ...], tuple[Restart, ...]]:
    """Attempts and restarts below a directory; reading them needs NumPy, so it is done only where there are some."""
    if not os.path.isdir(path) or not recordings_in(path):
        return (), ()
    from ckptscope.recording.lineage import restarts_of
    from ckptscope.recording.reader import read_recording

    attempts = read_recording(path)
    return attempts, restarts_of(attempts)


def _checkpoints(path: str, recorded: bool) -> list[Location]:
    """All checkpoints; none is an error unless there is a recording."""
    try:
        return all_in(path)
    except CheckpointNotFoundError:
        if recorded:
            return []
        raise


def _judged(location: Location, hints: Hints, verify: bool) -> Side:
    with location.open() as checkpoint:
        facts = gather(location, checkpoint, hints, verify=verify)
        return Side(location.prefix, checkpoint, facts, evaluate(facts))


def _row(location: Location, side: Side, before: Side | None) -> HistoryRow:
    report, facts = side.report, side.facts
    places = places_of(facts if before is None else before.facts, facts)
    moved = None if before is None else move_between(*places).batches
    return HistoryRow(
        checkpoint=checkpoint_info(facts), path=location.prefix, number=location.number, position=report.position,
        verdict=report.verdict, headline=report.headline, error=None,
        has_evidence_conditions=any(condition.source == "evidence" for condition in report.conditions),
        place=places[1].position, batches_moved=moved, alarms=() if before is None else quick_alarms(before, side),
    )  # fmt: skip
