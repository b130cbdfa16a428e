"""One line in a training script: a recorder that knows the dataset, the iterator and the
checkpoints of its run.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from ckptscope.iterator.position import Position
from ckptscope.recording.beginnings import (
    NOT_GIVEN,
    Begins,
    Counted,
    epochs_made,
    held_by,
    is_file_of_keras,
    num_iterators,
    parent_of,
    shown,
    started,
)
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.live_iterator import DecodedState, LiveState, decode_bundle, save_state
from ckptscope.recording.model import Attempt, SavedCheckpoint, Start
from ckptscope.recording.portable.attempt import task_of_this_process
from ckptscope.recording.portable.writer import made_or_silent
from ckptscope.recording.program import Program, look_at_safely
from ckptscope.recording.recorder import FLUSH_INTERVAL_S, Recorder, new_id
from ckptscope.recording.watching import Watch, watch_of
from ckptscope.version import VERSION

_INDEX_TIMEOUT_S = 60.0


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
    start: int | None = None,
    skipped: int | None = None,
    kind: str = "train",
    process: int | None = None,
    hosts: int | None = None,
    flush_interval_s: float = FLUSH_INTERVAL_S,
) -> RunRecorder:
    """Record where the data of this process stands, step by step.

    Call it after the checkpoint was restored and before the first step; use it as a context
    manager, or close it. It never raises: a recorder that cannot be made records nothing, with a
    warning.

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
        start: examples of the run that lie before what a new iterator of this process gives first,
            where the program begins within its data in a way that no graph shows: a sliced array, a
            generator that starts elsewhere.
        skipped: the same in batches.
        kind: ``train`` or ``eval``.
        process, hosts: of several; by ``TF_CONFIG`` where they are not given.
        flush_interval_s: what a killed process may lose.
    """
    made: RunRecorder = made_or_silent(
        lambda: RunRecorder(
            log_dir,
            look_at_safely(dataset, model, batch_size, epoch_size),
            iterator=iterator,
            restored_from=restored_from,
            checkpoint_dir=checkpoint_dir,
            every=every,
            begins=Begins(start, skipped),
            kind=kind,
            process=process,
            hosts=hosts,
            flush_interval_s=flush_interval_s,
        )
    )
    return made


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
        process: int | None = None,
        hosts: int | None = None,
        flush_interval_s: float = FLUSH_INTERVAL_S,
        begins: Begins | None = None,
        facts: Mapping[str, Any] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.program = program
        number, of = task_of_this_process()
        self._iterator = iterator
        self._every = every
        self._watch = watch_of(checkpoint_dir) if watch is None else watch
        self._last_step, self._tells_examples = 0, False
        self._per_step: set[int] = set()
        self._names = [file.path for file in program.files]
        parent = parent_of(restored_from)
        before = parent.record.batch_size if parent.record is not None else None
        # Of batches of two sizes a state does not tell how many there were.
        self._is_resized = before not in (None, program.batch_size)
        state = (
            save_state(iterator).read(program.hints, restored_from, self._names)
            if iterator is not None
            else None
        )
        attempt = Attempt(
            id=new_id(),
            started_s=time.time(),
            kind=kind,
            host=socket.gethostname(),
            process=number if process is None else process,
            hosts=of if hosts is None else hosts,
            restored_from=None if restored_from is None else os.path.abspath(restored_from),
            restored_step=parent.step,
            parent=parent.attempt,
            batch_size=program.batch_size,
            epoch_size=program.epoch_size,
            spans=program.spans,
            drops=program.pipeline.drops_remainder if program.pipeline is not None else None,
            order=program.order,
            held=held_by(state),
            files=program.files if program.order == "fixed" else (),
            fed="loop",
            repeats=program.repeats,
            steps_per_epoch=program.steps_per_epoch,
            order_depends_on_epoch=program.order_depends_on_epoch,
            seeded=program.seeded,
            tool_version=VERSION,
        )
        if facts is None or "start" not in facts:
            attempt = started(attempt, program, state, parent, begins or Begins())
        attempt = dataclasses.replace(attempt, **(facts or {}))
        super().__init__(log_dir, attempt, flush_interval_s=flush_interval_s)

    def step(self, step: int, *, batches: int = 1, examples: int | None = None) -> None:
        """One training step is done; see :meth:`Recorder.step`."""
        self.notice()  # what is new was written after the step before this one
        super().step(step, batches=batches, examples=examples)
        self._last_step, self._tells_examples = step, examples is not None
        if len(self._per_step) < 2:
            self._per_step.add(batches)
        if self._every and self._num_rows % self._every == 0:
            self.decode(step)

    def epoch(self, number: int, iterator: Any = None) -> None:
        """An epoch begins whose iterator is its own; for loops that make one for each.

        The first epoch of a process goes on with the iterator that was given to :func:`record`, so
        that one which was restored within an epoch counts on from there.

        Args:
            number: 0-based, as the run counts.
            iterator: what feeds this epoch, where the program holds it.
        """
        if self._num_rows or self.attempt.counting == "epochs":
            self._iterator = iterator
            super().epoch(number)
            if not self._num_rows:  # the epoch before had nothing left
                self.update(start=Start(0, None, number, 0, "fresh"))
            return
        if iterator is not None:
            state = save_state(iterator).read(
                self.program.hints, self.attempt.restored_from, self._names
            )
            self._iterator, parent = iterator, parent_of(self.attempt.restored_from)
            self.attempt = started(self.attempt, self.program, state, parent, Begins())
        super().epoch(number)
        self.update(start=self._start_within(number))

    def _start_within(self, number: int) -> Start:
        """The start of the first epoch: where its iterator stood, if that is one that was restored
        before its end.
        """
        start, size = self.attempt.start, self.program.batch_size
        if start.source in ("decoded", "counted") and start.batches:
            given = start.batches if start.into is None or not size else -(-start.into // size)
            per_pass = self.program.steps_per_epoch
            if per_pass is None or given < per_pass:
                self._batches = given
                return Start(given, None, number, start.into, start.source)
        if start.source is None and start.reason != NOT_GIVEN:
            return start
        return Start(0, None, number, 0, "fresh")

    def decode(self, step: int) -> None:
        """Read the iterator's state now; it is decoded in the thread."""
        if self._iterator is None:
            return
        state, counted, hints = save_state(self._iterator), self._batches, self.program.hints

        def read() -> dict[str, Any]:
            decoded = state.read(hints, files=self._names)
            found = {
                "decoded": shown(decoded.position),
                "counted_batches": counted,
                "problem": decoded.problem,
            }
            return {**found, "disagreement": self._compared(decoded.position, counted)}

        self.state(step, read)

    def saved(self, prefix: str, step: int | None = None, describe: Any = None) -> None:
        """A checkpoint was written after the last step; give what ``CheckpointManager.save()``
        returned, or the path of a ``.weights.h5`` or ``.keras`` file.
        """
        del describe
        if prefix is None:
            return  # CheckpointManager.save() returns None where it is not due
        step = self._last_step if step is None else step
        state = (
            save_state(self._iterator)
            if self._iterator is not None and num_iterators(prefix) != 1
            else None
        )
        prefix = os.fspath(prefix)
        self._watch.know(prefix)
        counted = Counted(
            self.attempt,
            self._epoch,
            self._batches,
            self._examples if self._tells_examples else UNKNOWN,
            self._iterations(),
        )
        if is_file_of_keras(prefix) or self._watch.is_transient(prefix):
            # Keras may remove a backup and its directory at any time: nothing is written there
            # while it does.
            self._record_now(prefix, step, counted)
            super().saved(prefix, step)
            return
        super().saved(prefix, step, lambda made: self._described(made, state, counted))

    def _record_now(self, prefix: str, step: int, counted: Counted) -> None:
        made = SavedCheckpoint(
            os.path.abspath(prefix), step, self.attempt.id, self._num_rows, time.time()
        )
        self._guarded(lambda: self._write_run_record(made, counted, None, None))

    def _iterations(self) -> int | None:
        """Of the optimizer, where the program has told of it."""
        return None

    def notice(self) -> None:
        """Note checkpoints that were written since the last time, as of the last step."""
        for prefix in self._watch.poll():
            self.saved(prefix)

    def close(self) -> None:
        """Write what is left."""
        if not self._closed:
            self.notice()
        super().close()

    # ------------------------------------------------------------------------------------------ in
    # the thread

    def _described(
        self, made: SavedCheckpoint, state: LiveState | None, counted: Counted
    ) -> SavedCheckpoint:
        """A checkpoint with its decoded position, verdict and run record."""
        from ckptscope.inspection import inspect

        hints = self.program.hints
        _wait_for(f"{made.path}.index")
        if state is None and num_iterators(made.path) == 1:
            decoded: DecodedState | None = decode_bundle(made.path, hints, made.step, self._names)
        else:
            decoded = state.read(hints, files=self._names) if state is not None else None
        position = decoded.position if decoded is not None else None
        disagreement = self._compared(position, counted.batches)
        self._write_run_record(made, counted, position, disagreement)
        found = inspect(made.path, batch_size=hints.batch_size, epoch_size=hints.epoch_size)
        return dataclasses.replace(
            made,
            verdict=found.resume.verdict,
            decoded=shown(position),
            problem=decoded.problem if decoded is not None else None,
            disagreement=disagreement,
        )

    def _compared(self, position: Position | None, counted: int) -> str | None:
        """How counting and decoding differ; where the start was not known it follows from the
        first decoding.
        """
        attempt = self.attempt
        told = None if position is None else position.batches_consumed
        if told is None or self._is_resized or attempt.start.source in ("given", "parent"):
            return None
        if attempt.counting == "stream" and attempt.start.batches is None:
            if told >= counted:
                self.update(start=Start(told - counted, source="decoded later"))
            return None
        shift = attempt.start.batches or 0 if attempt.start.source == "decoded later" else 0
        if told == counted + shift or self._is_of_another_pass(told, counted + shift):
            return None
        return f"{counted + shift:,} batches were counted, the iterator's state says {told:,}"

    def _is_of_another_pass(self, told: int, counted: int) -> bool:
        """Without a ``repeat`` an iterator counts the batches of its own pass only."""
        per_pass = self.program.steps_per_epoch
        if self.program.repeats is not False or not per_pass or self.attempt.counting == "epochs":
            return False
        return counted > told and (counted - told) % per_pass == 0

    def _write_run_record(
        self,
        made: SavedCheckpoint,
        counted: Counted,
        decoded: Position | None,
        problem: str | None,
    ) -> None:
        from ckptscope.recording.run_record_writer import write_run_record

        program, attempt = self.program, self.attempt
        per_step = next(iter(self._per_step)) if len(self._per_step) == 1 else None
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
            position=counted.to_record(attempt.start, shown(decoded), problem),
            program={
                **program.to_record(),
                "fed": attempt.fed,
                "epochs": epochs_made(attempt),
                "steps_per_epoch": attempt.steps_per_epoch,
                "batches_per_step": per_step,
                "iterations": counted.iterations,
            },
        )


def _wait_for(
    path: str, timeout_s: float = _INDEX_TIMEOUT_S, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Asynchronous saves write the index last."""
    deadline = time.monotonic() + timeout_s
    while not os.path.exists(path) and time.monotonic() < deadline:
        sleep(0.05)
