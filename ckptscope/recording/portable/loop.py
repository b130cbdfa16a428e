"""A loop of TensorFlow 2, or any other."""

from __future__ import annotations

from typing import Any

from .attempt import RunRecorder
from .guard import warn
from .states import save_eagerly, state_files
from .writer import made_or_silent


class LoopRecorder(RunRecorder):
    """What :func:`record` returns: the state of an iterator of TensorFlow 2 is stored, too."""

    def __init__(self, log_dir: str, iterator: Any = None, **facts: Any) -> None:
        super().__init__(log_dir, **facts)
        self._iterator = iterator
        self._store("start")

    def step(self, step: int, *, batches: int = 1, examples: int | None = None) -> None:
        """One training step is done; see :meth:`Recorder.step`."""
        super().step(step, batches=batches, examples=examples)
        # What was restored after this object was made is in the state behind the first batch.
        self._store("first", batches=batches)
        self._iterator = None

    def _store(self, when: str, **facts: Any) -> None:
        resource = getattr(self._iterator, "_iterator_resource", None)
        if resource is None:
            return
        try:
            files = state_files(lambda prefix: save_eagerly(resource, prefix))
        except Exception as error:  # py_function, from_generator: it cannot be saved
            warn(self, "the iterator's state: %s" % str(error).split("\n", 1)[0])
            files = None
        if files:
            self.note("raw", 0, dict(facts, when=when, files=files))


def record(log_dir: str, **facts: Any) -> LoopRecorder:
    """Record a loop: after the checkpoint was restored, before the first step. Never raises.

    Args:
        log_dir: where the recording goes, into a directory ``ckptscope`` of its own.
        facts: ``iterator`` (of a dataset), and those of :class:`RunRecorder`.
    """
    made: LoopRecorder = made_or_silent(lambda: LoopRecorder(log_dir, **facts))
    return made
