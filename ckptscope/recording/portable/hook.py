"""Estimators and MonitoredSessions."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from .attempt import RunRecorder
from .checkpoints import latest_checkpoint, step_in_name
from .guard import never_hurts, warn, whole_number
from .states import state_files
from .writer import FLUSH_INTERVAL_S

MAX_HASHED_ELEMENTS = 1 << 16
_DATASETS = ("Dataset", "DatasetV2", "DatasetV3", "DatasetV4")


class Reused:
    """Something that TensorFlow is given once and uses many times. Copies begin anew."""

    _live = None

    def __getstate__(self):
        return {"_config": self._config}

    def finish(self):
        """Write what is left of the last call of ``train`` or ``fit``."""
        live, self._live = self._live, None
        if live is not None:
            live.close()


@never_hurts
class HookMethods(Reused):
    """A hook for Estimators and MonitoredSessions: counts steps, and notices checkpoints.

    It may stand anywhere in the list of hooks, and serve any number of ``train()`` calls.

    Args:
        model_dir: where checkpoints are written.
        batch_size, epoch_size: examples of a full batch, and of a pass over all of the data.
        log_dir: where the recording goes; ``model_dir`` if not given.
        flush_interval_s: what a killed process may lose.
        kind: ``train`` or ``eval``.
        start: examples that are cut off at the front of this process's data, as by ``skip(n)``
            before ``batch()`` or ``data[n:]``.
    """

    def __init__(
        self,
        model_dir,
        batch_size=None,
        epoch_size=None,
        log_dir=None,
        flush_interval_s=FLUSH_INTERVAL_S,
        kind="train",
        start=None,
    ):
        self._config = {
            "log_dir": log_dir or model_dir,
            "checkpoint_dir": model_dir,
            "batch_size": batch_size,
            "epoch_size": epoch_size,
            "flush_interval_s": flush_interval_s,
            "kind": kind,
            "start": start,
        }

    def begin(self):
        """Add what is asked of each session to the graph."""
        self.finish()
        self._live = _Sessions(self._config)

    def after_create_session(self, session, coord):
        """Another session, restored or recovered."""
        del coord
        if self._live is not None:
            self._live.created(session)

    def before_run(self, run_context):
        """Ask for the step along with what is run anyway."""
        return self._live and self._live.before(run_context.session)

    def after_run(self, run_context, run_values):
        """One step is done."""
        if self._live is not None:
            self._live.after(run_context.session, run_values.results)

    def end(self, session):
        """Write what there is. The last checkpoint may be written after this, by another hook: it
        is waited for in the background.
        """
        del session
        if self._live is not None:
            self._live.pause()


class _Sessions:
    """The sessions of one call of ``train()``: each is an attempt, which begins at its first batch,
    after all hooks have restored.
    """

    def __init__(self, config):
        import tensorflow as tf

        v1 = tf.compat.v1
        self._config = config
        self._run_args = v1.train.SessionRunArgs
        self._recorder = None
        self._global_step = tf.identity(v1.train.get_or_create_global_step())
        self._step = 0
        self._pipeline = pipeline_fingerprint(v1.get_default_graph())
        self._save = None
        iterators = v1.get_collection("iterators")
        if len(iterators) == 1 and not reads_python(v1.get_default_graph()):
            self._prefix = v1.placeholder(tf.string, [])
            state = tf.raw_ops.SerializeIterator(resource_handle=iterators[0])
            self._save = tf.raw_ops.SaveV2(
                prefix=self._prefix,
                tensor_names=["iterator"],
                shape_and_slices=[""],
                tensors=[state],
            )

    def created(self, session):
        """The session is there; other hooks may still restore."""
        del session
        self.close()

    def before(self, session):
        """The first time an attempt starts."""
        if self._recorder is None:
            self._step = int(session.run(self._global_step))
            latest = latest_checkpoint(os.path.join(self._config["checkpoint_dir"], "checkpoint"))
            is_latest = latest is not None and step_in_name(latest) == self._step
            self._recorder = RunRecorder(
                restored_from=latest if self._step and is_latest else None,
                restored_step=self._step or None,
                named_by_step=True,
                fed="hook",
                pipeline=self._pipeline,
                **self._config,
            )
            self._is_first = True
            self._store(session, "start")
        return self._run_args(self._global_step)

    def after(self, session, result):
        """The variable may have been read before or after its update: the step is counted, and
        corrected upwards.
        """
        if self._recorder is None:
            return
        self._step = max(whole_number(result) or 0, self._step + 1)
        self._recorder.step(self._step)
        if self._is_first:
            self._is_first = False
            self._store(session, "first", batches=1)

    def pause(self):
        """The session ends."""
        if self._recorder is not None:
            self._recorder.pause()

    def close(self):
        """Write what is left."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()

    def _store(self, session, when, **facts):
        if self._save is None:
            return
        try:
            files = state_files(lambda prefix: session.run(self._save, {self._prefix: prefix}))
        except Exception as error:  # py_func, from_generator: it cannot be saved
            self._save = None
            warn(self._recorder, "the iterator's state: %s" % str(error).split("\n", 1)[0])
            return
        if files:
            self._recorder.note("raw", self._step, dict(facts, when=when, files=files))


def reads_python(graph: Any) -> bool:
    """Whether a function of a graph calls Python, as ``from_generator`` does: where such data
    stands no state of an iterator tells.
    """
    functions = graph.as_graph_def().library.function
    return any("PyFunc" in node.op for function in functions for node in function.node_def)


def pipeline_fingerprint(graph: Any) -> str | None:
    """A hash of the dataset stages that a graph holds, with the constants they are made of: another
    one means that positions may be those in other data. None where there are none.
    """
    stages = [op for op in graph.get_operations() if op.type.endswith(_DATASETS)]
    digest = hashlib.sha256()
    for op in stages:
        digest.update(op.type.encode())
        for tensor in op.inputs:
            digest.update(("%s%s" % (tensor.op.type, tensor.shape)).encode())
            size = tensor.shape.num_elements()
            if tensor.op.type == "Const" and size is not None and size <= MAX_HASHED_ELEMENTS:
                digest.update(tensor.op.get_attr("value").SerializeToString())
    return digest.hexdigest()[:16] if stages else None
