"""Fewer points of a long line, chosen so that nothing that happened disappears."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray[Any, np.dtype[np.int64]]
Values = np.ndarray[Any, np.dtype[np.float64]]


def thinned(
    values: Values, rows: tuple[int, int], most: int, keep: Rows, most_outside: int
) -> Rows:
    """Row numbers to show, in order.

    Each of ``most / 2`` pieces of the visible part gives its least and its greatest value, so that
    the drawn line covers what the whole one would; the rest of the line is there in
    ``most_outside`` points.

    Args:
        rows: [first, last) of the visible part.
        keep: rows that must be among them.
    """
    first = min(max(0, rows[0]), len(values))
    last = min(max(first, rows[1]), len(values))
    pieces = [
        _extremes(values, 0, first, most_outside // 2),
        _extremes(values, first, last, most),
        _extremes(values, last, len(values), most_outside // 2),
        keep,
        np.array(
            [
                row
                for row in (0, first - 1, first, last - 1, last, len(values) - 1)
                if 0 <= row < len(values)
            ],
            np.int64,
        ),
    ]
    return np.unique(np.concatenate(pieces))


def _extremes(values: Values, first: int, last: int, most: int) -> Rows:
    """Rows of the least and the greatest value of each of ``most / 2`` pieces."""
    count = last - first
    if count <= max(most, 2):
        return np.arange(first, last, dtype=np.int64)
    pieces = max(1, most // 2)
    size = -(-count // pieces)
    whole = count // size * size
    table = values[first : first + whole].reshape(-1, size)
    base = first + np.arange(len(table), dtype=np.int64) * size
    found = [base + table.argmin(axis=1), base + table.argmax(axis=1)]
    if whole < count:
        rest = values[first + whole : last]
        found.append(first + whole + np.array([rest.argmin(), rest.argmax()], np.int64))
    return np.concatenate(found)
