"""How many batches an iterator has delivered, by its own state."""

from __future__ import annotations

from ckptscope.iterator.position import Reading


def delivered_by(reading: Reading) -> int | None:
    """Batches that left the iterator, by its own state; None where it does not tell."""
    progress = reading.progress.completed()
    batches, examples = progress.elements.settled().total, progress.examples.settled().total
    return 0 if examples == 0 else batches
