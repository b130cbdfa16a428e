"""What the ``.meta`` graph beside a Saver checkpoint shows about the program that wrote it.

Source: tensorflow/core/protobuf/meta_graph.proto; op names in tensorflow/core/ops/*.cc. The graph
is read, never run."""

from __future__ import annotations

import math
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ckptscope.dataset_ops import BY_ITERATOR, of_node
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import STRING, dtype_of
from ckptscope.formats.tensor_proto import shape_of, tensor_values

if TYPE_CHECKING:
    from tensorboard.compat.proto.graph_pb2 import GraphDef
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
_VARIABLE_OPS = frozenset(("VariableV2", "Variable", "VarHandleOp", "AutoReloadVariable"))
# tf.data's get_seed makes its seeds with Select(both are zero, another constant, the seed).
_LOOKED_THROUGH = {"Identity": 0, "Cast": 0, "Select": 2, "SelectV2": 2}
# Which input of an update is the learning rate (tensorflow/core/ops/training_ops.cc).
_RATE_INPUT = {
    "ApplyGradientDescent": 1,
    "ApplyProximalGradientDescent": 1,
    "ApplyMomentum": 2,
    "ApplyKerasMomentum": 2,
    "ApplyAdam": 5,
    "ApplyAdaMax": 4,
    "ApplyAdagrad": 2,
    "ApplyAdagradV2": 2,
    "ApplyAdadelta": 3,
    "ApplyRMSProp": 3,
    "ApplyCenteredRMSProp": 4,
    "ApplyFtrl": 4,
    "ApplyFtrlV2": 4,
}
_KEEPS_STATE = re.compile(
    r"(Read|Assign|VarHandle|Variable|Resource(Scatter|Gather)|Mutable|LookupTable|Queue|Stack(Push|Pop)|Barrier)"
)
_PY_OPS = frozenset(("PyFunc", "PyFuncStateless", "EagerPyFunc"))


@dataclass(frozen=True, slots=True)
class OptimizerOp:
    """One update of one variable: ``ApplyAdam`` of ``a/kernel`` with slots ``a/kernel/Adam``…

    ``rate_from`` names the variables that its learning rate is computed from.
    """

    op: str
    variable: str
    slots: tuple[str, ...]
    rate_from: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class MetaGraph:
    """Facts of one ``.meta`` file.

    Attributes:
        tensorflow_version: of the writer.
        optimizer_ops: updates that the training op makes.
        has_train_op: a training op is in its collection, so that what it reaches is known.
        random_ops: (name, op) of random ops that the training op reaches other than through
            initializers.
        trainable: names of trainable variables.
        variables: names of all saved variables.
        global_step: name of the step variable, from the GLOBAL_STEP collection.
        has_iterator: it has an iterator; ``iterator_saved``: among its saveables.
        is_estimator: it has the collections of an Estimator or MonitoredSession.
        pipeline: of the training iterator.
    """

    path: str
    tensorflow_version: str
    optimizer_ops: tuple[OptimizerOp, ...]
    has_train_op: bool
    random_ops: tuple[tuple[str, str], ...]
    trainable: frozenset[str]
    variables: frozenset[str]
    global_step: str | None
    has_iterator: bool
    iterator_saved: bool
    is_estimator: bool
    pipeline: GraphPipeline | None


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


