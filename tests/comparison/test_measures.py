"""Every measure against a plain float64 computation, over dtypes, shapes, NaN patterns, slices
and shards.
"""

from __future__ import annotations

import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ckptscope as cs
from ckptscope.comparison import measures as kernels
from ckptscope.comparison.model import Rule
from ckptscope.formats.dtypes import DTYPES
from tests import writers

DTYPE_OF = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
    "float8_e5m2": 24,
    "float8_e4m3fn": 25,
}
FLOATS = ("float16", "bfloat16", "float32", "float64", "float8_e5m2", "float8_e4m3fn")
SIZES = (0, 1, 2, 7, 33, 32767, 32768, 32769, 70001)
MEASURES = ("max_abs", "max_rel", "rel_l2", "cosine")


def numpy_of(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def reference(a: np.ndarray, b: np.ndarray) -> dict[str, float | int | None]:
    """The definitions, written down once more without any care for speed."""
    x, y = wide(a).reshape(-1), wide(b).reshape(-1)
    width = a.dtype.itemsize
    raw = [np.frombuffer(v.tobytes(), np.uint8).reshape(-1, width) for v in (a, b)]
    finite = np.isfinite(x) & np.isfinite(y)
    u, v = x[finite], y[finite]
    found: dict[str, float | int | None] = {
        "num_elements": a.size,
        "num_changed": int((raw[0] != raw[1]).any(axis=1).sum()),
        "num_nan_a": int(np.isnan(x).sum()),
        "num_nan_b": int(np.isnan(y).sum()),
        "num_inf_a": int(np.isinf(x).sum()),
        "num_inf_b": int(np.isinf(y).sum()),
        **dict.fromkeys(MEASURES),
    }
    if u.size:
        with np.errstate(all="ignore"):
            distance, larger = np.abs(v - u), np.maximum(np.abs(u), np.abs(v))
            found["max_abs"] = float(distance.max())
            found["max_rel"] = float(
                np.where(larger > 0, distance / np.where(larger > 0, larger, 1), 0).max()
            )
            norm_a, norm_b = np.linalg.norm(u), np.linalg.norm(v)
            found["rel_l2"] = float(np.linalg.norm(v - u) / norm_a) if norm_a else None
            found["cosine"] = None
            if norm_a and norm_b:
                product = np.vdot(u, v)
                found["cosine"] = float(abs(product) if a.dtype.kind == "c" else product) / float(
                    norm_a * norm_b
                )
    return found


def measured(
    a: np.ndarray, b: np.ndarray, rule: Rule | None = None, total: int | None = None
) -> dict[str, object]:
    """Through a kernel, in pieces as they are read."""
    dtype = DTYPES[DTYPE_OF[a.dtype.name]]
    kernel = kernels.kernel_for(dtype, dtype, a.size if total is None else total, rule or Rule())
    found = kernels.Accumulator()
    a, b = a.reshape(-1), b.reshape(-1)
    for start in range(0, a.size, 50_000):
        kernel(found, a[start : start + 50_000].copy(), b[start : start + 50_000].copy())
    result = found.measures()
    return {name: getattr(result, name) for name in result.__dataclass_fields__}


def assert_close(found: dict[str, object], expected: dict[str, object], rtol: float = 1e-9) -> None:
    for name, value in expected.items():
        if value is None or isinstance(value, int):
            assert found[name] == value, name
        else:
            assert found[name] == pytest.approx(
                value, rel=rtol, abs=1e-300 if name != "cosine" else rtol
            ), name


def values(name: str, size: int, random: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    dtype = numpy_of(name)
    if dtype.kind == "b":
        return random.integers(0, 2, size).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, size, dtype=dtype, endpoint=True)
    if dtype.kind == "c":
        return (random.standard_normal(size) + 1j * random.standard_normal(size)).astype(dtype)
    return (random.standard_normal(size) * scale).astype(dtype)


def spoilt(array: np.ndarray, random: np.random.Generator, share: float) -> np.ndarray:
    """NaN and infinities here and there."""
    array = array.copy()
    if array.dtype.name in FLOATS or array.dtype.kind == "c":
        for value in (np.nan, np.inf, -np.inf):
            if array.dtype.name == "float8_e4m3fn" and not np.isnan(value):
                continue  # it has no infinity
            array[random.random(array.size) < share] = value
    return array


# ------------------------------------------------------------ all dtypes


@settings(max_examples=150)
@given(
    name=st.sampled_from(sorted(DTYPE_OF)),
    size=st.sampled_from(SIZES),
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from((0.0, 0.0, 0.01, 0.5, 1.0)),
    alike=st.sampled_from((0.0, 0.5, 0.999, 1.0)),
)
def test_every_measure_equals_plain_float64(name, size, seed, share, alike):
    random = np.random.default_rng(seed)
    a = spoilt(values(name, size, random), random, share)
    b = np.where(
        random.random(size) < alike, a, spoilt(values(name, size, random), random, share)
    ).astype(a.dtype)
    with np.errstate(all="ignore"):
        assert_close(measured(a, b), reference(a, b))


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("kind", ["zeros", "identical", "signs of zero", "all NaN", "tiny"])
def test_special_patterns(name, kind):
    dtype = numpy_of(name)
    a = np.linspace(-1, 1, 40).astype(dtype)
    a, b = {
        "zeros": (np.zeros(9, dtype), np.zeros(9, dtype)),
        "identical": (a, a),
        "signs of zero": (np.zeros(9, dtype), -np.zeros(9, dtype)),
        "all NaN": (np.full(9, np.nan, dtype), np.full(9, np.nan, dtype)),
        "tiny": (np.full(9, ml_dtypes.finfo(dtype).smallest_subnormal, dtype), np.zeros(9, dtype)),
    }[kind]
    found = measured(a, b)
    assert found["num_changed"] == {"signs of zero": 9, "tiny": 9}.get(kind, 0)
    if (
        name != "float64" or kind != "tiny"
    ):  # the square of the smallest float64 is 0 in plain arithmetic
        assert_close(found, reference(a, b))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (
            [1e200, 1.0],
            [2e200, 1.0],
            {"max_abs": 1e200, "max_rel": 0.5, "rel_l2": 1.0, "cosine": 1.0},
        ),
        (
            [1e-200, 0.0],
            [2e-200, 0.0],
            {"max_abs": 1e-200, "max_rel": 0.5, "rel_l2": 1.0, "cosine": 1.0},
        ),
        ([5e-324], [1e-323], {"max_abs": 5e-324, "max_rel": 0.5, "rel_l2": 1.0, "cosine": 1.0}),
        (
            [1.7e308],
            [-1.7e308],
            {"max_abs": math.inf, "max_rel": 2.0, "rel_l2": 2.0, "cosine": -1.0},
        ),
        (
            [1.7e308, 3.0],
            [-1.7e308, 4.0],
            {"max_abs": math.inf, "max_rel": 2.0, "rel_l2": 2.0, "cosine": -1.0},
        ),
        (
            [1e300, 1e-300],
            [1e300, 2e-300],
            {"max_abs": 1e-300, "max_rel": 0.5, "rel_l2": 0.0, "cosine": 1.0},
        ),
        (
            [3e-180, 4e-180],
            [3e150, 4e150],
            {"max_abs": 4e150, "max_rel": 1.0, "rel_l2": math.inf, "cosine": 1.0},
        ),
    ],
)
def test_neither_overflow_nor_underflow_spoils_a_number(a, b, expected):
    assert_close(measured(np.array(a), np.array(b)), expected)


