"""Steps and updates: who counted them, and whom to believe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.inventory import Inventory, Optimizer
from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.resume.counting import (
    StepSources,
    counter_values,
    step_of,
    updates_by_powers,
    updates_of,
)
from ckptscope.resume.facts import StepFact, UpdateFact, Witness
from ckptscope.resume.neighbours import Neighbour
from tests.resume.rules.table import record, variable
from tests.writers import Bundle

LEAST_NORMAL = np.float32(2.0**-126)


# ------------------------------------------------------------ powers


def power(beta: float, updates: int, dtype: str = "float32") -> float:
    """What TF1's Adam stores after so many updates: it starts at beta, and each multiplies."""
    kind = np.dtype(dtype).type
    return float(np.cumprod(np.full(updates + 1, kind(beta)), dtype=kind)[-1])


BETA1 = st.one_of(
    st.sampled_from((0.9, 0.5, 0.0, 0.95, 0.8, 0.99, 0.999)),
    st.integers(1, 999).map(lambda digits: digits / 1000),
)
KNOWN_BETA2 = st.sampled_from((0.999, 0.99, 0.98, 0.95, 0.9999, 0.9, 0.995, 0.998, 0.997))


@given(BETA1, KNOWN_BETA2, st.integers(0, 30_000))
@example(0.9, 0.999, 0)
@example(0.9, 0.999, 827)
@example(0.9, 0.9, 2)
@example(0.95, 0.95, 3)
@example(0.99, 0.99, 18)
@example(0.999, 0.9999, 3_074)
@example(0.999, 0.999, 80_000)
@example(0.5, 0.95, 28)
@example(0.9, 0.999, 1_236)
def test_powers_tell_the_updates_until_they_underflow(beta1, beta2, updates):
    first, second = power(beta1, updates), power(beta2, updates)
    told = updates_by_powers(first, second)
    if min(first, second) >= LEAST_NORMAL:
        assert told == updates
    else:
        assert told is None


@given(BETA1, st.integers(500, 999_900).map(lambda n: n / 1e6), st.integers(0, 5_000))
def test_powers_of_any_betas_never_tell_another_number(beta1, beta2, updates):
    assert updates_by_powers(power(beta1, updates), power(beta2, updates)) in (None, updates)


@given(st.integers(1, 3_000), st.integers(1, 3_000))
def test_powers_of_different_counts_do_not_tell(one, other):
    told = updates_by_powers(power(0.99, one), power(0.999, other))
    assert told == (one if one == other else None)


@given(st.integers(2, 800), st.sampled_from((1, -1)))
def test_powers_are_equal_to_the_last_bit_or_do_not_tell(updates, side):
    second = float(np.nextafter(np.float32(power(0.999, updates)), np.float32(side)))
    assert updates_by_powers(power(0.9, updates), second) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [(0.0, 0.5), (0.5, 0.0), (1.0, 0.999), (0.9, 1.0), (-0.9, 0.999), (float("nan"), 0.999)],
)
def test_powers_that_no_adam_stores_do_not_tell(first, second):
    assert updates_by_powers(first, second) is None


# ------------------------------------------------------------ updates of a file


def scalar(value: float, dtype: str = "float32") -> np.ndarray:
    return np.array(value, dtype=dtype)


def opened(tmp_path: Path, **values: np.ndarray):
    bundle = Bundle()
    for key, value in values.items():
        bundle.array(key, value)
    return open_bundle(bundle.write(tmp_path / "ckpt-1"))


NONE: frozenset[str | None] = frozenset()
NOTHING = Inventory((), ())


def updates_in(checkpoint, inventory=NOTHING, counters=None, broken=frozenset()):
    with checkpoint:
        return updates_of(checkpoint, inventory, counters or {}, broken)


