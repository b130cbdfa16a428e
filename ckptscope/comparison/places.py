"""Where the training data of two checkpoints stands, counted alike, and whether both give the
same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ckptscope.errors import CkptscopeError
from ckptscope.iterator.ops import OPS, OpSpec, is_inner
from ckptscope.iterator.position import Position
from ckptscope.iterator.seeds import SeedProof
from ckptscope.iterator.tree import Stage
from ckptscope.resume.agreement import own_position
from ckptscope.resume.facts import Facts, IteratorFact


@dataclass(frozen=True, slots=True)
class Place:
    """Where one checkpoint's training data stands, on its own account.

    Attributes:
        position: the run's position, or the iterator's own where it disagrees with the step; None
            where unknown.
        batches, examples, epoch: counted since the iterator was created.
        batch_size: as the state shows it, or as given.
        pass_batches, pass_examples: what an iterator gives that ends with its pass, where that is
            certain.
        ahead: so many batches, at least, are still to come from this iterator.
        endless: it never ends.
    """

    step: int | None
    position: Position | None
    iterator: IteratorFact | None = None
    batches: int | None = None
    examples: int | None = None
    epoch: int | None = None
    batch_size: int | None = None
    pass_batches: int | None = None
    pass_examples: int | None = None
    ahead: int = 0
    endless: bool = False

    @property
    def into_epoch(self) -> int | None:
        """Examples of that epoch."""
        return None if self.position is None else self.position.examples_into_epoch

    @property
    def root(self) -> Stage | None:
        """The stage nearest the trainer."""
        return (
            None if self.iterator is None or self.iterator.tree is None else self.iterator.tree.root
        )


def other_batch_size(a: Place, b: Place) -> bool:
    """Both sizes are known, and they differ."""
    return a.batch_size is not None and b.batch_size is not None and a.batch_size != b.batch_size


def position_of(iterator: IteratorFact, step: int | None) -> Position | None:
    """An iterator's own position, as far as it can be told; None where it was not decoded."""
    if iterator.reading is None:
        return None
    return own_position(iterator.reading, iterator.agreement, step)


def places_of(a: Facts, b: Facts) -> tuple[Place, Place]:
    """Both places, of the same iterator; without counts where it is not clear which one feeds
    the training.
    """
    pair = feeding(a, b)
    if pair is None:
        return Place(a.step.value, a.position), Place(b.step.value, b.position)
    return places_in(a, b, *pair)


def feeding(a: Facts, b: Facts) -> tuple[IteratorFact | None, IteratorFact | None] | None:
    """The iterator that feeds the training, in both; None where the two checkpoints name
    different ones.
    """
    first, second = a.training, b.training
    ours, theirs = ({iterator.key: iterator for iterator in facts.iterators} for facts in (a, b))
    if first is None and second is not None:
        return ours.get(second.key), second
    if second is None and first is not None:
        return first, theirs.get(first.key)
    if first is not None and second is not None and first.key != second.key:
        return None if first.key in theirs or second.key in ours else (first, second)
    return first, second


def places_in(
    a: Facts, b: Facts, old: IteratorFact | None, new: IteratorFact | None
) -> tuple[Place, Place]:
    """Both places of one iterator; an assumption that the step confirms on one side holds on
    both.
    """
    confirmed = frozenset(
        item.code
        for iterator in (old, new)
        if iterator is not None and iterator.reading is not None
        if iterator.agreement.kind == "agrees" and iterator.reading.started
        for item in iterator.reading.assumptions
    )
    first, second = _place(a, old, confirmed), _place(b, new, confirmed)
    if _is_confirmed(a, first):
        second = _as_recorded(b, second)
    return first, second


def _is_confirmed(facts: Facts, place: Place) -> bool:
    """The recorder counted as many batches as the iterator's state says."""
    record = facts.run_record
    return record is not None and place.endless and record.counted_batches == place.batches


def _as_recorded(facts: Facts, place: Place) -> Place:
    """With the recorder's count, where the state of an iterator that serves all epochs tells none."""
    record = facts.run_record
    if record is None or record.position_problem is not None or not place.endless:
        return place
    if (place.batches, place.examples) != (None, None) or record.epochs == "iterator_per_epoch":
        return place
    return replace(place, batches=record.counted_batches)


def _has_counts(position: Position | None) -> bool:
    return position is not None and (
        position.batches_consumed is not None or position.examples_consumed is not None
    )


def _place(facts: Facts, iterator: IteratorFact | None, confirmed: frozenset[str]) -> Place:
    step, position = facts.step.value, facts.position
    if iterator is None:
        # The recorder counts batches of the run, or of an epoch, not of a stored iterator.
        counted = position.known_from != "run_record"
        return Place(
            step,
            position,
            None,
            position.batches_consumed if counted else None,
            position.examples_consumed,
            position.epoch,
            position.batch_size,
        )
    agreement, reading = iterator.agreement, iterator.reading
    # The run's position counts epochs on over the iterators that a loop made before.
    passes = agreement.passes or 0 if agreement.kind == "whole_passes_behind" else 0
    found: Position | None = position
    if iterator is not facts.training or not _has_counts(position):
        passes, found = 0, position_of(iterator, step)
    if reading is None or found is None or iterator.tree is None or iterator.tree.root is None:
        return Place(step, found, iterator)
    unconfirmed = {item.code for item in reading.assumptions if item.needs_step} - confirmed
    if not _has_counts(found) and not unconfirmed:
        found = replace(reading.position, step=step)
    progress = reading.progress
    certain = not progress.repeated and (not unconfirmed or facts.hints.epoch_size is not None)
    return Place(
        step,
        found,
        iterator,
        found.batches_consumed,
        found.examples_consumed,
        None if found.epoch is None else found.epoch - passes,
        found.batch_size,
        progress.elements.settled().size if certain else None,
        progress.examples.settled().size if certain else None,
        _ahead(iterator.tree.root, found.batch_size),
        _is_endless(iterator.tree.root),
    )


