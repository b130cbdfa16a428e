"""How training data reaches the updates of a graph: iterator, queue, generator or feed_dict.

Source: tensorflow/core/ops/{dataset,data_flow,array}_ops.cc. Queues, staging areas and iterators
are filled by other nodes than those that take from them; both ends are joined here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ckptscope.checkpoint.graph import Flow, Graph, Op, node_name

Feeding = Literal["iterator", "queue", "placeholder", "generator", "none"]

PYTHON_OPS = frozenset(("PyFunc", "PyFuncStateless", "EagerPyFunc"))
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_GETS = ("IteratorGetNext", "IteratorGetNextSync", "IteratorGetNextAsOptional")
_UNSTAGES = {
    "Unstage": "Stage",
    "StagePeek": "Stage",
    "MapUnstage": "MapStage",
    "MapUnstageNoKey": "MapStage",
    "OrderedMapUnstage": "OrderedMapStage",
    "OrderedMapUnstageNoKey": "OrderedMapStage",
}
_HANDS_ON = frozenset(
    ("Identity", "Switch", "RefSwitch", "Enter", "RefEnter", "RefIdentity", "Merge", "RefMerge")
)
_BOOL, _STRING = 10, 7
# GraphDef version from which a shape without dimensions is that of a scalar, not an unknown one.
_SCALARS_ARE_TOLD = 24


@dataclass(frozen=True, slots=True)
class GraphFeeding:
    """How training is fed.

    Attributes:
        staging: ops between an iterator and the updates that hold batches (queues, staging areas).
        python_ops: Python functions that data comes through.
        has_unseeded_shuffle: data is shuffled without a seed.
        batch_size, drops_remainder: where a queue forms the batches.
    """

    kind: Feeding
    staging: tuple[str, ...] = ()
    python_ops: tuple[str, ...] = ()
    has_unseeded_shuffle: bool = False
    batch_size: int | None = None
    drops_remainder: bool | None = None


def stacks(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Node that pops -> nodes that push: how the gradient of a loop gets at values of the loop."""
    pushed: dict[str, list[str]] = {}
    pops = []
    for node in graph.nodes.values():
        if node.op in ("StackPush", "StackPushV2") and node.input:
            pushed.setdefault(_origin(graph, node.input[0]), []).append(node.name)
        elif node.op in ("StackPop", "StackPopV2") and node.input:
            pops.append(node)
    return {node.name: tuple(pushed.get(_origin(graph, node.input[0]), ())) for node in pops}


