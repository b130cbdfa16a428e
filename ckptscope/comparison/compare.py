"""One call from two paths to everything that differs between two checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from ckptscope.checkpoint.names import Selection, names_of
from ckptscope.checkpoint.roles import ROLES, Role, Variable
from ckptscope.comparison.alarms import Situation, raise_alarms
from ckptscope.comparison.data import places_of
from ckptscope.comparison.iterators import compare_iterators
from ckptscope.comparison.model import (
    KINDS,
    Change,
    CheckpointDiff,
    Group,
    Kind,
    Measures,
    Rule,
    Summary,
)
from ckptscope.comparison.pairing import Names, Pair, pair_variables
from ckptscope.comparison.pipelines import pipeline_change
from ckptscope.comparison.rates import move_of
from ckptscope.comparison.sides import Side, locate, refuse_without_data
from ckptscope.comparison.training import compare_training
from ckptscope.comparison.values import Comparer, Outcome, same_checksums
from ckptscope.errors import UsageError
from ckptscope.formats.dtypes import VARIANT
from ckptscope.inspection import checkpoint_info
from ckptscope.iterator.position import Hints
from ckptscope.resume.model import Verdict

if TYPE_CHECKING:
    import pandas

# Checksums are verified for so much at a time, before it is compared.
# Where somebody waits for a page: beyond this size of both checkpoints elements are counted, not
# measured.
MEASURED_NBYTES = 1 << 28
_WINDOW_NBYTES, _WINDOW_PAIRS = 1 << 26, 4096
_FLOATING_ROLES: tuple[Role, ...] = ("weight", "optimizer_slot", "ema", "unknown")


@dataclass
class _Tally:
    equal: int = 0
    by_checksum: int = 0
    counted: dict[Kind, int] = field(default_factory=dict)
    elements: int = 0
    elements_changed: int = 0
    nbytes: int = 0


class Diff:
    """Changes between two checkpoints, found as they are asked for.

    Iterate to get each :class:`Change` as soon as it is known; :meth:`collect` (and everything that
    needs the whole) finishes the comparison and closes the files."""

    def __init__(
        self, a: Side, b: Side, options: DiffOptions, progress: Progress | None = None
    ) -> None:
        self._a, self._b, self._options = a, b, options
        self._progress = progress
        self._changes: list[Change] = []
        self._equal_keys: list[str] = []
        self._outcomes: dict[str, bool | None] = {}
        self._unreadable: set[str] = set()
        self._tallies: dict[Role, _Tally] = defaultdict(_Tally)
        self._comparer = Comparer(
            a.reader,
            b.reader,
            options.rule,
            read_equal=options.verify_data,
            measured=options.measured,
            progress=progress.advance if progress is not None else None,
        )
        try:
            self._wanted = self._selections()
            self._pairs = self._paired()
            self._iterators = compare_iterators(a.facts, b.facts, self._wanted_iterators())
            self._plan()
        except BaseException:
            self.close()
            raise
        self._source = self._compared()
        self._result: CheckpointDiff | None = None

    def __iter__(self) -> Iterator[Change]:
        position = 0
        while True:
            if position < len(self._changes):
                yield self._changes[position]
                position += 1
                continue
            found = next(self._source, None)
            if found is None:
                if self._result is None:
                    self._result = self._summed_up()
                    self.close()
                return
            self._changes.append(found)

    def __enter__(self) -> Diff:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the files."""
        self._a.checkpoint.close()
        self._b.checkpoint.close()

    def collect(self) -> CheckpointDiff:
        """Compare what is left, and sum up."""
        for _ in self if self._result is None else ():
            pass
        assert self._result is not None
        return self._result

    @property
    def summary(self) -> Summary:
        """The answer in short."""
        return self.collect().summary

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes."""
        return self.collect().changes

    def to_json(self) -> str:
        """The contract's JSON object, as text."""
        return self.collect().to_json()

    def to_frame(self) -> pandas.DataFrame:
        """One row for each change."""
        return self.collect().to_frame()

    def _repr_html_(self) -> str:
        return self.collect()._repr_html_()

    # ------------------------------------------------------------------------------------------
    # comparing

    def _wanted_iterators(self) -> list[str] | None:
        if not self._selection:
            return None
        return [
            it.key
            for side in (self._a, self._b)
            for it in side.facts.iterators
            if self._wanted[side.name].wants(it.key)
        ]

    def _selections(self) -> dict[str, Selection]:
        """What the user wants compared, of each side by its own names."""
        known = {side.name: names_of(side.facts.inventory.variables) for side in (self._a, self._b)}
        only, ignore = self._options.only, self._options.ignore
        self._selection = Selection(only, ignore, known["A"] | known["B"])
        self._selection.check("either checkpoint")
        wanted = {name: Selection(only, ignore, names) for name, names in known.items()}
        chosen = {key for name in "AB" for key in known[name] if wanted[name].wants(key)}
        self._num_left_out = len(self._selection.names) - len(chosen)
        if not chosen and self._selection.names:
            raise UsageError("--only and --ignore leave nothing to compare")
        return wanted

    def _paired(self) -> list[Pair]:
        a, b = self._a.facts, self._b.facts
        names = self._options.names
        names.check(a.inventory.variables)
        old, new = (
            [v for v in side.facts.inventory.variables if self._wanted[side.name].wants(v.key)]
            for side in (self._a, self._b)
        )
        across = (self._a.checkpoint.style, a.location.is_saved_model) != (
            self._b.checkpoint.style,
            b.location.is_saved_model,
        )
        return pair_variables(
            old,
            new,
            names.resolved(a.inventory.variables, b.inventory.variables),
            across_styles=across,
            same_bytes=lambda x, y: self._comparer.same_bytes(x.entry, y.entry),
        )

    def _plan(self) -> None:
        """Announce how much there is to read."""
        reading = sum(
            pair.b.entry.nbytes
            for pair in self._pairs
            if pair.a is not None
            and pair.b is not None
            and pair.a.entry.shape == pair.b.entry.shape
            and pair.b.entry.dtype is not VARIANT
            and self._comparer.needs_reading(pair.a.entry, pair.b.entry)
        )
        if self._progress is not None:
            self._progress.total = reading
        for side, lost in ((self._a, "A"), (self._b, "B")):
            refuse_without_data(side, lost)

    def _compared(self) -> Iterator[Change]:
        for pairs in self._windows():
            self._comparer.check(
                (pair.a.entry, pair.b.entry)
                for pair in pairs
                if pair.a is not None and pair.b is not None
            )
            for pair in pairs:
                present = pair.b if pair.b is not None else pair.a
                assert present is not None
                tally = self._tallies[present.role]
                tally.nbytes += present.entry.nbytes
                tally.elements += present.entry.num_elements
                change = self._change(pair, present, tally)
                if change is None:
                    tally.equal += 1
                    self._equal_keys.append(present.key)
                    continue
                tally.counted[change.kind] = tally.counted.get(change.kind, 0) + 1
                if change.stats is not None and change.stats.num_changed:
                    tally.elements_changed += change.stats.num_changed
                yield change

    def _windows(self) -> Iterator[list[Pair]]:
        """Pairs in runs of so many bytes that checksums can be verified shortly before the
        values are compared.
        """
        window: list[Pair] = []
        nbytes = 0
        for pair in self._pairs:
            window.append(pair)
            nbytes += pair.b.entry.nbytes if pair.b is not None else 0
            if nbytes >= _WINDOW_NBYTES or len(window) >= _WINDOW_PAIRS:
                yield window
                window, nbytes = [], 0
        yield window

    def _change(self, pair: Pair, present: Variable, tally: _Tally) -> Change | None:
        if pair.a is None:
            return _change_of("added", pair, present)
        if pair.b is None:
            return _change_of("removed", pair, present)
        old, new = pair.a.entry, pair.b.entry
        if new.dtype is VARIANT and old.dtype is VARIANT:
            return self._iterator_change(pair, present)
        if old.shape != new.shape:
            self._outcomes[new.key] = False
            return _change_of("shape", pair, present)
        outcome = self._comparer.compare(old, new)
        tally.by_checksum += outcome.status == "checksum"
        self._outcomes[new.key] = (
            None if outcome.status == "unreadable" else outcome.status != "value"
        )
        self._unreadable.update(
            side for side in "AB" if (outcome.problem or "").startswith(f"{side}: ")
        )
        return _judged(pair, present, outcome)

    def _iterator_change(self, pair: Pair, present: Variable) -> Change | None:
        assert pair.a is not None and pair.b is not None
        if same_checksums(pair.a.entry, pair.b.entry):
            return None
        found = next((item for item in self._iterators if item.key == pair.b.key), None)
        if found is not None and found.same:
            return None
        kind: Kind = "unreadable" if found is not None and found.kind == "undecoded" else "value"
        return _change_of(kind, pair, present, problem=found.why if found is not None else None)

    # ------------------------------------------------------------------------------------------
    # summing up

    def _summed_up(self) -> CheckpointDiff:
        a, b = self._a, self._b
        for side in (a, b):
            side.check_unchanged()
        places = places_of(a.facts, b.facts)
        move = move_of(a.facts, b.facts, places)
        # What turned out to be damaged cannot be restored, whatever was said before it was read.
        verdicts = tuple(
            "impossible" if side.name in self._unreadable else side.report.verdict
            for side in (a, b)
        )
        judged: tuple[Verdict, Verdict] = (verdicts[0], verdicts[1])
        alarms = raise_alarms(
            Situation(
                places=places,
                move=move,
                verdicts=judged,
                pipeline=pipeline_change(a.facts, b.facts, places),
                weights_frozen=self._frozen(),
                turned_nan=self._turned_nan(),
            )
        )
        counting = any(change.counts for change in self._changes)
        same = not counting and all(item.same for item in self._iterators)
        summary = Summary(
            same=same,
            step_delta=move.steps,
            batches_delta=move.batches,
            examples_delta=move.examples,
            epochs_delta=move.epochs,
            sources=move.sources,
            verdicts=judged,
            alarms=alarms,
            reasons=move.reasons,
        )
        return CheckpointDiff(
            a=checkpoint_info(a.facts),
            b=checkpoint_info(b.facts),
            rule=self._stated_rule(),
            summary=summary,
            positions=(places[0].position, places[1].position),
            changes=tuple(self._changes),
            equal_keys=tuple(self._equal_keys),
            groups=self._groups(),
            training=compare_training(a.facts, b.facts, self._pairs, self._equal),
            iterators=self._iterators,
            notes=tuple(self._notes()),
            num_left_out=self._num_left_out,
            remarks=tuple(dict.fromkeys((*a.facts.location.remarks, *b.facts.location.remarks))),
        )

    def _stated_rule(self) -> Rule:
        """The rule in force, and of what it speaks."""
        if not self._num_left_out:
            return self._options.rule
        left_out = f"{self._num_left_out:,} of {len(self._selection.names):,} variables"
        return replace(
            self._options.rule,
            selected=f"only of what was compared, {self._selection.text}: {left_out} left out",
        )

    def _equal(self, pair: Pair) -> bool | None:
        return self._outcomes.get(pair.b.key) if pair.b is not None else None

    def _groups(self) -> tuple[Group, ...]:
        return tuple(
            Group(
                role,
                tally.equal,
                tally.by_checksum,
                {kind: tally.counted[kind] for kind in KINDS if kind in tally.counted},
                tally.elements,
                tally.elements_changed,
                tally.nbytes,
            )
            for role in ROLES
            if (tally := self._tallies.get(role)) is not None
        )

    def _frozen(self) -> bool | None:
        states = [self._equal(p) for p in self._pairs if p.b is not None and p.b.role == "weight"]
        return all(states) if states and None not in states else None

    def _turned_nan(self) -> tuple[str, ...]:
        return tuple(
            change.key
            for change in self._changes
            if change.role in _FLOATING_ROLES
            and change.stats is not None
            and change.stats.num_nan_b
            and not change.stats.num_nan_a
        )

    def _notes(self) -> Iterator[str]:
        by_checksum = sum(tally.by_checksum for tally in self._tallies.values())
        if by_checksum:
            equal = "1 variable is" if by_checksum == 1 else f"{by_checksum:,} variables are"
            yield f"{equal} equal by stored checksums and not read (--verify-data reads them)"
        for side in (self._a, self._b):
            if side.report.verdict == "impossible":
                yield f"{side.name}: {side.report.headline}"


