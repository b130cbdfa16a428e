"""A TensorFlow graph as data: its nodes by name, and what a node depends on, functions inlined.

Source: tensorflow/core/framework/{graph,node_def,function}.proto. The graph is read, never run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ckptscope.formats.dtypes import STRING, dtype_of
from ckptscope.formats.tensor_proto import shape_of, tensor_values

if TYPE_CHECKING:
    from tensorboard.compat.proto.function_pb2 import FunctionDef
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

# tf.data's get_seed makes its seeds with Select(both are zero, another constant, the seed).
_LOOKED_THROUGH = {"Identity": 0, "Cast": 0, "Select": 2, "SelectV2": 2}
# Inputs of a call that are no arguments of its functions: the predicate or the branch index.
_PREDICATES = {"If": 1, "StatelessIf": 1, "Case": 1, "StatelessCase": 1}
_LOOPS = ("While", "StatelessWhile")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "TPUPartitionedCall", "RemoteCall")
# Functions calling functions deeper than any real program, and bodies larger than any.
_MAX_DEPTH = 16
_MAX_OPS = 1_000_000
_MAX_CONSTANT_ELEMENTS = 1024


def node_name(name: str) -> str:
    """The node of an input: ``a/read:0``, ``^a/read`` and ``a/read:out:0`` are of ``a/read``."""
    return name.removeprefix("^").partition(":")[0]


def in_initializer(node: NodeDef | Op) -> bool:
    """It computes the first value of a variable."""
    return "/Initializer/" in f"/{node.name}"


def constant_values(attr: Mapping[str, Any]) -> list[Any] | None:
    """Values of a Const's attributes; None if it has many, or of a type without values."""
    proto = attr["value"].tensor
    if math.prod(shape_of(proto)) > _MAX_CONSTANT_ELEMENTS or (
        dtype_of(proto.dtype) is not STRING and dtype_of(proto.dtype).code is None
    ):
        return None
    return tensor_values(proto)


class Graph:
    """Nodes by name, with functions."""

    def __init__(self, graph: GraphDef) -> None:
        self.producer: int = graph.versions.producer
        self.outputs: list[str] = []
        self.nodes: dict[str, NodeDef] = {node.name: node for node in graph.node}
        self.definitions: dict[str, FunctionDef] = {
            function.signature.name: function for function in graph.library.function
        }
        self.functions = {
            name: list(function.node_def) for name, function in self.definitions.items()
        }

    def inside(self, function: str) -> Graph | None:
        """The body of a function as a graph of its own."""
        if function not in self.definitions:
            return None
        graph = Graph.__new__(Graph)
        graph.producer, graph.definitions, graph.functions = (
            self.producer,
            self.definitions,
            self.functions,
        )
        definition = self.definitions[function]
        graph.nodes = {node.name: node for node in definition.node_def}
        graph.outputs = [node_name(name) for name in definition.ret.values()]
        return graph

    def returned(self) -> NodeDef | None:
        """What a function gives, of a body from :meth:`inside`."""
        node = self.nodes.get(self.outputs[0]) if self.outputs else None
        while node is not None and node.op == "Identity" and node.input:
            node = self.nodes.get(node_name(node.input[0]))
        return node

    def inputs(self, node: NodeDef) -> Iterator[NodeDef]:
        """Nodes that a node takes values from or waits for."""
        for name in node.input:
            found = self.nodes.get(node_name(name))
            if found is not None:
                yield found

    def argument(self, node: NodeDef, index: int) -> NodeDef | None:
        """Input ``index``, looking through Identity, and through the Select that replaces a
        seed of (0, 0).
        """
        if index >= len(node.input):
            return None
        found = self.nodes.get(node_name(node.input[index]))
        for _ in range(16):
            if (
                found is None
                or found.op not in _LOOKED_THROUGH
                or len(found.input) <= _LOOKED_THROUGH[found.op]
            ):
                break
            found = self.nodes.get(node_name(found.input[_LOOKED_THROUGH[found.op]]))
        return found

    def constant(self, node: NodeDef, index: int) -> list[Any] | None:
        """Values of a constant input, None if it is no small constant."""
        found = self.argument(node, index)
        return None if found is None or found.op != "Const" else constant_values(found.attr)

    def integer(self, node: NodeDef, index: int) -> int | None:
        """A constant input that is an integer, else None."""
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
        for name in self.calls(node):
            if name in seen:
                continue
            seen.add(name)
            for inner in self.functions.get(name, ()):
                yield inner
                yield from self.called(inner, seen)

    def calls(self, node: NodeDef) -> list[str]:
        """Names of the functions that a node calls."""
        names = [node.op] if node.op in self.functions else []
        for attribute in node.attr.values():
            if attribute.HasField("func"):
                names.append(attribute.func.name)
            names.extend(function.name for function in attribute.list.func)
        return [name for name in names if name in self.definitions]


