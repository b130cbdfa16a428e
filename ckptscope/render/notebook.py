"""How inspections show themselves in notebooks: self-contained HTML, everything escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ckptscope.render import diff_words, words

if TYPE_CHECKING:
    from ckptscope.comparison.model import CheckpointDiff
    from ckptscope.inspection import Inspection
    from ckptscope.run_history import RunHistory

_COLORS = {"exact": "#1a7f37", "approximate": "#9a6700", "impossible": "#cf222e"}


def inspection_html(inspection: Inspection) -> str:
    """Verdict, position, findings and groups as one HTML fragment."""
    resume, checkpoint = inspection.resume, inspection.checkpoint
    parts = [
        f'<div><p><b style="color:{_COLORS[resume.verdict]}">{resume.verdict.upper()}</b> '
        f"{escape(resume.headline)}</p>",
        f"<p><code>{escape(checkpoint.path)}</code>: "
        f"{words.plural(checkpoint.num_variables, 'variable')}, "
        f"{words.size(checkpoint.nbytes)}</p>",
        "<ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in words.place(resume.position))
        + "</ul>",
        _table(
            ("finding", "component", "status", "what", "fix"),
            [(f.code, f.component, f.status, f.message, f.remedy or "") for f in resume.findings],
        ),
        _table(
            ("role", "variables", "elements", "bytes"),
            [
                (g.role, f"{g.num_variables:,}", f"{g.num_elements:,}", words.size(g.nbytes))
                for g in inspection.groups
            ],
        ),
        "</div>",
    ]
    return "".join(parts)


def diff_html(found: CheckpointDiff) -> str:
    """Answer, alarms, positions, groups and the largest changes as one HTML fragment."""
    alarms = "".join(
        f"<li><b>{alarm.code}</b> {escape(alarm.text)}</li>" for alarm in found.summary.alarms
    )
    largest = [
        change for change in diff_words.largest(found.changes)[:20] if change.stats is not None
    ]
    parts = [
        f"<div><p><b>{diff_words.verdict(found)}</b> {escape(diff_words.headline(found))}</p>",
        f"<p>A <code>{escape(found.a.path)}</code>, B "
        f"<code>{escape(found.b.path)}</code>; rule: {escape(found.rule.text)}</p>",
        f"<ul>{alarms}</ul>" if alarms else "",
        _table(("", "A", "B", "moved"), list(diff_words.position_rows(found))),
        _table(
            ("role", "variables"),
            [(group.role, diff_words.totals(group)) for group in found.groups],
        ),
        _table(
            ("variable", "elements changed", "max abs", "max rel", "rel L2"),
            [
                (
                    diff_words.shown_name(change),
                    diff_words.elements(change.stats),
                    *(
                        diff_words.measure(getattr(change.stats, name))
                        for name in ("max_abs", "max_rel", "rel_l2")
                    ),
                )
                for change in largest
            ],
        ),
        "</div>",
    ]
    return "".join(parts)


def history_html(history: RunHistory) -> str:
    """One row for each checkpoint, with its alarms."""
    rows = []
    for row in history.rows:
        place = row.position
        numbers = (
            (None, None, None)
            if place is None
            else (place.step, place.batches_consumed, place.examples_consumed)
        )
        cells = ("?" if value is None else f"{value:,}" for value in numbers)
        alarms = "; ".join(f"{alarm.code}: {alarm.text}" for alarm in row.alarms)
        rows.append((row.path, *cells, row.verdict or f"unreadable: {row.error}", alarms))
    return _table(("checkpoint", "step", "batches", "examples", "verdict", "alarms"), rows)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
