"""Training programs as people write them, each process of them forked from one that has imported
TensorFlow; every id that a step trained on is logged.

    recipe      how the program feeds its training
    data        what it is fed with: a pass has 22 examples, in batches of 4, in a fixed order
    restart     what the second process goes on from
    order       whether the recorder's callback stands before or behind the others
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

SIZE, BATCH = 22, 4
PER_PASS = -(-SIZE // BATCH)
FLUSH_S = 0.05


@dataclass(frozen=True)
class Case:
    """One program, and how its second process begins.

    Attributes:
        saves: steps after which a checkpoint is written.
        kill: the step after which the first process is killed; ``go_on`` the checkpoint's step that
            the second one restores.
        keeps: the data's state is saved and restored.
    """

    recipe: str
    data: str
    restart: str
    order: str = "before"
    saves: tuple[int, ...] = (4, 6, 9)
    kill: int = 10
    go_on: int = 9
    keeps: bool = True
    last: int = 20

    @property
    def name(self) -> str:
        return "-".join((self.recipe, self.data, self.restart, self.order))


def dataset(kind: str, directory: Path) -> Any:
    """A pass of ids, in batches."""
    import tensorflow as tf

    if kind == "known":
        ids = tf.data.Dataset.range(SIZE)
    elif kind == "filter":
        ids = (
            tf.data.Dataset.range(2 * SIZE)
            .filter(lambda i: tf.equal(i % 2, 0))
            .map(lambda i: i // 2)
        )
    elif kind == "generator":
        ids = tf.data.Dataset.from_generator(
            lambda: iter(range(SIZE)), output_types=tf.int64, output_shapes=[]
        )
    else:
        names = [str(directory / f"data-{number}.tfrecord") for number in range(2)]
        for number, name in enumerate(names):
            if not os.path.exists(name):
                with tf.io.TFRecordWriter(name) as file:
                    for i in range(number * SIZE // 2, (number + 1) * SIZE // 2):
                        file.write(str(i).encode())
        ids = tf.data.TFRecordDataset(names).map(lambda r: tf.strings.to_number(r, tf.int64))
    return ids.map(lambda i: (tf.reshape(tf.cast(i, tf.float32), [1]),) * 2).batch(BATCH)


class Log:
    """What was really trained on: (attempt, step, epoch, ids)."""

    def __init__(self, directory: Path, attempt: int) -> None:
        self.path, self.attempt = directory / "truth.jsonl", attempt

    def add(self, step: int, epoch: int, ids: list[int]) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps([self.attempt, step, epoch, ids]) + "\n")


def killed(directory: Path, case: Case) -> None:
    """Once the rows are on disk, however busy the machine is."""
    deadline = time.monotonic() + 10.0
    time.sleep(4 * FLUSH_S)
    while time.monotonic() < deadline and 0 <= num_rows(directory) < case.kill:
        time.sleep(FLUSH_S)
    time.sleep(4 * FLUSH_S)
    os.kill(os.getpid(), signal.SIGKILL)


def num_rows(directory: Path) -> int:
    """Rows on disk; -1 where no reader can be had."""
    try:
        from ckptscope.recording.reader import read_recording
    except (ImportError, SyntaxError):
        return -1
    return max((found.num_rows for found in read_recording(str(directory))), default=0)


# ------------------------------------------------------------ loops


def loop(case: Case, directory: Path, attempt: int) -> None:
    """One iterator over a repeated dataset, in the checkpoint or not."""
    import tensorflow as tf

    import ckptscope as cs

    data = dataset(case.data, directory).repeat()
    iterator, step = iter(data), tf.Variable(0, dtype=tf.int64)
    weight, given = tf.Variable(0.0), tf.Variable(0, dtype=tf.int64)
    kept = {"iterator": iterator, "given": given} if case.keeps else {}
    checkpoint = tf.train.Checkpoint(step=step, weight=weight, **kept)
    manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=None)
    restored = str(directory / f"ckpt-{case.go_on}") if attempt == 2 else None
    if restored is not None:
        checkpoint.restore(restored)
    log = Log(directory, attempt)
    with cs.record(
        str(directory),
        dataset=data,
        iterator=iterator,
        restored_from=restored,
        flush_interval_s=FLUSH_S,
    ) as recorder:
        while int(step) < case.last:
            ids = next(iterator)[0].numpy()[:, 0].astype(int).tolist()
            step.assign_add(1)
            given.assign_add(1)
            weight.assign_add(1.0)
            log.add(int(step), (int(given) - 1) // PER_PASS, ids)
            recorder.step(int(step))
            if int(step) in case.saves:
                recorder.saved(manager.save(checkpoint_number=step))
            if attempt == 1 and int(step) == case.kill:
                killed(directory, case)


def epochs(case: Case, directory: Path, attempt: int) -> None:
    """An iterator for each epoch, in the checkpoint or not."""
    import tensorflow as tf

    import ckptscope as cs

    data = dataset(case.data, directory)
    step, epoch = tf.Variable(0, dtype=tf.int64), tf.Variable(0, dtype=tf.int64)
    weight = tf.Variable(0.0)
    checkpoint = tf.train.Checkpoint(step=step, epoch=epoch, weight=weight)
    iterator = iter(data)
    if case.keeps:
        checkpoint.iterator = iterator
    manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=None)
    restored = str(directory / f"ckpt-{case.go_on}") if attempt == 2 else None
    if restored is not None:
        checkpoint.restore(restored)
    log = Log(directory, attempt)
    with cs.record(
        str(directory),
        dataset=data,
        iterator=iterator,
        restored_from=restored,
        flush_interval_s=FLUSH_S,
    ) as recorder:
        while int(step) < case.last:
            recorder.epoch(int(epoch), iterator=iterator)
            for batch, _ in iterator:
                step.assign_add(1)
                weight.assign_add(1.0)
                log.add(int(step), int(epoch), batch.numpy()[:, 0].astype(int).tolist())
                recorder.step(int(step))
                if int(step) in case.saves:
                    recorder.saved(manager.save(checkpoint_number=step))
                if attempt == 1 and int(step) == case.kill:
                    killed(directory, case)
                if int(step) >= case.last:
                    return
            epoch.assign_add(1)
            iterator = iter(data)
            if case.keeps:
                checkpoint.iterator = iterator


# ------------------------------------------------------------ fit


def model_of(log: Log, epoch_of: Callable[[], int]) -> Any:
    """A model that logs what each of its training steps is given."""
    import keras
    import tensorflow as tf

    class Model(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)
            self.made = tf.Variable(0, dtype=tf.int64, trainable=False)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs / 100.0)

        def train_step(self, data: Any) -> Any:
            def note(ids: Any) -> None:
                log.add(next(counter), epoch_of(), ids[:, 0].astype(int).tolist())

            tf.numpy_function(note, [data[0]], [])
            return super().train_step(data)

    counter: Iterator[int] = iter(range(1, 1 << 20))
    made = Model()
    made(tf.zeros([1, 1]))
    return made


def fit(case: Case, directory: Path, attempt: int) -> None:
    """``fit`` with checkpoints of one's own, or with BackupAndRestore; steps are numbered within
    the process.
    """
    import keras
    import tensorflow as tf

    import ckptscope as cs

    running = [0]
    log = Log(directory, attempt)
    model = model_of(log, lambda: running[0])
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    data = dataset(case.data, directory)
    restored, initial = None, 0
    checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer)
    manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=None)
    own = case.recipe == "fit"
    if attempt == 2 and own:
        model.optimizer.build(model.trainable_variables)
        restored = str(directory / f"ckpt-{case.go_on}")
        checkpoint.restore(restored)
        initial = case.go_on // PER_PASS
    position = cs.keras.DataPosition(
        str(directory), dataset=data, restored_from=restored, flush_interval_s=FLUSH_S
    )

    class Own(keras.callbacks.Callback):  # type: ignore[misc]
        made = case.go_on if attempt == 2 else 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            running[0] = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.made += 1
            if own and self.made in case.saves:
                position.recorder.saved(manager.save(checkpoint_number=self.made))
            if attempt == 1 and self.made == case.kill:
                position.catch_up()  # nothing in the way of callbacks behind this one
                killed(directory, case)

    callbacks = [Own()]
    if not own:
        freq = case.go_on if case.restart in ("lost", "exact") else "epoch"
        callbacks.insert(0, keras.callbacks.BackupAndRestore(str(directory / "backup"), freq))
    callbacks.insert(0 if case.order == "before" else len(callbacks), position)
    model.fit(data, epochs=4, initial_epoch=initial, verbose=0, callbacks=callbacks)


# ------------------------------------------------------------ sessions


@dataclass(frozen=True)
class Data:
    """What a session is fed with."""

    kind: str
    directory: Path
    size: int = SIZE
    batch: int = BATCH
    per_pass: int = PER_PASS
    flush_s: float = FLUSH_S

    def dataset(self) -> Any:
        return dataset(self.kind, self.directory)


def session(case: Case, directory: Path, attempt: int) -> None:
    """A MonitoredTrainingSession, whose hook or Saver keeps the iterator."""
    from tests.oracle import session_recipes

    log, data = Log(directory, attempt), Data(case.data, directory)
    session_recipes.train(case, directory, attempt, data, log, killed)


PROGRAMS: dict[str, Callable[[Case, Path, int], None]] = {
    "loop": loop,
    "epochs": epochs,
    "fit": fit,
    "backup": fit,
    "hook": session,
    "session": session,
}


def run(case: Case, directory: Path) -> None:
    """Both processes, one after the other; call it in a process that has imported TensorFlow and
    used nothing of it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for attempt in (1, 2):
        child = os.fork()
        if child == 0:
            try:
                with open(directory / f"out-{attempt}.txt", "w", encoding="utf-8") as out:
                    os.dup2(out.fileno(), 1)
                    os.dup2(out.fileno(), 2)
                    PROGRAMS[case.recipe](case, directory, attempt)
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        is_right = os.WIFSIGNALED(status) if attempt == 1 else status == 0
        if not is_right:
            text = (directory / f"out-{attempt}.txt").read_text()
            (directory / "failed.txt").write_text(f"process {attempt}: {text[-2000:]}")
            return