class _Graph:
    """Nodes by name, with functions."""

    def __init__(self, graph: GraphDef) -> None:
        self.nodes: dict[str, NodeDef] = {node.name: node for node in graph.node}
        self.functions = {
            function.signature.name: list(function.node_def) for function in graph.library.function
        }

    def inputs(self, node: NodeDef) -> Iterator[NodeDef]:
        for name in node.input:
            found = self.nodes.get(_node_name(name))
            if found is not None:
                yield found

    def argument(self, node: NodeDef, index: int) -> NodeDef | None:
        """Input ``index``, looking through Identity, and through the Select that replaces a
        seed of (0, 0).
        """
        if index >= len(node.input):
            return None
        found = self.nodes.get(_node_name(node.input[index]))
        for _ in range(16):
            if (
                found is None
                or found.op not in _LOOKED_THROUGH
                or len(found.input) <= _LOOKED_THROUGH[found.op]
            ):
                break
            found = self.nodes.get(_node_name(found.input[_LOOKED_THROUGH[found.op]]))
        return found

    def constant(self, node: NodeDef, index: int) -> list[Any] | None:
        """Values of a constant input, None if it is no small constant."""
        found = self.argument(node, index)
        if found is None or found.op != "Const":
            return None
        proto = found.attr["value"].tensor
        if math.prod(shape_of(proto)) > 1024 or (
            dtype_of(proto.dtype) is not STRING and dtype_of(proto.dtype).code is None
        ):
            return None
        return tensor_values(proto)

    def integer(self, node: NodeDef, index: int) -> int | None:
        values = self.constant(node, index)
        return int(values[0]) if values and isinstance(values[0], int) else None

    def reach(self, roots: Iterable[NodeDef], stop: Callable[[NodeDef], bool]) -> list[NodeDef]:
        """All nodes that the roots depend on, inside functions too."""
        seen: set[str] = set()
        found: list[NodeDef] = []
        queue = deque(roots)
        functions: set[str] = set()
        while queue:
            node = queue.popleft()
            if node.name in seen or stop(node):
                continue
            seen.add(node.name)
            found.append(node)
            queue.extend(self.inputs(node))
            for inner in self.called(node, functions):
                found.append(inner)
        return found

    def called(self, node: NodeDef, seen: set[str]) -> Iterator[NodeDef]:
        """Nodes of the functions that a node calls, nested ones too."""
        names = [node.op] if node.op in self.functions else []
        for attribute in node.attr.values():
            if attribute.HasField("func"):
                names.append(attribute.func.name)
            names.extend(function.name for function in attribute.list.func)
        for name in names:
            if name in seen:
                continue
            seen.add(name)
            for inner in self.functions.get(name, ()):
                yield inner
                yield from self.called(inner, seen)


def _node_name(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]


def _in_initializer(node: NodeDef) -> bool:
    return "/Initializer/" in f"/{node.name}"


