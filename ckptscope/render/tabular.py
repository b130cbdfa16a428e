"""Inspections as CSV and Markdown, for spreadsheets and pull requests."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ckptscope.render import words
from ckptscope.render.jsonable import history_row_to_jsonable, variable_to_jsonable

if TYPE_CHECKING:
    from ckptscope.inspection import Inspection
    from ckptscope.run_history import RunHistory

_VARIABLE_COLUMNS = tuple(
    """
    key object_path full_name role dtype shape nbytes slot_of slot_name shard crc32c
    """.split()
)
_STATS_COLUMNS = ("min", "max", "mean", "std", "num_zeros", "num_nan", "num_inf")
_HISTORY_COLUMNS = tuple(
    """
    path step epoch batches_consumed examples_consumed examples_into_epoch class verdict
    headline batches_delta alarms error
    """.split()
)


def variables_csv(inspection: Inspection) -> str:
    """One line for each variable; shapes as ``4x6``."""
    stats = bool(inspection.stats)
    columns = _VARIABLE_COLUMNS + (_STATS_COLUMNS if stats else ())
    rows = []
    for variable in inspection.variables:
        row = variable_to_jsonable(variable, inspection.stats.get(variable.key))
        row["shape"] = "x".join(map(str, row["shape"]))
        row.update(row["stats"] or {})
        rows.append([row.get(column) for column in columns])
    return csv_text(columns, rows)


def history_csv(history: RunHistory) -> str:
    """One line for each checkpoint."""
    rows = []
    for row in history.rows:
        found = history_row_to_jsonable(row)
        flat = {
            **(found["position"] or {}),
            **{
                key: found.get(key)
                for key in ("path", "verdict", "headline", "batches_delta", "error")
            },
            "alarms": " ".join(alarm.code for alarm in row.alarms),
        }
        rows.append([flat.get(column) for column in _HISTORY_COLUMNS])
    return csv_text(_HISTORY_COLUMNS, rows)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Header and rows; None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return buffer.getvalue()


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a table; bars in cells are escaped."""
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join(' --- ' for _ in columns)}|"]
    for row in rows:
        cells = (
            ""
            if value is None
            else words.printable(str(value)).replace("|", "\\|").replace("\n", " ")
            for value in row
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def inspection_markdown(inspection: Inspection, limit: int = 20) -> str:
    """A summary that reads well in a pull request."""
    resume, checkpoint = inspection.resume, inspection.checkpoint
    lines = [f"### {resume.verdict.upper()}: `{checkpoint.path}`", "", resume.headline, ""]
    lines += [f"- {line}" for line in words.place(resume.position)]
    lines += [
        f"- not known: {', '.join(fields)}: {reason}"
        for reason, fields in words.unknown(resume.position).items()
    ]
    lines += [
        "",
        *markdown_table(
            ("finding", "component", "status", "what", "fix"),
            ((f.code, f.component, f.status, f.message, f.remedy) for f in resume.findings),
        ),
        "",
    ]
    if resume.conditions:
        lines += [
            "Conditions:",
            "",
            *(f"- {item.text} ({item.code})" for item in resume.conditions),
            "",
        ]
    lines += [
        *markdown_table(
            ("role", "variables", "elements", "bytes"),
            (
                (g.role, f"{g.num_variables:,}", f"{g.num_elements:,}", words.size(g.nbytes))
                for g in inspection.groups
            ),
        ),
        "",
    ]
    largest = sorted(inspection.variables, key=lambda variable: -variable.entry.nbytes)
    lines += markdown_table(
        ("variable", "dtype", "shape", "bytes", "role"),
        (
            (
                f"`{v.key}`",
                v.entry.dtype.name,
                words.shape(v.entry.shape),
                words.size(v.entry.nbytes),
                v.role,
            )
            for v in largest[:limit]
        ),
    )
    if len(largest) > limit:
        lines += ["", f"and {len(largest) - limit:,} more variables"]
    return "\n".join(lines) + "\n"


def history_markdown(history: RunHistory) -> str:
    """One table row for each checkpoint, then the alarms."""
    rows = []
    for row in history.rows:
        position = row.position
        numbers = (
            (None,) * 4
            if position is None
            else (
                position.step,
                position.batches_consumed,
                position.examples_consumed,
                position.epoch,
            )
        )
        judged = row.verdict or f"unreadable: {row.error}"
        rows.append(
            (f"`{row.path}`", *numbers, judged, " ".join(alarm.code for alarm in row.alarms))
        )
    columns = ("checkpoint", "step", "batches", "examples", "epoch", "verdict", "alarms")
    alarms = [
        f"- **{alarm.code}** at `{row.path}`: {alarm.text}"
        for row in history.rows
        for alarm in row.alarms
    ]
    told = [*alarms, *(f"- {note.text}" for note in history.notes)]
    return "\n".join([*markdown_table(columns, rows), *([""] if told else []), *told]) + "\n"
