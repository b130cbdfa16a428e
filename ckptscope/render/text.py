"""The human output: verdict and position first, then why, then what is in the checkpoint. At
most 80 columns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ckptscope.checkpoint.object_keys import path_of, short_name
from ckptscope.iterator.ops import OPS
from ckptscope.render import words
from ckptscope.render.screen import VERDICT_STYLE, heading, item, left_out, row, shorten, trimmed
from ckptscope.resume.model import Component, Finding

if TYPE_CHECKING:
    from ckptscope.checkpoint.roles import Variable
    from ckptscope.inspection import Inspection, IteratorInfo, StageInfo

_STATUS_STYLE = {
    "saved": "green",
    "not_needed": "green",
    "missing": "red",
    "partial": "red",
    "damaged": "red",
    "inconsistent": "dark_orange3",
    "unknown": "dark_orange3",
}
_COMPONENTS: tuple[Component, ...] = (
    "files",
    "weights",
    "optimizer",
    "step",
    "lr_schedule",
    "iterator",
    "rng",
    "loss_scale",
    "ema",
    "metrics",
)
_MAX_LARGEST = 8
_MAX_TABLE_ROWS = 12
_MAX_CONDITIONS = 6


def print_inspection(inspection: Inspection, console: Console, verbosity: int = 0) -> None:
    """Print one inspection. ``verbosity``: -1 the headline only, 0 the usual, 1 everything."""
    with trimmed(console):
        _print_all(inspection, console, verbosity)


def _print_all(inspection: Inspection, console: Console, verbosity: int) -> None:
    _print_verdict(inspection, console)
    if verbosity < 0:
        return
    _print_position(inspection, console)
    _print_findings(inspection, console, verbosity)
    _print_conditions(inspection, console, verbosity)
    for iterator in inspection.iterators:
        _print_iterator(inspection, iterator, console)
    _print_groups(inspection, console)
    _print_optimizer(inspection, console, verbosity)
    _print_variables(inspection, console, verbosity)


def _print_verdict(inspection: Inspection, console: Console) -> None:
    resume, checkpoint = inspection.resume, inspection.checkpoint
    console.print(
        Text.assemble(
            (resume.verdict.upper(), VERDICT_STYLE[resume.verdict]),
            "  ",
            words.printable(resume.headline),
        )
    )
    console.print()
    step = f"step {checkpoint.step:,}" if checkpoint.step is not None else "step not stored"
    facts = [
        step,
        words.plural(checkpoint.num_variables, "variable"),
        words.size(checkpoint.nbytes),
    ]
    if checkpoint.num_shards > 1:
        facts.append(f"{checkpoint.num_shards} shards")
    if checkpoint.producer:
        facts.append(checkpoint.producer)
    item(console, Text.assemble((checkpoint.path, "bold")), 0)
    item(console, f"{', '.join(facts)}; {checkpoint.chosen_because}")


def _print_position(inspection: Inspection, console: Console) -> None:
    position = inspection.resume.position
    heading(console, f"Position in the data: {position.kind or 'unknown'}")
    for line in words.place(position):
        item(console, line)
    for source in position.sources:
        if source.file is not None:
            where = (
                f"record {source.record_index}"
                if source.record_index is not None
                else f"byte {source.byte_offset:,}"
            )
            item(
                console, f"{source.op} {source.file}: next read at {where}, reading ahead included"
            )
    for reason, fields in words.unknown(position).items():
        item(console, f"not known: {', '.join(fields)}: {reason}")


def _print_findings(inspection: Inspection, console: Console, verbosity: int) -> None:
    heading(console, "Findings")
    good: list[Finding] = []
    for finding in inspection.resume.findings:
        if finding.status in ("saved", "not_needed") and verbosity == 0:
            good.append(finding)
            continue
        style = _STATUS_STYLE[finding.status]
        label = finding.status.replace("_", " ")
        item(
            console,
            Text.assemble(
                (f"{finding.code} {finding.component} {label}", style), f": {finding.message}"
            ),
        )
        if finding.remedy:
            item(console, Text(f"fix: {finding.remedy}", style="italic"), 4)
    if good:
        saved = {finding.component: finding.status == "saved" for finding in good}
        saved |= {finding.component: True for finding in good if finding.status == "saved"}
        kept = [
            f"{name.replace('_', ' ')}{'' if saved[name] else ' (not needed)'}"
            for name in _COMPONENTS
            if name in saved
        ]
        item(console, Text.assemble(("Saved", "green"), f": {', '.join(kept)} (-v says how)"))


def _print_conditions(inspection: Inspection, console: Console, verbosity: int) -> None:
    conditions = inspection.resume.conditions
    if not conditions:
        return
    heading(console, "Assuming")
    shown = conditions if verbosity > 0 else conditions[:_MAX_CONDITIONS]
    for condition in shown:
        item(console, f"{condition.text} [{condition.code}]")
    if len(shown) < len(conditions):
        item(console, f"and {len(conditions) - len(shown)} more (-v)")


def _print_iterator(inspection: Inspection, iterator: IteratorInfo, console: Console) -> None:
    heading(console, f"Pipeline of {iterator.key}")
    if iterator.error is not None:
        item(console, f"not decoded: {iterator.error}")
        return
    state = (
        "exhausted"
        if iterator.exhausted
        else "not started"
        if iterator.started is False
        else "decoded"
    )
    where = (
        f"{100 * iterator.nbytes / max(1, inspection.checkpoint.nbytes):.0f} % of the checkpoint"
    )
    if iterator.source_file != inspection.checkpoint.path:
        where = f"in {os.path.basename(iterator.source_file)}"
    item(console, f"{state}, {words.size(iterator.nbytes)}, {where}; read from top to bottom:")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column("stage", no_wrap=True, overflow="ellipsis", min_width=12, max_width=32)
    table.add_column("counts", no_wrap=True, overflow="ellipsis", max_width=30)
    table.add_column("holds", justify="right", no_wrap=True, min_width=6)
    table.add_column("bytes", justify="right", no_wrap=True, min_width=7)
    for stage in iterator.stages:
        for depth, shown in _stage_rows(stage, 0):
            held = f"{shown.held_elements:,}" if shown.held_elements is not None else ""
            nbytes = words.size(shown.nbytes) if shown.nbytes else ""
            row(
                table,
                "  " * depth + shown.title + ("" if shown.known else " (unknown)"),
                _counts(shown),
                held,
                nbytes,
            )
            for element in shown.elements or ():
                row(table, "", " | ".join(element), "", "")
    console.print(Padding(table, (0, 0, 0, 2)))
    if (
        iterator.position is not inspection.resume.position
        and inspection.resume.position.examples_consumed is None
    ):
        for line in words.place(iterator.position):
            item(console, f"on its own: {line}")


def _stage_rows(stage: StageInfo, depth: int) -> Iterator[tuple[int, StageInfo]]:
    """Sources first, as the user wrote the pipeline; inputs of a stage with several are
    indented.
    """
    inner = depth + (len(stage.inputs) > 1)
    for child in stage.inputs:
        yield from _stage_rows(child, inner)
    yield depth, stage


def _counts(stage: StageInfo) -> str:
    if not stage.known:
        return ", ".join(f"{key}={value}" for key, value in list(stage.fields.items())[:4])
    shown = []
    for key, words_ in OPS[stage.op].fields.items():
        value = stage.fields.get(key)
        if value is not None and words_ is not None:
            shown.append(words_.format(f"{value:,}"))
    return ", ".join(shown)


def _print_groups(inspection: Inspection, console: Console) -> None:
    heading(
        console,
        f"Contents: {inspection.parameters[0]:,} parameters "
        f"({words.size(inspection.parameters[1])})",
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("role")
    for name in ("variables", "elements", "bytes"):
        table.add_column(name, justify="right")
    for group in inspection.groups:
        row(
            table,
            group.role.replace("_", " "),
            f"{group.num_variables:,}",
            f"{group.num_elements:,}",
            words.size(group.nbytes),
        )
    console.print(Padding(table, (0, 0, 0, 2)))


def optimizer_rows(
    inspection: Inspection,
) -> tuple[list[str], list[tuple[str, dict[str, Variable]]]]:
    """(slot names, (variable, its slots) rows) of the optimizer table."""
    names: dict[str, None] = {}
    rows: dict[str, dict[str, Variable]] = {}
    for variable in inspection.variables:
        if (
            variable.role == "optimizer_slot"
            and variable.slot_of is not None
            and variable.slot_name is not None
        ):
            names[variable.slot_name] = None
            rows.setdefault(variable.slot_of, {})[variable.slot_name] = variable
    for variable in inspection.variables:
        if variable.role == "weight" and rows:
            rows.setdefault(variable.key, {})
    return list(names), sorted(rows.items())


def _print_optimizer(inspection: Inspection, console: Console, verbosity: int) -> None:
    names, rows = optimizer_rows(inspection)
    if not rows:
        return
    heading(console, f"Optimizer slots of {len(rows):,} variables (a dash: none stored)")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("variable", overflow="ellipsis", no_wrap=True, max_width=50)
    for name in names[:4]:
        table.add_column(name, justify="right", overflow="ellipsis", no_wrap=True, max_width=14)
    # Rows with empty cells first: they are what to look at.
    ordered = sorted(rows, key=lambda row: len(row[1]))
    shown = ordered if verbosity > 0 else ordered[:_MAX_TABLE_ROWS]
    display = _display_names(inspection, {key for key, _ in shown})
    for key, slots in shown:
        cells = [
            words.shape(slots[name].entry.shape) if name in slots else "-" for name in names[:4]
        ]
        row(table, shorten(display[key], 50), *cells)
    console.print(Padding(table, (0, 0, 0, 2)))
    left_out(console, len(rows) - len(shown), "variables")
    left_out(console, len(names) - 4, "kinds of slots")


def _display_names(inspection: Inspection, keys: set[str]) -> dict[str, str]:
    """The variables' own names, where they are stored; else their keys without suffix."""
    names = {key: path_of(key) for key in keys}
    found = (
        variable for variable in inspection.variables if variable.key in keys and variable.full_name
    )
    return names | {variable.key: variable.full_name or "" for variable in found}


