"""A callback for ``fit``: ``callbacks=[cs.keras.DataPosition(log_dir, dataset=...)]``. Works with
Keras 2.15 and 3.

``fit`` hides its iterator, so batches and epochs are counted and no state is decoded. What it does
for each epoch is asked of the running call (:mod:`ckptscope.recording.fitting`). An attempt begins
with its first batch, when all callbacks have restored what they restore: their order does not
matter. Importing this module imports Keras."""

from __future__ import annotations

import dataclasses
import os
import weakref
from dataclasses import dataclass
from typing import Any

import keras

from ckptscope.recording.beginnings import Begins, Parent, parent_of
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.fitting import Feeding, feeding, running_method
from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.portable.guard import never_hurts, whole_number
from ckptscope.recording.positions import delivered_by, place_counted
from ckptscope.recording.program import Program, look_at_safely
from ckptscope.recording.recorder import FLUSH_INTERVAL_S
from ckptscope.recording.run_recorder import RunRecorder
from ckptscope.recording.watching import backup_of, watch_of

UNTOLD = "whether fit makes an iterator for each epoch could not be seen (steps_per_epoch)"


@dataclass(frozen=True)
class _Ended:
    """A call of ``fit`` that ended in this process.

    Attributes:
        next_epoch: that the run would go on with.
        examples: place in the stream, where one iterator served all epochs.
    """

    model: weakref.ref[Any]
    attempt: Attempt
    step: int
    iterations: int | None
    next_epoch: int
    examples: int | None


# What ended in this process, by directory: a call that goes on from it is no restart.
_ENDED: dict[str, _Ended] = {}


class FitRecorder(RunRecorder):
    """A recorder that may be told of a checkpoint before the callback has counted its batch."""

    def __init__(self, callback: DataPosition, *arguments: Any, **named: Any) -> None:
        self._callback = weakref.ref(callback)
        super().__init__(*arguments, **named)

    def step(self, step: int, *, batches: int = 1, examples: int | None = None) -> None:
        """One execution is done; checkpoints are noticed apart from it."""
        with_notice, self.notice = self.notice, _nothing  # type: ignore[method-assign]
        try:
            super().step(step, batches=batches, examples=examples)
        finally:
            self.notice = with_notice  # type: ignore[method-assign]

    def saved(self, prefix: str, step: int | None = None, describe: Any = None) -> None:
        """As :meth:`RunRecorder.saved`, from any callback."""
        callback = self._callback()
        if callback is not None:
            callback.catch_up()
        super().saved(prefix, step, describe)

    def _iterations(self) -> int | None:
        callback = self._callback()
        return None if callback is None else callback.iterations()


def _nothing() -> None:
    return None