def test_powers_are_read_from_the_file(tmp_path):
    stored = opened(
        tmp_path,
        beta1_power=scalar(power(0.9, 5)),
        beta2_power=scalar(power(0.999, 5)),
        beta1_power_1=scalar(power(0.5, 9)),
        beta2_power_1=scalar(power(0.999, 9)),
        **{"gan/beta1_power": scalar(power(0.9, 7))},
    )
    assert updates_in(stored).powers == Witness("beta1_power_1", 9, "beta1_power_1")


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ({"beta1_power": scalar(power(0.9, 5))}, frozenset()),  # one of two
        (
            {"beta1_power": scalar(power(0.9, 5)), "beta2_power": scalar(power(0.999, 6))},
            frozenset(),
        ),
        (
            {"beta1_power": scalar(power(0.9, 5)), "beta2_power": scalar(power(0.999, 5))},
            frozenset(("beta1_power",)),
        ),
        (
            {
                "beta1_power": scalar(power(0.9, 5)).reshape(1),
                "beta2_power": scalar(power(0.999, 5)),
            },
            frozenset(),
        ),
        ({"beta1_power": scalar(5, "int64"), "beta2_power": scalar(5, "int64")}, frozenset()),
    ],
)
def test_powers_that_are_no_pair_do_not_tell(tmp_path, values, broken):
    assert updates_in(opened(tmp_path, **values), broken=broken).powers is None


OPTIMIZER = Optimizer("opt", "opt/iter/key", ("m",), None, (), None)
ITERATIONS = replace(
    variable("opt/iter/key", "counter", shape=(), dtype="int64"), object_path="opt/iter"
)
FIRST_MOMENT = variable("opt/m/kernel", "optimizer_slot", "kernel", "m", shape=(2, 100))
ACCUMULATED = replace(FIRST_MOMENT, slot_name="accumulator")
ZERO = np.zeros((2, 100), np.float32)
LATE = ZERO.copy()
LATE[1, 99] = 1


def with_slot(tmp_path, values, slot=FIRST_MOMENT, made=0, broken=frozenset()) -> UpdateFact:
    slot = replace(slot, entry=replace(slot.entry, shape=values.shape))
    inventory = Inventory((ITERATIONS, slot), (OPTIMIZER,))
    stored = opened(tmp_path, **{slot.key: values})
    return updates_in(stored, inventory, {"opt/iter": made}, broken)


COUNTED_0 = (Witness("opt/iter", 0, "opt/iter/key"),)


@pytest.mark.parametrize(
    ("slot", "values", "moved", "idle"),
    [
        (FIRST_MOMENT, ZERO, None, True),
        (FIRST_MOMENT, ZERO + 1, "opt/m/kernel", False),
        (FIRST_MOMENT, LATE, "opt/m/kernel", False),  # behind the first look
        (ACCUMULATED, ZERO, None, True),
        (ACCUMULATED, ZERO + 0.1, None, False),  # Adagrad starts at 0.1
    ],
)
def test_slots_tell_whether_an_optimizer_worked(tmp_path, slot, values, moved, idle):
    assert with_slot(tmp_path, values, slot) == UpdateFact(COUNTED_0, None, moved, idle)


@pytest.mark.parametrize("name", ["Momentum_1", "Adam_3", "gan/AdaMax_2", "v", "LAMB_1"])
def test_slots_that_start_at_zero_by_name(tmp_path, name):
    moved = with_slot(tmp_path, ZERO + 1, replace(FIRST_MOMENT, slot_name=name)).moved_slot
    assert moved == "opt/m/kernel"


@pytest.mark.parametrize("name", ["RMSProp", "accumulator", None, "Adagrad_1"])
def test_slots_that_do_not_start_at_zero_by_name(tmp_path, name):
    found = with_slot(tmp_path, ZERO + 1, replace(FIRST_MOMENT, slot_name=name))
    assert (found.moved_slot, found.idle) == (None, False)


def test_integer_slots_do_not_tell(tmp_path):
    slot = replace(FIRST_MOMENT, entry=variable("x", dtype="int64").entry)
    found = with_slot(tmp_path, ZERO.astype(np.int64), slot)
    assert (found.moved_slot, found.idle) == (None, False)


