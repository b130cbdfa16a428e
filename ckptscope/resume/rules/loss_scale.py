"""Dynamic loss scaling."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted

BOOK = RuleBook("loss_scale")


@BOOK.rule(
    "SCALE001",
    "The loss scale is stored",
    "Dynamic loss scaling keeps its scale and the number of good steps; both are stored.",
)
def stored(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("loss_scale")
    if found:
        yield Outcome(
            "saved",
            f"{counted(len(found), 'variable')} of loss scaling stored",
            evidence=tuple(Evidence(key=item.key) for item in found[:3]),
        )


@BOOK.rule(
    "SCALE002",
    "The loss scale is missing",
    "An optimizer for loss scaling is stored without its scale: scaling starts at its initial "
    "value and some steps will be skipped.",
    "Save the LossScaleOptimizer itself, not only its inner optimizer.",
)
def missing(facts: Facts) -> Iterator[Outcome]:
    wrappers = [
        optimizer
        for optimizer in facts.inventory.optimizers
        if optimizer.wraps is not None and not optimizer.scale_is_fixed
    ]
    if wrappers and not facts.inventory.of_role("loss_scale"):
        path = wrappers[0].path
        yield Outcome(
            "missing", f"{path} scales the loss, but its scale is not stored", path, "approximate"
        )
