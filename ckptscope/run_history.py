"""All checkpoints of a run in step order: where each stood, its verdict, and what went wrong since
the one before.

Where the run was recorded, also its attempts, and what each restart cost.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptscope.checkpoint.discover import Location, members_of
from ckptscope.comparison.data import places_of
from ckptscope.comparison.model import Alarm
from ckptscope.comparison.rates import move_of
from ckptscope.comparison.sides import Side, quick_alarms
from ckptscope.errors import CkptscopeError
from ckptscope.inspection import CheckpointInfo, checkpoint_info
from ckptscope.iterator.position import Hints, Position
from ckptscope.recording.journal_files import recordings_in
from ckptscope.resume.commands import resume_command
from ckptscope.resume.facts import CHECKSUM_LIMIT_NBYTES
from ckptscope.resume.gather import gather
from ckptscope.resume.model import EpochRange
from ckptscope.resume.neighbours import Neighbourhood
from ckptscope.resume.report import evaluate
from ckptscope.run_directory import Note, locations_of

if TYPE_CHECKING:
    import pandas

    from ckptscope.recording.lineage import Restart
    from ckptscope.recording.model import RecordedAttempt
    from ckptscope.recording.positions import Positions
    from ckptscope.recording.summary import AttemptSummary


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One checkpoint of a run; ``error`` is set where it could not be read.

    Attributes:
        number: at the end of its name.
        position: of the run; null where the iterator is out of step.
        place: the iterator's own position, whether or not it is in step.
        batches_moved: since the readable checkpoint before; None where not known.
        alarms: against the readable checkpoint before.
        why: what forces the verdict, where it is not ``exact``.
        fix: what to change so that it would be.
        command: how to go on from it; None where that is impossible.
        saved_s: when its index was written (Unix seconds).
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
    why: str | None = None
    fix: str | None = None
    command: str | None = None
    saved_s: float | None = None


# A row depends on all files of a checkpoint, what stands beside it, the readable checkpoint before
# it, and those that are heard as its neighbours.
RowKey = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class RunHistory:
    """All checkpoints of a directory in step order, and what was recorded of the run.

    Attributes:
        attempts: recorded processes, in the order in which they started; empty where nothing was
            recorded.
        restarts: what each attempt that went on from another's checkpoint repeated or skipped.
        notes: what else lies there: saves that did not finish, checkpoints further down, files of
            formats that are not read.
    """

    directory: str
    rows: tuple[HistoryRow, ...]
    attempts: tuple[RecordedAttempt, ...] = ()
    restarts: tuple[Restart, ...] = ()
    notes: tuple[Note, ...] = ()

    def summaries(self) -> tuple[AttemptSummary, ...]:
        """The attempts in numbers."""
        if not self.attempts:
            return ()
        from ckptscope.recording.summary import attempt_summary

        return tuple(
            attempt_summary(found, number) for number, found in enumerate(self.attempts, 1)
        )

    def positions(self, attempt: str) -> Positions:
        """Where the data stood after each step of a recorded attempt.

        Raises:
            KeyError: no such attempt.
        """
        from ckptscope.recording.positions import positions_of

        found = next((item for item in self.attempts if item.attempt.id == attempt), None)
        if found is None:
            raise KeyError(attempt)
        return positions_of(found)

    def coverage(self, *, effective_only: bool = True) -> tuple[tuple[EpochRange, int], ...]:
        """How often each part of each pass was read; nothing where several hosts share the data
        between them.

        Args:
            effective_only: reads that survive in the weights of the last attempt; else all that
                happened.
        """
        from ckptscope.recording.lineage import coverage_of, processes

        if len(processes(self.attempts)) > 1:
            return ()
        return tuple(coverage_of(self.attempts, effective_only=effective_only))

    def file_coverage(
        self, *, effective_only: bool = True
    ) -> tuple[tuple[str, int, int, int, int], ...]:
        """(file, epoch, first record, record after the last, reads) for data files that are read in
        order.

        Empty where the order is another, or records were not counted.
        """
        from ckptscope.recording.intervals import in_files

        files = next(
            (found.attempt.files for found in reversed(self.attempts) if found.attempt.files), ()
        )
        return tuple(
            (name, item.epoch, first, last, count)
            for item, count in self.coverage(effective_only=effective_only)
            for name, first, last in in_files(item, files)
        )

    def steps_frame(self) -> pandas.DataFrame:
        """One row for each recorded step: attempt, step, batches, examples, epoch, place in it,
        and whether it survives.
        """
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
    path: str,
    *,
    batch_size: int | None = None,
    epoch_size: int | None = None,
    global_seed: int | None = None,
    shuffle_seed: int | None = None,
    data_root: str | None = None,
    verify: bool = False,
) -> RunHistory:
    """Inspect every checkpoint of a run, in step order; unreadable ones become rows with their
    error.

    Each is compared with the readable one before it: the alarms of
        :mod:`ckptscope.comparison.alarms` that need no values.

    Raises:
        CheckpointNotFoundError: there is none.
    """
    hints = Hints(batch_size, epoch_size, global_seed, shuffle_seed, data_root)
    attempts, restarts = _recorded(str(path))
    locations, notes = locations_of(str(path), recorded=bool(attempts))
    rows = tuple(row for _, row in history_rows(locations, hints, verify=verify))
    return RunHistory(str(path), rows, attempts, restarts, notes)


def history_rows(
    locations: Iterable[Location],
    hints: Hints,
    *,
    verify: bool = False,
    known: Mapping[RowKey, HistoryRow] | None = None,
    checksum_limit_nbytes: int = CHECKSUM_LIMIT_NBYTES,
) -> Iterator[tuple[RowKey, HistoryRow]]:
    """One row for each checkpoint, in the order given, as soon as it is judged.

    Args:
        known: rows of an earlier call by their keys; only what is new or was replaced is opened
            again.
        checksum_limit_nbytes: up to this size checksums of all tensors are verified without being
            asked.
    """
    before: Side | Location | None = None  # a location where its row was known
    every, stamps = list(locations), _Stamps()
    judge = _Judge(every, hints, verify, checksum_limit_nbytes)
    for number, location in enumerate(every):
        previous = before.facts.location if isinstance(before, Side) else before
        heard = [item for item in (every[0], *every[number + 1 : number + 2]) if item != location]
        key: RowKey = (
            stamps.of(location),
            None if previous is None else stamps.of(previous),
            *map(stamps.of, heard),
        )
        row = (known or {}).get(key)
        side: Side | Location = location
        if row is None:
            try:
                if isinstance(before, Location):
                    before = judge.side(before)
                side = judge.side(location)
                row = _row(location, side, before)
            except CkptscopeError as error:
                row = HistoryRow(
                    None, location.prefix, location.number, None, None, None, str(error)
                )
        if row.error is None:
            before = side
        yield key, row


class _Stamps:
    """Names, sizes, times and inodes of everything that the judgement of a checkpoint may
    depend on.
    """

    def __init__(self) -> None:
        self._members: dict[str, dict[str, list[os.DirEntry[str]]]] = {}
        self._known: dict[str, RowKey] = {}

    def of(self, location: Location) -> RowKey:
        """Taken when a location is first asked for."""
        if location.prefix not in self._known:
            directory, stem = os.path.split(location.prefix)
            if directory not in self._members:
                self._members[directory] = members_of(directory or ".")
            members = self._members[directory]
            entries = [*members.get(stem, ()), *members.get("", ())]
            self._known[location.prefix] = (location.prefix, *map(_stamp_of, entries))
        return self._known[location.prefix]


def _stamp_of(entry: os.DirEntry[str]) -> tuple[object, ...]:
    try:
        status = entry.stat()
    except OSError:
        return (entry.name,)
    return entry.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _recorded(path: str) -> tuple[tuple[RecordedAttempt, ...], tuple[Restart, ...]]:
    """Attempts and restarts below a directory; reading them needs NumPy, so it is done only
    where there are some.
    """
    if not os.path.isdir(path) or not recordings_in(path):
        return (), ()
    from ckptscope.recording.lineage import restarts_of
    from ckptscope.recording.reader import read_recording

    attempts = read_recording(path)
    return attempts, restarts_of(attempts)


class _Judge:
    """Opens and judges the checkpoints of a run; the others of its directory are its witnesses."""

    def __init__(
        self, every: Iterable[Location], hints: Hints, verify: bool, checksum_limit_nbytes: int
    ) -> None:
        self._hints, self._verify, self._limit = hints, verify, checksum_limit_nbytes
        homes: dict[str, list[Location]] = {}
        for location in every:
            homes.setdefault(os.path.dirname(location.prefix), []).append(location)
        self._around = {home: Neighbourhood(beside) for home, beside in homes.items()}

    def side(self, location: Location) -> Side:
        """One checkpoint, judged.

        Raises:
            CkptscopeError: it cannot be read.
        """
        with location.open() as checkpoint:
            facts = gather(
                location,
                checkpoint,
                self._hints,
                verify=self._verify,
                checksum_limit_nbytes=self._limit,
                neighbourhood=self._around[os.path.dirname(location.prefix)],
            )
            return Side(location.prefix, checkpoint, facts, evaluate(facts))


def _row(location: Location, side: Side, before: Side | None) -> HistoryRow:
    report, facts = side.report, side.facts
    earlier = facts if before is None else before.facts
    places = places_of(earlier, facts)
    moved = None if before is None else move_of(earlier, facts, places).batches
    forcing = next((finding for finding in report.findings if finding.verdict is not None), None)
    return HistoryRow(
        checkpoint=checkpoint_info(facts),
        path=location.prefix,
        number=location.number,
        position=report.position,
        verdict=report.verdict,
        headline=report.headline,
        error=None,
        has_evidence_conditions=any(
            condition.source == "evidence" for condition in report.conditions
        ),
        place=places[1].position,
        batches_moved=moved,
        alarms=() if before is None else quick_alarms(before, side),
        why=None if forcing is None else forcing.message,
        fix=None if forcing is None else forcing.remedy,
        command=None
        if report.verdict == "impossible"
        else resume_command(facts.framework, location.prefix),
        saved_s=_written_s(location),
    )


def _written_s(location: Location) -> float | None:
    fingerprint = location.fingerprint()
    return None if fingerprint is None else fingerprint[2] / 1e9
