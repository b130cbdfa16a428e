"""How often each part of each data file was read, by epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ckptscope.recording.intervals import swept
from ckptscope.recording.lineage import (
    effective,
    in_numbers,
    processes,
    scale_of,
    spans_of,
    uncounted,
    unwritten,
)
from ckptscope.recording.model import RecordedAttempt, SourceFile
from ckptscope.recording.positions import NO_EPOCH_SIZE, delivered_by, positions_of, start_of
from ckptscope.runs.axes import file_offsets
from ckptscope.runs.model import Run
from ckptscope.runs.restarts import Reads

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
class _Reads:
    """What was read of the stream, and what of it a run can have read.

    Attributes:
        pieces: (start, stop, reads) in order.
        scale: examples that an epoch counts in the stream.
        delivered: examples of a pass that reach the trainer; None where not known.
        begin, frontier: where the recording begins, and how far it came.
        is_whole: no part of the recording is missing.
    """

    pieces: Sequence[tuple[int, int, int]]
    scale: int
    delivered: int | None
    begin: int
    frontier: int
    is_whole: bool

    def between(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Pieces of a part of the stream."""
        found = []
        for low, high, count in self.pieces[
            bisect_right(self.pieces, start, key=lambda piece: piece[1]) :
        ]:
            if low >= stop:
                break
            found.append((max(low, start), min(high, stop), count))
        return found

    def cell(self, number: int, epoch: int, start: int, stop: int | None) -> Cell:
        """Examples [start, stop) of a pass: one file, or all of the data."""
        base = epoch * self.scale
        known = [end for end in (stop, self.delivered) if end is not None]
        end = base + min(known, default=self.scale)
        parts = self.between(base + start, end)
        expected = max(0, end - base - start) if known else None
        if not known:
            end = parts[-1][1] if parts else base
        low, high = max(base + start, self.begin), min(end, self.frontier)
        inside = sum(max(0, min(last, high) - max(first, low)) for first, last, _ in parts)
        unread = max(0, high - low - inside) if self.is_whole else 0
        repeated = sum(last - first for first, last, count in parts if count > 1)
        total = sum((last - first) * count for first, last, count in parts)
        status = _status(repeated, unread, sum(last - first for first, last, _ in parts), expected)
        relative = tuple(
            (first - base - start, last - base - start, count)
            for first, last, count in parts[:_MAX_PARTS]
        )
        size = None if stop is None else stop - start
        return Cell(
            number,
            epoch,
            total / expected if expected else None,
            size,
            repeated,
            unread,
            status,
            relative,
        )

    def epochs(self) -> range:
        """All that a part was read of, and those between."""
        return range(self.pieces[0][0] // self.scale, (self.pieces[-1][1] - 1) // self.scale + 1)

    def worst_epochs(self, size: int | None) -> list[int]:
        """Of very many epochs those with losses, then the newest: inside a piece, and between
        two, all are alike.
        """
        if len(self.epochs()) <= MAX_EPOCHS:
            return list(self.epochs())
        candidates = set()
        edges = sorted({edge for low, high, _ in self.pieces for edge in (low, high)})
        for low, high in pairwise(edges):
            first, last = low // self.scale, (high - 1) // self.scale
            candidates |= {first, *range(max(first, last - MAX_EPOCHS), last + 1)}
        cells = [self.cell(0, epoch, 0, size) for epoch in candidates]
        cells.sort(key=lambda cell: (-cell.num_repeated - cell.num_unread, -cell.epoch))
        return sorted(cell.epoch for cell in cells[:MAX_EPOCHS])


def coverage_table(
    run: Run, *, reads: Reads = "effective", limit: int = MANY_FILES
) -> CoverageTable:
    """Coverage of a run.

    Args:
        limit: how many files to list.
    """
    training = run.training
    chain = (
        effective(training)
        if reads == "effective"
        else [(found, found.num_rows) for found in training]
    )
    reason = _why_nothing(training, chain) or _why_unknown(chain, run.numbers, reads)
    if reason is not None:
        return CoverageTable(reads, reason, "", (), (), (), 0, 0, False, False)
    files, offsets = _files(training)
    known = _reads(chain)
    epochs = known.worst_epochs(offsets[-1])
    cells = [
        known.cell(number, epoch, offsets[number] or 0, offsets[number + 1])
        for epoch in epochs
        for number in range(len(files))
    ]
    many = len(files) > min(MANY_FILES, limit)
    order = (_worst_first(len(files), cells) if many else list(range(len(files))))[:limit]
    listed = set(order)
    return CoverageTable(
        reads,
        None,
        _basis(training, chain),
        tuple(epochs),
        tuple((number, files[number]) for number in order),
        tuple(cell for cell in cells if cell.file in listed),
        len(files),
        len(known.epochs()),
        many,
        files[0].path != _WHOLE,
    )


def _why_nothing(
    training: Sequence[RecordedAttempt], chain: Sequence[tuple[RecordedAttempt, int]]
) -> str | None:
    """Why there is nothing to show; None where there is."""
    if not training:
        return "nothing was recorded of this run; checkpoints alone do not tell what was read"
    hosts = processes(training)
    if len(hosts) > 1:
        return f"{len(hosts)} hosts recorded this run; how they share the data is not recorded"
    scales = {scale_of(found.attempt) for found, _ in chain}
    if None in scales and any(found.num_rows for found in training):
        return NO_EPOCH_SIZE
    if len(scales) > 1:
        return "the size of an epoch changed between the attempts"
    if any(spans_of(found, rows) for found, rows in chain):
        return None
    told = (positions_of(found).reason for found in training)
    return next((reason for reason in told if reason is not None), "no step was recorded")


def _why_unknown(
    chain: list[tuple[RecordedAttempt, int]], numbers: Mapping[str, int], reads: Reads
) -> str | None:
    """Attempts that may have read anything: without them every count would be too small."""
    for found, why in uncounted(chain):
        if found.num_rows and why != NO_EPOCH_SIZE:
            number = numbers[found.attempt.id]
            return f"what attempt {number} read is not known: {in_numbers(why, numbers)}"
    for found, until in unwritten(chain) if reads == "effective" else ():
        number = numbers[found.attempt.id]
        return f"the last steps of attempt {number} before step {until:,} were not written"
    return None


def _basis(
    training: Sequence[RecordedAttempt], chain: Sequence[tuple[RecordedAttempt, int]]
) -> str:
    text = "Counted from the batches of each step."
    if any(found.attempt.order != "fixed" for found in training):
        text = (
            "An estimate: the order of elements is shuffled, interleaved or not known, "
            "so this is how far the run had come "
            "in the stream, not which elements it had read."
        )
    if any(found.missing or found.problems or found.gaps for found, _ in chain):
        text += " Parts of the recording are missing, so nothing is called skipped."
    return text


def _files(training: Sequence[RecordedAttempt]) -> tuple[tuple[SourceFile, ...], list[int | None]]:
    """Files in reading order with the example at which each begins; the data as one where they
    are not known.
    """
    last = training[-1].attempt
    attempt = next((found.attempt for found in reversed(training) if found.attempt.files), last)
    offsets = file_offsets(attempt)
    if offsets and offsets[-1] == attempt.epoch_size:
        return attempt.files, list(offsets)
    size = delivered_by(last)
    return (SourceFile(_WHOLE, num_records=size),), [0, size]


def _reads(chain: Sequence[tuple[RecordedAttempt, int]]) -> _Reads:
    first, last = chain[0][0], chain[-1][0].attempt
    pieces = swept(span for found, rows in chain for span in spans_of(found, rows))
    scale = scale_of(last) or 1
    start = start_of(first)
    begin = start.examples
    if first.attempt.counting == "epochs":
        begin = None if start.epoch is None else start.epoch * scale
    whole = not any(found.missing or found.problems or found.gaps for found, _ in chain)
    return _Reads(
        pieces,
        scale,
        delivered_by(last),
        pieces[0][0] if begin is None else begin,
        pieces[-1][1],
        whole,
    )


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
