"""The law of the table of dataset ops: every trait of every row is held against TensorFlow. A trait
that lies fails.

Each row is built over a source of numbers that occur nowhere else (:data:`IDS`), run, serialized as
a graph, and saved as a state.
"""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ckptscope.checkpoint.meta_graph import pipeline_of_dataset
from ckptscope.dataset_ops import DATASET_OPS, DatasetOp, of_node
from ckptscope.iterator.ops import OP_SPECS, OPS, is_inner
from ckptscope.iterator.tree import Stage
from tests.oracle.pipelines import Lab, plus_nothing
from tests.oracle.test_law import READ_AHEAD_SECONDS, records_of, root_of, take, tree_of

FIRST, COUNT = 7_000_000, 40
IDS = list(range(FIRST, FIRST + COUNT))
MOST = 5 * COUNT  # of what never ends
TAKEN = 3  # elements before a state is saved

Build = Callable[[Lab, Any], Any]


def is_third(number: Any) -> Any:
    return number % 3 == 1


def _nested(lab: Lab) -> Callable[[Any], Any]:
    """An inner dataset of ten rows, by its number among four."""
    data = lab.tf.constant(IDS, lab.tf.int64)
    return lambda number: lab.data.from_tensor_slices(data[number * 10 : number * 10 + 10])


