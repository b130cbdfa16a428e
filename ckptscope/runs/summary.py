"""One run in numbers, for the list of runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ckptscope.recording.intervals import num_examples, swept, without
from ckptscope.recording.lineage import effective, gaps_in, processes, spans_of, why_unknown
from ckptscope.recording.positions import start_of
from ckptscope.recording.steps import counts_from_its_own_beginning
from ckptscope.recording.steps import num_steps as steps_in
from ckptscope.recording.summary import AttemptSummary, attempt_label
from ckptscope.runs.model import Run
from ckptscope.runs.restarts import RestartCost


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run without its steps.

    Attributes:
        verdicts: numbers of the checkpoints that are there by verdict, ``unreadable`` among them.
        num_checkpoints: that are there; ``num_gone`` were recorded, and deleted or written again
            since.
        newest_s: time of the newest recorded step or checkpoint (Unix seconds).
        num_repeated, num_skipped: examples that steps which survive read again, or that none of
            them read before the furthest one; None where that is not known.
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
    num_gone: int = 0


def summary_of(run: Run) -> RunSummary:
    """Count up a run."""
    attempts = run.history.attempts
    costs, lost = run.costs, _lost(run)
    steps = [
        step
        for found in attempts
        if found.num_rows
        for step in (int(found.columns["step"].min()), int(found.columns["step"].max()))
    ]
    steps += [row.step for row in run.checkpoints if row.step is not None]
    verdicts = Counter({"exact": 0, "approximate": 0, "impossible": 0, "unreadable": 0})
    there = [row for row in run.checkpoints if not row.is_gone]
    verdicts.update(row.row.verdict or "unreadable" for row in there)
    return RunSummary(
        name=run.name,
        directory=run.place.directory,
        verdicts=dict(verdicts),
        num_checkpoints=len(there),
        attempts=run.history.summaries(),
        num_steps=sum(map(steps_in, attempts)),
        first_step=min(steps, default=None),
        last_step=max(steps, default=None),
        newest_s=_newest_s(run),
        num_missing=sum(found.missing for found in attempts),
        costs=costs,
        num_repeated=None if lost is None else lost[0],
        num_skipped=None if lost is None else lost[1],
        warnings=_warnings(run),
        num_gone=len(run.checkpoints) - len(there),
    )


def _lost(run: Run) -> tuple[int, int] | None:
    """(read again, never read) examples of the steps that survive."""
    chain = effective(run.history.attempts)
    if any(counts_from_its_own_beginning(found) for found, _ in chain):
        return None
    if not run.costs:
        return 0, 0
    if len(processes(run.history.attempts)) > 1 or why_unknown(chain) is not None or not chain:
        return None
    spans = [span for found, rows in chain for span in spans_of(found, rows)]
    again = sum((stop - start) * (count - 1) for start, stop, count in swept(spans))
    never = gaps_in(spans, chain[-1][0].attempt)
    begin = start_of(chain[0][0]).examples or 0  # what came before the recording is not known
    return again, num_examples(without(never, [(0, begin)]))


def _newest_s(run: Run) -> float | None:
    times = [row.saved_s for row in run.checkpoints if row.saved_s is not None]
    times += [
        int(found.columns["wall_time_ms"].max()) / 1000
        for found in run.history.attempts
        if found.num_rows
    ]
    return max(times, default=None)


def _warnings(run: Run) -> tuple[str, ...]:
    told = list(run.problems)
    for found in run.history.attempts:
        name = attempt_label(found, run.numbers[found.attempt.id])
        told += [f"{name}: {problem}" for problem in found.problems]
        told += [
            f"{name}: steps {gap.first:,} to {gap.last:,} were not written: {gap.reason}"
            for gap in found.gaps
        ]
        if found.missing:
            told.append(f"{name}: {found.missing:,} recorded steps could not be read")
        told += [
            f"{name}: {saved.disagreement}"
            for saved in found.checkpoints
            if saved.disagreement is not None
        ]
    return tuple(told)
