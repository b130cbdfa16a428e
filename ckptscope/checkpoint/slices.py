"""Whether the slices of a partitioned tensor make up its shape.

Source: tensorflow/core/util/tensor_slice_set.cc: a tensor that is not there in whole is not restored,
and slices that overlap are refused."""

from __future__ import annotations

import math

from ckptscope.checkpoint.model import TensorEntry

# Pairs of slices are compared for overlaps up to this number of slices.
_MAX_SLICES = 1000


def uncovered(entry: TensorEntry) -> str | None:
    """Why the slices of a partitioned tensor do not make up its shape; None if they do."""
    boxes = []
    for extents, part in entry.slices:
        axes = extents.axes or ((0, -1),) * len(entry.shape)  # none stand for the whole
        box = [
            (0, size) if length < 0 else (start, start + length)
            for size, (start, length) in zip(entry.shape, axes, strict=False)
        ]
        fits = len(axes) == len(entry.shape) and all(
            0 <= start <= stop <= size for size, (start, stop) in zip(entry.shape, box, strict=True)
        )
        if not fits or part.num_elements != math.prod(stop - start for start, stop in box):
            return f"a slice of shape {list(part.shape)} does not fit its shape {list(entry.shape)}"
        boxes.append(box)
    held = sum(part.num_elements for _, part in entry.slices)
    if held < entry.num_elements:
        count = len(entry.slices)
        return (
            f"the {count} stored slices hold {held:,} of {entry.num_elements:,} elements"
            if count != 1
            else f"the one stored slice holds {held:,} of {entry.num_elements:,} elements"
        )
    overlaps = held > entry.num_elements or (
        len(boxes) <= _MAX_SLICES
        and any(
            all(max(a[0], b[0]) < min(a[1], b[1]) for a, b in zip(one, other, strict=True))
            for place, one in enumerate(boxes)
            for other in boxes[:place]
        )
    )
    return "its slices overlap" if overlaps and entry.shape else None
