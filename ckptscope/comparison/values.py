"""Comparing the stored values of two variables: by checksum where that says enough, else piece
by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ckptscope.checkpoint.model import Checkpoint, Damage, TensorEntry
from ckptscope.comparison.model import Measures, Rule
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import STRING, DType

if TYPE_CHECKING:
    from ckptscope.comparison.measures import Kernel

CHUNK_NBYTES = 1 << 20
# String tensors up to this size are compared string by string, larger ones as bytes.
_STRINGS_NBYTES = 1 << 24

Status = Literal["equal", "checksum", "value", "unreadable"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comparing two tensors gave; ``checksum``: equal, and not read."""

    status: Status
    stats: Measures | None = None
    problem: str | None = None


class Reader:
    """One side: an open checkpoint and what is known to be broken in it."""

    def __init__(self, name: str, checkpoint: Checkpoint, damage: tuple[Damage, ...]) -> None:
        self.name = name
        self.checkpoint = checkpoint
        self._broken: dict[str | None, str] = {}
        self._lost_files = False
        self._note(damage)

    def _note(self, damage: Iterable[Damage]) -> None:
        for item in damage:
            if item.fatal:
                self._broken[item.key] = item.problem
                self._lost_files |= item.key is None

    def verify(self, entries: Iterable[TensorEntry]) -> None:
        """Compare the stored bytes of these tensors with their checksums."""
        self._note(
            self.checkpoint.reader.check({entry.key: entry for entry in entries}, True, None)
        )

    def problem(self, entry: TensorEntry) -> str | None:
        """Why this tensor cannot be read; None where nothing is known to speak against it."""
        found = self._broken.get(entry.key)
        if found is None and self._lost_files:
            damage = self.checkpoint.reader.check({entry.key: entry}, False, None)
            found = next((item.problem for item in damage if item.fatal), None)
        return None if found is None else f"{self.name}: {found}"


