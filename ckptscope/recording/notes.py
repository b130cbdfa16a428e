"""Headers and notes of a recording as dataclasses. They come out of files, so every field is
checked.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from ckptscope.recording.model import Attempt, Gap, SavedCheckpoint, SourceFile, Start

_MOST = 1 << 53
# Half a character, which no name of a file can hold; the bytes that Python escapes in names are
# none of these.
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
# Sizes that something is divided by.
_POSITIVE = frozenset(("batch_size", "epoch_size", "hosts"))


def attempt_from(value: Mapping[str, Any], name: str, problems: list[str]) -> Attempt:
    """A header; what does not fit is left at its default, with a problem. ``started_s`` is 0
    where it is not known.
    """
    start, started_s = value.get("start"), value.get("started_s", 0.0)
    if not _fits("started_s", started_s, "float"):
        problems.append(f"Attempt.started_s cannot be {str(started_s)[:40]!r}")
        started_s = 0.0
    plain = {key: item for key, item in value.items() if key not in ("start", "files")}
    made: Attempt = _made(Attempt, {**plain, "id": name, "started_s": started_s}, problems)
    begun = (
        _made(Start, start, problems)
        if isinstance(start, dict)
        else Start(reason="the start was not recorded")
    )
    return dataclasses.replace(made, start=begun, files=_files(value.get("files"), problems))


def _files(value: Any, problems: list[str]) -> tuple[SourceFile, ...]:
    """Files in reading order: where one of them does not fit, the order is not known, and there
    are none.
    """
    items = value if isinstance(value, list) else []
    made: list[SourceFile | None] = [
        _made(SourceFile, item, problems) if isinstance(item, dict) else None for item in items
    ]
    known = [item for item in made if item is not None]
    return tuple(known) if len(known) == len(made) else ()


def checkpoint_from(
    value: Mapping[str, Any], attempt: str, problems: list[str]
) -> SavedCheckpoint | None:
    """A note of a saved checkpoint; None, with a problem, where what it needs is not there."""
    found: SavedCheckpoint | None = _made(SavedCheckpoint, {**value, "attempt": attempt}, problems)
    if found is not None and found.sequence < 0:
        problems.append(f"a note of a checkpoint counts {found.sequence} rows")
        return None
    return found


def gap_from(value: Mapping[str, Any], attempt: str, problems: list[str]) -> Gap | None:
    """A note of steps that were not written."""
    found: Gap | None = _made(Gap, {**value, "attempt": attempt}, problems)
    return found


def _made(kind: Any, value: Mapping[str, Any], problems: list[str]) -> Any:
    """A dataclass from JSON; keys that it does not know are left out. None where a needed field
    does not fit.
    """
    chosen = {}
    for item in dataclasses.fields(kind):
        if item.name not in value:
            if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
                problems.append(f"{kind.__name__} lacks {item.name}")
                return None
        elif _fits(item.name, value[item.name], str(item.type)):
            chosen[item.name] = value[item.name]
        else:
            problems.append(f"{kind.__name__}.{item.name} cannot be {str(value[item.name])[:40]!r}")
            if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
                return None
    return kind(**chosen)


def _fits(name: str, value: Any, declared: str) -> bool:
    """Whether a value is of a field's declared type (``int | None``), and within reason."""
    kinds = {kind.partition("[")[0] for kind in declared.split(" | ")}
    if value is None:
        return "None" in kinds
    if isinstance(value, bool):
        return "bool" in kinds
    if isinstance(value, int):
        return (
            bool(kinds & {"int", "float"})
            and abs(value) <= _MOST
            and (value > 0 or name not in _POSITIVE)
        )
    if isinstance(value, float):
        return "float" in kinds and math.isfinite(value)
    if isinstance(value, str):
        return "str" in kinds and "\0" not in value and not _LONE.search(value)
    return isinstance(value, dict) and "Mapping" in kinds
