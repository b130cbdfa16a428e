"""What a judgement is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ckptscope.resume.facts import Facts

Verdict = Literal["exact", "approximate", "impossible"]
VERDICTS: tuple[Verdict, ...] = ("impossible", "approximate", "exact")  # worst first
Status = Literal["saved", "not_needed", "missing", "partial", "inconsistent", "damaged", "unknown"]
Component = Literal[
    "files",
    "weights",
    "optimizer",
    "step",
    "iterator",
    "rng",
    "lr_schedule",
    "loss_scale",
    "ema",
    "metrics",
]
Source = Literal["evidence", "standing"]


def worst(verdicts: Iterable[Verdict | None]) -> Verdict:
    """The worst of the forced verdicts; ``exact`` where none is forced."""
    return min(
        (verdict for verdict in verdicts if verdict is not None),
        key=VERDICTS.index,
        default="exact",
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a finding can be checked."""

    file: str | None = None
    key: str | None = None
    offset: int | None = None
    value: str | int | float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule found, before its table entry completes it."""

    status: Status
    message: str
    subject: str = ""
    verdict: Verdict | None = None
    evidence: tuple[Evidence, ...] = ()
    remedy: str | None = None


Check = Callable[["Facts"], Iterable["Outcome"]]
Statement = Callable[["Facts"], Iterable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that is checked.

    Attributes:
        code: stable, ``[A-Z]+[0-9]{3}``; it keeps its meaning for ever.
        component: what of the training state it is about.
        title: one line.
        explanation: the long form, for ``ckptscope explain`` and docs/findings.md.
        check: facts to outcomes; none means that it does not apply.
        remedies: what to change, by framework; ``""`` for all others.
    """

    code: str
    component: Component
    title: str
    explanation: str
    check: Check
    remedies: Mapping[str, str] = field(default_factory=dict)

    def remedy(self, framework: str) -> str | None:
        """What to change in a program of that framework."""
        return self.remedies.get(framework, self.remedies.get(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRule:
    """One thing that files cannot show, and a person can check.

    Attributes:
        check: facts to sentences; none means that nothing raised it.
        source: ``evidence`` where something in the files raised it, ``standing`` where it always
            holds.
    """

    code: str
    title: str
    explanation: str
    check: Statement
    source: Source = "evidence"


class RuleBook:
    """The rules of one component, in the order in which they stand in its file."""

    def __init__(self, component: Component) -> None:
        self.component: Component = component
        self.rules: list[Rule] = []
        self.conditions: list[ConditionRule] = []

    def rule(
        self,
        code: str,
        title: str,
        explanation: str,
        remedies: Mapping[str, str] | str = "",
        component: Component | None = None,
    ) -> Callable[[Check], Check]:
        """Enter the function below as a rule.

        Args:
            remedies: by framework, or one for all.
            component: where it is another than the book's.
        """
        if isinstance(remedies, str):
            remedies = {"": remedies} if remedies else {}

        def enter(check: Check) -> Check:
            self.rules.append(
                Rule(
                    code=code,
                    component=component or self.component,
                    title=title,
                    explanation=explanation,
                    check=check,
                    remedies=remedies,
                )
            )
            return check

        return enter

    def condition(
        self, code: str, title: str, explanation: str, source: Source = "evidence"
    ) -> Callable[[Statement], Statement]:
        """Enter the function below as a condition."""

        def enter(check: Statement) -> Statement:
            self.conditions.append(
                ConditionRule(
                    code=code, title=title, explanation=explanation, check=check, source=source
                )
            )
            return check

        return enter


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked thing, with what it means for the verdict."""

    code: str
    component: Component
    status: Status
    verdict: Verdict | None
    subject: str
    message: str
    evidence: tuple[Evidence, ...]
    remedy: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A sentence that must hold for the verdict."""

    code: str
    text: str
    source: Source


@dataclass(frozen=True, slots=True)
class EpochRange:
    """Examples [start, stop) of one epoch, in its order."""

    epoch: int
    start: int
    stop: int


# A list of more epochs helps nobody, and a damaged step could ask for any number.
_MOST_EPOCHS = 10_000


def epoch_ranges(start: int, stop: int, epoch_size: int | None) -> tuple[EpochRange, ...]:
    """[start, stop) in examples over all epochs, cut at their boundaries; nothing where those
    are more than 10,000.
    """
    if stop <= start or (epoch_size and (stop - start) // epoch_size > _MOST_EPOCHS):
        return ()
    if not epoch_size:
        return (EpochRange(0, start, stop),)
    pieces: list[EpochRange] = []
    while start < stop:
        epoch = start // epoch_size
        end = min(stop, (epoch + 1) * epoch_size)
        pieces.append(EpochRange(epoch, start - epoch * epoch_size, end - epoch * epoch_size))
        start = end
    return tuple(pieces)


def describe_ranges(
    ranges: tuple[EpochRange, ...], *, total: int | None = None, in_epochs: bool = True
) -> str:
    """``examples 0..223 of epoch 0`` (inclusive, as people say it); of the stream where epochs are
    not known.

    Args:
        total: ranges that there are, where only the first ones are given.
    """
    shown = [
        f"examples {item.start:,}..{item.stop - 1:,} of "
        f"{f'epoch {item.epoch}' if in_epochs else 'the stream'}"
        for item in ranges[:3]
    ]
    rest = (len(ranges) if total is None else total) - 3
    return ", ".join(shown) + (f" and {rest:,} epochs more" if rest > 0 else "")


@dataclass(frozen=True, slots=True)
class Loss:
    """What resuming repeats or skips, in examples."""

    repeated: tuple[EpochRange, ...] = ()
    skipped: tuple[EpochRange, ...] = ()
