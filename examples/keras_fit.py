"""``model.fit``, killed twice: restarted once at the end of an epoch (exactly), and once in
mid-epoch (which repeats).

    python examples/keras_fit.py /tmp/run       three processes, then the history of the run

Works with Keras 3 and with Keras 2.15. The dataset logs the ids that each process really trained
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

EXAMPLES, BATCH, EPOCHS, SAVE_EVERY = 40, 4, 4, 5
STEPS_PER_EPOCH = EXAMPLES // BATCH
FLUSH_INTERVAL_S = 0.2
# At which step each process is killed. Checkpoints are written every 5 steps: step 10 ends an
# epoch, step 25 does not.
KILLED_AT = (13, 27, None)


def train(directory: Path, kill_at: int | None) -> None:
    """Restore the latest checkpoint, and fit from its epoch on."""
    import keras
    import tensorflow as tf

    import ckptscope as cs

    examples = tf.reshape(tf.range(EXAMPLES, dtype=tf.float32), [EXAMPLES, 1])
    dataset = tf.data.Dataset.from_tensor_slices((examples, examples)).batch(BATCH)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=None)
    latest = manager.latest_checkpoint
    if latest is not None:
        checkpoint.restore(latest)
    position = cs.keras.DataPosition(
        str(directory), dataset=dataset, restored_from=latest, flush_interval_s=FLUSH_INTERVAL_S
    )
    start = int(model.optimizer.iterations)

    class SaveAndKill(keras.callbacks.Callback):
        """Saves in mid-epoch, too, as ``BackupAndRestore(save_freq=...)`` does."""

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            step = int(model.optimizer.iterations)
            # fit takes its batches in order from the start of each epoch.
            first = batch * BATCH
            with open(directory / "ids.jsonl", "a", encoding="utf-8") as log:
                ids = list(range(first, first + BATCH))
                log.write(json.dumps({"pid": os.getpid(), "step": step, "ids": ids}) + "\n")
            if step % SAVE_EVERY == 0:
                position.recorder.saved(manager.save(checkpoint_number=step))
            if step == kill_at:
                time.sleep(3 * FLUSH_INTERVAL_S)
                os.kill(os.getpid(), signal.SIGKILL)

    model.fit(
        dataset,
        epochs=EPOCHS,
        initial_epoch=start // STEPS_PER_EPOCH,
        verbose=0,
        callbacks=[position, SaveAndKill()],
    )


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
        train(arguments.directory, KILLED_AT[arguments.process])
        return
    for number in range(len(KILLED_AT)):
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
