"""The contract's JSON objects: one shape for ``--json``, the TensorBoard tab and the tests' golden
files.

The schema is in ``ckptscope/schema``. Integers stay integers; non-finite numbers become strings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ckptscope.iterator.position import Position
from ckptscope.recording.intervals import Span, in_epochs, num_epochs, num_examples
from ckptscope.resume.model import EpochRange
from ckptscope.version import FORMAT_VERSION, VERSION

if TYPE_CHECKING:
    from ckptscope.checkpoint.roles import Variable
    from ckptscope.comparison.model import Alarm
    from ckptscope.errors import CkptscopeError
    from ckptscope.inspection import CheckpointInfo, Inspection, IteratorInfo, StageInfo
    from ckptscope.recording.lineage import Restart
    from ckptscope.recording.summary import AttemptSummary
    from ckptscope.resume.report import ResumeReport
    from ckptscope.run_history import HistoryRow, RunHistory

Json = dict[str, Any]
MOST_RANGES = 10_000
_encode_row = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False
).encode  # rows hold scalars


def dumps(value: Any, *, indent: int | None = 2) -> str:
    """Text of a JSON value; keys that are no UTF-8 are escaped already."""
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def pieces(value: Json, long: str, rows: Iterable[Json]) -> Iterator[str]:
    """Text of an object whose list ``long`` may have very many rows: these on a line each, made
    as they are written.
    """
    head = {key: item for key, item in value.items() if key != long}
    yield dumps(head)[: -len("\n}")] + f',\n  "{long}": ['
    separator = "\n    "
    for row in rows:
        yield separator + _encode_row(row)
        separator = ",\n    "
    yield "\n  ]\n}"


def number(value: float | int | None) -> float | int | str | None:
    """Non-finite floats as the contract's strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def envelope(command: str) -> Json:
    """What every object starts with."""
    return {"format_version": FORMAT_VERSION, "tool_version": VERSION, "command": command}


def error_to_jsonable(error: CkptscopeError) -> Json:
    """What is printed where nothing can be said."""
    return {
        "format_version": FORMAT_VERSION,
        "error": {"code": error.code, "message": str(error), "path": error.path},
    }


def inspection_to_jsonable(inspection: Inspection, *, with_variables: bool = True) -> Json:
    """``inspect --json``; without the list of variables, which may be long, it is null."""
    return {
        **_without_variables(inspection),
        "variables": list(_variables(inspection)) if with_variables else None,
    }


def inspection_pieces(inspection: Inspection) -> Iterator[str]:
    """Text of :func:`inspection_to_jsonable`, in pieces."""
    return pieces(_without_variables(inspection), "variables", _variables(inspection))


def _variables(inspection: Inspection) -> Iterator[Json]:
    return (
        variable_to_jsonable(
            variable,
            inspection.stats.get(variable.key),
            inspection.stats_problems.get(variable.key),
        )
        for variable in inspection.variables
    )


def _without_variables(inspection: Inspection) -> Json:
    return {
        **envelope("inspect"),
        "checkpoint": checkpoint_to_jsonable(inspection.checkpoint),
        "parameters": {"total": inspection.parameters[0], "nbytes": inspection.parameters[1]},
        "groups": [
            {
                "role": group.role,
                "num_variables": group.num_variables,
                "num_elements": group.num_elements,
                "nbytes": group.nbytes,
            }
            for group in inspection.groups
        ],
        "iterators": [iterator_to_jsonable(iterator) for iterator in inspection.iterators],
        "rng": [
            {
                "key": item.key,
                "kind": item.kind,
                "algorithm": item.algorithm,
                "state": None if item.state is None else list(item.state),
            }
            for item in inspection.rng
        ],
        "counters": dict(inspection.counters),
        "resume": resume_to_jsonable(inspection.resume),
    }


def checkpoint_to_jsonable(checkpoint: CheckpointInfo) -> Json:
    """The contract's checkpoint object."""
    return {
        "path": checkpoint.path,
        "chosen_because": checkpoint.chosen_because,
        "format": checkpoint.format,
        "style": checkpoint.style,
        "step": checkpoint.step,
        "nbytes": checkpoint.nbytes,
        "num_shards": checkpoint.num_shards,
        "num_variables": checkpoint.num_variables,
        "producer": checkpoint.producer,
        "complete": checkpoint.complete,
    }


