"""What the ``.meta`` graph beside a Saver checkpoint shows about the program that wrote it.

Source: tensorflow/core/protobuf/meta_graph.proto; op names in tensorflow/core/ops/*.cc. The graph
is read, never run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ckptscope.checkpoint.graph import Flow, Graph, node_name
from ckptscope.checkpoint.graph_feeding import (
    PYTHON_OPS,
    Feeding,
    GraphFeeding,
    feeders,
    feeding_of,
    stacks,
)
from ckptscope.checkpoint.graph_saver import saved_names, saves_iterator
from ckptscope.checkpoint.graph_state import GraphState, state_of
from ckptscope.checkpoint.graph_updates import (
    OptimizerOp,
    all_raised_counters,
    changed_behind,
    training_roots,
    updates_of,
    whole_name,
)
from ckptscope.dataset_ops import BY_ITERATOR, of_node
from ckptscope.errors import CkptscopeError
from ckptscope.formats.tensor_proto import shape_of

if TYPE_CHECKING:
    from tensorboard.compat.proto.meta_graph_pb2 import MetaGraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

# Ops that draw from a hidden state that no checkpoint holds.
RANDOM_OPS = frozenset(
    """
    RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal
    ParameterizedTruncatedNormal RandomShuffle RandomGamma RandomPoisson RandomPoissonV2
    Multinomial RandomCrop SampleDistortedBoundingBox SampleDistortedBoundingBoxV2
    RandomGammaGrad FixedUnigramCandidateSampler LogUniformCandidateSampler
    UniformCandidateSampler LearnedUnigramCandidateSampler AllCandidateSampler
    ThreadUnsafeUnigramCandidateSampler FractionalMaxPool FractionalAvgPool
    """.split()
)
_KEEPS_STATE = re.compile(
    r"(Read|Assign|VarHandle|Variable|Resource(Scatter|Gather)|Mutable|LookupTable|Queue|Stack(Push|Pop)|Barrier)"
)


@dataclass(frozen=True, slots=True)
class GraphPipeline:
    """The training input pipeline as the graph builds it; None where the graph does not show it.

    Attributes:
        ops: dataset ops, nearest the trainer first.
        batch_size: examples of the outermost batch.
        drops_remainder: its ``drop_remainder``.
        epoch_size: examples that one pass delivers.
        seeds: (seed, seed2) of each op that draws.
        range_from_zero: all ranges start at 0 and count by 1.
        nondeterministic: ops with ``sloppy`` or ``deterministic=false``.
        random_ops: random ops inside its functions.
        python_ops: Python functions inside it.
        stateful_ops: ops inside it that read or write variables, tables or queues.
        repeat: how often the source is gone through: -1 without end, 1 if it is not repeated.
    """

    ops: tuple[str, ...]
    batch_size: int | None
    drops_remainder: bool | None
    epoch_size: int | None
    seeds: tuple[tuple[int, int], ...]
    range_from_zero: bool
    nondeterministic: tuple[str, ...]
    random_ops: tuple[str, ...]
    python_ops: tuple[str, ...]
    stateful_ops: tuple[str, ...] = ()
    repeat: int | None = None


@dataclass(frozen=True)
class MetaGraph:
    """Facts of one ``.meta`` file. Names are those of the graph's nodes; ``key_of`` gives keys.

    Attributes:
        tensorflow_version: of the writer.
        optimizer_ops: updates that the training op makes.
        has_train_op: what trains is known, from the collection of training ops or from updates.
        random_ops: (name, op) of random ops whose values flow into what training changes, other
            than through initializers.
        trainable: full names of trainable variables.
        variables: full names of all global variables.
        global_step: name of the step variable, from the GLOBAL_STEP collection.
        has_iterator: it has an iterator; ``iterator_saved``: among its saveables.
        is_estimator: it has the collections of an Estimator or MonitoredSession.
        pipeline: of the training iterator.
        saved: checkpoint key -> variable, table or iterator that the Saver stores under it (the
            first part of a partitioned one); None if the graph has no op that saves.
        saved_ops: name -> op of what is stored.
        saved_parts: further parts of partitioned variables -> key.
        state_read: variables and tables of any collection whose value flows into what training
            changes.
        state_changed: those that the training op changes.
        state_only_counted: changed, and nothing else uses the value (a step that only counts).
        state_feeds: state whose value flows into a trainable variable that no optimizer's op
            updates (sums of gradients, traces).
        state_ops: name -> op (``VariableV2``, ``MutableHashTableV2``) of all these.
        state_shapes: name -> shape of those that are variables of known shape.
        raised_counters: integer scalars that the training op raises by 1.
        all_raised_counters: those that anything in the graph raises by 1.
        feeding: how data reaches training; None where nothing that trains is known.
        staging: ops that hold batches between an iterator and training.
        python_ops: names of Python functions that training reaches, in its pipeline too.
        fed_rates: placeholders that learning rates are computed from.
        has_unseeded_shuffle: training data is shuffled without a seed.
        batch_size, repeat, drop_remainder: as the pipeline or the queue shows them; ``repeat``: -1
            endless, 1 not repeated, None not shown.
    """

    path: str = ""
    tensorflow_version: str = ""
    optimizer_ops: tuple[OptimizerOp, ...] = ()
    has_train_op: bool = False
    random_ops: tuple[tuple[str, str], ...] = ()
    trainable: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    global_step: str | None = None
    has_iterator: bool = False
    iterator_saved: bool = False
    is_estimator: bool = False
    pipeline: GraphPipeline | None = None
    saved: Mapping[str, str] | None = None
    saved_ops: Mapping[str, str] = field(default_factory=dict)
    saved_parts: Mapping[str, str] = field(default_factory=dict)
    state_read: frozenset[str] = frozenset()
    state_changed: frozenset[str] = frozenset()
    state_only_counted: frozenset[str] = frozenset()
    state_feeds: frozenset[str] = frozenset()
    state_ops: Mapping[str, str] = field(default_factory=dict)
    state_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    raised_counters: tuple[str, ...] = ()
    all_raised_counters: tuple[str, ...] = ()
    feeding: Feeding | None = None
    staging: tuple[str, ...] = ()
    python_ops: tuple[str, ...] = ()
    fed_rates: tuple[str, ...] = ()
    has_unseeded_shuffle: bool = False
    batch_size: int | None = None
    repeat: int | None = None
    drop_remainder: bool | None = None

    def key_of(self, name: str) -> str | None:
        """Checkpoint key of a variable, table or iterator; None if the Saver leaves it out."""
        if self.saved is None:
            return whole_name(name)
        return self._keys.get(name)

    def name_of(self, key: str) -> str | None:
        """The graph's name for what is stored under a key; None if nothing is."""
        return key if self.saved is None else self.saved.get(key)

    @cached_property
    def _keys(self) -> dict[str, str]:
        return {**self.saved_parts, **{name: key for key, name in (self.saved or {}).items()}}


