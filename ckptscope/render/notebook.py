"""How inspections show themselves in notebooks: self-contained HTML, everything escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ckptscope.render import words

if TYPE_CHECKING:
    from ckptscope.inspection import Inspection

_COLORS = {"exact": "#1a7f37", "approximate": "#9a6700", "impossible": "#cf222e"}


def inspection_html(inspection: Inspection) -> str:
    """Verdict, position, findings and groups as one HTML fragment."""
    resume, checkpoint = inspection.resume, inspection.checkpoint
    parts = [
        f'<div><p><b style="color:{_COLORS[resume.verdict]}">{resume.verdict.upper()}</b> {escape(resume.headline)}</p>',
        f"<p><code>{escape(checkpoint.path)}</code>: {words.plural(checkpoint.num_variables, 'variable')}, {words.size(checkpoint.nbytes)}</p>",
        "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in words.place(resume.position)) + "</ul>",
        _table(
            ("finding", "component", "status", "what", "fix"),
            [(f.code, f.component, f.status, f.message, f.remedy or "") for f in resume.findings],
        ),
        _table(
            ("role", "variables", "elements", "bytes"),
            [(g.role, f"{g.num_variables:,}", f"{g.num_elements:,}", words.size(g.nbytes)) for g in inspection.groups],
        ),
        "</div>",
    ]
    return "".join(parts)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
