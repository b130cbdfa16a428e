"""Runs that TensorFlow really made, stopped and restarted: alarms where the place was lost, silence
where it was kept.

Each drill trains in one process, which does not matter: a restart makes new iterators and restores
what it restores. Ids are logged, so what was trained on twice is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import ckptscope as cs

pytestmark = pytest.mark.tf
SIZE, BATCH = 80, 4


@dataclass(frozen=True)
class Drill:
    """Steps of each attempt, and whether its iterator is restored; the alarms that the later
    checkpoints raise.

    ``attempts``: (last step, place is restored) of each process; ``per_step``: batches that a step
        takes; ``skip``: batches
    taken at the start of the last attempt without a step.
    """

    pipeline: str
    attempts: tuple[tuple[int, bool], ...]
    alarms: tuple[str, ...]
    save_every: int = 4
    per_step: int = 1
    skip: int = 0
    ranges: bool = True
    loop: bool = False


KEPT = ((8, False), (16, True))
LOST = ((8, False), (12, False))
BACK = ("DATA_BACK", "DATA_REPEATED")
DRILLS = {
    "fixed order, kept": Drill("repeat", KEPT, ()),
    "fixed order, lost": Drill("repeat", LOST, BACK),
    "finite, kept": Drill("finite", ((4, False), (8, True)), ()),
    "finite, lost": Drill("finite", ((4, False), (6, False)), BACK, save_every=2),
    "over several epochs, kept": Drill("repeat", ((12, False), (36, True)), (), save_every=12),
    "seeded shuffle, kept": Drill("seeded", KEPT, ()),
    "seeded shuffle, lost": Drill("seeded", LOST, BACK),
    "unseeded shuffle, kept": Drill("unseeded", KEPT, ()),
    "unseeded shuffle, lost": Drill("unseeded", LOST, ("DATA_BACK",)),
    "files, kept": Drill("files", KEPT, ()),
    "files, lost": Drill("files", LOST, BACK),
    "interleaved files, kept": Drill("interleaved", KEPT, ()),
    "short last batch, kept": Drill("short", KEPT, ()),
    "short last batch, lost": Drill("short", LOST, BACK),
    "two batches for each step, kept": Drill("repeat", KEPT, (), per_step=2),
    "lost at each save": Drill(
        "repeat",
        ((4, False), (8, False), (12, False)),
        ("DATA_STALLED", "DATA_REPEATED"),
        ranges=False,
    ),
    "batches skipped": Drill(
        "repeat", ((8, False), (12, True)), ("DATA_RATE", "DATA_SKIPPED"), skip=3
    ),
    "a loop over epochs, kept": Drill(
        "finite", ((8, False), (25, True)), (), save_every=5, loop=True
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    import tensorflow as tf

    names, directory = [], tmp_path_factory.mktemp("data")
    for number in range(4):
        names.append(str(directory / f"train-{number}"))
        with tf.io.TFRecordWriter(names[-1]) as writer:
            for record in range(SIZE // 4):
                writer.write(str(number * SIZE // 4 + record).encode())
    return names


def pipelines(files: list[str]) -> dict[str, Callable[[], object]]:
    import tensorflow as tf

    data = tf.data.Dataset

    def number(text: tf.Tensor) -> tf.Tensor:
        return tf.strings.to_number(text, tf.int64)

    def opened(order: tf.data.Dataset) -> tf.data.Dataset:
        return order.interleave(tf.data.TFRecordDataset, cycle_length=2, block_length=1)

    return {
        "repeat": lambda: data.range(SIZE).repeat().batch(BATCH).prefetch(2),
        "finite": lambda: data.range(SIZE).batch(BATCH).prefetch(1),
        "seeded": lambda: data.range(SIZE).shuffle(16, seed=5).repeat().batch(BATCH).prefetch(2),
        "unseeded": lambda: data.range(SIZE).shuffle(16).repeat().batch(BATCH),
        "files": lambda: tf.data.TFRecordDataset(files).map(number).repeat().batch(BATCH),
        "interleaved": lambda: (
            opened(data.from_tensor_slices(files)).map(number).repeat().batch(BATCH)
        ),
        "short": lambda: data.range(SIZE - 2).batch(BATCH).repeat(),
    }


def train(drill: Drill, directory: Path, files: list[str]) -> list[tuple[int, list[int]]]:
    """(step, ids) in the order in which they were trained on."""
    import tensorflow as tf

    log: list[tuple[int, list[int]]] = []
    for number, (last, place) in enumerate(drill.attempts):
        dataset = pipelines(files)[drill.pipeline]()
        weight, step = tf.Variable(0.0), tf.Variable(0, dtype=tf.int64)
        saved = tf.train.Checkpoint(weight=weight, step=step, iterator=iter(dataset))
        manager = tf.train.CheckpointManager(saved, str(directory), max_to_keep=None)
        if number:
            what = saved if place else tf.train.Checkpoint(weight=weight, step=step)
            what.restore(manager.latest_checkpoint).expect_partial()
        for _ in range(drill.skip if number == len(drill.attempts) - 1 else 0):
            next(saved.iterator)
        while int(step) < last:
            for _ in range(drill.per_step):
                ids = next(saved.iterator, None)
                if ids is None and drill.loop:
                    saved.iterator = iter(dataset)
                    ids = next(saved.iterator)
                log.append((int(step) + 1, ids.numpy().tolist()))
            weight.assign_add(1.0 + float(step))
            step.assign_add(1)
            if int(step) % drill.save_every == 0:
                time.sleep(
                    0.02
                )  # what waits in the prefetch buffer shows that the pass has not ended
                manager.save(checkpoint_number=step)
    return log


@pytest.mark.parametrize("name", DRILLS)
def test_alarms_tell_what_happened(name, files, tmp_path):
    drill = DRILLS[name]
    log = train(drill, tmp_path, files)
    rows = cs.inspect_all(str(tmp_path)).rows
    raised = [alarm for row in rows for alarm in row.alarms]
    assert sorted({alarm.code for alarm in raised}) == sorted(drill.alarms)
    if drill.alarms:
        # Silent until the last attempt (or the one before, where each restart loses its place).
        lost_after = drill.attempts[0][0]
        assert all(not row.alarms for row in rows if row.checkpoint.step <= lost_after)
    before, after = (str(row.path) for row in rows[-2:])
    told = cs.diff(before, after).collect().summary
    assert [alarm.code for alarm in told.alarms] == [alarm.code for alarm in rows[-1].alarms]
    step = rows[-2].checkpoint.step
    for alarm in raised if drill.ranges else ():
        if alarm.repeated:
            assert told_ids(alarm.repeated, log) == trained_twice(log, step)
    if not drill.alarms and told.examples_delta is not None:
        assert told.examples_delta == sum(
            len(ids) for at, ids in log if step < at <= rows[-1].checkpoint.step
        )


def told_ids(ranges, log) -> list[int]:
    """The ids that a range of the first epoch names: the run's own first examples, in order."""
    (item,) = ranges
    assert item.epoch == 0
    first = [identity for _, ids in log for identity in ids]
    return sorted(first[item.start : item.stop])


def trained_twice(log, step: int) -> list[int]:
    """Ids of the first pass that were trained on up to that step and again after it, for runs
    within one epoch.
    """
    before = [identity for at, ids in log if at <= step for identity in ids]
    after = [identity for at, ids in log if at > step for identity in ids]
    return sorted(set(before) & set(after))
