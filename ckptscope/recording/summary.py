"""Recorded attempts in numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ckptscope.recording.model import Attempt, Gap, RecordedAttempt, SavedCheckpoint
from ckptscope.recording.steps import first_step, num_steps


@dataclass(frozen=True, slots=True)
class AttemptSummary:
    """One recorded process without its steps, which may be large."""

    attempt: Attempt
    number: int
    label: str
    num_steps: int
    first_step: int | None
    last_step: int | None
    num_missing: int
    checkpoints: tuple[SavedCheckpoint, ...]
    gaps: tuple[Gap, ...]
    problems: tuple[str, ...]
    doubt: str | None = None


def attempt_label(found: RecordedAttempt, number: int) -> str:
    """``attempt 2``, ``attempt 3 (eval)``, ``attempt 4 (host 1)``."""
    attempt = found.attempt
    parts = [] if attempt.kind == "train" else [attempt.kind]
    parts += [f"host {attempt.process}"] if attempt.hosts > 1 or attempt.process else []
    return f"attempt {number}" + (f" ({', '.join(parts)})" if parts else "")


def attempt_summary(found: RecordedAttempt, number: int) -> AttemptSummary:
    """An attempt in numbers."""
    steps = found.columns["step"]
    last = int(steps[-1]) if found.num_rows else None
    return AttemptSummary(
        found.attempt,
        number,
        attempt_label(found, number),
        num_steps(found),
        first_step(found),
        last,
        found.missing,
        found.checkpoints,
        found.gaps,
        found.problems,
        found.doubt,
    )
