"""A callback for ``fit``: ``callbacks=[cs.keras.DataPosition(log_dir, dataset=...)]``. Works with
Keras 2.15 and 3.

``fit`` hides its iterator, so batches and epochs are counted and no state is decoded. Importing
this module imports Keras."""

from __future__ import annotations

from typing import Any

import keras

from ckptscope.recording.model import Start
from ckptscope.recording.portable.guard import never_hurts, whole_number
from ckptscope.recording.recorder import FLUSH_INTERVAL_S
from ckptscope.recording.run_recorder import RunRecorder, look_at_safely


@never_hurts
class DataPosition(keras.callbacks.Callback):  # type: ignore[misc]
    """Records where the data of ``fit`` stands after each batch.

    Args:
        log_dir: where event files go.
        dataset: what ``fit`` is given, if it is a ``tf.data.Dataset``.
        batch_size, epoch_size: examples of a full batch and of an epoch, where the dataset does not
            tell.
        restored_from: prefix of the checkpoint that the weights come from, if any.
        checkpoint_dir: directory whose new checkpoints (in TensorFlow's format) get a run record.
        flush_interval_s: what a killed process may lose.

    Attributes:
        recorder: None before training begins.
    """

    def __init__(
        self,
        log_dir: str,
        dataset: Any = None,
        *,
        batch_size: int | None = None,
        epoch_size: int | None = None,
        restored_from: str | None = None,
        checkpoint_dir: str | None = None,
        flush_interval_s: float = FLUSH_INTERVAL_S,
    ) -> None:
        super().__init__()
        self.recorder: RunRecorder | None = None
        self._log_dir, self._dataset, self._restored_from = log_dir, dataset, restored_from
        self._batch_size, self._epoch_size = batch_size, epoch_size
        self._checkpoint_dir, self._flush_interval_s = checkpoint_dir, flush_interval_s
        self._step = self._in_epoch = 0

    def __getstate__(self) -> dict[str, Any]:
        # A copy begins anew; a dataset cannot be pickled.
        return {**self.__dict__, "recorder": None, "_dataset": None}

    def on_train_begin(self, logs: Any = None) -> None:
        """Start an attempt; the step goes on from the optimizer's."""
        del logs
        self._step = self._iterations()
        program = look_at_safely(self._dataset, self.model, self._batch_size, self._epoch_size)
        counting = "epochs" if self._one_iterator_each_epoch() else "stream"
        # With steps_per_epoch one iterator serves all epochs, and it is new in each call of fit.
        start = Start(0, 0, 0, 0, "fresh")
        self.recorder = RunRecorder(
            self._log_dir,
            program,
            restored_from=self._restored_from,
            checkpoint_dir=self._checkpoint_dir,
            flush_interval_s=self._flush_interval_s,
            start=start,
            counting=counting,
        )
        if self._step and self._restored_from is None:
            self.recorder.update(restored_step=self._step)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """A new pass, where each epoch has an iterator of its own."""
        del logs
        self._in_epoch = 0
        if self.recorder is not None and self.recorder.attempt.counting == "epochs":
            self.recorder.epoch(epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """One batch, or as many as ``steps_per_execution``."""
        del logs
        taken, self._in_epoch = batch + 1 - self._in_epoch, batch + 1
        self._step += taken
        if self.recorder is not None:
            self.recorder.step(self._step, batches=taken)

    def on_train_end(self, logs: Any = None) -> None:
        """Write what is left."""
        del logs
        if self.recorder is not None:
            self.recorder.close()

    def _iterations(self) -> int:
        optimizer = getattr(self.model, "optimizer", None)
        return (whole_number(optimizer.iterations) or 0) if optimizer is not None else 0

    def _one_iterator_each_epoch(self) -> bool:
        """``fit`` makes an iterator for each epoch unless it is told ``steps_per_epoch``."""
        try:
            batches = int(self._dataset.cardinality())
        except (AttributeError, TypeError):
            return True
        return batches >= 0 and (self.params or {}).get("steps") in (None, batches)
