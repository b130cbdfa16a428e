"""The recorder: rows and notes on their way from the loop to the file."""

from __future__ import annotations

import atexit
import collections
import os
import threading
import time
import weakref
from typing import Any, Callable, Mapping

from .guard import LARGEST, never_hurts, warn, whole_number
from .journal import Journal
from .layout import UNKNOWN

CHUNK_ROWS = 4096
FLUSH_INTERVAL_S = 10.0
MAX_PENDING_ROWS = 1 << 21
MAX_NOTES = 1 << 16
JOIN_TIMEOUT_S = 30.0

_living: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _close_all() -> None:
    for recorder in list(_living):
        recorder.close()


def _forget_all() -> None:
    """A child process must not write into its parent's files."""
    for recorder in list(_living):
        recorder._silence()
    _living.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_all)


@never_hurts
class Recorder:
    """Counts steps in the loop, and writes them down from a thread of its own.

    In the loop a step costs an append to a list. Whatever goes wrong becomes one warning, rows wait
    for the next try, and training goes on. What is not closed is closed when the program ends.
    Copies (pickle, deepcopy) record nothing.

    Args:
        header: of the attempt: ``id``, ``start`` and other fields of the package's ``Attempt``.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        never_hurts(cls)

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        header: dict[str, Any],
        flush_interval_s: float = FLUSH_INTERVAL_S,
    ) -> None:
        self.log_dir = os.path.abspath(os.fspath(log_dir))
        self._header = header
        self._journal = Journal(self.log_dir, header["id"])
        self._flush_interval_s = flush_interval_s
        start = header.get("start") or {}
        self._batches = start.get("batches") or 0
        examples = start.get("examples")
        self._examples = UNKNOWN if examples is None else examples
        self._epoch = UNKNOWN
        self._rows: list[tuple[int, ...]] = []
        self._append: Callable[[tuple[int, ...]], None] = self._rows.append
        self._num_rows = self._written = 0
        # Rows that the thread has taken, and could not write yet.
        self._pending: list[tuple[int, ...]] = []
        self._notes: collections.deque[tuple[str, int, Mapping[str, Any]]] = collections.deque(
            maxlen=MAX_NOTES
        )
        self._tasks: collections.deque[Callable[[], object]] = collections.deque()
        self._wake = threading.Event()
        self._closed = False
        self._steps_written: tuple[int, int] | None = None
        self._lost: tuple[int, int, str] | None = None
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name="ckptscope", daemon=True
        )
        self._thread.start()
        _living.add(self)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Silent, ()

    # ---------------------------------------------------------------------------- in the loop

    def step(self, step: int, *, batches: int = 1, examples: int | None = None) -> None:
        """One training step is done.

        Args:
            step: its number, as the run counts.
            batches: batches that it took from the iterator.
            examples: examples in them, where they are not ``batches`` full ones.
        """
        number = step if type(step) is int and 0 <= step <= LARGEST else whole_number(step)
        taken = batches if batches == 1 else whole_number(batches)
        self._batches += 1 if taken is None else taken
        told = None if examples is None else whole_number(examples)
        if told is not None:
            self._examples = (self._examples if self._examples != UNKNOWN else 0) + told
        if number is None or taken is None:
            what, value = ("step", step) if number is None else ("batches", batches)
            warn(self, "%s=%.40r is not a count; this step is left out" % (what, value))
            return
        self._append(
            (
                number,
                self._epoch,
                self._batches,
                self._examples if told is not None else UNKNOWN,
                int(time.time() * 1000),
            )
        )
        self._num_rows += 1

    def epoch(self, number: int) -> None:
        """A pass over the data begins with an iterator of its own; for loops that make one for
        each epoch.
        """
        found = whole_number(number)
        self._epoch, self._batches = (UNKNOWN if found is None else found), 0
        if self._header.get("counting") != "epochs":
            self.update(counting="epochs")

    def update(self, **facts: Any) -> None:
        """Facts of the attempt that became known later."""
        self._header = dict(self._header, **facts)
        self._later(self._write_header)

    def saved(self, prefix: str, step: int, describe: Any = None) -> None:
        """A checkpoint was written after the step that was recorded last.

        Args:
            describe: called in the thread with the note; returns it completed.
        """
        note = {
            "path": os.path.abspath(os.fspath(prefix)),
            "step": step,
            "attempt": self._header["id"],
            "sequence": self._num_rows,
            "wall_time_s": time.time(),
        }

        def write() -> None:
            found = note
            if describe is not None:
                try:
                    found = describe(note)
                except Exception as error:  # that it was written is known all the same
                    warn(self, "at step %s: %s: %s" % (step, type(error).__name__, error))
            self._note("ckpt", step, found)

        self._later(write)

    def note(
        self, kind: str, step: int, value: Mapping[str, Any] | Callable[[], Mapping[str, Any]]
    ) -> None:
        """Something else that was found out at a step; ``value`` may be a function that gives it,
        called in the thread.
        """
        facts = {"step": step, "attempt": self._header["id"], "sequence": self._num_rows}
        self._later(
            lambda: self._note(kind, step, dict(facts, **(value() if callable(value) else value)))
        )

    def flush(self, timeout_s: float | None = JOIN_TIMEOUT_S) -> bool:
        """Wait until everything so far is written; False if that took longer."""
        done = threading.Event()
        self._later(done.set)
        return done.wait(timeout_s) if self._thread is not None else False

    def close(self) -> None:
        """Write what is left. Called again it does nothing."""
        if self._closed:
            return
        self._closed = True
        _living.discard(self)
        if self._thread is None:
            return
        self._header = dict(self._header, closed=True)
        self._wake.set()
        self._thread.join(JOIN_TIMEOUT_S)
        if self._thread.is_alive():
            warn(self, "writing to %s takes too long; what is left may be lost" % self.log_dir)
        self._append = self._append_late

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    @property
    def position(self) -> tuple[int, int]:
        """(batches counted, rows recorded) so far."""
        return self._batches, self._num_rows

    # ---------------------------------------------------------------------------- in the thread

    def _warn(self, message: str) -> None:
        warn(self, message)

    def _later(self, task: Callable[[], object]) -> None:
        self._tasks.append(task)
        self._wake.set()

    def _note(self, kind: str, step: int, value: Mapping[str, Any]) -> None:
        self._notes.append((kind, step, value))
        self._write()

    def _run(self) -> None:
        self._guarded(self._write_header)
        while True:
            self._wake.wait(self._flush_interval_s)
            self._wake.clear()
            closing = self._closed
            tasks = [self._tasks.popleft() for _ in range(len(self._tasks))]
            self._guarded(self._write)
            for task in tasks:
                self._guarded(task)
            if closing and not self._tasks and not self._rows:
                self._guarded(self._finish)
                return
            if closing:
                self._wake.set()

    def _guarded(self, task: Callable[[], object]) -> None:
        try:
            task()
        except Exception as error:  # the recorder must never hurt
            warn(self, "%s: %s" % (type(error).__name__, error))

    def _write_header(self) -> None:
        self._journal.header(self._header)

    def _write(self) -> None:
        """Everything that waits: rows, then notes. What cannot be written waits for the next try,
        up to a bound; beyond it the oldest rows are given up.
        """
        count = len(self._rows)
        self._pending += self._rows[:count]
        del self._rows[:count]
        try:
            if self._pending or self._notes:
                self._notice_removal()
                self._write_header()
            while self._pending:
                rows = self._pending[:CHUNK_ROWS]
                self._journal.rows(self._written, rows)
                first = self._steps_written[0] if self._steps_written else rows[0][0]
                self._steps_written = first, rows[-1][0]
                del self._pending[: len(rows)]
                self._written += len(rows)
            self._note_gap()
            while self._notes:
                note = self._notes.popleft()
                try:
                    self._journal.note(*note)
                except OSError:
                    self._notes.appendleft(note)
                    raise
        except OSError as error:
            self._give_up(len(self._pending) - MAX_PENDING_ROWS, str(error))
            raise

    def _give_up(self, surplus: int, reason: str) -> None:
        if surplus > 0:
            first = self._lost[0] if self._lost else self._pending[0][0]
            self._lost = first, self._pending[surplus - 1][0], reason
            del self._pending[:surplus]
            self._written += surplus

    def _note_gap(self) -> None:
        if self._lost:
            keys = ("attempt", "first", "last", "reason")
            self._notes.appendleft(
                ("gap", self._lost[1], dict(zip(keys, (self._header["id"],) + self._lost)))
            )
            self._lost = None

    def _notice_removal(self) -> None:
        if self._journal.notice_removal():
            reason = "the recording was removed from %s while it was written" % self.log_dir
            if self._steps_written:
                self._lost = self._steps_written + (reason,)
            self._steps_written = None
            warn(self, reason)

    def _finish(self) -> None:
        try:
            self._write()
            self._write_header()
        finally:
            self._journal.close()

    def _append_late(self, row: tuple[int, ...]) -> None:
        warn(self, "step %d came after close()" % row[0])

    def _silence(self) -> None:
        """From now on nothing is recorded here."""
        self._thread = None
        self._closed = True
        self._tasks.clear()
        self._rows = []
        self._append = _ignore
        self._wake = threading.Event()
        self._guarded(self._journal.close)


def _ignore(row: tuple[int, ...]) -> None:
    del row


class Silent:
    """What a copy of a recorder is, and one that could not be made: everything may be called,
    nothing is recorded.
    """

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return _nothing


def made_or_silent(make: Callable[[], Any]) -> Any:
    """A recorder; one that records nothing, and a warning, where it cannot be made."""
    try:
        return make()
    except Exception as error:  # training goes on
        silent = Silent()
        warn(silent, "%s: %s" % (type(error).__name__, error))
        return silent


def _nothing(*args: Any, **kwargs: Any) -> None:
    del args, kwargs
