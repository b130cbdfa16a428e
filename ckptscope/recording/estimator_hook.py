"""A hook for Estimators and MonitoredSessions that records where the data stands after each step.

    estimator.train(input_fn, hooks=[DataPositionHook(model_dir, batch_size=32)])

This file needs TensorFlow (1.15 to 2.15) and NumPy only and runs on Python 3.7 and newer: it can be
copied beside a training script where ckptscope itself cannot be installed. It then stores counts,
and the state of the input iterator as TensorFlow saves it, which ckptscope decodes when it reads.
Put it behind a ``CheckpointInputPipelineHook``."""

# Kept apart from the rest of the package on purpose: the layout of chunks is that of columns.py,
# the tags are those of journal.py, and tests/recording/test_hook.py compares them.

import base64
import json
import os
import shutil
import socket
import struct
import tempfile
import time
import uuid
import warnings
import zlib

import numpy as np
import tensorflow as tf

try:
    _Hook = tf.estimator.SessionRunHook
except (
    AttributeError
):  # TensorFlow 2.16 and newer has no estimators; MonitoredSession is still there
    _Hook = tf.compat.v1.train.SessionRunHook

SEALED_ROWS = 4096
PER_TAG = 8
MAX_STATE_NBYTES = 1 << 20
COLUMNS = ("step", "epoch", "batches", "examples", "wall_time_ms")
UNKNOWN = -1


