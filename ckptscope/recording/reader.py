"""Recorded attempts out of event files, without TensorBoard."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ckptscope.checkpoint.run_record import SUFFIX, stages_told
from ckptscope.errors import CkptscopeError, UnsupportedFormatError
from ckptscope.formats.event_file import RecordedBytes, read_bytes_of
from ckptscope.recording.columns import COLUMNS, UNKNOWN, Chunk, Column, decode
from ckptscope.recording.journal_files import is_recording, recordings_in
from ckptscope.recording.model import SCHEMA_VERSION, RecordedAttempt
from ckptscope.recording.notes import attempt_from, checkpoint_from, gap_from
from ckptscope.recording.parents import with_parents
from ckptscope.recording.raw_starts import raw_states, with_raw_starts
from ckptscope.recording.reconciliation import reconciled

_PREFIX = "ckptscope/"


@dataclass
class _Collected:
    headers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    chunks: dict[tuple[int, int], Chunk] = field(default_factory=dict)
    notes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def newest_header(self) -> dict[str, Any]:
        """The one that counts; empty where there is none."""
        return max(self.headers, key=lambda pair: pair[0], default=(0, {}))[1]


def read_recording(directory: str) -> tuple[RecordedAttempt, ...]:
    """All attempts that were recorded in or below a directory, in the order in which they started.

    What is damaged becomes a problem of its attempt; what TensorBoard would not show is read all
    the same."""
    return read_places(recordings_in(directory))


def read_places(places: Iterable[str], *, within: str | None = None) -> tuple[RecordedAttempt, ...]:
    """As :func:`read_recording`, of event files in these very directories.

    Args:
        within: files that are links to somewhere outside of this directory are left out.
    """
    base, places = None if within is None else os.path.realpath(within), list(places)
    collected: dict[str, _Collected] = {}
    for place in places:
        for path in event_files(place):
            if base is not None and os.path.commonpath((base, os.path.realpath(path))) != base:
                continue
            name = os.path.basename(path)
            last, step = "", None
            try:
                for item in read_bytes_of(path, _PREFIX):
                    last, step = _collect(item, collected) or last, item.step
            except (CkptscopeError, OSError) as error:
                rest = (
                    "nothing of this file"
                    if step is None
                    else f"nothing of this file after step {step:,}"
                )
                # The writer's attempt is in the file's name, wherever the damage lies.
                found = collected.setdefault(last or name.split(".")[-2], _Collected())
                found.problems.append(f"{error}; {rest} could be read")
    return from_collected(collected, places, base)


def event_files(place: str) -> list[str]:
    """Event files of a directory; none where it is gone."""
    try:
        names = sorted(filter(is_recording, os.listdir(place)))
    except OSError:
        return []
    # A pipe would be waited for.
    return [path for name in names if os.path.isfile(path := os.path.join(place, name))]


def collect_tensors(items: Iterator[RecordedBytes]) -> tuple[RecordedAttempt, ...]:
    """Attempts from tensors that somebody else has read: TensorBoard's data provider."""
    collected: dict[str, _Collected] = {}
    for item in items:
        _collect(item, collected)
    return from_collected(collected)


def from_collected(
    collected: Mapping[str, _Collected], places: Sequence[str] = (), within: str | None = None
) -> tuple[RecordedAttempt, ...]:
    """Attempts in the order in which they started, with what their counts are worth.

    Args:
        places: directories that the recording was read from; run records beside the checkpoints of
            the directory above are asked what earlier versions did not record.
        within: files that are links to somewhere outside of it are not opened.
    """
    attempts = [
        _attempt(name, found)
        for name, found in collected.items()
        if found.headers or found.chunks or found.problems
    ]
    attempts.sort(key=lambda found: (found.attempt.started_s, found.attempt.id))
    attempts = list(with_parents(list(_with_raw_starts(collected, attempts))))
    return tuple(reconciled([_with_stages(found, places, within) for found in attempts]))


