"""One line in a training script: a recorder that knows the dataset, the iterator and the
checkpoints of its run.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ckptscope.checkpoint.discover import read_state_file
from ckptscope.checkpoint.run_record import fingerprint_of
from ckptscope.dataset_ops import DatasetOp, of_node
from ckptscope.errors import CkptscopeError
from ckptscope.iterator.position import Hints, Position
from ckptscope.iterator.records import DataFiles
from ckptscope.recording.live_iterator import DecodedState, LiveState, save_state, start_of
from ckptscope.recording.model import Attempt, SavedCheckpoint, SourceFile, Start
from ckptscope.recording.recorder import FLUSH_INTERVAL_S, Recorder, new_id
from ckptscope.version import VERSION

if TYPE_CHECKING:
    from ckptscope.checkpoint.meta_graph import GraphPipeline

# So many bytes of data files are walked to count their records.
_COUNTED_NBYTES = 1 << 30
_INDEX_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """What TensorFlow knows of a training program's data, and what nobody else writes down.

    Attributes:
        pipeline: None where there is no dataset, or its graph cannot be read.
        files: in reading order, as far as the graph names them.
        random_layers: None where no model was given.
    """

    pipeline: GraphPipeline | None
    files: tuple[SourceFile, ...]
    random_layers: Any
    batch_size: int | None
    epoch_size: int | None

    @property
    def stages(self) -> tuple[DatasetOp | None, ...]:
        """Rows of the table of dataset ops, nearest the trainer first; None for unknown ones."""
        return tuple(map(of_node, self.pipeline.ops)) if self.pipeline is not None else ()

    @property
    def reads_whole_files(self) -> bool:
        """A pass is all records of all files, one after the other."""
        found = self.stages
        return (
            bool(self.files)
            and all(row is not None and _keeps_number(row) for row in found)
            and sum(row is not None and row.locates == "element" for row in found) <= 1
            and sum(row is not None and row.nests for row in found) <= 1
            and len({row.title for row in found if row is not None and _finds_records(row)}) == 1
        )

    @property
    def has_records(self) -> bool:
        """Its files are made of records or lines, which can be counted."""
        return not any(row is not None and row.locates == "bytes" for row in self.stages)

    @property
    def order(self) -> str | None:
        """Whether elements come in the order of the source."""
        found = [row for row in self.stages if row is not None]
        if not found:
            return None
        if any(row.draws for row in found):
            return "shuffled"
        if any(row.interleaves for row in found):
            return "interleaved"
        if self.pipeline is not None and self.pipeline.nondeterministic:
            return None
        if any(row.nests for row in found) and not any(map(_finds_records, found)):
            return None
        is_known = len(found) == len(self.stages)
        return "fixed" if is_known and all(map(_keeps_order, found)) else None

    @property
    def spans(self) -> bool:
        """Batches run across the end of a pass: the repeat lies below the batch."""
        rows = self.stages
        makes = (number for number, row in enumerate(rows) if row is not None and row.makes_batches)
        again = (number for number, row in enumerate(rows) if row is not None and row.repeats)
        batch, repeat = next(makes, None), next(again, None)
        return batch is not None and repeat is not None and repeat > batch

    @property
    def delivered(self) -> int | None:
        """Examples of a pass that reach the trainer: without the short batch at its end, where
        that is dropped.
        """
        size, batch = self.epoch_size, self.batch_size
        drops = self.pipeline is not None and self.pipeline.drops_remainder and not self.spans
        return size // batch * batch if drops and size and batch and size >= batch else size

    @property
    def hints(self) -> Hints:
        """For decoding states of its iterators."""
        return Hints(
            self.batch_size,
            self.delivered,
            range_origin=bool(self.pipeline and self.pipeline.range_from_zero),
            files=tuple(file.path for file in self.files) if self.reads_whole_files else (),
        )


def _finds_records(row: DatasetOp) -> bool:
    return row.locates in ("record", "line")


def _keeps_order(row: DatasetOp) -> bool:
    """Which example comes next follows from their number alone."""
    return row.keeps_order and row.drops != "value" and row.joins in ("", "together")


def _keeps_number(row: DatasetOp) -> bool:
    """Between files and trainer it leaves the number of records as it is; a flat_map over file
    names opens them in turn.
    """
    if row.is_source:
        return _finds_records(row) or row.locates == "element"
    return _keeps_order(row) and not row.drops and not row.joins


def look_at(
    dataset: Any, model: Any = None, batch_size: int | None = None, epoch_size: int | None = None
) -> Program:
    """Ask TensorFlow about a dataset and a model."""
    from ckptscope.recording import live

    pipeline = live.pipeline_facts(dataset) if dataset is not None else None
    names = live.data_files(dataset) if dataset is not None else []
    files = tuple(_counted(names))
    if pipeline is not None:
        batch_size = batch_size if batch_size is not None else pipeline.batch_size
        epoch_size = epoch_size if epoch_size is not None else pipeline.epoch_size
    found = Program(
        pipeline,
        files,
        live.random_layers(model) if model is not None else None,
        batch_size,
        epoch_size,
    )
    if epoch_size is None and found.order == "fixed" and found.reads_whole_files:
        counts = [file.num_records for file in files]
        if None not in counts:
            found = dataclasses.replace(found, epoch_size=sum(count or 0 for count in counts))
    return found


def _counted(names: list[str]) -> list[SourceFile]:
    """Files with their sizes, and their records where that is not too much to walk."""
    sizes = [os.path.getsize(name) if os.path.isfile(name) else None for name in names]
    walk = sum(size or 0 for size in sizes) <= _COUNTED_NBYTES
    reader = DataFiles()
    found = []
    for name, size in zip(names, sizes, strict=True):
        count = reader.num_records(name, "record") if walk and size is not None else None
        if count is None and walk and size is not None:
            count = reader.num_records(name, "line")
        found.append(
            SourceFile(
                os.path.abspath(name),
                size,
                count,
                fingerprint_of(name) if size is not None else None,
            )
        )
    return found


def record(
    log_dir: str,
    *,
    dataset: Any = None,
    iterator: Any = None,
    model: Any = None,
    restored_from: str | None = None,
    checkpoint_dir: str | None = None,
    every: int | None = None,
    batch_size: int | None = None,
    epoch_size: int | None = None,
    kind: str = "train",
    process: int = 0,
    hosts: int = 1,
    flush_interval_s: float = FLUSH_INTERVAL_S,
) -> RunRecorder:
    """Record where the data of this process stands, step by step.

    Call it after the checkpoint was restored and before the first step; use it as a context
    manager, or close it.

    Args:
        log_dir: where event files go, into a directory ``ckptscope`` of their own.
        dataset: the training dataset; its graph tells stages, seeds, batch and epoch size, and its
            files.
        iterator: what feeds the training, where the program holds it; its state tells where it
            stands.
        model: a Keras model: which of its layers draw random numbers.
        restored_from: prefix of the checkpoint that was restored; None for a new run.
        checkpoint_dir: directory in which new checkpoints are noticed by themselves; else call
            :meth:`RunRecorder.saved`.
        every: steps between decodings of the iterator's state, besides those at checkpoints; None
            for none.
        batch_size, epoch_size: examples of a full batch and of a pass, where the graph does not
            tell.
        kind: ``train`` or ``eval``.
        process, hosts: of several.
        flush_interval_s: what a killed process may lose.
    """
    return RunRecorder(
        log_dir,
        look_at_safely(dataset, model, batch_size, epoch_size),
        iterator=iterator,
        restored_from=restored_from,
        checkpoint_dir=checkpoint_dir,
        every=every,
        kind=kind,
        process=process,
        hosts=hosts,
        flush_interval_s=flush_interval_s,
    )


def look_at_safely(
    dataset: Any, model: Any, batch_size: int | None, epoch_size: int | None
) -> Program:
    """As :func:`look_at`; where TensorFlow cannot say, what the caller knows."""
    try:
        return look_at(dataset, model, batch_size, epoch_size)
    except Exception:  # a dataset without a graph must not stop the training
        return Program(None, (), None, batch_size, epoch_size)


class RunRecorder(Recorder):
    """A recorder that decodes iterator states and writes run records beside checkpoints."""

    def __init__(
        self,
        log_dir: str,
        program: Program,
        *,
        iterator: Any = None,
        restored_from: str | None = None,
        checkpoint_dir: str | None = None,
        every: int | None = None,
        kind: str = "train",
        process: int = 0,
        hosts: int = 1,
        flush_interval_s: float = FLUSH_INTERVAL_S,
        start: Start | None = None,
        counting: str = "stream",
    ) -> None:
        self.program = program
        self._iterator = iterator
        self._every = every
        self._watched = (
            None if checkpoint_dir is None else os.path.join(checkpoint_dir, "checkpoint")
        )
        self._last_save = self._stamp()
        self._last_step = 0
        parent, step, counted = _written_by(restored_from)
        state = (
            save_state(iterator).read(program.hints, like=restored_from)
            if iterator is not None
            else None
        )
        start = start if start is not None else _start(state, restored_from, counted)
        attempt = Attempt(
            id=new_id(),
            started_s=time.time(),
            kind=kind,
            host=socket.gethostname(),
            process=process,
            hosts=hosts,
            restored_from=None if restored_from is None else os.path.abspath(restored_from),
            restored_step=step,
            parent=parent,
            start=start,
            counting=counting,
            batch_size=program.batch_size,
            epoch_size=program.epoch_size,
            spans=program.spans,
            drops=program.pipeline.drops_remainder if program.pipeline is not None else None,
            order=program.order,
            held=_held(state),
            files=program.files if program.order == "fixed" and program.has_records else (),
            tool_version=VERSION,
        )
        super().__init__(log_dir, attempt, flush_interval_s=flush_interval_s)

    def step(self, step: int, *, batches: int = 1, examples: int | None = None) -> None:
        """One training step is done; see :meth:`Recorder.step`."""
        if self._watched is not None and (stamp := self._stamp()) != self._last_save:
            # It was written after the step before this one.
            self._last_save = stamp
            self._notice()
        super().step(step, batches=batches, examples=examples)
        self._last_step = step
        if self._every and self._num_rows % self._every == 0:
            self.decode(step)

    def decode(self, step: int) -> None:
        """Read the iterator's state now; it is decoded in the thread."""
        if self._iterator is None:
            return
        state, counted, hints = save_state(self._iterator), self._batches, self.program.hints

        def read() -> dict[str, Any]:
            decoded = state.read(hints)
            found = {
                "decoded": _shown(decoded.position),
                "counted_batches": counted,
                "problem": decoded.problem,
            }
            return {**found, "disagreement": _disagreement(decoded.position, counted)}

        self.state(step, read)

    def saved(self, prefix: str, step: int | None = None, describe: Any = None) -> None:
        """A checkpoint was written after the last step; give what ``CheckpointManager.save()``
        returned.
        """
        del describe
        if prefix is None:
            return  # CheckpointManager.save() returns None where it is not due
        step = self._last_step if step is None else step
        state = (
            save_state(self._iterator)
            if self._iterator is not None and not _holds_iterator(prefix)
            else None
        )
        counted, position = self._batches, self.attempt
        super().saved(
            os.fspath(prefix), step, lambda made: self._described(made, state, counted, position)
        )
        if self._watched is not None:
            self._last_save = self._stamp()

    def close(self) -> None:
        """Write what is left."""
        if self._watched is not None and not self._closed and self._stamp() != self._last_save:
            self._last_save = self._stamp()
            self._notice()
        super().close()

    def _notice(self) -> None:
        assert self._watched is not None
        latest, _ = read_state_file(self._watched)
        if latest is not None:
            self.saved(os.path.join(os.path.dirname(self._watched), os.path.basename(latest)))

    def _stamp(self) -> tuple[int, int] | None:
        if self._watched is None:
            return None
        try:
            status = os.stat(self._watched)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino

    # ------------------------------------------------------------------------------------------ in
    # the thread

    def _described(
        self, made: SavedCheckpoint, state: LiveState | None, counted: int, attempt: Attempt
    ) -> SavedCheckpoint:
        """A checkpoint with its decoded position, verdict and run record."""
        from ckptscope.inspection import inspect

        _wait_for(f"{made.path}.index")
        decoded = state.read(self.program.hints) if state is not None else None
        self._write_run_record(made, attempt, counted, decoded)
        hints = self.program.hints
        found = inspect(made.path, batch_size=hints.batch_size, epoch_size=hints.epoch_size)
        position: Position | None = decoded.position if decoded is not None else None
        if position is None and found.iterators and not found.resume.position.guesses:
            position = found.resume.position
        return dataclasses.replace(
            made,
            verdict=found.resume.verdict,
            decoded=_shown(position),
            problem=decoded.problem if decoded is not None else None,
            disagreement=self._compared(position, counted)
            if attempt.counting == "stream"
            else None,
        )

    def _compared(self, position: Position | None, counted: int) -> str | None:
        """How counting and decoding differ; where the start was not known it follows from the
        first decoding.
        """
        if self.attempt.start.batches is not None:
            return _disagreement(position, counted)
        if (
            position is not None
            and position.batches_consumed is not None
            and position.batches_consumed >= counted
        ):
            self.update(start=Start(position.batches_consumed - counted, source="decoded later"))
        return None

    def _write_run_record(
        self, made: SavedCheckpoint, attempt: Attempt, counted: int, decoded: DecodedState | None
    ) -> None:
        from ckptscope.recording.run_record_writer import write_run_record

        program = self.program
        write_run_record(
            made.path,
            attempt=attempt.id,
            step=made.step,
            wall_time_s=made.wall_time_s,
            pipeline=program.pipeline,
            files=program.files,
            batch_size=program.batch_size,
            epoch_size=program.delivered,
            hosts=attempt.hosts,
            random_layers=program.random_layers,
            position={
                "counted_batches": counted if self.attempt.start.batches is not None else None,
                "decoded": _shown(decoded.position) if decoded is not None else None,
            },
        )


