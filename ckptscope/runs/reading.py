"""A run out of its place: checkpoints judged, recordings read, both put together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ckptscope.checkpoint.discover import Location, all_in, members_of
from ckptscope.comparison.sides import CHECKSUM_LIMIT_NBYTES
from ckptscope.errors import CheckpointNotFoundError, CkptscopeError
from ckptscope.iterator.position import Hints, Position
from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.model import RecordedAttempt, SavedCheckpoint
from ckptscope.recording.positions import Place, place_at, positions_of
from ckptscope.recording.reader import read_places
from ckptscope.run_directory import notes_on
from ckptscope.run_history import HistoryRow, RowKey, RunHistory, history_rows
from ckptscope.runs.model import CheckpointRow, Run, Source
from ckptscope.runs.places import Found, RunPlace, runs_of
from ckptscope.runs.restarts import costs_of

MAX_CHECKPOINTS = 5000
_RECORDED_FIELDS = ("batches_consumed", "examples_consumed", "epoch", "examples_into_epoch")


@dataclass
class Known:
    """What earlier readings of a run found, so that only what changed is read again.

    Attributes:
        rows: judged checkpoints.
        stamp: names, sizes and times of the event files that ``attempts`` come from.
    """

    rows: dict[RowKey, HistoryRow] = field(default_factory=dict)
    stamp: tuple[object, ...] | None = None
    attempts: tuple[RecordedAttempt, ...] = ()

    @property
    def nbytes(self) -> int:
        """Of recorded steps."""
        return sum(column.nbytes for found in self.attempts for column in found.columns.values())


def read_run(
    place: RunPlace,
    root: str,
    known: Known | None = None,
    *,
    attempts: tuple[RecordedAttempt, ...] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Read one run.

    Args:
        root: nothing that lies outside of it is opened.
        known: kept by the caller from reading to reading.
        attempts: recorded attempts, where somebody else has read them already.
        progress: called with 1 for each checkpoint that was read.
    """
    known = known if known is not None else Known()
    if attempts is None:
        attempts = read_attempts(place, known, root)
    rows: dict[RowKey, HistoryRow] = {}
    problems: list[str] = []
    for store in place.stores:
        found, told = _locations(store, root)
        problems += told
        # Neighbours are compared within a directory: another one may be a copy, or the best ones.
        for key, row in history_rows(
            found, Hints(), known=known.rows, checksum_limit_nbytes=CHECKSUM_LIMIT_NBYTES
        ):
            rows[key] = row
            if progress is not None:
                progress(1)
    known.rows = rows
    notes = tuple(
        note
        for home in {place.directory: 0, **dict.fromkeys(place.stores)}
        for note in notes_on(home)
    )
    history = RunHistory(
        place.directory, tuple(rows.values()), attempts, restarts_of(attempts), notes
    )
    numbers = {found.attempt.id: number for number, found in enumerate(attempts, 1)}
    return Run(
        place,
        history,
        _merged(history, numbers, place),
        numbers,
        costs_of(history, numbers),
        tuple(problems),
    )


def read_all(found: Found, *, progress: Callable[[int], None] | None = None) -> Iterator[Run]:
    """All runs that a search came upon.

    Args:
        progress: as in :func:`read_run`.
    """
    known: dict[str, Known] = {}
    claims: dict[str, str] = {}
    for place in runs_of(found, {}):
        if place.recordings:
            known[place.directory] = Known()
            claims |= dict.fromkeys(
                claimed_by(read_attempts(place, known[place.directory], found.root)),
                place.directory,
            )
    for place in runs_of(found, claims):
        try:
            yield read_run(place, found.root, known.get(place.directory), progress=progress)
        except (CkptscopeError, OSError, ValueError) as error:
            yield unreadable_run(place, error)


def unreadable_run(place: RunPlace, error: Exception) -> Run:
    """A run of which only the reason is shown why it cannot be read."""
    history = RunHistory(place.directory, ())
    return Run(place, history, (), {}, (), (f"cannot be read: {type(error).__name__}: {error}",))


