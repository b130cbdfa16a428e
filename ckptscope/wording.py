"""Small helpers for sentences that people read."""

from __future__ import annotations

from collections.abc import Sequence

_IRREGULAR = {"is": "are", "has": "have", "was": "were", "lacks": "lack", "its": "their"}


def plural(count: int, noun: str) -> str:
    """``noun`` as it stands behind a number: ``batch`` or ``batches``."""
    if count == 1:
        return noun
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def counted(count: int, noun: str) -> str:
    """``1 batch``, ``1,200 batches``."""
    return f"{count:,} {plural(count, noun)}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    rest = len(names) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown
