"""From stages to a position: how much of the data the trainer has consumed, apart from what is
in flight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ckptscope.errors import IteratorStateError
from ckptscope.iterator.ops import OPS, OpSpec, inner_files
from ckptscope.iterator.progress import Assumption, Progress, Tally
from ckptscope.iterator.records import DataFiles, RecordIndex
from ckptscope.iterator.tree import IteratorTree, Stage

PositionClass = Literal["stored", "derivable", "lost"]
KnownFrom = Literal["state", "counters", "run_record"]


@dataclass(frozen=True, slots=True)
class Hints:
    """What a state cannot hold, as given by the user or read from a stored graph.

    Attributes:
        batch_size: examples of a full batch.
        epoch_size: examples that one pass delivers to the trainer.
        global_seed: ``tf.random.set_seed`` of the program.
        shuffle_seed: ``seed=`` of its shuffle.
        data_root: directory of relative data files.
        op_seeds: (seed, seed2) pairs of shuffles as a stored graph has them.
        range_origin: a stored graph shows that ranges start at 0 and count by 1.
        files: data files in reading order, as a graph or a run record names them.
    """

    batch_size: int | None = None
    epoch_size: int | None = None
    global_seed: int | None = None
    shuffle_seed: int | None = None
    data_root: str | None = None
    op_seeds: tuple[tuple[int, int], ...] = ()
    range_origin: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """Where one source of the pipeline stands (reading ahead included).

    Attributes:
        record_index: 0-based number of the next record in ``file``; None where it cannot be found.
        byte_offset: in the uncompressed file.
        elements_read: elements this source has handed on since it was created.
        problem: why ``record_index`` is None.
        is_missing: the file could not be opened.
        is_in_memory: its elements are rows of tensors of the program.
    """

    op: str
    file: str | None
    record_index: int | None
    byte_offset: int | None
    elements_read: int | None
    problem: str | None = None
    is_missing: bool = False
    is_in_memory: bool = False


@dataclass(frozen=True, slots=True)
class NextRecord:
    """First example of the next batch; ``file`` is None for data in memory."""

    file: str | None
    record_index: int


@dataclass(frozen=True, slots=True)
class Position:
    """How far the data was consumed; every unknown field has its reason.

    Attributes:
        kind: ``stored``, ``derivable`` or ``lost``; None where nothing could be read.
        step: the run's step counter.
        epoch: 0-based, of the last example consumed.
        batches_consumed: elements that left the iterator since it was created.
        examples_consumed: examples inside them.
        examples_into_epoch: examples consumed of that epoch.
        batch_size: examples of a full batch.
        epoch_size: examples that one pass delivers.
        sources: where each source stands.
        next_record: first example of the next batch.
        reasons: for each field that is None, why.
        guesses: sentences that the numbers rest on and that nothing stored supports: they may be
            told as a guess, and nothing may follow from them.
        known_from: what the numbers come from; None where there are none.
    """

    kind: PositionClass | None = None
    step: int | None = None
    epoch: int | None = None
    batches_consumed: int | None = None
    examples_consumed: int | None = None
    examples_into_epoch: int | None = None
    batch_size: int | None = None
    epoch_size: int | None = None
    sources: tuple[SourcePosition, ...] = ()
    next_record: NextRecord | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    guesses: tuple[str, ...] = ()
    known_from: KnownFrom | None = None


COUNTS = ("epoch", "batches_consumed", "examples_consumed", "examples_into_epoch")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one iterator state says, before it is compared with anything else.

    Attributes:
        position: with ``step`` still None.
        progress: the root's own account.
        started: something has been consumed or read; None if it cannot be told.
        exhausted: the next request raises the end of the data.
        assumptions: what the numbers rest on.
    """

    position: Position
    progress: Progress
    started: bool | None
    exhausted: bool
    assumptions: tuple[Assumption, ...]

    @property
    def guesses(self) -> tuple[Assumption, ...]:
        """Those of the assumptions on which nothing may be built but a number that is told as a
        guess: no agreement with the step, no finding, no size of an epoch.
        """
        return tuple(assumption for assumption in self.assumptions if assumption.is_guess)


class TreeEvaluator:
    """Evaluates stages bottom-up with the table of :mod:`ckptscope.iterator.ops`."""

    def __init__(self, tree: IteratorTree, files: DataFiles) -> None:
        self.files = files
        self.legacy = tree.is_legacy
        self.from_zero = tree.counts_passes_from_zero
        self._file_of: dict[int, str] = {}
        self._done: dict[int, Progress] = {}

    def below(self, stage: Stage) -> Progress:
        """Progress of the stage's input."""
        child = stage.child
        if child is None:
            ended = any(
                stage.flag(key) for key in ("input_impl_empty", "exhausted", "input_impls_empty")
            )
            if ended:
                return Progress.unknown("the data has ended and its counters are gone", ended=True)
            return Progress.unknown(
                "the state holds nothing below this stage: not started, or at its end"
            )
        return self.evaluate(child)

    def evaluate(self, stage: Stage, file: str | None = None) -> Progress:
        """Progress of any stage; ``file`` is the name of the file that it reads."""
        if file is not None:
            for inner in stage.walk():
                self._file_of.setdefault(id(inner), file)
        if id(stage) not in self._done:
            spec = OPS.get(stage.op)
            if spec is None:
                self._done[id(stage)] = Progress.unknown(
                    f"{stage.op} is a stage that this version does not know"
                )
            else:
                # Names of files hold for everything below, unless a nested stage names one closer
                # by.
                for number, name in inner_files(stage).items() if spec.nests else ():
                    for inner in stage.numbered().get(number, stage).walk():
                        if inner is not stage:
                            self._file_of[id(inner)] = name
                self._done[id(stage)] = spec.progress(stage, self)
        return self._done[id(stage)]

    def file_of(self, stage: Stage) -> str | None:
        """The file that a source reads, as the stages above it say."""
        return self._file_of.get(id(stage))


def read_position(tree: IteratorTree, hints: Hints, files: DataFiles) -> Reading:
    """The position that an iterator state implies.

    Raises:
        IteratorStateError: a record of the state cannot be decoded.
    """
    if tree.root is None:
        raise IteratorStateError("the state names no stage")
    evaluator = TreeEvaluator(tree, files)
    progress = _with_hints(evaluator.evaluate(tree.root), hints)
    sources = tuple(
        _source(stage, evaluator)
        for stage in tree.root.walk()
        if stage.op in OPS and OPS[stage.op].is_source
    )
    position = _position(progress, hints, sources)
    following = _next_record(tree.root, progress, sources)
    if isinstance(following, NextRecord):
        position = replace(position, next_record=following)
    else:
        position = replace(position, reasons={**position.reasons, "next_record": following})
    return Reading(position, progress, _started(progress), progress.ended, progress.assumptions)


def _started(progress: Progress) -> bool | None:
    total = progress.elements.total
    total = progress.examples.total if total is None else total
    within, passes = progress.examples.into, progress.examples.passes
    if total is None and within is None and not passes:
        return None
    return bool(total or within or passes)


def _with_hints(progress: Progress, hints: Hints) -> Progress:
    """Completed with what the user, a stored graph or a run record say."""
    if progress.batch_size is None:
        progress = replace(progress, batch_size=hints.batch_size)
    progress = _without_refuted(progress, hints)
    if (
        progress.mixed
        and progress.opaque
        and hints.epoch_size is not None
        and hints.epoch_size == (progress.examples.size or progress.uncut)
    ):
        progress = replace(progress, mixed=False)
    progress = _with_epoch_size(progress, hints.epoch_size).completed()
    if hints.range_origin:
        kept = tuple(a for a in progress.assumptions if a.code != "RANGE_ORIGIN")
        progress = replace(progress, assumptions=kept)
    return progress


