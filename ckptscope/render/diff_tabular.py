"""Comparisons as CSV and Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ckptscope.render import diff_words, words
from ckptscope.render.diff_json import change_to_jsonable
from ckptscope.render.tabular import csv_text, markdown_table

if TYPE_CHECKING:
    from ckptscope.comparison.model import CheckpointDiff

_COLUMNS = tuple(
    """
    kind key old_key score role full_name slot_of slot_name dtype shape old_dtype old_shape
    nbytes counts problem
    """.split()
)
_STATS = tuple(
    """
    num_elements num_changed max_abs max_rel rel_l2 cosine num_nan_a num_nan_b num_inf_a
    num_inf_b
    """.split()
)


def changes_csv(found: CheckpointDiff) -> str:
    """One line for each change; shapes as ``4x6``."""
    rows = []
    for change in found.changes:
        line = change_to_jsonable(change)
        for name in ("shape", "old_shape"):
            line[name] = None if line[name] is None else "x".join(map(str, line[name]))
        stats = line["stats"] or {}
        rows.append(
            [*(line[column] for column in _COLUMNS), *(stats.get(column) for column in _STATS)]
        )
    return csv_text((*_COLUMNS, *_STATS), rows)


def diff_markdown(found: CheckpointDiff, top: int = 10) -> str:
    """A summary that reads well in a pull request; long tables are folded."""
    lines = [f"### {diff_words.verdict(found)}: {diff_words.headline(found)}", ""]
    sides = zip(("A", "B"), (found.a, found.b), found.summary.verdicts, strict=True)
    lines += [
        f"- **{name}** `{info.path}`: {diff_words.side(info, judged)}"
        for name, info, judged in sides
    ]
    lines += [f"- rule: {found.rule.text}", ""]
    if found.summary.alarms:
        lines += [
            "**Alarms**",
            "",
            *(
                f"- **{alarm.code}** {words.printable(alarm.text)}"
                for alarm in found.summary.alarms
            ),
            "",
        ]
    lines += [*markdown_table(("", "A", "B", "moved"), diff_words.position_rows(found)), ""]
    lines += [
        *markdown_table(
            ("role", "variables", "elements changed"),
            (
                (
                    group.role.replace("_", " "),
                    diff_words.totals(group),
                    f"{group.num_elements_changed:,} of {group.num_elements:,}",
                )
                for group in found.groups
            ),
        ),
        "",
    ]
    other = [change for change in found.changes if change.kind != "value"]
    if other:
        rows = ((f"`{diff_words.shown_name(change)}`", diff_words.what(change)) for change in other)
        lines += _folded("Not only values", markdown_table(("variable", "what"), rows), len(other))
    largest = diff_words.largest(found.changes)[:top]
    if largest:
        rows_ = (
            (
                f"`{diff_words.shown_name(change)}`",
                diff_words.elements(change.stats),
                *(
                    diff_words.measure(value)
                    for value in (change.stats.max_abs, change.stats.max_rel, change.stats.rel_l2)
                ),
                diff_words.cosine(change.stats.cosine),
            )
            for change in largest
            if change.stats is not None
        )
        columns = ("variable", "elements changed", "max abs", "max rel", "rel L2", "cosine")
        lines += _folded("Largest relative changes", markdown_table(columns, rows_), len(largest))
    lines += [f"_{note}_" for note in found.notes]
    return "\n".join(lines).rstrip() + "\n"


def _folded(title: str, table: list[str], count: int) -> list[str]:
    return [f"<details><summary>{title} ({count})</summary>", "", *table, "", "</details>", ""]
