"""Layers without variables: what a model has that no weight shows."""

from __future__ import annotations

import re

from ckptscope.checkpoint.object_graph import ObjectGraph, ObjectNode


def layers_without_variables(graph: ObjectGraph) -> list[str]:
    """Object paths of layers that hold no variables: activations, Flatten, and perhaps Dropout.

    Keras 3 lists layers under ``_operations`` or ``_layers``, the input first; Keras 2 names them
    ``layer-N``."""
    found = []
    for node in graph.nodes:
        for name, child in node.children:
            target = graph.nodes[child]
            if name in ("_operations", "_layers"):
                items = [
                    (number, graph.nodes[item])
                    for number, item in target.children
                    if number.isdigit()
                ]
                first_input = name == "_operations" or any(
                    edge == "_functional" for edge, _ in node.children
                )
                for number, layer in items:
                    if (
                        not layer.attributes
                        and not _holds_variables(graph, layer)
                        and not (number == "0" and first_input)
                    ):
                        found.append(graph.paths.get(layer.node_id, number))
            elif re.fullmatch(r"layer-\d+", name) and not _holds_variables(graph, target):
                found.append(graph.paths.get(child, name))
    return sorted(set(found))


def _holds_variables(graph: ObjectGraph, node: ObjectNode) -> bool:
    seen, stack = set(), [node.node_id]
    while stack:
        current = stack.pop()
        if current in seen:
            continue
        seen.add(current)
        if graph.nodes[current].attributes:
            return True
        stack.extend(child for _, child in graph.nodes[current].children)
    return False