SESSIONS = ("hook", "session")
DATA = ("known", "tfrecord", "filter", "generator")


def cases() -> list[Case]:
    made = []
    for data in DATA:
        can_save = data != "generator"
        for recipe in ("loop", "epochs"):
            if can_save:
                made.append(Case(recipe, data, "exact"))
                made.append(Case(recipe, data, "older", go_on=4))
                made.append(Case(recipe, data, "epoch_end", go_on=6))
            made.append(Case(recipe, data, "lost", keeps=False))
        for order in ("before", "behind"):
            made.append(Case("fit", data, "epoch_end", order, go_on=6))
            made.append(Case("fit", data, "lost", order))
            made.append(Case("backup", data, "epoch_end", order, go_on=6))
            made.append(Case("backup", data, "lost", order))
        made.append(Case("fit", data, "older", go_on=4))
        for recipe, order in product(SESSIONS, ("before", "behind")):
            if can_save:
                made.append(Case(recipe, data, "exact", order))
                made.append(Case(recipe, data, "older", order, go_on=4))
                made.append(Case(recipe, data, "epoch_end", order, go_on=6))
            if recipe == "hook" or order == "before":
                made.append(Case(recipe, data, "lost", order, keeps=False))
    return made


def part_of(every: list[Case]) -> list[Case]:
    """The cases that CI runs: each recipe with each kind of data, restart and order."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for case in every:
        pairs = {(case.recipe, part) for part in (case.data, case.restart, case.order)}
        if not pairs <= seen:
            kept.append(case)
            seen |= pairs
    return kept


CASES = {case.name: case for case in cases()}


def main(directory: str, names: list[str]) -> None:
    """Run the cases that are named."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow

    print(tensorflow.__version__)
    if any(CASES[name].recipe not in SESSIONS for name in names):
        import keras  # noqa: F401

        import ckptscope as cs
        import ckptscope.keras

        assert cs
    for name in names:
        run(CASES[name], Path(directory) / name)


if __name__ == "__main__":
    import sys

    main(sys.argv[1], sys.argv[2:])