def read_meta_graph(prefix: str) -> tuple[MetaGraph | None, str | None]:
    """(facts, problem) of ``<prefix>.meta``; (None, None) where there is none."""
    path = f"{prefix}.meta"
    if not os.path.isfile(path):
        return None, None
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import meta_graph_pb2

    try:
        with open(path, "rb") as file:
            proto = meta_graph_pb2.MetaGraphDef.FromString(file.read())
        return _facts(path, proto), None
    except (DecodeError, OSError, CkptscopeError, ValueError) as error:
        return None, f"the graph cannot be read: {error}"


def _facts(path: str, proto: MetaGraphDef) -> MetaGraph:
    graph = Graph(proto.graph_def)
    collections = proto.collection_def
    trainable = frozenset(_variable_names(collections, "trainable_variables"))
    saved = saved_names(graph, proto.saver_def.save_tensor_name)
    roots = training_roots(graph, _node_list(collections, "train_op"), trainable)
    flow = Flow(graph, roots, stacks(graph))
    state = state_of(flow, lambda name: whole_name(name) in trainable)
    state.changed |= changed_behind(graph, roots) & state.read
    with_data = Flow(graph, roots, feeders(graph))
    feeding = feeding_of(with_data, state.used) if roots else None
    pipeline = _pipeline(graph, set(with_data.ops))
    facts = MetaGraph(
        path=path,
        tensorflow_version=proto.meta_info_def.tensorflow_version,
        optimizer_ops=updates_of(flow),
        has_train_op=bool(roots),
        random_ops=tuple((op.name, op.op) for op in state.used.values() if op.op in RANDOM_OPS),
        trainable=trainable,
        variables=frozenset(_variable_names(collections, "variables")),
        global_step=next(iter(_variable_names(collections, "global_step")), None),
        has_iterator=any(
            node.op in ("Iterator", "IteratorV2", "OneShotIterator")
            for node in graph.nodes.values()
        ),
        iterator_saved=any(
            "terator" in name for name in _node_list(collections, "saveable_objects")
        )
        or saves_iterator(graph, [names[0] for names in (saved or {}).values()]),
        is_estimator="ready_op" in collections
        or "ready_for_local_init_op" in collections
        or "savers" in collections,
        pipeline=pipeline,
        all_raised_counters=all_raised_counters(graph),
        saved_ops={
            name: graph.nodes[name].op
            for names in (saved or {}).values()
            for name in names
            if name in graph.nodes
        },
    )
    python_ops = tuple(op.name for op in flow.ops.values() if op.op in PYTHON_OPS)
    return _with_feeding(_with_state(facts, state, saved), feeding, python_ops)