def _with_epoch_size(progress: Progress, size: int | None) -> Progress:
    if size is None or progress.examples.size is not None or _is_ambiguous(progress):
        return progress
    elements, examples = progress.elements, replace(progress.examples, size=size)
    if not progress.batched:
        elements = replace(elements, size=size)
    return replace(progress, examples=examples, elements=elements)


def _is_ambiguous(progress: Progress) -> bool:
    """What an epoch is, or an example, is not known."""
    return progress.mixed or _may_be_batches(progress)


def _may_be_batches(progress: Progress) -> bool:
    return progress.opaque and not progress.batched


def _without_refuted(progress: Progress, hints: Hints) -> Progress:
    """Without numbers that were guessed from data files which are not those of the run: its epoch
    has another size.
    """
    size = progress.examples.size if progress.uncut is None else progress.uncut
    guesses = [assumption for assumption in progress.assumptions if assumption.is_guess]
    if not guesses or hints.epoch_size is None or size is None:
        return progress
    batch = progress.batch_size or 1
    if hints.epoch_size in (size, size - size % batch):
        return progress
    return replace(
        progress,
        elements=Tally(),
        examples=Tally(),
        uncut=None,
        assumptions=tuple(a for a in progress.assumptions if not a.is_guess),
        reason=f"the data files here hold {size:,} examples, an epoch of the run has "
        f"{hints.epoch_size:,}: which files it reads is not stored",
    )


def _position(progress: Progress, hints: Hints, sources: tuple[SourcePosition, ...]) -> Position:
    examples, elements = progress.examples.settled(), progress.elements.settled()
    if examples.total == 0:
        elements = replace(elements, total=0)
    if _may_be_batches(progress) and examples.total != 0:
        reason = "the stages below have ended and left no state, so elements may be batches"
        progress, examples = replace(progress, reason=reason), Tally()
    epoch, within = examples.passes, examples.into
    if progress.mixed and examples.total != 0:
        epoch = within = None
    size = progress.batch_size if progress.batched else None
    values: dict[str, int | None] = {
        "batches_consumed": elements.total,
        "examples_consumed": examples.total,
        "epoch": epoch,
        "examples_into_epoch": within,
        "batch_size": size or hints.batch_size,
    }
    reasons = _reasons(progress, examples, values)
    told = {name: None if name in reasons else value for name, value in values.items()}
    return Position(
        kind="stored",
        epoch=told["epoch"],
        batches_consumed=told["batches_consumed"],
        examples_consumed=told["examples_consumed"],
        examples_into_epoch=told["examples_into_epoch"],
        batch_size=told["batch_size"],
        epoch_size=None if _is_ambiguous(progress) else progress.examples.size,
        sources=sources,
        reasons=reasons,
        guesses=tuple(item.text for item in progress.assumptions if item.is_guess),
    )


def _reasons(
    progress: Progress, examples: Tally, values: Mapping[str, int | None]
) -> dict[str, str]:
    """Why fields are None, or must be: what is below zero contradicts itself."""
    why = _reason(progress)
    why_epoch = _reason_of_epoch(progress, examples, values["epoch"], why)
    told = {
        "batches_consumed": why,
        "examples_consumed": why,
        "epoch": why_epoch,
        "examples_into_epoch": why_epoch,
        "batch_size": "no buffered batch shows it (give --batch-size)"
        if progress.batched
        else "no stage makes batches",
    }
    consumed = values["examples_consumed"]
    if values["batches_consumed"] is None and consumed is not None and consumed >= 0:
        told["batches_consumed"] = "the batch size is not stored (give --batch-size)"
    reasons = {name: told[name] for name, value in values.items() if value is None}
    wrong = (name for name, value in values.items() if value is not None and value < 0)
    return {**reasons, **dict.fromkeys(wrong, "the counters contradict each other")}