def test_blocks_of_all_sizes_of_numbers_add_up():
    """A tensor whose blocks are tiny, ordinary and huge; only the huge ones count."""
    a = np.concatenate([np.full(40_000, 1e-200), np.ones(40_000), np.full(40_000, 1e200)])
    found = measured(a, a * 1.5)
    assert_close(found, {"max_rel": 1 / 3, "rel_l2": 0.5, "cosine": 1.0})


@pytest.mark.parametrize("name", ["int64", "uint64"])
def test_wide_integers_are_subtracted_exactly(name):
    top = np.iinfo(name).max
    a, b = np.array([top, top - 5, 0], name), np.array([top - 1, top - 5, 0], name)
    found = measured(a, b)
    assert (found["max_abs"], found["num_changed"]) == (1.0, 1)
    assert found["rel_l2"] == pytest.approx(1 / (float(top) * math.sqrt(2)))


def test_complex_counts_by_its_modulus():
    a = np.array([1 + 1j, 2 - 1j], np.complex64)
    found = measured(a, (a * 1j).astype(np.complex64))
    assert found["cosine"] == pytest.approx(1.0)
    assert found["max_rel"] == pytest.approx(math.sqrt(2))


# ------------------------------------------------------------ rules


@settings(max_examples=60)
@given(
    name=st.sampled_from(
        ("float32", "float16", "bfloat16", "float64", "int32", "complex64", "float8_e5m2", "bool")
    ),
    seed=st.integers(0, 2**32 - 1),
    rtol=st.sampled_from((None, 0.0, 1e-3, 0.5)),
    atol=st.sampled_from((None, 0.0, 0.1, 10)),
    equal_nan=st.sampled_from((None, True, False)),
)
def test_tolerances_are_those_of_numpy(name, seed, rtol, atol, equal_nan):
    if rtol is None and atol is None and equal_nan is None:
        return
    random = np.random.default_rng(seed)
    a = spoilt(values(name, 500, random), random, 0.05)
    with np.errstate(all="ignore"):
        near = (wide(a) * (1 + 1e-3 * random.standard_normal(500))).astype(a.dtype)
        b = np.where(
            random.random(500) < 0.3,
            a,
            values(name, 500, random) if name in ("bool", "int32") else near,
        )
        b = b.astype(a.dtype)
    found = measured(a, b, Rule(rtol, atol, equal_nan))
    with np.errstate(all="ignore"):
        same = np.isclose(wide(a), wide(b), rtol or 0.0, atol or 0.0, bool(equal_nan))
        assert_close(found, {**reference(a, b), "num_changed": int((~same).sum())})


