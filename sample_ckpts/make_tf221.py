# /// script
# requires-python = ">=3.10"
# dependencies = ["tensorflow-cpu==2.21.0"]
# ///
"""Makes the samples of TensorFlow 2.21 (with Keras 3) and measures their truth.

In an environment with that release, after `make_data.py`:

    python sample_ckpts/make_tf221.py              all of them
    python sample_ckpts/make_tf221.py full_221     only these
"""

import _common
import ml_dtypes
import numpy as np
import tensorflow as tf
from _common import (
    BATCH_SIZE,
    RECORD_FILES,
    Loop,
    examples,
    sample,
    shuffled_dataset,
    small_model,
)

# ------------------------------------------------------------ What is in the checkpoint.


@sample("full_221", "Everything saved: model, optimizer, step and the iterator of a seeded "
                    "shuffle.")
def full(run):
    loop = Loop(shuffled_dataset())
    loop.train(run, loop.full_checkpoint())


@sample("unseeded_221", "The same with an unseeded shuffle: the place is kept, but later epochs "
                        "are shuffled anew.")
def unseeded(run):
    loop = Loop(shuffled_dataset(seed=None))
    loop.train(run, loop.full_checkpoint())


@sample("model_only_221", "Only the model is saved: optimizer, step and place are lost.")
def model_only(run):
    loop = Loop(shuffled_dataset())
    loop.train(run, tf.train.Checkpoint(model=loop.model))


@sample("sgd_221", "Plain SGD, which has no slots to lose; everything is saved.")
def sgd(run):
    loop = Loop(shuffled_dataset(), optimizer=tf.keras.optimizers.SGD(0.05))
    loop.train(run, loop.full_checkpoint())


class NoisyLoop(Loop):
    """Adds noise from a tf.random.Generator to the features."""

    def __init__(self, dataset):
        super().__init__(dataset)
        self.generator = tf.random.Generator.from_non_deterministic_state()

    def components(self):
        return dict(super().components(), rng=_common.digest([self.generator.state]))

    def loss(self, batch):
        noise = self.generator.normal(batch["x"].shape, stddev=0.1)
        return super().loss(dict(batch, x=batch["x"] + noise))


@sample("generator_221", "The noise comes from a tf.random.Generator that is saved along.")
def generator(run):
    loop = NoisyLoop(shuffled_dataset())
    loop.train(run, loop.full_checkpoint(generator=loop.generator))


@sample("dropout_k3_221", "A Keras 3 Dropout layer: its seed generator is a variable, but "
                          "tf.train.Checkpoint does not reach it.",
        decidable=False, why="The layer has no variables in the files; it could be any such layer.")
def dropout(run):
    loop = Loop(shuffled_dataset(), model=small_model(tf.keras.layers.Dropout(0.5)))
    loop.train(run, loop.full_checkpoint())


# ------------------------------------------------------------ A data index kept by the program itself.


@sample("start_index_221", "No iterator, but a `start_index` (in examples) that the program "
                           "skips by; the order is fixed.")
def start_index(run):
    loop = Loop()
    index = tf.Variable(0, dtype=tf.int64, name="start_index")
    checkpoint = loop.checkpoint_without_iterator(start_index=index)
    if run.resuming:
        loop.restore(run, checkpoint)
    loop.iterator = iter(examples().repeat().skip(int(index.numpy())).batch(BATCH_SIZE))
    if not run.resuming:
        loop.steps(run, run.steps_before)
        index.assign(run.steps_before * BATCH_SIZE)
        loop.save(run, checkpoint)
    loop.steps(run, run.steps_after)


@sample("start_index_missing_221", "The same without `start_index`: the data starts over.")
def start_index_missing(run):
    loop = Loop(examples().repeat().batch(BATCH_SIZE))
    loop.train(run, loop.checkpoint_without_iterator())


# ------------------------------------------------------------ Files.


def records():
    return tf.data.TFRecordDataset(RECORD_FILES).batch(BATCH_SIZE).repeat().prefetch(2)


@sample("tfrecord_offset_221", "Three TFRecord files in order; the iterator holds a byte offset.")
def tfrecord_offset(run):
    loop = Loop(records())
    loop.train(run, loop.full_checkpoint())


@sample("tfrecord_noiterator_221", "Three TFRecord files in order; the iterator is not saved.")
def tfrecord_noiterator(run):
    loop = Loop(records())
    loop.train(run, loop.checkpoint_without_iterator())


def loaded():
    return tf.data.Dataset.load("data/saved_dataset").repeat().batch(BATCH_SIZE)


@sample("saveload_221", "A dataset read with Dataset.load; the iterator is saved.")
def saveload(run):
    loop = Loop(loaded())
    loop.train(run, loop.full_checkpoint())


@sample("saveload_noiterator_221", "A dataset read with Dataset.load; the iterator is not saved.")
def saveload_noiterator(run):
    loop = Loop(loaded())
    loop.train(run, loop.checkpoint_without_iterator())


# ------------------------------------------------------------ Runs with several checkpoints.


