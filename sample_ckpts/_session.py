"""A graph with a model, an optimizer and an iterator, and a session loop around it.

What the samples of TensorFlow 1.15 that save with a Saver have in common.
"""

import tensorflow as tf
from _common import BATCH_SIZE, RECORD_FILES, digest, parse_records


def records():
    """TFRecord files in a seeded shuffle."""
    dataset = tf.data.TFRecordDataset(RECORD_FILES).shuffle(20, seed=1).repeat()
    return dataset.batch(BATCH_SIZE).map(parse_records)


def new_saver(*variables, **options):
    return tf.compat.v1.train.Saver(*variables, save_relative_paths=True, **options)


class Graph:
    """The graph; samples that train otherwise override `batch`, `predict` or `update`."""

    def __init__(self, dataset=None, save_iterator=True, partitioner=None,
                 devices=("/cpu:0",) * 3):
        self.partitioner = partitioner
        self.devices = devices
        with tf.device(devices[0]):
            batch = self.batch(dataset, save_iterator)
        self.ids = batch["id"]
        with tf.device(devices[2]):
            self.step = tf.compat.v1.train.get_or_create_global_step()
        predicted = self.predict(batch["x"])
        self.loss = tf.reduce_mean((predicted - tf.reduce_sum(batch["x"], axis=1)) ** 2)
        self.train_op = self.update(self.loss)

    def batch(self, dataset, save_iterator):
        """The next batch, as tensors."""
        self.iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
        self.saveable = None
        if save_iterator:
            self.saveable = tf.data.experimental.make_saveable_from_iterator(self.iterator)
            tf.compat.v1.add_to_collection(
                tf.compat.v1.GraphKeys.SAVEABLE_OBJECTS, self.saveable)
        return self.iterator.get_next()

    def predict(self, x):
        with tf.device(self.devices[0]):
            kernel = tf.compat.v1.get_variable("kernel", [4, 6], partitioner=self.partitioner)
        with tf.device(self.devices[1]):
            bias = tf.compat.v1.get_variable("bias", [6])
        with tf.device(self.devices[2]):
            output = tf.compat.v1.get_variable("output", [6, 1], partitioner=self.partitioner)
        hidden = tf.tanh(tf.matmul(x, kernel) + bias)
        return tf.matmul(hidden, output)[:, 0]

    def update(self, loss):
        """The op that trains."""
        optimizer = tf.compat.v1.train.AdamOptimizer(0.01)
        return optimizer.minimize(loss, global_step=self.step)

    def components(self, session):
        """Fingerprints of what the program holds; samples with more to hold extend it."""
        weights = tf.compat.v1.trainable_variables()
        others = [v for v in tf.compat.v1.global_variables()
                  if v is not self.step and v not in weights]
        return {
            "weights": digest(session.run(weights)),
            "optimizer": digest(session.run(others)),
            "step": int(session.run(self.step)),
        }

    def fed(self, number):
        """What is fed in the step of this number, counted since the program started."""
        return {}

    def begin(self, session):
        """Initialise what the data comes from."""
        session.run(self.iterator.initializer)

    def steps(self, run, session, count):
        for number in range(count):
            ids, loss, _ = session.run([self.ids, self.loss, self.train_op],
                                       self.fed(run.steps_made() + number))
            run.trained(ids, loss)

    def train(self, run, saver):
        """The whole program: train, save and go on; or restore and go on."""
        config = tf.compat.v1.ConfigProto(device_count={"CPU": 3}, intra_op_parallelism_threads=1,
                                          allow_soft_placement=True)
        with tf.compat.v1.Session(config=config) as session:
            session.run([tf.compat.v1.global_variables_initializer(),
                         tf.compat.v1.local_variables_initializer(),
                         tf.compat.v1.tables_initializer()])
            self.begin(session)
            if run.resuming:
                saver.restore(session, tf.train.latest_checkpoint(run.directory))
                run.restored(self.components(session))
            else:
                self.steps(run, session, run.steps_before)
                tf.io.gfile.makedirs(run.directory)
                saver.save(session, run.directory + "/model.ckpt", global_step=run.steps_before)
                run.saved(run.steps_made(), self.components(session))
            self.steps(run, session, run.steps_after)
