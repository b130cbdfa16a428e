"""How far the data moved between two checkpoints of a run, whether its place was lost, and what
was trained on twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ckptscope.comparison.model import SourceMove
from ckptscope.comparison.places import (
    Place,
    other_batch_size,
    places_of,
    reading_epoch,
    same_reading_pass,
)
from ckptscope.iterator.position import Position, SourcePosition
from ckptscope.resume.model import EpochRange, epoch_ranges

__all__ = [
    "Course",
    "Move",
    "Place",
    "course_of",
    "first_examples",
    "move_between",
    "places_of",
]

CourseKind = Literal["in_step", "renewed", "regained", "lost", "ahead", "unknown"]
Unit = Literal["batches", "examples", "epochs"]
_MOST_RATES = 1000
_RENEWED = (
    "it cannot be told whether the iterator went on or a loop made a new one for another "
    "pass (give --epoch-size)"
)


@dataclass(frozen=True, slots=True)
class Course:
    """Whether the data of the later checkpoint goes on from that of the earlier one.

    Attributes:
        kind: ``in_step``: by what the steps took. ``renewed``: likewise, over ``passes`` ends of
            passes at which a new iterator was made. ``regained``: the later one is where its step
            says, the earlier one was not. ``lost``: by less, and no end of a pass explains it.
            ``ahead``: by more. ``unknown``: it cannot be told.
        unit: what the numbers count.
        moved: the difference of the two counts.
        rate: of the unit for each step.
        is_shown: the earlier count is that rate times its step, so its iterator was there from the
            start.
        is_only: no other rate fits the two counts.
        words: from where to where it moved.
    """

    kind: CourseKind
    unit: Unit = "batches"
    moved: int = 0
    rate: int | None = None
    is_shown: bool = False
    is_only: bool = False
    passes: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """What lies between two places; every number is None where it cannot be derived, with its
    reason.

    Attributes:
        steps: B minus A.
        batches, examples, epochs: B's place minus A's: negative where the data was started over.
        course: from the older one (by step) to the other.
        repeated: the first so many batches were trained on before A and again after it; None where
            that is not shown.
    """

    steps: int | None
    batches: int | None
    examples: int | None
    epochs: int | None
    course: Course
    repeated: int | None
    sources: tuple[SourceMove, ...]
    reasons: dict[str, str]


def _minus(new: int | None, old: int | None) -> int | None:
    return None if new is None or old is None else new - old


def move_between(a: Place, b: Place, rate: int | None = None) -> Move:
    """How far the data moved from A to B.

    Args:
        rate: batches for each step, where others than these two show it
            (:mod:`ckptscope.comparison.rates`).
    """
    steps = _minus(b.step, a.step)
    backwards = steps is not None and steps < 0
    course = course_of(b, a) if backwards else course_of(a, b, rate)
    batches, examples, epochs = _deltas(
        a, b, course, -course.passes if backwards else course.passes
    )
    numbers = {
        "batches": (batches, "batches_consumed"),
        "examples": (examples, "examples_consumed"),
        "epochs": (epochs, "epoch"),
    }
    reasons = {
        name: _why_unknown(field, a, b)
        for name, (number, field) in numbers.items()
        if number is None
    }
    if steps is None:
        reasons["steps"] = (
            f"{'A' if a.step is None else 'B'} stores no step, or several that differ"
        )
    sources = _sources(a.position, b.position, epochs == 0 and same_reading_pass(a, b))
    repeated = None if backwards else _repeated(a, b, course)
    return Move(steps, batches, examples, epochs, course, repeated, sources, reasons)


def _deltas(
    a: Place, b: Place, course: Course, passes: int
) -> tuple[int | None, int | None, int | None]:
    """(batches, examples, epochs) from A's place to B's."""
    # A loop may have made iterators before A's, unless that one gave all batches of the run.
    told = course.kind in ("in_step", "renewed") or (
        course.kind != "unknown" and _has_trained_all(course)
    )
    if not told and not (a.endless and b.endless):
        return None, None, None
    batches, examples, epochs = (
        _minus(b.batches, a.batches),
        _minus(b.examples, a.examples),
        _minus(b.epoch, a.epoch),
    )
    if other_batch_size(a, b):
        batches = None
    if passes:
        batches = _with_passes(batches, b.pass_batches or a.pass_batches, passes)
        examples = _with_passes(examples, b.pass_examples or a.pass_examples, passes)
        epochs = _with_passes(epochs, 1, passes)
    return batches, examples, epochs


def _has_trained_all(course: Course) -> bool:
    """The earlier iterator has given one batch for each step of the run."""
    return course.is_shown and (course.unit, course.rate) == ("batches", 1)


def _with_passes(delta: int | None, size: int | None, passes: int) -> int | None:
    return None if delta is None or size is None else delta + size * passes


def _why_unknown(field: str, a: Place, b: Place) -> str:
    for name, position in (("A", a.position), ("B", b.position)):
        if position is None:
            return f"{name}: no place in the data is stored"
        if getattr(position, field) is None:
            return f"{name}: {position.reasons.get(field, 'it cannot be derived')}"
    if (
        a.iterator is None
        and b.iterator is None
        and a.position is not None
        and a.position.kind == "stored"
    ):
        return "which iterator feeds the training is not clear: the two checkpoints differ in it"
    if other_batch_size(a, b):
        return "the batch size is another one"
    return _RENEWED


# ------------------------------------------------------------ course


def course_of(a: Place, b: Place, rate: int | None = None) -> Course:
    """Whether the later place follows from the earlier one.

    Batches are counted from the creation of an iterator, so what matters is how much the count
    grew, compared with the steps. How many batches make a step is not stored, so every rate is
    allowed that the earlier checkpoint does not exclude, unless ``rate`` is known: an alarm must
    hold for all of them.
    """
    unit: Unit = "batches"
    if other_batch_size(a, b) or a.batches is None or b.batches is None:
        unit = "examples"
    old, new = _count(a, unit), _count(b, unit)
    if a.step is None or b.step is None:
        return Course("unknown")
    if old is None or new is None:
        return (
            _by_epochs(a, b) if a.endless and b.endless and a.step < b.step else Course("unknown")
        )
    known = rate if unit == "batches" else None
    stretch = _Stretch(
        a.step, b.step - a.step, old, new, unit, known or _rate(a, b, unit), known is not None
    )
    if stretch.steps == stretch.moved == 0:
        kind, passes = _IN_STEP
    elif stretch.steps > 0 < stretch.step and stretch.old == stretch.new == 0:
        kind, passes = "lost", 0  # it never moves, so nothing takes batches from it
    elif other_batch_size(a, b):
        kind, passes = _over_batch_sizes(stretch, a.endless and b.endless)
    elif a.endless and b.endless:
        kind, passes = _of_endless(stretch)
    else:
        kind, passes = _of_passes(a, b, stretch)
    shown = stretch.is_shown
    if kind == "in_step":  # at that very rate, or from the start
        shown = not stretch.old or (shown and stretch.moved == stretch.expected)
    return Course(
        kind,
        unit,
        stretch.moved,
        stretch.rate,
        shown,
        stretch.is_known or stretch.is_only_rate(),
        passes,
        f"stayed at {new:,} {unit}" if old == new else f"went from {old:,} to {new:,} {unit}",
    )


def _by_epochs(a: Place, b: Place) -> Course:
    """Where totals are not known: an iterator without an end never comes back to an earlier
    epoch.
    """
    epochs, into = (a.epoch, b.epoch), (a.into_epoch, b.into_epoch)
    if None in epochs:
        # Of what was read, not of what was handed on: that goes on only, too.
        epochs, into = (reading_epoch(a), reading_epoch(b)), (None, None)
    if epochs[0] is None or epochs[1] is None or epochs[1] > epochs[0]:
        return Course("unknown")
    if epochs[1] < epochs[0]:
        return Course(
            "lost",
            "epochs",
            epochs[1] - epochs[0],
            words=f"went from epoch {epochs[0]:,} to epoch {epochs[1]:,}",
        )
    if into[0] is None or into[1] is None or into[1] > into[0]:
        return Course("unknown")
    if into[1] == into[0]:
        return Course(
            "lost", "epochs", 0, words=f"stayed at {into[1]:,} examples of epoch {epochs[1]:,}"
        )
    return Course(
        "lost",
        "epochs",
        -1,
        words=f"went from {into[0]:,} to {into[1]:,} examples of epoch {epochs[1]:,}",
    )


_IN_STEP: tuple[CourseKind, int] = ("in_step", 0)
_UNKNOWN: tuple[CourseKind, int] = ("unknown", 0)


def _count(place: Place, unit: Unit) -> int | None:
    return place.batches if unit == "batches" else place.examples


def _rate(a: Place, b: Place, unit: Unit) -> int | None:
    """Batches (or examples) for each step, as A shows them; one batch where it does not."""

    def shown(count: int | None) -> int | None:
        return count // a.step if count and a.step and count % a.step == 0 else None

    if unit == "batches":
        return shown(a.batches) or 1
    return (
        (shown(a.batches) or 1) * (b.batch_size or 1)
        if other_batch_size(a, b)
        else shown(a.examples)
    )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Counts of an iterator, ``steps`` apart; ``is_known``: no other rate is possible."""

    step: int
    steps: int
    old: int
    new: int
    unit: Unit
    rate: int | None
    is_known: bool = False

    @property
    def moved(self) -> int:
        return self.new - self.old

    @property
    def expected(self) -> int | None:
        return None if self.rate is None else self.rate * self.steps

    @property
    def is_shown(self) -> bool:
        """The first count is the rate times its step."""
        return self.step > 0 and self.rate is not None and self.old == self.rate * self.step

    @property
    def at_start(self) -> bool:
        return self.step == self.old == 0

    @property
    def per_step(self) -> int | None:
        """How much it moved for each step, where that is a whole number."""
        return (
            self.moved // self.steps
            if self.steps > 0 < self.moved and self.moved % self.steps == 0
            else None
        )

    def fits(self, rate: int) -> bool:
        """Whether an iterator made at some step before may have given its first count at that
        rate.
        """
        return self.old % rate == 0 and self.old // rate <= self.step

    def is_only_rate(self) -> bool:
        """Whether no other rate explains the second count, from the first or from the start."""
        if self.steps <= 0 or not self.is_shown or self.new // self.steps > _MOST_RATES:
            return self.steps == 0
        others = (
            rate
            for rate in range(1, self.new // self.steps + 1)
            if rate != self.rate and self.fits(rate)
        )
        return not any(
            rate * self.steps <= self.moved or rate * self.steps == self.new for rate in others
        )

    def out_of_step(self) -> tuple[CourseKind, int]:
        """The kind where nothing explains how much it moved."""
        if self.expected is None:
            return _UNKNOWN
        if self.moved > 0 and self.new == (self.rate or 0) * (self.step + self.steps):
            return "regained", 0
        return "lost" if self.moved < self.expected else "ahead", 0


def _over_batch_sizes(stretch: _Stretch, endless: bool) -> tuple[CourseKind, int]:
    """Where the batch size is another one: only examples can be compared."""
    if stretch.moved == stretch.expected:
        return _IN_STEP
    return ("lost", 0) if endless and stretch.moved <= 0 < stretch.steps else _UNKNOWN


def _of_endless(stretch: _Stretch) -> tuple[CourseKind, int]:
    """Where the iterator never ends: nothing but a loss makes a new one."""
    if (stretch.is_shown or stretch.is_known) and stretch.moved == stretch.expected:
        return _IN_STEP
    if stretch.per_step is not None and not stretch.is_known:
        return (
            _IN_STEP
            if stretch.at_start or (stretch.per_step, stretch.unit) == (1, "batches")
            else _UNKNOWN
        )
    if stretch.rate is None:
        return ("lost", 0) if stretch.moved <= 0 < stretch.steps else _UNKNOWN
    return stretch.out_of_step()


def _of_passes(a: Place, b: Place, stretch: _Stretch) -> tuple[CourseKind, int]:
    """Where the iterator ends with its pass, and a loop makes the next one: one or two batches
    for each step.
    """
    if stretch.unit != "batches":
        return _UNKNOWN
    sizes = {size for size in (a.pass_batches, b.pass_batches) if size}
    if len(sizes) > 1:
        return _UNKNOWN
    size = sizes.pop() if sizes else None
    # A pass has at least as many as either of the two has seen of one.
    least = max(stretch.old + a.ahead, stretch.new + b.ahead)

    def whole_passes(count: int) -> bool:
        return count == 0 or (count >= least if size is None else count > 0 and count % size == 0)

    behind = {rate: rate * stretch.step - stretch.old for rate in (1, 2)}
    steady = behind[1] == 0 or (size is not None and whole_passes(behind[1]))
    rates = [rate for rate in (1, 2) if behind[1] != 0 or whole_passes(behind[rate])]
    missing = {rate: rate * stretch.steps - stretch.moved for rate in rates}
    explained = [rate for rate, count in missing.items() if whole_passes(count)]
    if steady and explained == [1]:
        if missing[1] == 0:
            return _IN_STEP
        return _UNKNOWN if size is None else ("renewed", missing[1] // size)
    if explained or stretch.at_start or stretch.per_step is not None:
        return _UNKNOWN
    return stretch.out_of_step()


# ------------------------------------------------------------ repeated


def _repeated(a: Place, b: Place, course: Course) -> int | None:
    """How many batches from the start were trained on before A and again since, where the data
    started over at A.

    That shows where A has trained on all batches that its iterator gave, B on as many as its steps
    since A took, and where no end of a pass explains it (``lost``)."""
    if course.kind != "lost" or not _has_trained_all(course):
        return None
    if a.step is None or b.step is None or not a.batches or not b.batches:
        return None
    return min(a.batches, b.batches) if b.batches == b.step - a.step else None


def first_examples(a: Place, b: Place) -> tuple[EpochRange, ...]:
    """What the iterators of both have given from their start, as examples of epochs; empty
    where that is not known.
    """
    first, second = a.examples, b.examples
    if first is None or second is None:
        return ()
    nearer = a if first <= second else b
    if nearer.epoch == 0:
        return epoch_ranges(0, min(first, second), None)
    sizes = {_epoch_size(place) for place in (a, b)} - {None}
    if nearer.epoch is None or len(sizes) != 1:
        return ()
    found = epoch_ranges(0, min(first, second), sizes.pop())
    return found if sum(item.stop - item.start for item in found) == min(first, second) else ()


def _epoch_size(place: Place) -> int | None:
    reading = None if place.iterator is None else place.iterator.reading
    if (
        place.position is None
        or reading is None
        or any(item.needs_step for item in reading.assumptions)
    ):
        return None
    return place.position.epoch_size


# ------------------------------------------------------------ sources


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
    moves.extend(
        _source_move(former, None, same_pass) for rest in before.values() for former in rest
    )
    return tuple(moves)


def _source_move(
    old: SourcePosition | None, new: SourcePosition | None, same_pass: bool
) -> SourceMove:
    """Differences only within one pass: a later one reads the file again from its start."""
    present = new if new is not None else old
    assert present is not None
    index, offset = (
        (
            getattr(old, name) if old is not None else None,
            getattr(new, name) if new is not None else None,
        )
        for name in ("record_index", "byte_offset")
    )
    return SourceMove(
        present.op,
        present.file,
        index[0],
        index[1],
        _minus(index[1], index[0]) if same_pass else None,
        _minus(offset[1], offset[0]) if same_pass else None,
    )
