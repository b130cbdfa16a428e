"""A run's history for people: one row for each checkpoint, and what went wrong between them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ckptscope.render import words
from ckptscope.render.screen import VERDICT_STYLE, item, row, trimmed

if TYPE_CHECKING:
    from ckptscope.history import HistoryRow, RunHistory


def print_history(history: RunHistory, console: Console) -> None:
    """One row for each checkpoint of a run, alarms under the row that they came with."""
    with trimmed(console):
        console.print(
            Text(words.printable(f"{history.directory}: {words.plural(len(history.rows), 'checkpoint')}"), style="bold")
        )
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("checkpoint", overflow="ellipsis", no_wrap=True, max_width=24)
        for name in ("step", "batches", "moved", "examples", "epoch"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for checkpoint in history.rows:
            row(table, *_cells(checkpoint))
        console.print(Padding(table, (0, 0, 0, 2)))
        _print_alarms(history, console)
        for checkpoint in history.rows:
            if checkpoint.error is not None:
                item(console, f"{os.path.basename(checkpoint.path)}: {checkpoint.error}")


def _cells(checkpoint: HistoryRow) -> list[str | Text]:
    name = os.path.basename(checkpoint.path)
    if checkpoint.position is None:
        return [name, "", "", "", "", "", Text("unreadable", style="bold red")]
    position, verdict = checkpoint.position, checkpoint.verdict or ""
    # Where the iterator is out of step its own numbers are what a person looks for; a star tells them apart.
    own = checkpoint.place if position.batches_consumed is None and position.examples_consumed is None else None
    told, mark = (own, "*") if own is not None else (position, "")
    numbers = [told.batches_consumed, None, told.examples_consumed, told.epoch]
    cells = ["?" if value is None else f"{value:,}{mark}" for value in numbers]
    cells[1] = "" if checkpoint.batches_moved is None else f"{checkpoint.batches_moved:+,}"
    step = "?" if position.step is None else f"{position.step:,}"
    shown = Text(verdict, style=VERDICT_STYLE.get(verdict, ""))
    if checkpoint.alarms:
        shown.append(f"  {words.plural(len(checkpoint.alarms), 'alarm')}", style="bold red")
    return [name, step, *cells, shown]


def _print_alarms(history: RunHistory, console: Console) -> None:
    starred = any(
        checkpoint.position is not None and checkpoint.position.batches_consumed is None
        and checkpoint.place is not None and checkpoint.place.batches_consumed is not None
        for checkpoint in history.rows
    )  # fmt: skip
    if starred:
        item(console, "* the iterator's own count, which is out of step with the run's")
    for checkpoint in history.rows:
        for alarm in checkpoint.alarms:
            name = words.printable(os.path.basename(checkpoint.path))
            item(console, Text.assemble((alarm.code, "bold red"), f" at {name}: {words.printable(alarm.text)}"))
