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
        is_guess: it rests on what a directory of data files happens to hold now, so that the number
            may be told as a guess, but nothing may follow from it.
    """

    code: str
    text: str
    needs_step: bool
    is_guess: bool = False


@dataclass(frozen=True, slots=True)
class BatchLayout:
    """How the examples of a stream lie in its batches.

    Attributes:
        size: examples of a full batch.
        per_pass: examples that one pass delivers; None where that is not known.
        drops_remainder: a short last batch is dropped; None where that is not known.
        crosses_passes: the repeat lies below the batches, so that one may hold the end of a pass
            and the start of the next; else each pass ends with a batch of its own.
    """

    size: int
    per_pass: int | None = None
    drops_remainder: bool | None = None
    crosses_passes: bool = False

    def batches(self, examples: int) -> int:
        """Batches that hold so many examples of a stream that is not cut into passes, or of one
        pass.
        """
        return -(-examples // self.size)

    def after(self, batches: int) -> Tally | None:
        """Examples delivered after so many batches; None where that depends on the size of a
        pass, and that is not known.
        """
        if batches == 0:
            return Tally(0, 0, 0, self.per_pass)
        if self.crosses_passes:
            return Tally(batches * self.size, size=self.per_pass).settled()
        if not self.per_pass:
            return None
        passes, before = divmod(batches - 1, self.batches(self.per_pass))
        within = min((before + 1) * self.size, self.per_pass)
        return Tally(passes * self.per_pass + within, passes, within, self.per_pass)

    def alternatives(self) -> tuple[BatchLayout, ...]:
        """This layout, and the one that drops the short batch where nothing says that it does
        not.
        """
        rest = (self.per_pass or 0) % self.size
        if not rest or self.crosses_passes or self.drops_remainder is False or not self.per_pass:
            return (self,)
        return (self, replace(self, per_pass=self.per_pass - rest, drops_remainder=True))


@dataclass(frozen=True, slots=True)
class Progress:
    """What a stage has handed to its consumer since its iterator was created.

    Attributes:
        elements: in elements of this stage.
        examples: in examples.
        batched: an element is a batch.
        batch_size: examples of a full batch, None where unknown; 1 where elements are examples.
        uncut: size of a pass of the examples that go into the batches, where batches end with the
            pass. How many of them are delivered depends on ``drops_remainder``.
        pass_over: the stage below the batches has met the end of its pass.
        opaque: stages below have left no state, so that elements may be batches made there.
        drops_remainder: a short last batch is dropped; None where that is not known.
        crosses_passes: a repeat lies below the batches, so that one may hold the end of a pass and
            the start of the next.
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
    drops_remainder: bool | None = None
    crosses_passes: bool = False
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
            drops_remainder=None,
            crosses_passes=self.repeated,
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
        return self.crosses_passes and self.elements.passes is None

    @property
    def layout(self) -> BatchLayout | None:
        """How its examples lie in batches; None where it has none, or their size is not known."""
        if not self.batched or self.is_shuffled or not self.batch_size:
            return None
        layout = BatchLayout(
            self.batch_size,
            self.examples.filled().size,
            self.drops_remainder,
            crosses_passes=self.batches_span_passes,
        )
        if layout.per_pass is None and self.uncut is not None:
            rest = self.uncut % layout.size
            if not rest or self.drops_remainder is not None:
                cut = rest if self.drops_remainder else 0
                return replace(layout, per_pass=self.uncut - cut)
        return layout

    def after(self, batches: int) -> tuple[Tally, ...]:
        """Examples delivered after so many batches, for each layout that is possible; none where
        that depends on what is not known.

        To compare with a counter of batches where the passes are not counted: the counter agrees if
        ``into`` of one of them is that of :attr:`examples`, which then knows the other fields, too.
        """
        layout = self.layout
        if layout is None:
            return ()
        if layout.per_pass is None and self.uncut is not None:
            layout = replace(layout, per_pass=self.uncut)
        tallies = (alternative.after(batches) for alternative in layout.alternatives())
        return tuple(tally for tally in tallies if tally is not None)

    def completed(self) -> Progress:
        """Elements from examples and back, where the batch size allows.

        All batches are full but the last of a pass (where the repeat lies above the batch), or the
        last of all."""
        layout = self.layout
        if layout is not None:
            return self._across_passes(layout) if layout.crosses_passes else self._in_passes(layout)
        if self.batched and not self.is_shuffled and self.pass_over and not self._keeps_remainder:
            return replace(
                self,
                examples=Tally(None, self.examples.passes, None, self.examples.size),
                reason="whether a short last batch is dropped is not stored (give --batch-size and "
                "--epoch-size)",
            )
        return self

    @property
    def _keeps_remainder(self) -> bool:
        return self.drops_remainder is False

    def _across_passes(self, layout: BatchLayout) -> Progress:
        elements, examples = self.elements.filled(), self.examples.filled()
        if elements.total is None and examples.total is not None:
            elements = Tally(layout.batches(examples.total))
        elif examples.total is None and elements.total is not None and not self._may_be_short:
            examples = replace(examples, total=elements.total * layout.size).filled()
        return replace(self, elements=elements, examples=examples)

    def _in_passes(self, layout: BatchLayout) -> Progress:
        elements, examples = self.elements.filled(), self.examples.filled()
        within = self._delivered(examples.into, layout)
        is_cut = within != examples.into
        reason = self.reason
        if (is_cut and within is None) or (
            layout.per_pass is None and self.uncut and examples.passes
        ):
            reason = (
                reason or "whether a short last batch is dropped is not stored (give --epoch-size)"
            )
        if examples.into is None and elements.into is not None and not self._may_be_short:
            within = elements.into * layout.size
        passes = elements.passes if elements.passes is not None else examples.passes
        total = examples.total if within == examples.into or passes != 0 else within
        if self.uncut is not None or within != examples.into:
            total = None
        counted = elements.into
        if counted is None and within is not None:
            counted = layout.batches(within)
        per_pass = layout.batches(layout.per_pass) if layout.per_pass else elements.size
        return replace(
            self,
            elements=Tally(elements.total, passes, counted, per_pass).filled(),
            examples=Tally(total, passes, within, layout.per_pass).filled(),
            reason=reason,
        )

    @property
    def _may_be_short(self) -> bool:
        """The last batch may be the short one of a pass."""
        return self.ended or self.pass_over

    def _delivered(self, within: int | None, layout: BatchLayout) -> int | None:
        """Of so many examples of a pass that went into batches, those that were delivered; None
        where that depends on whether the short batch at its end is dropped.
        """
        if within is None or within <= 0 or within % layout.size == 0 or self._keeps_remainder:
            return within
        full = within - within % layout.size
        if layout.per_pass is not None and full <= layout.per_pass <= within:
            return layout.per_pass
        return full if self.drops_remainder else None
