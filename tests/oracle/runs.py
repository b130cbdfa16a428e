"""Runs that are really trained, stopped and restarted in TensorFlow, with the truth: every example
that was delivered.

An example is told from another by its id and by how often the id had come before since the data was
started: in a second epoch it is another one, after a restart that lost the place it is the same
again."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import ckptscope as cs
from tests.oracle.pipelines import Lab

Example = tuple[int, int]
DATA_ALARMS = frozenset(("DATA_BACK", "DATA_STALLED", "DATA_RATE", "DATA_REPEATED", "DATA_SKIPPED"))


@dataclass(frozen=True)
class Life:
    """What a run has done up to some point, on the path of checkpoints that led there.

    Attributes:
        trained: examples, in order.
        skipped: batches that were delivered and not trained on.
        stream: examples delivered since the data was started.
        batches: batches of the stream.
        losses: how often a restart lost the place in the data.
        changes: how often the pipeline became another one.
        saves: numbers of the checkpoints passed.
    """

    trained: tuple[Example, ...] = ()
    skipped: tuple[tuple[Example, ...], ...] = ()
    stream: tuple[Example, ...] = ()
    batches: int = 0
    losses: int = 0
    changes: int = 0
    saves: tuple[int, ...] = ()

    def delivered(self, ids: list[int], trained: bool) -> Life:
        seen = Counter(number for _, number in self.stream)
        examples = []
        for number in ids:
            examples.append((seen[number], number))
            seen[number] += 1
        batch = tuple(examples)
        life = replace(self, stream=self.stream + batch, batches=self.batches + 1)
        return (
            replace(life, trained=life.trained + batch)
            if trained
            else replace(life, skipped=(*life.skipped, batch))
        )

    def started_over(self) -> Life:
        return replace(self, stream=(), batches=0, losses=self.losses + bool(self.stream))


@dataclass(frozen=True)
class Saved:
    """One checkpoint and the truth about it."""

    path: str
    number: int
    step: int
    life: Life
    weight: np.ndarray
    has_iterator: bool


Build = Callable[[Lab], Any]


class Run:
    """A program with a weight, an optimizer, a step counter and an iterator, and everything that it
    ever did.

    Args:
        epoch_size: examples of one pass.
        per_step: batches for each step.
        own_step: it keeps a step counter of its own, else only the optimizer's.
        loop: examples after which the data ends and a new iterator is made; 0: it has no end, or
            the run ends with it.
        evaluation: another pipeline, whose iterator is saved along.
        keeps: what the checkpoint holds besides weight and optimizer.
    """

    def __init__(
        self,
        lab: Lab,
        directory: str,
        build: Build,
        *,
        epoch_size: int = 22,
        per_step: int = 1,
        own_step: bool = True,
        loop: int = 0,
        evaluation: Build | None = None,
        keeps: tuple[str, ...] = ("step", "iterator", "evaluation"),
        every: int = 4,
        index_unit: int = 4,
    ) -> None:
        self.lab, self.tf, self.directory, self.build = lab, lab.tf, directory, build
        self.epoch_size, self.per_step, self.loop, self.evaluation = (
            epoch_size,
            per_step,
            loop,
            evaluation,
        )
        self.keeps = keeps if own_step else tuple(name for name in keeps if name != "step")
        self.every, self.rate, self.index_unit = every, 0.1, index_unit
        self.saves: list[Saved] = []
        self.life = Life()
        self._new_process()

    def _new_process(self) -> None:
        tf = self.tf
        self.dataset = self.build(self.lab)
        self.iterator = iter(self.dataset)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.start_index = tf.Variable(0, dtype=tf.int64)
        self.weight = tf.Variable([0.0, 0.0])
        self.optimizer = tf.keras.optimizers.SGD(self.rate)
        self.optimizer.build([self.weight])
        self.evaluator = iter(self.evaluation(self.lab)) if self.evaluation is not None else None

    def _objects(self) -> dict[str, Any]:
        kept = {
            "step": self.step,
            "iterator": self.iterator,
            "evaluation": self.evaluator,
            "start_index": self.start_index,
        }
        return {
            "weight": self.weight,
            "optimizer": self.optimizer,
            **{name: kept[name] for name in self.keeps if kept[name] is not None},
        }

    # ------------------------------------------------------------------------------------------
    # restarts

    def resume(self, at: int = -1, build: Build | None = None) -> None:
        """A new process restores a checkpoint, all of it."""
        self._restart(self.saves[at], build, lost=not self.saves[at].has_iterator)

    def lose(self, at: int = -1, build: Build | None = None) -> None:
        """A new process restores a checkpoint without its iterator: the data starts over."""
        self._restart(self.saves[at], build, lost=True)

    def _restart(self, saved: Saved, build: Build | None, lost: bool) -> None:
        self.life = replace(saved.life, changes=saved.life.changes + (build is not None))
        self.build = build or self.build
        self._new_process()
        objects = self._objects()
        if lost:
            objects.pop("iterator", None)
            between_passes = (
                self.loop and saved.has_iterator and len(saved.life.stream) % self.loop == 0
            )
            self.life = self.life if between_passes else self.life.started_over()
        self.tf.train.Checkpoint(**objects).restore(saved.path).expect_partial()
        self.step.assign(saved.step)
        self.optimizer.learning_rate.assign(self.rate)

    def seek(self) -> None:
        """A new process restores the last checkpoint and goes to the place that ``start_index``
        names.
        """
        self.lose()
        for _ in range(int(self.start_index) // self.index_unit):
            next(self.iterator)
        before = self.saves[-1].life
        self.life = replace(
            self.life, stream=before.stream, batches=before.batches, losses=before.losses
        )

    # ------------------------------------------------------------------------------------------
    # training

    def _take(self, trained: bool) -> bool:
        batch = next(self.iterator, None)
        if batch is None and self.loop:
            self.iterator = iter(self.dataset)
            batch = next(self.iterator)
        if batch is None:
            return False
        values = np.atleast_1d(batch.numpy()).tolist()
        self.life = self.life.delivered(
            [int(value.split()[0]) if isinstance(value, bytes) else value for value in values],
            trained,
        )
        return True

    def train(self, steps: int, save: bool = True) -> None:
        """Train, and save at every fourth step; end with the data."""
        for _ in range(steps):
            if not all(self._take(trained=True) for _ in range(self.per_step)):
                return
            self.optimizer.apply_gradients([(self.tf.constant([0.5, 0.25]), self.weight)])
            self.step.assign_add(1)
            self.start_index.assign(self.life.batches * self.index_unit)
            if save and int(self.step) % self.every == 0:
                self.save()

    def skip(self, batches: int) -> None:
        """Take batches without a step."""
        for _ in range(batches):
            self._take(trained=False)

    def evaluate(self, batches: int) -> None:
        for _ in range(batches):
            next(self.evaluator)

    def save(self) -> None:
        time.sleep(0.01)  # for what is read ahead
        number = len(self.saves) + 1
        self.life = replace(self.life, saves=(*self.life.saves, number))
        path = self.tf.train.Checkpoint(**self._objects()).write(
            os.path.join(self.directory, f"ckpt-{number}")
        )
        kept = "iterator" in self.keeps
        self.saves.append(Saved(path, number, int(self.step), self.life, self.weight.numpy(), kept))


# ------------------------------------------------------------ the law


@dataclass(frozen=True)
class Told:
    """What is told of two neighbours of a run."""

    a: Saved
    b: Saved
    found: cs.CheckpointDiff
    codes: tuple[str, ...]


def told_of(run: Run, **hints: int) -> tuple[list[Told], list[str]]:
    """What is told of each pair of neighbours, and everything in it that is not true."""
    rows = cs.inspect_all(run.directory, **hints).rows
    saves = {saved.path: saved for saved in run.saves}
    assert sorted(row.path for row in rows) == sorted(saves)
    in_order = [saves[row.path] for row in rows]  # by the steps stored inside
    told, wrong = [], []
    for row, a, b in zip(rows[1:], in_order, in_order[1:], strict=False):
        found = cs.diff(a.path, b.path, **hints).collect()
        told.append(Told(a, b, found, tuple(alarm.code for alarm in found.summary.alarms)))
        problems = [*_unlike_history(found, row), *_untrue(run, told[-1])]
        wrong += [
            f"{a.number} at step {a.step}, {b.number} at step {b.step}: {text}" for text in problems
        ]
    return told, wrong


def _unlike_history(found: cs.CheckpointDiff, row: Any) -> Iterator[str]:
    if row.batches_moved != found.summary.batches_delta:
        yield (
            f"the history moves by {row.batches_moved} batches, diff by "
            f"{found.summary.batches_delta}"
        )
    if row.alarms != tuple(alarm for alarm in found.summary.alarms if alarm.code != "NAN_NEW"):
        yield f"the history raises {[alarm.code for alarm in row.alarms]}"


def _untrue(run: Run, told: Told) -> Iterator[str]:
    """What is told and not true, of a pair of which one led to the other."""
    a, b, found = told.a, told.b, told.found
    if found.summary.step_delta not in (None, b.step - a.step):
        yield f"step_delta is {found.summary.step_delta}"
    frozen = b.step > a.step and bool(np.array_equal(a.weight, b.weight, equal_nan=True))
    if ("WEIGHTS_FROZEN" in told.codes) != frozen:
        yield f"the weights are {'' if frozen else 'not '}the same"
    if ("NAN_NEW" in told.codes) != bool(np.isnan(b.weight).any() > np.isnan(a.weight).any()):
        yield "NaN is told wrongly"
    if b.life.saves[: len(a.life.saves)] == a.life.saves:
        yield from _untrue_alarms(run, told)
        yield from _untrue_numbers(run, a.life, b.life, found, 1)
    elif a.life.saves[: len(b.life.saves)] == b.life.saves:
        if DATA_ALARMS & set(told.codes) or "VERDICT_FELL" in told.codes:
            yield f"alarms going back: {told.codes}"
        yield from _untrue_numbers(run, b.life, a.life, found, -1)


def _untrue_alarms(run: Run, told: Told) -> Iterator[str]:
    old, new = told.a.life, told.b.life
    repeated = set(old.trained) & set(new.trained[len(old.trained) :])
    skipped = new.skipped[len(old.skipped) :]
    lost = new.losses > old.losses
    for alarm in told.found.summary.alarms:
        if alarm.code in DATA_ALARMS and not (lost or skipped):
            yield f"false alarm: {alarm.code} {alarm.text}"
        if alarm.code == "VERDICT_FELL" and not (
            lost or skipped or told.a.has_iterator > told.b.has_iterator
        ):
            yield f"false alarm: {alarm.text}"
        if alarm.code == "PIPELINE_CHANGED" and old.changes == new.changes:
            yield f"false alarm: {alarm.text}"
        if "started its data over" in alarm.text and not lost:
            yield alarm.text
        if alarm.code == "DATA_SKIPPED":
            count = int((re.match(r"at least ([\d,]+) ", alarm.text) or ["", "1"])[1])
            count = -(-count // 4) if "examples" in alarm.text else count
            if alarm.skipped or count > len(skipped):
                yield f"{alarm.text}; it was {len(skipped)}"
        if alarm.code == "DATA_REPEATED":
            places = [
                item.epoch * run.epoch_size + at
                for item in alarm.repeated
                for at in range(item.start, item.stop)
            ]
            if not repeated or (
                alarm.repeated and Counter(new.stream[at] for at in places) != Counter(repeated)
            ):
                yield f"{alarm.text}; it was {sorted(repeated)}"


def _untrue_numbers(
    run: Run, old: Life, new: Life, found: cs.CheckpointDiff, sign: int
) -> Iterator[str]:
    truth = {
        "batches_delta": new.batches - old.batches,
        "examples_delta": len(new.stream) - len(old.stream),
        "epochs_delta": max(0, len(new.stream) - 1) // run.epoch_size
        - max(0, len(old.stream) - 1) // run.epoch_size,
    }
    iterators = [item for item in found.iterators if item.key.startswith("iterator")]
    for teller in (found.summary, *iterators):
        for name, counted in truth.items():
            value = getattr(teller, name)
            if value not in (None, sign * counted):
                yield f"{type(teller).__name__}.{name} is {value}, not {sign * counted}"
        if teller.same and old.stream != new.stream and not run.loop:
            yield "not the same"
    for name in ("batches", "examples", "epochs"):
        if (getattr(found.summary, f"{name}_delta") is None) != (name in found.summary.reasons):
            yield f"{name}: a number or a reason"
    for stage in (stage for item in iterators for stage in item.stages):
        more = stage.more_read
        if more is None:
            continue
        if new.losses > old.losses or more * sign < 0:
            yield f"{stage.title}: {stage.text}"
        before, after = (count or 0 for count in stage.held)
        is_root = stage.path.count("::") == 1 and stage.held != (None, None)
        if is_root and more != sign * truth["batches_delta"] + after - before:
            yield f"{stage.title}: {more} more read"
