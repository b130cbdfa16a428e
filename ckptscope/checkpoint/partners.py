"""Checkpoints of an input pipeline beside a model's: an Estimator's hook writes them.

Source: tensorflow/python/data/experimental/ops/iterator_ops.py (CheckpointInputPipelineHook)."""

from __future__ import annotations

import functools
import os
import re
import time
from dataclasses import dataclass

from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.order import PARTNER, ordered_checkpoints
from ckptscope.checkpoint.state_file import STATE_FILE, read_state_file

_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Partner:
    """An ``input.ckpt-N`` that an Estimator's ``CheckpointInputPipelineHook`` wrote beside the
    model's checkpoints.

    Attributes:
        step: number in its name.
        is_complete: its index is there; else only debris of a save is (``problem`` says what).
    """

    prefix: str
    base: str
    step: int
    is_complete: bool
    problem: str | None = None


def _input_names(directory: str) -> tuple[str, ...]:
    """Names of an input pipeline's checkpoints and state files. Every checkpoint of a directory
    asks for them.
    """
    changed_ns = os.stat(directory).st_mtime_ns
    # A directory that has just changed may change again without a new time.
    is_settled = time.time_ns() - changed_ns > _SETTLED_NS
    return (
        _listed(directory, changed_ns) if is_settled else _listed.__wrapped__(directory, changed_ns)
    )


@functools.lru_cache(maxsize=4)
def _listed(directory: str, changed_ns: int) -> tuple[str, ...]:
    del changed_ns
    return tuple(
        sorted(
            name
            for name in os.listdir(directory)
            if name.startswith(("input", f"{STATE_FILE}_input"))
        )
    )


def unfinished_input(location: Location) -> tuple[str, str] | None:
    """(state file, name) where an input pipeline's state file names a temporary part of a save
    as the latest.
    """
    directory = os.path.dirname(location.prefix) or "."
    try:
        names = [name for name in _input_names(directory) if name.startswith(STATE_FILE)]
    except OSError:
        return None
    if not names:
        return None
    here = ordered_checkpoints(directory)
    newest = here[-1].prefix if here else None
    for name in names:
        path = os.path.join(directory, name)
        latest, _ = read_state_file(path)
        if latest is not None and "_temp_" in latest and location.prefix == newest:
            return path, os.path.basename(os.path.dirname(latest)) or latest
    return None


def partners_of(location: Location) -> list[Partner]:
    """Input checkpoints beside a model's, of any step, in step order."""
    directory = os.path.dirname(location.prefix) or "."
    if PARTNER.match(os.path.basename(location.prefix)):
        return []
    found: dict[str, Partner] = {}
    try:
        names = [name for name in _input_names(directory) if name.startswith("input")]
    except OSError:
        return []
    for name in names:
        stem = re.sub(r"(\.index|\.meta|\.data-\d{5}-of-\d{5}|_temp_.*)$", "", name)
        match = PARTNER.match(stem)
        if match is None:
            continue
        prefix = os.path.join(directory, stem)
        if os.path.isfile(f"{prefix}.index"):
            found[stem] = Partner(prefix, match["base"], int(match["step"]), True)
        elif stem not in found or "_temp_" in name:
            problem = f"only {name} is there" + (
                ": a save that never finished" if "_temp_" in name else ", without its index"
            )
            found[stem] = Partner(prefix, match["base"], int(match["step"]), False, problem)
    return sorted(found.values(), key=lambda partner: (partner.step, partner.base))
