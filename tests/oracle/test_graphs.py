"""What a graph is said to read and change, against what running its training op does.

Each program is built and run in a session: a variable is changed if a run of the training op
changes its value, and read if another value of it makes the run end in other values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ckptscope.checkpoint.discover import find
from ckptscope.checkpoint.meta_graph import MetaGraph, read_meta_graph
from ckptscope.checkpoint.roles import Inventory, take_inventory

BATCH = np.array([[0.5, -0.25], [1.0, 2.0]], "float32")


@dataclass
class Program:
    """What a builder gives: the op to run, its feeds, and what is expected of the facts."""

    train: Any
    feeds: dict[Any, Any] = field(default_factory=dict)
    saver_list: Any = None
    facts: dict[str, Any] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()  # read in the graph, without effect in this one run


def _weight(v1: Any, name: str, shape: tuple[int, ...] = (2, 2), **options: Any) -> Any:
    start = v1.random_uniform_initializer(-1, 1, seed=1)
    return v1.get_variable(name, shape, initializer=start, **options)


def _loss(tf: Any, w: Any, x: Any) -> Any:
    return tf.reduce_mean(tf.square(tf.matmul(x, w) - 1.0))


def adam_in_a_scope(tf: Any, v1: Any) -> Program:
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    with v1.variable_scope("main"):
        w = _weight(v1, "w")
        train = v1.train.AdamOptimizer(0.1).minimize(_loss(tf, w, x))
    return Program(
        train,
        {x: BATCH},
        facts={"feeding": "placeholder", "fed_rates": (), "raised_counters": ()},
        roles={
            "main/w": "weight",
            "main/main/w/Adam": "optimizer_slot",
            "main/main/w/Adam_1": "optimizer_slot",
            "main/beta1_power": "optimizer_slot",
        },
    )


def partitions_in_a_scope(tf: Any, v1: Any) -> Program:
    x = v1.placeholder(tf.float32, [None, 2], name="x")
    with v1.variable_scope("net"):
        w = _weight(v1, "w", (4, 2), partitioner=v1.fixed_size_partitioner(2))
        whole = tf.convert_to_tensor(w)
        train = v1.train.FtrlOptimizer(0.1).minimize(_loss(tf, whole[:2] + whole[2:], x))
    return Program(train, {x: BATCH}, roles={"net/w": "weight", "net/w/t_0/Ftrl": "optimizer_slot"})


def other_keys(tf: Any, v1: Any) -> Program:
    w = _weight(v1, "w")
    step = v1.train.get_or_create_global_step()
    rate = v1.placeholder_with_default(0.1, [], name="rate")
    train = v1.train.MomentumOptimizer(rate, 0.9).minimize(
        _loss(tf, w, tf.constant(BATCH)), global_step=step
    )
    (slot,) = [v for v in v1.global_variables() if "Momentum" in v.name]
    return Program(
        train,
        saver_list={"a:0": w, "b": slot, "n": step},
        facts={
            "saved": {"a:0": "w", "b": "w/Momentum", "n": "global_step"},
            "fed_rates": ("rate",),
            "raised_counters": ("global_step",),
            "feeding": "none",
        },
        roles={"a:0": "weight", "b": "optimizer_slot", "n": "counter"},
    )


def traces(tf: Any, v1: Any) -> Program:
    w = _weight(v1, "w")
    trace = v1.get_variable("trace", initializer=np.full((2, 2), 0.5, "float32"), trainable=False)
    (gradient,) = tf.gradients(_loss(tf, w, tf.constant(BATCH)), [w])
    moved = trace.assign(0.7 * trace + gradient)
    return Program(
        w.assign_add(-0.1 * moved),
        roles={"w": "weight", "trace": "optimizer_slot"},
        facts={"optimizer_ops": ()},
    )


def accumulated_in_cond(tf: Any, v1: Any) -> Program:
    w = _weight(v1, "w")
    sums = v1.get_variable("sums", initializer=np.ones((2, 2), "float32"), trainable=False)
    count = v1.get_variable("count", initializer=np.int32(2), trainable=False)
    (gradient,) = tf.gradients(_loss(tf, w, tf.constant(BATCH)), [w])
    with tf.control_dependencies([sums.assign_add(gradient), count.assign_add(1)]):
        due = tf.equal(count.read_value() % 3, 0)

    def apply() -> Any:
        with tf.control_dependencies([w.assign_sub(0.1 * sums.read_value())]):
            return tf.group(sums.assign(tf.zeros([2, 2])))

    return Program(
        tf.cond(due, apply, lambda: tf.no_op()),
        roles={"w": "weight", "sums": "optimizer_slot", "count": "counter"},
        facts={"raised_counters": ("count",)},
    )


def unused_values(tf: Any, v1: Any) -> Program:
    """A counter, a summary of a random value and an average of the loss change nothing else."""
    w = _weight(v1, "w")
    step = v1.train.get_or_create_global_step()
    epoch = v1.get_variable("epoch", initializer=np.int32(0), trainable=False)
    loss = _loss(tf, w, tf.constant(BATCH))
    average = v1.train.ExponentialMovingAverage(0.9)
    watched = average.apply([loss])
    averaged = v1.train.ExponentialMovingAverage(0.5)
    noise = v1.summary.scalar("noise", v1.random_uniform([]))
    train = v1.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)
    with tf.control_dependencies([train]):
        weights = averaged.apply([w])
    raised = epoch.assign(epoch + 1)
    watch = [v.op.name for v in v1.global_variables() if v.op.name.startswith("Mean")]
    return Program(
        tf.group(train, watched, weights, noise, raised),
        facts={
            "random_ops": (),
            "raised_counters": ("global_step", "epoch"),
            "state_only_counted": frozenset(("global_step", "epoch")),
        },
        roles={
            "w": "weight",
            "w/ExponentialMovingAverage": "ema",
            **dict.fromkeys((name for name in watch if name.endswith("Average")), "metric"),
        },
    )


def local_and_table(tf: Any, v1: Any) -> Program:
    w = _weight(v1, "w")
    warm = v1.get_variable(
        "warm",
        initializer=np.float32(1),
        trainable=False,
        collections=[v1.GraphKeys.LOCAL_VARIABLES],
    )
    rate = 0.1 * tf.minimum(warm.assign_add(1.0), 10.0)
    train = v1.train.GradientDescentOptimizer(rate).minimize(_loss(tf, w, tf.constant(BATCH)))
    return Program(train, facts={"stored_of_warm": None})


def loop_and_function(tf: Any, v1: Any) -> Program:
    w = _weight(v1, "w")
    scale = v1.get_variable("scale", initializer=np.float32(0.5), trainable=False)

    @tf.function
    def scaled(value: Any) -> Any:
        return value * scale

    total = v1.while_loop(
        lambda i, t: i < 3,
        lambda i, t: (i + 1, t + scaled(_loss(tf, w, tf.constant(BATCH)))),
        (tf.constant(0), tf.constant(0.0)),
    )[1]
    return Program(v1.train.GradientDescentOptimizer(0.1).minimize(total))


PROGRAMS: tuple[Callable[[Any, Any], Program], ...] = (
    adam_in_a_scope,
    partitions_in_a_scope,
    other_keys,
    traces,
    accumulated_in_cond,
    unused_values,
    local_and_table,
    loop_and_function,
)


# References (VariableV2) need the control flow of their time.
STYLES = {"ref": (False, False), "resource_v1": (True, False), "resource_v2": (True, True)}


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> tuple[bool, bool]:
    """(resource variables, control flow by functions)."""
    return STYLES[request.param]


def _built(
    tf: Any, tmp_path: Any, build: Callable[[Any, Any], Program], style: tuple[bool, bool]
) -> Iterator[Any]:
    v1 = tf.compat.v1
    resource, v2 = style
    (v1.enable_control_flow_v2 if v2 else v1.disable_control_flow_v2)()
    graph = tf.Graph()
    with graph.as_default():
        v1.get_variable_scope().set_use_resource(resource)
        program = build(tf, v1)
        v1.get_collection_ref(v1.GraphKeys.TRAIN_OP)[:] = [program.train]
        variables = v1.global_variables() + v1.local_variables()
        saver = v1.train.Saver(program.saver_list)
        with v1.Session(graph=graph) as session:
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            prefix = saver.save(session, str(tmp_path / "model.ckpt"))
            yield program, prefix, session, variables
    v1.enable_control_flow_v2()


def _ends(session: Any, program: Program, variables: list[Any], start: list[Any]) -> list[Any]:
    for variable, value in zip(variables, start, strict=True):
        variable.load(value, session)
    session.run(program.train, program.feeds)
    return list(session.run(variables))


@pytest.mark.parametrize("build", PROGRAMS, ids=lambda build: build.__name__)
def test_read_and_changed(tf, tmp_path, build, style):
    for program, prefix, session, variables in _built(tf, tmp_path, build, style):
        meta, problem = read_meta_graph(prefix)
        assert problem is None
        assert meta is not None
        names = [variable.op.name for variable in variables]
        start = list(session.run(variables))
        end = _ends(session, program, variables, start)
        changed, read = set(), set()
        for index, name in enumerate(names):
            if not np.array_equal(start[index], end[index]):
                changed.add(name)
            other = [value.copy() for value in start]
            other[index] = other[index] + np.ones_like(other[index])
            ended = _ends(session, program, variables, other)
            elsewhere = any(
                not np.array_equal(ended[i], end[i]) for i in range(len(names)) if i != index
            )
            moved_alike = np.allclose(ended[index] - end[index], 1, atol=1e-5)
            if elsewhere or not (moved_alike or np.array_equal(ended[index], end[index])):
                read.add(name)
        assert changed <= meta.state_changed
        assert read <= meta.state_read
        # Nothing is said to be read that no run could show.
        assert meta.state_read - read <= changed | program.unread
        assert meta.state_only_counted & read == set()


@pytest.mark.parametrize("build", PROGRAMS, ids=lambda build: build.__name__)
def test_facts_keys_and_roles(tf, tmp_path, build, style):
    for program, prefix, _, _ in _built(tf, tmp_path, build, style):
        meta, _ = read_meta_graph(prefix)
        assert meta is not None
        stored = {name for name, _ in tf.train.list_variables(prefix)}
        assert set(meta.saved or ()) == stored
        for key in stored:
            assert meta.key_of(meta.name_of(key) or "") == key
        expected = dict(program.facts)
        if "stored_of_warm" in expected:
            assert meta.key_of("warm") is expected.pop("stored_of_warm")
        assert set(meta.raised_counters) == set(
            expected.pop("raised_counters", ()) or meta.raised_counters
        )
        assert {name: getattr(meta, name) for name in expected} == expected
        assert _roles(prefix, meta, program.roles) == program.roles
        without = _inventory(prefix, None)
        assert without.of_role("weight")


def _inventory(prefix: str, meta: MetaGraph | None) -> Inventory:
    with find(prefix).open() as checkpoint:
        return take_inventory(checkpoint, meta)


def _roles(prefix: str, meta: MetaGraph, wanted: dict[str, str]) -> dict[str, str]:
    found = {variable.key: variable.role for variable in _inventory(prefix, meta).variables}
    return {key: found.get(key, f"not stored: {sorted(found)}") for key in wanted}


# ------------------------------------------------------------ how data comes


def one_shot(tf: Any, v1: Any) -> Any:
    return v1.data.make_one_shot_iterator(_dataset(tf).shuffle(8)).get_next()


def one_shot_seeded(tf: Any, v1: Any) -> Any:
    return v1.data.make_one_shot_iterator(_dataset(tf).shuffle(8, seed=0)).get_next()


def initializable(tf: Any, v1: Any) -> Any:
    return v1.data.make_initializable_iterator(_dataset(tf).repeat(3)).get_next()


def shuffled_inside(tf: Any, v1: Any) -> Any:
    nested = tf.data.Dataset.range(4).flat_map(lambda _: _dataset(tf).unbatch().shuffle(8))
    return v1.data.make_initializable_iterator(nested.batch(2).repeat()).get_next()


def generator(tf: Any, v1: Any) -> Any:
    made = tf.data.Dataset.from_generator(lambda: iter(()), tf.float32, [2, 2])
    return v1.data.make_initializable_iterator(made).get_next()


def queue(tf: Any, v1: Any) -> Any:
    rows = v1.train.input_producer(tf.constant(BATCH), shuffle=False)
    return v1.train.batch([rows.dequeue()], batch_size=2)


def shuffled_queue(tf: Any, v1: Any) -> Any:
    rows = v1.train.input_producer(tf.constant(BATCH), shuffle=False)
    return v1.train.shuffle_batch([rows.dequeue()], 2, capacity=8, min_after_dequeue=2)


def staged(tf: Any, v1: Any) -> Any:
    area = tf.raw_ops
    area.Stage(values=[initializable(tf, v1)], shared_name="area")
    (value,) = area.Unstage(dtypes=[tf.float32], shared_name="area")
    value.set_shape([None, 2])
    return value


def fed(tf: Any, v1: Any) -> Any:
    return v1.placeholder(tf.float32, [None, 2])


def python_function(tf: Any, v1: Any) -> Any:
    value = v1.py_func(lambda: BATCH, [], tf.float32)
    value.set_shape([2, 2])
    return value


def _dataset(tf: Any) -> Any:
    return tf.data.Dataset.from_tensor_slices(np.tile(BATCH, (4, 1))).batch(2)


@pytest.mark.parametrize(
    ("feed", "feeding", "unseeded", "staging", "python", "batch", "repeat"),
    [
        (one_shot, "iterator", True, 0, 0, 2, 1),
        (one_shot_seeded, "iterator", False, 0, 0, 2, 1),
        (initializable, "iterator", False, 0, 0, 2, 3),
        (shuffled_inside, "iterator", True, 0, 0, 2, -1),
        (generator, "generator", False, 0, 3, None, 1),
        (queue, "queue", False, 0, 0, 2, None),
        (shuffled_queue, "queue", True, 0, 0, 2, None),
        (staged, "iterator", False, 1, 0, 2, 3),
        (fed, "placeholder", False, 0, 0, None, None),
        (python_function, "none", False, 0, 1, None, None),
    ],
)
def test_how_data_comes(tf, tmp_path, feed, feeding, unseeded, staging, python, batch, repeat):
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        w = _weight(v1, "w")
        v1.train.GradientDescentOptimizer(0.1).minimize(_loss(tf, w, feed(tf, v1)))
        saver = v1.train.Saver()
        saver.export_meta_graph(str(tmp_path / "model.meta"))
    meta, problem = read_meta_graph(str(tmp_path / "model"))
    assert problem is None
    assert meta is not None
    assert (meta.feeding, meta.has_unseeded_shuffle) == (feeding, unseeded)
    assert (len(meta.staging), len(meta.python_ops)) == (staging, python)
    assert (meta.batch_size, meta.repeat) == (batch, repeat)