@pytest.mark.parametrize(("count", "idle"), [(64, True), (65, False)])
def test_so_many_slots_are_looked_at(tmp_path, count, idle):
    slots = [replace(FIRST_MOMENT, key=f"opt/m/{number}") for number in range(count)]
    inventory = Inventory((ITERATIONS, *slots), (OPTIMIZER,))
    stored = opened(tmp_path, **{slot.key: ZERO for slot in slots})
    assert updates_in(stored, inventory, {"opt/iter": 0}).idle is idle


def test_sums_of_gradients_are_no_slots(tmp_path):
    total = replace(FIRST_MOMENT, slot_of=None, slot_name=None)
    assert with_slot(tmp_path, ZERO + 1, total) == UpdateFact(COUNTED_0, None, None, True)


def test_without_a_count_nothing_is_idle(tmp_path):
    assert updates_in(opened(tmp_path, x=ZERO)) == UpdateFact()


def test_two_optimizers_that_share_a_counter_count_once(tmp_path):
    inventory = Inventory((ITERATIONS,), (OPTIMIZER, replace(OPTIMIZER, path="other")))
    counts = updates_in(opened(tmp_path, x=ZERO), inventory, {"opt/iter": 7}).counts
    assert counts == (Witness("opt/iter", 7, "opt/iter/key"),)


def test_a_counter_of_an_optimizer_is_told_once_and_by_its_key(tmp_path):
    path = "my_optimizer/iter"
    count = replace(ITERATIONS, key=f"{path}/key", object_path=path)
    stored = opened(tmp_path, x=ZERO)
    with stored:
        for iterations in (count.key, None):
            optimizer = replace(OPTIMIZER, iterations=iterations)
            inventory = Inventory((FIRST_MOMENT, count), (optimizer,))
            found = updates_of(stored, replace(inventory, variables=(count,)), {path: 7}, NONE)
            assert found.counts == (Witness(path, 7, count.key),)


def test_iterations_that_are_not_stored_do_not_count(tmp_path):
    assert updates_in(opened(tmp_path, x=ZERO), Inventory((ITERATIONS,), (OPTIMIZER,))).counts == ()


def test_an_optimizer_that_counted_is_not_idle(tmp_path):
    assert not with_slot(tmp_path, ZERO, made=1).idle


def test_slots_that_cannot_be_read_do_not_tell(tmp_path):
    found = with_slot(tmp_path, ZERO + 1, broken=frozenset(("opt/m/kernel",)))
    assert (found.moved_slot, found.idle) == (None, False)


def test_slots_that_are_read_only_in_part_do_not_tell_that_all_are_zero(tmp_path):
    assert not with_slot(tmp_path, np.zeros((1, 5_000), np.float32)).idle


def test_a_wrapper_does_not_count_beside_the_optimizer_inside(tmp_path):
    outer = Optimizer("outer", "outer/iter/key", (), None, (), "opt")
    other = replace(ITERATIONS, key="outer/iter/key", object_path="outer/iter")
    inventory = Inventory((other, ITERATIONS), (outer, OPTIMIZER))
    counts = updates_in(opened(tmp_path, x=ZERO), inventory, {"opt/iter": 7, "outer/iter": 9})
    assert counts.counts == (Witness("opt/iter", 7, "opt/iter/key"),)


def test_the_global_step_of_an_optimizer_counts_its_updates(tmp_path):
    counters = {"a/MyOptimizer/global_step": 7, "global_step": 9, "optimizer_step": 11}
    counts = updates_in(opened(tmp_path, x=ZERO), counters=counters).counts
    assert counts == (Witness("a/MyOptimizer/global_step", 7, "a/MyOptimizer/global_step"),)


