"""A run's history for people: one row for each checkpoint, and what went wrong between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ckptscope.render import words
from ckptscope.render.screen import VERDICT_STYLE, heading, item, row, trimmed

if TYPE_CHECKING:
    from ckptscope.recording.lineage import Restart
    from ckptscope.recording.model import Attempt, RecordedAttempt
    from ckptscope.run_history import HistoryRow, RunHistory


def print_history(history: RunHistory, console: Console) -> None:
    """One row for each checkpoint of a run, alarms under the row that they came with."""
    with trimmed(console):
        console.print(
            Text(
                words.printable(
                    f"{history.directory}: {words.plural(len(history.rows), 'checkpoint')}"
                ),
                style="bold",
            )
        )
        table = Table(
            box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(history.rows)
        )
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
        for note in history.notes:
            item(console, words.printable(note.text))
        _print_attempts(history, console)


def _cells(checkpoint: HistoryRow) -> list[str | Text]:
    name = os.path.basename(checkpoint.path)
    if checkpoint.position is None:
        return [name, "", "", "", "", "", Text("unreadable", style="bold red")]
    position, verdict = checkpoint.position, checkpoint.verdict or ""
    # Where the iterator is out of step its own numbers are what a person looks for; a star tells
    # them apart.
    own = (
        checkpoint.place
        if position.batches_consumed is None and position.examples_consumed is None
        else None
    )
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
        checkpoint.position is not None
        and checkpoint.position.batches_consumed is None
        and checkpoint.place is not None
        and checkpoint.place.batches_consumed is not None
        for checkpoint in history.rows
    )
    if starred:
        item(console, "* the iterator's own count, which is out of step with the run's")
    for checkpoint in history.rows:
        for alarm in checkpoint.alarms:
            name = words.printable(os.path.basename(checkpoint.path))
            item(
                console,
                Text.assemble(
                    (alarm.code, "bold red"), f" at {name}: {words.printable(alarm.text)}"
                ),
            )


def _print_attempts(history: RunHistory, console: Console) -> None:
    """Recorded processes, and what each restart cost."""
    if not history.attempts:
        return
    from ckptscope.recording.lineage import in_numbers

    heading(console, f"Recorded: {words.plural(len(history.attempts), 'attempt')}")
    numbers = {found.attempt.id: number for number, found in enumerate(history.attempts, 1)}
    restarts = {restart.attempt: restart for restart in history.restarts}
    for found in history.attempts:
        attempt = found.attempt
        reached = _reached(found)
        kind = "" if attempt.kind == "train" else f" ({attempt.kind})"
        told = [
            f"{numbers[attempt.id]}{kind}: {reached}",
            _origin(attempt, restarts.get(attempt.id), numbers),
        ]
        item(console, ", ".join(text for text in told if text))
        for line in _losses(restarts.get(attempt.id)):
            item(console, in_numbers(line, numbers), 5)
        told = [
            *(saved.disagreement for saved in found.checkpoints if saved.disagreement),
            *([f"its place is not known: {found.doubt}"] if found.doubt else ()),
            *found.problems,
        ]
        told += [
            f"steps {gap.first:,} to {gap.last:,} were not written: {gap.reason}"
            for gap in found.gaps
        ]
        for problem in told:
            item(console, problem, 5)


def _reached(found: RecordedAttempt) -> str:
    from ckptscope.recording.steps import first_step, num_steps

    if not found.num_rows:
        return "no step"
    first = first_step(found)
    if first is None:
        return f"{words.plural(num_steps(found), 'step')}, of unknown numbers"
    return f"steps {first:,} to {int(found.columns['step'][-1]):,}"


def _origin(attempt: Attempt, restart: Restart | None, numbers: dict[str, int]) -> str:
    name = os.path.basename(attempt.restored_from or "")
    if restart is None and attempt.continues is not None:
        return f"goes on from attempt {numbers.get(attempt.continues, 0)} in the same process"
    if restart is None:
        return f"from {name}" if name else ""
    parent = numbers.get(restart.parent, 0)
    start = name or (f"step {restart.step:,}" if restart.step is not None else "")
    inferred = ", as its steps suggest" if attempt.parent_inferred else ""
    gone = f"; {restart.lost_steps} lost" if restart.lost_steps else ""
    return f"from {start} of attempt {parent}{inferred}{gone}"


def _losses(restart: Restart | None) -> Iterator[str]:
    if restart is None:
        return
    if restart.reason is not None:
        yield f"what it repeated or skipped is not known: {restart.reason}"
        return
    frontier = (
        ""
        if restart.exact_ranges
        else " (of the frontier: in what order elements came is not recorded)"
    )
    order = f", but {restart.new_order}" if restart.new_order else ""
    if restart.moved == 0:
        yield f"resumed in place{order}{frontier}"
    elif restart.moved is not None and not restart.repeated_spans and not restart.skipped_spans:
        yield (
            f"its data went on {abs(restart.moved):,} examples "
            f"{'ahead of' if restart.moved > 0 else 'behind'} its checkpoint"
        )
    if restart.repeated_spans:
        verb = (
            "repeated"
            if restart.moved is None or restart.moved < 0
            else "read again, as an earlier restart made it:"
        )
        yield f"{verb} {restart.described(restart.repeated_spans)}{frontier}"
    if restart.skipped_spans:
        yield f"skipped {restart.described(restart.skipped_spans)}{frontier}"
