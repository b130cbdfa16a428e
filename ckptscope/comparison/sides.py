"""The two checkpoints of a comparison: found, opened, and each judged on its own."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ckptscope.checkpoint.discover import checkpoints_in
from ckptscope.checkpoint.model import Checkpoint
from ckptscope.comparison.alarms import Situation, raise_alarms
from ckptscope.comparison.data import places_of
from ckptscope.comparison.model import Alarm
from ckptscope.comparison.pipelines import pipeline_change
from ckptscope.comparison.rates import move_of
from ckptscope.comparison.values import Reader, same_checksums
from ckptscope.errors import (
    CheckpointChangedError,
    CheckpointNotFoundError,
    CkptscopeError,
    MissingShardError,
)
from ckptscope.inspection import gathered
from ckptscope.iterator.position import Hints
from ckptscope.resume.facts import Facts
from ckptscope.resume.report import ResumeReport, evaluate

# Reading the data of larger ones may cost more than comparing them does: most checksums will be
# equal.
CHECKSUM_LIMIT_NBYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two checkpoints, judged on its own."""

    name: str
    checkpoint: Checkpoint
    facts: Facts
    report: ResumeReport
    fingerprint: tuple[int, int, int] | None = None

    @classmethod
    def open(cls, name: str, path: str, step: str | None, hints: Hints) -> Side:
        """Open and judge one side; checksums of tensors are verified for small checkpoints only.

        Raises:
            CkptscopeError: it cannot be opened; the message begins with the name of the side.
        """
        try:
            location, checkpoint, facts = gathered(
                path, step, hints, checksum_limit_nbytes=CHECKSUM_LIMIT_NBYTES
            )
        except CkptscopeError as error:
            error.message = f"{name}: {error.message}"
            raise
        return cls(name, checkpoint, facts, evaluate(facts), location.fingerprint())

    def check_unchanged(self) -> None:
        """Make sure that what was compared is still there.

        Raises:
            CheckpointChangedError: it was replaced or removed meanwhile.
        """
        if self.fingerprint != self.facts.location.fingerprint():
            raise CheckpointChangedError(
                f"{self.name}: is being written or removed right now; try again",
                path=self.checkpoint.prefix,
            )

    @property
    def reader(self) -> Reader:
        """For comparing its tensors."""
        return Reader(self.name, self.checkpoint, self.facts.damage)


def refuse_without_data(side: Side, name: str) -> None:
    """Nothing can be compared where no data file is left."""
    stored = [entry for entry in side.checkpoint.entries.values() if entry.nbytes]
    lost = [item for item in side.facts.damage if item.kind == "missing_shard"]
    if stored and len({item.file for item in lost}) >= side.checkpoint.num_shards:
        raise MissingShardError(f"{name}: {lost[0].problem}", path=lost[0].file)


def locate(
    a: str, b: str | None, step: tuple[str, str] | None
) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    """(path, step) of both sides."""
    if b is not None:
        return (a, step[0] if step else None), (b, step[1] if step else None)
    if step is not None:
        return (a, step[0]), (a, step[1])
    if os.path.isdir(a) and len(checkpoints_in(a)) == 1:
        raise CheckpointNotFoundError(
            "holds one checkpoint only; name what to compare it with", path=a
        )
    if not os.path.isdir(a) and os.path.lexists(a):
        raise CheckpointNotFoundError(
            "is no directory; name a second checkpoint to compare it with", path=a
        )
    return (a, "-2"), (a, "-1")


def quick_alarms(a: Side, b: Side) -> tuple[Alarm, ...]:
    """The alarms that need no data: for a run's history. Weights count as frozen if all
    checksums are equal.
    """
    places = places_of(a.facts, b.facts)
    old = {variable.key: variable.entry for variable in a.facts.inventory.of_role("weight")}
    new = b.facts.inventory.of_role("weight")
    frozen = bool(new) and all(v.key in old and same_checksums(old[v.key], v.entry) for v in new)
    move = move_of(a.facts, b.facts, places)
    verdicts = (a.report.verdict, b.report.verdict)
    return raise_alarms(
        Situation(places, move, verdicts, pipeline_change(a.facts, b.facts, places), frozen)
    )
