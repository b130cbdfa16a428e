"""``diff --json``: the contract's object; its schema is ckptscope/schema/diff.schema.json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ckptscope.render.diff_words import chosen_changes
from ckptscope.render.jsonable import (
    Json,
    alarm_to_jsonable,
    checkpoint_to_jsonable,
    dumps,
    envelope,
    number,
    pieces,
    position_to_jsonable,
)

if TYPE_CHECKING:
    from ckptscope.comparison.model import (
        Change,
        CheckpointDiff,
        Group,
        IteratorChange,
        Measures,
        Summary,
    )


def diff_to_jsonable(found: CheckpointDiff, *, most: int | None = None) -> Json:
    """``diff --json``.

    Args:
        most: list so many changes at most, the largest ones, and say so in the notes.
    """
    changes = found.changes if most is None else chosen_changes(found.changes, most)
    shown = {
        **_without_changes(found),
        "changes": [change_to_jsonable(change) for change in changes],
    }
    left_out = len(found.changes) - len(changes)
    if left_out:
        shown["notes"] = [
            *shown["notes"],
            f"{left_out:,} more changes are not listed here; ckptscope diff lists them",
        ]
    return shown


def diff_pieces(found: CheckpointDiff) -> Iterator[str]:
    """Text of :func:`diff_to_jsonable`, in pieces."""
    return pieces(
        _without_changes(found), "changes", (change_to_jsonable(change) for change in found.changes)
    )


def change_lines(found: CheckpointDiff) -> Iterator[str]:
    """One line for each change (ndjson)."""
    return (dumps(change_to_jsonable(change), indent=None) + "\n" for change in found.changes)


def _without_changes(found: CheckpointDiff) -> Json:
    return {
        **envelope("diff"),
        "a": checkpoint_to_jsonable(found.a),
        "b": checkpoint_to_jsonable(found.b),
        "rule": found.rule.text,
        "summary": summary_to_jsonable(found.summary),
        "positions": [
            None if item is None else position_to_jsonable(item) for item in found.positions
        ],
        "groups": [_group(group) for group in found.groups],
        "training": [
            {
                "component": item.component,
                "name": item.name,
                "changed": item.changed,
                "old": item.old,
                "new": item.new,
                "text": item.text,
            }
            for item in found.training
        ],
        "iterators": [iterator_change_to_jsonable(item) for item in found.iterators],
        "notes": list(found.notes),
    }


def summary_to_jsonable(summary: Summary) -> Json:
    """The contract's summary, with the reasons of what is null."""
    return {
        "same": summary.same,
        "step_delta": summary.step_delta,
        "examples_delta": summary.examples_delta,
        "batches_delta": summary.batches_delta,
        "epochs_delta": summary.epochs_delta,
        "sources": [
            {
                "op": item.op,
                "file": item.file,
                "old_record": item.old_record,
                "new_record": item.new_record,
                "records_delta": item.records_delta,
                "bytes_delta": item.bytes_delta,
            }
            for item in summary.sources
        ],
        "verdicts": list(summary.verdicts),
        "alarms": [alarm_to_jsonable(alarm) for alarm in summary.alarms],
        "reasons": dict(summary.reasons),
    }


def change_to_jsonable(change: Change) -> Json:
    """One element of ``changes``."""
    return {
        "kind": change.kind,
        "key": change.key,
        "old_key": change.old_key,
        "score": change.score,
        "role": change.role,
        "dtype": change.dtype,
        "shape": list(change.shape),
        "nbytes": change.nbytes,
        "old_dtype": change.old_dtype,
        "old_shape": None if change.old_shape is None else list(change.old_shape),
        "counts": change.counts,
        "full_name": change.full_name,
        "slot_of": change.slot_of,
        "slot_name": change.slot_name,
        "problem": change.problem,
        "stats": None if change.stats is None else measures_to_jsonable(change.stats),
    }


def measures_to_jsonable(stats: Measures) -> Json:
    """The contract's ``stats`` of a change."""
    return {
        "num_elements": stats.num_elements,
        "num_changed": stats.num_changed,
        "max_abs": number(stats.max_abs),
        "max_rel": number(stats.max_rel),
        "rel_l2": number(stats.rel_l2),
        "cosine": number(stats.cosine),
        "num_nan_a": stats.num_nan_a,
        "num_nan_b": stats.num_nan_b,
        "num_inf_a": stats.num_inf_a,
        "num_inf_b": stats.num_inf_b,
    }


def _group(group: Group) -> Json:
    return {
        "role": group.role,
        "num_equal": group.num_equal,
        "num_equal_by_checksum": group.num_by_checksum,
        "num_changes": dict(group.counted),
        "num_elements": group.num_elements,
        "num_elements_changed": group.num_elements_changed,
        "nbytes": group.nbytes,
    }


def iterator_change_to_jsonable(item: IteratorChange) -> Json:
    """One element of ``iterators``."""
    return {
        "key": item.key,
        "old_key": item.old_key,
        "kind": item.kind,
        "same": item.same,
        "why": item.why,
        "batches_delta": item.batches_delta,
        "examples_delta": item.examples_delta,
        "epochs_delta": item.epochs_delta,
        "stages": [
            {
                "path": stage.path,
                "title": stage.title,
                "kind": stage.kind,
                "held_elements": list(stage.held),
                "more_read": stage.more_read,
                "text": stage.text,
            }
            for stage in item.stages
        ],
    }
