"""How many batches a step takes, as shown by others than the two checkpoints that are compared.

Two checkpoints alone never tell a skipped batch from a step of several batches: 10 batches in 5
steps are either. The recorder tells them apart, and so do earlier checkpoints of the same run.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ckptscope.comparison.data import Move, move_between
from ckptscope.comparison.places import Place
from ckptscope.resume.facts import Facts

_LEAST_STRETCHES = 2


def move_of(a: Facts, b: Facts, places: tuple[Place, Place]) -> Move:
    """How far the data moved from A to B, by all that is known of the run's rate."""
    return move_between(*places, known_rate(a, b, places))


def known_rate(a: Facts, b: Facts, places: tuple[Place, Place]) -> int | None:
    """Batches for each step until A, where nothing else is possible; None where it may be another.

    Args:
        a: the earlier one.
    """
    recorded = _recorded(a, b, places)
    return recorded if recorded is not None else _of_earlier(a, places)


def _recorded(a: Facts, b: Facts, places: tuple[Place, Place]) -> int | None:
    """As the recorder counted, where the iterators confirm its count on both sides.

    A program that does not tell the recorder that several batches make a step is found out by them.
    """
    rates = set()
    for facts, place in zip((a, b), places, strict=True):
        if facts.run_record is None or facts.recorded is None or place.iterator is None:
            return None
        if place.batches is None or facts.recorded.batches != place.batches:
            return None
        rates.add(facts.run_record.batches_per_step)
    return rates.pop() if len(rates) == 1 else None


def _of_earlier(a: Facts, places: tuple[Place, Place]) -> int | None:
    """As the stretches between earlier checkpoints show it: two at least, and all that are whole
    alike. Iterators that end with their pass may be made anew in between and show nothing.
    """
    first, second = places
    if not (first.endless and second.endless) or first.step is None or first.batches is None:
        return None
    points = sorted({(0, 0), *_delivered_before(a, first), (first.step, first.batches)})
    rates = [
        (new - old) // (step - before)
        for (before, old), (step, new) in pairwise(points)
        if step > before and new > old and (new - old) % (step - before) == 0
    ]
    return rates[0] if len(rates) >= _LEAST_STRETCHES and len(set(rates)) == 1 else None


def _delivered_before(a: Facts, place: Place) -> Iterator[tuple[int, int]]:
    """(step, batches) of the same iterator in earlier checkpoints of the directory."""
    key = None if place.iterator is None else place.iterator.key
    for neighbour in a.neighbours:
        step = neighbour.counters.get(a.step.key or "")
        given = neighbour.delivered.get(key or "")
        if neighbour.later or not step or given is None or not given.batches:
            continue
        if place.step is not None and step < place.step:
            yield step, given.batches
