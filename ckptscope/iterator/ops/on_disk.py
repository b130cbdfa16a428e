"""Datasets and snapshots on disk."""

from __future__ import annotations

from ckptscope.iterator.ops.one_to_one import transparent
from ckptscope.iterator.ops.sources import counter
from ckptscope.iterator.ops.spec import READ_AHEAD, Evaluator, OpSpec, spec
from ckptscope.iterator.progress import Progress
from ckptscope.iterator.tree import Stage


def _load(stage: Stage, evaluator: Evaluator) -> Progress:
    inner = [child for child in stage.walk() if child.op == "SnapshotDatasetReader"]
    below = evaluator.below(stage)
    if below.elements.total is None and inner:
        return Progress.unknown(
            "how much was read of shards that are finished is not stored", ended=below.ended
        )
    return below


SPECS: tuple[OpSpec, ...] = (
    spec("Snapshot", lambda s, e: counter("index")(s, e).assuming(READ_AHEAD)),
    spec("SnapshotWriter", transparent),
    spec("Load", _load),
    spec("SnapshotNestedDatasetReader", counter("index")),
    spec("SnapshotDatasetReader", counter("start_index")),
)
