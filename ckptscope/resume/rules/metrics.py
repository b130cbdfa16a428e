"""Running metrics."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Outcome, RuleBook
from ckptscope.wording import counted

BOOK = RuleBook("metrics")


@BOOK.rule(
    "METRIC001",
    "Running metrics are stored",
    "Totals and counts of metrics in the middle of an epoch.",
)
def stored(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("metric")
    if found:
        yield Outcome("saved", f"{counted(len(found), 'variable')} of running metrics stored")
