"""Datasets and snapshots on disk."""

from __future__ import annotations

from ckptscope.iterator.ops.one_to_one import transparent
from ckptscope.iterator.ops.sources import counter
from ckptscope.iterator.ops.spec import READ_AHEAD, Evaluator, OpSpec
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
    OpSpec(
        names=("Snapshot",),
        title="snapshot",
        counts="`index` handed on, or read ahead",
        progress=lambda s, e: counter("index")(s, e).assuming(READ_AHEAD),
        needs_files="the snapshot directory",
    ),
    OpSpec(
        names=("SnapshotWriter",),
        title="snapshot writer",
        counts="what its input gave",
        progress=transparent,
        needs_files="the snapshot directory",
    ),
    OpSpec(
        names=("Load",),
        title="Dataset.load",
        counts="what its shards gave",
        progress=_load,
        needs_files="the saved dataset",
    ),
    OpSpec(
        names=("SnapshotNestedDatasetReader",),
        title="shards of a saved dataset",
        counts="`index` shards opened",
        progress=counter("index"),
        is_source=True,
    ),
    OpSpec(
        names=("SnapshotDatasetReader",),
        title="shard of a saved dataset",
        counts="`start_index` elements read",
        progress=counter("start_index"),
        is_source=True,
    ),
)
