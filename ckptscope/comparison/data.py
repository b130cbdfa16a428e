"""How far the data moved between two checkpoints of a run, and what was read twice or never on the way."""

from __future__ import annotations

from dataclasses import dataclass

from ckptscope.comparison.iterators import pipeline_differs, position_of
from ckptscope.comparison.model import SourceMove
from ckptscope.iterator.position import Position, SourcePosition
from ckptscope.resume.facts import Facts, IteratorFact
from ckptscope.resume.model import EpochRange, epoch_ranges

_STEADY = ("agrees", "whole_passes_behind")
_ORDER_KNOWN = ("proven", "whole")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one checkpoint's training data stands, on its own account.

    Attributes:
        steady: the iterator is where the step counter says.
        ordered: the order of the elements is fixed, or proven to follow from seeds.
        position: the run's position, or the iterator's own where it disagrees with the step; None where unknown.
    """

    step: int | None
    position: Position | None
    iterator: IteratorFact | None
    steady: bool
    ordered: bool
    batches_per_update: int

    @property
    def batches(self) -> int | None:
        """Batches that left the iterator since it was created."""
        return None if self.position is None else self.position.batches_consumed

    @property
    def examples(self) -> int | None:
        """Examples inside them."""
        return None if self.position is None else self.position.examples_consumed

    @property
    def batch_size(self) -> int | None:
        """Examples of a full batch."""
        return None if self.position is None else self.position.batch_size


def place_of(facts: Facts, like: str | None = None) -> Place:
    """The place of one checkpoint; ``like`` names the iterator to take where it is not clear which one trains."""
    iterator = facts.training
    if iterator is None and like is not None:
        iterator = next((it for it in facts.iterators if it.key == like), None)
    position: Position | None = facts.position
    if position is None or (position.batches_consumed is None and position.examples_consumed is None):
        position = None if iterator is None else position_of(iterator, facts.step.value)
    agreement = iterator.agreement if iterator is not None else None
    return Place(
        step=facts.step.value,
        position=position,
        iterator=iterator,
        steady=agreement is not None and agreement.kind in _STEADY,
        ordered=iterator is not None and all(proof.status in _ORDER_KNOWN for proof in iterator.proofs),
        batches_per_update=(agreement.batches_per_update or 1) if agreement is not None else 1,
    )


def places_of(a: Facts, b: Facts) -> tuple[Place, Place]:
    """Both places, of the same iterator."""
    first, second = place_of(a), place_of(b)
    if first.iterator is None and second.iterator is not None:
        first = place_of(a, second.iterator.key)
    if second.iterator is None and first.iterator is not None:
        second = place_of(b, first.iterator.key)
    return first, second


@dataclass(frozen=True, slots=True)
class Move:
    """What lies between two places; every number is None where it cannot be derived, with its reason.

    Attributes:
        steps, batches, examples, epochs: differences, B minus A.
        expected: batches that the steps took.
        repeated, skipped: half-open ranges of batches, counted from the start of the stream.
    """

    steps: int | None
    batches: int | None
    examples: int | None
    epochs: int | None
    expected: int | None
    repeated: tuple[int, int] | None
    skipped: tuple[int, int] | None
    sources: tuple[SourceMove, ...]
    reasons: dict[str, str]


def _minus(new: int | None, old: int | None) -> int | None:
    return None if new is None or old is None else new - old


def move_between(a: Place, b: Place) -> Move:
    """How far the data moved from A to B."""
    steps = _minus(b.step, a.step)
    old, new = a.position, b.position
    batches, examples = _minus(b.batches, a.batches), _minus(b.examples, a.examples)
    epochs = _minus(new.epoch if new else None, old.epoch if old else None)
    expected = None if steps is None else steps * b.batches_per_update
    reasons = {}
    for name, value, field in (
        ("batches", batches, "batches_consumed"), ("examples", examples, "examples_consumed"), ("epochs", epochs, "epoch")
    ):  # fmt: skip
        if value is None:
            reasons[name] = _why_unknown(field, old, new)
    if steps is None:
        reasons["steps"] = f"{'A' if a.step is None else 'B'} stores no step, or several that differ"
    repeated, skipped = _crossed(a, b, expected)
    sources = _sources(old, new, same_pass=epochs == 0)
    return Move(steps, batches, examples, epochs, expected, repeated, skipped, sources, reasons)


def _why_unknown(field: str, old: Position | None, new: Position | None) -> str:
    for name, position in (("A", old), ("B", new)):
        if position is None:
            return f"{name}: no place in the data is stored"
        if getattr(position, field) is None:
            return f"{name}: {position.reasons.get(field, 'it cannot be derived')}"
    return "it cannot be derived"


def _crossed(a: Place, b: Place, expected: int | None) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """(repeated, skipped) batches: the training of B's last stretch began ``expected`` batches before its end."""
    if expected is None or expected <= 0 or a.batches is None or b.batches is None or (a.steady and b.steady):
        return None, None
    start = max(0, b.batches - expected)
    if start > a.batches:
        return None, (a.batches, start)
    last = min(a.batches, b.batches)
    return ((start, last), None) if start < last else (None, None)