def feeders(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Node that takes -> nodes that fill what it takes from."""
    filled: dict[tuple[str, ...], list[str]] = {}
    datasets: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        if node.op.startswith("QueueEnqueue") and node.input:
            filled.setdefault(("queue", _origin(graph, node.input[0])), []).append(node.name)
        elif node.op in _UNSTAGES.values():
            area = (node.op, *_shared(node.attr))
            filled.setdefault(area, []).append(node.name)
        elif node.op == "MakeIterator" and len(node.input) > 1:
            datasets.setdefault(node_name(node.input[1]), []).append(node.name)
    cached = _assigned_elsewhere(graph)
    every_dataset = tuple(name for names in datasets.values() for name in names)
    joined = {name: tuple(nodes) for name, nodes in cached.items()} | stacks(graph)
    for node in graph.nodes.values():
        if node.op.startswith("QueueDequeue") and node.input:
            joined[node.name] = tuple(filled.get(("queue", _origin(graph, node.input[0])), ()))
        elif node.op in _UNSTAGES:
            joined[node.name] = tuple(filled.get((_UNSTAGES[node.op], *_shared(node.attr)), ()))
        elif node.op in _GETS and node.input:
            iterator = node_name(node.input[0])
            # A handle that is fed may stand for any of the iterators.
            joined[node.name] = tuple(datasets.get(iterator, every_dataset))
    return joined


def _assigned_elsewhere(graph: Graph) -> dict[str, list[str]]:
    """Variable -> what sets it, initialisation and restoring aside: a batch kept for several steps
    is data, too.
    """
    found: dict[str, list[str]] = {}
    for node in graph.nodes.values():
        if node.op in ("Assign", "AssignVariableOp") and len(node.input) > 1:
            variable, value = node_name(node.input[0]), graph.argument(node, 1)
            is_first = node.name == f"{variable}/Assign"
            if not is_first and value is not None and not value.op.startswith("Restore"):
                found.setdefault(variable, []).append(node.name)
    return found


def _origin(graph: Graph, name: str) -> str:
    """A queue or stack, behind the ops that hand on its reference."""
    name = node_name(name)
    for _ in range(16):
        node = graph.nodes.get(name)
        if node is None or node.op not in _HANDS_ON or not node.input:
            break
        name = node_name(node.input[0])
    return name


def _shared(attr: Mapping[str, object]) -> tuple[str, str]:
    return str(attr["container"]), str(attr["shared_name"])


def feeding_of(flow: Flow, used: Iterable[str]) -> GraphFeeding:
    """How the nodes ``used`` by the updates are fed; the flow crosses queues and iterators."""
    scalars_are_told = flow.producer >= _SCALARS_ARE_TOLD
    behind = flow.walk(used)
    gets = [op for op in behind.values() if op.op in _GETS or op.op.startswith("MultiDeviceItera")]
    takes = [op for op in behind.values() if op.op.startswith("QueueDequeue")]
    unstages = [op for op in behind.values() if op.op in _UNSTAGES]
    batch_size, drops_remainder = _batch_of_queues(flow, takes) if not gets else (None, None)
    kind: Feeding = "none"
    if any(op.op == "GeneratorDataset" for op in behind.values()):
        kind = "generator"
    elif gets:
        kind = "iterator"
    elif takes:
        kind = "queue"
    elif any(_is_fed(op, scalars_are_told) for op in behind.values()):
        kind = "placeholder"
    return GraphFeeding(
        kind,
        tuple(op.name for op in (*unstages, *takes)) if gets else (),
        tuple(op.name for op in behind.values() if op.op in PYTHON_OPS),
        any(_shuffles_unseeded(flow, op) for op in behind.values()),
        batch_size,
        drops_remainder,
    )


def placeholders(ops: Iterable[Op]) -> tuple[str, ...]:
    """Names of the ops that feed_dict gives values."""
    return tuple(op.name for op in ops if op.op in _PLACEHOLDERS)


def _is_fed(op: Op, scalars_are_told: bool) -> bool:
    """A placeholder for data: no flag, no name, no single number such as a rate."""
    if op.op not in _PLACEHOLDERS or op.attr["dtype"].type in (_BOOL, _STRING):
        return False
    shape = op.attr["shape"].shape
    return bool(shape.dim) or shape.unknown_rank or not scalars_are_told


def _shuffles_unseeded(flow: Flow, op: Op) -> bool:
    if op.op in ("RandomShuffleQueue", "RandomShuffleQueueV2"):
        return not op.attr["seed"].i and not op.attr["seed2"].i
    if not op.op.startswith(("ShuffleDataset", "ShuffleAndRepeatDataset")):
        return False
    if op.op == "ShuffleDatasetV2":  # (input, buffer_size, seed_generator)
        return _generator_is_unseeded(flow, op.data[2:3])
    if op.op == "ShuffleDatasetV3" and len(op.data) > 4:
        return _is_zero(flow, op.data[2:4]) and _generator_is_unseeded(flow, op.data[4:5])
    return _is_zero(flow, op.data[2:4])


def _is_zero(flow: Flow, names: tuple[str, ...]) -> bool:
    """Both seeds are known to be 0: TensorFlow draws one."""
    ops = [flow.ops.get(name) for name in names]
    # A Select replaces a given seed of (0, 0) by another.
    return all(op is None or op.op not in ("Select", "SelectV2") for op in ops) and all(
        flow.constant(name) == [0] for name in names
    )


def _generator_is_unseeded(flow: Flow, names: tuple[str, ...]) -> bool:
    for name in names:
        op = flow.ops.get(name)
        if op is not None and "SeedGenerator" in op.op and op.op != "DummySeedGenerator":
            return _is_zero(flow, op.data[:2])
    return True


def _batch_of_queues(flow: Flow, takes: list[Op]) -> tuple[int | None, bool | None]:
    """Elements that each dequeue takes, where all take alike."""
    sizes = set()
    for op in takes:
        if op.op.startswith(("QueueDequeueMany", "QueueDequeueUpTo")) and len(op.data) > 1:
            count = flow.constant(op.data[1])
            sizes.add((count[0] if count else None, "UpTo" not in op.op))
    return sizes.pop() if len(sizes) == 1 else (None, None)