def variable_to_jsonable(
    variable: Variable,
    stats: Mapping[str, float | int | None] | None = None,
    stats_reason: str | None = None,
) -> Json:
    """One element of ``variables``."""
    entry = variable.entry
    return {
        "key": variable.key,
        "object_path": variable.object_path,
        "full_name": variable.full_name,
        "dtype": entry.dtype.name,
        "shape": list(entry.shape),
        "nbytes": entry.nbytes,
        "role": variable.role,
        "slot_of": variable.slot_of,
        "slot_name": variable.slot_name,
        "shard": entry.shard,
        "crc32c": entry.crc32c,
        "stats": None if stats is None else {name: number(value) for name, value in stats.items()},
        "stats_reason": stats_reason,
    }


def stage_to_jsonable(stage: StageInfo) -> Json:
    """One element of ``stages``, inputs nested."""
    shown: Json = {
        "path": stage.path,
        "op": stage.op,
        "title": stage.title,
        "known": stage.known,
        "fields": dict(stage.fields),
        "held_elements": stage.held_elements,
        "nbytes": stage.nbytes,
        "inputs": [stage_to_jsonable(child) for child in stage.inputs],
    }
    if stage.elements is not None:
        shown["elements"] = [list(element) for element in stage.elements]
    return shown


def iterator_to_jsonable(iterator: IteratorInfo) -> Json:
    """One element of ``iterators``."""
    return {
        "key": iterator.key,
        "source_file": iterator.source_file,
        "decoded": iterator.decoded,
        "error": iterator.error,
        "nbytes": iterator.nbytes,
        "started": iterator.started,
        "exhausted": iterator.exhausted,
        "stages": [stage_to_jsonable(stage) for stage in iterator.stages],
        "position": position_to_jsonable(iterator.position),
    }


def position_to_jsonable(position: Position) -> Json:
    """The contract's POSITION."""
    return {
        "class": position.kind,
        "step": position.step,
        "epoch": position.epoch,
        "batches_consumed": position.batches_consumed,
        "examples_consumed": position.examples_consumed,
        "examples_into_epoch": position.examples_into_epoch,
        "batch_size": position.batch_size,
        "epoch_size": position.epoch_size,
        "sources": [
            {
                "op": source.op,
                "file": source.file,
                "record_index": source.record_index,
                "byte_offset": source.byte_offset,
                "elements_read": source.elements_read,
                "reason": source.problem,
            }
            for source in position.sources
        ],
        "next_record": None
        if position.next_record is None
        else {"file": position.next_record.file, "record_index": position.next_record.record_index},
        "reasons": dict(position.reasons),
        "known_from": position.known_from,
        "guesses": list(position.guesses),
    }


def resume_to_jsonable(resume: ResumeReport) -> Json:
    """The contract's ``resume`` object."""
    loss = resume.loss
    return {
        "verdict": resume.verdict,
        "headline": resume.headline,
        "position": position_to_jsonable(resume.position),
        "conditions": [
            {"code": item.code, "text": item.text, "source": item.source}
            for item in resume.conditions
        ],
        "findings": [
            {
                "code": item.code,
                "component": item.component,
                "status": item.status,
                "verdict": item.verdict,
                "subject": item.subject,
                "message": item.message,
                "remedy": item.remedy,
                "evidence": [
                    {"file": e.file, "key": e.key, "offset": e.offset, "value": e.value}
                    for e in item.evidence
                ],
            }
            for item in resume.findings
        ],
        "loss": None
        if loss is None
        else {
            "repeated_elements": ranges_to_jsonable(loss.repeated),
            "skipped_elements": ranges_to_jsonable(loss.skipped),
        },
    }


def ranges_to_jsonable(ranges: tuple[EpochRange, ...]) -> Any:
    """A pair within one epoch; across a boundary a list of {epoch, from, to}."""
    if not ranges:
        return None
    if len(ranges) == 1 and ranges[0].epoch == 0:
        return [ranges[0].start, ranges[0].stop]
    return [{"epoch": item.epoch, "from": item.start, "to": item.stop} for item in ranges]


