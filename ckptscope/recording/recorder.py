"""The recorder: counts steps in the training loop, and writes them down from a thread of its own.

In the loop a step costs an append to a list. Everything else (columns, files, decoding iterator
states, run records) happens in the thread, and whatever goes wrong there becomes one warning and a
gap: training goes on."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from ckptscope.recording.columns import COLUMNS, UNKNOWN, Chunk
from ckptscope.recording.journal import SEALED_ROWS, Journal
from ckptscope.recording.model import Attempt, Gap, SavedCheckpoint

FLUSH_INTERVAL_S = 10.0
_MAX_PENDING_ROWS = 1 << 21
_JOIN_TIMEOUT_S = 30.0
Task = Callable[[], None]


class Recorder:
    """Writes down where the data of one attempt stands.

    Made by :func:`ckptscope.record` or by a callback. Every method may be called at any time and
    never raises because of what it writes to."""

    def __init__(
        self, log_dir: str, attempt: Attempt, *, flush_interval_s: float = FLUSH_INTERVAL_S
    ) -> None:
        self.attempt = attempt
        self.log_dir = os.path.abspath(log_dir)
        self._journal = Journal(self.log_dir, attempt.id)
        self._flush_interval_s = flush_interval_s
        start = attempt.start
        self._batches = start.batches or 0
        self._examples = start.examples if start.examples is not None else UNKNOWN
        self._epoch = UNKNOWN
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._append = self._rows.append
        self._num_rows = 0
        self._written = 0
        self._unsealed: list[tuple[int, int, int, int, int]] = []
        self._tasks: deque[Task] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._warned = False
        self._failed_rows: tuple[int, int, str] | None = None
        self._process = os.getpid()
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name="ckptscope", daemon=True
        )
        self._thread.start()
        os.register_at_fork(after_in_child=self._forked)

    # ------------------------------------------------------------------------------------------ in
    # the loop

    def step(self, step: int, *, batches: int = 1, examples: int | None = None) -> None:
        """One training step is done.

        Args:
            step: its number, as the run counts.
            batches: batches that it took from the iterator.
            examples: examples in them, where they are not ``batches`` full ones.
        """
        self._batches += batches
        if examples is not None:
            self._examples = (self._examples if self._examples != UNKNOWN else 0) + examples
        self._append(
            (
                step,
                self._epoch,
                self._batches,
                self._examples if examples is not None else UNKNOWN,
                time.time_ns() // 1_000_000,
            )
        )
        self._num_rows += 1

    def epoch(self, number: int) -> None:
        """A pass over the data begins with an iterator of its own; for loops that make one for
        each epoch.
        """
        self._epoch, self._batches = number, 0
        if self.attempt.counting != "epochs":
            self.update(counting="epochs")

    def update(self, **facts: Any) -> None:
        """Facts of the attempt that became known later: fields of :class:`Attempt`."""
        self.attempt = dataclasses.replace(self.attempt, **facts)
        self._later(self._write_header)

    def saved(
        self,
        prefix: str,
        step: int,
        describe: Callable[[SavedCheckpoint], SavedCheckpoint] | None = None,
    ) -> None:
        """A checkpoint was written after the step that was recorded last.

        Args:
            describe: called in the thread; completes what is known of the checkpoint.
        """
        made = SavedCheckpoint(
            os.path.abspath(prefix), step, self.attempt.id, self._num_rows, time.time()
        )

        def write() -> None:
            found = made if describe is None else describe(made)
            self._journal.note("ckpt", step, dataclasses.asdict(found))
            if found.disagreement is not None:
                self._warn(f"at step {step}: {found.disagreement}")

        self._later(write)

    def state(self, step: int, read: Callable[[], dict[str, Any]]) -> None:
        """A position that was read from the iterator; ``read`` is called in the thread and
        gives it as JSON.
        """
        told = {"step": step, "attempt": self.attempt.id, "sequence": self._num_rows}
        self._later(lambda: self._journal.note("state", step, {**told, **read()}))

    def flush(self, timeout_s: float | None = _JOIN_TIMEOUT_S) -> bool:
        """Wait until everything so far is written; False if that took longer."""
        done = threading.Event()
        self._later(done.set)
        return done.wait(timeout_s) if self._thread is not None else False

    def close(self) -> None:
        """Write what is left. Called again it does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._process == os.getpid() and self._thread is not None:
            self.attempt = dataclasses.replace(self.attempt, closed=True)
            self._wake.set()
            self._thread.join(_JOIN_TIMEOUT_S)
            if self._thread.is_alive():
                self._warn(
                    f"writing to {self.log_dir} takes too long; what is not written yet may be lost"
                )

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def position(self) -> tuple[int, int]:
        """(batches counted, rows recorded) so far."""
        return self._batches, self._num_rows

    @property
    def epoch_number(self) -> int:
        """The running epoch; :data:`UNKNOWN` where none was told."""
        return self._epoch

    def begin_within(self, batches: int) -> None:
        """The epoch that was told begins after so many of its batches."""
        self._batches = batches

    # ------------------------------------------------------------------------------------------ in
    # the thread

    def _later(self, task: Task) -> None:
        self._tasks.append(task)
        self._wake.set()

    def _run(self) -> None:
        self._guarded(self._write_header)
        while True:
            self._wake.wait(self._flush_interval_s)
            self._wake.clear()
            closing = self._closed
            tasks = [self._tasks.popleft() for _ in range(len(self._tasks))]
            self._guarded(self._write_rows)
            for task in tasks:
                self._guarded(task)
            if closing and not self._tasks and not self._rows:
                self._guarded(self._write_header)
                self._guarded(self._journal.close)
                return
            if closing:
                self._wake.set()

    def _guarded(self, task: Task) -> None:
        try:
            task()
        except Exception as error:  # the recorder must never hurt
            self._warn(f"{type(error).__name__}: {error}")

    def _write_header(self) -> None:
        self._journal.header(self.attempt.to_jsonable())

    def _write_rows(self) -> None:
        """Seal what fills a chunk, and repeat the rest in the tail."""
        count = len(self._rows)
        if count:
            self._unsealed += self._rows[:count]
            del self._rows[:count]
        if not self._unsealed or (count == 0 and self._failed_rows is None):
            return
        try:
            self._write_header()
            while len(self._unsealed) >= SEALED_ROWS:
                self._journal.sealed(self._chunk(self._unsealed[:SEALED_ROWS]))
                del self._unsealed[:SEALED_ROWS]
                self._written += SEALED_ROWS
            if self._unsealed:
                self._journal.tail(self._chunk(self._unsealed))
            if self._failed_rows is not None:
                self._note_gap()
        except OSError as error:
            self._failed(str(error))
            raise

    def _failed(self, reason: str) -> None:
        """Rows are kept for the next try, up to a bound; beyond it the oldest are given up."""
        surplus = len(self._unsealed) - _MAX_PENDING_ROWS
        if surplus > 0:
            first = self._failed_rows[0] if self._failed_rows is not None else self._unsealed[0][0]
            self._failed_rows = (first, self._unsealed[surplus - 1][0], reason)
            del self._unsealed[:surplus]
            self._written += surplus

    def _note_gap(self) -> None:
        assert self._failed_rows is not None
        first, last, reason = self._failed_rows
        self._journal.note(
            "gap", last, dataclasses.asdict(Gap(self.attempt.id, first, last, reason))
        )
        self._failed_rows = None

    def _chunk(self, rows: list[tuple[int, int, int, int, int]]) -> Chunk:
        table = np.array(rows, np.int64)
        return Chunk(
            self.attempt.id,
            self._written,
            {name: table[:, index] for index, name in enumerate(COLUMNS)},
        )

    def _forked(self) -> None:
        """A child process must not write into its parent's file."""
        self._thread = None
        self._rows.clear()
        self._append = _ignore

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"ckptscope: the data position is not fully recorded: {message}",
                RuntimeWarning,
                stacklevel=2,
            )


def _ignore(row: tuple[int, int, int, int, int]) -> None:
    del row


def new_id() -> str:
    """An attempt's name: random, so that no restart takes one that was there."""
    return uuid.uuid4().hex[:12]