def _with_state(
    facts: MetaGraph, state: GraphState, saved: Mapping[str, tuple[str, ...]] | None
) -> MetaGraph:
    return replace(
        facts,
        saved=None if saved is None else {key: names[0] for key, names in saved.items()},
        saved_parts={name: key for key, names in (saved or {}).items() for name in names[1:]},
        state_read=frozenset(state.read),
        state_changed=frozenset(state.changed),
        state_only_counted=frozenset(state.changed - state.read),
        state_feeds=frozenset(state.feeds),
        state_ops=state.ops,
        state_shapes=state.shapes,
        raised_counters=tuple(state.raised),
    )


def _with_feeding(
    facts: MetaGraph, feeding: GraphFeeding | None, python_ops: tuple[str, ...]
) -> MetaGraph:
    if feeding is None:
        return facts
    pipeline = facts.pipeline if feeding.kind in ("iterator", "generator") else None
    rates = (name for update in facts.optimizer_ops for name in update.rate_fed)
    return replace(
        facts,
        feeding=feeding.kind,
        staging=feeding.staging,
        python_ops=tuple(dict.fromkeys((*python_ops, *feeding.python_ops))),
        fed_rates=tuple(dict.fromkeys(rates)),
        has_unseeded_shuffle=feeding.has_unseeded_shuffle,
        batch_size=feeding.batch_size if pipeline is None else pipeline.batch_size,
        repeat=None if pipeline is None else pipeline.repeat,
        drop_remainder=feeding.drops_remainder if pipeline is None else pipeline.drops_remainder,
    )


def _node_list(collections: Mapping[str, Any], key: str) -> list[str]:
    return list(collections[key].node_list.value) if key in collections else []


def _variable_names(collections: Mapping[str, Any], key: str) -> list[str]:
    if key not in collections:
        return []
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import variable_pb2

    names = []
    for data in collections[key].bytes_list.value:
        try:
            variable = variable_pb2.VariableDef.FromString(data)
        except DecodeError:
            continue
        slice_info = variable.save_slice_info_def
        names.append(slice_info.full_name or node_name(variable.variable_name))
    return names


