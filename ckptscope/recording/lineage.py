"""Which steps survive in the weights, and what each restart read twice or never.

What was read is told as spans of the whole stream, see :mod:`ckptscope.recording.intervals`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.intervals import (
    Span,
    holes,
    in_epochs,
    num_epochs,
    swept,
    union,
    within,
    without,
)
from ckptscope.recording.model import Attempt, RecordedAttempt
from ckptscope.recording.parents import rows_before
from ckptscope.recording.positions import (
    MISCOUNTED,
    NO_EPOCH_SIZE,
    delivered_by,
    first_into,
    place_after,
    positions_of,
    start_of,
)
from ckptscope.recording.steps import num_steps
from ckptscope.resume.model import EpochRange, describe_ranges

Chain = list[tuple[RecordedAttempt, int]]
# Where each epoch has an iterator of its own and its size is not known, epochs are told apart by so
# much.
_FAR = 1 << 40


@dataclass(frozen=True, slots=True)
class Restart:
    """One attempt that went on from another's checkpoint.

    Attributes:
        dead_steps: steps of the parent after that checkpoint that its rows show; their updates are
            gone.
        dead_steps_complete: its end was written; else it may have made more, which were not
            written any more.
        order_again: in place, but this process draws the orders of its passes anew: ``first``
            where they are those of the first passes again, ``new`` where they are others; None
            where the order goes on, or that is not known.
        repeated_spans: what this attempt read, in all its steps, although the run's weights had
            seen it. After an earlier restart lost its place, an attempt that goes on in place has
            some, too.
        skipped_spans: what no step had read and this attempt went past.
        exact_ranges: False where the order of elements is not fixed: the spans then are those of
            the frontier.
        reason: why they are not known.
        moved: examples from where the data stood at the checkpoint to where it went on: 0 in place,
            negative back; None where not known.
        epoch_size: that spans are cut into passes by; None where they are of one long stream.
    """

    attempt: str
    parent: str
    restored_from: str | None
    step: int | None
    dead_steps: int
    repeated_spans: tuple[Span, ...]
    skipped_spans: tuple[Span, ...]
    exact_ranges: bool
    reason: str | None
    moved: int | None = None
    epoch_size: int | None = None
    dead_steps_complete: bool = False
    order_again: Literal["first", "new"] | None = None

    @property
    def lost_steps(self) -> str:
        """How many steps of the parent are lost, in words; empty where none is known to be."""
        if not self.dead_steps:
            return ""
        many = "step" if self.dead_steps == 1 else "steps"
        least = "" if self.dead_steps_complete else "at least "
        return f"{least}{self.dead_steps:,} {many}"

    @property
    def new_order(self) -> str:
        """What became of the order of elements in this process, in words; empty where it goes
        on.
        """
        return {
            None: "",
            "first": "the order of epoch 0 is used again",
            "new": "elements come in another order than the run would have gone on with",
        }[self.order_again]

    @property
    def repeated(self) -> tuple[EpochRange, ...]:
        """As ranges of each pass, which may be many."""
        return tuple(in_epochs(self.repeated_spans, self.epoch_size))

    @property
    def skipped(self) -> tuple[EpochRange, ...]:
        """As ranges of each pass, which may be many."""
        return tuple(in_epochs(self.skipped_spans, self.epoch_size))

    def described(self, spans: Sequence[Span]) -> str:
        """Spans of this restart in words."""
        first = tuple(in_epochs(spans, self.epoch_size, most=3))
        total = num_epochs(spans, self.epoch_size)
        return describe_ranges(first, total=total, in_epochs=self.epoch_size is not None)


def processes(attempts: Sequence[RecordedAttempt]) -> set[int]:
    """Numbers of the hosts that recorded the training."""
    return {found.attempt.process for found in attempts if found.attempt.kind == "train"}


def effective(attempts: Sequence[RecordedAttempt], last: str | None = None) -> Chain:
    """(attempt, rows) pairs whose steps survive in the last weights, oldest first.

    Args:
        last: the attempt whose weights are meant; by default the last one that trained, of each
            host.
    """
    by_id = {found.attempt.id: found for found in attempts}
    if last is not None:
        return _chain(by_id, by_id[last])
    chains = [
        _chain(by_id, newest)
        for process in sorted(processes(attempts))
        if (newest := _newest(attempts, process))
    ]
    return [pair for chain in chains for pair in chain]


def _newest(attempts: Sequence[RecordedAttempt], process: int) -> RecordedAttempt | None:
    """The last attempt of a host; one that has only just begun, and says not where, changes
    nothing yet.
    """
    training = [
        found
        for found in attempts
        if found.attempt.kind == "train" and found.attempt.process == process
    ]
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


def scale_of(attempt: Attempt) -> int | None:
    """What an epoch counts in spans; None where there is one long stream."""
    return delivered_by(attempt) or (_FAR if attempt.counting == "epochs" else None)


def spans_of(found: RecordedAttempt, stop: int | None = None) -> list[Span]:
    """What an attempt read in its first ``stop`` rows; nothing where that is not known."""
    positions, start = positions_of(found), start_of(found)
    if found.attempt.counting == "epochs":
        return _spans_of_epochs(found, stop)
    examples = positions.examples[:stop]
    examples = examples[examples != UNKNOWN]
    if not len(examples) or start.examples is None or int(examples[-1]) <= start.examples:
        return []
    return [(start.examples, int(examples[-1]))]


def _spans_of_epochs(found: RecordedAttempt, stop: int | None) -> list[Span]:
    """Each epoch from its beginning to the last row in it."""
    positions, scale = positions_of(found), scale_of(found.attempt) or _FAR
    epoch, into = positions.epoch[:stop], positions.into[:stop]
    known = (epoch != UNKNOWN) & (into != UNKNOWN)
    epoch, into = epoch[known], into[known]
    if not len(epoch):
        return []
    ends = np.flatnonzero(np.append(np.diff(epoch) != 0, True))
    lows = epoch[ends] * scale
    highs = lows + into[ends]
    lows[0] += first_into(found.attempt)
    # Epochs that were read to their end, one after the other, are one span.
    breaks = np.flatnonzero(np.append(highs[:-1] != lows[1:], True))
    firsts = np.concatenate(([0], breaks[:-1] + 1))
    return list(zip(lows[firsts].tolist(), highs[breaks].tolist(), strict=True))


def coverage_of(
    attempts: Sequence[RecordedAttempt], *, effective_only: bool
) -> list[tuple[EpochRange, int]]:
    """How often each part of each pass was read, by one host's steps that survive or by all of
    them.
    """
    training = [found for found in attempts if found.attempt.kind == "train"]
    chain = (
        effective(training) if effective_only else [(found, found.num_rows) for found in training]
    )
    scales = {scale_of(found.attempt) for found, _ in chain}
    if len(scales) != 1 or any(uncounted(chain)) or (effective_only and any(unwritten(chain))):
        return []
    scale = scales.pop()
    pieces = swept(span for found, rows in chain for span in spans_of(found, rows))
    return [
        (item, count) for start, stop, count in pieces for item in in_epochs([(start, stop)], scale)
    ]


# ------------------------------------------------------------ restarts


def restarts_of(attempts: Sequence[RecordedAttempt]) -> tuple[Restart, ...]:
    """What each restart of the training cost."""
    by_id = {found.attempt.id: found for found in attempts}
    return tuple(
        _restart(found, parent, _chain(by_id, found))
        for found in attempts
        if found.attempt.kind == "train"
        and found.attempt.continues is None
        and (parent := by_id.get(found.attempt.parent or "")) is not None
    )


def _restart(found: RecordedAttempt, parent: RecordedAttempt, chain: Chain) -> Restart:
    attempt = found.attempt
    stop = rows_before(parent, attempt)
    step = attempt.restored_step
    if step is None and 0 < stop <= parent.num_rows:
        step = int(parent.columns["step"][stop - 1])
    reason, repeated, skipped = _lost(found, chain)
    return Restart(
        attempt.id,
        parent.attempt.id,
        attempt.restored_from,
        step,
        num_steps(parent, stop),
        tuple(repeated),
        tuple(skipped),
        all(item.attempt.order == "fixed" for item, _ in chain),
        reason,
        _moved(parent, stop, found) if reason is None else None,
        scale_of(attempt),
        parent.attempt.closed and not parent.gaps and not parent.missing,
        _order_again(found),
    )


def _lost(found: RecordedAttempt, chain: Chain) -> tuple[str | None, list[Span], list[Span]]:
    """(why it is not known, what was read again, what was never read)."""
    attempt, begun = found.attempt, start_of(found).examples
    reason = (
        _why_uncounted(chain[:-1])
        or _other_scale(chain)
        or _incomplete(chain)
        or _unfinished_epoch(chain)
    )
    if reason is not None:
        return reason, [], []
    before = union(span for item, rows in chain[:-1] for span in spans_of(item, rows))
    own, reason = spans_of(found, chain[-1][1]), _why_uncounted(chain[-1:])
    if reason is not None:
        if attempt.counting != "stream" or begun is None or _ends(before) > begun:
            return reason, [], []
        # However far it read, all of that lies behind what had been read.
        own = [(begun, begun + 1)]
    return (
        None,
        within(before, own),
        without(gaps_in([*before, *own], attempt), gaps_in(before, attempt)),
    )


def _unfinished_epoch(chain: Chain) -> str | None:
    """An attempt went on with a later epoch, and how much was left of the one before is not known."""
    if len(chain) < 2 or delivered_by(chain[-1][0].attempt) is not None:
        return None
    (parent, rows), (child, _) = chain[-2:]
    left, begun = place_after(parent, rows), start_of(child)
    if child.attempt.counting != "epochs" or left.epoch is None or begun.epoch is None:
        return None
    if begun.epoch > left.epoch and not is_epoch_end(parent, rows):
        return NO_EPOCH_SIZE
    return None


def is_epoch_end(found: RecordedAttempt, rows: int) -> bool:
    """A row is the last of its epoch: another follows it, or it has as many batches as epochs that
    were seen to end.
    """
    if not 0 < rows <= found.num_rows or found.attempt.counting != "epochs":
        return False
    epoch, batches = found.columns["epoch"], found.columns["batches"]
    if rows < found.num_rows and epoch[rows] != epoch[rows - 1]:
        return True
    return bool(batches[rows - 1] == found.attempt.steps_per_epoch)


def _ends(spans: Sequence[Span]) -> int:
    return max((stop for _, stop in spans), default=0)


def _order_again(found: RecordedAttempt) -> Literal["first", "new"] | None:
    """Whether a new process draws the orders of its passes from the first one on again."""
    attempt, place = found.attempt, start_of(found)
    if not attempt.order_depends_on_epoch or attempt.start.source not in ("fresh", "given"):
        return None
    if place.epoch is None or (place.epoch == 0 and not place.into):
        return None
    return "first" if attempt.seeded else "new"


def gaps_in(spans: Sequence[Span], attempt: Attempt) -> list[Span]:
    """What was not read before the furthest example; nothing where it is not known where an
    epoch ends.
    """
    return holes(spans) if delivered_by(attempt) is not None or attempt.counting == "stream" else []


def why_unknown(chain: Chain) -> str | None:
    """Why it is not known what a chain of attempts read; None where it is."""
    return _why_uncounted(chain) or _other_scale(chain) or _incomplete(chain)


def _why_uncounted(chain: Chain) -> str | None:
    return next((why for _, why in uncounted(chain)), None)


def uncounted(chain: Chain) -> Iterator[tuple[RecordedAttempt, str]]:
    """Attempts of which it is not known what they read, and why."""
    for found, rows in chain:
        reason = positions_of(found).reason
        if reason == MISCOUNTED and place_after(found, rows).examples is not None:
            continue  # from its start to there, whatever lay between
        # Without the size of a pass a stream still has its order.
        if reason is not None and (reason != NO_EPOCH_SIZE or start_of(found).examples is None):
            yield found, reason


def unwritten(chain: Chain) -> Iterator[tuple[RecordedAttempt, int]]:
    """Attempts whose last steps before the next one's checkpoint were not written, and the step
    of that.
    """
    for (found, rows), (child, _) in pairwise(chain):
        until = child.attempt.restored_step
        if until is not None and (rows == 0 or int(found.columns["step"][rows - 1]) < until):
            yield found, until


def _other_scale(chain: Chain) -> str | None:
    if len({scale_of(found.attempt) for found, _ in chain}) > 1:
        return "the size of an epoch changed between the attempts"
    return None


def _moved(parent: RecordedAttempt, rows: int, child: RecordedAttempt) -> int | None:
    """Examples between the end of the parent's kept rows and the beginning of the child."""
    left, begun = place_after(parent, rows), start_of(child)
    size = delivered_by(child.attempt)
    if size is not None and left.in_epoch is not None and begun.in_epoch is not None:
        return (begun.in_epoch[0] - left.in_epoch[0]) * size + begun.in_epoch[1] - left.in_epoch[1]
    if left.in_epoch is not None and begun.in_epoch is not None and left.epoch == begun.epoch:
        return begun.in_epoch[1] - left.in_epoch[1]
    if (
        left.epoch is not None
        and begun.in_epoch == (left.epoch + 1, 0)
        and is_epoch_end(parent, rows)
    ):
        return 0
    return (
        None if left.examples is None or begun.examples is None else begun.examples - left.examples
    )


def _incomplete(chain: Chain) -> str | None:
    """Why the recording does not hold all that the weights have seen: nothing may be called
    skipped then.
    """
    for found, _ in chain:
        if found.missing or found.problems or found.gaps:
            return f"the recording of attempt {found.attempt.id} is damaged or has gaps"
    return next(
        (
            f"the last steps of attempt {found.attempt.id} before step {until:,} were not written"
            for found, until in unwritten(chain)
        ),
        None,
    )


def in_numbers(text: str, numbers: Mapping[str, int]) -> str:
    """Attempts by their numbers, which people know them by."""
    for identity, number in numbers.items():
        text = text.replace(f"attempt {identity}", f"attempt {number}")
    return text
