"""What an entry of the table of ops is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

from ckptscope.dataset_ops import BY_ITERATOR, DatasetOp
from ckptscope.iterator.held import Held
from ckptscope.iterator.progress import Assumption, Progress
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.tree import Stage

RANGE_ORIGIN = Assumption(
    "RANGE_ORIGIN",
    "the range that feeds the pipeline starts at 0 and counts by 1 (only its next value is stored)",
    True,
)
SYMBOLIC = Assumption(
    "SYMBOLIC",
    "the symbolic checkpoint describes exactly what was consumed, nothing in flight",
    True,
)
READ_AHEAD = Assumption(
    "READ_AHEAD", "this stage had counted nothing that was not handed on yet", True
)
UNIFORM_BATCHES = Assumption(
    "UNIFORM_BATCHES",
    "all batches that were split up again had as many rows as the present one",
    True,
)
UNIFORM_INNER = Assumption(
    "UNIFORM_INNER",
    "the inner datasets already read gave as many elements as the present one",
    True,
)
FILE_ORDER = Assumption(
    "FILE_ORDER",
    "files are read in the order of their names, all of them from this directory",
    True,
    is_guess=True,
)


class Evaluator(Protocol):
    """What a progress function may ask for.

    ``legacy``: written by TensorFlow 1.x; ``from_zero``: the first pass of a shuffle has number 0.
    """

    files: DataFiles
    legacy: bool
    from_zero: bool

    def below(self, stage: Stage) -> Progress:
        """Progress of the stage's input."""

    def evaluate(self, stage: Stage, file: str | None = None) -> Progress:
        """Progress of any stage; ``file`` is the name of the file that it reads."""

    def file_of(self, stage: Stage) -> str | None:
        """The file that a source reads, as the stages above it say."""


ProgressFunction = Callable[[Stage, Evaluator], Progress]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpSpec(DatasetOp):
    """One kind of stage: a row of the table of dataset ops, and how its counters are read.

    Attributes:
        progress: elements handed on, from the stage's keys and its input.
        held: number of elements held, for display; None if it holds none.
        elements: what waits in it, in the order in which it will be handed on (of a shuffle: in
            any); None where that cannot be read.
    """

    progress: ProgressFunction
    held: Callable[[Stage], int | None] | None = None
    elements: Callable[[Stage], list[Held]] | None = None


def spec(
    name: str,
    progress: ProgressFunction,
    held: Callable[[Stage], int | None] | None = None,
    elements: Callable[[Stage], list[Held]] | None = None,
) -> OpSpec:
    """The row that has the name, with the functions that read it."""
    row = BY_ITERATOR[name]
    traits = {trait.name: getattr(row, trait.name) for trait in fields(row)}
    return OpSpec(progress=progress, held=held, elements=elements, **traits)
