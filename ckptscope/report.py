"""``ckptscope report``: everything that the TensorBoard tab shows of the runs below a
directory, as one HTML file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ckptscope.comparison.compare import MEASURED_NBYTES, diff
from ckptscope.errors import CheckpointNotFoundError, CkptscopeError
from ckptscope.inspection import Inspection, inspect
from ckptscope.render.diff_json import diff_to_jsonable
from ckptscope.render.jsonable import inspection_to_jsonable
from ckptscope.render.report_html import answer_key, report_html
from ckptscope.render.run_json import (
    checkpoints_to_jsonable,
    coverage_to_jsonable,
    moment_to_jsonable,
    overview_to_jsonable,
    plot_to_jsonable,
)
from ckptscope.runs.coverage import coverage_table
from ckptscope.runs.model import CheckpointRow, Run
from ckptscope.runs.moment import moment_of, training_stages
from ckptscope.runs.places import search
from ckptscope.runs.plot import position_plot
from ckptscope.runs.reading import read_all
from ckptscope.runs.summary import summary_of

MAX_RUNS = 20
MAX_CHANGES = 200
_POINTS = 1500
# Of each run: details of so many checkpoints, comparisons of so many neighbours; the newest ones.
_MAX_DETAILS = 200
_MAX_DIFFS = 50


@dataclass(frozen=True, slots=True)
class Report:
    """A written report.

    Attributes:
        html: the file's text.
    """

    html: str
    num_runs: int
    num_checkpoints: int


def make_report(directory: str, *, progress: Callable[[int], None] | None = None) -> Report:
    """Read all runs below a directory, and put what can be shown of them in one file.

    Args:
        progress: called with 1 for each checkpoint that was read, and again when its details were.

    Raises:
        CheckpointNotFoundError: there is neither a checkpoint nor a recording, or no such
            directory.
    """
    directory = os.path.abspath(directory)
    if not os.path.isdir(directory):
        what = (
            "is no directory; name the one that holds the run"
            if os.path.exists(directory)
            else "does not exist"
        )
        raise CheckpointNotFoundError(what, path=directory)
    found = search(directory)
    runs = [
        run for run in read_all(found, progress=progress) if run.checkpoints or run.history.attempts
    ]
    if not runs:
        raise CheckpointNotFoundError("holds neither a checkpoint nor a recording", path=directory)
    summaries = sorted(
        (summary_of(run) for run in runs), key=lambda item: (-(item.newest_s or 0.0), item.name)
    )
    kept = [item.name for item in summaries[:MAX_RUNS]]
    notes = (
        [f"{len(runs) - MAX_RUNS:,} older runs are not in this report."]
        if len(runs) > MAX_RUNS
        else []
    )
    count = sum(len(run.checkpoints) for run in runs)
    scan = {
        "state": "limited" if found.limit else "done",
        "text": found.limit,
        "num_directories": found.num_directories,
        "num_checkpoints": count,
        "num_checkpoints_read": count,
    }
    answers = {
        "overview": overview_to_jsonable(
            summaries[:MAX_RUNS], logdir=directory, scan=scan, notes=notes
        )
    }
    for run in runs:
        if run.name in kept:
            answers.update(_answers(run, progress or _ignore))
    return Report(
        report_html(answers, f"Data position: {os.path.basename(directory)}"), len(kept), count
    )


def _ignore(count: int) -> None:
    del count


def _answers(run: Run, progress: Callable[[int], None]) -> Iterator[tuple[str, Any]]:
    """(key, object) of everything that the page can ask about one run."""
    yield answer_key("checkpoints", run=run.name), checkpoints_to_jsonable(run)
    for reads in ("effective", "all"):
        yield (
            answer_key("coverage", run=run.name, reads=reads),
            coverage_to_jsonable(run.name, coverage_table(run, reads=reads)),
        )
        for y in ("examples", "epoch", "record"):
            for x in ("step", "time"):
                plot = position_plot(run, y=y, x=x, reads=reads, points=_POINTS)
                yield (
                    answer_key("series", run=run.name, y=y, x=x, reads=reads),
                    plot_to_jsonable(run.name, plot),
                )
    yield from _details(
        [row for row in run.checkpoints if row.id is not None][-_MAX_DETAILS:], run, progress
    )
    yield from _diffs(
        [row for row in run.checkpoints if row.id is not None and row.row.error is None][
            -_MAX_DIFFS - 1 :
        ]
    )


def _details(
    rows: list[CheckpointRow], run: Run, progress: Callable[[int], None]
) -> Iterator[tuple[str, Any]]:
    inspected: dict[str, Inspection] = {}
    for row in rows:
        progress(1)
        try:
            found = inspected[row.row.path] = inspect(row.row.path)
        except (CkptscopeError, OSError):
            continue  # its row says why
        yield (
            answer_key("inspect", id=row.id, variables=False),
            inspection_to_jsonable(found, with_variables=False),
        )
    for row in rows:
        if row.saved is None:
            continue
        try:
            moment = moment_of(run, row.saved.attempt, row.saved.step)
        except KeyError:
            continue
        at = None if moment.checkpoint is None else inspected.get(moment.checkpoint.row.path)
        key = answer_key("state", run=run.name, attempt=row.saved.attempt, step=row.saved.step)
        yield key, moment_to_jsonable(run.name, moment, () if at is None else training_stages(at))


def _diffs(rows: list[CheckpointRow]) -> Iterator[tuple[str, Any]]:
    """Of neighbours, in the order in which the page asks: the older one first."""
    for a, b in pairwise(rows):
        sizes = sum(row.row.checkpoint.nbytes for row in (a, b) if row.row.checkpoint is not None)
        try:
            with diff(a.row.path, b.row.path, measured=sizes <= MEASURED_NBYTES) as comparison:
                found = diff_to_jsonable(comparison.collect(), most=MAX_CHANGES)
        except (CkptscopeError, OSError):
            continue
        yield answer_key("diff", a=a.id, b=b.id), found
