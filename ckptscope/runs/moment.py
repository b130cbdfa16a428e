"""Where the data stood after one step of an attempt, and the pipeline at the newest checkpoint
until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ckptscope.inspection import Inspection, StageInfo
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.lineage import effective
from ckptscope.recording.model import RecordedAttempt
from ckptscope.recording.positions import positions_of
from ckptscope.runs.model import CheckpointRow, Run
from ckptscope.runs.plot import next_records

_DECODED = ("batches_consumed", "examples_consumed", "epoch", "examples_into_epoch")


@dataclass(frozen=True, slots=True)
class Moment:
    """One recorded step, as counted.

    Attributes:
        file, record: of the next example, where files are read in order.
        is_effective: the step survives in the last weights; None for an evaluation.
        decoded: the newest position until then that was read out of an iterator's state, with its
            ``step``.
        checkpoint: the newest one until then that can be opened.
    """

    attempt: RecordedAttempt
    number: int
    step: int
    wall_time_s: float | None
    batches: int | None
    examples: int | None
    epoch: int | None
    examples_into_epoch: int | None
    file: str | None
    record: int | None
    reason: str | None
    is_effective: bool | None
    decoded: Mapping[str, Any] | None
    disagreement: str | None
    checkpoint: CheckpointRow | None


def moment_of(run: Run, attempt: str, step: int) -> Moment:
    """The newest recorded step until ``step``.

    Raises:
        KeyError: no such attempt, or it has no step until then.
    """
    found = run.attempt(attempt)
    steps = found.columns["step"]
    until = steps[steps <= step]
    if not len(until):
        raise KeyError(step)
    row = int(np.flatnonzero(steps == until.max())[-1])
    positions = positions_of(found)
    kept = {item.attempt.id: rows for item, rows in effective(run.history.attempts)}
    file, record = next_records(found, positions.into[row : row + 1])
    number = None if file is None else _known(file[0])
    at = int(steps[row])
    decoded, disagreement = _decoded(found, at)
    return Moment(
        found,
        run.numbers[attempt],
        at,
        _seconds(found, row),
        _known(positions.batches[row]),
        _known(positions.examples[row]),
        _known(positions.epoch[row]),
        _known(positions.into[row]),
        None if number is None else found.attempt.files[number].path,
        None if record is None else _known(record[0]),
        positions.reason,
        row < kept.get(attempt, 0) if found.attempt.kind == "train" else None,
        decoded,
        disagreement,
        _checkpoint(run, found, at),
    )


def _known(value: Any) -> int | None:
    return None if value == UNKNOWN else int(value)


def _seconds(found: RecordedAttempt, row: int) -> float | None:
    value = _known(found.columns["wall_time_ms"][row])
    return None if value is None else value / 1000


def _decoded(found: RecordedAttempt, step: int) -> tuple[Mapping[str, Any] | None, str | None]:
    """The newest decoded position, of a checkpoint or of a look between them, and how counting
    differed.
    """
    looks = [
        (state.get("step"), state.get("decoded"), state.get("disagreement"))
        for state in found.states
    ]
    looks += [(saved.step, saved.decoded, saved.disagreement) for saved in found.checkpoints]
    known = [
        (at, value, told)
        for at, value, told in looks
        if isinstance(at, int)
        and at <= step
        and value
        and any(value.get(name) is not None for name in _DECODED)
    ]
    if not known:
        return None, None
    at, value, told = max(known, key=lambda item: item[0])
    return {"step": at, **{name: value.get(name) for name in _DECODED}}, told


def _checkpoint(run: Run, found: RecordedAttempt, step: int) -> CheckpointRow | None:
    """The newest of this attempt, or of the parts of others that it goes on from."""
    kept = {
        item.attempt.id: rows for item, rows in effective(run.history.attempts, found.attempt.id)
    }
    known = [
        row
        for row in run.checkpoints
        if row.id is not None
        and row.step is not None
        and row.step <= step
        and (row.saved is None or row.saved.sequence <= kept.get(row.saved.attempt, -1))
    ]
    return max(known, key=lambda row: row.step or 0, default=None)


def training_stages(found: Inspection) -> tuple[StageInfo, ...]:
    """Stages of the iterator that feeds the training; of several the one that agrees with the
    run's position.
    """
    decoded = [iterator for iterator in found.iterators if iterator.decoded]
    consumed = found.resume.position.batches_consumed
    agreeing = [
        item
        for item in decoded
        if consumed is not None and item.position.batches_consumed == consumed
    ]
    chosen = agreeing or decoded
    return chosen[0].stages if chosen else ()
