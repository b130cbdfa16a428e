"""The data position: whether the iterator is stored, and whether it is where the run is."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ckptscope.resume import beside
from ckptscope.resume.advice import ADVICE, advice_for
from ckptscope.resume.agreement import RUN_RECORD, Agreement
from ckptscope.resume.alignment import MIN_STEPS
from ckptscope.resume.facts import INDEX_NAMES, Facts, IteratorFact
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted, listed, plural

BOOK = RuleBook("iterator")
_OUT_OF_STEP = ("ahead", "behind", "contradicts")


def evidence_of(iterator: IteratorFact) -> tuple[Evidence, ...]:
    """Where the state lies."""
    return (Evidence(iterator.source_file or None, iterator.key),)


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
    "DATA010",
    "The input state is of another step",
    "CheckpointInputPipelineHook writes input.ckpt-N beside model.ckpt-N. The nearest one here "
    "belongs to another step, so model and data do not fit together.",
    "Resume from the step of which both are there, or save both with the same period (the hook "
    "takes its times from RunConfig).",
)
def partner_of_other_step(facts: Facts) -> Iterator[Outcome]:
    number = facts.location.number
    if number is None or facts.at_start or facts.iterators:
        return
    if any(partner.is_complete and partner.step == number for partner in facts.partners):
        return
    whole = [partner for partner in facts.partners if partner.is_complete]
    if not whole:
        return
    nearest = min(whole, key=lambda partner: (abs(partner.step - number), partner.step))
    steps = nearest.step - number
    name = os.path.basename(nearest.prefix)
    yield Outcome(
        "inconsistent",
        f"{name} is the nearest stored input state, {counted(abs(steps), 'step')} "
        f"{'earlier' if steps < 0 else 'later'} than the model of step {number:,}",
        name,
        "approximate",
        (Evidence(f"{nearest.prefix}.index"),),
    )


@BOOK.rule(
    "DATA011",
    "An input state was never finished",
    "Parts of an input.ckpt-N are there without its index, or only in a _temp_ directory: the hook "
    "was reused over several train() calls, or the process died while it saved.",
    "Make a new CheckpointInputPipelineHook for each train() call.",
)
def unfinished_partner(facts: Facts) -> Iterator[Outcome]:
    for partner in facts.partners:
        if partner.is_complete:
            continue
        concerns = partner.step == facts.location.number and not facts.iterators
        name = os.path.basename(partner.prefix)
        yield Outcome(
            "missing" if concerns else "inconsistent",
            f"the save of {name} was never finished: {partner.problem}",
            name,
            "approximate" if concerns else None,
            (Evidence(partner.prefix),),
        )


@BOOK.rule(
    "DATA018",
    "The hook's state file names an unfinished save",
    "CheckpointInputPipelineHook restores what its own state file names as the latest. That is a "
    "temporary part of a save without the iterator's state, so a run with the hook raises "
    "NotFoundError when it starts (measured on 1.15); a run without the hook starts its data over.",
    "Delete the state file (checkpoint_input), or make it name the last whole input.ckpt-N; then "
    "make a new hook for each train() call.",
)
def broken_hook(facts: Facts) -> Iterator[Outcome]:
    if facts.unfinished_input is not None and not facts.iterators:
        state_file, name = facts.unfinished_input
        yield Outcome(
            "damaged",
            f"{os.path.basename(state_file)} names {name}, a save that never finished: restoring "
            "with the hook fails",
            name,
            "impossible",
            (Evidence(state_file, value=name),),
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


@BOOK.rule(
    "DATA026",
    "The iterators of other hosts",
    "Each host of the training writes the state of its own input pipeline. All of them are needed "
    "to resume.",
    "Keep the iterator checkpoints of all hosts together.",
)
def other_hosts(facts: Facts) -> Iterator[Outcome]:
    if not facts.other_hosts:
        return
    absent = [name for name in facts.other_hosts if not beside.is_here(facts.location, name)]
    told = f"the input pipelines of {counted(len(facts.other_hosts), 'host')} belong together"
    if absent:
        gone = f"{listed(absent)} {plural(len(absent), 'is')} not here"
        yield Outcome("missing", f"{told}; {gone}", absent[0], "approximate")
    else:
        yield Outcome("saved", f"{told}: {listed(facts.other_hosts, 8)}")


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
    "COND113",
    "A new hook for each train() call",
    "CheckpointInputPipelineHook restores only in the first train() call that it is used for "
    "(measured on 1.15).",
)
def new_hook(facts: Facts) -> Iterator[str]:
    if facts.framework == "estimator" and any(
        iterator.source_file != facts.location.prefix for iterator in facts.iterators
    ):
        yield (
            "A new CheckpointInputPipelineHook is passed to each train() call: a reused one does "
            "not restore the state."
        )


@BOOK.condition(
    "COND114",
    "The initializer is not run again",
    "Running iterator.initializer after Saver.restore starts the data over.",
)
def initializer(facts: Facts) -> Iterator[str]:
    if facts.framework == "saver" and facts.meta is not None and facts.iterators:
        yield (
            "The program does not run the iterator's initializer after it has restored the "
            "checkpoint."
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
