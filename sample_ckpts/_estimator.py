"""A tf.estimator program, for the releases that still have it (1.15 and 2.15)."""

import os

import tensorflow as tf
from _common import BATCH_SIZE, digest, examples

v1 = tf.compat.v1


def input_fn():
    dataset = examples().shuffle(20, seed=1).repeat().batch(BATCH_SIZE)
    return dataset.map(lambda batch: (batch, tf.reduce_sum(batch["x"], axis=1)))


def model_fn(features, labels, mode):
    kernel = v1.get_variable("kernel", [4, 6])
    bias = v1.get_variable("bias", [6])
    output = v1.get_variable("output", [6, 1])
    hidden = tf.tanh(tf.matmul(features["x"], kernel) + bias)
    predicted = tf.matmul(hidden, output)[:, 0]
    loss = tf.reduce_mean((predicted - labels) ** 2)
    step = v1.train.get_or_create_global_step()
    train_op = v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step)
    # Named, so that ReportingHook finds it.
    tf.identity(features["id"], name="example_ids")
    tf.identity(loss, name="example_loss")
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


class ReportingHook(v1.train.SessionRunHook):
    """Reports every step, the save at `save_at_step`, and what was restored."""

    def __init__(self, run, save_at_step=None):
        self.run = run
        self.save_at_step = save_at_step

    def components(self, session):
        """Fingerprints of the variables."""
        weights = v1.trainable_variables()
        step = v1.train.get_global_step()
        others = [v for v in v1.global_variables() if v is not step and v not in weights]
        return {
            "weights": digest(session.run(weights)),
            "optimizer": digest(session.run(others)),
            "step": int(session.run(step)),
        }

    def begin(self):
        graph = v1.get_default_graph()
        self.watched = [graph.get_tensor_by_name("example_ids:0"),
                        graph.get_tensor_by_name("example_loss:0")]
        self.run.new_iterator()

    def after_create_session(self, session, coord):
        if self.run.resuming:
            self.run.restored(self.components(session))

    def before_run(self, run_context):
        # All other hooks have finished the step before, so whatever they save is on disk.
        now = self.components(run_context.session)
        if now["step"] == self.save_at_step:
            self.save_at_step = None
            remove_large_files(self.run.directory, now["step"])
            self.run.saved(now["step"], now)
        return v1.train.SessionRunArgs(self.watched)

    def after_run(self, run_context, run_values):
        ids, loss = run_values.results
        self.run.trained(ids, loss)


def remove_large_files(directory, step):
    """Delete event files, the graph's text form, and the .meta files of earlier steps."""
    for name in os.listdir(directory):
        earlier_graph = name.endswith(".meta") and not name.endswith("ckpt-%d.meta" % step)
        if name.startswith("events.") or name == "graph.pbtxt" or earlier_graph:
            os.remove(os.path.join(directory, name))


def new_estimator(run, save_every):
    config = tf.estimator.RunConfig(
        model_dir=run.directory, save_checkpoints_steps=save_every, log_step_count_steps=None,
        save_summary_steps=None)
    return tf.estimator.Estimator(model_fn, config=config)


def input_hook(estimator):
    """The hook that saves the input pipeline, too."""
    return tf.data.experimental.CheckpointInputPipelineHook(estimator)


def plain(run):
    """train() without any hook for the data."""
    estimator = new_estimator(run, save_every=run.steps_before)
    if run.resuming:
        estimator.train(input_fn, steps=run.steps_after, hooks=[ReportingHook(run)])
    else:
        estimator.train(input_fn, steps=run.steps_before + run.steps_after,
                        hooks=[ReportingHook(run, save_at_step=run.steps_before)])


def with_hook(run):
    """train() with a CheckpointInputPipelineHook."""
    estimator = new_estimator(run, save_every=run.steps_before)
    hook = input_hook(estimator)
    if run.resuming:
        estimator.train(input_fn, steps=run.steps_after, hooks=[hook, ReportingHook(run)])
    else:
        estimator.train(input_fn, steps=run.steps_before + run.steps_after,
                        hooks=[hook, ReportingHook(run, save_at_step=run.steps_before)])


def with_reused_hook(run, resume_with_hook=True):
    """Two calls of train() that share one CheckpointInputPipelineHook."""
    estimator = new_estimator(run, save_every=run.steps_before)
    hook = input_hook(estimator)
    if run.resuming:
        hooks = [hook] if resume_with_hook else []
        estimator.train(input_fn, steps=run.steps_after, hooks=hooks + [ReportingHook(run)])
    else:
        estimator.train(input_fn, steps=run.steps_before, hooks=[hook, ReportingHook(run)])
        estimator.train(input_fn, steps=run.steps_before + run.steps_after,
                        hooks=[hook, ReportingHook(run, save_at_step=2 * run.steps_before)])
