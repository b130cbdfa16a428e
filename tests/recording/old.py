"""Recordings as the first releases wrote them: event files, which TensorBoard reads as a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ckptscope.formats.event_file import RecordedBytes, bytes_record, version_record
from ckptscope.recording.columns import COLUMNS, Chunk, encode
from ckptscope.recording.model import Attempt

SEALED_ROWS, PER_TAG = 4096, 8


def old_recording(directory: Path, attempt: Attempt, steps: Sequence[int]) -> Path:
    """Sealed chunks, eight to a tag, and a tail that is written twice."""
    table = {name: np.full(len(steps), -1, np.int64) for name in COLUMNS}
    table["step"] = np.asarray(steps, np.int64)
    table["batches"] = np.arange(1, len(steps) + 1)
    table["wall_time_ms"] = 1_700_000_000_000 + table["batches"]

    def item(kind: str, first: int, last: int, group: str = "") -> bytes:
        rows = {name: column[first:last] for name, column in table.items()}
        data = encode(Chunk(attempt.id, first, rows))
        tag = f"ckptscope/{kind}/{attempt.id}{group}"
        return bytes_record(RecordedBytes(tag, int(table["step"][last - 1]), 1.7e9 + last, data))

    header = json.dumps(attempt.to_jsonable()).encode()
    parts = [
        version_record(1.7e9),
        bytes_record(RecordedBytes(f"ckptscope/run/{attempt.id}", 0, 1.7e9, header)),
    ]
    sealed = len(steps) // SEALED_ROWS
    for number in range(sealed):
        group = f"/{number // PER_TAG:05d}"
        parts.append(item("pos", number * SEALED_ROWS, (number + 1) * SEALED_ROWS, group))
    for last in (len(steps) - 1, len(steps)):
        if last > sealed * SEALED_ROWS:
            parts.append(item("tail", sealed * SEALED_ROWS, last))
    path = directory / "ckptscope" / f"events.out.tfevents.1700000000.host.1.{attempt.id}.1"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    return path
