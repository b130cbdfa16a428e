"""What rules ask of an iterator: where it lies, traits of its stages, and what is repeated."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.iterator.ops import OPS
from ckptscope.iterator.tree import Stage
from ckptscope.resume.facts import IteratorFact
from ckptscope.resume.model import Evidence


def evidence_of(iterator: IteratorFact) -> tuple[Evidence, ...]:
    """Where the state lies."""
    return (Evidence(iterator.source_file or None, iterator.key),)


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
