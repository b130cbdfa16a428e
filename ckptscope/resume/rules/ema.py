"""Averaged weights."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted

BOOK = RuleBook("ema")


@BOOK.rule(
    "EMA001",
    "Averaged weights",
    "Exponential moving averages of the weights are stored beside the weights. Without the "
    "weights, training would go on from the averages.",
)
def averages(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("ema")
    if found and facts.inventory.of_role("weight"):
        yield Outcome("saved", f"{counted(len(found), 'averaged weight')} stored")
    elif found:
        yield Outcome(
            "partial",
            "averaged weights are stored without the weights they average",
            verdict="approximate",
        )


@BOOK.rule(
    "EMA002",
    "Averaged weights are missing",
    "The stored graph keeps exponential moving averages that the checkpoint does not hold; they "
    "start anew from the present weights or from zero.",
    "Save all variables: tf.train.Saver() without var_list.",
)
def missing(facts: Facts) -> Iterator[Outcome]:
    lost = facts.unsaved_of_graph.get("ema")
    if lost and facts.meta is not None:
        yield Outcome(
            "missing",
            f"the graph keeps averages of {counted(len(lost), 'variable')} that are not stored",
            lost[0],
            "approximate",
            (Evidence(facts.meta.path),),
        )