def _with_stages(
    found: RecordedAttempt, places: Sequence[str], within: str | None
) -> RecordedAttempt:
    """An attempt of an earlier version, with the stages of its pipeline as a run record has them."""
    attempt = found.attempt
    if attempt.fed is not None or attempt.tool_version in ("", "hook"):
        return found
    for saved in found.checkpoints:
        for place in places:
            name = os.path.join(os.path.dirname(place), os.path.basename(saved.path)) + SUFFIX
            ops = stages_told(name, attempt.id, within)
            if ops is not None:
                repeats = any("Repeat" in op for op in ops)
                attempt = dataclasses.replace(attempt, repeats=repeats)
                return dataclasses.replace(found, attempt=attempt)
    return found


def _collect(item: RecordedBytes, collected: dict[str, _Collected]) -> str | None:
    """Put one tensor where it belongs; returns its attempt."""
    parts = item.tag.removeprefix(_PREFIX).split("/")
    if len(parts) < 2:
        return None
    kind, name = parts[0], parts[1]
    found = collected.setdefault(name, _Collected())
    try:
        if kind in ("pos", "tail"):
            chunk = decode(item.data)
            if chunk.attempt == name and chunk.num_rows:
                found.chunks[chunk.first, chunk.num_rows] = chunk
        else:
            value = json.loads(item.data)
            if not isinstance(value, dict):
                raise ValueError("no object")
            if kind == "run":
                found.headers.append((item.step, value))
            else:
                found.notes.setdefault(kind, []).append(value)
    except (CkptscopeError, ValueError, RecursionError) as error:
        found.problems.append(f"{item.tag} at step {item.step}: {error}")
    return name


def _attempt(name: str, found: _Collected) -> RecordedAttempt:
    problems = list(found.problems)
    header = found.newest_header
    schema = header.get("schema", SCHEMA_VERSION)
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        problems.append(
            str(UnsupportedFormatError("recorded by a later version; update ckptscope"))
        )
    attempt = attempt_from(header, name, problems)
    columns, missing = _joined(found.chunks)
    if attempt.started_s == 0.0 and len(columns["wall_time_ms"]):
        attempt = dataclasses.replace(attempt, started_s=float(columns["wall_time_ms"][0]) / 1000)
    saved = [checkpoint_from(note, name, problems) for note in found.notes.get("ckpt", ())]
    gaps = [gap_from(note, name, problems) for note in found.notes.get("gap", ())]
    return RecordedAttempt(
        attempt=attempt,
        columns=columns,
        checkpoints=tuple(item for item in saved if item is not None),
        states=tuple(found.notes.get("state", ())),
        gaps=tuple(item for item in gaps if item is not None),
        missing=missing,
        problems=tuple(problems),
    )


def _with_raw_starts(
    collected: Mapping[str, _Collected], attempts: list[RecordedAttempt]
) -> Iterator[RecordedAttempt]:
    """Attempts with the starts that their stored states tell."""
    states, told = {}, []
    for found in attempts:
        stored = collected[found.attempt.id]
        problems = list(found.problems)
        states[found.attempt.id] = raw_states(
            stored.notes.get("raw", []), stored.newest_header, problems
        )
        told.append(dataclasses.replace(found, problems=tuple(problems)))
    return with_raw_starts(told, states)


def _joined(chunks: Mapping[tuple[int, int], Chunk]) -> tuple[dict[str, Column], int]:
    """Columns of all rows, each once, by sequence number; and how many are missing between them."""
    pieces: dict[str, list[Column]] = {name: [] for name in COLUMNS}
    position = missing = 0
    for (first, count), chunk in sorted(chunks.items(), key=lambda item: (item[0][0], -item[0][1])):
        if first + count <= position:
            continue
        missing += max(0, first - position)
        skip = max(0, position - first)
        for name, column in pieces.items():
            values = chunk.columns.get(name)
            column.append(
                values[skip:] if values is not None else np.full(count - skip, UNKNOWN, np.int64)
            )
        position = first + count
    return {
        name: np.concatenate(column) if column else np.zeros(0, np.int64)
        for name, column in pieces.items()
    }, missing
