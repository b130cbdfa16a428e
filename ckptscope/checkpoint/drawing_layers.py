"""Layers with variables that may also drop units or keep a state, which no variable shows.

Structures: keras/src/layers/rnn (a recurrent layer holds ``cell`` with ``recurrent_kernel``) and
keras/src/layers/attention (``_dropout_layer`` beside the projections). A layer of the user's that
holds another one without variables looks alike.
"""

from __future__ import annotations

import re

from ckptscope.checkpoint.object_graph import ObjectGraph, ObjectNode

# Children without variables that Keras and tf.Module keep for their own bookkeeping.
_BOOKKEEPING = re.compile(
    r"^(_tracked|_inbound_nodes|_outbound_nodes|_losses\w*|_metrics|call_signature_parameters|"
    r"_call_has_context_arg|\w*_output_shape|_softmax|keras_api|signatures|variables|"
    r"trainable_variables|regularization_losses|_self_\w+|layer_metrics|layer_regularization_losses|"
    r"non_trainable_variables|layers|metrics|losses|_loss_tracker|axis|input_spec|_build_\w+|"
    r"_saved_model_\w+|loss|\w+_function|_index_dict|_compiled_\w+|create_\w+|\w*call_and_return\w*|__call__|_default_save_signature|_activation\w*|activation\w*|_?kernel_\w+|_?bias_\w+|\d+)$"
)
_LISTS = re.compile(r"^(_operations|_layers|_functional)$")
_LISTED = re.compile(r"^(layer-\d+|layer_with_weights-\d+)$")


def layers_that_may_draw(graph: ObjectGraph) -> tuple[str, ...]:
    """Object paths of layers with variables that may apply dropout or keep a state.

    Recurrent layers, and layers that hold another object without variables.
    """
    holders = _nodes_with_variables(graph)
    found: dict[str, None] = {}
    for node in graph.nodes:
        path = graph.paths.get(node.node_id)
        if not path or node.node_id not in holders or _is_no_layer(node, path):
            continue
        if _is_recurrent(graph, node) or _silent_child(graph, node, holders):
            found[path] = None
    # The innermost ones: what holds a layer is not told beside it.
    return tuple(path for path in found if not any(o.startswith(f"{path}/") for o in found))


def _is_no_layer(node: ObjectNode, path: str) -> bool:
    """An optimizer or part of one, or Keras's own record of a layer."""
    parts = path.lower().split("/")
    return (
        ".OPTIMIZER_SLOT" in path
        or "keras_api" in parts
        or any(part.endswith("optimizer") for part in parts)
        or any(name in ("_iterations", "iter", "inner_optimizer") for name, _ in node.children)
    )


def _is_recurrent(graph: ObjectGraph, node: ObjectNode) -> bool:
    names = {name for name, _ in node.children}
    if names & {"recurrent_kernel", "_recurrent_kernel"}:
        return True
    cell = node.child("cell")
    return cell is not None and bool(
        {name for name, _ in graph.nodes[cell].children} & {"recurrent_kernel", "_recurrent_kernel"}
    )


def _silent_child(graph: ObjectGraph, node: ObjectNode, holders: set[int]) -> bool:
    """It holds an object without variables that is not a list of layers, nor one of those."""
    for name, child in node.children:
        if child in holders or _BOOKKEEPING.match(name) or _LISTS.match(name):
            continue
        target = graph.nodes[child]
        if _LISTED.match(name) or target.attributes or target.node_id == 0:
            continue
        if not target.children or not all(edge.isdigit() for edge, _ in target.children):
            return True
    return False


def _nodes_with_variables(graph: ObjectGraph) -> set[int]:
    """Nodes from which a variable can be reached."""
    holders = {node.node_id for node in graph.nodes if node.attributes}
    stack = list(holders)
    while stack:
        for parent, _ in graph.edges_to(stack.pop()):
            if parent.node_id not in holders:
                holders.add(parent.node_id)
                stack.append(parent.node_id)
    return holders
