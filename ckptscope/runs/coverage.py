"""How often each part of each data file was read, by epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ckptscope.recording.intervals import coverage
from ckptscope.recording.lineage import effective, processes, reads_of
from ckptscope.recording.model import RecordedAttempt, SourceFile
from ckptscope.recording.positions import NO_EPOCH_SIZE, delivered_by, positions_of, start_of
from ckptscope.resume.model import EpochRange
from ckptscope.runs.axes import Reads, file_offsets
from ckptscope.runs.model import Run

Status = Literal["once", "repeated", "skipped", "mixed", "partial", "none"]
MANY_FILES = 60
MAX_EPOCHS = 100
_MAX_PARTS = 64
_WHOLE = "the data"
_WORST = ("mixed", "skipped", "repeated", "partial", "none", "once")


@dataclass(frozen=True, slots=True)
class Cell:
    """One file in one epoch; counts in records of the file.

    Attributes:
        passes: reads for each record, None where the number of records is not known.
        num_unread: of those that the run has passed already, where that is certain.
        parts: (from, to, reads) of what was read.
    """

    file: int
    epoch: int
    passes: float | None
    num_records: int | None
    num_repeated: int
    num_unread: int
    status: Status
    parts: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class CoverageTable:
    """Cells of files by epochs.

    Attributes:
        reason: why there are none.
        basis: what the numbers rest on, in a sentence.
        files: (number in reading order, file), in the order to show.
        is_worst_first: files are shown worst first.
        has_files: the columns are data files; else there is one, for all of the data.
        num_files, num_epochs: all there are; fewer may be listed.
    """

    reads: Reads
    reason: str | None
    basis: str
    epochs: tuple[int, ...]
    files: tuple[tuple[int, SourceFile], ...]
    cells: tuple[Cell, ...]
    num_files: int
    num_epochs: int
    is_worst_first: bool
    has_files: bool


@dataclass(frozen=True, slots=True)
class _Scope:
    """What of the data a run can have read.

    Attributes:
        begin, frontier: (epoch, examples into it) that the recording begins at, and that it came to.
        delivered: examples of a pass that reach the trainer; None where not known.
        is_whole: no part of the recording is missing.
    """

    begin: tuple[int, int]
    frontier: tuple[int, int]
    delivered: int | None
    is_whole: bool

    def passed(self, epoch: int, start: int, stop: int | None) -> tuple[int, int]:
        """The part of examples [start, stop) of a pass that the run went through, relative to ``start``."""
        low = self.begin[1] - start if epoch == self.begin[0] else 0
        whole = stop if self.delivered is None else self.delivered if stop is None else min(stop, self.delivered)
        high = self.frontier[1] if epoch == self.frontier[0] else whole if whole is not None else start
        high = high if whole is None else min(high, whole)
        return max(0, low), (max(0, high - start) if self.begin[0] <= epoch <= self.frontier[0] else 0)

    def expected(self, start: int, stop: int | None) -> int | None:
        """Examples of [start, stop) that a pass delivers."""
        if stop is None:
            return None
        return max(0, (stop if self.delivered is None else min(stop, self.delivered)) - start)


def coverage_table(run: Run, *, reads: Reads = "effective", limit: int = MANY_FILES) -> CoverageTable:
    """Coverage of a run.

    Args:
        limit: how many files to list.
    """
    training = run.training
    chain = effective(training) if reads == "effective" else [(found, found.num_rows) for found in training]
    every = [item for found, rows in chain for item in reads_of(found, rows)]
    reason = _why_nothing(training, every)
    if reason is not None:
        return CoverageTable(reads, reason, "", (), (), (), 0, 0, False, False)
    files, offsets = _files(training)
    scope, swept = _scope(chain, every), coverage(every)
    epochs = _epochs(swept, offsets[-1], scope)
    shown = set(epochs[:MAX_EPOCHS])
    cells = _cells([(item, count) for item, count in swept if item.epoch in shown], offsets, scope, sorted(shown))
    many = len(files) > min(MANY_FILES, limit)
    order = (_worst_first(len(files), cells) if many else list(range(len(files))))[:limit]
    listed = set(order)
    return CoverageTable(
        reads, None, _basis(training, chain), tuple(sorted(shown)), tuple((number, files[number]) for number in order),
        tuple(cell for cell in cells if cell.file in listed), len(files), len(epochs), many, len(offsets) > 2 or files[0].path != _WHOLE,
    )  # fmt: skip


def _why_nothing(training: Sequence[RecordedAttempt], every: Sequence[EpochRange]) -> str | None:
    """Why there is nothing to show; None where there is."""
    if not training:
        return "nothing was recorded of this run; checkpoints alone do not tell what was read"
    hosts = processes(training)
    if len(hosts) > 1:
        return f"{len(hosts)} hosts recorded this run; how they share the data is not recorded"
    if any(
        delivered_by(found.attempt) is None and found.attempt.counting == "stream"
        for found in training
        if found.num_rows
    ):
        return NO_EPOCH_SIZE
    if every:
        return None
    told = (positions_of(found).reason for found in training)
    return next((reason for reason in told if reason is not None), "no step was recorded")


def _basis(training: Sequence[RecordedAttempt], chain: Sequence[tuple[RecordedAttempt, int]]) -> str:
    text = "Counted from the batches of each step."
    if any(found.attempt.order != "fixed" for found in training):
        text = (
            "An estimate: the order of elements is shuffled, interleaved or not known, so this is how far the run had come "
            "in the stream, not which elements it had read."
        )
    if any(found.missing or found.problems or found.gaps for found, _ in chain):
        text += " Parts of the recording are missing, so nothing is called skipped."
    return text


def _files(training: Sequence[RecordedAttempt]) -> tuple[tuple[SourceFile, ...], list[int | None]]:
    """Files in reading order with the example at which each begins; the data as one where they are not known."""
    last = training[-1].attempt
    attempt = next((found.attempt for found in reversed(training) if found.attempt.files), last)
    offsets = file_offsets(attempt)
    if offsets and offsets[-1] == attempt.epoch_size:
        return attempt.files, list(offsets)
    size = delivered_by(last)
    return (SourceFile(_WHOLE, num_records=size),), [0, size]


def _scope(chain: Sequence[tuple[RecordedAttempt, int]], every: Sequence[EpochRange]) -> _Scope:
    first = min(every, key=lambda item: (item.epoch, item.start))
    last = max(every, key=lambda item: (item.epoch, item.stop))
    whole = not any(found.missing or found.problems or found.gaps for found, _ in chain)
    begin = start_of(chain[0][0]).in_epoch or (first.epoch, first.start)
    return _Scope(begin, (last.epoch, last.stop), delivered_by(chain[-1][0].attempt), whole)


def _epochs(swept: Sequence[tuple[EpochRange, int]], size: int | None, scope: _Scope) -> list[int]:
    """Epochs, in order; of very many those with losses come first, then the newest."""
    parts: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for item, count in swept:
        parts[item.epoch].append((item.start, item.stop, count))
    epochs = list(range(min(parts), max(parts) + 1))
    if len(epochs) <= MAX_EPOCHS:
        return epochs
    whole = {epoch: _cell(0, epoch, parts.get(epoch, []), 0, size, scope) for epoch in epochs}
    return sorted(epochs, key=lambda epoch: (-whole[epoch].num_repeated - whole[epoch].num_unread, -epoch))


def _cells(
    swept: Sequence[tuple[EpochRange, int]], offsets: Sequence[int | None], scope: _Scope, epochs: Sequence[int]
) -> list[Cell]:
    parts: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    starts = [offset or 0 for offset in offsets[:-1]]
    for item, count in swept:
        number = max(0, bisect_right(starts, item.start) - 1)
        while number < len(starts) and (number == 0 or starts[number] < item.stop):
            end = offsets[number + 1]
            first, last = max(item.start, starts[number]), item.stop if end is None else min(item.stop, end)
            if first < last:
                parts[number, item.epoch].append((first - starts[number], last - starts[number], count))
            number += 1
    return [
        _cell(number, epoch, parts.get((number, epoch), []), starts[number], offsets[number + 1], scope)
        for epoch in epochs for number in range(len(starts))
    ]  # fmt: skip


def _cell(
    number: int, epoch: int, parts: list[tuple[int, int, int]], start: int, stop: int | None, scope: _Scope
) -> Cell:
    low, high = scope.passed(epoch, start, stop)
    inside = sum(max(0, min(last, high) - max(first, low)) for first, last, _ in parts)
    unread = max(0, high - low - inside) if scope.is_whole else 0
    repeated = sum(last - first for first, last, count in parts if count > 1)
    read = sum(last - first for first, last, _ in parts)
    total = sum((last - first) * count for first, last, count in parts)
    expected = scope.expected(start, stop)
    return Cell(
        number, epoch, total / expected if expected else None, None if stop is None else stop - start, repeated, unread,
        _status(repeated, unread, read, expected), tuple(parts[:_MAX_PARTS]),
    )  # fmt: skip


def _status(repeated: int, unread: int, read: int, expected: int | None) -> Status:
    if repeated and unread:
        return "mixed"
    if repeated:
        return "repeated"
    if unread:
        return "skipped"
    return "none" if not read else "once" if read == expected else "partial"


def _worst_first(num_files: int, cells: Sequence[Cell]) -> list[int]:
    """Files by the number of records that were read again or never."""
    cost = [0] * num_files
    for cell in cells:
        cost[cell.file] += cell.num_repeated + cell.num_unread
    return sorted(range(num_files), key=lambda number: (-cost[number], number))
