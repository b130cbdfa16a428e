# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = ["tensorflow-cpu==1.15.0", "protobuf<3.21", "numpy<1.20"]
# ///
"""Makes the samples of TensorFlow 1.15 and measures their truth.

In an environment with that release, after `make_data.py`:

    python sample_ckpts/make_tf115.py                         all of them
    python sample_ckpts/make_tf115.py saver_iterator_115      only these
"""

import _common
import _estimator
import numpy as np
import tensorflow as tf
from _common import BATCH_SIZE, examples, sample
from _session import Graph, new_saver, records
from tensorflow.core.protobuf import saver_pb2

# ------------------------------------------------------------ Estimators.


@sample("estimator_plain_115", "An Estimator without a hook for its data, which starts over.")
def estimator_plain(run):
    _estimator.plain(run)


@sample("estimator_hook_115", "An Estimator with a CheckpointInputPipelineHook: the iterator lies "
                              "in files of its own.")
def estimator_hook(run):
    _estimator.with_hook(run)


@sample("estimator_hook_reused_115", "One CheckpointInputPipelineHook used for two calls of "
                                     "train(): from the second on it writes model variables in "
                                     "place of the iterator, and restoring raises.")
def estimator_hook_reused(run):
    _estimator.with_reused_hook(run)


@sample("estimator_hook_reused_dropped_115", "The same files, but resumed without the hook: the "
                                             "data starts over.",
        decidable=False, why="The same program would have used its hook, and raised.")
def estimator_hook_reused_dropped(run):
    _estimator.with_reused_hook(run, resume_with_hook=False)


# ------------------------------------------------------------ Saver.


@sample("saver_iterator_115", "A Saver that includes the iterator (make_saveable_from_iterator); "
                              "TFRecord files in a seeded shuffle.")
def saver_iterator(run):
    graph = Graph(records(), save_iterator=True)
    graph.train(run, new_saver())


@sample("saver_noiterator_115", "The same Saver without the iterator.")
def saver_noiterator(run):
    graph = Graph(records(), save_iterator=False)
    graph.train(run, new_saver())


@sample("saver_v1_115", "A Saver that writes the old V1 format, which cannot hold an iterator.")
def saver_v1(run):
    graph = Graph(records(), save_iterator=False)
    graph.train(run, new_saver(write_version=saver_pb2.SaverDef.V1))


@sample("partitioned_115", "Variables in three slices each (fixed_size_partitioner); the iterator "
                           "is saved.")
def partitioned(run):
    partitioner = tf.compat.v1.fixed_size_partitioner(3)
    graph = Graph(examples().repeat().batch(BATCH_SIZE), save_iterator=True,
                  partitioner=partitioner)
    graph.train(run, new_saver())


@sample("sharded_115", "A sharded Saver with variables on three CPU devices: three data files; "
                       "the iterator is saved.")
def sharded(run):
    graph = Graph(examples().repeat().batch(BATCH_SIZE), save_iterator=True,
                  devices=("/cpu:0", "/cpu:1", "/cpu:2"))
    graph.train(run, new_saver(sharded=True))


# ------------------------------------------------------------ Only for reading: every dtype.

SAVED_DTYPES = [
    tf.bool, tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64,
    tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128,
]


def values_of(dtype):
    """A few values of a numeric dtype, its extremes among them."""
    if dtype == tf.bool:
        return np.array([True, False, True])
    if dtype.is_integer:
        return np.array([dtype.min, 0, 1, dtype.max], dtype.as_numpy_dtype)
    if dtype.is_complex:
        return np.array([1 + 2j, -0.5j, 3], dtype.as_numpy_dtype)
    return np.array([-1.5, 0.0, 0.25, 448.0, np.inf, np.nan]).astype(dtype.as_numpy_dtype)


@sample("read/dtypes_115", "Variables of every dtype that a Saver can write, strings, scalars, "
                           "quantized values and an empty tensor. Only for reading.")
def dtypes(run):
    values = {dtype.name: values_of(dtype) for dtype in SAVED_DTYPES}
    values.update(
        float_scalar=np.float32(2.5),
        int_scalar=np.int64(-7),
        empty=np.zeros([0, 3], np.float32),
        string_scalar="one string",
        string_matrix=[["a", "", "bcd"], ["", u"\u00e9\u00e8", "x" * 200]],
    )
    for name, value in values.items():
        tf.compat.v1.get_variable(name, initializer=tf.constant(value), use_resource=True)
    with tf.compat.v1.Session() as session:
        session.run(tf.compat.v1.global_variables_initializer())
        tf.io.gfile.makedirs(run.directory)
        new_saver().save(session, run.directory + "/model.ckpt")

        floats = tf.constant([[-1.0, 0.5], [0.0, 1.0]])
        quantized = {
            dtype.name: tf.quantization.quantize(floats, -1.0, 1.0, dtype).output
            for dtype in (tf.qint8, tf.quint8, tf.qint16, tf.quint16, tf.qint32)
        }
        names = sorted(quantized)
        session.run(tf.raw_ops.SaveV2(
            prefix=run.directory + "/by_name", tensor_names=names,
            shape_and_slices=[""] * len(names), tensors=[quantized[name] for name in names]))
    run.keep()


if __name__ == "__main__":
    _common.main()
