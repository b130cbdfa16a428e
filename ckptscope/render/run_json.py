"""Objects of the TensorBoard tab's routes, which ``ckptscope report`` embeds; described in the
plugin's http_api.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ckptscope.recording.columns import UNKNOWN
from ckptscope.render.jsonable import (
    Json,
    attempt_to_jsonable,
    envelope,
    history_row_to_jsonable,
    history_to_jsonable,
    restart_to_jsonable,
    stage_to_jsonable,
)

if TYPE_CHECKING:
    from ckptscope.inspection import StageInfo
    from ckptscope.recording.summary import AttemptSummary
    from ckptscope.runs.coverage import CoverageTable
    from ckptscope.runs.model import CheckpointRow, Run
    from ckptscope.runs.moment import Moment
    from ckptscope.runs.picture import Line, PositionPlot
    from ckptscope.runs.restarts import RestartCost
    from ckptscope.runs.summary import RunSummary

# Lists that may be long are left to the route of one run.
_LONG = (
    "repeated_elements",
    "skipped_elements",
    "checkpoints",
    "disagreements",
    "gaps",
    "problems",
)


def overview_to_jsonable(
    summaries: Iterable[RunSummary],
    *,
    logdir: str | None,
    scan: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> Json:
    """All runs without their steps, the one with the newest data first."""
    runs = sorted(summaries, key=lambda item: (-(item.newest_s or 0.0), item.name))
    return {
        **envelope("overview"),
        "logdir": logdir,
        "scan": dict(scan),
        "notes": list(notes),
        "runs": [summary_to_jsonable(item) for item in runs],
    }


def summary_to_jsonable(item: RunSummary) -> Json:
    """One run of the overview."""
    return {
        "name": item.name,
        "directory": item.directory,
        "verdicts": dict(item.verdicts),
        "num_checkpoints": item.num_checkpoints,
        "num_gone": item.num_gone,
        "num_attempts": len(item.attempts),
        "num_steps": item.num_steps,
        "first_step": item.first_step,
        "last_step": item.last_step,
        "newest_s": item.newest_s,
        "num_missing": item.num_missing,
        "num_repeated": item.num_repeated,
        "num_skipped": item.num_skipped,
        "warnings": list(item.warnings),
        "attempts": [_short(_attempt(one)) for one in item.attempts],
        "restarts": [_short(cost_to_jsonable(cost)) for cost in item.costs],
    }


def _short(value: Json) -> Json:
    return {key: item for key, item in value.items() if key not in _LONG}


def _attempt(item: AttemptSummary) -> Json:
    return {**attempt_to_jsonable(item), "number": item.number, "label": item.label}


def cost_to_jsonable(cost: RestartCost) -> Json:
    """The contract's restart, counted up."""
    return {
        **restart_to_jsonable(cost.restart),
        "number": cost.number,
        "parent_number": cost.parent_number,
        "num_repeated_kept": cost.num_repeated_kept,
        "repeat_steps": None if cost.repeat_steps is None else list(cost.repeat_steps),
        "label": cost.label,
        "text": cost.text,
    }


def plot_to_jsonable(run: str, plot: PositionPlot) -> Json:
    """The route ``series``."""
    return {
        **envelope("series"),
        "run": run,
        "x": {"mode": plot.x_mode, "label": plot.x_label},
        "y": {
            "mode": plot.y_mode,
            "label": plot.y_label,
            "reason": plot.reason,
            "ticks": [{"value": value, "text": text} for value, text in plot.ticks],
        },
        "reads": plot.reads,
        "files": list(plot.files),
        "lines": [_line(line) for line in plot.lines],
        "restarts": [
            {
                "number": mark.cost.number,
                "attempt": mark.cost.restart.attempt,
                "x": mark.x,
                "y": mark.y,
                "label": mark.label,
                "text": mark.cost.text,
            }
            for mark in plot.restarts
        ],
        "bands": [
            {
                "kind": band.kind,
                "restart": band.restart,
                "axis": band.axis,
                "from": band.start,
                "to": band.stop,
                "x_from": band.beside[0],
                "x_to": band.beside[1],
                "label": band.label,
            }
            for band in plot.bands
        ],
        "epochs": [{"epoch": epoch, "x": x} for epoch, x in plot.epochs],
        "checkpoints": [
            {
                "id": mark.id,
                "x": mark.x,
                "y": mark.y,
                "verdict": mark.verdict,
                "label": mark.label,
                "attempt": mark.attempt,
                "step": mark.step,
                "is_gone": mark.is_gone,
            }
            for mark in plot.checkpoints
        ],
        "range": None if plot.extent is None else {"from": plot.extent[0], "to": plot.extent[1]},
        "num_steps": plot.num_steps,
        "num_points": plot.num_points,
        "is_thinned": plot.is_thinned,
        "notes": list(plot.notes),
    }


