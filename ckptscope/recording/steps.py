"""How many steps the rows of a recording hold: with ``steps_per_execution`` a row holds several."""

from __future__ import annotations

import numpy as np

from ckptscope.recording.columns import Column
from ckptscope.recording.model import RecordedAttempt


def steps_of_rows(found: RecordedAttempt) -> Column:
    """Steps that each row holds: as many as the step rose by, where as many batches were taken.

    A loop that takes several batches for a step, or counts in a unit of its own, makes one step a
    row."""
    steps = found.columns["step"]
    if not len(steps):
        return np.zeros(0, np.int64)
    rose = np.diff(steps, prepend=np.int64(found.attempt.restored_step or 0))
    return np.where((rose > 1) & (rose == batches_of_rows(found)), rose, 1)


def batches_of_rows(found: RecordedAttempt) -> Column:
    """Batches that each row took."""
    batches, epoch = found.columns["batches"], found.columns["epoch"]
    if not len(batches):
        return np.zeros(0, np.int64)
    start = found.attempt.start.batches or 0
    first = start if batches[0] > start else 0
    made = np.diff(batches, prepend=np.int64(first))
    if found.attempt.counting == "epochs":
        begins = np.diff(epoch, prepend=np.int64(epoch[0])) != 0
        made = np.where(begins, batches, made)
    return made


def num_steps(found: RecordedAttempt, first: int = 0) -> int:
    """Steps in the rows from ``first`` on."""
    return int(steps_of_rows(found)[first:].sum())


def first_step(found: RecordedAttempt) -> int | None:
    """The first step that was made; None where there is none."""
    if not found.num_rows:
        return None
    return int(found.columns["step"][0] - steps_of_rows(found)[0] + 1)
