"""Iterators in files of their own: those of an Estimator's hook, those of other hosts."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ckptscope.resume import beside
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted, listed, plural

BOOK = RuleBook("iterator")


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