def in_examples(batches: tuple[int, int], place: Place) -> tuple[EpochRange, ...]:
    """A range of batches as ranges of examples in their epochs; empty where that cannot be derived."""
    position = place.position
    if position is None or not place.ordered or not position.batch_size:
        return ()
    size, epoch_size = position.batch_size, position.epoch_size
    if place.examples != (None if place.batches is None else place.batches * size):
        return ()  # short batches lie between
    if not epoch_size and not (position.epoch == 0 and batches[1] * size <= (place.examples or 0)):
        return ()
    return epoch_ranges(batches[0] * size, batches[1] * size, epoch_size)


def _sources(old: Position | None, new: Position | None, same_pass: bool) -> tuple[SourceMove, ...]:
    """Files that both positions name, and those that only one does."""
    if old is None or new is None:
        return ()
    before: dict[str, list[SourcePosition]] = {}
    for source in old.sources:
        if source.file is not None:
            before.setdefault(source.file, []).append(source)
    moves = []
    for source in new.sources:
        if source.file is not None:
            known = before.get(source.file)
            moves.append(_source_move(known.pop(0) if known else None, source, same_pass))
    moves.extend(_source_move(former, None, same_pass) for rest in before.values() for former in rest)
    return tuple(moves)


def _source_move(old: SourcePosition | None, new: SourcePosition | None, same_pass: bool) -> SourceMove:
    """Differences only within one pass: a later one reads the file again from its start."""
    present = new if new is not None else old
    assert present is not None
    index, offset = (
        (getattr(old, name) if old is not None else None, getattr(new, name) if new is not None else None)
        for name in ("record_index", "byte_offset")
    )
    return SourceMove(
        present.op, present.file, index[0], index[1], _minus(index[1], index[0]) if same_pass else None,
        _minus(offset[1], offset[0]) if same_pass else None,
    )  # fmt: skip


def pipeline_change(a: Facts, b: Facts, places: tuple[Place, Place]) -> str | None:
    """What shows that the two were made by different pipelines; None where nothing does."""
    first, second = places
    if a.meta is not None and b.meta is not None and a.meta.pipeline and b.meta.pipeline:
        old, new = a.meta.pipeline, b.meta.pipeline
        if old.ops != new.ops:
            gone = [op for op in old.ops if op not in new.ops]
            come = [op for op in new.ops if op not in old.ops]
            what = "; ".join(
                text for text in (f"gone: {', '.join(gone)}" if gone else "", f"new: {', '.join(come)}" if come else "") if text
            )  # fmt: skip
            return what or "the same stages in another order"
    if first.iterator is None or second.iterator is None:
        return None
    if first.iterator.tree is not None and second.iterator.tree is not None:
        found = pipeline_differs(first.iterator.tree, second.iterator.tree)
        if found is not None:
            return found
    sizes = first.batch_size, second.batch_size
    if None not in sizes and sizes[0] != sizes[1]:
        return f"the batch size became {sizes[1]}, from {sizes[0]}"
    return None
