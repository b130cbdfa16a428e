"""Where a restarted loop's data begins, however the program arranges it: what is recorded against
the ids that its steps were given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ckptscope as cs
from ckptscope.checkpoint.run_record import read_run_record
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.positions import positions_of

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::RuntimeWarning")]
SIZE = 40


def ids(start: int = 0, stop: int = SIZE) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(tf.range(start, stop, dtype=tf.int64))


def files_of(directory: Path, first: int) -> Any:
    """Records of four files, without the first ones."""
    import tensorflow as tf

    names = [str(directory / f"data-{number}.tfrecord") for number in range(4)]
    for number, name in enumerate(names):
        if not Path(name).exists():
            with tf.io.TFRecordWriter(name) as file:
                for i in range(number * 10, number * 10 + 10):
                    file.write(str(i).encode())
    return tf.data.TFRecordDataset(names[first:]).map(lambda r: tf.strings.to_number(r, tf.int64))


class Program:
    """A loop that saves every five steps, and is made anew for each process."""

    def __init__(
        self, directory: Path, dataset: Any, *, saves: bool = True, restored: int | None = None
    ) -> None:
        import tensorflow as tf

        self.directory, self.dataset = directory, dataset
        self.iterator = iter(dataset)
        self.step = tf.Variable(0, dtype=tf.int64)
        kept = {"iterator": self.iterator} if saves else {}
        self.checkpoint = tf.train.Checkpoint(step=self.step, **kept)
        self.manager = tf.train.CheckpointManager(self.checkpoint, str(directory), None)
        self.prefix = None if restored is None else str(directory / f"ckpt-{restored}")
        if self.prefix is not None:
            self.checkpoint.restore(self.prefix).expect_partial()
        self.given: list[list[int]] = []

    def record(self, **told: Any) -> Any:
        return cs.record(
            str(self.directory),
            dataset=self.dataset,
            restored_from=self.prefix,
            flush_interval_s=0.05,
            **told,
        )

    def train(self, recorder: Any, until: int, iterator: Iterator[Any] | None = None) -> None:
        for batch in self.iterator if iterator is None else iterator:
            self.given.append(batch.numpy().tolist())
            self.step.assign_add(1)
            recorder.step(int(self.step))
            if int(self.step) % 5 == 0:
                recorder.saved(self.manager.save(checkpoint_number=self.step))
            if int(self.step) >= until:
                return


Beginning = Callable[[Path], tuple[Any, dict[str, Any]]]
BEGINNINGS: dict[str, Beginning] = {
    "skip behind the batch": lambda _: (ids().batch(4).skip(5), {}),
    "skip before the batch": lambda _: (ids().skip(20).batch(4), {}),
    "a repeated stream, skipped": lambda _: (ids().repeat().batch(4).skip(5), {}),
    "a range that begins later": lambda _: (_range(20), {}),
    "a sliced array, told": lambda _: (ids(20).batch(4), {"start": 20}),
    "a sliced array, told in batches": lambda _: (ids(20).batch(4), {"skipped": 5}),
    "files that were read are left out": lambda directory: (files_of(directory, 2).batch(4), {}),
}
FIRST: dict[str, Callable[[Path], Any]] = {
    "a repeated stream, skipped": lambda _: ids().repeat().batch(4),
    "files that were read are left out": lambda directory: files_of(directory, 0).batch(4),
}


def _range(start: int) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.range(start, SIZE).batch(4)


@pytest.mark.parametrize("name", BEGINNINGS)
def test_data_that_begins_later_is_in_place(name, tmp_path):
    whole = FIRST.get(name, lambda _: ids().batch(4))
    first = Program(tmp_path, whole(tmp_path), saves=False)
    with first.record(iterator=first.iterator) as recorder:
        first.train(recorder, 5)
    dataset, told = BEGINNINGS[name](tmp_path)
    second = Program(tmp_path, dataset, saves=False, restored=5)
    with second.record(iterator=second.iterator, **told) as recorder:
        second.train(recorder, 8)
    assert second.given[0] == [20, 21, 22, 23]
    history = cs.history(str(tmp_path))
    (restart,) = history.restarts
    assert (restart.reason, restart.moved) == (None, 0)
    assert (restart.repeated, restart.skipped) == ((), ())
    assert positions_of(history.attempts[1]).examples.tolist() == [24, 28, 32]


def test_a_sliced_array_that_is_not_told_is_not_known(tmp_path):
    first = Program(tmp_path, ids().batch(4), saves=False)
    with first.record(iterator=first.iterator) as recorder:
        first.train(recorder, 5)
    second = Program(tmp_path, ids(20).batch(4), saves=False, restored=5)
    with second.record(iterator=second.iterator) as recorder:
        second.train(recorder, 8)
    (restart,) = cs.history(str(tmp_path)).restarts
    assert (restart.reason, restart.moved) == (
        "the size of an epoch changed between the attempts",
        None,
    )


def test_an_iterator_that_is_not_given_is_decoded_from_the_first_checkpoint(tmp_path):
    made = ids().repeat().batch(4)
    first = Program(tmp_path, made)
    with first.record() as recorder:
        first.train(recorder, 7)
    second = Program(tmp_path, made, restored=5)
    with second.record() as recorder:
        second.train(recorder, 17)
    history = cs.history(str(tmp_path))
    (restart,) = history.restarts
    assert (restart.reason, restart.moved, restart.repeated) == (None, 0, ())
    found = history.attempts[1]
    assert positions_of(found).batches.tolist() == list(range(6, 18))
    assert all(saved.disagreement is None for saved in found.checkpoints)
    record, _ = read_run_record(str(tmp_path / "ckpt-15"))
    assert (record.counted_batches, record.epoch, record.examples_into_epoch) == (15, 1, 20)


def test_a_batch_of_another_size_counts_its_own_examples(tmp_path):
    first = Program(tmp_path, ids().repeat().batch(4))
    with first.record(iterator=first.iterator) as recorder:
        first.train(recorder, 5)
    second = Program(tmp_path, ids().repeat().batch(8), restored=5)
    with second.record(iterator=second.iterator) as recorder:
        second.train(recorder, 8)
    assert second.given[0][0] == 20  # its first batch may be one of the earlier size
    history = cs.history(str(tmp_path))
    (restart,) = history.restarts
    assert (restart.reason, restart.moved) == (None, 0)
    assert (restart.repeated, restart.skipped) == ((), ())
    told = positions_of(history.attempts[1]).examples.tolist()
    taken = list(itertools.accumulate([20, *map(len, second.given)]))[1:]
    assert all(examples in (UNKNOWN, total) for examples, total in zip(told, taken, strict=True))


@pytest.mark.parametrize("calls", ["epoch(), with its iterator", "epoch()", "nothing"])
def test_a_loop_that_saves_the_iterator_of_each_epoch(calls, tmp_path):
    """Killed and restarted in its second epoch, with the iterator that was saved there."""
    import tensorflow as tf

    def process(until: int, restored: int | None) -> Program:
        program = Program(tmp_path, ids(0, 22).batch(4), restored=restored)
        epoch = tf.Variable(0 if restored is None else restored // 6, dtype=tf.int64)
        with program.record(iterator=program.iterator) as recorder:
            while int(program.step) < until:
                if calls == "epoch(), with its iterator":
                    recorder.epoch(int(epoch), iterator=program.iterator)
                elif calls == "epoch()":
                    recorder.epoch(int(epoch))
                program.train(recorder, until)
                epoch.assign_add(1)
                program.iterator = iter(program.dataset)
                program.checkpoint.iterator = program.iterator
        return program

    first, second = process(11, None), process(20, 10)
    assert second.given[0] == first.given[10]
    history = cs.history(str(tmp_path))
    (restart,) = history.restarts
    assert (restart.reason, restart.moved) == (None, 0)
    assert (restart.repeated, restart.skipped, restart.dead_steps) == ((), (), 1)
    examples = positions_of(history.attempts[1]).examples.tolist()
    taken = itertools.accumulate([38, *map(len, second.given)])
    assert examples == list(taken)[1:]


def test_more_batches_than_were_told_are_not_counted_as_one_each(tmp_path):
    """The decoded state wins where there is one; in between nothing is told."""
    made = ids().repeat().batch(4)
    program = Program(tmp_path, made)
    with program.record(iterator=program.iterator) as recorder:
        for _ in range(12):
            next(program.iterator)
            next(program.iterator)
            program.step.assign_add(1)
            recorder.step(int(program.step))
            if int(program.step) % 5 == 0:
                recorder.saved(program.manager.save(checkpoint_number=program.step))
    again = Program(tmp_path, made, restored=10)
    with again.record(iterator=again.iterator) as recorder:
        recorder.step(11, batches=2)
    history = cs.history(str(tmp_path))
    batches = positions_of(history.attempts[0]).batches.tolist()
    assert (batches[4], batches[9]) == (10, 20)
    assert set(batches) <= {10, 20, UNKNOWN}
    (restart,) = history.restarts
    assert restart.moved in (0, None)
    assert (restart.repeated, restart.skipped) == ((), ())
