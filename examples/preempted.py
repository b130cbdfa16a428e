"""A run that is preempted again and again: a picture of everything that can go wrong, for the
TensorBoard tab.

    python examples/preempted.py /tmp/logs       five processes, into /tmp/logs/preempted
    tensorboard --logdir /tmp/logs               and look at the tab "Data position"
    ckptscope report /tmp/logs -o report.html    or at one file

Six TFRecord files in a fixed order. The first restart is exact. The second takes its weights from
an older checkpoint than its iterator, which skips what lies between. The third restores everything
but the iterator, so that the data starts over. The last one goes on in place, but leaves the
iterator out of its own checkpoints, and is killed while it saves, which leaves half a file. Every
process logs the ids that it really trained on."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

FILES, RECORDS, BATCH, SAVE_EVERY = 6, 200, 8, 25
FLUSH_INTERVAL_S = 0.3


@dataclass(frozen=True)
class Process:
    """One start of the program: its last step, the checkpoint that it takes its weights from,
    and its data.
    """

    last: int
    weights: int | None = None
    data: int | None = None
    keeps_iterator: bool = True
    dies_saving: bool = False


PROCESSES = (
    Process(last=137),
    Process(last=212, weights=125, data=125),
    Process(last=264, weights=175, data=200),
    Process(last=350, weights=250),
    Process(last=404, weights=325, data=325, keeps_iterator=False, dies_saving=True),
)


def write_data(directory: Path) -> list[str]:
    """Files of records that hold their own number."""
    import tensorflow as tf

    directory.mkdir(parents=True, exist_ok=True)
    names = []
    for file in range(FILES):
        name = directory / f"train-{file:05d}.tfrecord"
        with tf.io.TFRecordWriter(str(name)) as writer:
            for record in range(RECORDS):
                writer.write(str(file * RECORDS + record).encode())
        names.append(str(name))
    return names


def train(directory: Path, process: Process) -> None:
    """Restore what the process restores, and train to its last step."""
    import tensorflow as tf

    import ckptscope as cs

    run, data = directory / "preempted", directory / "data"
    names = sorted(str(path) for path in data.glob("*.tfrecord")) or write_data(data)
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
    saved = everything if process.keeps_iterator else weights
    manager = tf.train.CheckpointManager(saved, str(run), max_to_keep=None, step_counter=step)
    origin = None if process.weights is None else str(run / f"ckpt-{process.weights}")
    if process.data is not None:
        everything.restore(str(run / f"ckpt-{process.data}")).expect_partial()
    if origin is not None:
        weights.restore(origin).expect_partial()
    with (
        cs.record(
            str(run),
            dataset=dataset,
            iterator=iterator,
            restored_from=origin,
            flush_interval_s=FLUSH_INTERVAL_S,
        ) as recorder,
        open(directory / "ids.jsonl", "a", encoding="utf-8") as log,
    ):
        while int(step) < process.last:
            ids = next(iterator)
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(tf.reshape(ids, [-1, 1])) - 1.0))
            optimizer.apply_gradients(
                zip(
                    tape.gradient(loss, model.trainable_variables),
                    model.trainable_variables,
                    strict=True,
                )
            )
            step.assign_add(1)
            log.write(
                json.dumps({"pid": os.getpid(), "step": int(step), "ids": [int(i) for i in ids]})
                + "\n"
            )
            recorder.step(int(step))
            if int(step) % SAVE_EVERY == 0:
                recorder.saved(manager.save(checkpoint_number=step))
        log.flush()
        time.sleep(4 * FLUSH_INTERVAL_S)
        if process.dies_saving:
            newest = Path(f"{manager.latest_checkpoint}.data-00000-of-00001")
            os.truncate(newest, newest.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run all processes, or one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--process", type=int, help="run only this one")
    arguments = parser.parse_args()
    if arguments.process is not None:
        train(arguments.directory.resolve(), PROCESSES[arguments.process])
        return
    for number in range(len(PROCESSES)):
        subprocess.run(
            [sys.executable, __file__, str(arguments.directory), "--process", str(number)],
            check=False,
        )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "ckptscope",
            "inspect",
            str(arguments.directory / "preempted"),
            "--all",
        ],
        check=True,
    )


if __name__ == "__main__":
    main()
