"""Whether two checkpoints were written by programs with different input pipelines."""

from __future__ import annotations

import os
from collections import Counter

from ckptscope.checkpoint.run_record import RecordedFile, RunRecord
from ckptscope.comparison.places import Place, other_batch_size
from ckptscope.iterator.ops import OPS
from ckptscope.iterator.tree import IteratorTree, Stage
from ckptscope.resume.facts import Facts

_MOST_NAMES = 3


def pipeline_change(a: Facts, b: Facts, places: tuple[Place, Place]) -> str | None:
    """What shows that the two were made by different pipelines; None where nothing does."""
    first, second = places
    old, new = a.pipeline, b.pipeline
    if old is not None and new is not None and old.ops != new.ops:
        gone = [op for op in old.ops if op not in new.ops]
        come = [op for op in new.ops if op not in old.ops]
        what = "; ".join(
            text
            for text in (
                f"gone: {', '.join(gone)}" if gone else "",
                f"new: {', '.join(come)}" if come else "",
            )
            if text
        )
        return what or "the same stages in another order"
    told = _recorded_change(a.run_record, b.run_record)
    if told is not None:
        return told
    if first.iterator is None or second.iterator is None:
        return None
    if first.iterator.tree is not None and second.iterator.tree is not None:
        found = pipeline_differs(first.iterator.tree, second.iterator.tree)
        if found is not None:
            return found
    if other_batch_size(first, second):
        return f"the batch size became {second.batch_size}, from {first.batch_size}"
    return None


def _recorded_change(a: RunRecord | None, b: RunRecord | None) -> str | None:
    """What the run records beside both show: another batch size, or other data files."""
    if a is None or b is None:
        return None
    if a.batch_size and b.batch_size and a.batch_size != b.batch_size:
        return f"the batch size became {b.batch_size:,}, from {a.batch_size:,}"
    return _other_files(a.files, b.files) if a.files and b.files else None


def _other_files(a: tuple[RecordedFile, ...], b: tuple[RecordedFile, ...]) -> str | None:
    """Files that one reads and the other does not, by their names: the data may have been moved."""
    old, new = ([os.path.basename(file.path) for file in files] for files in (a, b))
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    if gone or come:
        parts = (("no longer read", gone), ("new", come))
        return "; ".join(f"{what}: {_listed(list(names))}" for what, names in parts if names)
    if old != new:
        return "the same data files are read in another order"
    changed = [
        name
        for name, before, after in zip(old, a, b, strict=True)
        if None not in (before.fingerprint, after.fingerprint)
        and before.fingerprint != after.fingerprint
    ]
    return f"the contents changed: {_listed(changed)}" if changed else None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def pipeline_differs(a: IteratorTree, b: IteratorTree) -> str | None:
    """What shows that two states come from different pipelines; None where nothing does.

    A stage that has no input in a state has not started or is at its end: that shows nothing.
    """
    return None if a.root is None or b.root is None else _differs(a.root, b.root)


def _differs(a: Stage, b: Stage) -> str | None:
    if not same_op(a, b):
        return f"{title_of(a)} became {title_of(b)}"
    old, new = dict(a.inputs), dict(b.inputs)
    shared = [(old[slot], new[slot]) for slot in old if slot in new]
    if not shared and old and new and None not in old and None not in new and not _is_sequence(a):
        shared = [(next(iter(old.values())), next(iter(new.values())))]
    return next((found for x, y in shared if (found := _differs(x, y)) is not None), None)


def _is_sequence(stage: Stage) -> bool:
    """Its inputs are different datasets, one after the other."""
    return stage.op in OPS and OPS[stage.op].joins == "in_turn"


def same_op(a: Stage, b: Stage) -> bool:
    """Whether two stages are of one kind, whatever releases call it."""
    first, second = OPS.get(a.op), OPS.get(b.op)
    return a.op == b.op if first is None or second is None else first is second


def title_of(stage: Stage) -> str:
    """What users call a stage."""
    spec = OPS.get(stage.op)
    return spec.title if spec is not None else stage.op
