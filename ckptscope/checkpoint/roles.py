"""What each variable is for: weight, optimizer slot, counter, …

The stored graph is asked first (what the Saver stores under which key, what updates what), then
the object graph, also as far as the keys alone show it, then names. Names never take the last
weight away."""

from __future__ import annotations

from ckptscope.checkpoint.inventory import ROLES, Inventory, Optimizer, Role, Variable
from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Checkpoint
from ckptscope.checkpoint.object_graph import graph_of_keys
from ckptscope.checkpoint.object_keys import has_object_keys
from ckptscope.checkpoint.roles_of_names import inventory_of_names
from ckptscope.checkpoint.roles_of_objects import inventory_of_objects

__all__ = ["ROLES", "Inventory", "Optimizer", "Role", "Variable", "take_inventory"]


def take_inventory(checkpoint: Checkpoint, meta: MetaGraph | None = None) -> Inventory:
    """Give every variable its role."""
    if checkpoint.graph is not None:
        return inventory_of_objects(checkpoint, checkpoint.graph)
    if any(map(has_object_keys, checkpoint.entries)):
        return inventory_of_objects(checkpoint, graph_of_keys(checkpoint.entries))
    return inventory_of_names(checkpoint, meta)