class Comparer:
    """Compares tensors under one rule, in bounded memory."""

    def __init__(
        self,
        a: Reader,
        b: Reader,
        rule: Rule,
        *,
        read_equal: bool,
        measured: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Compare tensors of ``a`` with tensors of ``b``.

        Args:
            read_equal: read also what has equal checksums.
            measured: compute all measures; else count changed elements only.
            progress: called with the bytes of one side that were compared.
        """
        self.a, self.b, self.rule = a, b, rule
        self.read_equal, self.measured, self.progress = read_equal, measured, progress
        self._kernels: dict[tuple[int, int, bool], Kernel] = {}
        self._buffers: tuple[Any, Any] | None = None

    def needs_reading(self, a: TensorEntry, b: TensorEntry) -> bool:
        """Whether checksums do not already say that the two are equal."""
        if self.read_equal or not same_checksums(a, b):
            return True
        # Under a rule by which NaN differs from itself equal bytes are not enough.
        numeric = a.dtype.is_floating or a.dtype.name.startswith("complex")
        return numeric and not self.rule.is_exact and not self.rule.equal_nan

    def check(self, pairs: Iterable[tuple[TensorEntry, TensorEntry]]) -> None:
        """Verify the checksums of those pairs that will be read."""
        reading = [
            pair for pair in pairs if pair[0].shape == pair[1].shape and self.needs_reading(*pair)
        ]
        self.a.verify(a for a, _ in reading)
        self.b.verify(b for _, b in reading)

    def compare(self, a: TensorEntry, b: TensorEntry) -> Outcome:
        """Compare two tensors of one shape; whatever goes wrong becomes an outcome."""
        reading = self.needs_reading(a, b)
        for side, entry in ((self.a, a), (self.b, b)):
            problem = side.problem(entry)
            if problem is not None:
                return Outcome("unreadable", problem=problem)
        if not reading:
            return Outcome("checksum")
        try:
            return self._read(a, b)
        except CkptscopeError as error:
            return Outcome("unreadable", problem=str(error))
        except OSError as error:
            return Outcome("unreadable", problem=f"cannot be read: {error.strerror}")

    def same_bytes(self, a: TensorEntry, b: TensorEntry) -> bool:
        """Whether two tensors are stored in the same bytes; False if either cannot be read."""
        try:
            return self._bytes_equal(a, b)
        except (CkptscopeError, OSError):
            return False

    def _read(self, a: TensorEntry, b: TensorEntry) -> Outcome:
        if a.dtype is STRING and b.dtype is STRING:
            return self._strings(a, b)
        if a.dtype.numpy is None or b.dtype.numpy is None or STRING in (a.dtype, b.dtype):
            same = a.dtype is b.dtype and self._bytes_equal(a, b)
            return Outcome("equal") if same else Outcome("value", Measures(b.num_elements, None))
        found = self._measured(a, b)
        return Outcome("value", found) if found.num_changed else Outcome("equal", found)

    def _measured(self, a: TensorEntry, b: TensorEntry) -> Measures:
        from ckptscope.checkpoint.stream import TensorStream, scratch
        from ckptscope.comparison.measures import Accumulator

        stream_a = TensorStream(self.a.checkpoint.reader, a)
        stream_b = TensorStream(self.b.checkpoint.reader, b)
        if self._buffers is None:
            self._buffers = scratch(CHUNK_NBYTES), scratch(CHUNK_NBYTES)
        into_a, into_b = self._buffers
        width_a, width_b = stream_a.dtype.itemsize, stream_b.dtype.itemsize
        chunk = CHUNK_NBYTES // max(width_a, width_b)
        kernel, total = self._kernel(a.dtype, b.dtype, b.num_elements), Accumulator()
        for start in range(0, b.num_elements, chunk):
            count = min(chunk, b.num_elements - start)
            values_a = stream_a.read(start, into_a[: count * width_a])
            values_b = stream_b.read(start, into_b[: count * width_b])
            kernel(total, values_a, values_b)
            if self.progress is not None:
                self.progress(count * width_b)
        return total.measures(self.measured)

    def _kernel(self, a: DType, b: DType, num_elements: int) -> Kernel:
        from ckptscope.comparison.measures import FAST_ELEMENTS, count_changed, kernel_for

        which = a.number, b.number, num_elements > FAST_ELEMENTS
        if which not in self._kernels:
            countable = not self.measured and a is b and self.rule.is_exact
            self._kernels[which] = (
                count_changed if countable else kernel_for(a, b, num_elements, self.rule)
            )
        return self._kernels[which]

    def _strings(self, a: TensorEntry, b: TensorEntry) -> Outcome:
        if max(a.nbytes, b.nbytes) > _STRINGS_NBYTES:
            same = self._bytes_equal(a, b)
            return Outcome("equal") if same else Outcome("value", Measures(b.num_elements, None))
        old = self.a.checkpoint.reader.read_values(a, a.num_elements)
        new = self.b.checkpoint.reader.read_values(b, b.num_elements)
        changed = sum(x != y for x, y in zip(old, new, strict=True))
        return Outcome("value" if changed else "equal", Measures(b.num_elements, changed))

    def _bytes_equal(self, a: TensorEntry, b: TensorEntry) -> bool:
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return False
        if a.slices or b.slices:
            return self._measured(a, b).num_changed == 0
        if a.nbytes != b.nbytes:
            return False
        pieces = (memoryview(bytearray(min(CHUNK_NBYTES, a.nbytes))) for _ in range(2))
        into_a, into_b = pieces
        for start in range(0, a.nbytes, CHUNK_NBYTES):
            size = min(CHUNK_NBYTES, a.nbytes - start)
            self.a.checkpoint.reader.read_into(a, start, into_a[:size])
            self.b.checkpoint.reader.read_into(b, start, into_b[:size])
            if into_a[:size] != into_b[:size]:
                return False
        return True


def same_checksums(a: TensorEntry, b: TensorEntry) -> bool:
    """Whether stored checksums, dtype, shape and size say that the bytes are equal."""
    if (a.dtype, a.shape, a.nbytes) != (b.dtype, b.shape, b.nbytes):
        return False
    if a.slices or b.slices:
        if len(a.slices) != len(b.slices):
            return False
        return all(
            x[0] == y[0] and same_checksums(x[1], y[1])
            for x, y in zip(a.slices, b.slices, strict=True)
        )
    return a.crc32c is not None and a.crc32c == b.crc32c
