"""Sessions as Estimators make them, killed and restarted; runs under TensorFlow 1.15 to 2.21 on
Python 3.7 and newer.

    hook       the iterator in a checkpoint of its own, as ``CheckpointInputPipelineHook`` saves it:
               a hook restores it before the first step, wherever it stands among the hooks
    session    a MonitoredTrainingSession whose Saver has everything, the iterator too"""

import os


def place_hook(v1, saver, directory, case, latest, step):
    """What ``CheckpointInputPipelineHook`` does: TensorFlow has it only where it has Estimators."""

    class Hook(v1.train.SessionRunHook):
        is_restored = False

        def before_run(self, run_context):
            if latest is not None and not self.is_restored:
                saver.restore(run_context.session, latest.replace("model.ckpt", "input.ckpt"))
            self.is_restored = True

        def after_run(self, run_context, run_values):
            done = int(run_context.session.run(step))
            if done in case.saves:
                path = os.path.join(directory, "input.ckpt")
                saver.save(run_context.session, path, done, "checkpoint_input")

    return Hook()


def restore_hook(v1, saver, latest):
    """Restores the iterator: it can be only when it is initialized."""

    class Hook(v1.train.SessionRunHook):
        def after_create_session(self, session, coord):
            if latest is not None:
                saver.restore(session, latest)

    return Hook()


def saver_hook(v1, saver, directory, case, step):
    """Saves after the steps that are named."""

    class Hook(v1.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            done = int(run_context.session.run(step))
            if done in case.saves:
                saver.save(run_context.session, os.path.join(directory, "model.ckpt"), done)

    return Hook()


def hook_class():
    """From the package; else from the one file."""
    try:
        from ckptscope.recording.portable import DataPositionHook
    except (ImportError, SyntaxError):
        from ckptscope_portable import DataPositionHook
    return DataPositionHook


def train(case, directory, attempt, data, log, killed):
    """One process: train to step ``case.last``, or be killed after step ``case.kill``."""
    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_eager_execution()
    v1.logging.set_verbosity("ERROR")
    directory = str(directory)
    iterator = v1.data.make_initializable_iterator(data.dataset().repeat())
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    ids = iterator.get_next()[0]
    step = v1.train.get_or_create_global_step()
    weight = v1.get_variable("weight", [], dtype=tf.float32)
    loss = tf.reduce_mean(tf.square(weight - 1e-3 * ids))
    update = v1.train.GradientDescentOptimizer(1e-2).minimize(loss, step)
    with tf.control_dependencies([update]):
        advance = step.read_value()
    weights = v1.train.Saver([step, weight], max_to_keep=None)
    saver, hooks, latest = weights, [], None
    if attempt == 2:
        latest = os.path.join(directory, f"model.ckpt-{case.go_on}")
        v1.train.update_checkpoint_state(directory, latest)
    if case.keeps:
        place = [tf.data.experimental.make_saveable_from_iterator(iterator)]
        if case.recipe == "hook":
            of_place = v1.train.Saver(place, max_to_keep=None)
            hooks = [place_hook(v1, of_place, directory, case, latest, step)]
        else:
            saver = v1.train.Saver([step, weight] + place, max_to_keep=None)
            hooks = [restore_hook(v1, saver, latest)]
    hooks.append(saver_hook(v1, saver, directory, case, step))
    position = hook_class()(
        directory, batch_size=data.batch, epoch_size=data.size, flush_interval_s=data.flush_s
    )
    hooks.insert(0 if case.order == "before" else len(hooks), position)
    with v1.train.MonitoredTrainingSession(
        scaffold=v1.train.Scaffold(saver=weights),
        checkpoint_dir=directory,
        hooks=hooks,
        save_checkpoint_secs=None,
        save_summaries_secs=None,
        save_summaries_steps=None,
    ) as session:
        done, given = 0, case.go_on if attempt == 2 and case.keeps else 0
        while done < case.last:
            _, done, batch = session.run([update, advance, ids])
            given += 1
            log.add(int(done), (given - 1) // data.per_pass, [int(i) for i in batch[:, 0]])
            if attempt == 1 and done == case.kill:
                killed(directory, case)
