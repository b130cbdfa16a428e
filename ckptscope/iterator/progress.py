"""Counting what has passed through a stage.

A repeated stream has passed ``passes`` whole passes of ``size`` and is ``into`` the next one;
``total`` is all of it. TensorFlow stores some of the four and not the others, so each may be None,
and what follows from the others is filled in. Elements (what a stage hands over) and examples
(records inside batches) are counted side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Tally:
    """``total = passes * size + into``, as far as known. ``into`` may be negative until
    :meth:`settled`.
    """

    total: int | None = None
    passes: int | None = None
    into: int | None = None
    size: int | None = None

    @classmethod
    def single_pass(cls, count: int | None, size: int | None = None) -> Tally:
        """``count`` within the first and only pass so far."""
        return cls(count, 0, count, size)

    def minus(self, held: int | None) -> Tally:
        """Without ``held`` of the last ones; None if it is not known how many."""
        if held is None:
            return Tally(None, None, None, self.size)
        return replace(
            self,
            total=None if self.total is None else self.total - held,
            into=None if self.into is None else self.into - held,
            # What is held may belong to the pass before.
            passes=None if self.into is None and self.passes and held else self.passes,
        ).filled()

    def filled(self) -> Tally:
        """With what follows from the known ones."""
        total, passes, into, size = self.total, self.passes, self.into, self.size
        if total is None and passes == 0:
            total = into
        if into is None and passes == 0:
            into = total
        if total is None and None not in (passes, into, size):
            total = (passes or 0) * (size or 0) + (into or 0)
        if (
            size is None
            and passes
            and total is not None
            and into is not None
            and (total - into) % passes == 0
        ):
            size = (total - into) // passes
        return Tally(total, passes, into, size)

    def settled(self) -> Tally:
        """Normalised so that the last one consumed lies in pass ``passes``: 0 < into <= size,
        or all zero.
        """
        tally = self.filled()
        total, passes, into, size = tally.total, tally.passes, tally.into, tally.size
        if total == 0:
            return Tally(0, 0, 0, size)
        if total is not None and size:
            return Tally(total, (total - 1) // size, (total - 1) % size + 1, size)
        if into is not None and into <= 0 and passes != 0:
            # At or before the start of this pass: how far into the one before depends on its size.
            return Tally(
                total,
                passes - 1 if passes and into == 0 else None,
                (into - 1) % size + 1 if size else None,
                size,
            )
        if into is None and passes:
            return Tally(
                total, None, None, size
            )  # at the very start of a pass the last example is of the one before
        return tally


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something the state does not hold that a number rests on.

    Attributes:
        code: short name.
        text: one sentence that a person can check.
        needs_step: only an agreeing step counter makes the number worth telling.
    """

    code: str
    text: str
    needs_step: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """What a stage has handed to its consumer since its iterator was created.

    Attributes:
        elements: in elements of this stage.
        examples: in examples.
        batched: an element is a batch.
        batch_size: examples of a full batch, None where unknown; 1 where elements are examples.
        uncut: size of a pass of the examples that go into the batches, where batches end with the
            pass. How many of them are delivered depends on ``drops``.
        pass_over: the stage below the batches has met the end of its pass.
        opaque: stages below have left no state, so that elements may be batches made there.
        drops: a short last batch is dropped; None where that is not known.
        repeated: a repeat lies at or below this stage.
        mixed: passes overlap, so that an epoch is not defined.
        is_shuffled: batches are in random order, so that a short one may come anywhere.
        ended: the stage has met the end of its input.
        in_flight: examples read from the source and not yet handed on, where that is known.
        assumptions: what the numbers rest on.
        reason: why ``total`` is not known.
        epoch_reason: why the pass is not known.
    """

    elements: Tally
    examples: Tally
    batched: bool = False
    batch_size: int | None = 1
    uncut: int | None = None
    pass_over: bool = False
    opaque: bool = False
    drops: bool | None = None
    repeated: bool = False
    mixed: bool = False
    is_shuffled: bool = False
    ended: bool = False
    in_flight: int | None = 0
    assumptions: tuple[Assumption, ...] = ()
    reason: str | None = None
    epoch_reason: str | None = None

    @classmethod
    def of(cls, tally: Tally) -> Progress:
        """A stream of single examples."""
        return cls(tally, tally)

    @classmethod
    def unknown(cls, reason: str, *, ended: bool = False) -> Progress:
        """Nothing is known, for a reason."""
        return cls(Tally(), Tally(), ended=ended, reason=reason)

    def minus(self, elements: int | None, examples: int | None) -> Progress:
        """Without what a stage holds back."""
        in_flight = (
            None if self.in_flight is None or examples is None else self.in_flight + examples
        )
        return replace(
            self,
            elements=self.elements.minus(elements),
            examples=self.examples.minus(examples),
            in_flight=in_flight,
        )

    def assuming(self, *assumptions: Assumption) -> Progress:
        """Resting on more assumptions."""
        known = {assumption.code for assumption in self.assumptions}
        return replace(
            self,
            assumptions=self.assumptions
            + tuple(new for new in assumptions if new.code not in known),
        )

    def with_batch_size(self, batch_size: int | None) -> Progress:
        """With the size of its batches, if that was not known."""
        if not self.batched or batch_size is None or self.batch_size is not None:
            return self
        return replace(self, batch_size=batch_size)

    def made_batches(self, batch_size: int | None = None) -> Progress:
        """With its elements put into batches."""
        below = (
            self.elements if self.batched else self.examples
        )  # of batches of batches, the inner ones count
        uncut = None if self.repeated else below.size
        examples = below if self.repeated else replace(below, size=None)
        return replace(
            self,
            elements=Tally(),
            examples=examples,
            batched=True,
            batch_size=batch_size,
            uncut=uncut,
            drops=None,
            pass_over=(self.ended and not self.repeated)
            or (uncut is not None and examples.into == uncut),
            opaque=False,
            is_shuffled=False,
        )

    @property
    def batches_span_passes(self) -> bool:
        """The repeat lies below the batch, so that a batch may hold the end of one pass and the
        start of the next.
        """
        return self.repeated and self.uncut is None and self.elements.passes is None

    def completed(self) -> Progress:
        """Elements from examples and back, where the batch size allows.

        All batches are full but the last of a pass (where the repeat lies above the batch), or the
        last of all."""
        size, reason = self.batch_size, self.reason
        if not self.batched or self.is_shuffled:
            return self
        if not size:
            if not self.pass_over or self.drops is False:
                return self
            reason = (
                "whether a short last batch is dropped is not stored (give --batch-size and "
                "--epoch-size)"
            )
            return replace(
                self,
                examples=Tally(None, self.examples.passes, None, self.examples.size),
                reason=reason,
            )
        elements, examples = self.elements.filled(), self.examples.filled()
        if self.batches_span_passes:
            if elements.total is None and examples.total is not None:
                elements = Tally(-(-examples.total // size))
            elif (
                examples.total is None
                and elements.total is not None
                and not self.ended
                and not self.pass_over
            ):
                examples = replace(examples, total=elements.total * size).filled()
            return replace(self, elements=elements, examples=examples)
        per_pass = examples.size
        if per_pass is None and self.uncut is not None:
            rest = self.uncut % size
            per_pass = (
                None if rest and self.drops is None else self.uncut - (rest if self.drops else 0)
            )
        into = examples.into
        if into is not None and into > 0 and into % size and self.drops is not False:
            # Only at the end of a pass: whether the rest was delivered depends on drop_remainder.
            dropped = into - into % size
            into = (
                per_pass
                if per_pass is not None and dropped <= per_pass <= into
                else dropped
                if self.drops
                else None
            )
        if (into is None) != (examples.into is None) or (
            per_pass is None and self.uncut and examples.passes
        ):
            reason = (
                reason or "whether a short last batch is dropped is not stored (give --epoch-size)"
            )
        if (
            into is None
            and examples.into is None
            and elements.into is not None
            and not self.ended
            and not self.pass_over
        ):
            into = elements.into * size
        passes = elements.passes if elements.passes is not None else examples.passes
        total = examples.total if into == examples.into or passes != 0 else into
        if self.uncut is not None or into != examples.into:
            total = None
        counted = elements.into if elements.into is not None or into is None else -(-into // size)
        examples = Tally(total, passes, into, per_pass).filled()
        elements = Tally(
            elements.total, passes, counted, -(-per_pass // size) if per_pass else elements.size
        ).filled()
        return replace(self, elements=elements, examples=examples, reason=reason)
