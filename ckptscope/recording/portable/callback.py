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
        self._first_epoch, self._shift = None, 0

    def on_epoch_begin(self, epoch, logs=None):
        """A new pass, where each epoch has an iterator of its own."""
        del logs
        if self._first_epoch is None:
            self._first_epoch = epoch
            # Another call of fit in this process: its epochs come after those that were.
            if self._live is not None and epoch <= self._epoch:
                self._shift = self._epoch + 1 - epoch
        self._epoch = epoch + self._shift
        if self._live is not None:
            self._begin_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        """An execution begins."""
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
        """Write what there is; another call of ``fit`` goes on with it."""
        del logs
        if self._live is not None:
            self._live.notice()
            self._live.flush()

    def _start(self):
        optimizer = getattr(self.model, "optimizer", None)
        self._step = whole_number(getattr(optimizer, "iterations", 0)) or 0
        counting = self._counting()
        self._live = RunRecorder(
            restored_step=self._step or None, counting=counting or "stream", **self._config
        )
        if counting is None:
            reason = "whether epochs share an iterator is not known: give dataset="
            self._live.update(start={"reason": reason})
        elif self._step:
            self._live.update(start=FRESH)
        self._begin_epoch()

    def _begin_epoch(self):
        if self._live._header["counting"] == "epochs":
            self._live.epoch(self._epoch)

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
