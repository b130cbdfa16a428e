"""The training state of two checkpoints compared in words: step, counters, hyper-parameters,
slots, generators, scale.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ckptscope.checkpoint.model import Checkpoint
from ckptscope.checkpoint.object_keys import short_name
from ckptscope.checkpoint.roles import Role, Variable
from ckptscope.comparison.model import StateChange
from ckptscope.comparison.pairing import Pair
from ckptscope.errors import CkptscopeError
from ckptscope.resume.facts import Facts

_MAX_WORDS = 8


def compare_training(
    a: Facts, b: Facts, pairs: Iterable[Pair], equal: Callable[[Pair], bool | None]
) -> tuple[StateChange, ...]:
    """What the run kept besides its weights, part by part.

    Args:
        equal: whether the values of a pair are equal; None where they could not be read.
    """
    by_role: dict[Role, list[Pair]] = defaultdict(list)
    for pair in pairs:
        present = pair.b if pair.b is not None else pair.a
        if present is not None:
            by_role[present.role].append(pair)
    changes = list(_step(a, b))
    for role, words in _WORDS.items():
        for pair in by_role.get(role, ()):
            found = _one(role, pair, a.checkpoint, b.checkpoint, words)
            if found is not None and not _is_step(pair, a, b):
                changes.append(found)
    return (*changes, *_slots(by_role.get("optimizer_slot", ()), equal))


def _is_step(pair: Pair, a: Facts, b: Facts) -> bool:
    return (pair.a is not None and pair.a.key == a.step.key) or (
        pair.b is not None and pair.b.key == b.step.key
    )


def _step(a: Facts, b: Facts) -> Iterator[StateChange]:
    old, new = a.step.value, b.step.value
    if old is None and new is None:
        return
    key = short_name(b.step.key or a.step.key or "step")
    before, after = (None if value is None else f"{value:,}" for value in (old, new))
    yield StateChange("step", key, old != new, before, after, _number_words(old, new))


def _one(
    role: Role,
    pair: Pair,
    a: Checkpoint,
    b: Checkpoint,
    words: Callable[[list[Any] | None, list[Any] | None], str],
) -> StateChange | None:
    present = pair.b if pair.b is not None else pair.a
    assert present is not None
    old, new = _values(a, pair.a), _values(b, pair.b)
    if old is None and new is None:
        return None
    name = short_name(present.object_path or present.key)
    if role == "counter" and present.entry.shape:
        return None
    return StateChange(
        _COMPONENT[role], name, old != new, _shown(old), _shown(new), words(old, new)
    )


def _values(checkpoint: Checkpoint, variable: Variable | None) -> list[Any] | None:
    if variable is None:
        return None
    try:
        return checkpoint.values(variable.key, _MAX_WORDS)
    except (CkptscopeError, ValueError, OSError):
        return None


def _shown(values: list[Any] | None) -> str | None:
    if values is None:
        return None
    texts = [f"{value:.7g}" if isinstance(value, float) else str(value) for value in values]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _number_words(old: float | int | None, new: float | int | None) -> str:
    if old is None or new is None:
        return "only in B" if old is None else "only in A"
    if old == new:
        return "the same"
    if isinstance(old, int) and isinstance(new, int):
        return f"{new - old:+,}"
    if old and math.isfinite(old) and math.isfinite(new):
        return f"{new - old:+.3g}, times {new / old:.4g}"
    return "changed"


def _number(old: list[Any] | None, new: list[Any] | None) -> str:
    return _number_words(old[0] if old else None, new[0] if new else None)


def _generator(old: list[Any] | None, new: list[Any] | None) -> str:
    """Philox: two counter words and a key; ThreeFry and Keras' seed generators: a counter
    beside a seed.
    """
    if old is None or new is None:
        return "only in B" if old is None else "only in A"
    if old == new:
        return "the same"
    if len(old) != len(new) or not all(isinstance(value, int) for value in (*old, *new)):
        return "changed"
    if len(old) == 3:  # Philox: 128-bit counter, low word first, then the key
        mask = (1 << 64) - 1
        before, after = ((words[0] & mask) | (words[1] & mask) << 64 for words in (old, new))
        if old[2] != new[2]:
            return "reset: another key" + ("" if after else ", counter at 0")
        return (
            f"moved on by {after - before:,}"
            if after > before
            else f"set back by {before - after:,}"
        )
    if len(old) == 2 and old[0] == new[0]:  # Keras: seed, counter
        return (
            f"moved on by {new[1] - old[1]:,}"
            if new[1] > old[1]
            else f"set back by {old[1] - new[1]:,}"
        )
    return "reset: another seed"


_WORDS: Mapping[Role, Callable[[list[Any] | None, list[Any] | None], str]] = {
    "counter": _number,
    "optimizer_hyper": _number,
    "rng": _generator,
    "loss_scale": _number,
}
_COMPONENT: Mapping[Role, str] = {
    "counter": "counters",
    "optimizer_hyper": "optimizer",
    "rng": "rng",
    "loss_scale": "loss scale",
}


def _slots(pairs: Iterable[Pair], equal: Callable[[Pair], bool | None]) -> Iterator[StateChange]:
    """One line for each kind of slot."""
    kinds: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        present = pair.b if pair.b is not None else pair.a
        if present is not None:
            kinds[present.slot_name or "without owner"].append(pair)
    for name, found in sorted(kinds.items()):
        both = [pair for pair in found if pair.a is not None and pair.b is not None]
        states = [equal(pair) for pair in both]
        same, changed = states.count(True), states.count(False)
        alone_a = sum(pair.b is None for pair in found)
        alone_b = sum(pair.a is None for pair in found)
        parts = [
            f"{changed:,} of {len(both):,} changed"
            if changed
            else f"all {same:,} the same"
            if same
            else "",
            f"{alone_a:,} only in A" if alone_a else "",
            f"{alone_b:,} only in B" if alone_b else "",
            f"{states.count(None):,} unreadable" if None in states else "",
        ]
        text = ", ".join(part for part in parts if part)
        yield StateChange("slots", name, bool(changed or alone_a or alone_b), None, None, text)
