"""A plain training loop that is killed twice: restarted exactly once, and once without its place in
the data.

    python examples/plain_loop.py /tmp/run       three processes, then the history of the run

TFRecord files in a fixed order, two epochs and more. Model, optimizer, step and iterator are saved
together: every checkpoint resumes exactly. Every process logs the ids that it really trained
on."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FILES, RECORDS, BATCH, SAVE_EVERY = 3, 16, 4, 5
FLUSH_INTERVAL_S = 0.5
# (last step, how to restore) of each process; all but the last are killed.
PROCESSES = ((13, "new"), (22, "exact"), (30, "weights"))


def write_data(directory: Path) -> list[str]:
    """Three files of records that hold their own number."""
    import tensorflow as tf

    names = []
    for file in range(FILES):
        name = directory / f"train-{file:05d}.tfrecord"
        with tf.io.TFRecordWriter(str(name)) as writer:
            for record in range(RECORDS):
                writer.write(str(file * RECORDS + record).encode())
        names.append(str(name))
    return names


def train(directory: Path, last: int, restore: str) -> None:
    """Train to step ``last``."""
    import tensorflow as tf

    import ckptscope as cs

    names = sorted(str(path) for path in directory.glob("*.tfrecord")) or write_data(directory)
    dataset = (
        tf.data.TFRecordDataset(names).map(tf.strings.to_number).repeat().batch(BATCH).prefetch(2)
    )
    iterator = iter(dataset)
    model = tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1)])
    optimizer = tf.keras.optimizers.SGD(1e-9, momentum=0.9)
    optimizer.build(model.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64)
    weights = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step)
    everything = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, iterator=iterator)
    manager = tf.train.CheckpointManager(
        everything, str(directory), max_to_keep=None, step_counter=step
    )
    latest = manager.latest_checkpoint
    if latest is not None:
        # Leaving the iterator out of the restored checkpoint is what makes the data start over.
        restored = everything if restore == "exact" else weights
        restored.restore(latest).expect_partial()
    with (
        cs.record(
            str(directory),
            dataset=dataset,
            iterator=iterator,
            restored_from=latest,
            flush_interval_s=FLUSH_INTERVAL_S,
        ) as recorder,
        open(directory / "ids.jsonl", "a", encoding="utf-8") as log,
    ):
        while int(step) < last:
            ids = next(iterator)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(tf.reshape(ids, [-1, 1])) - 1.0))
            variables = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            step.assign_add(1)
            log.write(
                json.dumps({"pid": os.getpid(), "step": int(step), "ids": [int(i) for i in ids]})
                + "\n"
            )
            recorder.step(int(step))
            if int(step) % SAVE_EVERY == 0:
                recorder.saved(manager.save(checkpoint_number=step))
        if last != PROCESSES[-1][0]:
            log.flush()
            time.sleep(3 * FLUSH_INTERVAL_S)
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run all processes, or one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--process", type=int, help="run only this one")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    if arguments.process is not None:
        train(arguments.directory, *PROCESSES[arguments.process])
        return
    for number in range(len(PROCESSES)):
        subprocess.run(
            [sys.executable, __file__, str(arguments.directory), "--process", str(number)],
            check=False,
        )
    subprocess.run(
        [sys.executable, "-m", "ckptscope", "inspect", str(arguments.directory), "--all"],
        check=True,
    )


if __name__ == "__main__":
    main()