def _print_variables(inspection: Inspection, console: Console, verbosity: int) -> None:
    variables = sorted(inspection.variables, key=lambda variable: -variable.entry.nbytes)
    shown = variables if verbosity > 0 else variables[:_MAX_LARGEST]
    heading(console, "Variables" if verbosity > 0 else "Largest variables")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(
        "key", overflow="ellipsis", no_wrap=True, max_width=40 if not inspection.stats else 26
    )
    table.add_column("dtype", no_wrap=True)
    table.add_column("shape", no_wrap=True, overflow="ellipsis", max_width=12)
    table.add_column("bytes", justify="right", no_wrap=True)
    if inspection.stats:
        table.add_column("min .. max", justify="right", no_wrap=True)
        table.add_column("NaN/Inf", justify="right", no_wrap=True)
    else:
        table.add_column("role", no_wrap=True, max_width=10, overflow="ellipsis")
    for variable in shown:
        entry = variable.entry
        name = shorten(
            short_name(variable.key),
            40 if not inspection.stats else 26,
        )
        cells = [name, entry.dtype.name, words.shape(entry.shape), words.size(entry.nbytes)]
        stats = inspection.stats.get(variable.key)
        if inspection.stats:
            low, high = (stats or {}).get("min"), (stats or {}).get("max")
            cells.append(f"{low:.3g} .. {high:.3g}" if low is not None and high is not None else "")
            cells.append(
                f"{(stats or {}).get('num_nan', 0)}/{(stats or {}).get('num_inf', 0)}"
                if stats
                else ""
            )
        else:
            cells.append(variable.role.replace("optimizer_", "").replace("_", " "))
        row(table, *cells)
    console.print(Padding(table, (0, 0, 0, 2)))
    left_out(console, len(variables) - len(shown), "variables")