def test_update_facts_of_several_witnesses():
    several = UpdateFact((Witness("g", 7), Witness("d", 35), Witness("e", 0)), Witness("p", 9))
    assert several.most == Witness("d", 35)
    assert several.made == 35
    assert several.values == {7, 35, 9}
    assert (UpdateFact().most, UpdateFact().made, UpdateFact().values) == (None, None, frozenset())
    assert UpdateFact(powers=Witness("p", 9)).made == 9


# ------------------------------------------------------------ the step

STEP = "step/key"
KEYS = {"step": STEP, "train_step": "train_step/key", "Variable_1": "Variable_1"}
OPT = Witness("opt/iter", 84, "opt/iter/key")
CLAIM = Witness("step", 0, STEP)
RAISED = MetaGraph(raised_counters=("Variable_1",))


def sources(counters=None, *, number=None, **more) -> StepSources:
    keys = {name: KEYS.get(name, name) for name in counters or {}}
    return StepSources(counters or {}, keys, number=number, **more)


def made(*counts: int, **more) -> UpdateFact:
    """Iterations of one or more optimizers."""
    names = [("opt/iter", "opt/iter/key"), ("d/iter", "d/iter/key")]
    witnesses = (Witness(name, n, key) for (name, key), n in zip(names, counts, strict=False))
    return UpdateFact(tuple(witnesses), **more)


def own(value: int, standing="alone", key=STEP, **more) -> StepFact:
    return StepFact(value, key, "own", {key: value}, standing, **more)


def refuted(by: Witness, value: int = 0) -> StepFact:
    claim = Witness(STEP, value, STEP)
    return StepFact(None, STEP, None, {STEP: value}, "contradicted", claim, by)


def neighbour(step: int | None, updates: int | None = None, **more) -> Neighbour:
    found = {STEP: step, OPT.key: updates, **more.pop("counters", {})}
    held = {key: value for key, value in found.items() if value is not None}
    return Neighbour("ckpt-5", counters=held, **more)


SLOT = Witness("a slot that is not zero any more", None, "kernel/Adam")
POWERS = Witness("beta1_power", 84, "beta1_power")
WAS_60 = replace(OPT, name="opt/iter, which was 60 in ckpt-5")

