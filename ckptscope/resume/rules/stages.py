"""What rules ask of the stages of a pipeline: traits of the table of ops, and what is repeated."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.iterator.ops import OPS
from ckptscope.iterator.tree import Stage


def has_trait(stage: Stage, trait: str) -> bool:
    """Whether the table of ops says so; an unknown stage has no traits."""
    spec = OPS.get(stage.op)
    return spec is not None and bool(getattr(spec, trait))


def walk(stage: Stage, repeated: bool = False) -> Iterator[tuple[Stage, bool]]:
    """(stage, a repeat above makes it anew for each pass), the one nearest the trainer first."""
    yield stage, repeated
    repeated = repeated or has_trait(stage, "repeats")
    for _, child in stage.inputs:
        yield from walk(child, repeated)
