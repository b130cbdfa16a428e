"""Values of one tensor as text or JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ckptscope.errors import UsageError
from ckptscope.render.jsonable import number

if TYPE_CHECKING:
    import numpy

_PART = re.compile(
    r"^\s*(?:(?P<index>-?\d+)|(?P<start>-?\d*)\s*:\s*(?P<stop>-?\d*)\s*(?::\s*(?P<step>-?\d*))?|(?P<dots>\.\.\.))\s*$"
)


def parse_slice(text: str) -> tuple[Any, ...]:
    """NumPy's slice syntax (``0,:``, ``..., ::2``) without evaluating anything.

    Raises:
        UsageError: it is none.
    """
    parts: list[Any] = []
    for piece in text.strip().removeprefix("[").removesuffix("]").split(","):
        match = _PART.match(piece)
        if match is None:
            raise UsageError(f"--slice {text!r} is no NumPy slice; write it like 0,: or 10:20")
        if match["dots"]:
            parts.append(...)
        elif match["index"] is not None:
            parts.append(int(match["index"]))
        else:
            bounds = [
                int(match[name]) if match[name] else None for name in ("start", "stop", "step")
            ]
            if bounds[2] == 0:
                raise UsageError(f"--slice {text!r} has a step of 0")
            parts.append(slice(*bounds))
    return tuple(parts)


def take(values: numpy.ndarray[Any, Any], text: str | None) -> numpy.ndarray[Any, Any]:
    """The part of a tensor that a slice names.

    Raises:
        UsageError: the slice does not fit its shape.
    """
    import numpy

    if text is None:
        return values
    try:
        return numpy.asarray(values[parse_slice(text)])
    except (IndexError, ValueError) as error:
        raise UsageError(
            f"--slice {text!r} does not fit shape {tuple(values.shape)}: {error}"
        ) from None


def values_to_jsonable(key: str, dtype: str, values: numpy.ndarray[Any, Any]) -> dict[str, Any]:
    """Key, dtype, shape and nested lists; bytes as text with escapes, complex numbers as [re,
    im].
    """

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, bytes):
            return value.decode("utf-8", "backslashreplace")
        if isinstance(value, complex):
            return [number(value.real), number(value.imag)]
        return number(value)

    small = (
        values.astype("float32")
        if values.dtype.kind == "V" or values.dtype.name.startswith(("bfloat", "float8"))
        else values
    )
    return {
        "key": key,
        "dtype": dtype,
        "shape": list(values.shape),
        "values": plain(small.tolist()),
    }


def values_text(values: numpy.ndarray[Any, Any]) -> str:
    """The values as NumPy prints them, complete."""
    import sys

    import numpy

    return numpy.array2string(values, threshold=sys.maxsize, max_line_width=80, separator=" ")