def _line(line: Line) -> Json:
    positions = line.positions
    return {
        "attempt": line.attempt,
        "number": line.number,
        "kind": line.kind,
        "part": line.part,
        "label": line.label,
        "x": _numbers(line.x),
        "y": _numbers(line.y),
        "step": positions.step.tolist(),
        "examples": _integers(positions.examples),
        "epoch": _integers(positions.epoch),
        "into": _integers(positions.into),
        "file": None if line.file is None else _integers(line.file),
        "record": None if line.record is None else _integers(line.record),
    }


def _numbers(values: Any) -> list[float | int | None]:
    """Whole numbers without a point, unknown ones as null."""
    if not len(values):
        return []
    if np.isfinite(values).all():
        whole = bool((values == np.floor(values)).all())
        found: list[float | int | None] = (values.astype(np.int64) if whole else values).tolist()
        return found
    return [
        None if not np.isfinite(value) else int(value) if value == int(value) else float(value)
        for value in values
    ]


def _integers(values: Any) -> list[int | None]:
    return [None if value == UNKNOWN else value for value in values.tolist()]


def coverage_to_jsonable(run: str, table: CoverageTable) -> Json:
    """The route ``coverage``."""
    return {
        **envelope("coverage"),
        "run": run,
        "reads": table.reads,
        "reason": table.reason,
        "basis": table.basis,
        "epochs": list(table.epochs),
        "files": [
            {
                "index": number,
                "name": os.path.basename(file.path) or file.path,
                "path": file.path,
                "num_records": file.num_records,
            }
            for number, file in table.files
        ],
        "cells": [
            {
                "file": cell.file,
                "epoch": cell.epoch,
                "passes": cell.passes,
                "num_records": cell.num_records,
                "num_repeated": cell.num_repeated,
                "num_unread": cell.num_unread,
                "status": cell.status,
                "parts": [list(part) for part in cell.parts],
            }
            for cell in table.cells
        ],
        "has_files": table.has_files,
        "num_files": table.num_files,
        "num_epochs": table.num_epochs,
        "is_worst_first": table.is_worst_first,
    }


def checkpoints_to_jsonable(run: Run) -> Json:
    """The contract's history of a run, each row with what the tab needs besides."""
    return {
        **history_to_jsonable(run.history),
        "run": run.name,
        "history": [row_to_jsonable(row) for row in run.checkpoints],
        "attempts": [_attempt(item) for item in run.history.summaries()],
        "restarts": [cost_to_jsonable(cost) for cost in run.costs],
    }


def row_to_jsonable(item: CheckpointRow) -> Json:
    """The contract's row of a history, and where it comes from."""
    saved = item.saved
    return {
        **history_row_to_jsonable(item.row),
        "id": item.id,
        "name": item.name,
        "source": item.source,
        "step": item.step,
        "attempt": None if saved is None else saved.attempt,
        "attempt_number": item.attempt_number,
        "saved_s": item.saved_s,
        "why": item.row.why,
        "fix": item.row.fix,
        "command": item.row.command,
        "recorded": None
        if saved is None
        else {
            "verdict": saved.verdict,
            "decoded": None if saved.decoded is None else dict(saved.decoded),
            "problem": saved.problem,
            "disagreement": saved.disagreement,
        },
        "counted": None
        if item.counted is None
        else {
            "examples": item.counted.examples,
            "epoch": item.counted.epoch,
            "examples_into_epoch": item.counted.into,
        },
    }


def moment_to_jsonable(run: str, moment: Moment, stages: Sequence[StageInfo]) -> Json:
    """The route ``state``."""
    attempt, checkpoint = moment.attempt.attempt, moment.checkpoint
    return {
        **envelope("state"),
        "run": run,
        "attempt": attempt.id,
        "number": moment.number,
        "step": moment.step,
        "wall_time_s": moment.wall_time_s,
        "is_effective": moment.is_effective,
        "position": {
            "batches": moment.batches,
            "examples": moment.examples,
            "epoch": moment.epoch,
            "examples_into_epoch": moment.examples_into_epoch,
            "batch_size": attempt.batch_size,
            "epoch_size": attempt.epoch_size,
            "file": moment.file,
            "record": moment.record,
        },
        "reason": moment.reason,
        "order": attempt.order,
        "held_elements": _held_at(moment, stages),
        "decoded": None if moment.decoded is None else dict(moment.decoded),
        "disagreement": moment.disagreement,
        "checkpoint": None
        if checkpoint is None
        else {
            "id": checkpoint.id,
            "name": checkpoint.name,
            "step": checkpoint.step,
            "steps_before": moment.step - (checkpoint.step or 0),
        },
        "stages": [stage_to_jsonable(stage) for stage in stages],
    }


def _held_at(moment: Moment, stages: Sequence[StageInfo]) -> int | None:
    """What is held at this very step: known where a checkpoint was saved then, and one stage holds
    it. Several count in different units, batches and examples: they tell each of their own.
    """
    if moment.checkpoint is None or moment.checkpoint.step != moment.step:
        return None
    every = [item for stage in stages for item in stage.walk()]
    held = [item.held_elements for item in every if item.held_elements is not None]
    return held[0] if len(held) == 1 else None