def _start(state: DecodedState | None, restored_from: str | None, counted: int | None) -> Start:
    """From the iterator's state; where its counters are gone, what was counted when the same
    state was saved.
    """
    if state is None:
        return (
            Start(reason="the program's iterator was not given")
            if restored_from
            else Start(0, 0, 0, 0, "fresh")
        )
    found = start_of(state)
    if found.batches is None and state.is_like and counted is not None:
        return Start(counted, source="counted")
    return found


def _held(state: DecodedState | None) -> int | None:
    """Elements that lie in buffers, where the state shows it."""
    if state is None or state.tree is None or state.tree.root is None:
        return None
    from ckptscope.iterator.ops import OPS

    total = 0
    for stage in state.tree.root.walk():
        spec = OPS.get(stage.op)
        total += (spec.held(stage) or 0) if spec is not None and spec.held is not None else 0
    return total


def _written_by(prefix: str | None) -> tuple[str | None, int | None, int | None]:
    """(attempt, step, batches counted) of a checkpoint, from the run record beside it, else
    from its own counters.
    """
    if prefix is None:
        return None, None, None
    from ckptscope.checkpoint.run_record import read_run_record
    from ckptscope.inspection import inspect

    try:
        found, _ = read_run_record(prefix)
        if found is not None:
            return found.attempt, found.step, found.counted_batches
        return None, inspect(prefix).checkpoint.step, None
    except (CkptscopeError, OSError):
        return None, None, None


def _holds_iterator(prefix: str) -> bool:
    from ckptscope.checkpoint.bundle_v2 import open_bundle
    from ckptscope.formats.dtypes import VARIANT

    try:
        with open_bundle(os.fspath(prefix)) as checkpoint:
            return any(entry.dtype is VARIANT for entry in checkpoint.entries.values())
    except (CkptscopeError, OSError):
        return False


def _shown(position: Position | None) -> dict[str, Any] | None:
    if position is None:
        return None
    names = ("batches_consumed", "examples_consumed", "epoch", "examples_into_epoch")
    return {name: getattr(position, name) for name in names}


def _disagreement(position: Position | None, counted: int) -> str | None:
    if position is None or position.batches_consumed in (None, counted):
        return None
    return (
        f"{counted:,} batches were counted, the iterator's state says {position.batches_consumed:,}"
    )


def _wait_for(
    path: str, timeout_s: float = _INDEX_TIMEOUT_S, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Asynchronous saves write the index last."""
    deadline = time.monotonic() + timeout_s
    while not os.path.exists(path) and time.monotonic() < deadline:
        sleep(0.05)
