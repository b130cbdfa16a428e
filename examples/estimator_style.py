"""A MonitoredSession, as Estimators use it, killed twice: restarted exactly once, and once without
its place.

    python examples/estimator_style.py /tmp/run      three processes, then the history of the run

Runs under TensorFlow 1.15 to 2.21; under 1.15 only the hook's own file is needed. Every process
logs the ids that it really trained on."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

EXAMPLES, BATCH, SAVE_EVERY = 40, 4, 5
FLUSH_INTERVAL_S = 0.2
# (last step, what the checkpoint's restore includes) of each process; all but the last are killed.
PROCESSES = ((12, "everything"), (21, "everything"), (27, "weights"))


def hook_class():
    """From the package, or from a copy of its file beside this one."""
    try:
        from ckptscope.recording.estimator_hook import DataPositionHook
    except (ImportError, SyntaxError):
        from estimator_hook import DataPositionHook
    return DataPositionHook


def train(directory, last, restore, is_last):
    """Train to step ``last``."""
    import tensorflow as tf

    v1 = tf.compat.v1
    v1.disable_eager_execution()
    v1.logging.set_verbosity("ERROR")
    with tf.Graph().as_default():
        dataset = tf.data.Dataset.range(EXAMPLES).repeat().batch(BATCH).prefetch(1)
        iterator = v1.data.make_initializable_iterator(dataset)
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        ids = iterator.get_next()
        weight = v1.get_variable("weight", [], dtype=tf.float32)
        step = v1.train.get_or_create_global_step()
        update = v1.assign_add(weight, 1e-3 * tf.reduce_sum(tf.cast(ids, tf.float32)))
        with tf.control_dependencies([update]):
            advance = v1.assign_add(step, 1)
        place = tf.data.experimental.make_saveable_from_iterator(iterator)
        weights = v1.train.Saver([weight, step])
        everything = v1.train.Saver([weight, step, place], max_to_keep=None)
        latest = tf.train.latest_checkpoint(str(directory))

        class RestorePlace(v1.train.SessionRunHook):
            """As CheckpointInputPipelineHook does it: an iterator can be restored only when it
            is initialized.
            """

            def after_create_session(self, session, coord):
                if latest is not None and restore == "everything":
                    everything.restore(session, latest)

        hooks = [
            RestorePlace(),
            v1.train.CheckpointSaverHook(str(directory), save_steps=SAVE_EVERY, saver=everything),
            hook_class()(
                str(directory),
                batch_size=BATCH,
                epoch_size=EXAMPLES,
                flush_interval_s=FLUSH_INTERVAL_S,
            ),
        ]
        scaffold = v1.train.Scaffold(saver=weights)
        creator = v1.train.ChiefSessionCreator(scaffold, checkpoint_dir=str(directory))
        with (
            v1.train.MonitoredSession(creator, hooks) as session,
            open(os.path.join(directory, "ids.jsonl"), "a") as log,
        ):
            done = 0
            while done < last:
                if done == last - 1 and not is_last:
                    time.sleep(
                        2 * FLUSH_INTERVAL_S
                    )  # so that the last step before the end is written at once
                _, done, batch = session.run([update, advance, ids])
                log.write(
                    json.dumps({"pid": os.getpid(), "step": int(done), "ids": batch.tolist()})
                    + "\n"
                )
                log.flush()
            if not is_last:
                os.kill(os.getpid(), signal.SIGKILL)


def main():
    """Run all processes, or one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory")
    parser.add_argument("--process", type=int, help="run only this one")
    arguments = parser.parse_args()
    os.makedirs(arguments.directory, exist_ok=True)
    if arguments.process is not None:
        last = arguments.process == len(PROCESSES) - 1
        train(arguments.directory, *PROCESSES[arguments.process], last)
        return
    for number in range(len(PROCESSES)):
        subprocess.run(
            [sys.executable, __file__, arguments.directory, "--process", str(number)], check=False
        )
    subprocess.run(
        [sys.executable, "-m", "ckptscope", "inspect", arguments.directory, "--all"], check=True
    )


if __name__ == "__main__":
    main()
