"""What was read, read twice, or never: intervals of examples in each pass, over attempts and their restarts."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ckptscope.recording.columns import UNKNOWN, Column
from ckptscope.recording.model import Attempt, SourceFile
from ckptscope.recording.reader import RecordedAttempt
from ckptscope.resume.model import EpochRange


@dataclass(frozen=True)
class Positions:
    """Where the data stood after each recorded step, by counting; :data:`UNKNOWN` where it cannot be told.

    Attributes:
        step, batches, examples: the step, and what had left the iterator.
        epoch, into: pass of the last example consumed, and examples consumed of that pass.
        reason: why something is unknown.
    """

    step: Column
    batches: Column
    examples: Column
    epoch: Column
    into: Column
    reason: str | None


@dataclass(frozen=True, slots=True)
class Restart:
    """One attempt that went on from another's checkpoint.

    Attributes:
        dead_steps: steps of the parent after that checkpoint; their updates are gone.
        moved: examples from where the data stood at the checkpoint to where it went on: 0 in place, negative back;
            None where not known.
        repeated: examples that this attempt read although the run's weights had seen them. After an earlier restart
            lost its place, an attempt that goes on in place has some, too.
        skipped: examples that no step had read and that this attempt went past.
        exact_ranges: False where the order of elements is not fixed: the ranges then are those of the frontier.
        reason: why ranges are not known.
    """

    attempt: str
    parent: str
    restored_from: str | None
    step: int | None
    dead_steps: int
    repeated: tuple[EpochRange, ...]
    skipped: tuple[EpochRange, ...]
    exact_ranges: bool
    reason: str | None
    moved: int | None = None


def positions_of(found: RecordedAttempt) -> Positions:
    """Positions by counting, from the start of the attempt."""
    columns = found.columns
    return _positions(found.attempt, columns["step"], columns["epoch"], columns["batches"], columns["examples"])


def _positions(attempt: Attempt, step: Column, epoch: Column, batches: Column, examples: Column) -> Positions:
    unknown = np.full(len(step), UNKNOWN, np.int64)
    if attempt.counting == "epochs":
        return _by_epochs(attempt, step, epoch, batches, unknown)
    start, size = attempt.start, attempt.batch_size
    if start.batches is None:
        return Positions(step, batches, examples, unknown, unknown, start.reason or "the start is not known")
    if len(step) and (examples != UNKNOWN).all():
        return _from_examples(attempt, step, batches, examples, unknown)
    if size is None:
        return Positions(step, batches, unknown, unknown, unknown, "the batch size is not known")
    made = batches - start.batches
    if attempt.spans or attempt.epoch_size is None:
        base = start.examples if start.examples is not None else start.batches * size
        return _from_examples(attempt, step, batches, base + made * size, unknown)
    per_pass, delivered = _pass_of(attempt, size, attempt.epoch_size)
    # Without the place in its pass: as many batches from the first pass on as the iterator has given.
    first = start.batches if start.epoch is None else start.epoch * per_pass + -(-(start.into or 0) // size)
    index = first + made
    passes = np.maximum(index - 1, 0) // per_pass
    into = np.minimum((np.maximum(index - 1, 0) % per_pass + 1) * size, delivered)
    into[index == 0] = 0
    return Positions(step, batches, passes * delivered + into, passes, into, None)


def start_of(attempt: Attempt) -> tuple[int, int] | None:
    """(epoch, into) before the first row of an attempt that counts one stream; None where it is not known."""
    start = attempt.start
    if attempt.counting != "stream" or start.batches is None:
        return None
    one = np.zeros(1, np.int64)
    examples = start.examples if start.examples is not None else UNKNOWN
    found = _positions(attempt, one, one, one + start.batches, one + examples)
    return None if found.reason is not None else (int(found.epoch[0]), int(found.into[0]))


def delivered_by(attempt: Attempt) -> int | None:
    """Examples of a pass that reach the trainer: without the short batch at its end, where that is dropped."""
    size, batch = attempt.epoch_size, attempt.batch_size
    if size and batch and attempt.drops and not attempt.spans:
        return max(1, size // batch) * batch
    return size


def _pass_of(attempt: Attempt, size: int, epoch_size: int) -> tuple[int, int]:
    """(batches, examples) of a pass where batches end with it."""
    if attempt.drops:
        return max(1, epoch_size // size), max(1, epoch_size // size) * size
    return max(1, -(-epoch_size // size)), epoch_size


def _from_examples(attempt: Attempt, step: Column, batches: Column, examples: Column, unknown: Column) -> Positions:
    size = attempt.epoch_size
    if not size:
        if attempt.start.epoch == 0 or attempt.start.examples == 0:
            return Positions(step, batches, examples, unknown * 0, examples, None)
        return Positions(step, batches, examples, unknown, unknown, "the size of an epoch is not known")
    before = np.maximum(examples - 1, 0)
    into = before % size + 1
    into[examples == 0] = 0
    return Positions(step, batches, examples, before // size, into, None)


def _by_epochs(attempt: Attempt, step: Column, epoch: Column, batches: Column, unknown: Column) -> Positions:
    size = attempt.batch_size
    if size is None:
        return Positions(step, batches, unknown, epoch, unknown, "the batch size is not known")
    into = batches * size
    if attempt.epoch_size is not None:
        _, delivered = _pass_of(attempt, size, attempt.epoch_size)
        into = np.minimum(into, delivered)
        return Positions(step, batches, epoch * delivered + into, epoch, into, None)
    return Positions(step, batches, unknown, epoch, into, None)


# ---------------------------------------------------------------------------------------------------- intervals


def reads_of(found: RecordedAttempt, stop: int | None = None) -> list[EpochRange]:
    """What an attempt read in its first ``stop`` rows, one range for each pass."""
    positions = positions_of(found)
    epoch, into = positions.epoch[:stop], positions.into[:stop]
    known = (epoch != UNKNOWN) & (into != UNKNOWN)
    epoch, into = epoch[known], into[known]
    if not len(epoch):
        return []
    start = start_of(found.attempt)
    ends = np.flatnonzero(np.append(np.diff(epoch) != 0, True))
    if found.attempt.spans and start is not None and found.attempt.epoch_size:
        return _passed(start, (int(epoch[-1]), int(into[-1])), found.attempt.epoch_size)
    ranges = []
    for number, last in enumerate(ends):
        first = start[1] if number == 0 and start is not None and start[0] == epoch[last] else 0
        if into[last] > first:
            ranges.append(EpochRange(int(epoch[last]), first, int(into[last])))
    return ranges


def _passed(start: tuple[int, int], stop: tuple[int, int], epoch_size: int) -> list[EpochRange]:
    """All of a stream between two places: where batches run across the end of a pass, no row stands at that end."""
    ranges = [
        EpochRange(epoch, start[1] if epoch == start[0] else 0, stop[1] if epoch == stop[0] else epoch_size)
        for epoch in range(start[0], stop[0] + 1)
    ]
    return [item for item in ranges if item.stop > item.start]


def effective(attempts: Sequence[RecordedAttempt], last: str | None = None) -> list[tuple[RecordedAttempt, int]]:
    """(attempt, rows) pairs whose steps survive in the weights of the last attempt (or the named one), oldest first."""
    by_id = {found.attempt.id: found for found in attempts}
    training = [found for found in attempts if found.attempt.kind == "train"]
    current = by_id.get(last or "") or (training[-1] if training else None)
    chain: list[tuple[RecordedAttempt, int]] = []
    stop: int | None = None
    seen = set()
    while current is not None and current.attempt.id not in seen:
        seen.add(current.attempt.id)
        chain.append((current, current.num_rows if stop is None else stop))
        parent = by_id.get(current.attempt.parent or "")
        stop = None if parent is None else rows_before(parent, current.attempt)
        current = parent
    return chain[::-1]


def rows_before(parent: RecordedAttempt, child: Attempt) -> int:
    """How many rows of the parent the child's checkpoint holds."""
    name = os.path.basename(child.restored_from or "")
    for saved in reversed(parent.checkpoints):
        if (name and os.path.basename(saved.path) == name) or (not name and saved.step == child.restored_step):
            return saved.sequence
    if child.restored_step is not None:
        return int(np.searchsorted(parent.columns["step"], child.restored_step, side="right"))
    return parent.num_rows