@never_hurts
class DataPosition(keras.callbacks.Callback):  # type: ignore[misc]
    """Records where the data of ``fit`` stands after each batch.

    Args:
        log_dir: where event files go.
        dataset: what ``fit`` is given, if it is a ``tf.data.Dataset``; without it the running call
            is asked.
        batch_size, epoch_size: examples of a full batch and of an epoch, where the data does not
            tell.
        restored_from: prefix of the checkpoint that the weights come from, if any; the backup of
            ``BackupAndRestore`` is known without it.
        checkpoint_dir: directory whose new checkpoints (in TensorFlow's format) get a run record.
            Those of ``BackupAndRestore`` and ``ModelCheckpoint`` get one without it.
        start: examples of the run that lie before what this call of ``fit`` is given first.
        skipped: the same in batches.
        flush_interval_s: what a killed process may lose.

    Attributes:
        recorder: None before the first batch.
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
        start: int | None = None,
        skipped: int | None = None,
        flush_interval_s: float = FLUSH_INTERVAL_S,
    ) -> None:
        super().__init__()
        self.recorder: FitRecorder | None = None
        self._log_dir, self._dataset, self._restored_from = log_dir, dataset, restored_from
        self._batch_size, self._epoch_size = batch_size, epoch_size
        self._checkpoint_dir, self._flush_interval_s = checkpoint_dir, flush_interval_s
        self._begins = Begins(start, skipped)
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        # A copy begins anew; a dataset cannot be pickled, nor a running call of fit.
        told = {"recorder": None, "_dataset": None, "_feeding": Feeding(None, None)}
        return {**self.__dict__, **told}

    def _reset(self) -> None:
        self._feeding = Feeding(None, None)
        self._parent = Parent()
        self._backup: str | None = None
        self._step = self._epoch = self._offset = 0
        self._first = self._in_epoch = 0
        self._base: int | None = None  # iterations before the first batch of the epoch
        self._open = False  # a batch has begun and is not counted
        self._begun = False

    # ------------------------------------------------------------------------------------------
    # called by Keras

    def on_train_begin(self, logs: Any = None) -> None:
        """Nothing is restored yet by callbacks behind this one; what they will restore is there."""
        del logs
        self._reset()
        self._feeding = feeding(self._dataset, (self.params or {}).get("steps"))
        self._backup = backup_of(self._feeding.callbacks)
        self._parent = parent_of(self._restored_from or self._backup)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """A new pass, where each epoch has an iterator of its own."""
        del logs
        self._epoch, self._first, self._in_epoch, self._base = epoch, 0, 0, None
        self._open = False
        if self.recorder is not None and self._begun:
            self.recorder.notice()
            if self.recorder.attempt.counting == "epochs":
                self.recorder.epoch(epoch + self._offset)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """The first one begins the attempt: every callback has restored by now."""
        del logs
        if not self._begun:
            self._begin(batch)
        elif self.recorder is not None:
            self.recorder.notice()
        if self._base is None:
            self._base, self._first = self.iterations(), batch
        self._open = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """One batch, or as many as ``steps_per_execution``."""
        del logs
        if self._open:
            self._count(batch + 1 - self._first)
        if self.recorder is not None:
            self.recorder.notice()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """How many batches an epoch has is known when one was seen to end."""
        del epoch, logs
        recorder, self._open = self.recorder, False
        if recorder is None or not self._begun:
            return
        recorder.notice()
        attempt = recorder.attempt
        ended = not getattr(self.model, "stop_training", False) and self._first == 0
        if attempt.counting == "epochs" and attempt.steps_per_epoch is None and ended:
            recorder.update(steps_per_epoch=recorder.position[0])

    def on_train_end(self, logs: Any = None) -> None:
        """Write what is left."""
        del logs
        if self.recorder is not None and self._begun:
            self._remember(self.recorder)
            self.recorder.close()

    # ------------------------------------------------------------------------------------------
    # counting

    def _begin(self, batch: int) -> None:
        """Start an attempt; the step goes on from what was restored."""
        self._begun = True
        feed, iterations = self._feeding, self.iterations()
        dataset = self._dataset if self._dataset is not None else feed.dataset
        program = look_at_safely(
            dataset,
            self.model,
            self._batch_size if self._batch_size is not None else feed.batch_size,
            self._epoch_size if self._epoch_size is not None else feed.num_examples,
        )
        program = dataclasses.replace(program, told_order=feed.order)
        size, batch_size = program.epoch_size, program.batch_size
        if not feed.is_even and (size is None or batch_size is None or size % batch_size):
            program = dataclasses.replace(program, batch_size=None)
        makes = feed.makes_iterator
        if makes is not False and self._begins == Begins():
            program = program.of_cut_passes()
        self._step = self._step_before(program, iterations)
        facts = self._facts(program, iterations)
        self.recorder = FitRecorder(
            self,
            self._log_dir,
            program,
            restored_from=self._restored(),
            flush_interval_s=self._flush_interval_s,
            begins=self._begins,
            facts=facts,
            watch=watch_of(self._checkpoint_dir, feed.callbacks),
        )
        if self.recorder.attempt.counting == "epochs":
            self.recorder.epoch(self._epoch + self._offset)
            if facts["start"].batches:
                self.recorder.begin_within(facts["start"].batches)
        del batch

    def _restored(self) -> str | None:
        return self._restored_from or (self._backup if self._step else None)

    def _facts(self, program: Program, iterations: int | None) -> dict[str, Any]:
        """What the header says of this call of ``fit``."""
        makes = self._feeding.makes_iterator
        found: dict[str, Any] = {
            "fed": "fit",
            "counting": "stream" if makes is False else "epochs",
            "start": Start(0, 0, 0, 0, "fresh") if makes is not None else Start(reason=UNTOLD),
            "steps_per_epoch": self._feeding.steps or program.steps_per_epoch,
            "restored_step": self._step or None,
        }
        told = self._told_start(program, found["counting"])
        if told is not None:
            found["start"] = told
        ended = _ENDED.get(os.path.realpath(self._log_dir))
        if (
            ended is not None
            and ended.model() is self.model
            and self._restored_from is None
            and iterations == ended.iterations
        ):
            found |= self._going_on(ended, found["counting"])
        return found

    def _told_start(self, program: Program, counting: str) -> Start | None:
        """Where the data begins, as the user says or the pipeline shows; an epoch of its own
        begins within that epoch.
        """
        begins, size = self._begins, program.batch_size
        if counting == "stream" and begins == Begins():
            origin = program.origin
            begins = Begins(origin.examples or None, origin.batches or None)
        if begins == Begins() or size is None:
            return None
        attempt = Attempt(
            "",
            0.0,
            batch_size=size,
            epoch_size=program.epoch_size,
            spans=program.spans,
            drops=program.pipeline.drops_remainder if program.pipeline is not None else None,
            start=Start(0, 0, 0, 0),
        )
        examples, whole = begins.examples, delivered_by(attempt)
        if examples is None:
            examples = place_counted(attempt, UNKNOWN, begins.batches or 0)[0].examples
        if examples is None:
            return Start(reason="the size of an epoch is not known")
        if counting == "epochs":
            into = examples % whole if whole else examples
            return Start(-(-into // size), None, None, into, "given")
        if not whole:
            return Start(0, examples, None, None, "given")
        before = max(examples - 1, 0)
        return Start(0, examples, before // whole, before % whole + 1 if examples else 0, "given")

    def _going_on(self, ended: _Ended, counting: str) -> dict[str, Any]:
        """``fit`` is called again on the same model: the run goes on, with the next pass."""
        self._step = ended.step
        self._offset = max(0, ended.next_epoch - self._epoch)
        found: dict[str, Any] = {
            "continues": ended.attempt.id,
            "parent": ended.attempt.id,
            "restored_step": ended.step or None,
        }
        size = delivered_by(ended.attempt)
        if counting == "stream":
            if ended.examples is None or not size:
                found["start"] = Start(reason="the size of an epoch is not known")
            else:
                epoch = -(-ended.examples // size)
                found["start"] = Start(0, epoch * size, epoch, 0, "fresh")
        return found

    def _step_before(self, program: Program, iterations: int | None) -> int:
        """The run's step before the first batch.

        Keras 3 raises ``iterations`` once more at each end of data whose size it does not know; the
        run record of the restored checkpoint has both."""
        record = self._parent.record
        if record is not None and record.iterations == iterations and (iterations or 0) > 0:
            return record.step
        if not iterations:
            return (record.step if record is not None and iterations is None else None) or 0
        steps, epoch = program.steps_per_epoch, self._epoch
        if self._feeding.steps is None and steps is not None and self._first == 0:
            made = epoch * steps
            if made <= iterations <= made + epoch:
                return made
        return iterations

    def _count(self, upto: int) -> None:
        """So many batches of the epoch are done, as Keras says; its last execution may say more."""
        self._open = False
        taken = upto - self._in_epoch
        if self._feeding.execution > 1:
            taken = self._of_execution(taken)
        self._in_epoch += taken
        self._step += taken
        if self.recorder is not None and taken > 0:
            self.recorder.step(self._step, batches=taken)

    def _of_execution(self, taken: int) -> int:
        """Keras 3 reports the last execution of an epoch as full."""
        left = self._feeding.steps
        if left is not None:
            return min(taken, left - self._first - self._in_epoch)
        now = self.iterations()
        made = None if now is None or self._base is None else now - self._base - self._in_epoch
        return made if made is not None and 0 < made <= taken else taken

    def catch_up(self) -> None:
        """A checkpoint is told of: count the batch that is done, if Keras has not yet told so."""
        if not self._open:
            return
        during = running_method()
        if during in ("on_train_batch_begin", "on_epoch_end", "on_epoch_begin"):
            return  # over data of unknown size the last batch of an epoch begins, and is none
        if during is None:
            now = self.iterations()
            if now is not None and self._base is not None and now - self._base <= self._in_epoch:
                return  # it has only begun
        self._count(self._in_epoch + self._feeding.execution)

    def iterations(self) -> int | None:
        """Batches that the optimizer has made updates of, or gathered gradients of; None where it
        cannot be asked.
        """
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            return None
        value = getattr(optimizer, "_iterations", None)
        return whole_number(value if value is not None else optimizer.iterations)

    def _remember(self, recorder: FitRecorder) -> None:
        place, _ = place_counted(recorder.attempt, recorder.epoch_number, recorder.position[0])
        _ENDED[os.path.realpath(self._log_dir)] = _Ended(
            weakref.ref(self.model),
            recorder.attempt,
            self._step,
            self.iterations(),
            self._epoch + self._offset + 1,
            place.examples,
        )
