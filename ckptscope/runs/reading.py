"""A run out of its place: checkpoints judged, recordings read, both put together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ckptscope.checkpoint.discover import Location, all_in
from ckptscope.comparison.sides import CHECKSUM_LIMIT_NBYTES
from ckptscope.errors import CheckpointNotFoundError, CkptscopeError
from ckptscope.iterator.position import Hints, Position
from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.model import SavedCheckpoint
from ckptscope.recording.reader import RecordedAttempt, read_places
from ckptscope.run_history import HistoryRow, RowKey, RunHistory, history_rows
from ckptscope.runs.model import CheckpointRow, Run
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


def read_run(
    place: RunPlace, root: str, known: Known | None = None, *, attempts: tuple[RecordedAttempt, ...] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Run:  # fmt: skip
    """Read one run.

    Args:
        root: nothing that lies outside of it is opened.
        known: kept by the caller from reading to reading.
        attempts: recorded attempts, where somebody else has read them already.
        progress: called with 1 for each checkpoint that was read.
    """
    known = known if known is not None else Known()
    if attempts is None:
        attempts = read_attempts(place, known)
    locations, problems = _locations(place, root)
    rows: dict[RowKey, HistoryRow] = {}
    for key, row in history_rows(locations, Hints(), known=known.rows, checksum_limit_nbytes=CHECKSUM_LIMIT_NBYTES):
        rows[key] = row
        if progress is not None:
            progress(1)
    known.rows = rows
    history = RunHistory(place.directory, tuple(rows.values()), attempts, restarts_of(attempts))
    numbers = {found.attempt.id: number for number, found in enumerate(attempts, 1)}
    return Run(place, history, _merged(history, numbers, place), numbers, costs_of(history, numbers), tuple(problems))


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
            claims |= dict.fromkeys(claimed_by(read_attempts(place, known[place.directory])), place.directory)
    for place in runs_of(found, claims):
        yield read_run(place, found.root, known.get(place.directory), progress=progress)


def read_attempts(place: RunPlace, known: Known) -> tuple[RecordedAttempt, ...]:
    """What was recorded, read again only if an event file changed."""
    stamp = stamp_of(place.recordings)
    if stamp != known.stamp:
        known.attempts, known.stamp = read_places(place.recordings), stamp
    return known.attempts


def stamp_of(directories: Sequence[str]) -> tuple[object, ...]:
    """Names, sizes and times of all files in some directories: what changes when there is something new to read."""
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
            found.append((entry.path, status.st_size, status.st_mtime_ns))
    return tuple(found)


def claimed_by(attempts: Sequence[RecordedAttempt]) -> set[str]:
    """Directories that attempts say they wrote checkpoints to."""
    return {os.path.realpath(os.path.dirname(saved.path)) for found in attempts for saved in found.checkpoints}


def _locations(place: RunPlace, root: str) -> tuple[list[Location], list[str]]:
    found: list[Location] = []
    problems = []
    for store in place.stores:
        try:
            found += [location for location in all_in(store) if is_inside(location, root)]
        except CheckpointNotFoundError:
            continue
        except (CkptscopeError, OSError) as error:
            problems.append(str(error))
    if len(found) > MAX_CHECKPOINTS:
        problems.append(f"{len(found):,} checkpoints are here; the newest {MAX_CHECKPOINTS:,} are shown")
    return found[-MAX_CHECKPOINTS:], problems


def is_inside(location: Location, root: str) -> bool:
    """Whether a checkpoint's files, links resolved, lie below ``root``."""
    base = os.path.realpath(root)
    directory = os.path.dirname(location.prefix)
    stem = os.path.basename(location.prefix) + "."
    try:
        members = [name for name in os.listdir(directory) if name.startswith(stem)]
    except OSError:
        return False
    files = [os.path.realpath(os.path.join(directory, name)) for name in members] or [os.path.realpath(location.prefix)]
    return all(os.path.commonpath((base, file)) == base for file in files)


def identity_of(prefix: str, place: RunPlace) -> str:
    """An opaque name for a checkpoint, the same in every process and wherever the root is moved to."""
    relative = os.path.relpath(prefix, place.directory)
    return hashlib.sha256(os.fsencode(f"{place.name}\0{relative}")).hexdigest()[:16]


def _merged(history: RunHistory, numbers: Mapping[str, int], place: RunPlace) -> tuple[CheckpointRow, ...]:
    """Checkpoints found, with what was recorded of each; then those of which only the recording is left."""
    newest: dict[str, SavedCheckpoint] = {}
    every = [saved for found in history.attempts for saved in found.checkpoints]
    for saved in sorted(every, key=lambda item: item.wall_time_s):
        newest[os.path.realpath(saved.path)] = saved
    # A directory that was moved keeps the names of its checkpoints.
    moved = {os.path.basename(saved.path): saved for saved in newest.values()}
    merged, used = [], set()
    for row in history.rows:
        match = newest.get(os.path.realpath(row.path)) or moved.get(os.path.basename(row.path))
        if match is not None:
            used.add(id(match))
        number = None if match is None else numbers.get(match.attempt)
        merged.append(
            CheckpointRow(identity_of(row.path, place), row, "disk" if match is None else "both", match, number)
        )
    merged += [
        CheckpointRow(None, _recorded_row(saved, newest[os.path.realpath(saved.path)] is not saved), "recorded", saved, numbers.get(saved.attempt))
        for saved in every if id(saved) not in used
    ]  # fmt: skip
    return tuple(sorted(merged, key=_by_step))


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
        step=saved.step, batches_consumed=batches, examples_consumed=examples, epoch=epoch, examples_into_epoch=into,
        reasons=dict.fromkeys(unknown, reason),
    )  # fmt: skip
    gone = "was written again later" if was_replaced else "is not here (any more)"
    return HistoryRow(
        None, saved.path, saved.step, position, saved.verdict,
        f"This checkpoint {gone}; what is told of it was recorded when it was written.", None, saved_s=saved.wall_time_s,
    )  # fmt: skip
