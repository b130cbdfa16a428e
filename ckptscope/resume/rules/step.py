"""The step counter: which number is the run's step, and what the others say."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.resume.facts import STEP_NAMES, Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook, Status
from ckptscope.wording import counted

BOOK = RuleBook("step")
_COUNT_IT = {
    "": "Add step=tf.Variable(0, dtype=tf.int64) to tf.train.Checkpoint and raise it in the loop.",
    "keras": "Nothing to do for `fit`: the optimizer's iterations count the batches.",
    "keras_backup": "Nothing to do for `fit`: the optimizer's iterations count the batches.",
    "saver": "Create tf.train.get_or_create_global_step() and pass it to minimize().",
    "estimator": "Pass tf.train.get_global_step() to minimize().",
}


@BOOK.rule(
    "STEP001",
    "The step is stored",
    "An integer scalar at the root of the object graph, or in the GLOBAL_STEP collection, under a "
    f"known name ({', '.join(STEP_NAMES)}), or a counter that the file's name and another "
    "checkpoint, or the stored graph, confirm. Nothing contradicts it.",
)
def stored(facts: Facts) -> Iterator[Outcome]:
    step = facts.step
    if step.value is None or step.source not in ("own", "graph"):
        return
    start = f" (it started at {step.starts_at})" if step.starts_at else ""
    yield Outcome(
        "saved",
        f"the run is at step {step.value:,}{start}",
        evidence=(Evidence(key=step.key, value=step.value),),
    )


@BOOK.rule(
    "STEP002",
    "Only the optimizer's iterations are stored",
    "The loop's own counter is not in the checkpoint. The optimizer's iterations stand in for it, "
    "which differs where gradients are accumulated or several optimizers take turns.",
    _COUNT_IT,
)
def from_optimizer(facts: Facts) -> Iterator[Outcome]:
    step = facts.step
    if step.source == "optimizer" and step.value is not None:
        yield Outcome(
            "partial",
            "the run's own step counter is not stored; the optimizer has made "
            f"{counted(step.value, 'update')}",
            evidence=(Evidence(key=step.key, value=step.value),),
        )


@BOOK.rule(
    "STEP003",
    "No step is stored",
    "Neither a step counter nor optimizer iterations are stored. A counter of -1 is unset.",
    _COUNT_IT,
)
def missing(facts: Facts) -> Iterator[Outcome]:
    step = facts.step
    if step.candidates or step.unproven or facts.is_damaged:
        return
    meta = facts.meta
    if meta is not None and meta.has_train_op and not _is_read(facts):
        yield Outcome(
            "missing", "no step counter is stored; nothing of the training graph reads one"
        )
        return
    unset = f" ({step.unset.partition('/.ATTRIBUTES/')[0]} is unset)" if step.unset else ""
    yield Outcome(
        "missing",
        f"no step counter is stored{unset}: schedules, logs and file names start at 0 again",
        verdict="approximate",
    )


def _is_read(facts: Facts) -> bool:
    """Training uses the value of the graph's step, for a rate or a condition."""
    meta = facts.meta
    if meta is None or meta.global_step is None:
        return False
    return meta.global_step in meta.state_read


@BOOK.rule(
    "STEP004",
    "Step counters differ",
    "Several counters could be the run's step and have different values, so none is taken.",
)
def ambiguous(facts: Facts) -> Iterator[Outcome]:
    step = facts.step
    if step.value is None and step.refuted is None and step.candidates:
        told = ", ".join(
            f"{key.partition('/.ATTRIBUTES/')[0]} = {value:,}"
            for key, value in step.candidates.items()
        )
        status: Status = "unknown" if step.source == "own" else "partial"
        yield Outcome(status, f"several step counters differ: {told}")


@BOOK.rule(
    "STEP005",
    "The stored counter is not the run's step",
    "A counter with the name of a step is contradicted: it is 0 although an optimizer has made "
    "updates, 1 although it has made two or more, or the same in another checkpoint although "
    "updates were made in between. Nothing raises it in this program, or it is set back. Nothing follows "
    "from its value.",
    {
        "": "Raise the counter in the loop, once for each step: step.assign_add(1).",
        "saver": "Pass global_step to minimize(), so that each update raises it.",
        "estimator": "Pass tf.train.get_global_step() to minimize().",
    },
)
def refuted(facts: Facts) -> Iterator[Outcome]:
    step = facts.step
    if step.refuted is None or step.refuted_by is None:
        return
    by = step.refuted_by
    if by.value is not None:
        says = f"the optimizer has made {counted(by.value, 'update')} ({by.name})"
    else:
        says = f"the optimizer has made updates ({by.key} is not zero any more)"
    instead = ""
    if step.value is not None:
        who = "the run record" if step.source == "run_record" else f"{step.key} in the stored graph"
        instead = f"; {who} says step {step.value:,}"
    yield Outcome(
        "inconsistent",
        f"{step.refuted.name} is {step.refuted.value:,}, but {says}: nothing raises "
        f"{step.refuted.name} in this program, or it is set back{instead}",
        step.refuted.name,
        evidence=(
            Evidence(key=step.refuted.key, value=step.refuted.value),
            Evidence(key=by.key, value=by.value),
        ),
    )


@BOOK.rule(
    "STEP006",
    "A counter that may be the step",
    "An integer that has the value of the number in the file's name, or that the stored graph "
    "raises by one, under a name that says nothing. It may be the run's step; that is not proven.",
)
def unproven(facts: Facts) -> Iterator[Outcome]:
    if facts.step.source == "own":
        return
    for witness in facts.step.unproven:
        why = (
            "the number in the file's name"
            if witness.value == facts.location.number
            else "raised by the stored graph"
        )
        yield Outcome(
            "unknown",
            f"{witness} is {why}: it may be the run's step",
            witness.name,
            evidence=(Evidence(key=witness.key, value=witness.value),),
        )


@BOOK.rule(
    "STEP007",
    "The step counts something else",
    "As many batches left the iterator as the optimizer made updates, and the step counter is "
    "another number: it counts examples, rounds or micro-batches. Iterator and optimizer agree, so "
    "nothing is out of step.",
)
def counts_otherwise(facts: Facts) -> Iterator[Outcome]:
    step = facts.step
    if step.source != "own" or not step.value:
        return
    for iterator in facts.judged:
        agreement = iterator.agreement
        batches = agreement.compared_with
        if agreement.kind != "agrees" or agreement.witness is None or not batches:
            continue
        if batches == step.value or step.starts_at:
            continue
        yield Outcome(
            "saved",
            f"the step is {step.value:,} after {counted(batches, 'batch')} and as many updates: "
            f"{_what(step.value, batches)}",
            evidence=(Evidence(key=step.key, value=step.value),),
        )


def _what(step: int, batches: int) -> str:
    if step > batches and step % batches == 0:
        return f"it seems to count {step // batches} for each batch, examples perhaps"
    if batches > step and batches % step == 0:
        return f"it seems to be raised once every {batches // step} batches"
    return "it seems to count something else"