def read_attempts(place: RunPlace, known: Known, root: str) -> tuple[RecordedAttempt, ...]:
    """What was recorded, read again only if an event file changed; files outside of ``root``
    are left out.
    """
    stamp = stamp_of(place.recordings)
    if stamp != known.stamp:
        known.attempts, known.stamp = read_places(place.recordings, within=root), stamp
    return known.attempts


def stamp_of(directories: Sequence[str]) -> tuple[object, ...]:
    """Names, sizes and times of all files in some directories: what changes when there is
    something new to read.
    """
    found: list[object] = []
    for directory in directories:
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat()
            except OSError:
                continue
            found.append(
                (entry.path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            )
    return tuple(found)


def claimed_by(attempts: Sequence[RecordedAttempt]) -> set[str]:
    """Directories that attempts say they wrote checkpoints to."""
    return {
        os.path.realpath(os.path.dirname(saved.path))
        for found in attempts
        for saved in found.checkpoints
    }


def _locations(store: str, root: str) -> tuple[list[Location], list[str]]:
    """Checkpoints of a directory, and why some are not shown."""
    try:
        found = all_in(store)
    except CheckpointNotFoundError:
        return [], []
    except (CkptscopeError, OSError) as error:
        return [], [str(error)]
    inside = files_inside(root)
    kept = [location for location in found if inside(location)]
    problems = []
    if len(kept) < len(found):
        problems.append(
            f"{store}: not opened, because files are links to outside of the directory "
            "that is shown, or no regular ones: "
            f"{len(found) - len(kept):,} of {len(found):,} checkpoints"
        )
    if len(kept) > MAX_CHECKPOINTS:
        problems.append(
            f"{len(kept):,} checkpoints are in {store}; the newest {MAX_CHECKPOINTS:,} are shown"
        )
    return kept[-MAX_CHECKPOINTS:], problems


def files_inside(root: str) -> Callable[[Location], bool]:
    """A test whether a checkpoint's files, and the partners beside it, are files below
    ``root``, links resolved.
    """
    base = os.path.realpath(root)
    listed: dict[str, dict[str, list[os.DirEntry[str]]]] = {}

    def is_inside(path: str) -> bool:
        return os.path.commonpath((base, os.path.realpath(path))) == base

    def is_readable(entry: os.DirEntry[str]) -> bool:
        # A pipe or a device would be waited for; what is no link lies where its directory does.
        return (entry.is_file() or entry.is_dir()) and (
            not entry.is_symlink() or is_inside(entry.path)
        )

    def inside(location: Location) -> bool:
        directory, stem = os.path.split(location.prefix)
        if directory not in listed:
            listed[directory] = members_of(directory)
        own = [
            entry
            for entry in listed[directory].get(stem, ())
            if entry.name != stem or location.format == "sliced_v1"
        ]
        return is_inside(directory) and all(
            map(is_readable, (*own, *listed[directory].get("", ())))
        )

    return inside


def identity_of(prefix: str, place: RunPlace) -> str:
    """An opaque name for a checkpoint, the same in every process and wherever the root is moved
    to.
    """
    relative = os.path.relpath(prefix, place.directory)
    return hashlib.sha256(os.fsencode(f"{place.name}\0{relative}")).hexdigest()[:16]


def _merged(
    history: RunHistory, numbers: Mapping[str, int], place: RunPlace
) -> tuple[CheckpointRow, ...]:
    """Checkpoints found, with what was recorded of each; then those of which only the recording
    is left.
    """
    every = [saved for found in history.attempts for saved in found.checkpoints]
    newest: dict[str, SavedCheckpoint] = {}
    for saved in sorted(every, key=lambda item: item.wall_time_s):
        newest[os.path.realpath(saved.path)] = saved
    matches = _matched(history.rows, newest)
    used = {id(saved) for saved in matches.values()}
    counted = _counted(history.attempts)
    merged = []
    for row in history.rows:
        match = matches.get(row.path)
        source: Source = "disk" if match is None else "both"
        merged.append(_row(identity_of(row.path, place), row, source, match, numbers, counted))
    for saved in every:
        if id(saved) not in used:
            was_replaced = newest[os.path.realpath(saved.path)] is not saved
            merged.append(
                _row(None, _recorded_row(saved, was_replaced), "recorded", saved, numbers, counted)
            )
    return tuple(sorted(merged, key=_by_step))


def _row(
    identity: str | None,
    row: HistoryRow,
    source: Source,
    saved: SavedCheckpoint | None,
    numbers: Mapping[str, int],
    counted: Mapping[tuple[str, int], Place],
) -> CheckpointRow:
    if saved is None:
        return CheckpointRow(identity, row, source)
    place = counted.get((saved.attempt, saved.sequence))
    return CheckpointRow(identity, row, source, saved, numbers.get(saved.attempt), place)


def _counted(attempts: Sequence[RecordedAttempt]) -> dict[tuple[str, int], Place]:
    """Where the data stood by the recorder's count, by attempt and rows; positions are computed
    once for each.
    """
    found = {}
    for attempt in attempts:
        positions = positions_of(attempt)
        for saved in attempt.checkpoints:
            if 1 <= saved.sequence <= attempt.num_rows:
                found[attempt.attempt.id, saved.sequence] = place_at(positions, saved.sequence - 1)
    return found


def _matched(
    rows: Sequence[HistoryRow], newest: Mapping[str, SavedCheckpoint]
) -> dict[str, SavedCheckpoint]:
    """What was recorded of each checkpoint, by its path.

    A directory that was moved keeps names and steps of its checkpoints; where both fit only one of
    each, they match."""
    found = {
        row.path: newest[path] for row in rows if (path := os.path.realpath(row.path)) in newest
    }
    used = {id(saved) for saved in found.values()}
    left: dict[tuple[str, int | None], list[SavedCheckpoint]] = {}
    for saved in newest.values():
        if id(saved) not in used:
            left.setdefault((os.path.basename(saved.path), saved.step), []).append(saved)
    open_rows: dict[tuple[str, int | None], list[HistoryRow]] = {}
    for row in rows:
        if row.path not in found:
            step = (
                row.position.step
                if row.position is not None and row.position.step is not None
                else row.number
            )
            open_rows.setdefault((os.path.basename(row.path), step), []).append(row)
    for key, candidates in open_rows.items():
        if len(candidates) == len(left.get(key, ())) == 1:
            found[candidates[0].path] = left[key][0]
    return found


def _by_step(row: CheckpointRow) -> tuple[int, float]:
    number = row.step if row.step is not None else row.row.number
    return (-1 if number is None else number), row.saved_s or 0.0


def _recorded_row(saved: SavedCheckpoint, was_replaced: bool) -> HistoryRow:
    """What is left of a checkpoint that is gone."""
    decoded = saved.decoded or {}
    batches, examples, epoch, into = (
        value if isinstance(value := decoded.get(name), int) else None for name in _RECORDED_FIELDS
    )
    reason = saved.problem or "not recorded when the checkpoint was written"
    unknown = [name for name in _RECORDED_FIELDS if not isinstance(decoded.get(name), int)]
    position = Position(
        step=saved.step,
        batches_consumed=batches,
        examples_consumed=examples,
        epoch=epoch,
        examples_into_epoch=into,
        reasons=dict.fromkeys(unknown, reason),
    )
    gone = "was written again later" if was_replaced else "is not here (any more)"
    return HistoryRow(
        None,
        saved.path,
        saved.step,
        position,
        saved.verdict,
        f"This checkpoint {gone}; what is told of it was recorded when it was written.",
        None,
        saved_s=saved.wall_time_s,
    )
