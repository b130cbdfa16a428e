"""The recorder beside real TensorFlow iterators."""

from __future__ import annotations

import os
import warnings

import pytest

import ckptscope as cs
from ckptscope.recording.positions import positions_of
from ckptscope.recording.reader import read_recording

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def pipelines():
    import tensorflow as tf

    data = tf.data.Dataset
    return {
        "fixed": lambda: data.range(40).repeat().batch(4).prefetch(2),
        "shuffled": lambda: data.range(40).shuffle(16, seed=7).repeat().batch(4).prefetch(2),
        "interleaved": lambda: (
            data.range(8).interleave(lambda i: data.range(5).map(lambda j: i * 5 + j), 3).batch(4)
        ),
        "parallel": lambda: data.range(40).map(lambda x: x + 1, num_parallel_calls=2).batch(4),
        "finite, short batches": lambda: data.range(38).batch(4).repeat(3),
    }


def steps(dataset, directory=None, every=1, count=9, **options):
    """The batches of so many steps, recorded or not."""
    iterator = iter(dataset)
    recorder = None
    if directory is not None:
        recorder = cs.record(
            str(directory),
            dataset=dataset,
            iterator=iterator,
            every=every,
            flush_interval_s=0.05,
            **options,
        )
    batches = []
    for step in range(1, count + 1):
        batches.append(next(iterator).numpy().tolist())
        if recorder is not None:
            recorder.step(step)
    if recorder is not None:
        recorder.close()
    return batches


@pytest.mark.parametrize(
    "name", ["fixed", "shuffled", "interleaved", "parallel", "finite, short batches"]
)
def test_training_sees_the_same_with_and_without(name, tmp_path):
    make = pipelines()[name]
    assert steps(make(), tmp_path) == steps(make())


@pytest.mark.parametrize("name", ["fixed", "shuffled", "finite, short batches"])
def test_counted_and_decoded_positions_agree(name, tmp_path):
    batches = steps(pipelines()[name](), tmp_path, count=12)
    (found,) = read_recording(str(tmp_path))
    positions = positions_of(found)
    assert positions.examples.tolist() == [
        sum(map(len, batches[: n + 1])) for n in range(len(batches))
    ]
    decoded = [
        state
        for state in found.states
        if state["decoded"] and state["decoded"]["batches_consumed"] is not None
    ]
    assert decoded
    assert all(state["disagreement"] is None for state in decoded)
    assert found.attempt.order == ("shuffled" if name == "shuffled" else "fixed")


def test_a_disagreement_is_recorded(tmp_path):
    """A program that takes more batches than it tells of."""
    dataset = pipelines()["fixed"]()
    iterator = iter(dataset)
    with cs.record(str(tmp_path), dataset=dataset, iterator=iterator) as recorder:
        for step in range(1, 4):
            next(iterator)
            next(iterator)
            recorder.step(step)
            recorder.decode(step)
    (found,) = read_recording(str(tmp_path))
    assert any("batches were counted" in (state["disagreement"] or "") for state in found.states)


def test_iterators_that_cannot_be_saved_are_counted_all_the_same(tmp_path):
    import tensorflow as tf

    made = tf.data.Dataset.from_generator(
        lambda: iter(range(40)), output_signature=tf.TensorSpec([], tf.int64)
    ).batch(4)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert len(steps(made, tmp_path)) == 9
    assert sum("ckptscope" in str(item.message) for item in told) <= 1
    (found,) = read_recording(str(tmp_path))
    assert found.num_rows == 9
    assert found.columns["batches"].tolist() == list(range(1, 10))


def test_a_distributed_iterator_is_counted(tmp_path):
    import tensorflow as tf

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    dataset = strategy.experimental_distribute_dataset(tf.data.Dataset.range(40).batch(4))
    iterator = iter(dataset)
    with cs.record(
        str(tmp_path), dataset=dataset, iterator=iterator, batch_size=4, epoch_size=40
    ) as recorder:
        for step in range(1, 6):
            next(iterator)
            recorder.step(step)
    (found,) = read_recording(str(tmp_path))
    assert found.num_rows == 5


def test_evaluation_is_kept_apart(tmp_path):
    steps(pipelines()["fixed"](), tmp_path)
    steps(pipelines()["fixed"](), tmp_path, kind="eval", count=3)
    kinds = [found.attempt.kind for found in cs.history(str(tmp_path)).attempts]
    assert kinds == ["train", "eval"]
    assert not cs.history(str(tmp_path)).restarts
    assert sum(count for _, count in cs.history(str(tmp_path)).coverage()) > 0


def test_a_manager_s_checkpoints_are_noticed(tmp_path):
    """With ``checkpoint_dir`` nothing has to be told."""
    import tensorflow as tf

    dataset = pipelines()["fixed"]()
    iterator, step = iter(dataset), tf.Variable(0, dtype=tf.int64)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(step=step, iterator=iterator), str(tmp_path), None
    )
    with cs.record(
        str(tmp_path), dataset=dataset, iterator=iterator, checkpoint_dir=str(tmp_path)
    ) as recorder:
        for _ in range(7):
            next(iterator)
            step.assign_add(1)
            recorder.step(int(step))
            if int(step) % 3 == 0:
                manager.save(checkpoint_number=step)
                os.utime(tmp_path / "checkpoint")
    (found,) = read_recording(str(tmp_path))
    assert [(saved.step, saved.sequence) for saved in found.checkpoints] == [(3, 3), (6, 6)]
    assert all(saved.decoded["batches_consumed"] == saved.step for saved in found.checkpoints)
    assert (tmp_path / "ckpt-6.ckptscope.json").exists()


@pytest.mark.parametrize("name", ["fixed", "shuffled", "interleaved", "finite, short batches"])
def test_what_a_lost_place_repeats_is_what_was_trained_on_twice(name, tmp_path):
    """As sets of ids; for other than fixed orders the range is that of the frontier, and says
    so.
    """
    make = pipelines()[name]
    first = steps(make(), tmp_path, count=5)
    dataset = make()
    iterator, second = iter(dataset), []
    with cs.record(str(tmp_path), dataset=dataset, iterator=iterator) as recorder:
        for step in range(6, 9):
            second.append(next(iterator).numpy().tolist())
            recorder.step(step)
    (restart,) = cs.history(str(tmp_path)).restarts
    delivered = [identity for batch in first for identity in batch]
    again = {identity for batch in second for identity in batch}
    (item,) = restart.repeated
    assert item.epoch == 0
    assert set(delivered[item.start : item.stop]) == again & set(delivered)
    assert (restart.skipped, restart.dead_steps) == ((), 0)
    assert restart.exact_ranges is (name in ("fixed", "finite, short batches"))


def test_batches_taken_without_a_step_are_skipped(tmp_path):
    dataset = pipelines()["fixed"]()
    iterator = iter(dataset)
    with cs.record(str(tmp_path), dataset=dataset, iterator=iterator) as recorder:
        for step in range(1, 4):
            next(iterator)
            recorder.step(step)
    next(iterator)  # read by nobody that records
    with cs.record(str(tmp_path), dataset=dataset, iterator=iterator) as recorder:
        next(iterator)
        recorder.step(4)
    (restart,) = cs.history(str(tmp_path)).restarts
    assert [(item.epoch, item.start, item.stop) for item in restart.skipped] == [(0, 12, 16)]
    assert restart.repeated == ()
