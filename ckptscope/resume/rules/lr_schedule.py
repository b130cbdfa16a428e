"""The learning rate: whether it goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import listed

BOOK = RuleBook("lr_schedule")


@BOOK.rule(
    "LR001",
    "The learning rate is stored",
    "The learning-rate variable is stored. Schedules that are functions of the step continue with "
    "the step.",
)
def stored(facts: Facts) -> Iterator[Outcome]:
    rates = [
        item
        for item in facts.inventory.of_role("optimizer_hyper")
        if (item.object_path or item.key).rpartition("/")[2].lstrip("_") in ("learning_rate", "lr")
    ]
    if rates:
        yield Outcome(
            "saved",
            "the learning rate is stored",
            evidence=tuple(Evidence(key=item.key) for item in rates[:2]),
        )


@BOOK.rule(
    "LR002",
    "The learning rate's source is missing",
    "The stored graph computes the learning rate from a variable (a step counter, a rate that "
    "callbacks change) that the checkpoint does not hold, so the schedule starts anew.",
    "Save that variable: tf.train.Saver() without var_list.",
)
def source_missing(facts: Facts) -> Iterator[Outcome]:
    missing = facts.unsaved_of_graph.get("lr_schedule")
    if missing and facts.meta is not None:
        verb = "is" if len(missing) == 1 else "are"
        yield Outcome(
            "missing",
            f"the learning rate is computed from {', '.join(missing)}, which {verb} not stored",
            missing[0],
            "approximate",
            (Evidence(facts.meta.path),),
        )


@BOOK.condition(
    "COND128",
    "The learning rate is fed",
    "The stored graph takes the learning rate from a placeholder: the program computes it in "
    "Python, from what no file shows.",
)
def fed(facts: Facts) -> Iterator[str]:
    rates = facts.meta.fed_rates if facts.meta is not None else ()
    if rates and not facts.at_start:
        yield (
            f"The program feeds the same learning rate ({listed(rates)}) as the uninterrupted run "
            "would have, from a state that is stored or from the step."
        )