def _reason(progress: Progress) -> str:
    if progress.ended:
        return "the data has ended, and TensorFlow drops the counters at the end"
    return progress.reason or "it cannot be derived from the counters that are stored"


def _reason_of_epoch(progress: Progress, examples: Tally, epoch: int | None, why: str) -> str:
    if progress.epoch_reason is not None:
        return progress.epoch_reason
    if progress.mixed and examples.total != 0:
        return "passes overlap"
    if epoch is not None or (examples.total is None and progress.reason is None):
        return "the position lies at the end of a pass whose size is not stored (give --epoch-size)"
    return why


def _source(stage: Stage, evaluator: TreeEvaluator) -> SourcePosition:
    spec = OPS[stage.op]
    offset = stage.integer(spec.offset_key) if spec.offset_key is not None else None
    if offset is None:
        read = evaluator.evaluate(stage).elements.total
        in_memory = spec.locates == "element"
        return SourcePosition(spec.title, None, None, None, read, is_in_memory=in_memory)
    file = evaluator.file_of(stage)
    found = _record_at(spec, file, offset, evaluator.files)
    return SourcePosition(
        spec.title, file, found.index, offset, found.index, found.problem, found.is_missing
    )


def _record_at(spec: OpSpec, file: str | None, offset: int, files: DataFiles) -> RecordIndex:
    if file is None:
        return RecordIndex(None, "the state does not name the file")
    if spec.locates == "record":
        return files.record_at(file, offset)
    if spec.locates == "line":
        return files.line_at(file, offset)
    return RecordIndex(None, "the length of its records is not stored")


def _next_record(
    root: Stage, progress: Progress, sources: tuple[SourcePosition, ...]
) -> NextRecord | str:
    """The first example of the next batch; a reason where it cannot be named."""
    rows = [OPS.get(stage.op) for stage in root.walk()]
    if not all(row is not None and (row.is_source or row.delivers_a_prefix) for row in rows):
        return "stages between the source and training change the order"
    if progress.ended:
        return "the data has ended"
    if progress.in_flight is None:
        return "how many examples are in flight is not stored"
    readers = [source for source in sources if source.byte_offset is not None]
    if len(readers) == 1:
        return _next_in_file(readers[0], progress.in_flight)
    memory = [source for source in sources if source.is_in_memory]
    nested = any(row is not None and row.nests for row in rows)
    if not readers and not nested and len(memory) == 1 and memory[0].elements_read is not None:
        return _next_in_memory(root, progress, memory[0].elements_read - progress.in_flight)
    return _ELSEWHERE


_ELSEWHERE = "it may lie in another pass or file than what is being read"


def _next_in_memory(root: Stage, progress: Progress, index: int) -> NextRecord | str:
    """Element ``index`` of the pass that is being read; below 0 of the one before."""
    size = progress.examples.size if progress.examples.size is not None else progress.uncut
    if size and index >= size:
        # Whether another pass follows is stored only where it always does.
        is_endless = any(stage.op in OPS[stage.op].endless_as for stage in root.walk())
        return NextRecord(None, index % size) if is_endless else "the data may have ended"
    if size:
        return NextRecord(None, index % size)
    # With nothing in flight the source may stand at its end: where it is repeated, another pass
    # follows; where it is not, this is the next one if there is any.
    is_next = index >= 0 and (progress.in_flight or not progress.repeated)
    return NextRecord(None, index) if is_next else _ELSEWHERE


def _next_in_file(reader: SourcePosition, in_flight: int) -> NextRecord | str:
    if reader.record_index is None or reader.file is None:
        return reader.problem or "the record that is being read is not known"
    index = reader.record_index - in_flight
    # With nothing in flight the reader may stand at the end of its file.
    if index < 0 or in_flight == 0:
        return "it may lie in another file than the one that is being read"
    return NextRecord(reader.file, index)
