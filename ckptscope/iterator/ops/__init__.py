"""What each kind of stage counts and holds: one :class:`OpSpec` for each, in :data:`OP_SPECS`.

To add a dataset op: add its row to the table of :mod:`ckptscope.dataset_ops`, write its
``progress`` function (if none of those fits) into the file of its family and name both at the end
of that file. The iterators' own sources are tensorflow/core/kernels/data/*_dataset_op.cc and
tensorflow/core/kernels/data/experimental/*_dataset_op.cc (``SaveInternal`` of each). Names vary by
release; see docs/ops.md, generated from this table."""

from __future__ import annotations

from ckptscope.iterator.ops import (
    batching,
    caching,
    joining,
    nesting,
    on_disk,
    one_to_one,
    repeating,
    sources,
)
from ckptscope.iterator.ops.nesting import inner_files, is_inner
from ckptscope.iterator.ops.spec import OpSpec

OP_SPECS: tuple[OpSpec, ...] = (
    *sources.SPECS,
    *one_to_one.SPECS,
    *repeating.SPECS,
    *batching.SPECS,
    *caching.SPECS,
    *joining.SPECS,
    *nesting.SPECS,
    *on_disk.SPECS,
)
OPS: dict[str, OpSpec] = {name: spec for spec in OP_SPECS for name in spec.names}

__all__ = ["OPS", "OP_SPECS", "OpSpec", "inner_files", "is_inner"]
