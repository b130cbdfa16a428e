"""Nothing that goes wrong here reaches the training."""

from __future__ import annotations

import functools
import sys
import warnings
from typing import Any, Callable, TypeVar

Kind = TypeVar("Kind", bound=type)

# What doubles hold exactly; JSON readers agree on no more.
LARGEST = 1 << 53


def warn(owner: object, message: str) -> None:
    """One warning for each object, which no filter turns into an error: training goes on."""
    if owner.__dict__.get("_has_warned"):
        return
    owner.__dict__["_has_warned"] = True
    text = "ckptscope: the data position is not fully recorded: %s" % message
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except RuntimeWarning:  # warnings are errors in this program
        sys.stderr.write(text + "\n")


def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose exceptions become a warning; it returns None then."""
    if getattr(method, "is_guarded", False):
        return method

    @functools.wraps(method)
    def call(self: object, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            warn(self, "%s: %s" % (type(error).__name__, error))
            return None

    vars(call)["is_guarded"] = True
    return call


def never_hurts(kind: Kind) -> Kind:
    """A class whose public methods are guarded, and those that TensorFlow calls."""
    for name, value in list(vars(kind).items()):
        if callable(value) and not name.startswith("_") and not isinstance(value, type):
            setattr(kind, name, guarded(value))
    return kind


def whole_number(value: Any) -> int | None:
    """A count out of whatever holds one: numbers, tensors, variables, also those of several
    replicas. None where it is not a whole number from 0 to 2^53.
    """
    for _ in range(4):
        if isinstance(value, (bool, str, bytes)):
            return None
        try:
            number = int(value)
            return number if 0 <= number <= LARGEST and number == float(value) else None
        except Exception:  # a variable of several replicas, or anything at all
            value = _inside(value)
    return None


def _inside(value: Any) -> Any:
    """What a variable holds; of several replicas the first one."""
    for name in ("values", "_primary", "numpy", "read_value", "value"):
        found = getattr(value, name, None)
        try:
            found = found() if callable(found) else found
            found = found[0] if isinstance(found, (tuple, list)) else found
        except Exception:  # a variable outside of its strategy: another way may do
            continue
        if found is not None:
            return found
    return None