def _ahead(root: Stage, batch_size: int | None) -> int:
    """Elements that are certainly still to come: what waits in buffers, with nothing on its way
    that drops any.
    """
    found, size = 0, 1
    stage: Stage | None = root
    while stage is not None and (spec := OPS.get(stage.op)) is not None:
        if not _hands_all_on(spec):
            break
        if spec.makes_batches:
            if batch_size is None:
                break
            size *= batch_size
        try:
            waiting = spec.held(stage) if spec.held is not None and spec.elements else None
        except CkptscopeError:
            break
        found += (waiting or 0) // size
        stage = stage.child
    return found


def _hands_all_on(spec: OpSpec) -> bool:
    """What waits below it certainly comes out of it, one for one or in batches."""
    if spec.joins or (spec.makes_batches and spec.reads_ahead):
        return False
    return spec.keeps_count or spec.makes_batches or spec.repeats


def _is_endless(stage: Stage | None) -> bool:
    spec = OPS.get(stage.op) if stage is not None else None
    if stage is None or spec is None:
        return False
    if stage.op in spec.endless_as:
        return True
    if spec.joins:
        inputs = [child for _, child in stage.inputs]
        return bool(inputs) and spec.joins != "in_turn" and all(map(_is_endless, inputs))
    return spec.keeps_endless and _is_endless(stage.child)


# ------------------------------------------------------------ order


def shared_order(a: Place, b: Place) -> tuple[str, ...] | None:
    """The parallel stages that a common order rests on; None where it is not proven that both
    have the same order.
    """
    first, second = a.root, b.root
    if a.iterator is None or b.iterator is None or first is None or second is None:
        return None
    old, new = _draws(first, a.iterator.proofs), _draws(second, b.iterator.proofs)
    if old is None or new is None or not (_is_complete(first) or _is_complete(second)):
        return None
    # What lies below a full cache is not in the state any more: then the other one must show it.
    fewer, more = (old, new) if _is_complete(second) else (new, old)
    if any(draw not in more for draw in fewer) or (
        _is_complete(first) and _is_complete(second) and old != new
    ):
        return None
    stages = (stage for root in (first, second) for stage in root.walk())
    return tuple(
        dict.fromkeys(OPS[stage.op].title for stage in stages if OPS[stage.op].is_parallel)
    )


def _is_complete(stage: Stage) -> bool:
    """Whether every stage below has left its state."""
    spec = OPS.get(stage.op)
    if spec is None or spec.joins:
        return False  # an input that has ended leaves none
    if spec.is_source:
        return not spec.draws
    if spec.nests and all(is_inner(slot, child) for slot, child in stage.inputs):
        return False
    return bool(stage.inputs) and all(_is_complete(child) for _, child in stage.inputs)


def _draws(
    root: Stage, proofs: tuple[SeedProof, ...]
) -> list[tuple[str, tuple[int, int], int]] | None:
    """(kind, base seeds, number of the iterator) of all shuffles; None where the order does not
    follow from them.
    """
    known = {proof.path: proof for proof in proofs}
    found = []
    for stage, passes in _with_passes(root, []):
        spec = OPS.get(stage.op)
        if spec is None or not spec.same_order:
            return None
        if not spec.draws:
            continue
        proof = known.get(stage.path)
        if proof is None or proof.status != "proven" or proof.base is None or passes is None:
            return None
        number = 0
        if proof.base != (stage.integer("seed"), stage.integer("seed2")):  # drawn for each pass
            drawn = stage.integer("epoch_num_random_samples")
            drawn = stage.integer("ds_num_random_samples") if drawn is None else drawn
            if drawn is None or len(passes) > 1:
                return None
            number = drawn - 2 * sum(passes)
        found.append((stage.op, proof.base, number))
    return found


def _with_passes(
    stage: Stage, passes: list[int] | None
) -> Iterator[tuple[Stage, list[int] | None]]:
    """All stages with the passes that are done of each repeat above them; None below a function
    that makes datasets.
    """
    spec = OPS.get(stage.op)
    done = stage.integer("i") if spec is not None and spec.repeats else None
    if spec is not None and spec.is_fused:
        own = (stage.integer("epoch") or 0) - (stage.integer("slices_size") or 0)
        yield stage, None if passes is None else [*passes, own]
        done = own
    else:
        yield stage, passes
    for slot, child in stage.inputs:
        inner = spec is not None and spec.nests and is_inner(slot, child)
        below = None if inner or passes is None else passes if done is None else [*passes, done]
        yield from _with_passes(child, below)


def same_reading_pass(a: Place, b: Place) -> bool:
    """Whether what is being read belongs to the same pass in both, so that counters below a
    repeat can be compared.
    """
    first, second = a.root, b.root
    return (
        first is not None
        and second is not None
        and _reading_passes(first) == _reading_passes(second)
    )


def reading_epoch(place: Place) -> int | None:
    """The pass of the outermost endless repeat that is being read."""
    stages = place.root.walk() if place.root is not None else ()
    endless = (
        s for s in stages if s.op in OPS and OPS[s.op].repeats and s.op in OPS[s.op].endless_as
    )
    return next((stage.integer("i") for stage in endless), None)


def _reading_passes(root: Stage) -> list[int | None]:
    repeats = [stage for stage in root.walk() if stage.op in OPS and OPS[stage.op].repeats]
    return [stage.integer("epoch" if OPS[stage.op].is_fused else "i") for stage in repeats]
