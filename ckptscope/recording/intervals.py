"""Sets of examples as ranges of each pass: unions, overlaps, holes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ckptscope.recording.model import SourceFile
from ckptscope.resume.model import EpochRange


def overlaps(reads: Iterable[EpochRange]) -> tuple[EpochRange, ...]:
    """What lies in more than one range."""
    return tuple(item for item, count in _swept(reads) if count > 1)


def coverage(reads: Iterable[EpochRange]) -> tuple[tuple[EpochRange, int], ...]:
    """How often each part of each pass was read; parts that were not read are left out."""
    return tuple(_swept(reads))


def merged(reads: Iterable[EpochRange]) -> list[EpochRange]:
    """The union of ranges."""
    found: list[EpochRange] = []
    for item, _ in _swept(reads):
        if found and found[-1].epoch == item.epoch and found[-1].stop == item.start:
            found[-1] = EpochRange(item.epoch, found[-1].start, item.stop)
        else:
            found.append(item)
    return found


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


def within(ranges: Iterable[EpochRange], others: Iterable[EpochRange]) -> tuple[EpochRange, ...]:
    """What lies in both, as a union."""
    return overlaps([*merged(ranges), *merged(others)])


def num_examples(ranges: Iterable[EpochRange]) -> int:
    """Examples in disjoint ranges."""
    return sum(item.stop - item.start for item in ranges)


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
