"""Counts of a recording held against what else is known of them: the state that the next attempt
found in its iterator, the end of a pass, the pipeline's own stages.

A count that something speaks against is put right where the evidence decides, and else becomes a
doubt: unknown with its reason. Recordings of earlier versions need it most; what is known of their
recorders stands here, one function for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ckptscope.recording.columns import UNKNOWN, Column
from ckptscope.recording.model import RecordedAttempt, Start
from ckptscope.recording.parents import rows_before
from ckptscope.recording.positions import MISCOUNTED, delivered_by, place_after, start_of
from ckptscope.recording.steps import batches_of_rows

FIRST_UNTOLD = "whether the restored iterator fed the rest of its epoch, or a new one was made, is not recorded"
GUESSED = (
    "an earlier version of the callback recorded it, which did not know whether fit makes an "
    "iterator for each epoch"
)
NOT_CONFIRMED = (
    "the iterator gave {factor} batches where the recorder counted one; nothing confirms its count"
)
OTHER_SIZE = "batches of the earlier size may lie in the restored iterator's buffers"
OTHER_FILES = "its start was decoded over data files that are not those of the program"
WHICH_EPOCH = "an iterator is made for each epoch, and which epoch it went on with is not recorded"


def reconciled(attempts: Sequence[RecordedAttempt]) -> list[RecordedAttempt]:
    """Attempts in the order in which they started, with counts that nothing speaks against."""
    done: dict[str, RecordedAttempt] = {}
    proven = _uses_restored(attempts)
    for found in attempts:
        parent = done.get(found.attempt.parent or "")
        for step in (
            _without_overshoot,
            _from_decoded_start,
            _with_own_files,
            lambda item: _first_epoch(item, proven),
            _guessed_by_cardinality,
            _of_unknown_iterators,
        ):
            found = step(found)
        if parent is not None:
            found = _iterator_of_an_epoch(_like_the_checkpoint(found, parent), parent)
        done[found.attempt.id] = _with_agreement(_rebased(found))
    return _without_unconfirmed(list(done.values()))


def _with_start(found: RecordedAttempt, start: Start) -> RecordedAttempt:
    return dataclasses.replace(found, attempt=dataclasses.replace(found.attempt, start=start))


def _with_columns(found: RecordedAttempt, **columns: Column) -> RecordedAttempt:
    made: Mapping[str, Column] = {**found.columns, **columns}
    return dataclasses.replace(found, columns=made)


def _per_pass(found: RecordedAttempt) -> int | None:
    """Batches of a pass that ends with a short one, or without it."""
    attempt = found.attempt
    size, epoch_size = attempt.batch_size, attempt.epoch_size
    if not size or not epoch_size:
        return attempt.steps_per_epoch
    return max(1, epoch_size // size if attempt.drops else -(-epoch_size // size))


# ------------------------------------------------------------ one attempt


def _without_overshoot(found: RecordedAttempt) -> RecordedAttempt:
    """Keras 3 reports the last execution of an epoch as full: 10 batches at 4 come as 12."""
    per_pass, batches = _per_pass(found), found.columns["batches"]
    if found.attempt.counting != "epochs" or per_pass is None or not (batches > per_pass).any():
        return found
    made = batches_of_rows(found)
    over = np.maximum(batches - per_pass, 0)
    if (over >= made).any():
        return found  # more than an execution: the size of an epoch is another one
    return _with_columns(
        found, batches=batches - over, step=found.columns["step"] - np.cumsum(over)
    )


def _from_decoded_start(found: RecordedAttempt) -> RecordedAttempt:
    """A start that was decoded later: its rows were counted from 0."""
    start = found.attempt.start
    if start.source != "decoded later" or start.batches is None:
        return found
    return _with_columns(found, batches=found.columns["batches"] + start.batches)


def _with_own_files(found: RecordedAttempt) -> RecordedAttempt:
    """A start whose counts contradict each other was decoded over files that the program does
    not read.
    """
    attempt, start = found.attempt, found.attempt.start
    told = (start.examples, start.epoch, start.into, attempt.epoch_size)
    if start.source != "decoded" or not attempt.files or not attempt.spans or None in told:
        return found
    if (start.epoch or 0) * (attempt.epoch_size or 0) + (start.into or 0) == start.examples:
        return found
    return _with_start(found, Start(reason=OTHER_FILES))


def _guessed_by_cardinality(found: RecordedAttempt) -> RecordedAttempt:
    """Before ``fed`` was recorded, ``fit`` over data of unknown size was taken for one iterator;
    only that callback calls an iterator fresh that goes on from a checkpoint.
    """
    attempt = found.attempt
    is_old = attempt.fed is None and attempt.tool_version not in ("hook", "")
    goes_on = attempt.restored_step is not None or attempt.restored_from is not None
    if (
        not is_old
        or not goes_on
        or attempt.counting != "stream"
        or attempt.start.source != "fresh"
        or attempt.repeats
        or attempt.spans
    ):
        return found
    return _with_start(found, Start(reason=GUESSED))


def _of_unknown_iterators(found: RecordedAttempt) -> RecordedAttempt:
    """Epochs of which the recorder says that it does not know how they begin."""
    attempt, start = found.attempt, found.attempt.start
    if attempt.fed is None or attempt.counting != "epochs" or start.source is not None:
        return found
    return dataclasses.replace(found, doubt=found.doubt or start.reason)


def _first_epoch_ended_at(found: RecordedAttempt) -> int | None:
    """Batches in the last row of the first epoch, if another epoch follows it."""
    epoch = found.columns["epoch"]
    edges = np.flatnonzero(np.diff(epoch))
    return int(found.columns["batches"][edges[0]]) if len(edges) else None


def _counts_from_0_after_restoring(found: RecordedAttempt) -> bool:
    attempt, batches = found.attempt, found.columns["batches"]
    return (
        attempt.counting == "epochs"
        and attempt.start.source in ("decoded", "counted")
        and bool(attempt.start.batches)
        and bool(len(batches))
        and int(batches[0]) <= (attempt.start.batches or 0)
    )


def _is_restored_used(found: RecordedAttempt) -> bool | None:
    """Whether the iterator that was restored fed the rest of its epoch: as many batches were
    missing at its end as that iterator had given. None where the rows do not show it.
    """
    ended, per_pass, given = _first_epoch_ended_at(found), _per_pass(found), found.attempt.start
    if ended is None or per_pass is None or given.batches is None:
        return None
    if ended + given.batches == per_pass:
        return True
    return False if ended == per_pass else None


def _uses_restored(attempts: Sequence[RecordedAttempt]) -> bool | None:
    """What the attempts whose rows show it say of the program; None where they differ."""
    told = {
        _is_restored_used(found) for found in attempts if _counts_from_0_after_restoring(found)
    } - {None}
    return told.pop() if len(told) == 1 else None


def _first_epoch(found: RecordedAttempt, proven: bool | None) -> RecordedAttempt:
    """A loop that went on with a restored iterator, and counted its epoch from 0."""
    if not _counts_from_0_after_restoring(found):
        return found
    shown = _is_restored_used(found)
    used = shown if shown is not None else proven
    if used is None:
        return dataclasses.replace(found, doubt=FIRST_UNTOLD)
    if not used:
        return _with_start(found, dataclasses.replace(found.attempt.start, batches=0, into=0))
    epoch, batches = found.columns["epoch"], found.columns["batches"]
    edges = np.flatnonzero(np.diff(epoch))
    first = np.arange(len(epoch)) <= (edges[0] if len(edges) else len(epoch))
    return _with_columns(
        found, batches=batches + np.where(first, found.attempt.start.batches or 0, 0)
    )


# ------------------------------------------------------------ counted and decoded


def _decoded(found: RecordedAttempt) -> list[tuple[int, int]]:
    """(rows, batches that had left the iterator) of each state that was decoded, in order."""
    notes: list[tuple[Any, Any]] = [(saved.sequence, saved.decoded) for saved in found.checkpoints]
    notes += [(state.get("sequence"), state.get("decoded")) for state in found.states]
    told = {}
    for rows, position in notes:
        batches = position.get("batches_consumed") if isinstance(position, Mapping) else None
        if isinstance(rows, int) and isinstance(batches, int) and 1 <= rows <= found.num_rows:
            told[rows] = batches
    return sorted(told.items())


def _rebased(found: RecordedAttempt) -> RecordedAttempt:
    """Where a decoded state differs from the count, it wins from there; between it and the one
    before nothing is known. Behind the last nothing is, either, unless the difference stayed.
    """
    attempt, counted = found.attempt, found.columns["batches"]
    anchors = _decoded(found)
    if attempt.counting != "stream" or attempt.repeats is False or not anchors:
        return found
    told = counted.copy()
    # A start that was given counts from elsewhere than the iterator does.
    same_base = attempt.start.source in ("decoded", "decoded later", "counted", "fresh")
    rows, shift = (0, 0) if same_base else (anchors[0][0], 0)
    base = 0 if same_base else anchors[0][1] - int(counted[anchors[0][0] - 1])
    steady = True
    for upto, batches in anchors:
        now = batches - base - int(counted[upto - 1])
        steady = now == shift
        told[rows:upto] = counted[rows:upto] + shift if steady else UNKNOWN
        told[upto - 1] = batches - base
        rows, shift = upto, now
    told[rows:] = counted[rows:] + shift if steady else UNKNOWN
    return found if (told == counted).all() else _with_columns(found, batches=told)


def _with_agreement(found: RecordedAttempt) -> RecordedAttempt:
    """Disagreements that were noted by a count which has been put right since are none."""
    if not any(saved.disagreement for saved in found.checkpoints):
        return found
    attempt = found.attempt
    if attempt.start.source != "decoded later":
        # Of a stream the decoded state wins; where iterators come and go none can.
        each = attempt.counting == "epochs" or attempt.repeats is False
        return dataclasses.replace(found, doubt=found.doubt or MISCOUNTED) if each else found
    batches = found.columns["batches"]
    saves = tuple(
        dataclasses.replace(saved, disagreement=None)
        if 1 <= saved.sequence <= found.num_rows
        and (saved.decoded or {}).get("batches_consumed") == batches[saved.sequence - 1]
        else saved
        for saved in found.checkpoints
    )
    return dataclasses.replace(found, checkpoints=saves)


# ------------------------------------------------------------ with the attempt before


def _like_the_checkpoint(found: RecordedAttempt, parent: RecordedAttempt) -> RecordedAttempt:
    """An iterator in the very state of the checkpoint stands where the parent stood there: in
    examples, whatever the size of a batch is now.
    """
    attempt, start = found.attempt, found.attempt.start
    same_size = attempt.batch_size == parent.attempt.batch_size
    if attempt.counting == "epochs" or same_size or None in _sizes(found, parent):
        return found
    if start.source == "decoded" and start.batches:
        return dataclasses.replace(found, doubt=OTHER_SIZE)
    if start.source != "counted":
        return found
    place = place_after(parent, rows_before(parent, attempt))
    if place.examples is None:
        return _with_start(found, Start(reason=OTHER_SIZE))
    found = _with_start(
        found, Start(start.batches, place.examples, place.epoch, place.into, "parent")
    )
    return dataclasses.replace(found, doubt=OTHER_SIZE)


def _sizes(*attempts: RecordedAttempt) -> list[int | None]:
    return [found.attempt.batch_size for found in attempts]


def _iterator_of_an_epoch(found: RecordedAttempt, parent: RecordedAttempt) -> RecordedAttempt:
    """Without a ``repeat`` an iterator ends with its pass: the place that it stands at is one in
    whatever epoch the program went on with.
    """
    attempt, start = found.attempt, start_of(found)
    if (
        attempt.repeats is not False
        or attempt.counting != "stream"
        or attempt.start.source not in ("decoded", "fresh")
        or start.in_epoch is None
    ):
        return found
    left = place_after(parent, rows_before(parent, attempt))
    if left.in_epoch is None:
        return _with_start(found, Start(reason=WHICH_EPOCH))
    at_end = left.into == delivered_by(parent.attempt)
    if left.epoch == start.epoch and not at_end:
        return found
    if start.into == left.into and not at_end:
        begun = Start(None, left.examples, left.epoch, left.into, "parent")
        size, per_pass = attempt.batch_size or 1, _per_pass(found) or 0
        batches = (left.epoch or 0) * per_pass + -(-(left.into or 0) // size)
        shift = batches - (attempt.start.batches or 0)
        found = _with_columns(found, batches=found.columns["batches"] + shift)
        return _with_start(found, dataclasses.replace(begun, batches=batches))
    return _with_start(found, Start(reason=WHICH_EPOCH))


# ------------------------------------------------------------ the next attempt


def _is_confirmed(found: RecordedAttempt) -> bool:
    """A state that was decoded after some rows agrees with their count."""
    batches = found.columns["batches"]
    for saved in found.checkpoints:
        told = (saved.decoded or {}).get("batches_consumed")
        if told is not None and 1 <= saved.sequence <= len(batches):
            return bool(batches[saved.sequence - 1] == told)
    return False


def _without_unconfirmed(attempts: list[RecordedAttempt]) -> list[RecordedAttempt]:
    """Where an iterator that was restored stands a whole factor further than was counted, and the
    same at every restart that went ahead, steps take several batches that the recorder was not
    told of.
    """
    by_id = {found.attempt.id: found for found in attempts}
    ratios = {
        ratio
        for child in attempts
        if (parent := by_id.get(child.attempt.parent or "")) is not None
        and (ratio := _batches_for_one(child, parent)) is not None
    }
    if len(ratios) != 1 or any(map(_is_confirmed, attempts)):
        return attempts
    (factor,) = ratios
    if factor < 2 or factor != int(factor):
        return attempts
    return [
        dataclasses.replace(found, doubt=found.doubt or NOT_CONFIRMED.format(factor=int(factor)))
        for found in attempts
    ]


def _batches_for_one(child: RecordedAttempt, parent: RecordedAttempt) -> float | None:
    """Batches that the iterator gave for each that was counted, where it was not behind; None where
    that cannot be told.
    """
    told, begun = child.attempt.start, parent.attempt.start
    rows = rows_before(parent, child.attempt)
    if (
        told.source != "decoded"
        or told.batches is None
        or begun.batches is None
        or child.attempt.counting != "stream"
        or parent.attempt.counting != "stream"
        or not 0 < rows <= parent.num_rows
        or int(parent.columns["step"][rows - 1]) != child.attempt.restored_step
    ):
        return None
    counted = int(parent.columns["batches"][rows - 1]) - begun.batches
    given = told.batches - begun.batches
    return given / counted if counted > 0 and given >= counted else None
