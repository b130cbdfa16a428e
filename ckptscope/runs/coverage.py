"""How often each part of each data file was read, by epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ckptscope.recording.lineage import coverage, delivered_by, effective, positions_of, reads_of, start_of
from ckptscope.recording.model import SourceFile
from ckptscope.recording.reader import RecordedAttempt
from ckptscope.resume.model import EpochRange
from ckptscope.runs.axes import Reads, file_offsets
from ckptscope.runs.model import Run

Status = Literal["once", "repeated", "skipped", "mixed", "partial", "none"]
MANY_FILES = 60
MAX_EPOCHS = 100
_MAX_PARTS = 64
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


@dataclass(frozen=True, slots=True)
class _Scope:
    """What of the data a run can have read: from ``begin`` on, up to ``frontier``; (epoch, examples into it)."""

    begin: tuple[int, int]
    frontier: tuple[int, int]
    is_whole: bool


def coverage_table(run: Run, *, reads: Reads = "effective", limit: int = MANY_FILES) -> CoverageTable:
    """Coverage of a run.

    Args:
        limit: how many files to list.
    """
    training = run.training
    chain = effective(training) if reads == "effective" else [(found, found.num_rows) for found in training]
    every = [item for found, rows in chain for item in reads_of(found, rows)]
    if not every:
        return CoverageTable(reads, _nothing(training), "", (), (), (), 0, 0, False)
    files, offsets = _files(training)
    cells = _cells(every, offsets, _scope(chain, every))
    epochs = sorted({cell.epoch for cell in cells})
    shown_epochs = _shown_epochs(epochs, cells)
    many = len(files) > min(MANY_FILES, limit)
    order = _worst_first(len(files), cells) if many else list(range(len(files)))
    order = order[:limit]
    wanted, listed = set(shown_epochs), set(order)
    return CoverageTable(
        reads, None, _basis(training, chain), tuple(shown_epochs), tuple((number, files[number]) for number in order),
        tuple(cell for cell in cells if cell.epoch in wanted and cell.file in listed), len(files), len(epochs), many,
    )  # fmt: skip


def _nothing(training: Sequence[RecordedAttempt]) -> str:
    if not training:
        return "nothing was recorded of this run; checkpoints alone do not tell what was read"
    told = [reason for found in training if (reason := positions_of(found).reason) is not None]
    return told[0] if told else "no step was recorded"


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
    return (SourceFile("the data", num_records=size),), [0, size]


def _scope(chain: Sequence[tuple[RecordedAttempt, int]], every: Sequence[EpochRange]) -> _Scope:
    begin = start_of(chain[0][0].attempt)
    if begin is None:
        begin = (0, 0) if chain[0][0].attempt.counting == "epochs" and not chain[0][0].attempt.restored_step else None
    last = max(every, key=lambda item: (item.epoch, item.stop))
    whole = not any(found.missing or found.problems or found.gaps for found, _ in chain)
    first = min(every, key=lambda item: (item.epoch, item.start))
    return _Scope(begin or (first.epoch, first.start), (last.epoch, last.stop), whole)


def _cells(every: Sequence[EpochRange], offsets: Sequence[int | None], scope: _Scope) -> list[Cell]:
    parts: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    starts = [offset or 0 for offset in offsets[:-1]]
    for item, count in coverage(every):
        number = max(0, bisect_right(starts, item.start) - 1)
        while number < len(starts) and (number == 0 or starts[number] < item.stop):
            end = offsets[number + 1]
            first, last = max(item.start, starts[number]), item.stop if end is None else min(item.stop, end)
            if first < last:
                parts[number, item.epoch].append((first - starts[number], last - starts[number], count))
            number += 1
    epochs = range(min(item.epoch for item in every), max(item.epoch for item in every) + 1)
    return [
        _cell(number, epoch, parts.get((number, epoch), []), starts[number], offsets[number + 1], scope)
        for epoch in epochs for number in range(len(starts))
    ]  # fmt: skip


def _cell(
    number: int, epoch: int, parts: list[tuple[int, int, int]], start: int, end: int | None, scope: _Scope
) -> Cell:
    size = None if end is None else end - start
    # What of this file the run has passed for certain, in records of the file.
    low = scope.begin[1] - start if epoch == scope.begin[0] else 0 if epoch > scope.begin[0] else size or 0
    high = scope.frontier[1] - start if epoch == scope.frontier[0] else size or 0
    low, high = max(0, low), max(0, high if size is None else min(high, size))
    inside = sum(max(0, min(stop, high) - max(first, low)) for first, stop, _ in parts)
    unread = max(0, high - low - inside) if scope.is_whole else 0
    repeated = sum(stop - first for first, stop, count in parts if count > 1)
    read = sum(stop - first for first, stop, _ in parts)
    total = sum((stop - first) * count for first, stop, count in parts)
    return Cell(
        number, epoch, total / size if size else None, size, repeated, unread,
        _status(repeated, unread, read, size), tuple(parts[:_MAX_PARTS]),
    )  # fmt: skip


def _status(repeated: int, unread: int, read: int, size: int | None) -> Status:
    if repeated and unread:
        return "mixed"
    if repeated:
        return "repeated"
    if unread:
        return "skipped"
    return "none" if not read else "once" if read == size else "partial"


def _worst_first(num_files: int, cells: Sequence[Cell]) -> list[int]:
    """Files by the number of records that were read again or never."""
    cost = [0] * num_files
    for cell in cells:
        cost[cell.file] += cell.num_repeated + cell.num_unread
    return sorted(range(num_files), key=lambda number: (-cost[number], number))


def _shown_epochs(epochs: list[int], cells: Sequence[Cell]) -> list[int]:
    """All of them; of very many those with losses first, then the newest."""
    if len(epochs) <= MAX_EPOCHS:
        return epochs
    cost: dict[int, int] = defaultdict(int)
    for cell in cells:
        cost[cell.epoch] += cell.num_repeated + cell.num_unread
    return sorted(sorted(epochs, key=lambda epoch: (-cost[epoch], -epoch))[:MAX_EPOCHS])
