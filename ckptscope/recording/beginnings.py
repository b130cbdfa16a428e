"""Where an attempt begins in its data, and where a checkpoint of it stands: what the program says,
what the iterator's state says, and what the run record of the restored checkpoint says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ckptscope.checkpoint.run_record import RunRecord, read_run_record
from ckptscope.errors import CkptscopeError
from ckptscope.iterator.position import Position
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.live_iterator import DecodedState, start_of
from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.positions import Place, place_counted
from ckptscope.recording.program import Program

NOT_GIVEN = "the program's iterator was not given"
OTHER_ITERATOR = "the checkpoint holds an iterator, and the program's was not given"
_SUFFIXES = (".h5", ".keras", ".hdf5")


@dataclass(frozen=True, slots=True)
class Begins:
    """What the program says of its beginning: examples of the run before it, or batches."""

    examples: int | None = None
    batches: int | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """The checkpoint that was restored.

    Attributes:
        attempt: that wrote it, where a run record tells.
        step: of the run.
        record: beside it.
        num_iterators: that it holds.
    """

    attempt: str | None = None
    step: int | None = None
    record: RunRecord | None = None
    num_iterators: int = 0

    @property
    def place(self) -> Place:
        """Where the run's data stood."""
        record = self.record
        if record is None or record.position_problem is not None:
            return Place()
        return Place(record.examples_counted, record.epoch, record.examples_into_epoch)


def parent_of(prefix: str | None) -> Parent:
    """The checkpoint that was restored, from the run record beside it, else from its own
    counters.
    """
    if prefix is None:
        return Parent()
    from ckptscope.inspection import inspect

    held = num_iterators(prefix)
    try:
        found, _ = read_run_record(prefix)
        if found is not None:
            return Parent(found.attempt, found.step, found, held)
        return Parent(None, inspect(prefix).checkpoint.step, None, held)
    except (CkptscopeError, OSError):
        return Parent(num_iterators=held)


def num_iterators(prefix: str) -> int:
    """Iterator states in a checkpoint."""
    from ckptscope.checkpoint.bundle_v2 import open_bundle
    from ckptscope.formats.dtypes import VARIANT

    try:
        with open_bundle(os.fspath(prefix)) as checkpoint:
            return sum(entry.dtype is VARIANT for entry in checkpoint.entries.values())
    except (CkptscopeError, OSError):
        return 0


def is_file_of_keras(path: str) -> bool:
    """A checkpoint that is one file of Keras's."""
    return path.endswith(_SUFFIXES) and not os.path.exists(f"{path}.index")


def started(
    attempt: Attempt,
    program: Program,
    state: DecodedState | None,
    parent: Parent,
    begins: Begins,
) -> Attempt:
    """An attempt with its start, and the size of a pass where the beginning shows that one is
    longer than what is left of it.
    """
    if begins.examples is not None or begins.batches is not None:
        size = program.batch_size
        examples = begins.examples
        if examples is None and size is not None:
            examples = _examples_of(attempt, begins.batches or 0)
        if examples is None:
            return dataclasses.replace(attempt, start=Start(reason="the batch size is not known"))
        attempt = _with_whole_pass(attempt, parent, examples)
        return _begun_at(attempt, examples, _taken(state), "given")
    if state is None:
        return dataclasses.replace(attempt, start=_of_new_iterator(attempt, program, parent))
    found = start_of(state)
    if found.batches is None and _is_unread(state):
        found = Start(0, 0, 0, 0, "fresh")
    if found.batches is None and state.is_like and parent.record is not None:
        return _like(attempt, parent)
    origin = _origin(attempt, program, parent)
    if origin and found.batches is not None and not program.origin.in_state:
        attempt = _with_whole_pass(attempt, parent, origin)
        return _begun_at(attempt, origin, found.batches, "given")
    return dataclasses.replace(attempt, start=found)


def _of_new_iterator(attempt: Attempt, program: Program, parent: Parent) -> Start:
    """Where an iterator stands that was not given: at the beginning, if none can have been
    restored.
    """
    origin = _origin(attempt, program, parent)
    if attempt.restored_from is None:
        if not origin:
            return Start(0, 0, 0, 0, "fresh")
        return _begun_at(attempt, origin, 0, "given").start
    return Start(reason=OTHER_ITERATOR if parent.num_iterators else NOT_GIVEN)


def _is_unread(state: DecodedState) -> bool:
    """No source has handed on anything: a new iterator, whatever lies above."""
    sources = state.position.sources if state.position is not None else ()
    return bool(sources) and all(source.elements_read == 0 for source in sources)


def _taken(state: DecodedState | None) -> int:
    """Batches that the iterator has given already."""
    position = state.position if state is not None else None
    return (position.batches_consumed or 0) if position is not None else 0


def _origin(attempt: Attempt, program: Program, parent: Parent) -> int:
    """Examples that the pipeline leaves out at its beginning: a skip, a range, or files that the
    run had read before.
    """
    origin = program.origin
    if origin.batches:
        return _examples_of(attempt, origin.batches) or 0
    if origin.examples:
        return origin.examples
    record, names = parent.record, [file.path for file in program.files]
    if record is None or program.repeats is not False or not names:
        return 0
    before = record.files[: len(record.files) - len(names)]
    if not before or [file.path for file in record.files[len(before) :]] != names:
        return 0
    counts = [file.num_records for file in before]
    return 0 if None in counts else sum(count or 0 for count in counts)