# ------------------------------------------------------------ with functions inlined


@dataclass(frozen=True, slots=True)
class Op:
    """One node, its inputs resolved to nodes outside the function that it lies in.

    Attributes:
        data: nodes that it takes values from; for a call, what its functions return.
        control: nodes that run before it.
        guards: nodes whose value decides whether it runs at all (functional If, Case and While).
    """

    name: str
    op: str
    data: tuple[str, ...]
    control: tuple[str, ...]
    attr: Mapping[str, Any]
    guards: tuple[str, ...] = ()


class Flow:
    """Everything that some nodes depend on, as :class:`Op`, functions inlined at each call."""

    def __init__(
        self,
        graph: Graph,
        roots: Iterable[str],
        feeders: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """``feeders``: further nodes that a node takes its values from (queues, iterators)."""
        self.ops: dict[str, Op] = {}
        self.producer = graph.producer
        self._graph = graph
        self._feeders = feeders or {}
        self._queue = deque(roots)
        while self._queue:
            name = self._queue.popleft()
            node = graph.nodes.get(name)
            if node is None or name in self.ops or in_initializer(node):
                continue
            self._add(node, "", {}, (), 0)

    def _add(
        self,
        node: NodeDef,
        prefix: str,
        arguments: Mapping[str, str],
        guards: tuple[str, ...],
        depth: int,
    ) -> None:
        def resolved(name: str) -> str:
            base = node_name(name)
            return arguments[base] if base in arguments else prefix + base if prefix else base

        data = tuple(resolved(name) for name in node.input if not name.startswith("^"))
        control = tuple(resolved(name) for name in node.input if name.startswith("^"))
        name = prefix + node.name
        if not prefix:
            data += self._feeders.get(name, ())
            self._queue.extend((*data, *control))
        calls = self._graph.calls(node)
        if calls and depth < _MAX_DEPTH and len(self.ops) < _MAX_OPS:
            data = self._inlined(node, name, data, calls, guards, depth)
        self.ops[name] = Op(name, node.op, data, control, node.attr, guards)

    def _inlined(
        self,
        node: NodeDef,
        name: str,
        data: tuple[str, ...],
        calls: list[str],
        guards: tuple[str, ...],
        depth: int,
    ) -> tuple[str, ...]:
        """Add the bodies of what a node calls; give what the node's values come from."""
        count = _PREDICATES.get(node.op, 0)
        own_guards = data[:count]
        if node.op in _LOOPS:
            own_guards = tuple(
                f"{name}|{function}|{node_name(output)}"
                for function in [node.attr["cond"].func.name]
                if function in self._graph.definitions
                for output in self._graph.definitions[function].ret.values()
            )
        returned: list[str] = list(own_guards)
        for function in calls:
            definition = self._graph.definitions[function]
            arguments = _arguments(node, definition, data[count:])
            prefix = f"{name}|{function}|"
            for inner in definition.node_def:
                self._add(inner, prefix, arguments, (*guards, *own_guards), depth + 1)
            for output in definition.ret.values():
                base = node_name(output)
                returned.append(arguments.get(base, prefix + base))
        is_call = count or node.op in (*_LOOPS, *_CALLS) or node.op in self._graph.definitions
        return tuple(returned) if is_call else (*data, *returned)

    def walk(
        self, names: Iterable[str], follow: Callable[[Op], Iterable[str]] | None = None
    ) -> dict[str, Op]:
        """All ops whose values flow into ``names``, these included."""
        found: dict[str, Op] = {}
        queue = deque(names)
        while queue:
            op = self.ops.get(queue.popleft())
            if op is not None and op.name not in found:
                found[op.name] = op
                queue.extend(op.data if follow is None else follow(op))
        return found

    def constant(self, name: str) -> list[Any] | None:
        """Values of a constant, looking through what hands it on; None if it is none."""
        for _ in range(16):
            op = self.ops.get(name)
            if op is None:
                return None
            if op.op == "Const":
                return constant_values(op.attr)
            index = _LOOKED_THROUGH.get(op.op)
            if index is None or len(op.data) <= index:
                return None
            name = op.data[index]
        return None


def _arguments(node: NodeDef, function: FunctionDef, given: tuple[str, ...]) -> dict[str, str]:
    """Argument of the function -> node outside; "" where that is not known.

    A dataset op hands elements to its function first, then what the function captured, which are
    the inputs behind the dataset (``Targuments``)."""
    names = [argument.name for argument in function.signature.input_arg]
    if "Targuments" in node.attr:
        count = len(node.attr["Targuments"].list.type)
        captured = given[1 : 1 + count]
        names, elements = names[len(names) - count :], names[: len(names) - count]
        return {**dict.fromkeys(elements, ""), **dict(zip(names, captured, strict=False))}
    if len(names) != len(given):
        return dict.fromkeys(names, "")
    return dict(zip(names, given, strict=True))
