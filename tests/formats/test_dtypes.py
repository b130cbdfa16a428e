import numpy as np
import pytest

from ckptscope.errors import UnsupportedFormatError
from ckptscope.formats.dtypes import DTYPES, dtype_of, numpy_dtype

WITHOUT_NUMPY = {"variant", "resource"}


@pytest.mark.parametrize(
    ("number", "name", "nbytes"),
    [
        (1, "float32", 4),
        (2, "float64", 8),
        (3, "int32", 4),
        (4, "uint8", 1),
        (5, "int16", 2),
        (6, "int8", 1),
        (7, "string", 0),
        (8, "complex64", 8),
        (9, "int64", 8),
        (10, "bool", 1),
        (11, "qint8", 1),
        (12, "quint8", 1),
        (13, "qint32", 4),
        (14, "bfloat16", 2),
        (15, "qint16", 2),
        (16, "quint16", 2),
        (17, "uint16", 2),
        (18, "complex128", 16),
        (19, "float16", 2),
        (20, "resource", 0),
        (21, "variant", 0),
        (22, "uint32", 4),
        (23, "uint64", 8),
        (24, "float8_e5m2", 1),
        (25, "float8_e4m3fn", 1),
        (29, "int4", 1),
        (30, "uint4", 1),
    ],
)
def test_numbers_names_widths(number, name, nbytes):
    dtype = dtype_of(number)
    assert (dtype.name, dtype.nbytes) == (name, nbytes)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=lambda dtype: dtype.name)
def test_numpy_form(dtype):
    if dtype.name in WITHOUT_NUMPY:
        with pytest.raises(UnsupportedFormatError, match=dtype.name):
            numpy_dtype(dtype)
        return
    found = numpy_dtype(dtype)
    if dtype.nbytes:
        assert found.itemsize == dtype.nbytes
    if dtype.code is not None:
        assert found == np.dtype("<" + dtype.code)


@pytest.mark.parametrize("number", [0, 101, 999])
def test_unknown_number_keeps_its_number(number):
    dtype = dtype_of(number)
    assert (dtype.name, dtype.nbytes) == (f"dtype{number}", 0)
    with pytest.raises(UnsupportedFormatError):
        numpy_dtype(dtype)


@pytest.mark.parametrize(
    ("name", "integer", "floating"),
    [
        ("int64", True, False),
        ("uint8", True, False),
        ("bool", False, False),
        ("qint8", False, False),
        ("float32", False, True),
        ("bfloat16", False, True),
        ("float8_e5m2", False, True),
        ("string", False, False),
        ("complex64", False, False),
    ],
)
def test_kinds(name, integer, floating):
    dtype = next(dtype for dtype in DTYPES.values() if dtype.name == name)
    assert (dtype.is_integer, dtype.is_floating) == (integer, floating)
