"""How far two tensors are apart, block by block, in float64.

Small tensors are converted to float64 and measured there. In large ones of float32, float16 and
bfloat16 products are formed in float32 within a block and summed over blocks in float64, at twice
the speed; blocks in which float32 would overflow, underflow or meet NaN are measured in float64.
All types of one byte are measured by counting pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ckptscope.comparison.model import Measures, Rule
from ckptscope.formats.dtypes import DType

Array = np.ndarray[Any, Any]
# Elements of one block: with its copies it stays in the second-level cache.
BLOCK_ELEMENTS = 1 << 15
# Above so many elements products may be formed in float32: their errors average out
# (tests/comparison/test_measures.py).
FAST_ELEMENTS = 1 << 20
# Mean squares below this lose digits in float32, sums beyond these in float64.
_SMALL_SQUARE = 1e-30
_SAFE_SQUARES = (1e-200, 1e280)
_SAFE_EXPONENT = 480
_EXACT_INTEGER = 1 << 53


class ScaledSum:
    """A sum ``value * 2**exponent``, so that squares neither overflow nor vanish."""

    __slots__ = ("exponent", "value")

    def __init__(self) -> None:
        self.value, self.exponent = 0.0, 0

    def add(self, value: float, exponent: int = 0) -> None:
        """Add ``value * 2**exponent``."""
        if value == 0.0:
            return
        if self.value == 0.0:
            self.exponent = exponent
        elif exponent > self.exponent:
            self.value, self.exponent = math.ldexp(self.value, self.exponent - exponent), exponent
        elif exponent < self.exponent:
            value = math.ldexp(value, exponent - self.exponent)
        self.value += value


def _ratio(above: float, below: float, exponent: int) -> float:
    try:
        return math.ldexp(above / below, exponent)
    except OverflowError:
        return math.inf


@dataclass(slots=True)
class Accumulator:
    """Measures of the blocks seen so far."""

    num_elements: int = 0
    num_changed: int = 0
    num_finite: int = 0
    nan_a: int = 0
    nan_b: int = 0
    inf_a: int = 0
    inf_b: int = 0
    max_abs: float = 0.0
    max_rel: float = 0.0
    rough_abs: float = -1.0
    rough_rel: float = -1.0
    differences: ScaledSum = field(default_factory=ScaledSum)
    squares_a: ScaledSum = field(default_factory=ScaledSum)
    squares_b: ScaledSum = field(default_factory=ScaledSum)
    product: ScaledSum = field(default_factory=ScaledSum)
    product_imaginary: ScaledSum = field(default_factory=ScaledSum)

    def measures(self, numeric: bool = True) -> Measures:
        """The result; undefined measures are None."""
        if not numeric:
            return Measures(self.num_elements, self.num_changed)
        aa, bb, dd = self.squares_a, self.squares_b, self.differences
        rel_l2 = cosine = None
        if self.num_finite and aa.value:
            rel_l2 = _ratio(
                math.sqrt(dd.value), math.sqrt(aa.value), (dd.exponent - aa.exponent) // 2
            )
        if self.num_finite and aa.value and bb.value:
            norms = math.sqrt(aa.value) * math.sqrt(bb.value)
            shift = (aa.exponent + bb.exponent) // 2
            cosine = _ratio(self.product.value, norms, self.product.exponent - shift)
            imaginary = _ratio(
                self.product_imaginary.value, norms, self.product_imaginary.exponent - shift
            )
            cosine = max(
                -1.0,
                min(1.0, math.hypot(cosine, imaginary) if self.product_imaginary.value else cosine),
            )
        return Measures(
            self.num_elements,
            self.num_changed,
            self.max_abs if self.num_finite else None,
            self.max_rel if self.num_finite else None,
            rel_l2,
            cosine,
            self.nan_a,
            self.nan_b,
            self.inf_a,
            self.inf_b,
        )


Kernel = Callable[[Accumulator, Array, Array], None]


def kernel_for(
    a: DType, b: DType, num_elements: int, rule: Rule, *, relative: bool = True
) -> Kernel:
    """The function that measures one block of two raw arrays of these dtypes.

    Args:
        num_elements: of the whole tensor: it decides what precision products need.
        relative: measure max_rel, too (benchmarks leave it out).
    """
    if a is b and a.nbytes == 1:
        return _ByteKernel(a, rule)
    expand = _EXPAND.get(a.name) if a is b else None
    if expand is not None and rule.is_exact and num_elements > FAST_ELEMENTS:
        return _FastKernel(a, expand(), relative)
    return _ExactKernel(a, b, rule)


# ------------------------------------------------------------ float64


def to_float64(values: Array, dtype: DType) -> Array:
    """Real numbers as float64, complex ones as complex128."""
    if dtype.name.startswith("complex"):
        return values.astype(np.complex128)
    if dtype.name == "bfloat16":
        words = values.view(np.uint16).astype(np.uint32) << np.uint32(16)
        values = np.asarray(words).view(np.float32)
    converted: Array = values.astype(np.float64)
    return converted


def close(a: Array, b: Array, rule: Rule) -> Array:
    """Elementwise |a - b| <= atol + rtol * |b| as ``numpy.isclose`` defines it; infinities
    equal only themselves.
    """
    with np.errstate(all="ignore"):
        near: Array = np.abs(a - b) <= (rule.atol or 0.0) + (rule.rtol or 0.0) * np.abs(b)
        near &= np.isfinite(b)
        near |= a == b
        if rule.equal_nan:
            near |= np.isnan(a) & np.isnan(b)
    return near


def _bytes_differ(a: Array, b: Array) -> int:
    """Elements whose stored bytes differ."""
    width = a.dtype.itemsize
    if width == 16:
        return int(
            np.count_nonzero((a.view(np.uint64) != b.view(np.uint64)).reshape(-1, 2).any(axis=1))
        )
    unsigned = np.dtype(f"u{width}")
    return int(np.count_nonzero(a.view(unsigned) != b.view(unsigned)))


def _exponent(peak: float) -> int:
    """Power of two to divide by before squaring; 0 where squares are safe as they are."""
    if peak == 0.0:
        return 0
    exponent = math.frexp(peak)[1]
    return exponent if abs(exponent) > _SAFE_EXPONENT else 0


def _add_squares(total: ScaledSum, values: Array, peak: float) -> tuple[Array, int]:
    """Add the squares of real parts; returns the (scaled) parts and their exponent."""
    exponent = _exponent(peak)
    if exponent:
        values = np.ldexp(values, -exponent)
    total.add(float(np.dot(values, values)), 2 * exponent)
    return values, exponent


class _ExactKernel:
    """Everything in float64, whatever the dtypes."""

    def __init__(self, a: DType, b: DType, rule: Rule) -> None:
        self.a, self.b, self.rule = a, b, rule
        self.same_type = a is b
        self.wide_integers = a is b and a.is_integer and a.nbytes == 8
        self.is_complex = a.name.startswith("complex") or b.name.startswith("complex")
        self.buffers: list[Array] = []

    def _loaded(self, number: int, raw: Array, dtype: DType) -> Array:
        """The values in a buffer of ours."""
        while len(self.buffers) < 4:
            self.buffers.append(np.empty(BLOCK_ELEMENTS))
        target = self.buffers[number][: raw.size]
        np.copyto(
            target, to_float64(raw, dtype) if dtype.name == "bfloat16" else raw, casting="unsafe"
        )
        return target

    def _quick(self, total: Accumulator, a: Array, b: Array) -> bool:
        """Add values that are all finite and neither huge nor tiny; False, and nothing added,
        if they are not.
        """
        d, larger = self.buffers[2][: a.size], self.buffers[3][: a.size]
        with np.errstate(all="ignore"):
            np.subtract(b, a, out=d)
            sums = [float(np.dot(x, y)) for x, y in ((d, d), (a, a), (b, b))]
            # NaN fails every comparison.
            if not all(
                square == 0 or _SAFE_SQUARES[0] <= square <= _SAFE_SQUARES[1] for square in sums
            ):
                return False
            if not all(
                square or not values.any() for square, values in zip(sums, (d, a, b), strict=True)
            ):
                return False
            total.num_finite += a.size
            total.differences.add(sums[0])
            total.squares_a.add(sums[1])
            total.squares_b.add(sums[2])
            total.product.add(float(np.dot(a, b)))
            if sums[0]:
                np.abs(d, out=d)
                total.max_abs = max(total.max_abs, float(d.max()))
                np.abs(a, out=a)
                np.maximum(a, np.abs(b, out=b), out=larger)
                np.divide(d, larger, out=d)
                total.max_rel = max(
                    total.max_rel, float(np.fmax.reduce(d))
                )  # 0/0 is NaN here, and counts as 0
        return True

    def __call__(self, total: Accumulator, raw_a: Array, raw_b: Array) -> None:
        for start in range(0, raw_a.size, BLOCK_ELEMENTS):
            self._block(
                total, raw_a[start : start + BLOCK_ELEMENTS], raw_b[start : start + BLOCK_ELEMENTS]
            )

    def _block(self, total: Accumulator, raw_a: Array, raw_b: Array) -> None:
        total.num_elements += raw_a.size
        if self.is_complex:
            a, b = (
                to_float64(raw_a, self.a).astype(np.complex128),
                to_float64(raw_b, self.b).astype(np.complex128),
            )
        else:
            a, b = self._loaded(0, raw_a, self.a), self._loaded(1, raw_b, self.b)
        if not self.rule.is_exact:
            total.num_changed += int(np.count_nonzero(~close(a, b, self.rule)))
        elif self.same_type:
            total.num_changed += _bytes_differ(raw_a, raw_b)
        else:
            total.num_changed += int(np.count_nonzero(~((a == b) | (np.isnan(a) & np.isnan(b)))))
        if not (self.wide_integers or self.is_complex or raw_a.size == 0) and self._quick(
            total, a, b
        ):
            return
        bad = ~(np.isfinite(a) & np.isfinite(b))
        num_bad = int(np.count_nonzero(bad))
        if num_bad:
            total.nan_a += int(np.count_nonzero(np.isnan(a)))
            total.nan_b += int(np.count_nonzero(np.isnan(b)))
            total.inf_a += int(np.count_nonzero(np.isinf(a)))
            total.inf_b += int(np.count_nonzero(np.isinf(b)))
            # Pairs of zeros add nothing to any measure.
            a[bad] = b[bad] = 0
        total.num_finite += a.size - num_bad
        exact = None
        if self.wide_integers and max(np.abs(a).max(), np.abs(b).max()) > _EXACT_INTEGER:
            x, y = raw_a.view(np.uint64), raw_b.view(np.uint64)
            exact = np.where(raw_b >= raw_a, y - x, x - y).astype(np.float64)
        _add_finite(total, a, b, exact)


def _add_finite(total: Accumulator, a: Array, b: Array, exact: Array | None = None) -> None:
    """Add finite float64 or complex128 values; ``exact`` gives |b - a| where float64 cannot
    hold the operands.
    """
    with np.errstate(all="ignore"):
        size_a, size_b = np.abs(a), np.abs(b)
        larger = np.maximum(size_a, size_b)
        difference = b - a if exact is None else exact
        distance = np.abs(difference)
        peak = float(distance.max(initial=0.0))
        half = None
        if not math.isfinite(peak) or not math.isfinite(float(larger.max(initial=0.0))):
            # Near the end of float64's range: halve what is large.
            half = np.where(
                np.maximum(np.abs(a.real), np.abs(a.imag))
                + np.maximum(np.abs(b.real), np.abs(b.imag))
                > 1e300,
                0.25,
                1.0,
            )
            difference = b * half - a * half
            distance = np.abs(difference)
            larger = np.maximum(np.abs(a * half), np.abs(b * half))
            peak = float((distance / half).max())
        relative = np.divide(distance, larger, out=np.zeros_like(distance), where=larger > 0)
        total.max_abs = max(total.max_abs, peak)
        total.max_rel = max(total.max_rel, float(relative.max(initial=0.0)))
        parts_a, parts_b = _parts(a), _parts(b)
        scaled_a, exponent_a = _add_squares(
            total.squares_a, parts_a, float(np.abs(parts_a).max(initial=0.0))
        )
        scaled_b, exponent_b = _add_squares(
            total.squares_b, parts_b, float(np.abs(parts_b).max(initial=0.0))
        )
        total.product.add(float(np.dot(scaled_a, scaled_b)), exponent_a + exponent_b)
        if a.dtype.kind == "c":
            crossed = np.dot(scaled_a[::2], scaled_b[1::2]) - np.dot(scaled_a[1::2], scaled_b[::2])
            total.product_imaginary.add(float(crossed), exponent_a + exponent_b)
        if half is None:
            _add_squares(total.differences, distance, peak)
        else:
            exponent = math.frexp(float(distance.max()))[1]
            scaled = np.ldexp(distance, -exponent) / half
            total.differences.add(float(np.dot(scaled, scaled)), 2 * exponent)


def _parts(values: Array) -> Array:
    return values.view(np.float64) if values.dtype.kind == "c" else values


# ------------------------------------------------------------ one byte


class _ByteKernel:
    """All types of one byte: 65,536 counts of pairs say everything."""

    def __init__(self, dtype: DType, rule: Rule) -> None:
        from ckptscope.formats.dtypes import numpy_dtype

        values = to_float64(np.arange(256, dtype=np.uint8).view(numpy_dtype(dtype)), dtype)
        self.a, self.b = np.repeat(values, 256), np.tile(values, 256)
        self.differs = np.repeat(np.arange(256), 256) != np.tile(np.arange(256), 256)
        if not rule.is_exact:
            self.differs = ~close(self.a, self.b, rule)

    def __call__(self, total: Accumulator, raw_a: Array, raw_b: Array) -> None:
        pairs = raw_a.view(np.uint8).astype(np.uint16) << 8 | raw_b.view(np.uint8)
        counts = np.bincount(pairs, minlength=1 << 16)
        present = np.flatnonzero(counts)
        counts, a, b = counts[present].astype(np.float64), self.a[present], self.b[present]
        total.num_elements += raw_a.size
        total.num_changed += int(counts[self.differs[present]].sum())
        total.nan_a += int(counts[np.isnan(a)].sum())
        total.nan_b += int(counts[np.isnan(b)].sum())
        total.inf_a += int(counts[np.isinf(a)].sum())
        total.inf_b += int(counts[np.isinf(b)].sum())
        finite = np.isfinite(a) & np.isfinite(b)
        counts, a, b = counts[finite], a[finite], b[finite]
        if not counts.size:
            return
        distance, larger = np.abs(b - a), np.maximum(np.abs(a), np.abs(b))
        total.num_finite += int(counts.sum())
        total.max_abs = max(total.max_abs, float(distance.max()))
        relative = np.divide(distance, larger, out=np.zeros_like(distance), where=larger > 0)
        total.max_rel = max(total.max_rel, float(relative.max()))
        total.differences.add(float(np.dot(counts, distance * distance)))
        total.squares_a.add(float(np.dot(counts, a * a)))
        total.squares_b.add(float(np.dot(counts, b * b)))
        total.product.add(float(np.dot(counts, a * b)))


# ------------------------------------------------------------ float32


def _plain() -> Callable[[Array, Array], Array]:
    return lambda raw, out: raw


def _from_bfloat16() -> Callable[[Array, Array], Array]:
    def expand(raw: Array, out: Array) -> Array:
        words = out.view(np.uint32)
        np.left_shift(
            raw.view(np.uint16), np.uint32(16), out=words, dtype=np.uint32, casting="unsafe"
        )
        return out

    return expand


def _from_float16() -> Callable[[Array, Array], Array]:
    # Looking all of them up is faster than converting.
    table = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)

    def expand(raw: Array, out: Array) -> Array:
        np.take(table, raw.view(np.uint16), out=out, mode="clip")
        return out

    return expand


_EXPAND: dict[str, Callable[[], Callable[[Array, Array], Array]]] = {
    "float32": _plain,
    "bfloat16": _from_bfloat16,
    "float16": _from_float16,
}


_Words = tuple[Array, Array, Array]  # the same memory as float32, int32 and uint32


def _cut(words: _Words, size: int) -> _Words:
    return words[0][:size], words[1][:size], words[2][:size]


def _peak(values: Array, signed: Array, unsigned: Array) -> float:
    """max |v| without a pass for |v|, NaN if there is one.

    As signed words the greatest float is the greatest positive one, as unsigned words the least
    negative one; NaN is beyond all of its sign."""
    above, below = values.item(signed.argmax()), -values.item(unsigned.argmax())
    return above if above >= below else below if below > above else math.nan


class _FastKernel:
    """Large tensors of float32 and narrower: max_abs and counts exact, other measures to six
    digits or more.
    """

    def __init__(
        self, dtype: DType, expand: Callable[[Array, Array], Array], relative: bool
    ) -> None:
        from ckptscope.checkpoint.stream import scratch

        self.unsigned = np.dtype(f"u{dtype.nbytes}")
        self.expand = expand
        self.relative = relative
        self.all_changed = False
        self.expanded = [scratch(4 * BLOCK_ELEMENTS).view(np.float32) for _ in range(2)]
        floats = [scratch(4 * BLOCK_ELEMENTS).view(np.float32) for _ in range(2)]
        self.differences, self.quotients = (
            (x, x.view(np.int32), x.view(np.uint32)) for x in floats
        )
        self.mask = scratch(BLOCK_ELEMENTS).view(np.bool_)

    def __call__(self, total: Accumulator, raw_a: Array, raw_b: Array) -> None:
        bits = raw_a.view(self.unsigned), raw_b.view(self.unsigned)
        # Python's own cost counts here: sums are kept in local numbers, and added up once for each
        # piece.
        aa = bb = dd = ab = 0.0
        with np.errstate(all="ignore"):
            for start in range(0, raw_a.size, BLOCK_ELEMENTS):
                end = start + BLOCK_ELEMENTS
                differences, quotients, (into_a, into_b) = (
                    self.differences,
                    self.quotients,
                    self.expanded,
                )
                if end > raw_a.size:
                    size = raw_a.size - start
                    differences, quotients = _cut(differences, size), _cut(quotients, size)
                    into_a, into_b = into_a[:size], into_b[:size]
                a, b = self.expand(raw_a[start:end], into_a), self.expand(raw_b[start:end], into_b)
                sums = self._block(total, a, b, bits, start, differences, quotients)
                if sums is not None:
                    aa, bb, dd, ab = aa + sums[0], bb + sums[1], dd + sums[2], ab + sums[3]
        total.squares_a.add(aa)
        total.squares_b.add(bb)
        total.differences.add(dd)
        total.product.add(ab)

    def _block(
        self,
        total: Accumulator,
        a: Array,
        b: Array,
        bits: tuple[Array, Array],
        start: int,
        differences: _Words,
        quotients: _Words,
    ) -> tuple[float, float, float, float] | None:
        """(a.a, b.b, d.d, a.b) of one block; None where it had to be measured in float64."""
        size, (d, _, words) = a.size, differences
        np.subtract(b, a, out=d)
        dd, aa, bb = float(d.dot(d)), float(a.dot(a)), float(b.dot(b))
        peak = _peak(*differences)
        # Finite sums mean finite elements; NaN fails every comparison. Where nothing differs dd is
        # 0.
        least = _SMALL_SQUARE * size
        if not (
            least <= aa < math.inf
            and least <= bb < math.inf
            and (least <= dd < math.inf or dd == peak == 0.0)
        ):
            _exactly(total, a, b, self._count(bits, start, size))
            return None
        total.num_elements += size
        total.num_finite += size
        # Elements without a difference are counted only where there are some: most updates leave
        # none. As a word +0.0 is the least; -0.0 comes from zeros of two signs only, and those
        # differ.
        self.all_changed = self.all_changed and d.item(words.argmin()) != 0.0
        changed = size if self.all_changed else self._count(bits, start, size)
        self.all_changed = changed == size
        total.num_changed += changed
        if peak >= total.rough_abs:
            # Rounding keeps the order, so the largest difference is among the largest rounded ones.
            total.rough_abs = peak
            at = np.flatnonzero(np.abs(d) == peak)
            total.max_abs = max(
                total.max_abs, float(np.abs(b[at].astype(np.float64) - a[at]).max())
            )
        if self.relative and peak and total.max_rel < 2.0:  # no ratio is larger
            self._relative(total, a, b, d, quotients)
        # a.b = (a.a + b.b - d.d) / 2, without another pass; its error is second order where the
        # norms are alike.
        return aa, bb, dd, (aa + bb - dd) / 2 if aa < 16 * bb < 256 * aa else float(a.dot(b))

    def _count(self, bits: tuple[Array, Array], start: int, size: int) -> int:
        a, b = (side[start : start + size] for side in bits)
        return int(np.count_nonzero(np.not_equal(a, b, out=self.mask[:size])))

    def _relative(
        self, total: Accumulator, a: Array, b: Array, difference: Array, quotients: _Words
    ) -> None:
        """|d| / max(|a|, |b|) grows with |d| / |a + b|, which takes fewer passes."""
        s = quotients[0]
        np.add(a, b, out=s)
        np.divide(difference, s, out=s)
        top = _peak(*quotients)
        if top <= total.rough_rel:
            return
        np.abs(s, out=s)
        if math.isnan(top):  # 0/0, which counts as 0
            top = float(np.fmax.reduce(s))
        if top > total.rough_rel:
            total.rough_rel = top
            at = (
                np.flatnonzero(s >= top * (1 - 1e-6))
                if top < math.inf
                else np.flatnonzero(s == top)
            )
            x, y = a[at].astype(np.float64), b[at].astype(np.float64)
            larger = np.maximum(np.abs(x), np.abs(y))
            total.max_rel = max(
                total.max_rel, float((np.abs(y - x) / larger).max(initial=0.0, where=larger > 0))
            )


def _exactly(total: Accumulator, a: Array, b: Array, changed: int) -> None:
    """One block in float64; ``changed`` was counted on the stored bytes."""
    from ckptscope.formats.dtypes import FLOAT32

    before = total.num_changed
    _ExactKernel(FLOAT32, FLOAT32, Rule())._block(total, a, b)
    total.num_changed = before + changed


def count_changed(total: Accumulator, raw_a: Array, raw_b: Array) -> None:
    """A kernel that only counts elements whose bytes differ."""
    total.num_elements += raw_a.size
    total.num_changed += _bytes_differ(raw_a, raw_b)
