"""Which steps survive in the weights, and what each restart read twice or never.

Ranges are examples of each pass. Where the size of a pass is not known, a stream counts as one long pass 0, and
``Restart.in_epochs`` is False.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.intervals import holes, within, without
from ckptscope.recording.model import Attempt, RecordedAttempt
from ckptscope.recording.positions import NO_EPOCH_SIZE, delivered_by, place_after, positions_of, start_of
from ckptscope.resume.model import EpochRange

Chain = list[tuple[RecordedAttempt, int]]
# Ranges are lists of passes; a damaged number could ask for any length.
_MOST_EPOCHS = 1_000_000
_TOO_MANY = f"more than {_MOST_EPOCHS:,} epochs are not told as ranges"


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
        in_epochs: False where they are of the whole stream, because the size of a pass is not known.
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
    in_epochs: bool = True


def processes(attempts: Sequence[RecordedAttempt]) -> set[int]:
    """Numbers of the hosts that recorded the training."""
    return {found.attempt.process for found in attempts if found.attempt.kind == "train"}


def effective(attempts: Sequence[RecordedAttempt], last: str | None = None) -> Chain:
    """(attempt, rows) pairs whose steps survive in the last weights, oldest first.

    Args:
        last: the attempt whose weights are meant; by default the last one that trained, of each host.
    """
    by_id = {found.attempt.id: found for found in attempts}
    if last is not None:
        return _chain(by_id, by_id[last])
    chains = [
        _chain(by_id, newest) for process in sorted(processes(attempts)) if (newest := _newest(attempts, process))
    ]
    return [pair for chain in chains for pair in chain]


def _newest(attempts: Sequence[RecordedAttempt], process: int) -> RecordedAttempt | None:
    """The last attempt of a host; one that has only just begun, and says not where, changes nothing yet."""
    training = [found for found in attempts if found.attempt.kind == "train" and found.attempt.process == process]
    begun = [found for found in training if found.num_rows or found.attempt.parent is not None]
    return begun[-1] if begun else training[-1] if training else None


def _chain(by_id: dict[str, RecordedAttempt], current: RecordedAttempt | None) -> Chain:
    chain: Chain = []
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
    name, step = child.restored_from, child.restored_step
    saved = [item for item in parent.checkpoints if name is not None and is_same_file(item.path, name)]
    if not saved:
        # Written elsewhere, or named otherwise; a name alone may be that of many: step directories hold one each.
        names = [item for item in parent.checkpoints if os.path.basename(item.path) == os.path.basename(name or "")]
        saved = [item for item in (names if name else parent.checkpoints) if step is None or item.step == step]
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


def reads_of(found: RecordedAttempt, stop: int | None = None) -> list[EpochRange]:
    """What an attempt read in its first ``stop`` rows, one range for each pass."""
    attempt, positions, start = found.attempt, positions_of(found), start_of(found)
    if delivered_by(attempt) is None and attempt.counting == "stream":
        examples = positions.examples[:stop]
        known = len(examples) and start.examples is not None and int(examples[-1]) > start.examples
        return [EpochRange(0, start.examples or 0, int(examples[-1]))] if known else []
    epoch, into = positions.epoch[:stop], positions.into[:stop]
    known = (epoch != UNKNOWN) & (into != UNKNOWN)
    epoch, into = epoch[known], into[known]
    if not len(epoch) or int(epoch.max()) > _MOST_EPOCHS:
        return []
    place = start.in_epoch
    if attempt.spans and place is not None and attempt.epoch_size:
        return _passed(place, (int(epoch[-1]), int(into[-1])), attempt.epoch_size)
    ends = np.flatnonzero(np.append(np.diff(epoch) != 0, True))
    ranges = []
    for number, last in enumerate(ends):
        first = place[1] if number == 0 and place is not None and place[0] == epoch[last] else 0
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


# ---------------------------------------------------------------------------------------------------- restarts


def restarts_of(attempts: Sequence[RecordedAttempt]) -> tuple[Restart, ...]:
    """What each restart of the training cost."""
    by_id = {found.attempt.id: found for found in attempts}
    known: dict[tuple[str, int], list[EpochRange]] = {}
    return tuple(
        _restart(found, parent, _chain(by_id, found), known)
        for found in attempts
        if found.attempt.kind == "train" and (parent := by_id.get(found.attempt.parent or "")) is not None
    )


def _restart(
    found: RecordedAttempt, parent: RecordedAttempt, chain: Chain, known: dict[tuple[str, int], list[EpochRange]]
) -> Restart:
    attempt = found.attempt
    stop = rows_before(parent, attempt)
    step = attempt.restored_step
    if step is None and 0 < stop <= parent.num_rows:
        step = int(parent.columns["step"][stop - 1])
    reason = next((why for item, _ in chain if (why := _why_unknown(item)) is not None), None) or _incomplete(chain)
    repeated: tuple[EpochRange, ...] = ()
    skipped: tuple[EpochRange, ...] = ()
    if reason is None:
        for item, rows in chain:
            if (item.attempt.id, rows) not in known:
                known[item.attempt.id, rows] = reads_of(item, rows)
        before = [one for item, rows in chain[:-1] for one in known[item.attempt.id, rows]]
        own = known[found.attempt.id, chain[-1][1]]
        size = delivered_by(attempt)
        repeated = within(before, own)
        skipped = without(holes([*before, *own], size), holes(before, size))
    return Restart(
        attempt.id, parent.attempt.id, attempt.restored_from, step, parent.num_rows - stop, repeated, skipped,
        all(item.attempt.order == "fixed" for item, _ in chain), reason,
        _moved(parent, stop, found) if reason is None else None,
        delivered_by(attempt) is not None or attempt.counting == "epochs",
    )  # fmt: skip


def _why_unknown(found: RecordedAttempt) -> str | None:
    """Why it is not known what an attempt read; without the size of a pass a stream still has its order."""
    positions = positions_of(found)
    reason = positions.reason
    if len(positions.epoch) and int(positions.epoch.max()) > _MOST_EPOCHS:
        return _TOO_MANY
    return None if reason == NO_EPOCH_SIZE and start_of(found).examples is not None else reason


def _moved(parent: RecordedAttempt, rows: int, child: RecordedAttempt) -> int | None:
    """Examples between the end of the parent's kept rows and the beginning of the child."""
    left, begun = place_after(parent, rows), start_of(child)
    size = delivered_by(child.attempt)
    if size is not None and left.in_epoch is not None and begun.in_epoch is not None:
        return (begun.in_epoch[0] - left.in_epoch[0]) * size + begun.in_epoch[1] - left.in_epoch[1]
    if left.in_epoch is not None and begun.in_epoch is not None and left.epoch == begun.epoch:
        return begun.in_epoch[1] - left.in_epoch[1]
    return None if left.examples is None or begun.examples is None else begun.examples - left.examples


def _incomplete(chain: Chain) -> str | None:
    """Why the recording does not hold all that the weights have seen: nothing may be called skipped then."""
    for number, (found, rows) in enumerate(chain):
        if found.missing or found.problems or found.gaps:
            return f"the recording of attempt {found.attempt.id} is damaged or has gaps"
        until = chain[number + 1][0].attempt.restored_step if number + 1 < len(chain) else None
        if until is not None and (rows == 0 or int(found.columns["step"][rows - 1]) < until):
            return f"the last steps of attempt {found.attempt.id} before step {until:,} were not written"
    return None