def _pipeline(graph: Graph, reached: set[str]) -> GraphPipeline | None:
    """The pipeline of the iterator whose elements the training op uses, else of the first."""
    feeding = {
        node_name(node.input[0])
        for node in graph.nodes.values()
        if node.op.startswith("IteratorGetNext") and node.input and node.name in reached
    }
    first = None
    for node in graph.nodes.values():
        if node.op == "MakeIterator" and len(node.input) > 1:
            iterator, where = node_name(node.input[1]), graph
            dataset = graph.argument(node, 0)
        elif node.op == "OneShotIterator":
            body = graph.inside(node.attr["dataset_factory"].func.name)
            iterator, where = node.name, body or graph
            dataset = body.returned() if body is not None else None
        else:
            continue
        if dataset is not None and (iterator in feeding or first is None):
            first = (where, dataset)
            if iterator in feeding:
                break
    return None if first is None else _pipeline_below(*first)


def pipeline_of_dataset(data: bytes) -> tuple[GraphPipeline, tuple[str, ...]] | None:
    """(facts, data files) of a dataset's own graph, a serialized ``GraphDef`` whose ``_Retval`` is
    the dataset.

    Files are the constants that sources of records and lines read, also where an outer dataset
    hands them on."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import graph_pb2

    try:
        graph = Graph(graph_pb2.GraphDef.FromString(data))
    except DecodeError:
        return None
    returned = next((node for node in graph.nodes.values() if node.op == "_Retval"), None)
    chosen = graph.argument(returned, 0) if returned is not None else None
    if chosen is None or "Dataset" not in chosen.op:
        return None
    everything = graph.reach([chosen], lambda node: False)
    reads = any(_reads_files(node) for node in everything)
    texts = (
        value
        for node in everything
        if reads and (_reads_files(node) or _is(node, "TensorSlice"))
        for value in graph.constant(node, 0) or ()
        if isinstance(value, bytes)
    )
    return _pipeline_below(graph, chosen), tuple(
        dict.fromkeys(text.decode("utf-8", "backslashreplace") for text in texts)
    )


def _reads_files(node: NodeDef) -> bool:
    row = of_node(node.op)
    return row is not None and row.offset_key is not None


def _is(node: NodeDef, name: str) -> bool:
    return of_node(node.op) is BY_ITERATOR[name]


def _pipeline_below(graph: Graph, chosen: NodeDef) -> GraphPipeline:
    list(_chain(graph, chosen))  # a circle is found before anything follows it
    everything = graph.reach([chosen], lambda node: False)
    datasets = [node for node in everything if "Dataset" in node.op]
    chain = list(_chain(graph, chosen))
    batch = next((node for node in chain if _makes_batches(node)), None)
    batch_size, drops = _batch_of(graph, batch)
    ranges = [node for node in datasets if node.op == "RangeDataset"]
    return GraphPipeline(
        ops=tuple(node.op for node in datasets),
        batch_size=batch_size,
        drops_remainder=drops,
        epoch_size=_cardinality(graph, chain, batch),
        seeds=tuple(_seeds(graph, datasets)),
        range_from_zero=all(
            graph.integer(node, 0) == 0 and graph.integer(node, 2) == 1 for node in ranges
        ),
        nondeterministic=tuple(node.op for node in datasets if _is_nondeterministic(graph, node)),
        random_ops=tuple(node.op for node in everything if node.op in RANDOM_OPS),
        python_ops=tuple(node.op for node in everything if node.op in PYTHON_OPS),
        stateful_ops=tuple(
            dict.fromkeys(node.op for node in everything if _KEEPS_STATE.match(node.op))
        ),
        repeat=_repeat_of(graph, chosen),
    )


def _repeat_of(graph: Graph, chosen: NodeDef) -> int | None:
    total = 1
    for node in _chain(graph, chosen):
        if node.op.startswith(("RepeatDataset", "ShuffleAndRepeatDataset")):
            count = graph.integer(node, 1 if node.op == "RepeatDataset" else 4)
            if count is None:
                return None
            total = -1 if count < 0 or total < 0 else total * count
    return total


def _chain(graph: Graph, node: NodeDef | None) -> Iterator[NodeDef]:
    """Dataset ops along first inputs, nearest the trainer first.

    Raises:
        ValueError: they form a circle.
    """
    seen: set[str] = set()
    while node is not None and "Dataset" in node.op:
        if node.name in seen:
            raise ValueError(f"the dataset {node.name} is its own input")
        seen.add(node.name)
        yield node
        node = graph.argument(node, 0)


def _makes_batches(node: NodeDef) -> bool:
    row = of_node(node.op)
    return row is not None and row.makes_batches


def _batch_of(graph: Graph, node: NodeDef | None) -> tuple[int | None, bool | None]:
    row = of_node(node.op) if node is not None else None
    if node is None or row is None or row.batch_size_input is None:
        return None, None
    captured = len(node.attr["Targuments"].list.type)
    # Whether the remainder is dropped is the last input, where an op has that choice.
    last = sum(not name.startswith("^") for name in node.input) - 1
    drop = graph.constant(node, last)
    size = graph.integer(node, row.batch_size_input + captured)
    return size, bool(drop[0]) if drop and isinstance(drop[0], bool) else None


def _seeds(graph: Graph, datasets: list[NodeDef]) -> Iterator[tuple[int, int]]:
    for node in datasets:
        row = of_node(node.op)
        if row is not None and row.seed_input is not None:
            pair = [graph.integer(node, row.seed_input + index) for index in range(2)]
            if None not in pair:
                yield pair[0] or 0, pair[1] or 0


def _is_nondeterministic(graph: Graph, node: NodeDef) -> bool:
    if node.attr["deterministic"].s == b"false" or node.attr["sloppy"].b:
        return True
    if node.op.startswith(("ParallelInterleaveDataset", "LegacyParallelInterleave")):
        sloppy = graph.constant(node, 3)
        return bool(sloppy and sloppy[0] is True)
    return False


def _cardinality(graph: Graph, chain: list[NodeDef], batch: NodeDef | None) -> int | None:
    """Examples that one pass delivers, where only ops that keep the number lie between."""
    size: int | None = None
    in_batches = False
    for node in reversed(chain):
        row = of_node(node.op)
        if row is not None and row.is_source:
            count = _SOURCE_SIZES.get(row.names[0])
            size = count(graph, node) if count is not None else None
        elif size is None or row is None:
            return None
        elif node is batch:
            in_batches = True
        elif row.drops:
            left = _LEFT.get(row.names[0])
            size = left(graph, node, size) if left is not None and not in_batches else None
        elif not (row.keeps_count or row.repeats) or row.joins or row.needs_files:
            return None
    return size


def _range_size(graph: Graph, node: NodeDef) -> int | None:
    start, stop, step = (graph.integer(node, index) for index in range(3))
    if start is None or stop is None or not step:
        return None
    return max(0, -(-(stop - start) // step))


def _taken(graph: Graph, node: NodeDef, size: int) -> int | None:
    count = graph.integer(node, 1)
    return None if count is None or count < 0 else min(size, count)


def _skipped(graph: Graph, node: NodeDef, size: int) -> int | None:
    count = graph.integer(node, 1)
    return None if count is None or count < 0 else max(0, size - count)


def _of_shard(graph: Graph, node: NodeDef, size: int) -> int | None:
    total, index = graph.integer(node, 1), graph.integer(node, 2)
    return None if not total or index is None else max(0, -(-(size - index) // total))


def _rows(graph: Graph, node: NodeDef) -> int | None:
    component = graph.argument(node, 0)
    if component is None or component.op != "Const":
        return None
    shape = shape_of(component.attr["value"].tensor)
    return shape[0] if shape else None


_SOURCE_SIZES: Mapping[str, Callable[[Graph, NodeDef], int | None]] = {
    "TensorSlice": _rows,
    "FromTensor": lambda graph, node: 1,
    "Range": _range_size,
}
# What is left of the elements below.
_LEFT: Mapping[str, Callable[[Graph, NodeDef, int], int | None]] = {
    "FiniteTake": _taken,
    "FiniteSkip": _skipped,
    "Shard": _of_shard,
}