def overlaps(reads: Iterable[EpochRange]) -> tuple[EpochRange, ...]:
    """What lies in more than one range."""
    return tuple(item for item, count in _swept(reads) if count > 1)


def holes(reads: Iterable[EpochRange], epoch_size: int | None) -> tuple[EpochRange, ...]:
    """What lies in no range, before the furthest one of all."""
    by_epoch: dict[int, list[EpochRange]] = defaultdict(list)
    for item in reads:
        by_epoch[item.epoch].append(item)
    missing = []
    last = max(by_epoch, default=-1)
    for epoch in range(last + 1):
        ranges = sorted(by_epoch.get(epoch, ()), key=lambda item: item.start)
        position = 0
        for item in ranges:
            if item.start > position:
                missing.append(EpochRange(epoch, position, item.start))
            position = max(position, item.stop)
        if epoch < last and epoch_size is not None and position < epoch_size:
            missing.append(EpochRange(epoch, position, epoch_size))
    return tuple(missing)


def without(ranges: Iterable[EpochRange], others: Iterable[EpochRange]) -> tuple[EpochRange, ...]:
    """What lies in ``ranges`` and in none of ``others``."""
    by_epoch: dict[int, list[EpochRange]] = defaultdict(list)
    for item in merged(others):
        by_epoch[item.epoch].append(item)
    rest = []
    for item in ranges:
        position = item.start
        for other in by_epoch.get(item.epoch, ()):
            if other.stop <= position or other.start >= item.stop:
                continue
            if other.start > position:
                rest.append(EpochRange(item.epoch, position, other.start))
            position = other.stop
        if position < item.stop:
            rest.append(EpochRange(item.epoch, position, item.stop))
    return tuple(rest)


