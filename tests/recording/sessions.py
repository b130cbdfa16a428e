"""A MonitoredSession that trains on numbers and says which; runs under TensorFlow 1.15 to 2.21 on
Python 3.7 and newer.
"""

import os

EXAMPLES, BATCH, SAVE_EVERY = 80, 4, 5
SOURCES = ("range", "arrays", "filter", "generator")


class Stopped(Exception):
    """Something of the program's own goes wrong."""


def dataset_of(tf, source, skip, begin):
    if source == "generator":
        dataset = tf.data.Dataset.from_generator(lambda: iter(range(EXAMPLES)), tf.int64)
    elif source == "arrays" or begin:
        dataset = tf.data.Dataset.from_tensor_slices(list(range(begin, EXAMPLES)))
        dataset = dataset.map(lambda number: tf.cast(number, tf.int64))
    else:
        dataset = tf.data.Dataset.range(EXAMPLES)
    if source == "filter":
        dataset = dataset.filter(lambda number: number >= 0)
    if skip:
        dataset = dataset.skip(skip)
    return dataset.batch(BATCH).repeat().prefetch(1)


def train(
    directory,
    hooks,
    last,
    source="range",
    order="hook first",
    restore="nothing",
    skip=0,
    slice=0,
    stop_at=None,
    abort_at=None,
    pauses=None,
):
    """Train to step ``last``; (step, ids) of all steps that were made.

    Args:
        stop_at: the program fails after this step, so that no hook is told of an end.
        abort_at: the session is lost after this step, and recovered from the newest checkpoint.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    directory = str(directory)
    with tf.Graph().as_default():
        iterator = v1.data.make_initializable_iterator(dataset_of(tf, source, skip, slice))
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        ids = iterator.get_next()
        weight = v1.get_variable("weight", [], dtype=tf.float32)
        step = v1.train.get_or_create_global_step()
        update = v1.assign_add(weight, 1e-3 * tf.reduce_sum(tf.cast(ids, tf.float32)))
        with tf.control_dependencies([update]):
            advance = v1.assign_add(step, 1)
        weights = v1.train.Saver([weight, step], max_to_keep=None)
        place = None
        if source != "generator":
            saveable = tf.data.experimental.make_saveable_from_iterator(iterator)
            place = v1.train.Saver([saveable], max_to_keep=None)
        latest = None
        if restore == "everything":
            latest = tf.train.latest_checkpoint(directory, "checkpoint_input")
        aborted = []

        class Program(v1.train.SessionRunHook):
            """Saves and restores the iterator as CheckpointInputPipelineHook does, and goes wrong
            where it is told to.
            """

            is_restored = False

            def save(self, session, done):
                if place is not None:
                    path = os.path.join(directory, "input.ckpt")
                    place.save(session, path, done, "checkpoint_input", write_meta_graph=False)

            def before_run(self, run_context):
                if latest is not None and not self.is_restored:
                    place.restore(run_context.session, latest)
                self.is_restored = True

            def after_run(self, run_context, run_values):
                done = int(run_context.session.run(step))
                if done % SAVE_EVERY == 0:
                    self.save(run_context.session, done)
                if done == abort_at and not aborted:
                    aborted.append(done)
                    raise tf.errors.AbortedError(None, None, "a worker is gone")

            def end(self, session):
                self.save(session, int(session.run(step)))

        saver = v1.train.CheckpointSaverHook(directory, save_steps=SAVE_EVERY, saver=weights)
        others = [saver, Program()]
        hooks = hooks + others if order == "hook first" else others + hooks
        # The recovered session restores what a Scaffold's saver can.
        scaffold = v1.train.Scaffold(saver=weights)
        path = None if restore == "nothing" and abort_at is None else directory
        creator = v1.train.ChiefSessionCreator(scaffold, checkpoint_dir=path)
        os.makedirs(directory, exist_ok=True)
        rows, done = [], 0
        try:
            with v1.train.MonitoredSession(creator, hooks) as session:
                while done < last:
                    _, done, batch = session.run([update, advance, ids])
                    rows.append((int(done), [int(number) for number in batch]))
                    if done == stop_at:
                        raise Stopped(done)
                    if pauses and done in pauses:
                        pauses[done]()
        except Stopped:
            pass
        return rows
