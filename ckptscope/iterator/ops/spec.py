"""What an entry of the table of ops is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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
class OpSpec:
    """One kind of stage.

    Attributes:
        names: classes of iterators as they occur in names.
        title: what users call it.
        counts: what is counted and held, for the documentation.
        progress: elements handed on, from the stage's keys and its input.
        held: number of elements held, for display; None if it holds none.
        is_source: reads data from outside the pipeline.
        draws: draws random numbers, so that its seed matters.
        repeats: makes its input anew for each pass.
        nests: its elements are datasets, which its function makes anew; they are its numbered
            inputs.
        runs_function: runs a function of the user's.
        is_parallel: order may depend on timing when deterministic=False.
        needs_files: files beside the data must survive, in words.
    """

    names: tuple[str, ...]
    title: str
    counts: str
    progress: ProgressFunction
    held: Callable[[Stage], int | None] | None = None
    is_source: bool = False
    draws: bool = False
    repeats: bool = False
    nests: bool = False
    runs_function: bool = False
    is_parallel: bool = False
    needs_files: str | None = None
