"""Inspections as pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas

from ckptscope.render.diff_json import change_to_jsonable
from ckptscope.render.jsonable import history_row_to_jsonable, variable_to_jsonable

if TYPE_CHECKING:
    from ckptscope.comparison.model import CheckpointDiff
    from ckptscope.inspection import Inspection
    from ckptscope.run_history import RunHistory


def inspection_frame(inspection: Inspection) -> pandas.DataFrame:
    """One row for each variable: the columns of ``variables`` in the JSON, and statistics where
    they were computed.
    """
    rows = []
    for variable in inspection.variables:
        row = variable_to_jsonable(variable, inspection.stats.get(variable.key))
        row["shape"] = tuple(row["shape"])
        row.update(row.pop("stats") or {})
        del row["stats_reason"]
        rows.append(row)
    return pandas.DataFrame(rows)


def history_frame(history: RunHistory) -> pandas.DataFrame:
    """One row for each checkpoint: path, verdict and the fields of its position."""
    rows = []
    for row in history.rows:
        found = history_row_to_jsonable(row)
        position = {
            key: value
            for key, value in (found["position"] or {}).items()
            if key not in ("sources", "next_record", "reasons")
        }
        rows.append(
            {
                "path": found["path"],
                "verdict": found["verdict"],
                **position,
                "headline": found["headline"],
                "batches_delta": row.batches_moved,
                "alarms": tuple(alarm.code for alarm in row.alarms),
                "error": found.get("error"),
            }
        )
    return pandas.DataFrame(rows)


def diff_frame(found: CheckpointDiff) -> pandas.DataFrame:
    """One row for each change: the columns of ``changes`` in the JSON, measures as columns of
    their own.
    """
    rows = []
    for change in found.changes:
        row = change_to_jsonable(change)
        stats = row.pop("stats") or {}
        row["shape"] = tuple(row["shape"])
        rows.append({**row, **stats})
    return pandas.DataFrame(rows)


def steps_frame(history: RunHistory) -> pandas.DataFrame:
    """One row for each recorded step; what is not known is missing (pandas' nullable integers)."""
    from ckptscope.recording.columns import UNKNOWN
    from ckptscope.recording.lineage import effective
    from ckptscope.recording.positions import positions_of

    kept = {found.attempt.id: rows for found, rows in effective(history.attempts)}
    frames = []
    for found in history.attempts:
        positions = positions_of(found)
        columns = {
            name: getattr(positions, name)
            for name in ("step", "batches", "examples", "epoch", "into")
        }
        frame = pandas.DataFrame(
            {name: pandas.array(values, dtype="Int64") for name, values in columns.items()}
        )
        frame = frame.mask(frame == UNKNOWN).rename(columns={"into": "examples_into_epoch"})
        frame.insert(0, "attempt", found.attempt.id)
        frame["is_effective"] = [
            number < kept.get(found.attempt.id, 0) for number in range(found.num_rows)
        ]
        frames.append(frame)
    return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()