def _swept(reads: Iterable[EpochRange]) -> list[tuple[EpochRange, int]]:
    """Disjoint ranges with the number of ranges that cover each, in order."""
    edges: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for item in reads:
        edges[item.epoch][item.start] += 1
        edges[item.epoch][item.stop] -= 1
    found: list[tuple[EpochRange, int]] = []
    for epoch in sorted(edges):
        count, before = 0, 0
        for at in sorted(edges[epoch]):
            if count and at > before:
                if found and found[-1][1] == count and found[-1][0].epoch == epoch and found[-1][0].stop == before:
                    found[-1] = (EpochRange(epoch, found[-1][0].start, at), count)
                else:
                    found.append((EpochRange(epoch, before, at), count))
            count, before = count + edges[epoch][at], at
    return found


def coverage(reads: Iterable[EpochRange]) -> tuple[tuple[EpochRange, int], ...]:
    """How often each part of each pass was read; parts that were not read are left out."""
    return tuple(_swept(reads))


def in_files(item: EpochRange, files: Sequence[SourceFile]) -> list[tuple[str, int, int]]:
    """(file, first record, record after the last) of a range of examples, where files are read in order."""
    found, position = [], 0
    for file in files:
        if file.num_records is None:
            return []
        first, last = max(item.start, position), min(item.stop, position + file.num_records)
        if first < last:
            found.append((file.path, first - position, last - position))
        position += file.num_records
    return found


# ---------------------------------------------------------------------------------------------------- restarts


def restarts_of(attempts: Sequence[RecordedAttempt]) -> tuple[Restart, ...]:
    """What each restart cost."""
    by_id = {found.attempt.id: found for found in attempts}
    return tuple(
        _restart(found, parent, attempts)
        for found in attempts
        if (parent := by_id.get(found.attempt.parent or "")) is not None
    )


def _restart(found: RecordedAttempt, parent: RecordedAttempt, attempts: Sequence[RecordedAttempt]) -> Restart:
    attempt = found.attempt
    stop = rows_before(parent, attempt)
    step = attempt.restored_step
    if step is None and 0 < stop <= parent.num_rows:
        step = int(parent.columns["step"][stop - 1])
    chain = effective(attempts, attempt.id)
    known = [reads_of(item, rows) for item, rows in chain]
    before = [item for reads in known[:-1] for item in reads]
    reason = next((p.reason for item, _ in chain if (p := positions_of(item)).reason is not None), None)
    if reason is None:
        reason = _incomplete(chain)
    repeated: tuple[EpochRange, ...] = ()
    skipped: tuple[EpochRange, ...] = ()
    if reason is None:
        own = known[-1]
        repeated = tuple(item for item in overlaps([*merged(before), *merged(own)]))
        skipped = without(holes([*before, *own], attempt.epoch_size), holes(before, attempt.epoch_size))
    return Restart(
        attempt.id, parent.attempt.id, attempt.restored_from, step, parent.num_rows - stop, repeated, skipped,
        all(item.attempt.order == "fixed" for item, _ in chain), reason, _moved(parent, stop, found) if reason is None else None,
    )  # fmt: skip


def _moved(parent: RecordedAttempt, rows: int, child: RecordedAttempt) -> int | None:
    """Examples between the end of the parent's kept rows and the beginning of the child."""
    left, begun = place_after(parent, rows), place_after(child, 0)
    if left is None or begun is None:
        return None
    size = delivered_by(child.attempt)
    if size is None:
        return begun[1] - left[1] if left[0] == begun[0] else None
    return (begun[0] - left[0]) * size + begun[1] - left[1]


def place_after(found: RecordedAttempt, rows: int) -> tuple[int, int] | None:
    """(epoch, examples into it) after so many rows of an attempt; None where it is not known."""
    positions = positions_of(found)
    if rows and rows <= found.num_rows:
        place = int(positions.epoch[rows - 1]), int(positions.into[rows - 1])
    elif found.attempt.counting == "stream":
        return start_of(found.attempt)
    elif found.num_rows:  # the first of its iterators began where its first batch was taken
        place = int(positions.epoch[0]), 0
    else:
        return None
    return None if UNKNOWN in place else place


def _incomplete(chain: Sequence[tuple[RecordedAttempt, int]]) -> str | None:
    """Why the recording does not hold all that the weights have seen: nothing may be called skipped then."""
    for number, (found, rows) in enumerate(chain):
        if found.missing or found.problems or found.gaps:
            return f"the recording of attempt {found.attempt.id} is damaged or has gaps"
        until = chain[number + 1][0].attempt.restored_step if number + 1 < len(chain) else None
        if until is not None and (rows == 0 or int(found.columns["step"][rows - 1]) < until):
            return f"the last steps of attempt {found.attempt.id} before step {until:,} were not written"
    return None


def merged(reads: Iterable[EpochRange]) -> list[EpochRange]:
    """The union of ranges."""
    found: list[EpochRange] = []
    for item, _ in _swept(reads):
        if found and found[-1].epoch == item.epoch and found[-1].stop == item.start:
            found[-1] = EpochRange(item.epoch, found[-1].start, item.stop)
        else:
            found.append(item)
    return found
