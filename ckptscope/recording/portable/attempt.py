"""A recorder that knows the checkpoints of its run."""

from __future__ import annotations

import collections
import json
import os
import socket
import time
import uuid

from .checkpoints import latest_checkpoint, run_record_of, stamp_of, step_in_name, write_run_record
from .guard import whole_number
from .writer import FLUSH_INTERVAL_S, Recorder

FRESH = {"batches": 0, "examples": 0, "epoch": 0, "into": 0, "source": "fresh"}


class RunRecorder(Recorder):
    """A recorder that notices checkpoints, and writes a run record beside each.

    Args:
        checkpoint_dir: directory of the state file ``checkpoint`` by which new ones are noticed.
        restored_from, restored_step: the checkpoint that this process goes on from, and its step.
        start: examples that were cut off at the front of the data: ``skip(n)`` before ``batch()``,
            ``data[n:]``.
        batch_size, epoch_size: examples of a full batch, and of a pass over all of the data.
        counting: ``stream``, or ``epochs`` where each epoch has an iterator of its own.
        facts: further fields of the header.
    """

    def __init__(
        self,
        log_dir,
        checkpoint_dir=None,
        restored_from=None,
        restored_step=None,
        start=None,
        batch_size=None,
        epoch_size=None,
        kind="train",
        counting="stream",
        flush_interval_s=FLUSH_INTERVAL_S,
        **facts,
    ):
        process, hosts = task_of_this_process()
        header = {
            "schema": 1,
            "id": uuid.uuid4().hex[:12],
            "started_s": time.time(),
            "host": socket.gethostname(),
            "process": process,
            "hosts": hosts,
            "kind": kind,
            "counting": counting,
            "restored_from": restored_from and os.path.abspath(restored_from),
            "restored_step": restored_step,
            "parent": restored_from and run_record_of(restored_from).get("attempt"),
            "start": _start_of(start, batch_size, restored_step or restored_from),
            "tool_version": "portable",
        }
        known = {"batch_size": whole_number(batch_size), "epoch_size": whole_number(epoch_size)}
        facts.update((name, value) for name, value in known.items() if value)
        header.update(facts)
        self._start, self._size, self._of_pass = start, known["batch_size"], known["epoch_size"]
        self._state_file = checkpoint_dir and os.path.join(checkpoint_dir, "checkpoint")
        self._stamp = stamp_of(self._state_file)
        self._steps = collections.deque(maxlen=256)
        super().__init__(log_dir, header, flush_interval_s)

    def step(self, step, *, batches=1, examples=None):
        """One training step is done; see :meth:`Recorder.step`."""
        if self._start is not None and examples is None:
            examples = self._behind_start(batches)
        super().step(step, batches=batches, examples=examples)
        self._steps.append(whole_number(step) or 0)
        self.notice()

    def saved(self, prefix, step=None, describe=None):
        """A checkpoint was written; give what ``save()`` returned."""
        del describe
        if prefix is None:
            return
        if step is None:
            step = step_in_name(prefix)
        if step is None:
            step = self._steps[-1] if self._steps else 0
        # It may be noticed some steps after it was written.
        since = sum(done > step for done in self._steps)
        counted = self._batches - since
        is_known = self._header["start"].get("batches") is not None
        is_even = self._start is None or self._start % (self._size or 1) == 0
        if not (is_known and is_even and self._header["counting"] == "stream"):
            counted = None

        def describe_it(note):
            note = dict(note, sequence=max(0, note["sequence"] - since))
            write_run_record(note, self._header, counted)
            return note

        super().saved(prefix, step, describe_it)
        self._stamp = stamp_of(self._state_file)

    def notice(self):
        """Look whether a checkpoint was written."""
        stamp = stamp_of(self._state_file)
        if stamp != self._stamp:
            self._stamp = stamp
            self.saved(latest_checkpoint(self._state_file))

    def close(self):
        """Write what is left."""
        if not self._closed:
            self.notice()
        super().close()

    def _behind_start(self, batches):
        """Examples of a step, until the data that begins later has ended once."""
        if not self._size:
            return None
        taken = self._size * batches
        if self._of_pass:
            taken = min(taken, self._of_pass - max(self._examples, 0))
        if taken > 0:
            return taken
        reason = "the data that begins at example %d was repeated: where is not known" % self._start
        self._start = None
        self.update(start={"reason": reason})
        return None


def task_of_this_process():
    """(number, of how many) that write a recording of their own, by ``TF_CONFIG``."""
    try:
        found = json.loads(os.environ.get("TF_CONFIG") or "{}")
        names = ("chief", "master", "worker")
        tasks = [(name, i) for name in names for i in range(len(found["cluster"].get(name, ())))]
        task = found["task"]["type"], int(found["task"]["index"])
        return (tasks.index(task), len(tasks)) if task in tasks else (0, 1)
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0, 1


def _start_of(start, batch_size, is_restart):
    if start is not None:
        if not batch_size:
            return {"reason": "start= needs batch_size="}
        return {"batches": -(-start // batch_size), "examples": start, "source": "given"}
    return {"reason": "the iterator's state could not be saved"} if is_restart else FRESH
