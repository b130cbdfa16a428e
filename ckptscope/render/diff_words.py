"""What a comparison says in a line or two: for the terminal, Markdown and notebooks alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ckptscope.checkpoint.object_keys import short_name
from ckptscope.render import words

if TYPE_CHECKING:
    from ckptscope.comparison.model import Change, CheckpointDiff, Group, Kind, Measures
    from ckptscope.inspection import CheckpointInfo
    from ckptscope.iterator.position import Position

_KIND_WORDS: dict[Kind, str] = {
    "unreadable": "unreadable",
    "removed": "removed",
    "added": "added",
    "dtype": "of another dtype",
    "shape": "of another shape",
    "renamed": "renamed",
    "value": "changed",
}


def verdict(found: CheckpointDiff) -> str:
    """``SAME`` or ``DIFFERENT``."""
    return "SAME" if found.summary.same else "DIFFERENT"


def headline(found: CheckpointDiff) -> str:
    """How far training and data moved, and how much changed, in one sentence."""
    summary = found.summary
    parts = []
    if summary.step_delta is not None:
        parts.append(
            "the same step" if summary.step_delta == 0 else f"{signed(summary.step_delta, 'step')}"
        )
    if summary.examples_delta is not None:
        parts.append(
            "the data at the same place"
            if summary.examples_delta == 0
            else f"data {signed(summary.examples_delta, 'example')}"
        )
    elif summary.batches_delta is not None:
        parts.append(
            "the data at the same place"
            if summary.batches_delta == 0
            else f"data {signed(summary.batches_delta, 'batch')}"
        )
    counting = [group for group in found.groups if group.role not in ("bookkeeping", "iterator")]
    total = sum(group.num_equal + sum(group.counted.values()) for group in counting)
    counted = {kind: sum(group.counted.get(kind, 0) for group in counting) for kind in _KIND_WORDS}
    changed = [f"{count:,} {_KIND_WORDS[kind]}" for kind, count in counted.items() if count]
    left_out = f" compared ({found.num_left_out:,} left out)" if found.num_left_out else ""
    equal = (
        f"of {words.plural(total, 'variable')}{left_out} {', '.join(changed)}"
        if changed
        else f"all {words.plural(total, 'variable')}{left_out} equal"
    )
    # A comparison of some variables says "the same" of these, and says so first.
    parts.insert(0 if left_out else len(parts), equal)
    if not all(item.same for item in found.iterators):
        moved = sum(not item.same for item in found.iterators)
        parts.append(f"{words.plural(moved, 'iterator')} not the same")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "."


def signed(count: int, noun: str) -> str:
    """``+4 steps``, ``-1 batch``."""
    return f"{'+' if count >= 0 else '-'}{words.plural(abs(count), noun)}"


def side(info: CheckpointInfo, judged: str) -> str:
    """One checkpoint in a line."""
    step = f"step {info.step:,}" if info.step is not None else "step not stored"
    return (
        f"{step}, resumes: {judged}, {words.plural(info.num_variables, 'variable')}, "
        f"{words.size(info.nbytes)}; {info.chosen_because}"
    )


def measure(value: float | None) -> str:
    """A measure in three digits; a dash where it is undefined."""
    if value is None:
        return "-"
    return f"{value:.3g}" if math.isfinite(value) else str(value)


def cosine(value: float | None) -> str:
    """A cosine; close to 1 by what is missing to it, which three digits would round away."""
    if value is None:
        return "-"
    return f"{value:.6f}" if value < 0.9999995 or value == 1.0 else f"1-{1 - value:.1g}"


def elements(stats: Measures | None) -> str:
    """``37 of 37``."""
    if stats is None:
        return ""
    counted = "?" if stats.num_changed is None else f"{stats.num_changed:,}"
    return f"{counted} of {stats.num_elements:,}"


def special(stats: Measures | None) -> str:
    """NaN and infinities where there are any: ``NaN 0, then 3``."""
    if stats is None:
        return ""
    pairs = (("NaN", stats.num_nan_a, stats.num_nan_b), ("Inf", stats.num_inf_a, stats.num_inf_b))
    return ", ".join(
        f"{name} {a:,}, then {b:,}"
        for name, a, b in pairs
        if a is not None and b is not None and (a or b)
    )


def shown_name(change: Change) -> str:
    """The path, or the variable's own name where the path only numbers it."""
    name = short_name(change.key)
    return (
        change.full_name
        if change.full_name and any(part.isdigit() for part in name.split("/"))
        else name
    )