OWN = [
    ("alone", sources({"step": 7}), made(), own(7)),
    ("agreed with the updates", sources({"step": 7}), made(7), own(7, "agreed")),
    ("agreed with one of two", sources({"step": 7}), made(35, 7), own(7, "agreed")),
    (
        "agreed with the powers",
        sources({"step": 7}),
        UpdateFact(powers=replace(POWERS, value=7)),
        own(7, "agreed"),
    ),
    ("agreed with the name", sources({"step": 7}, number=7), made(), own(7, "agreed")),
    ("another number in the name", sources({"step": 7}, number=1), made(), own(7)),
    ("began at 1", sources({"step": 8}), made(7), own(8, starts_at=1)),
    ("two more than the updates", sources({"step": 9}), made(7), own(9)),
    ("two optimizers", sources({"step": 8}), made(7, 7), own(8)),
    ("a true 0", sources({"step": 0}), made(0), own(0)),
    ("a true 0 by the name", sources({"step": 0}, number=0), made(0), own(0, "agreed")),
    ("1 with one update", sources({"step": 1}), made(1), own(1, "agreed")),
    ("2 with more updates", sources({"step": 2}), made(84), own(2)),
    ("a slot moved by step 7", sources({"step": 7}), made(moved_slot="kernel/Adam"), own(7)),
    (
        "a name that says less, and the graph's own",
        sources({"step": 7, "count": 9}, meta=MetaGraph(global_step="count")),
        made(),
        own(9, key="count"),
    ),
    (
        "the graph's own is not stored",
        sources({"step": 7}, meta=MetaGraph(global_step="count")),
        made(),
        own(7),
    ),
]
REFUTED = [
    ("0 beside updates", sources({"step": 0}), made(84), refuted(OPT)),
    ("0 beside one update", sources({"step": 0}), made(1), refuted(replace(OPT, value=1))),
    ("0 beside two optimizers", sources({"step": 0}), made(84, 0), refuted(OPT)),
    ("0 beside powers", sources({"step": 0}), UpdateFact(powers=POWERS), refuted(POWERS)),
    ("0 beside a slot", sources({"step": 0}), made(moved_slot="kernel/Adam"), refuted(SLOT)),
    ("1 beside updates", sources({"step": 1}), made(2), refuted(replace(OPT, value=2), 1)),
    (
        "dead between neighbours",
        sources({"step": 30}, neighbours=(neighbour(30, 60),)),
        made(84),
        refuted(WAS_60, 30),
    ),
    (
        "dead, as the second neighbour shows",
        sources({"step": 30}, neighbours=(neighbour(30), neighbour(30, 60))),
        made(84),
        refuted(WAS_60, 30),
    ),
    (
        "it moved with the updates",
        sources({"step": 30}, neighbours=(neighbour(29, 60),)),
        made(84),
        own(30),
    ),
    (
        "neither moved",
        sources({"step": 30}, neighbours=(neighbour(30, 84),)),
        made(84),
        own(30),
    ),
    (
        "the neighbour has no optimizer",
        sources({"step": 30}, neighbours=(neighbour(30),)),
        made(84),
        own(30),
    ),
    (
        "iterations do not stand in, nor the name",
        sources({"step": 0}, number=84),
        made(84),
        refuted(OPT),
    ),
    (
        "the run record stands in",
        sources({"step": 0}, record=record(step=84), meta=RAISED),
        made(84),
        replace(refuted(OPT), value=84, key=None, source="run_record", standing="alone"),
    ),
    (
        "an empty run record does not",
        sources({"step": 0}, record=record(step=0)),
        made(84),
        refuted(OPT),
    ),
    (
        "a counter that the graph raises stands in",
        sources({"step": 0, "Variable_1": 84}, meta=RAISED),
        made(84),
        replace(refuted(OPT), value=84, key="Variable_1", source="graph", standing="alone"),
    ),
    (
        "another counter does not",
        sources({"step": 0, "Variable_1": 84}, meta=MetaGraph()),
        made(84),
        refuted(OPT),
    ),
    (
        "nor does itself",
        sources({"step": 1}, meta=MetaGraph(raised_counters=("step",))),
        made(84),
        refuted(OPT, 1),
    ),
    (
        "nor one that is 0",
        sources({"step": 0, "Variable_1": 0}, meta=RAISED),
        made(84),
        refuted(OPT),
    ),
]
BOTH = {STEP: 7, "train_step/key": 8}
SEVERAL = [
    (
        "they differ",
        sources({"step": 7, "train_step": 8}),
        made(),
        StepFact(None, STEP, "own", BOTH, "contradicted"),
    ),
    (
        "one is confirmed",
        sources({"step": 7, "train_step": 8}),
        made(8),
        StepFact(8, "train_step/key", "own", BOTH, "agreed"),
    ),
    (
        "both are confirmed",
        sources({"step": 7, "train_step": 8}),
        made(7, 8),
        StepFact(None, STEP, "own", BOTH, "contradicted"),
    ),
    (
        "they are the same",
        sources({"step": 7, "train_step": 7}),
        made(),
        StepFact(7, STEP, "own", {STEP: 7, "train_step/key": 7}, "alone"),
    ),
    (
        "one is unset",
        sources({"step": -1, "train_step": 8}),
        made(),
        own(8, key="train_step/key", unset=STEP),
    ),
]
LIKELY = Witness("Variable_1", 7, "Variable_1")
COUNTS = {OPT.key: 84}
ABSENT = [
    ("nothing", sources(), made(), StepFact()),
    ("unset", sources({"step": -1}), made(), StepFact(unset=STEP)),
    (
        "iterations",
        sources(),
        made(84),
        StepFact(84, OPT.key, "optimizer", COUNTS, "alone"),
    ),
    (
        "iterations beside an unset one",
        sources({"step": -1}),
        made(84),
        StepFact(unset=STEP),
    ),
    (
        "two optimizers alike",
        sources(),
        made(7, 7),
        StepFact(7, OPT.key, "optimizer", {OPT.key: 7, "d/iter/key": 7}, "alone"),
    ),
    (
        "two optimizers that differ",
        sources(),
        made(7, 8),
        StepFact(None, None, "optimizer", {OPT.key: 7, "d/iter/key": 8}),
    ),
    (
        "the number of the file",
        sources({"Variable_1": 7}, number=7),
        made(),
        StepFact(unproven=(LIKELY,)),
    ),
    ("another number", sources({"Variable_1": 7}, number=8), made(), StepFact()),
    ("a number that says little", sources({"Variable_1": 1}, number=1), made(), StepFact()),
    (
        "raised by the graph",
        sources({"Variable_1": 7}, meta=RAISED),
        made(),
        StepFact(unproven=(LIKELY,)),
    ),
    ("raised later", sources({"Variable_1": 0}, meta=RAISED), made(), StepFact()),
    ("nor unset", sources({"Variable_1": -1}, meta=RAISED), made(), StepFact()),
    (
        "raised, and the number",
        sources({"Variable_1": 7}, meta=RAISED, number=7),
        made(),
        own(7, "agreed", "Variable_1"),
    ),
    (
        "the number, in a neighbour, too",
        sources(
            {"Variable_1": 7},
            number=7,
            neighbours=(neighbour(None, counters={"Variable_1": 5}, number=5),),
        ),
        made(),
        own(7, "agreed", "Variable_1"),
    ),
    (
        "another number in the neighbour",
        sources(
            {"Variable_1": 7},
            number=7,
            neighbours=(neighbour(None, counters={"Variable_1": 6}, number=5),),
        ),
        made(),
        StepFact(unproven=(LIKELY,)),
    ),
    (
        "a neighbour without a number",
        sources(
            {"Variable_1": 7}, number=7, neighbours=(neighbour(None, counters={}, number=None),)
        ),
        made(),
        StepFact(unproven=(LIKELY,)),
    ),
    (
        "iterations win over what is unproven",
        sources({"Variable_1": 7}, number=7),
        made(84),
        StepFact(84, OPT.key, "optimizer", COUNTS, "alone"),
    ),
    ("counts saves", sources({"save_counter": 7}, number=7), made(), StepFact()),
]