def _change_of(
    kind: Kind,
    pair: Pair,
    present: Variable,
    stats: Measures | None = None,
    problem: str | None = None,
) -> Change:
    old = pair.a if pair.a is not None and pair.b is not None else present
    entry, before = present.entry, old.entry
    return Change(
        kind=kind,
        key=present.key,
        role=present.role,
        dtype=entry.dtype.name,
        shape=entry.shape,
        nbytes=entry.nbytes,
        old_key=old.key if old.key != present.key else None,
        score=pair.score,
        old_dtype=before.dtype.name if before.dtype is not entry.dtype else None,
        old_shape=before.shape if before.shape != entry.shape else None,
        stats=stats,
        counts=present.role != "bookkeeping",
        problem=problem,
        full_name=present.full_name,
        slot_of=present.slot_of,
        slot_name=present.slot_name,
    )


def _judged(pair: Pair, present: Variable, outcome: Outcome) -> Change | None:
    """The change that the outcome of comparing two tensors of one shape makes; None where there
    is none.
    """
    assert pair.a is not None and pair.b is not None
    if outcome.status == "unreadable":
        return _change_of("unreadable", pair, present, problem=outcome.problem)
    if pair.a.entry.dtype is not pair.b.entry.dtype:
        return _change_of("dtype", pair, present, outcome.stats)
    if pair.score is not None:
        return _change_of("renamed", pair, present, outcome.stats)
    return _change_of("value", pair, present, outcome.stats) if outcome.status == "value" else None


