# /// script
# requires-python = ">=3.7,<3.8"
# dependencies = ["tensorflow-cpu==1.15.0", "protobuf<3.21", "numpy<1.20"]
# ///
"""Makes the samples of TensorFlow 1.15 whose graph says what no variable shows.

The stored graph (`.meta`) is a witness: of keys that a Saver renamed, of what
training reads and changes, of how the data comes. In an environment with that
release, after `make_data.py`:

    python sample_ckpts/make_tf115_witnesses.py                     all of them
    python sample_ckpts/make_tf115_witnesses.py renamed_keys_115    only these
"""

import _common
import tensorflow as tf
from _common import BATCH_SIZE, EPOCH_SIZE, digest, examples, features_of, sample
from _session import Graph, new_saver

v1 = tf.compat.v1


def in_order():
    return examples().repeat().batch(BATCH_SIZE)


# ------------------------------------------------------------ Keys and slots.


class Uncounted(Graph):
    """minimize() without its global_step."""

    def update(self, loss):
        return v1.train.AdamOptimizer(0.01).minimize(loss)


@sample("step_never_raised_115", "minimize() was called without `global_step`: it is 0 after "
                                 "seven updates.")
def step_never_raised(run):
    Uncounted(in_order()).train(run, new_saver())


@sample("renamed_keys_115", "A Saver that stores every variable under a name of its own.")
def renamed_keys(run):
    graph = Graph(in_order())
    keys = {"net/" + v.op.name.replace("/Adam", "/slot"): v for v in v1.global_variables()}
    graph.train(run, new_saver(dict(keys, data=graph.saveable)))


class PartitionedFtrl(Graph):
    """FTRL, whose slots are partitioned as the weights are."""

    def update(self, loss):
        return v1.train.FtrlOptimizer(0.05).minimize(loss, global_step=self.step)


@sample("partitioned_ftrl_115", "Partitioned weights with FTRL: slots in slices, too.")
def partitioned_ftrl(run):
    PartitionedFtrl(in_order(), partitioner=v1.fixed_size_partitioner(2)).train(run, new_saver())


@sample("weight_left_out_115", "`bias` was left out of the Saver, its slots were not.")
def weight_left_out(run):
    graph = Graph(in_order())
    stored = [v for v in v1.global_variables() if v.op.name != "bias"]
    graph.train(run, new_saver(stored + [graph.saveable]))


# ------------------------------------------------------------ What training changes beside its weights.


class LocalBaseline(Graph):
    """Subtracts a running mean that is kept in a LOCAL variable, which no Saver stores."""

    def predict(self, x):
        self.mean = v1.get_variable(
            "running_mean", [], trainable=False, initializer=v1.zeros_initializer(),
            collections=[v1.GraphKeys.LOCAL_VARIABLES])
        return super(LocalBaseline, self).predict(x) - self.mean

    def update(self, loss):
        with tf.control_dependencies([super(LocalBaseline, self).update(loss)]):
            return v1.assign(self.mean, 0.9 * self.mean + 0.1 * loss)

    def components(self, session):
        mean = float(session.run(self.mean))
        return dict(super(LocalBaseline, self).components(session), **{"weights/mean": mean})


@sample("local_variable_115", "A running mean in a LOCAL variable, which a Saver leaves out; "
                              "training reads and changes it.")
def local_variable(run):
    LocalBaseline(in_order()).train(run, new_saver())


class TableOfVisits(Graph):
    """Counts how often each example was seen, in a hash table, and weights the loss by it."""

    def __init__(self, dataset):
        self.table = tf.lookup.experimental.DenseHashTable(
            tf.int64, tf.float32, default_value=0.0, empty_key=-1, deleted_key=-2,
            checkpoint=False)
        super(TableOfVisits, self).__init__(dataset)

    def update(self, loss):
        seen = self.table.lookup(self.ids)
        self.loss = loss / (1.0 + tf.reduce_mean(seen))
        with tf.control_dependencies([super(TableOfVisits, self).update(self.loss)]):
            return self.table.insert(self.ids, seen + 1.0)

    def components(self, session):
        count = session.run(self.table.size())
        return dict(super(TableOfVisits, self).components(session), **{"weights/table": int(count)})


@sample("table_not_saved_115", "A mutable hash table that training reads and changes, made with "
                               "checkpoint=False.")
def table_not_saved(run):
    TableOfVisits(in_order()).train(run, new_saver())


class FedRate(Graph):
    """The learning rate decays in Python and is fed."""

    def update(self, loss):
        self.rate, self.next_rate = v1.placeholder(tf.float32, [], "rate"), 0.02
        return v1.train.AdamOptimizer(self.rate).minimize(loss, global_step=self.step)

    def fed(self, number):
        self.next_rate = 0.02 * 0.9 ** (number + 1)
        return {self.rate: 0.02 * 0.9 ** number}

    def components(self, session):
        return dict(super(FedRate, self).components(session), lr_schedule=self.next_rate)


@sample("rate_fed_115", "The learning rate decays in Python, by the steps since the program "
                        "started, and is fed.",
        decidable=False, why="What the program feeds is nowhere in the files.")
def rate_fed(run):
    FedRate(in_order()).train(run, new_saver())


# ------------------------------------------------------------ How the data comes.


class Queue(Graph):
    """Data from a queue, as before tf.data."""

    def batch(self, dataset, save_iterator):
        ids = list(range(EPOCH_SIZE))
        one, x = v1.train.slice_input_producer(
            [tf.constant(ids, tf.int64), tf.constant(features_of(ids))], shuffle=False)
        one, x = v1.train.batch([one, x], BATCH_SIZE)
        return {"id": one, "x": x}

    def begin(self, session):
        v1.train.start_queue_runners(session, tf.train.Coordinator())


@sample("queue_115", "Data from a queue (slice_input_producer and batch): queues are never stored.")
def queue(run):
    Queue().train(run, new_saver())


if __name__ == "__main__":
    _common.main()
