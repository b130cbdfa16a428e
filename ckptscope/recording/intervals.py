"""Sets of examples as spans [start, stop) of the whole stream, counted over all passes.

A run reads its data in order, so that few spans tell what it read, however many passes that were;
they are cut into passes only where they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ckptscope.resume.model import EpochRange

if TYPE_CHECKING:
    from ckptscope.recording.model import SourceFile

Span = tuple[int, int]


def swept(spans: Iterable[Span]) -> list[tuple[int, int, int]]:
    """(start, stop, number of spans that cover it) of disjoint pieces, in order; what no span
    covers is left out.
    """
    edges: dict[int, int] = {}
    for start, stop in spans:
        if stop > start:
            edges[start] = edges.get(start, 0) + 1
            edges[stop] = edges.get(stop, 0) - 1
    pieces: list[tuple[int, int, int]] = []
    count, before = 0, 0
    for at in sorted(edges):
        if count:
            if pieces and pieces[-1][1] == before and pieces[-1][2] == count:
                pieces[-1] = (pieces[-1][0], at, count)
            else:
                pieces.append((before, at, count))
        count, before = count + edges[at], at
    return pieces


def union(spans: Iterable[Span]) -> list[Span]:
    """Disjoint spans that do not touch, in order."""
    found: list[Span] = []
    for start, stop in sorted(spans):
        if stop <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def within(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What lies in both."""
    return [
        (start, stop) for start, stop, count in swept([*union(spans), *union(others)]) if count > 1
    ]


def without(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What lies in ``spans`` and in none of ``others``."""
    rest = []
    taken = union(others)
    for start, stop in union(spans):
        for low, high in taken:
            if high <= start or low >= stop:
                continue
            if low > start:
                rest.append((start, low))
            start = high
        if start < stop:
            rest.append((start, stop))
    return rest


def holes(spans: Iterable[Span]) -> list[Span]:
    """What lies in no span, before the furthest one of all."""
    found = union(spans)
    return without([(0, found[-1][1])], found) if found else []


def num_examples(spans: Iterable[Span]) -> int:
    """Examples in disjoint spans."""
    return sum(stop - start for start, stop in spans)


def in_epochs(spans: Iterable[Span], size: int | None, most: int | None = None) -> list[EpochRange]:
    """Spans cut into passes of ``size`` examples; without a size all is pass 0.

    Args:
        most: so many ranges at most.
    """
    found: list[EpochRange] = []
    for start, stop in spans:
        while start < stop and (most is None or len(found) < most):
            epoch = start // size if size else 0
            end = min(stop, (epoch + 1) * size) if size else stop
            found.append(EpochRange(epoch, start - epoch * (size or 0), end - epoch * (size or 0)))
            start = end
    return found


def num_epochs(spans: Iterable[Span], size: int | None) -> int:
    """Ranges that :func:`in_epochs` gives."""
    return sum(((stop - 1) // size - start // size + 1) if size else 1 for start, stop in spans)


def in_files(item: EpochRange, files: Sequence[SourceFile]) -> list[tuple[str, int, int]]:
    """(file, first record, record after the last) of a range of examples, where files are read
    in order.
    """
    found, position = [], 0
    for file in files:
        if file.num_records is None:
            return []
        first, last = max(item.start, position), min(item.stop, position + file.num_records)
        if first < last:
            found.append((file.path, first - position, last - position))
        position += file.num_records
    return found