def _examples_of(attempt: Attempt, batches: int) -> int | None:
    """Examples in so many batches from the beginning of the stream."""
    at_zero = dataclasses.replace(attempt, start=Start(0, 0, 0, 0), counting="stream")
    return place_counted(at_zero, UNKNOWN, batches)[0].examples


def _with_whole_pass(attempt: Attempt, parent: Parent, origin: int) -> Attempt:
    """A pass of the run, where this process reads the rest of one."""
    whole = parent.record.epoch_size if parent.record is not None else None
    if whole is None or attempt.repeats is not False or attempt.epoch_size is None:
        return attempt
    is_rest = origin % whole + attempt.epoch_size == whole
    return dataclasses.replace(attempt, epoch_size=whole) if is_rest else attempt


def _begun_at(attempt: Attempt, examples: int, taken: int, source: str) -> Attempt:
    """An attempt that begins after so many examples, and batches taken since."""
    at_origin = dataclasses.replace(attempt, start=Start(0, examples, *_pass_of(attempt, examples)))
    place, _ = place_counted(at_origin, UNKNOWN, taken)
    start = Start(taken, place.examples, place.epoch, place.into, source)
    return dataclasses.replace(attempt, start=start)


def _pass_of(attempt: Attempt, examples: int) -> tuple[int | None, int | None]:
    from ckptscope.recording.positions import delivered_by

    size = delivered_by(attempt)
    if not size:
        return None, None
    before = max(examples - 1, 0)
    return before // size, before % size + 1 if examples else 0


def _like(attempt: Attempt, parent: Parent) -> Attempt:
    """An iterator in the very state of the checkpoint stands where the recorder counted it."""
    record, place = parent.record, parent.place
    assert record is not None
    if record.batch_size not in (None, attempt.batch_size):
        start = Start(record.counted_batches, place.examples, place.epoch, place.into, "counted")
        return dataclasses.replace(attempt, start=start)
    if record.counted_batches is None:
        return dataclasses.replace(attempt, start=Start(reason="its counters are gone"))
    return dataclasses.replace(
        attempt,
        start=Start(record.counted_batches, place.examples, place.epoch, place.into, "counted"),
    )


def held_by(state: DecodedState | None) -> int | None:
    """Elements that lie in buffers, where the state shows it."""
    if state is None or state.tree is None or state.tree.root is None:
        return None
    from ckptscope.iterator.ops import OPS

    total = 0
    for stage in state.tree.root.walk():
        spec = OPS.get(stage.op)
        total += (spec.held(stage) or 0) if spec is not None and spec.held is not None else 0
    return total


def epochs_made(attempt: Attempt) -> str | None:
    """How the program makes its epochs, in the words of a run record."""
    if attempt.counting == "epochs" or attempt.repeats is False:
        return "iterator_per_epoch"
    return "one_iterator" if attempt.repeats else None


def shown(position: Position | None) -> dict[str, Any] | None:
    """A position as it is noted."""
    if position is None:
        return None
    names = ("batches_consumed", "examples_consumed", "epoch", "examples_into_epoch")
    return {name: getattr(position, name) for name in names}


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted when a checkpoint was written.

    Attributes:
        iterations: of the optimizer.
    """

    attempt: Attempt
    epoch: int
    batches: int
    examples: int
    iterations: int | None = None

    def to_record(
        self, start: Start, decoded: Mapping[str, Any] | None, problem: str | None
    ) -> dict[str, Any]:
        """The position in a run record.

        Args:
            start: as it is known by now.
        """
        attempt, batches = dataclasses.replace(self.attempt, start=start), self.batches
        if start.source == "decoded later":
            batches += start.batches or 0
        place, reason = place_counted(attempt, self.epoch, batches, self.examples)
        known = start.batches is not None or attempt.counting == "epochs"
        if problem is not None or not known:
            place = _decoded_place(decoded) if attempt.counting == "stream" else Place()
        size = attempt.batch_size
        into = place.into
        begun = place_counted(attempt, self.epoch, start.batches or 0)[0] if known else Place()
        return {
            "counted_batches": batches if known else None,
            "decoded": None if decoded is None else dict(decoded),
            "epoch": place.epoch,
            "examples_into_epoch": into,
            "batches_into_epoch": None
            if into is None or not size or attempt.spans
            else batches
            if attempt.counting == "epochs"
            else -(-into // size),
            "examples_counted": place.examples,
            "start_examples": start.examples if start.examples is not None else begun.examples,
            "problem": None
            if place.epoch is not None
            else problem
            if problem is not None
            else None
            if known
            else reason,
        }


def _decoded_place(decoded: Mapping[str, Any] | None) -> Place:
    """The iterator's own word, where the count is not believed."""
    told = decoded or {}
    if told.get("epoch") is None or told.get("examples_into_epoch") is None:
        return Place()
    return Place(told.get("examples_consumed"), told["epoch"], told["examples_into_epoch"])
