"""Twins: programs whose checkpoints alone cannot be told apart, judged with the run record beside
them.

Each is really trained, saved, trained on as the reference, and really resumed by new objects; what
it then trains on and what its layers give is compared. ``exact`` may be said only where both agree.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ckptscope as cs

pytestmark = [pytest.mark.tf, pytest.mark.filterwarnings("ignore")]
# More is compared than any buffer holds.
SIZE, BATCH, STEPS, COMPARED = 120, 4, 5, 15


@dataclass(frozen=True)
class Twin:
    """A pipeline, a layer, and whether resuming gives the same again.

    ``pipeline``: from numbers to numbers; ``layer``: of the model; ``tracked``: the layer's seeds
        are saved, too.
    """

    exact: bool
    pipeline: Callable[[Any], Any] = lambda data: data
    layer: str | None = None
    tracked: bool = False
    touches_file: bool = False
    options: dict[str, Any] | None = None


def tf() -> Any:
    import tensorflow

    return tensorflow


def slowly(x: Any) -> Any:
    """Takes a different time for each element and each time, so that races really end
    differently.
    """
    t = tf()

    def wait(value: Any) -> Any:
        time.sleep(0.001 + os.urandom(1)[0] / 256 * 0.02)
        return value

    return t.reshape(t.numpy_function(wait, [x], t.float32, stateful=False), [])


def random(x: Any) -> Any:
    return x + tf().random.uniform([], 0, 0.5)


def stateless(x: Any) -> Any:
    return x + tf().random.stateless_uniform([], [1, tf().cast(x, tf().int32)], 0, 0.5)


def opened(deterministic: bool) -> Callable[[Any], Any]:
    def pipeline(data: Any) -> Any:
        def inner(x: Any) -> Any:
            return (
                tf()
                .data.Dataset.range(40)
                .map(lambda i: slowly(x * 100 + tf().cast(i, tf().float32)))
            )

        # A prefetch between it and the batch: TensorFlow fuses the two into one stage that keeps
        # the order.
        return data.interleave(
            inner, cycle_length=3, num_parallel_calls=3, deterministic=deterministic
        ).prefetch(1)

    return pipeline


TWINS = {
    "seeded shuffle": Twin(True, lambda d: d.take(24).shuffle(8, seed=3).repeat()),
    "unseeded shuffle": Twin(False, lambda d: d.take(24).shuffle(8).repeat()),
    "parallel map in order": Twin(
        True, lambda d: d.map(slowly, num_parallel_calls=4, deterministic=True).prefetch(1)
    ),
    "parallel map out of order": Twin(
        False, lambda d: d.map(slowly, num_parallel_calls=4, deterministic=False).prefetch(1)
    ),
    "options keep the order": Twin(
        True,
        lambda d: d.map(slowly, num_parallel_calls=4).prefetch(1),
        options={"deterministic": True},
    ),
    "options give up the order": Twin(
        False,
        lambda d: d.map(slowly, num_parallel_calls=4).prefetch(1),
        options={"deterministic": False},
    ),
    "interleave in order": Twin(True, opened(True)),
    "interleave out of order": Twin(False, opened(False)),
    "pure map": Twin(True, lambda d: d.map(lambda x: x * 2)),
    "random map": Twin(False, lambda d: d.map(random)),
    "stateless random map": Twin(True, lambda d: d.map(stateless)),
    "random map below a batch": Twin(False, lambda d: d.map(random).map(lambda x: x + 1)),
    "pure filter": Twin(True, lambda d: d.filter(lambda x: x != 50)),
    "random filter": Twin(False, lambda d: d.filter(lambda x: tf().random.uniform([]) < 0.85)),
    "random flat_map": Twin(
        False, lambda d: d.flat_map(lambda x: tf().data.Dataset.from_tensors(random(x)))
    ),
    "pure flat_map": Twin(True, lambda d: d.flat_map(lambda x: tf().data.Dataset.from_tensors(x))),
    "Flatten": Twin(True, layer="Flatten"),
    "Dropout": Twin(False, layer="Dropout"),
    "Dropout with tracked seeds": Twin(True, layer="Dropout", tracked=True),
    "LeakyReLU": Twin(True, layer="LeakyReLU"),
    "AlphaDropout": Twin(False, layer="AlphaDropout"),
    "GaussianNoise": Twin(False, layer="GaussianNoise"),
    "Activation": Twin(True, layer="Activation"),
    "file as it was": Twin(True),
    "file changed": Twin(False, touches_file=True),
}
LAYERS: dict[str, tuple[Any, ...]] = {
    "Flatten": (),
    "Dropout": (0.5,),
    "LeakyReLU": (),
    "AlphaDropout": (0.5,),
    "GaussianNoise": (0.5,),
    "Activation": ("relu",),
}


class Program:
    """One process of a training program."""

    def __init__(self, twin: Twin, file: Path) -> None:
        import keras

        t = tf()
        numbers = t.data.TFRecordDataset([str(file)]).map(
            lambda text: t.strings.to_number(text, t.float32)
        )
        self.dataset = twin.pipeline(numbers).batch(BATCH)
        options = t.data.Options()
        options.experimental_external_state_policy = t.data.experimental.ExternalStatePolicy.IGNORE
        options.autotune.enabled = False
        # They would hold what a changed file should change.
        options.experimental_optimization.inject_prefetch = False
        options.experimental_optimization.map_parallelization = False
        for name, value in (twin.options or {}).items():
            setattr(options, name, value)
        self.dataset = self.dataset.with_options(options)
        layers = (
            [] if twin.layer is None else [getattr(keras.layers, twin.layer)(*LAYERS[twin.layer])]
        )
        self.model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
        self.optimizer = keras.optimizers.SGD(1e-3)
        self.optimizer.build(self.model.trainable_variables)
        self.step = t.Variable(0, dtype=t.int64)
        self.iterator = iter(self.dataset)
        seeds = {"seed_generator": layers[0].seed_generator.state} if twin.tracked else {}
        self.checkpoint = t.train.Checkpoint(
            model=self.model,
            optimizer=self.optimizer,
            step=self.step,
            iterator=self.iterator,
            **seeds,
        )

    def train(self, steps: int = COMPARED) -> list[tuple[list[float], float]]:
        """(elements, loss) of the next steps."""
        t, log = tf(), []
        for _ in range(steps):
            batch = next(self.iterator)
            with t.GradientTape() as tape:
                features = t.tile(t.reshape(batch, [-1, 1]), [1, 3]) / 60.0 + 0.5
                loss = t.reduce_mean(self.model(features, training=True) ** 2)
            variables = self.model.trainable_variables
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, variables), variables, strict=True)
            )
            self.step.assign_add(1)
            log.append((batch.numpy().tolist(), float(loss)))
        return log


def write(file: Path, offset: int = 0) -> None:
    with tf().io.TFRecordWriter(str(file)) as writer:
        for number in range(SIZE):
            writer.write(str(number + offset).zfill(3).encode())


@pytest.mark.parametrize("name", TWINS)
def test_a_record_tells_twins_apart(name, tmp_path):
    import keras

    twin, file = TWINS[name], tmp_path / "train"
    if twin.tracked and keras.__version__.startswith("2."):
        pytest.skip("layers of Keras 2 have no seed generator that a checkpoint could track")
    write(file)
    first = Program(twin, file)
    with cs.record(
        str(tmp_path / "log"),
        dataset=first.dataset,
        iterator=first.iterator,
        model=first.model,
        flush_interval_s=0.05,
    ) as recorder:
        first.train(STEPS)
        prefix = first.checkpoint.write(str(tmp_path / "ckpt-5"))
        recorder.step(STEPS, batches=STEPS)
        recorder.saved(prefix)
        assert recorder.flush()
    reference = first.train()
    alone = cs.inspect(prefix).resume.verdict
    if twin.touches_file:
        write(file, offset=100)
    second = Program(twin, file)
    second.checkpoint.restore(prefix).expect_partial()
    resumed = second.train()
    judged = cs.inspect(prefix).resume
    assert (resumed == reference) is twin.exact, (
        "the program is not the twin that it is meant to be"
    )
    assert judged.verdict == ("exact" if twin.exact else "approximate"), (alone, judged.headline)
    assert any(finding.code == "FILE009" for finding in judged.findings)
    if twin.exact:
        evidence = {
            condition.code for condition in judged.conditions if condition.source == "evidence"
        }
        assert not evidence & {"COND101", "COND102"}


def test_a_record_of_another_checkpoint_is_refused(tmp_path):
    file = tmp_path / "train"
    write(file)
    program = Program(TWINS["pure map"], file)
    with cs.record(str(tmp_path / "log"), dataset=program.dataset, model=program.model) as recorder:
        program.train(STEPS)
        prefixes = [
            program.checkpoint.write(str(tmp_path / f"ckpt-{n}"))
            for n in (1, 2)
            if program.train(1)
        ]
        recorder.saved(prefixes[0], 5)
        assert recorder.flush()
    Path(f"{prefixes[0]}.ckptscope.json").rename(f"{prefixes[1]}.ckptscope.json")
    judged = cs.inspect(prefixes[1]).resume
    assert "FILE010" in [finding.code for finding in judged.findings]
    assert judged.verdict == "exact"


def test_a_function_that_reads_a_variable_is_not_called_pure(tmp_path):
    t, file = tf(), tmp_path / "train"
    write(file)
    counter = t.Variable(1.0)
    program = Program(Twin(True, lambda data: data.map(lambda x: x * counter)), file)
    with cs.record(str(tmp_path / "log"), dataset=program.dataset, model=program.model) as recorder:
        program.train(STEPS)
        prefix = program.checkpoint.write(str(tmp_path / "ckpt-5"))
        recorder.saved(prefix, STEPS)
        assert recorder.flush()
    assert "COND103" in [condition.code for condition in cs.inspect(prefix).resume.conditions]