@pytest.mark.parametrize(
    ("given_sources", "updates", "expected"),
    [row[1:] for row in (*OWN, *REFUTED, *SEVERAL, *ABSENT)],
    ids=[row[0] for row in (*OWN, *REFUTED, *SEVERAL, *ABSENT)],
)
def test_step(given_sources, updates, expected):
    assert step_of(given_sources, updates) == expected


def test_a_refuted_counter_is_called_by_its_path():
    key = "step/.ATTRIBUTES/VARIABLE_VALUE"
    found = step_of(StepSources({"step": 0}, {"step": key}), made(84))
    assert found.refuted == Witness("step", 0, key)


def test_counters_are_integer_scalars(tmp_path):
    stored = opened(
        tmp_path,
        step=scalar(7, "int64"),
        rate=scalar(0.5),
        sizes=np.array([3, 4], np.int32),
        broken=scalar(9, "int64"),
    )
    items = [
        replace(variable("step", "counter", shape=(), dtype="int64"), object_path="a/step"),
        variable("rate", "counter", shape=()),
        variable("sizes", "counter", shape=(2,), dtype="int32"),
        variable("broken", "counter", shape=(), dtype="int64"),
    ]
    with stored:
        assert counter_values(stored, items, frozenset(("broken",))) == {"a/step": 7}
        assert counter_values(stored, items[3:], frozenset()) == {"broken": 9}
