"""How the iterator stands to the run: ahead, behind, or not the one that feeds the training."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.agreement import RUN_RECORD, Agreement
from ckptscope.resume.alignment import MIN_STEPS
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Outcome, RuleBook
from ckptscope.resume.rules.stages import evidence_of
from ckptscope.wording import counted, plural

BOOK = RuleBook("iterator")


@BOOK.rule(
    "DATA005",
    "The iterator is ahead of the step",
    "More batches left the iterator than steps were made: the program had fetched ahead (a queue, "
    "a prefetching loop, a device prefetch) when it saved. Those batches are lost. A whole number "
    "of batches for each step, or a lead that an earlier checkpoint had, too, is not told as that.",
    "Save between steps, with as many next() calls as steps. Do not fetch the next batch before "
    "the step counter is raised.",
)
def ahead(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if agreement.kind != "ahead" or agreement.lost_before is not None:
            continue
        if agreement.not_training is not None:
            continue
        yield Outcome(
            "inconsistent",
            _lead(facts, agreement),
            iterator.key,
            "approximate",
            evidence_of(iterator),
        )


def _lead(facts: Facts, agreement: Agreement) -> str:
    """By how much it is ahead. From twice the step on several batches are taken for each step, and
    how many of them were in hand is not known.
    """
    step, delivered = facts.step.value, agreement.delivered
    if step and step >= MIN_STEPS and delivered is not None and delivered >= 2 * step:
        return (
            f"the iterator has delivered {counted(delivered, 'batch')} at step {step:,}: several "
            "for each step, and some that training had not used yet and will not see"
        )
    many = "some batches" if agreement.batches is None else counted(agreement.batches, "batch")
    why = f" ({agreement.fetched_ahead})" if agreement.fetched_ahead else ""
    them = "it" if agreement.batches == 1 else "them"
    return (
        f"the iterator is {many} ahead of {_the_step(facts)}{why}: fetched before the save, and "
        f"training will not see {them}"
    )


def _the_step(facts: Facts) -> str:
    return "the step" if facts.step.value is None else f"step {facts.step.value:,}"


@BOOK.rule(
    "DATA006",
    "The iterator is behind the step",
    "The iterator has delivered fewer batches than the run took steps. This alone does not make "
    "resuming wrong: the difference is the trace of an earlier resume that lost its place, or this "
    "is another iterator (of an evaluation) than the one that trains.",
    "Compare with earlier checkpoints of the run (ckptscope inspect DIR --all). Save the training "
    "iterator under its own name.",
)
def behind(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if agreement.kind != "behind" or agreement.not_training is not None:
            continue
        many = "some batches" if agreement.batches is None else counted(agreement.batches, "batch")
        yield Outcome(
            "inconsistent",
            f"the iterator is {many} behind {_the_step(facts)}: {_why_behind(agreement.feeds)}",
            iterator.key,
            evidence=evidence_of(iterator),
        )


def _why_behind(feeds: str | None) -> str:
    if feeds is None:
        return "an earlier resume lost its place, or it is not the training iterator"
    if feeds == RUN_RECORD:
        return f"{feeds} counted as many batches, so an earlier resume lost its place"
    moves = f"it is as far behind in {feeds} and moves with the steps"
    return f"{moves}, so an earlier resume lost its place"


@BOOK.rule(
    "DATA013",
    "Iterator and step contradict each other",
    "The examples that left the iterator are not a whole number of equal batches for each step, "
    "nor for each update.",
    "Give --batch-size, or save a step counter of the loop.",
)
def contradicts(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if agreement.kind != "contradicts" or agreement.not_training is not None:
            continue
        if facts.step.value is None:
            continue
        size = iterator.reading.position.batch_size if iterator.reading is not None else None
        what = "no batch size makes" if size is None else f"batches of {size:,} do not make"
        yield Outcome(
            "inconsistent",
            f"{what} the iterator agree with step {facts.step.value:,}; whether it is ahead cannot "
            "be told",
            iterator.key,
            "approximate",
            evidence_of(iterator),
        )


@BOOK.rule(
    "DATA022",
    "The stored iterator is not the training one",
    "Its name is that of an evaluation and its count is not that of the run; or it has delivered "
    "nothing, or come to its end, while the run went on. The training iterator is not stored, so "
    "its data starts over.",
    "Save the iterator that the loop takes its batches from: make it once (iterator = "
    "iter(dataset)), add it to the checkpoint, and call next(iterator).",
)
def not_training(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        why = iterator.agreement.not_training
        if why is not None:
            yield Outcome(
                "missing",
                f"{iterator.name} is not the iterator that feeds the training: {why}",
                iterator.name,
                "approximate",
                evidence_of(iterator),
            )


@BOOK.condition(
    "COND106",
    "This iterator feeds the training",
    "The iterator is behind the step counter: either a restart lost its place earlier, or it is "
    "the iterator of an evaluation.",
)
def feeds(facts: Facts) -> Iterator[str]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if agreement.kind != "behind" or agreement.feeds is not None:
            continue
        if agreement.not_training is None:
            yield (
                f"The iterator under {iterator.name} feeds the training (it is behind the step "
                "counter)."
            )


@BOOK.condition(
    "COND110",
    "The batch size agrees",
    "Without a buffered batch the batch size is not stored. It follows if the iterator is in step "
    "with the counter; give --batch-size to prove it.",
)
def batch_size(facts: Facts) -> Iterator[str]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        size, reading = agreement.implied_batch_size, iterator.reading
        if size is None or reading is None or agreement.not_training is not None:
            continue
        examples = reading.position.examples_consumed
        if examples is None or agreement.compared_with is None:
            continue
        number = f"step {agreement.compared_with:,}"
        if agreement.witness is not None:
            number = f"the {counted(agreement.compared_with, 'update')}"
        yield (
            f"The batch size is {size}: then the {counted(examples, 'example')} that the iterator "
            f"has delivered agree with {number}."
        )


@BOOK.condition(
    "COND120",
    "Batches for each update",
    "Only the optimizer's iterations are stored, and a whole number of batches left the iterator "
    "for each: gradients are accumulated, or optimizers take turns.",
)
def per_update(facts: Facts) -> Iterator[str]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if agreement.batches_per_update is not None and agreement.not_training is None:
            updates = agreement.compared_with or facts.step.value or 0
            yield (
                f"The program takes {agreement.batches_per_update} batches for each update of the "
                f"optimizer: then the iterator agrees with its {counted(updates, 'update')}."
            )


@BOOK.condition(
    "COND124",
    "Several batches for each step",
    "A whole number of batches left the iterator for each step, or as many as the recorder "
    "counted: gradients are accumulated, or a step takes several batches. Nothing is lost then.",
)
def per_step(facts: Facts) -> Iterator[str]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if agreement.kind != "several_per_step" or agreement.not_training is not None:
            continue
        if agreement.witness is not None and agreement.batches_per_step is None:
            continue  # the recorder counted them
        what = "update of the optimizer" if agreement.witness is not None else "step"
        yield (
            f"The program takes {agreement.batches_per_step} batches for each {what}: then nothing "
            "is lost."
        )


@BOOK.condition(
    "COND125",
    "One loss long ago",
    "The iterator is ahead of the step by as many batches as in another checkpoint, and was less "
    "ahead before: a resume in between skipped them. That is past; resuming from here skips no "
    "more.",
)
def lost_before(facts: Facts) -> Iterator[str]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if agreement.kind == "ahead" and agreement.lost_before is not None:
            if agreement.not_training is not None:
                continue
            lead = agreement.batches or 0
            yield (
                f"The {counted(lead, 'batch')} by which the iterator is ahead of the step "
                f"{plural(lead, 'was')} skipped earlier (it is as far ahead in "
                f"{agreement.lost_before}), not fetched when this was saved."
            )


@BOOK.condition(
    "COND111",
    "Iterator and step agree",
    "The counters that are stored do not show how many batches left the iterator, so it could not "
    "be compared with the step.",
)
def unlocated(facts: Facts) -> Iterator[str]:
    for iterator in facts.judged:
        agreement = iterator.agreement
        if iterator.reading is None or iterator.exhausted or agreement.not_training is not None:
            continue
        if agreement.feeds is not None or facts.step.value is None:
            continue
        if agreement.kind != "unknown" or agreement.implied_batch_size is not None:
            continue
        if agreement.batches_per_update is not None:
            continue
        made = facts.updates.made if facts.step.starts_at else None
        number = facts.step.value if made is None else made
        what = "the run made steps" if made is None else "the optimizer made updates"
        yield (
            f"The iterator under {iterator.name} has delivered as many batches as {what} "
            f"({number:,}): its counters do not show it."
        )