def alarm_to_jsonable(alarm: Alarm) -> Json:
    """One alarm; ranges are there only where they were derived."""
    ranges = {"repeated_elements": alarm.repeated, "skipped_elements": alarm.skipped}
    return {
        "code": alarm.code,
        "text": alarm.text,
        **{name: ranges_to_jsonable(found) for name, found in ranges.items() if found},
    }


def history_to_jsonable(history: RunHistory) -> Json:
    """``inspect DIR --all --json``."""
    return {
        **envelope("inspect"),
        "history": [history_row_to_jsonable(row) for row in history.rows],
        "attempts": [attempt_to_jsonable(item) for item in history.summaries()],
        "restarts": [restart_to_jsonable(restart) for restart in history.restarts],
        "notes": [
            {"kind": note.kind, "path": note.path, "text": note.text} for note in history.notes
        ],
    }


def attempt_to_jsonable(found: AttemptSummary) -> Json:
    """One recorded process of a run."""
    attempt = found.attempt
    return {
        "id": attempt.id,
        "kind": attempt.kind,
        "host": attempt.host,
        "process": attempt.process,
        "hosts": attempt.hosts,
        "started_s": attempt.started_s,
        "restored_from": attempt.restored_from,
        "restored_step": attempt.restored_step,
        "parent": attempt.parent,
        "parent_inferred": attempt.parent_inferred,
        "continues": attempt.continues,
        "closed": attempt.closed,
        "counting": attempt.counting,
        "order": attempt.order,
        "held_elements": attempt.held,
        "batch_size": attempt.batch_size,
        "epoch_size": attempt.epoch_size,
        "num_steps": found.num_steps,
        "first_step": found.first_step,
        "last_step": found.last_step,
        "num_missing": found.num_missing,
        "checkpoints": [saved.path for saved in found.checkpoints],
        "disagreements": [
            saved.disagreement for saved in found.checkpoints if saved.disagreement is not None
        ],
        "gaps": [
            {"first": gap.first, "last": gap.last, "reason": gap.reason} for gap in found.gaps
        ],
        "problems": list(found.problems),
        "doubt": found.doubt,
    }


def restart_to_jsonable(restart: Restart) -> Json:
    """What one restart cost; lists of more than 10,000 ranges are left out, their number of
    examples is not.
    """
    known = restart.reason is None
    return {
        "attempt": restart.attempt,
        "parent": restart.parent,
        "restored_from": restart.restored_from,
        "step": restart.step,
        "dead_steps": restart.dead_steps,
        "dead_steps_complete": restart.dead_steps_complete,
        "moved_examples": restart.moved,
        "num_repeated": num_examples(restart.repeated_spans) if known else None,
        "num_skipped": num_examples(restart.skipped_spans) if known else None,
        "repeated_elements": _listed(restart.repeated_spans, restart.epoch_size),
        "skipped_elements": _listed(restart.skipped_spans, restart.epoch_size),
        "exact_ranges": restart.exact_ranges,
        "order_again": restart.order_again,
        "reason": restart.reason,
    }


def _listed(spans: Sequence[Span], epoch_size: int | None) -> Any:
    if num_epochs(spans, epoch_size) > MOST_RANGES:
        return None
    return ranges_to_jsonable(tuple(in_epochs(spans, epoch_size)))


def history_row_to_jsonable(row: HistoryRow) -> Json:
    """One element of ``history``; ``error`` where it could not be read."""
    return {
        "checkpoint": None if row.checkpoint is None else checkpoint_to_jsonable(row.checkpoint),
        "path": row.path,
        "position": None if row.position is None else position_to_jsonable(row.position),
        "verdict": row.verdict,
        "headline": row.headline,
        "iterator_position": None if row.place is None else position_to_jsonable(row.place),
        "batches_delta": row.batches_moved,
        "alarms": [alarm_to_jsonable(alarm) for alarm in row.alarms],
        **({"error": row.error} if row.error is not None else {}),
    }
