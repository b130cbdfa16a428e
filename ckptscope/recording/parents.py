"""Which attempt a recorded one goes on from: told by the checkpoint that it restored, else as
its steps suggest.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from ckptscope.recording.model import Attempt, RecordedAttempt, SavedCheckpoint


def with_parents(attempts: Sequence[RecordedAttempt]) -> Iterator[RecordedAttempt]:
    """Attempts, in the order in which they started, with their parents."""
    done: list[RecordedAttempt] = []
    for found in attempts:
        attempt = found.attempt
        was_told = attempt.restored_step is not None or attempt.restored_from is not None
        if not was_told:
            attempt = dataclasses.replace(attempt, restored_step=_step_before(found))
        told = attempt.parent if attempt.parent is not None else _writer_of(attempt, done)
        if told is not None and _process_of(told, done) not in (None, attempt.process):
            told = None  # a checkpoint of several hosts is written by one of them
        parent = told if told is not None else _reached(attempt, done, was_told)
        attempt = dataclasses.replace(
            attempt, parent=parent, parent_inferred=told is None and parent is not None
        )
        found = dataclasses.replace(found, attempt=attempt)
        done.append(found)
        yield found


def _step_before(found: RecordedAttempt) -> int | None:
    """The step before the first row; rows may be several steps apart. None for a run that
    begins.
    """
    steps = found.columns["step"][:2].tolist()
    if not steps:
        return None
    if found.columns["batches"][0] - (found.attempt.start.batches or 0) == steps[0]:
        return None  # its first row holds all steps until then
    before = int(steps[0] - max(1, steps[1] - steps[0] if len(steps) > 1 else 1))
    return before if before > 0 else None


def _process_of(identity: str, attempts: Sequence[RecordedAttempt]) -> int | None:
    return next((found.attempt.process for found in attempts if found.attempt.id == identity), None)


def _writer_of(attempt: Attempt, before: Sequence[RecordedAttempt]) -> str | None:
    """The newest attempt that wrote the checkpoint which was restored."""
    if attempt.restored_from is None:
        return None
    every = [(found.attempt.id, saved) for found in reversed(before) for saved in found.checkpoints]
    path = os.path.normpath(attempt.restored_from)
    writers = [identity for identity, saved in every if os.path.normpath(saved.path) == path]
    if writers:
        return writers[0]
    # Spelled otherwise; a name alone may be that of many: directories of one step each hold one.
    named = [(identity, saved) for identity, saved in every if _may_be(saved, attempt)]
    return named[0][0] if named and len({saved.path for _, saved in named}) == 1 else None


def _may_be(saved: SavedCheckpoint, attempt: Attempt) -> bool:
    same_name = os.path.basename(saved.path) == os.path.basename(attempt.restored_from or "")
    return same_name and attempt.restored_step in (None, saved.step)


def _reached(attempt: Attempt, before: Sequence[RecordedAttempt], was_told: bool) -> str | None:
    """The newest attempt of the same kind and process that reached the step from which this one
    goes on.

    Where that step was told, also one whose last steps were not written.
    """
    step = attempt.restored_step
    if step is None:
        return None
    alike = [
        found
        for found in reversed(before)
        if (found.attempt.kind, found.attempt.process) == (attempt.kind, attempt.process)
        and found.num_rows
        and int(found.columns["step"][0]) - 1 <= step
    ]
    reached = [found for found in alike if int(found.columns["step"].max()) >= step]
    return next((found.attempt.id for found in (reached or (alike if was_told else []))), None)


def rows_before(parent: RecordedAttempt, child: Attempt) -> int:
    """How many rows of the parent the child's checkpoint holds."""
    name, step = child.restored_from, child.restored_step
    saved = [
        item for item in parent.checkpoints if name is not None and is_same_file(item.path, name)
    ]
    if not saved:
        # Written elsewhere, or named otherwise; a name alone may be that of many: step directories
        # hold one each.
        names = [
            item
            for item in parent.checkpoints
            if os.path.basename(item.path) == os.path.basename(name or "")
        ]
        saved = [
            item
            for item in (names if name else parent.checkpoints)
            if step is None or item.step == step
        ]
        saved = saved if len({item.path for item in saved}) == 1 else []
    if saved:
        return min(saved[-1].sequence, parent.num_rows)
    if step is not None:
        until = np.flatnonzero(parent.columns["step"] <= step)
        return int(until[-1]) + 1 if len(until) else 0
    return parent.num_rows


def is_same_file(first: str, second: str) -> bool:
    """Whether two paths are spelled alike, apart from dots and doubled slashes."""
    return os.path.normpath(first) == os.path.normpath(second)
