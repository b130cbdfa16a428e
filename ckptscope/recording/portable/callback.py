"""``fit`` of Keras 2."""

from __future__ import annotations

from .attempt import FRESH, RunRecorder
from .guard import never_hurts, whole_number
from .hook import Reused
from .writer import FLUSH_INTERVAL_S


@never_hurts
class CallbackMethods(Reused):
    """A callback for ``fit`` of Keras 2: counts batches, and notices checkpoints.

    It may stand anywhere in the list of callbacks, and serve any number of ``fit()`` calls.

    Args:
        log_dir: where the recording goes.
        dataset: what ``fit`` is given, if it is a ``tf.data.Dataset``.
        batch_size, epoch_size: examples of a full batch, and of an epoch.
        restored_from: prefix of the checkpoint that the weights come from, if any.
        checkpoint_dir: directory in which ``tf.train.Checkpoint`` writes, if any.
        flush_interval_s: what a killed process may lose.
    """

    _last = None

    def __init__(
        self,
        log_dir,
        dataset=None,
        batch_size=None,
        epoch_size=None,
        restored_from=None,
        checkpoint_dir=None,
        flush_interval_s=FLUSH_INTERVAL_S,
    ):
        super().__init__()
        self._dataset = dataset
        self._config = {
            "log_dir": log_dir,
            "batch_size": batch_size,
            "epoch_size": epoch_size,
            "restored_from": restored_from,
            "checkpoint_dir": checkpoint_dir,
            "flush_interval_s": flush_interval_s,
        }

    def __getstate__(self):
        return {"_config": self._config, "_dataset": None}

    def on_train_begin(self, logs=None):
        """Everything is read at the first batch, after all callbacks have restored."""
        del logs
        self.finish()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """A new pass, where each epoch has an iterator of its own."""
        del logs
        self._epoch = epoch
        if self._live is not None and self._has_epochs:
            self._live.epoch(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        """An execution begins; after a restore in mid-epoch not with batch 0."""
        del logs
        self._begun = batch
        if self._live is None:
            self._start()

    def on_train_batch_end(self, batch, logs=None):
        """One batch, or as many as ``steps_per_execution``."""
        del logs
        if self._live is None:
            return
        taken = batch + 1 - self._begun
        self._step += taken
        self._live.step(self._step, batches=taken)

    def on_train_end(self, logs=None):
        """Write what is left."""
        del logs
        self.finish()

    def _start(self):
        optimizer = getattr(self.model, "optimizer", None)
        self._step = whole_number(getattr(optimizer, "iterations", 0)) or 0
        counting, facts = self._counting(), {}
        if self._last is not None and self._last[1] == self._step:
            facts["continues"] = self._last[0]  # another call of fit in this process
        self._has_epochs = counting == "epochs"
        recorder = RunRecorder(
            restored_step=self._step or None,
            fed="fit",
            counting=counting or "stream",
            **dict(self._config, **facts),
        )
        if counting is None:
            reason = "whether epochs share an iterator is not known: give dataset="
            recorder.update(start={"reason": reason})
        else:
            recorder.update(start=FRESH)
        if self._has_epochs:
            recorder.epoch(self._epoch)
        self._live = recorder

    def finish(self):
        """Write what is left of the last call of ``fit``."""
        if self._live is not None:
            self._last = self._live.attempt_id, self._step
        super().finish()

    def _counting(self):
        """``fit`` makes an iterator for each epoch, unless it is told ``steps_per_epoch`` that are
        not those of a pass.
        """
        steps = (self.params or {}).get("steps")
        if steps is None:
            return "epochs"
        if self._dataset is not None and hasattr(self._dataset, "cardinality"):
            return "epochs" if whole_number(self._dataset.cardinality()) == steps else "stream"
        size, batch = self._config["epoch_size"], self._config["batch_size"]
        if size and batch:
            return "epochs" if -(-size // batch) == steps else "stream"
        return None
