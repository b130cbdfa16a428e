"""A recorder that knows the checkpoints of its run."""

from __future__ import annotations

import collections
import json
import os
import socket
import time
import uuid
from typing import Any

from .checkpoints import latest_checkpoint, run_record_of, stamp_of, step_in_name, write_run_record
from .guard import whole_number
from .writer import FLUSH_INTERVAL_S, Recorder

LAST_CHECKPOINT_S = 30.0
FRESH = {"batches": 0, "examples": 0, "epoch": 0, "into": 0, "source": "fresh"}


class RunRecorder(Recorder):
    """A recorder that notices checkpoints, and writes a run record beside each.

    Args:
        checkpoint_dir: directory of the state file ``checkpoint`` by which new ones are noticed.
        restored_from, restored_step: the checkpoint that this process goes on from, and its step.
        start: examples that were cut off at the front of the data: ``skip(n)`` before ``batch()``,
            ``data[n:]``.
        batch_size, epoch_size: examples of a full batch, and of a pass over all of the data.
        fed: ``fit``, ``loop`` or ``hook``.
        counting: ``stream``, or ``epochs`` where each epoch has an iterator of its own.
        named_by_step: the numbers at the end of checkpoints' names are steps.
        facts: further fields of the header.
    """

    def __init__(
        self,
        log_dir: str,
        checkpoint_dir: str | None = None,
        restored_from: str | None = None,
        restored_step: int | None = None,
        start: int | None = None,
        batch_size: int | None = None,
        epoch_size: int | None = None,
        kind: str = "train",
        fed: str = "loop",
        counting: str = "stream",
        flush_interval_s: float = FLUSH_INTERVAL_S,
        named_by_step: bool = False,
        **facts: Any,
    ) -> None:
        process, hosts = task_of_this_process()
        parent = run_record_of(restored_from) if restored_from else {}
        header = {
            "schema": 1,
            "id": uuid.uuid4().hex[:12],
            "started_s": time.time(),
            "host": socket.gethostname(),
            "process": process,
            "hosts": hosts,
            "kind": kind,
            "fed": fed,
            "counting": counting,
            "restored_from": restored_from and os.path.abspath(restored_from),
            "restored_step": restored_step if restored_step is not None else parent.get("step"),
            "parent": parent.get("attempt"),
            "start": _start_of(start, batch_size, bool(restored_step or restored_from)),
            "tool_version": "portable",
        }
        sizes = {"batch_size": whole_number(batch_size), "epoch_size": whole_number(epoch_size)}
        header.update((name, value) for name, value in sizes.items() if value)
        header.update(facts)
        self._start, self._size, self._of_pass = start, sizes["batch_size"], sizes["epoch_size"]
        self._state_file = os.path.join(checkpoint_dir, "checkpoint") if checkpoint_dir else ""
        self._stamp = stamp_of(self._state_file)
        self._named_by_step = named_by_step
        self._last_saved: int | None = None
        self._steps: collections.deque[int] = collections.deque(maxlen=256)
        super().__init__(log_dir, header, flush_interval_s)

    @property
    def attempt_id(self) -> str:
        """The attempt's random name."""
        return str(self._header["id"])

    def step(self, step: int, *, batches: int = 1, examples: int | None = None) -> None:
        """One training step is done; see :meth:`Recorder.step`."""
        if self._start is not None and examples is None:
            examples = self._behind_start(batches)
        if not self._named_by_step:
            self.notice()  # it was written after the step before this one
        super().step(step, batches=batches, examples=examples)
        self._steps.append(whole_number(step) or 0)
        if self._named_by_step:
            self.notice()

    def saved(self, prefix: str, step: int | None = None, describe: Any = None) -> None:
        """A checkpoint was written; give what ``save()`` returned."""
        del describe
        if prefix is None:
            return  # CheckpointManager.save() returns None where it is not due
        if step is None:
            step = self._steps[-1] if self._steps else 0
        self._last_saved = step
        # It may be noticed some steps after it was written.
        since = sum(done > step for done in self._steps)
        counted, header = self._counted(since), self._header

        def described(note: dict[str, Any]) -> dict[str, Any]:
            write_run_record(note, header, counted)
            return dict(note, sequence=max(0, note["sequence"] - since))

        super().saved(prefix, step, described)
        self._stamp = stamp_of(self._state_file)

    def notice(self) -> None:
        """Look whether a checkpoint was written."""
        stamp = stamp_of(self._state_file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        latest = latest_checkpoint(self._state_file)
        step = step_in_name(latest) if latest and self._named_by_step else None
        # One of a later step is another recorder's, which goes on in the same directory.
        if latest and (step is None or (self._steps and step <= self._steps[-1])):
            self.saved(latest, step)

    def pause(self) -> None:
        """No further step comes; the last checkpoint may."""
        self.notice()
        self.update(closed=True)
        self.flush()
        if self._steps and self._last_saved != self._steps[-1]:
            self._later(self._await_last)

    def _await_last(self) -> None:
        deadline = time.monotonic() + LAST_CHECKPOINT_S
        while not self._closed and time.monotonic() < deadline:
            if stamp_of(self._state_file) != self._stamp:
                self.notice()
                return
            time.sleep(0.02)

    def close(self) -> None:
        """Write what is left."""
        if not self._closed and self._thread is not None:
            self.notice()
        super().close()

    def _counted(self, since: int) -> int | None:
        """Batches that had left the iterator so many steps ago."""
        is_known = self._header["start"].get("batches") is not None
        is_even = self._start is None or self._start % (self._size or 1) == 0
        is_known = is_known and is_even and self._header["counting"] == "stream"
        return max(0, self._batches - since) if is_known else None

    def _behind_start(self, batches: int) -> int | None:
        """Examples of a step, until the data that begins later has ended once."""
        if not self._size:
            return None
        taken = self._size * batches
        if self._of_pass:
            taken = min(taken, self._of_pass - max(self._examples, 0))
        if taken > 0:
            return taken
        reason = "the data that begins at example %d was repeated: where is not known"
        self.update(start={"reason": reason % (self._start or 0)})
        self._start = None
        return None


def task_of_this_process() -> tuple[int, int]:
    """(number, of how many) that write a recording of their own, by ``TF_CONFIG``."""
    try:
        found = json.loads(os.environ.get("TF_CONFIG") or "{}")
        names = ("chief", "master", "worker")
        tasks = [(name, i) for name in names for i in range(len(found["cluster"].get(name, ())))]
        task = found["task"]["type"], int(found["task"]["index"])
        return (tasks.index(task), len(tasks)) if task in tasks else (0, 1)
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, 1


def _start_of(start: int | None, batch_size: int | None, is_restart: bool) -> dict[str, Any]:
    if start is not None:
        if not batch_size:
            return {"reason": "start= needs batch_size="}
        return {"batches": -(-start // batch_size), "examples": start, "source": "given"}
    return {"reason": "the iterator's state could not be saved"} if is_restart else dict(FRESH)