class Progress(Protocol):
    """What is told how far a comparison is: ``total`` is set when it is known, bytes are told
    as they are compared.
    """

    total: int

    def advance(self, nbytes: int) -> None:
        """So many bytes of one side more are compared."""


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """How to compare.

    Attributes:
        names: what the user knows of names.
        verify_data: read also what has equal checksums.
        measured: compute all measures; else only count changed elements.
        only, ignore: patterns of names of variables.
    """

    rule: Rule = field(default_factory=Rule)
    names: Names = field(default_factory=Names)
    verify_data: bool = False
    measured: bool = True
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


def diff(
    a: str,
    b: str | None = None,
    *,
    step: tuple[str | int, str | int] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool | None = None,
    only: Iterable[str] = (),
    ignore: Iterable[str] = (),
    maps: Mapping[str, str] | Iterable[str] = (),
    strip_prefix: Iterable[str] = (),
    verify_data: bool = False,
    measured: bool = True,
    batch_size: int | None = None,
    epoch_size: int | None = None,
    global_seed: int | None = None,
    shuffle_seed: int | None = None,
    data_root: str | None = None,
    progress: Progress | None = None,
) -> Diff:
    """Compare two checkpoints, or the last two of one directory.

    Args:
        a, b: paths as for ``inspect``; without ``b`` the two checkpoints are those of one
            directory.
        step: which checkpoint of each: numbers, ``latest`` or -K.
        rtol, atol: tolerances of NumPy's rule |a - b| <= atol + rtol * |b|; without them bytes are
            compared.
        equal_nan: NaN equals NaN under that rule.
        only, ignore: patterns of names of variables.
        maps: keys (or leading parts of keys) of A and what B calls them, as ``OLD=NEW`` or as a
            mapping.
        strip_prefix: leading parts of keys that do not count.
        verify_data: read also what has equal checksums.
        measured: compute all measures; else only count changed elements, which is faster.
        batch_size, epoch_size, global_seed, shuffle_seed, data_root: what iterator states cannot
            hold.

    Raises:
        CkptscopeError: one side cannot be opened; the message names it.
    """
    hints = Hints(batch_size, epoch_size, global_seed, shuffle_seed, data_root)
    texts = (
        [f"{old}={new}" for old, new in maps.items()] if isinstance(maps, Mapping) else list(maps)
    )
    rule = Rule(
        None if rtol is None else float(rtol), None if atol is None else float(atol), equal_nan
    )
    options = DiffOptions(
        rule, Names.parsed(texts, strip_prefix), verify_data, measured, tuple(only), tuple(ignore)
    )
    sides = locate(
        str(a),
        None if b is None else str(b),
        None if step is None else (str(step[0]), str(step[1])),
    )
    first = Side.open("A", *sides[0], hints)
    try:
        second = Side.open("B", *sides[1], hints)
    except BaseException:
        first.checkpoint.close()
        raise
    return Diff(first, second, options, progress)
