"""The recorder of this package: the portable one, with the package's own records.

In the loop a step costs an append to a list. Everything else (columns, files, decoding iterator
states, run records) happens in the thread, and whatever goes wrong there becomes one warning and a
gap: training goes on."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

from ckptscope.recording.model import Attempt, SavedCheckpoint
from ckptscope.recording.portable.writer import FLUSH_INTERVAL_S as FLUSH_INTERVAL_S
from ckptscope.recording.portable.writer import Recorder as PortableRecorder


class Recorder(PortableRecorder):
    """Writes down where the data of one attempt stands.

    Made by :func:`ckptscope.record` or by a callback. Every method may be called at any time and
    never raises."""

    def __init__(
        self, log_dir: str, attempt: Attempt, *, flush_interval_s: float = FLUSH_INTERVAL_S
    ) -> None:
        self.attempt = attempt
        super().__init__(log_dir, attempt.to_jsonable(), flush_interval_s)

    def update(self, **facts: Any) -> None:
        """Facts of the attempt that became known later: fields of :class:`Attempt`."""
        self.attempt = dataclasses.replace(self.attempt, **facts)
        super().update(**self.attempt.to_jsonable())

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

        def described(note: dict[str, Any]) -> dict[str, Any]:
            made = SavedCheckpoint(**note)
            found = made if describe is None else describe(made)
            if found.disagreement is not None:
                self._warn(f"at step {step}: {found.disagreement}")
            return dataclasses.asdict(found)

        super().saved(prefix, step, described)

    def state(self, step: int, read: Callable[[], dict[str, Any]]) -> None:
        """A position that was read from the iterator; ``read`` is called in the thread and
        gives it as JSON.
        """
        self.note("state", step, read)

    @property
    def epoch_number(self) -> int:
        """The running epoch; :data:`UNKNOWN` where none was told."""
        return self._epoch

    def begin_within(self, batches: int) -> None:
        """The epoch that was told begins after so many of its batches."""
        self._batches = batches


def new_id() -> str:
    """An attempt's name: random, so that no restart takes one that was there."""
    return uuid.uuid4().hex[:12]