# ------------------------------------------------------------ large tensors


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e-30, 1e25])
@pytest.mark.parametrize("spoil", ["", "nan", "zeros", "same"])
def test_large_tensors_are_right_to_six_digits(name, scale, spoil):
    if name == "float16" and scale != 1.0:
        return
    random = np.random.default_rng(1)
    a = values(name, 150_000, random, scale)
    b = (wide(a) * (1 + 1e-2 * random.standard_normal(a.size))).astype(a.dtype)
    if spoil == "nan":
        a[77_000], b[3] = np.nan, np.inf
    elif spoil == "zeros":
        a[:70_000], b[60_000:80_000] = 0, 0
    elif spoil == "same":
        b[:100_000] = a[:100_000]
    expected = reference(a, b)
    found = measured(a, b, total=kernels.FAST_ELEMENTS + 1)
    assert_close(found, expected, rtol=1e-6)
    assert found["max_abs"] == expected["max_abs"]


def test_the_fast_way_is_taken_for_large_tensors_only():
    dtype = DTYPES[1]
    kinds = [
        type(kernels.kernel_for(dtype, dtype, n, Rule()))
        for n in (kernels.FAST_ELEMENTS, kernels.FAST_ELEMENTS + 1)
    ]
    assert kinds == [kernels._ExactKernel, kernels._FastKernel]


# ------------------------------------------------------------ whole files


SLICES = (
    [[(0, 3), (0, -1)], [(3, 5), (0, -1)]],
    [[(0, -1), (0, 2)], [(0, -1), (2, 5)]],
    [
        [(0, 5), (0, 4)],
        [(5, 3), (0, 4)],
        [(0, 5), (4, 3)],
        [(5, 3), (4, 3)],
    ],
)


def _stats(a: str, b: str) -> dict[str, dict[str, object]]:
    found = cs.diff(a, b).collect()
    return {
        change.key: {n: getattr(change.stats, n) for n in change.stats.__dataclass_fields__}
        for change in found.changes
    }


@pytest.mark.parametrize("axes_a", [None, *SLICES])
@pytest.mark.parametrize("axes_b", [None, *SLICES])
@pytest.mark.parametrize("name", ["float32", "int64", "bfloat16"])
def test_partitioned_variables_compare_as_one(tmp_path, axes_a, axes_b, name):
    random = np.random.default_rng(3)
    whole = {side: values(name, 56, random).reshape(8, 7) for side in "ab"}
    prefixes = []
    for side, axes in (("a", axes_a), ("b", axes_b)):
        bundle = writers.Bundle(num_shards=2).array("other", np.zeros(3, np.float32), shard=1)
        if axes is None:
            bundle.array("w", whole[side])
        else:
            bundle.sliced("w", whole[side], axes, shard=1)
        prefixes.append(bundle.write(Path(tmp_path) / side))
    assert_close(_stats(*prefixes)["w"], reference(whole["a"], whole["b"]))
    assert cs.diff(prefixes[0], prefixes[0]).summary.same


@settings(max_examples=25)
@given(
    names=st.lists(st.sampled_from(sorted(DTYPE_OF)), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from(((), (1,), (3, 4), (2, 0), (5, 1, 3), (300_001,))),
)
def test_files_give_what_arrays_give(tmp_path_factory, names, seed, shape):
    random, directory = np.random.default_rng(seed), tmp_path_factory.mktemp("pair")
    count = math.prod(shape)
    arrays = {
        side: {
            f"v{n}": spoilt(values(name, count, random), random, 0.01).reshape(shape)
            for n, name in enumerate(names)
        }
        for side in "ab"
    }
    prefixes = []
    for side, held in arrays.items():
        bundle = writers.Bundle(num_shards=2)
        for number, (key, value) in enumerate(held.items()):
            bundle.array(key, value, shard=number % 2)
        prefixes.append(bundle.write(directory / side))
    found = _stats(*prefixes)
    for key, a in arrays["a"].items():
        with np.errstate(all="ignore"):
            expected = reference(a, arrays["b"][key])
        if expected["num_changed"]:
            assert_close(found[key], expected)
        else:
            assert key not in found


def test_strings_are_counted_and_other_dtypes_measured(tmp_path):
    a = (
        writers.Bundle()
        .array("s", np.array([b"x", b"", b"abc"], object))
        .array("d", np.arange(4, dtype=np.float32))
    )
    b = (
        writers.Bundle()
        .array("s", np.array([b"x", b"y", b"abd"], object))
        .array("d", np.arange(4, dtype=np.float64))
    )
    changes = {
        change.key: change for change in cs.diff(a.write(tmp_path / "a"), b.write(tmp_path / "b"))
    }
    assert (changes["s"].stats.num_changed, changes["s"].stats.max_abs) == (2, None)
    assert (changes["d"].kind, changes["d"].old_dtype, changes["d"].stats.num_changed) == (
        "dtype",
        "float32",
        0,
    )
