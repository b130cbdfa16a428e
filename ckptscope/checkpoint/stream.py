"""Elements of a stored tensor in order, a piece at a time and in bounded memory.

A partitioned tensor reads as one: its parts lie in the index by their extents
(tensorflow/core/framework/ tensor_slice.proto), each stored in row-major order of its own."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ckptscope.checkpoint.model import TensorEntry, TensorReader
from ckptscope.errors import MalformedMessageError
from ckptscope.formats.dtypes import numpy_dtype

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def scratch(nbytes: int) -> Array:
    """Bytes that start at a page: reading into other addresses takes up to four times as long
    on some CPUs.
    """
    import numpy

    return numpy.frombuffer(mmap.mmap(-1, max(nbytes, mmap.PAGESIZE)), numpy.uint8)[:nbytes]


class TensorStream:
    """Reads ranges of a tensor's elements, in C order of its whole shape.

    Raises:
        MalformedMessageError: stored bytes or slices do not make up the shape.
        UnsupportedFormatError: the dtype has no NumPy form.
    """

    def __init__(self, reader: TensorReader, entry: TensorEntry) -> None:
        self._reader = reader
        self._entry = entry
        self.dtype = numpy_dtype(entry.dtype)
        parts = [part for _, part in entry.slices] or [entry]
        stored = sum(part.num_elements for part in parts)
        if stored != entry.num_elements:
            raise MalformedMessageError(
                f"its slices hold {stored} elements, its shape {entry.shape} {entry.num_elements}",
                structure=entry.key,
            )
        for part in parts:
            if part.nbytes != part.num_elements * self.dtype.itemsize:
                raise MalformedMessageError(
                    f"{part.nbytes} bytes for shape {part.shape} of {entry.dtype.name}",
                    structure=entry.key,
                )

    def read(self, start: int, into: Array) -> Array:
        """Elements from ``start`` on, as many as fit ``into`` (bytes); returns these bytes as
        an array of the dtype.
        """
        values = into.view(self.dtype)
        if self._entry.slices:
            for box, offset in _boxes(self._entry.shape, start, start + values.size):
                self._fill(box, values[offset : offset + _size(self._entry.shape, box)])
        else:
            self._reader.read_into(self._entry, start * self.dtype.itemsize, into.data)
        return values

    def _fill(self, box: _Box, out: Array) -> None:
        """Copy a box from the parts that it overlaps."""
        lead, start, stop = box
        shape, axis = self._entry.shape, len(lead)
        if not shape:
            self._read_part(self._entry.slices[0][1], 0, out)
            return
        view = out.reshape((stop - start, *shape[axis + 1 :]))
        for extents, part in self._entry.slices:
            begins = [begin if length >= 0 else 0 for begin, length in extents.axes]
            sizes = part.shape
            if len(begins) != len(shape) or len(sizes) != len(shape):
                raise MalformedMessageError(
                    f"a slice with {len(sizes)} axes of shape {shape}", structure=self._entry.key
                )
            if any(
                not begin <= at < begin + size
                for at, begin, size in zip(lead, begins, sizes, strict=False)
            ):
                continue
            first, last = max(start, begins[axis]), min(stop, begins[axis] + sizes[axis])
            if first >= last:
                continue
            row = math.prod(sizes[axis + 1 :])
            position = 0
            for at, begin, size in zip(lead, begins, sizes, strict=False):
                position = position * size + at - begin
            position = (position * sizes[axis] + first - begins[axis]) * row
            where = (
                slice(first - start, last - start),
                *(
                    slice(begin, begin + size)
                    for begin, size in zip(begins[axis + 1 :], sizes[axis + 1 :], strict=True)
                ),
            )
            target = view[where]
            if target.shape != (last - first, *sizes[axis + 1 :]):
                raise MalformedMessageError(
                    f"a slice outside of shape {shape}", structure=self._entry.key
                )
            target[...] = self._read_part(part, position, None, (last - first) * row).reshape(
                target.shape
            )

    def _read_part(
        self, part: TensorEntry, position: int, out: Array | None, count: int = 1
    ) -> Array:
        import numpy

        values = numpy.empty(count, self.dtype) if out is None else out
        raw = values.view(numpy.uint8)
        self._reader.read_into(part, position * self.dtype.itemsize, raw.data)
        return values


# Leading indices, and a range on the axis after them; all later axes are complete.
_Box = tuple[tuple[int, ...], int, int]


def _size(shape: tuple[int, ...], box: _Box) -> int:
    lead, start, stop = box
    return (stop - start) * math.prod(shape[len(lead) + 1 :])


def _boxes(shape: tuple[int, ...], start: int, stop: int) -> Iterator[tuple[_Box, int]]:
    """A range of flat positions as boxes, each with its offset in the range: part of a row,
    whole rows, part of a row.
    """
    offset = 0
    pending: list[tuple[tuple[int, ...], int, int]] = [((), start, stop)]
    while pending:
        lead, first, last = pending.pop()
        if first >= last:
            continue
        axis = len(lead)
        row = math.prod(shape[axis + 1 :])
        if first % row == 0 and last - first >= row:
            middle = last // row * row
            box = (lead, first // row, middle // row)
            yield box, offset
            offset += middle - first
            pending.append((lead, middle, last))
            continue
        # A part of one row: go down into it, and come back for what follows.
        index = first // row
        end = min(last, (index + 1) * row)
        pending.append((lead, end, last))
        pending.append(((*lead, index), first - index * row, end - index * row))