def what(change: Change) -> str:
    """A change that numbers do not tell."""
    if change.kind == "unreadable":
        return f"unreadable: {change.problem}"
    if change.kind == "shape":
        return f"shape {words.shape(change.old_shape or ())} became {words.shape(change.shape)}"
    if change.kind == "dtype":
        return f"dtype {change.old_dtype} became {change.dtype}"
    if change.kind == "renamed":
        return f"renamed from {short_name(change.old_key or '')}, {change.score} % alike"
    if change.kind in ("added", "removed"):
        return f"{change.kind}: {change.dtype} {words.shape(change.shape)}"
    return change.problem or "changed"


def relative(change: Change) -> float:
    """How large a change is, for sorting: relative L2, where A is all zero infinite."""
    stats = change.stats
    if stats is None:
        return -1.0
    if stats.rel_l2 is not None:
        return stats.rel_l2
    return math.inf if stats.max_abs else (stats.max_rel or 0.0)


def largest(changes: Iterable[Change]) -> list[Change]:
    """Changes of values, most first; bookkeeping last."""
    measured = [change for change in changes if change.stats is not None]
    return sorted(measured, key=lambda change: (change.counts, relative(change)), reverse=True)


def chosen_changes(changes: Sequence[Change], most: int) -> list[Change]:
    """At most so many changes, in their order: what is no change of values (renamed, added, …)
    before the largest of those.
    """
    if len(changes) <= most:
        return list(changes)
    others = [change for change in changes if change.stats is None]
    kept = {id(change) for change in [*others, *largest(changes)][:most]}
    return [change for change in changes if id(change) in kept]


def totals(group: Group) -> str:
    """``4 equal, 2 changed, 1 added`` of one role."""
    parts = [f"{count:,} {_KIND_WORDS[kind]}" for kind, count in group.counted.items()]
    if group.num_equal:
        equal = f"{group.num_equal:,} equal"
        if group.num_by_checksum == group.num_equal:
            equal += " (by checksum)"
        elif group.num_by_checksum:
            equal += f" ({group.num_by_checksum:,} by checksum)"
        parts.append(equal)
    return ", ".join(parts)


def position_rows(found: CheckpointDiff) -> Iterator[tuple[str, str, str, str]]:
    """(what, A, B, difference) of both positions; ``?`` where a number is not known."""
    a, b = found.positions
    summary = found.summary
    rows = (
        ("step", found.a.step, found.b.step, summary.step_delta),
        ("batches", _of(a, "batches_consumed"), _of(b, "batches_consumed"), summary.batches_delta),
        (
            "examples",
            _of(a, "examples_consumed"),
            _of(b, "examples_consumed"),
            summary.examples_delta,
        ),
        ("epoch", _of(a, "epoch"), _of(b, "epoch"), summary.epochs_delta),
        ("examples into it", _of(a, "examples_into_epoch"), _of(b, "examples_into_epoch"), None),
    )
    for name, old, new, delta in rows:
        if old is not None or new is not None:
            cells = ("?" if value is None else f"{value:,}" for value in (old, new))
            yield (name, *cells, "" if delta is None else f"{delta:+,}")  # type: ignore[misc]


def _of(position: Position | None, name: str) -> int | None:
    return None if position is None else getattr(position, name)
