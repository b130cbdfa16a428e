"""Statistics of stored tensors, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping

from ckptscope.checkpoint.model import Checkpoint
from ckptscope.errors import CkptscopeError

_CHUNK_ELEMENTS = 1 << 20


def statistics_of(checkpoint: Checkpoint, key: str) -> Mapping[str, float | int | None] | str:
    """Minimum, maximum, mean, standard deviation (over finite elements, in float64) and counts of
    zeros, NaN and Inf.

    Why there are none for dtypes without numbers, and for tensors that do not match their checksum
    or cannot be read.
    """
    import numpy

    entry = checkpoint.entry(key)
    if not (entry.dtype.is_floating or entry.dtype.is_integer or entry.dtype.name == "bool"):
        return f"{entry.dtype.name} values are not numbers"
    try:
        flat = checkpoint[key].reshape(-1)
    except CkptscopeError as error:
        return error.message
    count = zeros = nans = infinities = 0
    total = squares = 0.0
    low, high = float("inf"), float("-inf")
    for start in range(0, flat.size, _CHUNK_ELEMENTS):
        chunk = flat[start : start + _CHUNK_ELEMENTS].astype(numpy.float64)
        finite = chunk[numpy.isfinite(chunk)]
        nans += int(numpy.isnan(chunk).sum())
        infinities += int(numpy.isinf(chunk).sum())
        zeros += int((chunk == 0).sum())
        if finite.size:
            count += finite.size
            total += float(finite.sum())
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    mean = total / count if count else None
    if mean is not None:
        for start in range(0, flat.size, _CHUNK_ELEMENTS):
            chunk = flat[start : start + _CHUNK_ELEMENTS].astype(numpy.float64)
            squares += float(((chunk[numpy.isfinite(chunk)] - mean) ** 2).sum())
    return {
        "num_elements": int(flat.size),
        "min": low if count else None,
        "max": high if count else None,
        "mean": mean,
        "std": (squares / count) ** 0.5 if count else None,
        "num_zeros": zeros,
        "num_nan": nans,
        "num_inf": infinities,
    }
