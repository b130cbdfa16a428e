"""One run in numbers, for the list of runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ckptscope.recording.summary import AttemptSummary, attempt_label
from ckptscope.runs.model import Run
from ckptscope.runs.restarts import RestartCost


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run without its steps.

    Attributes:
        verdicts: numbers of checkpoints by verdict, ``unreadable`` among them.
        newest_s: time of the newest recorded step or checkpoint (Unix seconds).
        num_repeated, num_skipped: examples over all restarts; None where one is not known.
    """

    name: str
    directory: str
    verdicts: dict[str, int]
    num_checkpoints: int
    attempts: tuple[AttemptSummary, ...]
    num_steps: int
    first_step: int | None
    last_step: int | None
    newest_s: float | None
    num_missing: int
    costs: tuple[RestartCost, ...]
    num_repeated: int | None
    num_skipped: int | None
    warnings: tuple[str, ...]


def summary_of(run: Run) -> RunSummary:
    """Count up a run."""
    attempts = run.history.attempts
    costs = run.costs
    steps = [
        step
        for found in attempts
        if found.num_rows
        for step in (int(found.columns["step"].min()), int(found.columns["step"].max()))
    ]
    steps += [row.step for row in run.checkpoints if row.step is not None]
    verdicts = Counter({"exact": 0, "approximate": 0, "impossible": 0, "unreadable": 0})
    verdicts.update(
        row.row.verdict or "unreadable" for row in run.checkpoints if row.source != "recorded" or row.row.verdict
    )
    return RunSummary(
        name=run.name, directory=run.place.directory, verdicts=dict(verdicts), num_checkpoints=len(run.checkpoints),
        attempts=run.history.summaries(),
        num_steps=sum(found.num_rows for found in attempts), first_step=min(steps, default=None), last_step=max(steps, default=None),
        newest_s=_newest_s(run), num_missing=sum(found.missing for found in attempts), costs=costs,
        num_repeated=_total([cost.num_repeated for cost in costs]), num_skipped=_total([cost.num_skipped for cost in costs]),
        warnings=_warnings(run),
    )  # fmt: skip


def _total(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _newest_s(run: Run) -> float | None:
    times = [row.saved_s for row in run.checkpoints if row.saved_s is not None]
    times += [int(found.columns["wall_time_ms"].max()) / 1000 for found in run.history.attempts if found.num_rows]
    return max(times, default=None)


def _warnings(run: Run) -> tuple[str, ...]:
    told = list(run.problems)
    for found in run.history.attempts:
        name = attempt_label(found, run.numbers[found.attempt.id])
        told += [f"{name}: {problem}" for problem in found.problems]
        told += [f"{name}: steps {gap.first:,} to {gap.last:,} were not written: {gap.reason}" for gap in found.gaps]
        if found.missing:
            told.append(f"{name}: {found.missing:,} recorded steps could not be read")
        told += [f"{name}: {saved.disagreement}" for saved in found.checkpoints if saved.disagreement is not None]
    return tuple(told)
