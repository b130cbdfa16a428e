"""The data position: whether an iterator is stored, and what of the data is left without one."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.advice import ADVICE, advice_for
from ckptscope.resume.facts import INDEX_NAMES, Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.resume.rules.stages import evidence_of
from ckptscope.wording import counted

BOOK = RuleBook("iterator")
_OUT_OF_STEP = ("ahead", "behind", "contradicts")


@BOOK.rule(
    "DATA001",
    "The iterator is stored",
    "The state of the tf.data iterator is in the files and could be decoded. Restoring it "
    "continues behind the last element that left it, buffers included.",
)
def saved(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.running:
        agreement = iterator.agreement
        if iterator.reading is None or agreement.not_training is not None:
            continue
        if agreement.kind in _OUT_OF_STEP:
            continue
        position = iterator.reading.position
        told = ""
        if position.examples_consumed is not None:
            told = f": {counted(position.examples_consumed, 'example')} delivered"
        yield Outcome(
            "saved",
            f"the iterator's state is stored{told}",
            iterator.key,
            evidence=evidence_of(iterator),
        )


@BOOK.rule(
    "DATA002",
    "The data position is not stored",
    "No iterator state, no saved data index and no input checkpoint: the input pipeline starts "
    "over. Its first batches are trained on again, and what would have come next may come late or "
    "never. Estimator.train() and model.fit always start the pipeline over unless something saves "
    "it.",
    {
        **ADVICE["loop"],
        "estimator": ADVICE["estimator"][""],
        "saver": ADVICE["iterator"][""],
        "keras": ADVICE["fit"][""],
        "keras_backup": ADVICE["fit"]["keras_backup"],
    },
)
def missing(facts: Facts) -> Iterator[Outcome]:
    if facts.iterators or facts.is_damaged or facts.data_index is not None or facts.at_start:
        return
    if facts.partners or not facts.has_weights or facts.epoch_end is not None:
        return
    impostors = [
        variable.key
        for variable in facts.inventory.variables
        if variable.role != "iterator"
        and "iterator" in (variable.object_path or variable.key).lower()
    ]
    why = "no iterator state is stored, so the data starts over"
    if facts.meta is not None and facts.meta.has_iterator and not facts.meta.iterator_saved:
        why = (
            "the stored graph has an iterator that is not among the saved objects, so the data "
            "starts over"
        )
    if impostors:
        why += f" ({impostors[0]} is a plain variable, not an iterator)"
    yield Outcome(
        "missing",
        f"{why}{_how_much(facts)}",
        verdict="approximate",
        evidence=tuple(Evidence(key=key) for key in impostors[:2]),
        remedy=advice_for(facts),
    )


def _how_much(facts: Facts) -> str:
    """What starting over repeats, as far as it is known."""
    place, step = facts.recorded, facts.step.value
    if place is not None:
        epoch = "its epoch" if place.epoch is None else f"epoch {place.epoch:,}"
        if place.iterator_per_epoch and place.examples_into_epoch is not None:
            many = counted(place.examples_into_epoch, "example")
            return f". By the run record {many} of {epoch} had been delivered"
        many = counted(place.batches, "batch")
        of = f" of {epoch}" if place.iterator_per_epoch else ""
        return f". By the run record {many}{of} had been delivered"
    if facts.feeding == "fit" or not step:
        return ""
    return (
        f". That repeats at most {counted(step, 'batch')}, all since the run began; fewer if it "
        "was restarted before"
    )


@BOOK.rule(
    "DATA003",
    "A data index is stored",
    "An integer at the root with a name that says it is a place in the data: "
    f"{', '.join(INDEX_NAMES)}. The place can be derived if the program skips by it and the order "
    "is fixed.",
)
def index_saved(facts: Facts) -> Iterator[Outcome]:
    if facts.iterators or facts.data_index is None or facts.at_start:
        return
    name, value = facts.data_index
    yield Outcome(
        "saved",
        f"{name} = {value:,} is stored: the program itself can skip to its place in the data",
        name,
        evidence=(Evidence(key=name, value=value),),
    )


@BOOK.rule(
    "DATA004",
    "Nothing was consumed",
    "At step 0 a fresh pipeline is the right one, unless its order is drawn anew by each process.",
)
def nothing_consumed(facts: Facts) -> Iterator[Outcome]:
    if not facts.iterators and facts.at_start:
        yield Outcome(
            "not_needed",
            "the run is at step 0: nothing was consumed yet, so starting the data anew loses "
            "nothing",
        )


@BOOK.rule(
    "DATA007",
    "The iterator is exhausted",
    "The state says that the data has ended. TensorFlow drops the counters at the end, so how much "
    "was consumed is not stored.",
    "Repeat the dataset, or make a new iterator for the next epoch before saving.",
)
def exhausted(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        if iterator.exhausted and iterator.agreement.not_training is None:
            yield Outcome(
                "saved",
                "the iterator has come to the end of its data: a resumed run gets no more of it "
                "and ends at once, as the run itself would have",
                iterator.key,
                evidence=evidence_of(iterator),
            )


@BOOK.rule(
    "DATA008",
    "The iterator cannot be decoded",
    "A variant tensor is stored that is not an iterator state of a known layout. TensorFlow may "
    "restore it, but nothing can be shown.",
    "Report the file's TensorFlow version. Until then treat the data position as lost.",
)
def undecodable(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        if iterator.error is not None and not facts.is_damaged:
            yield Outcome(
                "unknown",
                f"the iterator's state cannot be decoded: {iterator.error}",
                iterator.key,
                "approximate",
                evidence_of(iterator),
            )


@BOOK.rule(
    "DATA012",
    "Several iterators",
    "More than one iterator could feed the training and none alone is in step with the counter, so "
    "no position is given for the run.",
)
def several(facts: Facts) -> Iterator[Outcome]:
    if facts.training is None and len(facts.candidates) > 1:
        keys = ", ".join(iterator.key for iterator in facts.candidates)
        yield Outcome(
            "unknown",
            f"{len(facts.candidates)} iterators are stored and none alone is in step with the "
            f"counter: {keys}",
        )


@BOOK.rule(
    "DATA016",
    "Other iterators",
    "Iterators beside the training one: of an evaluation or a warm-up. They are listed, not "
    "judged.",
)
def others(facts: Facts) -> Iterator[Outcome]:
    if facts.training is None:
        return
    for iterator in facts.iterators:
        if iterator is not facts.training:
            why = "exhausted" if iterator.exhausted else "not in step with the counter"
            yield Outcome(
                "not_needed",
                f"another iterator is stored ({why}), probably of an evaluation or a warm-up",
                iterator.key,
                evidence=evidence_of(iterator),
            )


@BOOK.rule(
    "DATA025",
    "The end of an epoch",
    "The program makes an iterator for each epoch (as `fit` does), and this was saved when one had "
    "ended: the next epoch starts its data anew in any case, so nothing is repeated. Resuming is "
    "exact only if the order of an epoch does not depend on earlier ones.",
    "Give the dataset an order that depends on the epoch alone: no shuffle that reshuffles each "
    "iteration, or one that is seeded by the epoch number.",
)
def epoch_end(facts: Facts) -> Iterator[Outcome]:
    if facts.epoch_end is None or facts.is_damaged or not facts.has_weights:
        return
    where = f"saved at the end of epoch {facts.epoch_end:,}"
    if facts.order_is_fixed:
        yield Outcome(
            "not_needed",
            f"{where}, and each epoch has an iterator of its own and the same order: nothing is "
            "repeated",
        )
    else:
        why = (
            "the order of the next epoch depends on the earlier ones"
            if facts.order_is_fixed is False
            else "nothing shows that the order of the next epoch does not depend on earlier ones"
        )
        yield Outcome(
            "unknown",
            f"{where}, so no example is repeated, but {why}",
            verdict="approximate",
        )


@BOOK.condition(
    "COND115",
    "Which iterators train",
    "Several iterators are stored and none is singled out by the step counter.",
)
def which(facts: Facts) -> Iterator[str]:
    if facts.training is None and len(facts.candidates) > 1:
        yield (
            "All iterators that feed the training are among the "
            f"{len(facts.candidates)} stored ones."
        )


@BOOK.condition(
    "COND107",
    "The program skips by the index",
    "A saved data index puts a fresh pipeline in its place only if the program skips by it.",
)
def skips(facts: Facts) -> Iterator[str]:
    if not facts.iterators and facts.data_index is not None and not facts.at_start:
        name, value = facts.data_index
        yield f"The program skips to {name} = {value:,} when it starts."


@BOOK.condition(
    "COND108",
    "The order is fixed",
    "Skipping finds the same place only if the data comes in the same order.",
)
def fixed_order(facts: Facts) -> Iterator[str]:
    if not facts.iterators and facts.data_index is not None and not facts.at_start:
        yield (
            "The order of the data is the same in every run and every epoch (no shuffle, or one "
            "that gives the same order again)."
        )


@BOOK.condition(
    "COND121",
    "No further epoch",
    "An exhausted iterator keeps no generator, and the iterator of one epoch not those of the "
    "next: a further epoch that the program makes may come in another order than in the "
    "uninterrupted run.",
)
def no_further_epoch(facts: Facts) -> Iterator[str]:
    for iterator in facts.judged:
        if iterator.agreement.not_training is not None:
            continue
        if iterator.exhausted or iterator.agreement.kind == "whole_passes_behind":
            yield (
                "No further epoch is trained after the one of this iterator, or the order does not "
                "change between epochs."
            )


@BOOK.condition(
    "COND129",
    "The next epoch is the right one",
    "`fit` counts its epochs from 0 in each process unless it is told where to begin; "
    "BackupAndRestore tells it.",
)
def initial_epoch(facts: Facts) -> Iterator[str]:
    if facts.epoch_end is not None and facts.order_is_fixed and facts.feeding == "fit":
        yield (
            f"fit goes on with epoch {facts.epoch_end + 1} (initial_epoch={facts.epoch_end + 1}, "
            "or BackupAndRestore)."
        )
