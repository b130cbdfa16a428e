"""A MonitoredSession, as Estimators use it, killed twice: restarted exactly once, and once without
its place.

    python examples/estimator_style.py /tmp/run      three processes, then the history of the run

Runs under TensorFlow 1.15 to 2.21, on Python 3.7 and newer: where ckptscope cannot be installed it
records through the one file that ``python ckptscope/recording/portable`` prints. The history is
printed by ``ckptscope inspect`` on any machine. Weights, optimizer, step and iterator are saved
together: every checkpoint resumes exactly, but for ``model.ckpt-20``. The last session writes that
one again as it begins, with its iterator at the start. Every process logs the ids that it really
trained on."""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

EXAMPLES, BATCH, SAVE_EVERY = 40, 4, 5
FLUSH_INTERVAL_S = 0.2
# (last step, what the checkpoint's restore includes) of each process; all but the last are killed.
PROCESSES = ((12, "everything"), (21, "everything"), (27, "weights"))
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "ckptscope")


def has_package():
    """Whether ckptscope is installed here, which needs Python 3.11."""
    try:
        importlib.import_module("ckptscope.cli")
    except (ImportError, SyntaxError):
        return False
    return True


def hook_class():
    """From the package; else from the one file, made as it would be for a machine that has nothing
    else.
    """
    if has_package():
        from ckptscope.recording.portable import DataPositionHook

        return DataPositionHook
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "ckptscope_portable.py"), "w") as file:
            source = os.path.join(SOURCE, "recording", "portable")
            subprocess.run([sys.executable, source], stdout=file, check=True)
        sys.path.insert(0, directory)
        return importlib.import_module("ckptscope_portable").DataPositionHook


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
        loss = tf.reduce_mean(tf.square(weight - 1e-3 * tf.cast(ids, tf.float32)))
        optimizer = v1.train.MomentumOptimizer(1e-2, 0.9)
        update = optimizer.minimize(loss, global_step=step)
        with tf.control_dependencies([update]):
            advance = step.read_value()
        place = tf.data.experimental.make_saveable_from_iterator(iterator)
        weights = v1.train.Saver(v1.global_variables())
        everything = v1.train.Saver(v1.global_variables() + [place], max_to_keep=None)
        latest = tf.train.latest_checkpoint(str(directory))

        class RestorePlace(v1.train.SessionRunHook):
            """An iterator can be restored only when it is initialized. Before the saver's hook, which
            writes the checkpoint again when a session begins.
            """

            def after_create_session(self, session, coord):
                if latest is not None and restore == "everything":
                    everything.restore(session, latest)

        hooks = [
            hook_class()(
                str(directory),
                batch_size=BATCH,
                epoch_size=EXAMPLES,
                flush_interval_s=FLUSH_INTERVAL_S,
            ),
            RestorePlace(),
            v1.train.CheckpointSaverHook(str(directory), save_steps=SAVE_EVERY, saver=everything),
        ]
        scaffold = v1.train.Scaffold(saver=weights)
        creator = v1.train.ChiefSessionCreator(scaffold, checkpoint_dir=str(directory))
        log = open(os.path.join(directory, "ids.jsonl"), "a")
        with log, v1.train.MonitoredSession(creator, hooks) as session:
            done = 0
            while done < last:
                _, done, batch = session.run([update, advance, ids])
                row = {"pid": os.getpid(), "step": int(done), "ids": batch.tolist()}
                log.write(json.dumps(row) + "\n")
                log.flush()
            if not is_last:
                # What is older than the interval is on disk, though no further step comes.
                time.sleep(5 * FLUSH_INTERVAL_S)
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
        train(arguments.directory, *PROCESSES[arguments.process], is_last=last)
        return
    for number in range(len(PROCESSES)):
        subprocess.run(
            [sys.executable, __file__, arguments.directory, "--process", str(number)], check=False
        )
    command = ["-m", "ckptscope", "inspect", arguments.directory, "--all"]
    if has_package():
        subprocess.run([sys.executable] + command, check=True)
    else:
        print("Recorded. Where ckptscope is installed:\n  python " + " ".join(command))


if __name__ == "__main__":
    main()