class DataPositionHook(_Hook):
    """Counts steps, and notices checkpoints in ``model_dir``."""

    def __init__(
        self,
        model_dir,
        batch_size=None,
        epoch_size=None,
        log_dir=None,
        flush_interval_s=10.0,
        kind="train",
    ):
        self._model_dir, self._log_dir, self._flush_interval_s = (
            model_dir,
            log_dir or model_dir,
            flush_interval_s,
        )
        self._facts = {"batch_size": batch_size, "epoch_size": epoch_size, "kind": kind}
        self._writer = None
        self._warned = False

    # ------------------------------------------------------------------------------------------
    # called by TensorFlow

    def begin(self):
        """Add the ops that save the iterator's state to the graph."""
        v1 = tf.compat.v1
        self._global_step = v1.train.get_or_create_global_step()
        self._attempt, self._rows, self._unsealed = uuid.uuid4().hex[:12], [], []
        self._sealed, self._counts, self._last_steps, self._batches = 0, {}, {}, 0
        self._flushed_s = time.time()
        self._save = None
        iterators = v1.get_collection("iterators")
        if len(iterators) == 1:
            try:
                self._prefix = v1.placeholder(tf.string, [])
                state = tf.raw_ops.SerializeIterator(resource_handle=iterators[0])
                self._save = tf.raw_ops.SaveV2(
                    prefix=self._prefix,
                    tensor_names=["iterator"],
                    shape_and_slices=[""],
                    tensors=[state],
                )
            except Exception as error:
                self._warn(error)

    def after_create_session(self, session, coord):
        """The session is restored: this is where the attempt starts."""
        del coord
        self._stamp, self._started = self._state_stamp(), False
        self._step = step = int(session.run(self._global_step))
        restored = tf.train.latest_checkpoint(self._model_dir) if step else None
        header = {
            "schema": 1,
            "id": self._attempt,
            "started_s": time.time(),
            "host": socket.gethostname(),
            "counting": "stream",
            "restored_from": restored,
            "restored_step": step if step else None,
            "tool_version": "hook",
        }
        if step:
            header["start"] = {"reason": "the iterator's state could not be saved"}
        else:
            header["start"] = {
                "batches": 0,
                "examples": 0,
                "epoch": 0,
                "into": 0,
                "source": "fresh",
            }
        header.update((name, value) for name, value in self._facts.items() if value is not None)
        self._guarded(lambda: self._write("run", 0, json.dumps(header).encode(), grouped=False))

    def before_run(self, run_context):
        """Ask for the step along with what is run anyway.

        The first time the iterator is where this attempt starts: a CheckpointInputPipelineHook
            restores it here, too.
        """
        if not self._started:
            self._started = True
            self._state(run_context.session, self._step, "start")
        return tf.compat.v1.train.SessionRunArgs(self._global_step)

    def after_run(self, run_context, run_values):
        """One step is done. A checkpoint that is new was written after this step, or the one
        before.
        """
        self._batches += 1
        # The variable may be read before or after its update in one run: the step is counted, and
        # corrected upwards.
        self._step = max(int(run_values.results), self._step + 1)
        self._rows.append((self._step, UNKNOWN, self._batches, UNKNOWN, int(time.time() * 1000)))
        stamp = self._state_stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._guarded(self._saved)
        now = time.time()
        if now - self._flushed_s >= self._flush_interval_s or len(self._rows) >= SEALED_ROWS:
            self._flushed_s = now
            self._guarded(self._flush)
        del run_context

    def end(self, session):
        """Write what is left. The last checkpoint may be written after this; it is noticed by
        the next reader.
        """
        del session
        if self._state_stamp() != self._stamp:
            self._guarded(self._saved)
        self._guarded(self._flush)
        if self._writer is not None:
            self._guarded(self._writer.close)

    # ------------------------------------------------------------------------------------------
    # writing

    def _state(self, session, step, when):
        """Store the iterator's state as it is."""
        if self._save is None:
            return
        directory = tempfile.mkdtemp(prefix="ckptscope-")

        def write():
            prefix = os.path.join(directory, "state")
            session.run(self._save, {self._prefix: prefix})
            note = {"step": step, "attempt": self._attempt, "when": when}
            files = {name: os.path.join(directory, name) for name in os.listdir(directory)}
            if sum(os.path.getsize(path) for path in files.values()) <= MAX_STATE_NBYTES:
                note["files"] = {}
                for name, path in files.items():
                    with open(path, "rb") as file:
                        note["files"][name] = base64.b64encode(file.read()).decode()
                self._write("raw", step, json.dumps(note).encode())

        self._guarded(write)
        shutil.rmtree(directory, ignore_errors=True)

    def _saved(self):
        latest = tf.train.latest_checkpoint(self._model_dir)
        if latest is None:
            return
        tail = latest.rpartition("-")[2]
        step = int(tail) if tail.isdigit() else self._step
        self._flush()
        rows = [row[0] for row in self._unsealed]
        sequence = self._sealed + sum(row <= step for row in rows)
        note = {
            "path": os.path.abspath(latest),
            "step": step,
            "attempt": self._attempt,
            "sequence": sequence,
            "wall_time_s": time.time(),
        }
        self._write("ckpt", step, json.dumps(note).encode())

    def _flush(self):
        self._unsealed += self._rows
        self._rows = []
        while len(self._unsealed) >= SEALED_ROWS:
            self._write(
                "pos", self._unsealed[SEALED_ROWS - 1][0], self._chunk(self._unsealed[:SEALED_ROWS])
            )
            self._unsealed = self._unsealed[SEALED_ROWS:]
            self._sealed += SEALED_ROWS
        if self._unsealed:
            self._write("tail", self._unsealed[-1][0], self._chunk(self._unsealed), grouped=False)

    def _chunk(self, rows):
        header = json.dumps(
            {
                "attempt": self._attempt,
                "first": self._sealed,
                "rows": len(rows),
                "columns": list(COLUMNS),
            }
        ).encode()
        stored = b""
        for values in np.array(rows, np.int64).T:
            deltas = np.concatenate((values[:1], np.diff(values))).astype("<i8")
            stored += deltas.view(np.uint8).reshape(-1, 8).T.tobytes()
        return struct.pack("<4sBI", b"CKSC", 1, len(header)) + header + zlib.compress(stored, 6)

    def _write(self, kind, step, data, grouped=True):
        v1 = tf.compat.v1
        number = self._counts.get(kind, 0)
        tag = "ckptscope/%s/%s" % (kind, self._attempt) + (
            "/%05d" % (number // PER_TAG) if grouped else ""
        )
        step = max(step, self._last_steps.get(tag, -1) + 1) if grouped else step
        if self._writer is None:
            directory = os.path.join(self._log_dir, "ckptscope")
            os.makedirs(directory, exist_ok=True)
            name = "events.out.tfevents.%d.%s.%d.%s.1" % (
                time.time(),
                socket.gethostname(),
                os.getpid(),
                self._attempt,
            )
            self._writer = tf.io.TFRecordWriter(os.path.join(directory, name))
            self._writer.write(
                v1.Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()
            )
        metadata = v1.SummaryMetadata(
            plugin_data=v1.SummaryMetadata.PluginData(plugin_name="ckptscope")
        )
        if hasattr(
            metadata, "data_class"
        ):  # TensorBoard shows nothing without it; 1.15 cannot write it
            metadata.data_class = 2
        value = v1.Summary.Value(tag=tag, metadata=metadata)
        value.tensor.dtype = tf.string.as_datatype_enum
        value.tensor.string_val.append(data)
        event = v1.Event(wall_time=time.time(), step=step, summary=v1.Summary(value=[value]))
        self._writer.write(event.SerializeToString())
        self._writer.flush()
        self._counts[kind], self._last_steps[tag] = number + 1, step

    def _state_stamp(self):
        try:
            return os.stat(os.path.join(self._model_dir, "checkpoint")).st_mtime
        except OSError:
            return None

    def _guarded(self, task):
        """Whatever goes wrong becomes one warning: training goes on."""
        try:
            task()
        except Exception as error:
            self._warn(error)

    def _warn(self, error):
        if not self._warned:
            self._warned = True
            warnings.warn(
                "ckptscope: the data position is not fully recorded: %s" % error, RuntimeWarning
            )