def _quarters(lab: Lab, source: Any) -> Any:
    """0 to 3; as often as the source is repeated."""
    return source.batch(10).map(lambda batch: (batch[0] - FIRST) // 10)


def _unparallel(lab: Lab, dataset: Any) -> Any:
    return lab.with_options(dataset, experimental_optimization__map_parallelization=False)


def _examples(lab: Lab, passes: int) -> Any:
    """Batches of one serialized example each."""
    train = lab.tf.train
    rows = [
        train.Example(
            features=train.Features(
                feature={"id": train.Feature(int64_list=train.Int64List(value=[number]))}
            )
        ).SerializeToString()
        for number in IDS
    ]
    batches = lab.data.from_tensor_slices(rows).repeat(passes).batch(1)
    features = {"id": lab.tf.io.FixedLenFeature([], lab.tf.int64)}
    parse = lab.experimental.parse_example_dataset(features, num_parallel_calls=2)
    return batches.apply(parse).map(lambda row: row["id"][0])


def _with_error(lab: Lab, source: Any) -> Any:
    """Every third element raises."""
    strings = lab.tf.strings

    def read(number: Any) -> Any:
        text = lab.tf.where(number % 3 == 1, "no number", strings.as_string(number))
        return strings.to_number(text, lab.tf.int64)

    return source.map(read).ignore_errors()


# One builder for each row, by its first name. The numbers of the source come out as they are.
BUILT: dict[str, Build] = {
    "TensorSlice": lambda lab, source: source,
    "Range": lambda lab, source: lab.range(FIRST, FIRST + COUNT),
    "FromTensor": lambda lab, source: lab.data.from_tensors(lab.tf.constant(FIRST, lab.tf.int64)),
    "Random": lambda lab, source: lab.data.random(),
    "Map": lambda lab, source: _unparallel(lab, source.map(plus_nothing)),
    "ParallelMap": lambda lab, source: source.map(plus_nothing, num_parallel_calls=2),
    "Prefetch": lambda lab, source: source.prefetch(3),
    "Filter": lambda lab, source: source.filter(is_third),
    "FiniteTake": lambda lab, source: source.take(20),
    "FiniteSkip": lambda lab, source: source.skip(7),
    "Shard": lambda lab, source: source.shard(3, 1),
    "Scan": lambda lab, source: source.scan(0, lambda state, number: (state, number + 0)),
    "TakeWhile": lambda lab, source: source.take_while(lambda number: number < FIRST + 20),
    "AssertCardinality": lambda lab, source: source.apply(
        lab.experimental.assert_cardinality(source.cardinality())
    ),
    "Options": lambda lab, source: lab.with_options(source, threading__private_threadpool_size=2),
    "IgnoreErrors": _with_error,
    "Unique": lambda lab, source: (
        source.filter(is_third).concatenate(source.filter(is_third)).unique()
    ),
    "ParseExample": lambda lab, source: _examples(lab, 1),
    "ParallelFilter": lambda lab, source: lab.with_options(
        source.filter(is_third), experimental_optimization__filter_parallelization=True
    ),
    "FiniteRepeat": lambda lab, source: source.repeat(3),
    "Shuffle": lambda lab, source: source.shuffle(16),
    "ShuffleAndRepeat": lambda lab, source: source.shuffle(16).repeat(3),
    "BatchV2": lambda lab, source: source.batch(4),
    "MapAndBatch": lambda lab, source: source.map(plus_nothing, num_parallel_calls=2).batch(4),
    "ParallelBatch": lambda lab, source: source.batch(4, num_parallel_calls=2),
    "Unbatch": lambda lab, source: source.batch(4).unbatch(),
    "RebatchV2": lambda lab, source: source.batch(4).rebatch(6),
    "MemoryCache": lambda lab, source: source.cache(),
    "FileCache": lambda lab, source: lab.cached_in_file(source),
    "Snapshot": lambda lab, source: lab.snapshot(source),
    "Zip": lambda lab, source: lab.data.zip((source, source)).map(lambda one, _: one),
    "Concatenate": lambda lab, source: source.take(10).concatenate(source.skip(10)),
    "DirectedInterleave": lambda lab, source: lab.data.choose_from_datasets(
        [source.skip(20), source.take(20)], lab.range(2).repeat()
    ),
    "FlatMap": lambda lab, source: _quarters(lab, source).flat_map(_nested(lab)),
    "Interleave": lambda lab, source: _quarters(lab, source).interleave(
        _nested(lab), cycle_length=2, block_length=3
    ),
    "ParallelInterleaveV2": lambda lab, source: _quarters(lab, source).interleave(
        _nested(lab), cycle_length=2, block_length=3, num_parallel_calls=2
    ),
    "ParallelInterleave": lambda lab, source: _quarters(lab, source).apply(
        lab.experimental.parallel_interleave(_nested(lab), cycle_length=2)
    ),
    "Window": lambda lab, source: source.window(5, shift=2),
    "GroupByWindow": lambda lab, source: source.group_by_window(
        lambda number: number % 3, lambda _, group: group.batch(4), window_size=8
    ),
}
# Over a source without end, where the builder above gives some inputs one.
ENDLESS: dict[str, Build] = {
    "DirectedInterleave": lambda lab, source: lab.data.choose_from_datasets(
        [source, source], lab.range(2).repeat()
    ),
    "Concatenate": lambda lab, source: source.concatenate(source),
    "AssertCardinality": lambda lab, source: source.apply(
        lab.experimental.assert_cardinality(lab.experimental.INFINITE_CARDINALITY)
    ),
    "ParseExample": lambda lab, source: _examples(lab, -1),
}
NOT_BUILT: dict[str, str] = {
    "SparseTensorSlice": "its elements are sparse rows: the law of positions has it",
    **dict.fromkeys(
        ("TFRecord", "TextLine", "FixedLengthRecord", "CSV"),
        "it reads files, not numbers of a source: the law of positions has it",
    ),
    **dict.fromkeys(
        ("Load", "SnapshotNestedDatasetReader", "SnapshotDatasetReader", "SnapshotWriter"),
        "a part of what a snapshot or a saved dataset leaves",
    ),
    "GlobalShuffle": "has no public API: the law of positions has it",
    "Reduce": "a name of TensorFlow 1.15",
}
ROWS = {row.names[0]: row for row in DATASET_OPS}


@dataclass(frozen=True)
class Run:
    """One row, run.

    Attributes:
        elements: at most :data:`MOST`.
        numbers: of the source, as they came out of it.
        graph_ops: nodes of its graph, nearest the trainer first.
        root: of its state after :data:`TAKEN` elements.
        prefix: of that state.
    """

    elements: list[Any]
    graph_ops: tuple[str, ...]
    root: Stage
    prefix: str

    @property
    def numbers(self) -> list[int]:
        return [number for element in self.elements for number in _flat(element)]

    def stages(self, row: DatasetOp) -> list[Stage]:
        return [stage for stage in self.root.walk() if stage.op in row.names]


def _flat(element: Any) -> list[int]:
    return [n for part in element for n in _flat(part)] if isinstance(element, list) else [element]


class Workshop:
    """Builds and runs rows, each once."""

    def __init__(self, tensorflow: Any, directory: Path) -> None:
        self.tf = tensorflow
        self.directory = directory
        self.lab = Lab(tensorflow, tempfile.mkdtemp(dir=directory))
        self.run = cache(self._run)

    def source(self, numbers: list[int] | None = None, *, endless: bool = False) -> Any:
        ids = self.tf.constant(IDS if numbers is None else numbers, self.tf.int64)
        source = self.lab.data.from_tensor_slices(ids)
        return source.repeat() if endless else source

    def dataset(self, name: str, source: Any, build: Build | None = None) -> Any:
        self.lab.scratch = tempfile.mkdtemp(dir=self.directory)
        return self.lab.with_options(
            (build or BUILT[name])(self.lab, source),
            experimental_optimization__inject_prefetch=False,
        )

    def elements(self, name: str, source: Any, build: Build | None = None) -> list[Any]:
        return take(iter(self.dataset(name, source, build)), MOST)

    def _run(self, name: str) -> Run:
        dataset = self.dataset(name, self.source())
        found = pipeline_of_dataset(dataset._as_serialized_graph().numpy())
        assert found is not None
        iterator = iter(dataset)
        before = take(iterator, TAKEN)
        time.sleep(READ_AHEAD_SECONDS)
        prefix = os.path.join(tempfile.mkdtemp(dir=self.directory), "ckpt")
        prefix = self.tf.train.Checkpoint(iterator=iterator).write(prefix)
        root = root_of(tree_of(prefix))
        return Run(before + take(iterator, MOST - TAKEN), found[0].ops, root, prefix)


@pytest.fixture(scope="module")
def workshop(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    tf.get_logger().setLevel("ERROR")
    tf.autograph.set_verbosity(0)
    return Workshop(tf, tmp_path_factory.mktemp("traits"))


each_row = pytest.mark.parametrize("name", list(BUILT))
# Rows whose elements are those of the source, in whatever order.
each_stream = pytest.mark.parametrize(
    "name", [name for name in BUILT if not ROWS[name].is_source or name == "TensorSlice"]
)


def rows_but(*left_out: str) -> pytest.MarkDecorator:
    names = [name for name in BUILT if name not in left_out]
    assert len(names) + len(left_out) == len(BUILT)
    return pytest.mark.parametrize("name", names)


def test_every_row_is_built_or_says_why_not() -> None:
    assert set(ROWS) == set(BUILT) | set(NOT_BUILT)
    assert not set(BUILT) & set(NOT_BUILT)


def test_every_row_is_read() -> None:
    """The functions that read states stand beside rows, one each."""
    assert sorted(spec.names for spec in OP_SPECS) == sorted(row.names for row in DATASET_OPS)
    traits = [trait.name for trait in fields(DatasetOp)]
    for row in DATASET_OPS:
        for name in row.names:
            assert all(getattr(OPS[name], trait) == getattr(row, trait) for trait in traits)


def test_names_are_those_of_one_row() -> None:
    names = [name for row in DATASET_OPS for name in (*row.names, *row.halves)]
    assert len(set(names)) == len(names)
    shared = ("Cache", "CacheV2")
    graph_ops = [op for row in DATASET_OPS for op in row.graph_ops if op not in shared]
    assert len(set(graph_ops)) == len(graph_ops)


# ------------------------------------------------------------ elements


@pytest.mark.tf
@rows_but("Snapshot")  # one of several shards does not
def test_keeps_order(name: str, workshop: Workshop) -> None:
    numbers = workshop.run(name).numbers[: COUNT if ROWS[name].repeats else None]
    assert (numbers == sorted(numbers)) == ROWS[name].keeps_order


@pytest.mark.tf
@each_row
def test_keeps_count(name: str, workshop: Workshop) -> None:
    """One for one; a row that does not drops some, makes others, or has elements of another
    kind.
    """
    run, row = workshop.run(name), ROWS[name]
    # Each element of a nested or batched stream comes from several of the source.
    of_one_kind = not (row.nests or row.makes_batches or name in ("Unbatch", "RebatchV2", "Window"))
    same = of_one_kind and sorted(run.numbers) == IDS
    if row.joins == "mixed" or row.is_source:
        same = False
    assert same == row.keeps_count


@pytest.mark.tf
@each_stream
def test_drops(name: str, workshop: Workshop) -> None:
    numbers = workshop.run(name).numbers
    places = {IDS.index(number) for number in set(numbers)}
    if len(places) == COUNT:
        assert not ROWS[name].drops
        return
    if places == set(range(len(places))):
        assert ROWS[name].drops == "end"
        return
    # Another order of the values shows whether they decide.
    turned = IDS[1:] + IDS[:1]
    again = workshop.elements(name, workshop.source(turned))
    same = {turned.index(number) for element in again for number in _flat(element)} == places
    assert ROWS[name].drops == ("position" if same else "value")


@pytest.mark.tf
@each_row
def test_makes_batches(name: str, workshop: Workshop) -> None:
    """Of single examples. What regroups batches gets them and gives them; groups and windows are
    made by functions, and are datasets.
    """
    batches = all(isinstance(element, list) for element in workshop.run(name).elements)
    others = name in ("RebatchV2", "GroupByWindow", "Window")
    assert (batches and not others) == ROWS[name].makes_batches


@pytest.mark.tf
@each_row
def test_repeats(name: str, workshop: Workshop) -> None:
    numbers = workshop.run(name).numbers
    passes = [numbers[start : start + COUNT] for start in range(0, len(numbers), COUNT)]
    again = len(passes) > 1 and all(sorted(one) == IDS for one in passes)
    assert again == ROWS[name].repeats


@pytest.mark.tf
@each_row
def test_draws(name: str, workshop: Workshop) -> None:
    """Unseeded, nobody gets the same order twice from what draws; anybody from the rest."""
    row = ROWS[name]
    first, second = (workshop.elements(name, workshop.source()) for _ in range(2))
    assert (first != second) == row.draws
    if row.draws and not row.is_source:
        assert row.shuffles and sorted(workshop.run(name).numbers[:COUNT]) == IDS
    else:
        assert not row.shuffles
    assert bool(row.seed_keys) == row.draws


# The order, or the data itself, is not in the program: it is in files, or depends on threads.
NOT_THE_SAME = frozenset(
    (
        *("Random", "GlobalShuffle", "ParallelInterleave", "Snapshot", "SnapshotWriter", "Load"),
        *("SnapshotNestedDatasetReader", "SnapshotDatasetReader", "FileCache"),
    )
)


@pytest.mark.tf
@each_row
def test_same_order(name: str, workshop: Workshop) -> None:
    found = []
    for _ in range(2):
        workshop.tf.random.set_seed(5)
        found.append(workshop.elements(name, workshop.source()))
    from tensorflow.python.eager import context

    context.set_global_seed(None)
    assert found[0] == found[1]


def test_what_is_not_the_same_order_is_listed() -> None:
    assert {row.names[0] for row in DATASET_OPS if not row.same_order} == NOT_THE_SAME


@pytest.mark.tf
@rows_but("Range", "FromTensor", "Random", "Unique")  # sources; waits for ever
def test_keeps_endless(name: str, workshop: Workshop) -> None:
    endless = workshop.elements(name, workshop.source(endless=True), ENDLESS.get(name))
    assert (len(endless) == MOST) == ROWS[name].keeps_endless


@pytest.mark.tf
@pytest.mark.parametrize("name", ["ForeverRepeat", "Random", *BUILT])
def test_endless_as(name: str, workshop: Workshop) -> None:
    build = {"ForeverRepeat": lambda: workshop.source(endless=True)}.get(
        name, lambda: workshop.dataset(name, workshop.source())
    )
    never_ends = len(take(iter(build()), 400)) == 400
    assert never_ends == (name in OPS[name].endless_as)


# ------------------------------------------------------------ graphs


def definition(op: str) -> Any:
    """What TensorFlow knows of an op; None where this release has not got it."""
    from tensorflow.python.framework import op_def_registry

    kind, version, _ = re.split(r"(V\d+)?$", op, maxsplit=1)
    names = [f"{kind}Dataset{version or ''}", f"Experimental{op}Dataset"]
    names += [f"{op.replace('Reader', '')}DatasetReader"]
    return next((found for name in names if (found := op_def_registry.get(name))), None)


# Inputs and attributes of ops that work in threads of their own.
WORKS_AHEAD = frozenset(("num_parallel_calls", "prefetch_input_elements", "slack_period"))
# Ops that only other releases have.
GONE = frozenset(("MapAndBatchV2",))


@pytest.mark.tf
@pytest.mark.parametrize("row", DATASET_OPS, ids=lambda row: row.names[0])
def test_graph_ops(row: DatasetOp, tf: Any) -> None:
    """Their inputs and attributes, from TensorFlow's registry."""
    for op in row.graph_ops:
        found = definition(op)
        if found is None:
            assert op in GONE, op
            continue
        assert of_node(found.name) is not None
        inputs = [item.name for item in found.input_arg if item.name != "other_arguments"]
        attributes = {item.name: item.type for item in found.attr}
        # A cache names its file, or has an empty name.
        if row.names[0] != "MemoryCache" and "Reader" not in op:
            files = {"path", "filename"} & {*inputs, *attributes}
            assert bool(files) == bool(row.needs_files), op
        calls = "func" in attributes.values() and not row.needs_files
        assert calls == row.runs_function, op
        named = {*inputs, *attributes}
        # Batches of a map_and_batch come in order, but its functions run at the same time.
        flags = {"deterministic", "sloppy"} & named or "MapAndBatch" in op
        assert bool(flags) == row.is_parallel, op
        assert bool(WORKS_AHEAD & named) == row.reads_ahead, op
        if "Snapshot" not in op and op != "Load":
            assert bool({"seed", "seed_generator"} & named) == row.draws, op
            assert any("input_dataset" in name for name in inputs) != row.is_source, op
        if row.seed_input is not None and "seed_generator" not in inputs[row.seed_input]:
            assert inputs[row.seed_input : row.seed_input + 2] == ["seed", "seed2"], op
        else:
            assert row.seed_input is not None or "seed" not in inputs, op
        if row.batch_size_input is not None:
            assert inputs[row.batch_size_input] == "batch_size", op
            assert "drop_remainder" not in inputs or inputs[-1] == "drop_remainder", op


@pytest.mark.tf
@each_row
def test_the_graph_has_the_op(name: str, workshop: Workshop) -> None:
    # What TensorFlow makes of others when it optimizes is in no graph.
    made_of = {
        "ShuffleAndRepeat": "Shuffle",
        "MapAndBatch": "BatchV2",
        "ParallelFilter": "Filter",
    }
    run = workshop.run(name)
    assert set(ROWS[made_of.get(name, name)].graph_ops) & {
        op.replace("Dataset", "") for op in run.graph_ops
    }


@pytest.mark.tf
@pytest.mark.parametrize("method", sorted({row.method for row in DATASET_OPS if row.method}))
def test_method(method: str, tf: Any) -> None:
    places = (tf.data.Dataset, tf.compat.v1.data.Dataset, tf.data)
    *path, last = method.split(".")
    if path == ["experimental"]:
        places = (tf.data.experimental,)
    assert any(hasattr(place, last) for place in places)


# ------------------------------------------------------------ states


@pytest.mark.tf
@each_row
def test_the_state_has_the_stage(name: str, workshop: Workshop) -> None:
    assert bool(workshop.run(name).stages(ROWS[name])) != ROWS[name].is_wrapper


@pytest.mark.tf
@each_row
def test_shown_fields_hold_no_data(name: str, workshop: Workshop) -> None:
    """No number of the source is ever shown, but for a range, whose numbers are its counter."""
    for stage in workshop.run(name).root.walk():
        if stage.op != "Range":
            row = OPS[stage.op]
            shown = {key: stage.integer(key) for key in stage.items if row.shows(key)}
            assert not set(shown.values()) & set(IDS), (stage.path, shown)


@pytest.mark.tf
@rows_but("MemoryCache", "Window")  # while it is read; in the dataset of one window
def test_counters_are_shown(name: str, workshop: Workshop) -> None:
    """A key that has words for a table is there."""
    row = ROWS[name]
    for stage in workshop.run(name).stages(row):
        words = [key for key, words in row.fields.items() if words is not None]
        assert not words or any(key in stage.items for key in words)


# They read more than they deliver and hold it, but not ahead; or they read something else.
READ_MORE = tuple(
    row.names[0]
    for row in DATASET_OPS
    if row.names[0] in BUILT
    and (row.shuffles or row.nests or row.joins or row.needs_files or row.drops == "position")
)
OF_OTHER_ELEMENTS = (
    *("Range", "FromTensor", "Random", "Window", "ParseExample", "IgnoreErrors"),
    "Unique",
)


@pytest.mark.tf
@rows_but(*READ_MORE, *OF_OTHER_ELEMENTS)
def test_reads_ahead(name: str, workshop: Workshop) -> None:
    """What is read and was not delivered waits in the state."""
    row, run = ROWS[name], workshop.run(name)
    read = next(stage for stage in run.root.walk() if stage.op == "TensorSlice").integer("index")
    assert read is not None
    delivered = sum(len(_flat(element)) for element in run.elements[:TAKEN])
    if row.drops == "value":
        delivered = IDS.index(run.numbers[TAKEN - 1]) + 1
    held = sum(spec.held(stage) or 0 for stage, spec in _holders(run, row))
    assert (read - delivered > 0) == (row.reads_ahead or held > 0)
    assert not held or row.reads_ahead or name in ("Unbatch", "RebatchV2", "MemoryCache")


def _holders(run: Run, row: DatasetOp) -> list[tuple[Stage, Any]]:
    specs = [(stage, OPS[stage.op]) for stage in run.stages(row)]
    return [(stage, spec) for stage, spec in specs if spec.held and spec.names[0] != "MemoryCache"]


@pytest.mark.tf
@each_row
def test_inputs(name: str, workshop: Workshop) -> None:
    """Stages that join have several inputs, those that nest have datasets of their function's
    beside the one that it is called with.
    """
    row = ROWS[name]
    for stage in workshop.run(name).stages(row):
        inner = [child for slot, child in stage.inputs if is_inner(slot, child)]
        assert bool(inner) == bool(row.nests or row.joins or name == "FiniteRepeat")
        assert row.nests == (bool(inner) and row.runs_function)
        assert (len(stage.inputs) > 1) == bool(row.nests or row.joins in ("together", "mixed"))
        assert bool(stage.inputs) != (row.is_source or not stage.inputs)
    tens = [number // 10 for number in workshop.run(name).numbers]
    turns = sum(one != other for one, other in itertools.pairwise(tens))
    if (row.nests or row.joins) and name != "GroupByWindow":
        assert (turns > 3) == row.interleaves  # 4 inputs or inner datasets, of ten numbers each
    else:
        assert not row.interleaves


@pytest.mark.tf
def test_a_full_cache_needs_no_input(workshop: Workshop) -> None:
    lab = workshop.lab
    iterator = iter(workshop.source().cache().repeat())
    take(iterator, COUNT + 3)
    prefix = os.path.join(tempfile.mkdtemp(dir=workshop.directory), "ckpt")
    root = root_of(tree_of(lab.tf.train.Checkpoint(iterator=iterator).write(prefix)))
    (cache_stage,) = (stage for stage in root.walk() if stage.op == "MemoryCache")
    assert not cache_stage.inputs
    assert [row.names[0] for row in DATASET_OPS if row.may_lack_input] == ["MemoryCache", "Window"]


@pytest.mark.tf
@pytest.mark.parametrize("name", ["MemoryCache", "FileCache", "Snapshot"])
def test_halves(name: str, workshop: Workshop) -> None:
    """Names in the state that are parts of one stage."""
    names = {
        part
        for record in records_of(workshop.run(name).prefix).records
        for part in record.name.split("::")
    }
    assert {half for row in DATASET_OPS for half in row.halves} & names
