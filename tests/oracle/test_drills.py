"""Restart drills: what ``inspect --all`` and ``diff`` tell of runs that were stopped and started
again.

To add a drill: a row, with the alarms of each pair of neighbours. That nothing untrue is told is
checked for all rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import ckptscope as cs
from tests.oracle.pipelines import Lab, plus_nothing
from tests.oracle.runs import Build, Run, told_of

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def lab(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    tf.get_logger().setLevel("ERROR")
    tf.autograph.set_verbosity(0)
    return Lab(tf, str(tmp_path_factory.mktemp("data")))


def alone(lab: Lab, dataset: Any) -> Any:
    """Without the prefetch that TensorFlow adds of its own."""
    return lab.with_options(dataset, experimental_optimization__inject_prefetch=False)


# ------------------------------------------------------------ pipelines


def fixed(lab: Lab) -> Any:
    return lab.slices(22).repeat().batch(4).prefetch(2)


def seeded(lab: Lab) -> Any:
    return lab.slices(22).shuffle(22, seed=3).repeat().batch(4).prefetch(2)


def unseeded(lab: Lab) -> Any:
    return lab.slices(22).shuffle(22).repeat().batch(4).prefetch(2)


def one_pass(lab: Lab) -> Any:
    return alone(lab, lab.slices(22).batch(4))


def even_pass(lab: Lab) -> Any:
    return alone(lab, lab.slices(24).batch(4))


def two_passes(lab: Lab) -> Any:
    return lab.slices(22).repeat(2).batch(4).prefetch(2)


def interleaved(lab: Lab, **options: Any) -> Any:
    return lab.files().interleave(lab.tf.data.TFRecordDataset, cycle_length=3, **options)


PIPELINES: dict[str, Build] = {
    "in memory": fixed,
    "in memory, nothing read ahead": lambda lab: alone(lab, lab.slices(22).repeat().batch(4)),
    "a range": lambda lab: lab.range(22).repeat().batch(4).prefetch(2),
    "records of several files": lambda lab: lab.tfrecords().batch(4).repeat().prefetch(2),
    "records, batches over the ends of passes": lambda lab: (
        lab.tfrecords().repeat().batch(4).prefetch(2)
    ),
    "lines": lambda lab: lab.texts().batch(4).repeat().prefetch(1),
    "interleaved files": lambda lab: interleaved(lab).batch(4).repeat().prefetch(2),
    "files interleaved in parallel": lambda lab: (
        interleaved(lab, num_parallel_calls=2).batch(4).repeat().prefetch(2)
    ),
    "a short last batch": lambda lab: lab.slices(22).batch(4).repeat().prefetch(1),
    "a prefetch of 1": lambda lab: lab.slices(22).repeat().batch(4).prefetch(1),
    "a prefetch of 9": lambda lab: lab.slices(22).repeat().batch(4).prefetch(9),
    "a parallel map": lambda lab: (
        lab.slices(22).map(plus_nothing, num_parallel_calls=3).batch(4).repeat().prefetch(1)
    ),
    "seeded": seeded,
    "seeded, a small buffer": lambda lab: (
        lab.slices(22).shuffle(5, seed=3).batch(4).repeat().prefetch(2)
    ),
    "seeded, the same order in each pass": lambda lab: (
        lab.slices(22).shuffle(9, seed=3, reshuffle_each_iteration=False).repeat().batch(4)
    ),
    "seeded files": lambda lab: (
        lab.files()
        .shuffle(3, seed=1)
        .flat_map(lab.tf.data.TFRecordDataset)
        .repeat()
        .batch(4)
        .prefetch(2)
    ),
    "unseeded": unseeded,
    "unseeded files": lambda lab: (
        lab.files().shuffle(3).interleave(lab.tf.data.TFRecordDataset).batch(4).repeat()
    ),
    "unseeded, then cached": lambda lab: (
        lab.slices(22).shuffle(22).cache().repeat().batch(4).prefetch(2)
    ),
    "cached, then seeded": lambda lab: (
        lab.slices(22).cache().shuffle(22, seed=2).repeat().batch(4).prefetch(2)
    ),
}
# Of these less is told: their order is not proven, or a pass ends where nothing was read ahead,
# which is chance.
LESS_IS_TOLD = frozenset(
    (
        "records of several files",
        "lines",
        "interleaved files",
        "files interleaved in parallel",
        "a parallel map",
        "seeded, a small buffer",
        "cached, then seeded",
        "seeded files",
        "unseeded files",
    )
)
UNPROVEN = frozenset(("unseeded", "unseeded, then cached"))


def of_loss(name: str) -> str | None:
    """The alarms of a restart that lost its place."""
    return (
        None
        if name in LESS_IS_TOLD
        else "DATA_BACK"
        if name in UNPROVEN
        else "DATA_BACK DATA_REPEATED"
    )


# ------------------------------------------------------------ drills


@dataclass(frozen=True)
class Drill:
    """One way to train, stop and go on.

    Attributes:
        alarms: of each pair of neighbours; None where chance decides.
        hints: what the user says.
        options: of the :class:`Run`.
    """

    name: str
    play: Callable[[Run], None]
    alarms: tuple[str | None, ...]
    build: Build = fixed
    hints: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def standard(how: str, first: int = 8, then: int = 4) -> Callable[[Run], None]:
    def play(run: Run) -> None:
        run.train(first)
        getattr(run, how)()
        run.train(then)

    return play


# Without them little is told where a pass has ended, or is read ahead: its size is not in the state
# then.
HINTS = {"batch_size": 4, "epoch_size": 22}


def over_epochs(run: Run) -> None:
    for _ in range(3):
        run.train(8)
        run.resume()


STANDARD = [
    drill
    for name, build in PIPELINES.items()
    for drill in (
        Drill(f"{name}: resumed", over_epochs, ("",) * 5, build),
        Drill(f"{name}: lost", standard("lose"), ("", of_loss(name)), build, HINTS),
    )
]


# ------------------------------------------------------------ special drills


def twice_lost(run: Run) -> None:
    for _ in range(3):
        run.train(4)
        run.lose()


def crashed_between_saves(how: str) -> Callable[[Run], None]:
    def play(run: Run) -> None:
        run.train(6)  # saved at 4, went on to 6
        getattr(run, how)()
        run.train(8)

    return play


def lost_after_a_longer_stretch(run: Run) -> None:
    run.train(4)
    run.lose()
    run.every = 8
    run.train(4)
    run.lose()
    run.train(8)


def exhausted(run: Run) -> None:
    run.train(40)
    run.save()
    run.resume()
    run.train(1)
    run.save()
    run.lose()
    run.train(5)


def warm_up(batches: int) -> Callable[[Run], None]:
    def play(run: Run) -> None:
        run.train(5)
        run.save()
        run.resume()
        run.skip(batches)
        run.train(7)

    return play


def warm_up_in_the_middle(run: Run) -> None:
    run.train(6)
    run.skip(3)
    run.train(2)


def older_iterator(run: Run) -> None:
    """The model of one checkpoint is restored with the iterator of an earlier one."""
    run.train(8)
    early = run.saves[0]
    run.lose()
    run.tf.train.Checkpoint(iterator=run.iterator).restore(early.path).expect_partial()
    run.life = replace(run.life, stream=early.life.stream, batches=early.life.batches)
    run.train(4)


def other_pipeline(build: Build, how: str) -> Callable[[Run], None]:
    def play(run: Run) -> None:
        run.train(4)
        getattr(run, how)(build=build)
        run.train(4)

    return play


def frozen(run: Run) -> None:
    run.train(4)
    run.rate = 0.0
    run.resume()
    run.train(4)


def turned_nan(run: Run) -> None:
    run.train(6)
    run.weight.assign([float("nan"), 1.0])
    run.train(6)


def saved_twice(run: Run) -> None:
    run.train(4)
    run.resume()
    run.save()
    run.train(4)


def one_step_two_places(run: Run) -> None:
    run.train(4)
    run.lose()
    run.save()


def at_the_start(how: str) -> Callable[[Run], None]:
    def play(run: Run) -> None:
        run.save()
        getattr(run, how)()
        run.train(8)

    return play


def going_back(run: Run) -> None:
    """An older state is restored and saved under a later number."""
    run.train(8)
    run.resume(at=0)
    run.save()


def without_iterator_later(run: Run) -> None:
    run.train(4)
    run.keeps = ("step",)
    run.train(8)


def evaluated(how: str, batches: int) -> Callable[[Run], None]:
    def play(run: Run) -> None:
        run.train(2)
        run.evaluate(batches)
        run.train(4)
        run.evaluate(batches)
        run.train(2)
        getattr(run, how)()
        run.evaluate(1)
        run.train(4)

    return play


def seeking(lost: bool) -> Callable[[Run], None]:
    def play(run: Run) -> None:
        run.train(4)
        run.lose() if lost else run.seek()
        run.train(4)

    return play


def evaluation(lab: Lab) -> Any:
    return lab.slices(12).batch(2).repeat().prefetch(1)


LOOP = {"loop": 22}
INDEX = {"keeps": ("step", "start_index")}
EIGHTS: Build = lambda lab: lab.slices(22).repeat().batch(8).prefetch(2)  # noqa: E731
SPECIAL = [
    Drill("lost at each save", twice_lost, ("DATA_STALLED DATA_REPEATED", "DATA_STALLED"), seeded),
    Drill("crashed between two saves: resumed", crashed_between_saves("resume"), ("", "")),
    Drill(
        "crashed between two saves: lost",
        crashed_between_saves("lose"),
        ("DATA_STALLED DATA_REPEATED", ""),
        hints=HINTS,
    ),
    Drill(
        "lost, and trained for longer than before",
        lost_after_a_longer_stretch,
        ("DATA_STALLED DATA_REPEATED", "DATA_RATE"),
        hints=HINTS,
    ),
    Drill(
        "batches for warming up",
        warm_up(2),
        ("", "DATA_RATE DATA_SKIPPED", ""),
        hints=HINTS,
    ),
    Drill(
        "batches taken on the way",
        warm_up_in_the_middle,
        ("DATA_RATE VERDICT_FELL DATA_SKIPPED",),
        hints=HINTS,
    ),
    Drill(
        "the iterator of an earlier checkpoint", older_iterator, ("", "DATA_STALLED"), hints=HINTS
    ),
    # a loop that makes an iterator for each pass
    Drill("loop: resumed", over_epochs, ("",) * 5, one_pass, options=LOOP),
    Drill("loop: resumed, with sizes", over_epochs, ("",) * 5, one_pass, HINTS, LOOP),
    Drill(
        "loop: saved at the ends of passes",
        over_epochs,
        ("",) * 2,
        one_pass,
        HINTS,
        {**LOOP, "every": 6},
    ),
    Drill(
        "loop: saved at the ends of passes, not met yet",
        over_epochs,
        ("",) * 2,
        even_pass,
        {},
        {"loop": 24, "epoch_size": 24, "every": 6},
    ),
    Drill(
        "loop: the same, with sizes",
        over_epochs,
        ("",) * 2,
        even_pass,
        {**HINTS, "epoch_size": 24},
        {"loop": 24, "epoch_size": 24, "every": 6},
    ),
    # Where nothing is read ahead, a pass may just have ended.
    Drill("loop: lost in a pass", standard("lose", 4), ("",), one_pass, {"batch_size": 4}, LOOP),
    Drill(
        "loop: lost in a pass, with sizes",
        standard("lose", 4),
        ("DATA_STALLED DATA_REPEATED",),
        one_pass,
        HINTS,
        LOOP,
    ),
    Drill(
        "loop: lost in the second pass",
        standard("lose", 10, 5),
        ("", "DATA_RATE"),
        one_pass,
        HINTS,
        {**LOOP, "every": 5},
    ),
    Drill(
        "loop: lost at the end of a pass",
        standard("lose", 6, 6),
        ("",),
        one_pass,
        HINTS,
        {**LOOP, "every": 6},
    ),
    Drill(
        "loop, reading ahead: lost",
        standard("lose", 3, 2),
        ("", "", "DATA_BACK DATA_REPEATED", ""),
        lambda lab: lab.slices(22).batch(4).prefetch(2),
        {},
        {**LOOP, "every": 1},
    ),
    # two batches for each step
    Drill("two batches for each step: resumed", over_epochs, ("",) * 5, options={"per_step": 2}),
    Drill(
        "two batches for each step: resumed, with sizes",
        over_epochs,
        ("",) * 5,
        seeded,
        HINTS,
        {"per_step": 2},
    ),
    Drill(
        "two batches for each update: resumed",
        over_epochs,
        ("",) * 5,
        seeded,
        HINTS,
        {"per_step": 2, "own_step": False},
    ),
    Drill(
        "two batches for each step: lost",
        standard("lose", 4),
        ("DATA_STALLED",),
        seeded,
        HINTS,
        {"per_step": 2},
    ),
    Drill(
        "two batches for each update: lost",
        standard("lose"),
        ("", "DATA_BACK"),
        seeded,
        HINTS,
        {"per_step": 2, "own_step": False},
    ),
    # the end of the data
    Drill("exhausted", exhausted, ("", "", "", ""), two_passes, HINTS, {"every": 5}),
    Drill("exhausted, without sizes", exhausted, ("", "", "", ""), two_passes, {}, {"every": 5}),
    Drill(
        "exhausted, lost before",
        standard("lose", 5, 40),
        ("DATA_STALLED DATA_REPEATED", ""),
        two_passes,
        HINTS,
        {"every": 5},
    ),
    # several iterators
    Drill(
        "evaluation beside it: resumed",
        evaluated("resume", 2),
        ("", ""),
        options={"evaluation": evaluation},
    ),
    Drill(
        "evaluation beside it: lost",
        evaluated("lose", 2),
        ("", "DATA_BACK DATA_REPEATED"),
        seeded,
        HINTS,
        {"evaluation": evaluation},
    ),
    Drill(
        "evaluation in step with the counter: resumed",
        evaluated("resume", 4),
        ("", ""),
        options={"evaluation": evaluation},
    ),
    Drill(
        "evaluation in step with the counter: lost",
        evaluated("lose", 4),
        ("", ""),
        options={"evaluation": evaluation},
    ),
    # another pipeline
    Drill("other batches: resumed", other_pipeline(EIGHTS, "resume"), ("PIPELINE_CHANGED",)),
    Drill("other batches: lost", other_pipeline(EIGHTS, "lose"), ("PIPELINE_CHANGED",)),
    Drill(
        "a shuffle more: lost",
        other_pipeline(seeded, "lose"),
        ("DATA_STALLED PIPELINE_CHANGED",),
        hints=HINTS,
    ),
    # weights
    Drill("learning rate 0", frozen, ("WEIGHTS_FROZEN",)),
    Drill("weights turned NaN", turned_nan, ("NAN_NEW", "")),
    # steps
    Drill("saved at step 0: resumed", at_the_start("resume"), ("", "")),
    Drill("saved at step 0: lost", at_the_start("lose"), ("", "")),
    Drill("saved at step 0, unseeded", at_the_start("resume"), ("", ""), unseeded),
    Drill("two checkpoints of one step", saved_twice, ("", "")),
    Drill(
        "two checkpoints of one step: lost between",
        one_step_two_places,
        ("DATA_BACK VERDICT_FELL",),
        hints=HINTS,
    ),
    Drill("going back to an older state", going_back, ("", "")),
    # less is saved
    Drill("no iterator later", without_iterator_later, ("VERDICT_FELL", "")),
    Drill("no iterator", standard("lose"), ("", ""), options={"keeps": ("step",)}),
    Drill(
        "no iterator, saved at step 0", at_the_start("lose"), ("", ""), options={"keeps": ("step",)}
    ),
    Drill("a stored index: resumed", seeking(lost=False), ("",), fixed, HINTS, INDEX),
    Drill("a stored index: lost", seeking(lost=True), ("",), fixed, HINTS, INDEX),
]


@pytest.mark.parametrize("drill", [*STANDARD, *SPECIAL], ids=lambda drill: drill.name)
def test_what_is_told_is_true(drill: Drill, lab: Lab, tmp_path: Path) -> None:
    check(drill, lab, tmp_path)


def check(drill: Drill, lab: Lab, directory: Path) -> list[cs.CheckpointDiff]:
    run = Run(lab, str(directory), drill.build, **drill.options)
    drill.play(run)
    told, wrong = told_of(run, **drill.hints)
    assert not wrong, "\n".join(wrong)
    raised = tuple(" ".join(pair.codes) for pair in told)
    assert raised == tuple(
        codes if wanted is None else wanted
        for codes, wanted in zip(raised, drill.alarms, strict=True)
    )
    return [pair.found for pair in told]