class ManagedRun:
    """A loop and its CheckpointManager; checkpoints are named after the step."""

    def __init__(self, run):
        self.loop = Loop(shuffled_dataset())
        self.run = run
        self.checkpoint = self.loop.full_checkpoint()
        self.manager = tf.train.CheckpointManager(self.checkpoint, run.directory, max_to_keep=5)

    def train_and_save(self, last_step):
        """Train to `last_step`, with a checkpoint every four steps."""
        while self.loop.step.numpy() < last_step:
            self.loop.steps(self.run, 4)
            step = int(self.loop.step.numpy())
            self.manager.save(checkpoint_number=step)
            self.run.saved(step, self.loop.components(), checkpoint="ckpt-%d" % step)

    def resume(self):
        """Restore the checkpoint that is asked for and train on."""
        self.checkpoint.restore("%s/%s" % (self.run.directory, self.run.restore_from))
        self.run.restored(self.loop.components())
        self.loop.steps(self.run, self.run.steps_after)


@sample("manager_run_221", "One run with a CheckpointManager: checkpoints at steps 4, 8 and 12.",
        steps_before=12)
def manager_run(run):
    managed = ManagedRun(run)
    if run.resuming:
        managed.resume()
        return
    managed.train_and_save(last_step=12)
    managed.loop.steps(run, run.steps_after)


@sample("manager_run_lost_221", "The same, but stopped after step 8 and continued without its "
                                "iterator: at step 12 the (new) iterator is 8 batches behind.",
        steps_before=12)
def manager_run_lost(run):
    managed = ManagedRun(run)
    if run.resuming:
        managed.resume()
        return
    managed.train_and_save(last_step=8)
    managed.loop.steps(run, run.steps_after)  # what step 4 and 8 are compared with

    # Back to step 8: the program is started again and restores all but the iterator.
    managed = ManagedRun(run)
    without_iterator = managed.loop.checkpoint_without_iterator()
    without_iterator.restore(managed.manager.latest_checkpoint).expect_partial()
    run.new_iterator()
    managed.train_and_save(last_step=12)
    managed.loop.steps(run, run.steps_after)


# ------------------------------------------------------------ Unusual iterators.


@sample("two_iterators_221", "A training and an evaluation iterator are saved; three evaluation "
                             "batches were taken.")
def two_iterators(run):
    loop = Loop(shuffled_dataset())
    evaluation = iter(examples(24).batch(6).repeat())
    checkpoint = loop.full_checkpoint(evaluation_iterator=evaluation)
    if not run.resuming:
        for _ in range(3):
            next(evaluation)
    loop.train(run, checkpoint)


@sample("exhausted_221", "A finite dataset that the run has consumed: nothing is left to train.",
        steps_before=100)
def exhausted(run):
    loop = Loop(examples().batch(BATCH_SIZE))
    loop.train(run, loop.full_checkpoint())


@sample("unstarted_221", "Saved before the first step; the iterator has delivered nothing.",
        steps_before=0)
def unstarted(run):
    loop = Loop(shuffled_dataset())
    loop.train(run, loop.full_checkpoint())


# ------------------------------------------------------------ Only for reading: every dtype.


def values_of(dtype):
    """A few values of a numeric dtype, its extremes among them."""
    if dtype == tf.bool:
        return tf.constant([True, False, True])
    if dtype.is_integer:
        return tf.constant([dtype.min, 0, 1, dtype.max], dtype)
    if dtype.is_complex:
        return tf.constant([1 + 2j, -0.5j, 3], dtype)
    return tf.cast(tf.constant([-1.5, 0.0, 0.25, 448.0, np.inf, np.nan]), dtype)


SAVED_DTYPES = [
    tf.bool, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64,
    tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128,
    tf.dtypes.experimental.float8_e5m2, tf.dtypes.experimental.float8_e4m3fn,
]
UNUSUAL_DTYPES = [
    "int2", "uint2", "int4", "uint4", "float4_e2m1fn",
    "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2fnuz",
]


@sample("read/dtypes_221", "Variables of every dtype that can be saved, strings, scalars and an "
                           "empty tensor in ckpt-1; quantized and other unusual dtypes in "
                           "by_name. Only for reading.")
def dtypes(run):
    tensors = {dtype.name: values_of(dtype) for dtype in SAVED_DTYPES}
    tensors.update(
        float_scalar=tf.constant(2.5),
        int_scalar=tf.constant(-7, tf.int64),
        empty=tf.zeros([0, 3]),
        string_scalar=tf.constant("one string"),
        string_matrix=tf.constant([["a", "", "bcd"], ["", "\u00e9\u00e8", "x" * 200]]),
    )
    variables = {name: tf.Variable(value) for name, value in tensors.items()}
    tf.train.Checkpoint(**variables).save(run.directory + "/ckpt")

    # No variable can be of these dtypes, but the op that writes checkpoints takes them.
    floats = tf.constant([[-1.0, 0.5], [0.0, 1.0]])
    quantized = [tf.qint8, tf.quint8, tf.qint16, tf.quint16, tf.qint32]
    by_name = {
        dtype.name: tf.quantization.quantize(floats, -1.0, 1.0, dtype).output
        for dtype in quantized
    }
    for name in UNUSUAL_DTYPES:
        numbers = [0, 1, 2, 3] if name.startswith("uint") else [0, 1, -1, -2]
        by_name[name] = tf.constant(np.array(numbers).astype(getattr(ml_dtypes, name)))
    names = sorted(by_name)
    tf.raw_ops.SaveV2(prefix=run.directory + "/by_name", tensor_names=names,
                      shape_and_slices=[""] * len(names),
                      tensors=[by_name[name] for name in names])
    run.keep()


if __name__ == "__main__":
    _common.main()
