"""TensorFlow's data types: number in the file, name, bytes for each element, how NumPy sees it.

Source: tensorflow/core/framework/types.proto (numbers), tensorflow/core/framework/tensor.proto
(value fields)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ckptscope.errors import UnsupportedFormatError

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, slots=True)
class DType:
    """One data type.

    Attributes:
        number: value of the ``DataType`` enum.
        name: TensorFlow's name for it.
        nbytes: bytes for each element in a bundle; 0 where elements have no fixed width.
        numpy: NumPy or ml_dtypes name of the stored form; None where there is none.
        code: :mod:`struct` code for reading without NumPy; None where there is none.
        field: field of ``TensorProto`` that holds its values.
    """

    number: int
    name: str
    nbytes: int
    numpy: str | None
    code: str | None = None
    field: str | None = None

    @property
    def is_integer(self) -> bool:
        """Plain integers: neither quantized ones nor bool."""
        return self.code in tuple("bBhHiIqQ") and not self.name.startswith("q")

    @property
    def is_floating(self) -> bool:
        """Real floating-point numbers of any width."""
        return self.name.startswith(("float", "bfloat", "half"))


_ROWS = (
    DType(1, "float32", 4, "<f4", "f", "float_val"),
    DType(2, "float64", 8, "<f8", "d", "double_val"),
    DType(3, "int32", 4, "<i4", "i", "int_val"),
    DType(4, "uint8", 1, "|u1", "B", "int_val"),
    DType(5, "int16", 2, "<i2", "h", "int_val"),
    DType(6, "int8", 1, "|i1", "b", "int_val"),
    DType(7, "string", 0, "object", None, "string_val"),
    DType(8, "complex64", 8, "<c8", None, "scomplex_val"),
    DType(9, "int64", 8, "<i8", "q", "int64_val"),
    DType(10, "bool", 1, "|b1", "?", "bool_val"),
    DType(11, "qint8", 1, "|i1", "b", "int_val"),
    DType(12, "quint8", 1, "|u1", "B", "int_val"),
    DType(13, "qint32", 4, "<i4", "i", "int_val"),
    DType(14, "bfloat16", 2, "bfloat16", None, "half_val"),
    DType(15, "qint16", 2, "<i2", "h", "int_val"),
    DType(16, "quint16", 2, "<u2", "H", "int_val"),
    DType(17, "uint16", 2, "<u2", "H", "int_val"),
    DType(18, "complex128", 16, "<c16", None, "dcomplex_val"),
    DType(19, "float16", 2, "<f2", "e", "half_val"),
    DType(20, "resource", 0, None, None, "resource_handle_val"),
    DType(21, "variant", 0, None, None, "variant_val"),
    DType(22, "uint32", 4, "<u4", "I", "uint32_val"),
    DType(23, "uint64", 8, "<u8", "Q", "uint64_val"),
    DType(24, "float8_e5m2", 1, "float8_e5m2", None, "float8_val"),
    DType(25, "float8_e4m3fn", 1, "float8_e4m3fn", None, "float8_val"),
    DType(26, "float8_e4m3fnuz", 1, "float8_e4m3fnuz", None, "float8_val"),
    DType(27, "float8_e4m3b11fnuz", 1, "float8_e4m3b11fnuz", None, "float8_val"),
    DType(28, "float8_e5m2fnuz", 1, "float8_e5m2fnuz", None, "float8_val"),
    DType(29, "int4", 1, "int4", None, "int_val"),
    DType(30, "uint4", 1, "uint4", None, "int_val"),
    DType(31, "int2", 1, "int2", None, "int_val"),
    DType(32, "uint2", 1, "uint2", None, "int_val"),
    DType(33, "float4_e2m1fn", 1, "float4_e2m1fn", None, "int_val"),
)
DTYPES: dict[int, DType] = {row.number: row for row in _ROWS}
FLOAT32, INT32, STRING, INT64, BOOL, VARIANT = (DTYPES[number] for number in (1, 3, 7, 9, 10, 21))


def dtype_of(number: int) -> DType:
    """The dtype with that number; an unknown one keeps its number in its name and has no width."""
    known = DTYPES.get(number)
    return known if known is not None else DType(number, f"dtype{number}", 0, None)


def numpy_dtype(dtype: DType) -> numpy.dtype[numpy.generic]:
    """NumPy's dtype of the stored elements (ml_dtypes for the small floats and integers).

    Raises:
        UnsupportedFormatError: elements of this type have no NumPy form (variant, resource,
            unknown).
    """
    import numpy

    if dtype.numpy is None:
        raise UnsupportedFormatError(f"values of dtype {dtype.name} have no NumPy form")
    try:
        return numpy.dtype(dtype.numpy)
    except TypeError:
        import ml_dtypes

        try:
            found: numpy.dtype[numpy.generic] = numpy.dtype(getattr(ml_dtypes, dtype.numpy))
            return found
        except AttributeError:
            raise UnsupportedFormatError(f"the installed ml_dtypes has no {dtype.numpy}") from None