def _facts(path: str, proto: MetaGraphDef) -> MetaGraph:
    graph = _Graph(proto.graph_def)
    collections = proto.collection_def
    train_ops = [
        graph.nodes[_node_name(name)]
        for name in _node_list(collections, "train_op")
        if _node_name(name) in graph.nodes
    ]
    updates = [node for node in graph.nodes.values() if _is_update(node)]
    roots = train_ops or updates
    reached = graph.reach(roots, _in_initializer)
    random_ops = tuple((node.name, node.op) for node in reached if node.op in RANDOM_OPS)
    names = {node.name for node in reached}
    return MetaGraph(
        path=path,
        tensorflow_version=proto.meta_info_def.tensorflow_version,
        optimizer_ops=tuple(
            _optimizer_op(graph, node) for node in updates if not train_ops or node.name in names
        ),
        has_train_op=bool(roots),
        random_ops=random_ops,
        trainable=frozenset(_variable_names(collections, "trainable_variables")),
        variables=frozenset(_variable_names(collections, "variables")),
        global_step=next(iter(_variable_names(collections, "global_step")), None),
        has_iterator=any(
            node.op.startswith("Iterator")
            and node.op in ("Iterator", "IteratorV2", "OneShotIterator")
            for node in graph.nodes.values()
        ),
        iterator_saved=any(
            "terator" in name for name in _node_list(collections, "saveable_objects")
        ),
        is_estimator="ready_op" in collections
        or "ready_for_local_init_op" in collections
        or "savers" in collections,
        pipeline=_pipeline(graph, names),
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
        names.append(slice_info.full_name or _node_name(variable.variable_name))
    return names


def _is_update(node: NodeDef) -> bool:
    name = node.op.removeprefix("Resource").removeprefix("Sparse")
    return name.startswith("Apply") and len(node.input) >= 3


def _optimizer_op(graph: _Graph, node: NodeDef) -> OptimizerOp:
    variables = []
    for index in range(len(node.input)):
        found = graph.argument(node, index)
        variables.append(found.name if found is not None and found.op in _VARIABLE_OPS else None)
    # Slots are named after their variable; other variables among the inputs are learning rates and
    # the like.
    slots = tuple(
        name for name in variables[1:] if name is not None and name.startswith(f"{variables[0]}/")
    )
    op = node.op.removeprefix("Resource")
    rate = graph.argument(node, _RATE_INPUT[op]) if op in _RATE_INPUT else None
    behind = graph.reach([rate], _in_initializer) if rate is not None else []
    rate_from = tuple(found.name for found in behind if found.op in _VARIABLE_OPS)
    return OptimizerOp(op, variables[0] or "", slots, rate_from)


def _pipeline(graph: _Graph, reached: set[str]) -> GraphPipeline | None:
    """The pipeline of the iterator whose elements the training op uses."""
    chosen = None
    for node in graph.nodes.values():
        if node.op != "MakeIterator" or len(node.input) < 2:
            continue
        iterator = _node_name(node.input[1])
        feeds_training = any(
            other.op.startswith("IteratorGetNext")
            and other.name in reached
            and _node_name(other.input[0]) == iterator
            for other in graph.nodes.values()
            if other.input
        )
        if feeds_training or chosen is None:
            chosen = graph.argument(node, 0)
            if feeds_training:
                break
    return None if chosen is None else _pipeline_below(graph, chosen)


def pipeline_of_dataset(data: bytes) -> tuple[GraphPipeline, tuple[str, ...]] | None:
    """(facts, data files) of a dataset's own graph, a serialized ``GraphDef`` whose ``_Retval`` is
    the dataset.

    Files are the constants that sources of records and lines read, also where an outer dataset
    hands them on."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto import graph_pb2

    try:
        graph = _Graph(graph_pb2.GraphDef.FromString(data))
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


def _pipeline_below(graph: _Graph, chosen: NodeDef) -> GraphPipeline:
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
        python_ops=tuple(node.op for node in everything if node.op in _PY_OPS),
        stateful_ops=tuple(
            dict.fromkeys(node.op for node in everything if _KEEPS_STATE.match(node.op))
        ),
    )


def _chain(graph: _Graph, node: NodeDef | None) -> Iterator[NodeDef]:
    """Dataset ops along first inputs, nearest the trainer first."""
    seen: set[str] = set()
    while node is not None and "Dataset" in node.op and node.name not in seen:
        seen.add(node.name)
        yield node
        node = graph.argument(node, 0)


def _makes_batches(node: NodeDef) -> bool:
    row = of_node(node.op)
    return row is not None and row.makes_batches


def _batch_of(graph: _Graph, node: NodeDef | None) -> tuple[int | None, bool | None]:
    row = of_node(node.op) if node is not None else None
    if node is None or row is None or row.batch_size_input is None:
        return None, None
    captured = len(node.attr["Targuments"].list.type)
    # Whether the remainder is dropped is the last input, where an op has that choice.
    last = sum(not name.startswith("^") for name in node.input) - 1
    drop = graph.constant(node, last)
    size = graph.integer(node, row.batch_size_input + captured)
    return size, bool(drop[0]) if drop and isinstance(drop[0], bool) else None


def _seeds(graph: _Graph, datasets: list[NodeDef]) -> Iterator[tuple[int, int]]:
    for node in datasets:
        row = of_node(node.op)
        if row is not None and row.seed_input is not None:
            pair = [graph.integer(node, row.seed_input + index) for index in range(2)]
            if None not in pair:
                yield pair[0] or 0, pair[1] or 0


def _is_nondeterministic(graph: _Graph, node: NodeDef) -> bool:
    if node.attr["deterministic"].s == b"false" or node.attr["sloppy"].b:
        return True
    if node.op.startswith(("ParallelInterleaveDataset", "LegacyParallelInterleave")):
        sloppy = graph.constant(node, 3)
        return bool(sloppy and sloppy[0] is True)
    return False


def _cardinality(graph: _Graph, chain: list[NodeDef], batch: NodeDef | None) -> int | None:
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


def _range_size(graph: _Graph, node: NodeDef) -> int | None:
    start, stop, step = (graph.integer(node, index) for index in range(3))
    if start is None or stop is None or not step:
        return None
    return max(0, -(-(stop - start) // step))


def _taken(graph: _Graph, node: NodeDef, size: int) -> int | None:
    count = graph.integer(node, 1)
    return None if count is None or count < 0 else min(size, count)


def _skipped(graph: _Graph, node: NodeDef, size: int) -> int | None:
    count = graph.integer(node, 1)
    return None if count is None or count < 0 else max(0, size - count)


def _of_shard(graph: _Graph, node: NodeDef, size: int) -> int | None:
    total, index = graph.integer(node, 1), graph.integer(node, 2)
    return None if not total or index is None else max(0, -(-(size - index) // total))


def _rows(graph: _Graph, node: NodeDef) -> int | None:
    component = graph.argument(node, 0)
    if component is None or component.op != "Const":
        return None
    shape = shape_of(component.attr["value"].tensor)
    return shape[0] if shape else None


_SOURCE_SIZES: Mapping[str, Callable[[_Graph, NodeDef], int | None]] = {
    "TensorSlice": _rows,
    "FromTensor": lambda graph, node: 1,
    "Range": _range_size,
}
# What is left of the elements below.
_LEFT: Mapping[str, Callable[[_Graph, NodeDef, int], int | None]] = {
    "FiniteTake": _taken,
    "FiniteSkip": _skipped,
    "Shard": _of_shard,
}
