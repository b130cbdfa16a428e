"""The table of dataset ops: what each kind does with its elements, and where it shows it.

Whoever reads states (``iterator``), graphs (``checkpoint``) or live programs (``recording``) asks
here. How the counters of a stage become a position is in :mod:`ckptscope.iterator.ops`, which adds
functions to these rows.
"""

from __future__ import annotations

from ckptscope.dataset_ops import nesting, passes, sources, streams
from ckptscope.dataset_ops.model import COMMON_FIELDS, DatasetOp, graph_op

DATASET_OPS: tuple[DatasetOp, ...] = (
    *sources.ROWS,
    *streams.ROWS,
    *passes.ROWS,
    *nesting.ROWS,
)
BY_ITERATOR: dict[str, DatasetOp] = {name: row for row in DATASET_OPS for name in row.names}
# Caches in memory and in files are one op in a graph.
_BY_GRAPH_OP: dict[str, DatasetOp] = {
    name: row for row in reversed(DATASET_OPS) for name in row.graph_ops
}


def of_node(op: str) -> DatasetOp | None:
    """The row of a node of a graph by its op (``ShuffleDatasetV3``); None where it is not known."""
    return _BY_GRAPH_OP.get(graph_op(op))


__all__ = ["BY_ITERATOR", "COMMON_FIELDS", "DATASET_OPS", "DatasetOp", "graph_op", "of_node"]
