"""The optimizer: slots, accumulators, and which of the stored ones has trained."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.checkpoint.optimizers import NEEDS_SLOTS, STATELESS_UPDATES
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted, listed, plural

BOOK = RuleBook("optimizer")
_KEEP_ALL = "tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, iterator=iterator)"
_ADD_OPTIMIZER = {
    "": f"Save the optimizer with the model: {_KEEP_ALL}.",
    "estimator": "Let the Estimator's Saver save all variables (the default).",
    "saver": "Let tf.train.Saver() save all variables (the default), not only the trainable ones.",
    "keras": "Use keras.callbacks.ModelCheckpoint with save_weights_only=False, or save the "
    "optimizer with tf.train.Checkpoint(model=model, optimizer=model.optimizer).",
    "saved_model": f"A SavedModel is for serving; to train on, save with {_KEEP_ALL}.",
}


@BOOK.rule(
    "OPT001",
    "Optimizer slots are stored",
    "Momentum, moments and other slots are stored for each variable that has any.",
)
def saved(facts: Facts) -> Iterator[Outcome]:
    slots = facts.inventory.true_slots
    if not slots or any(some_missing(facts)) or any(unused(facts)) or facts.adam_without_powers:
        return
    names = ", ".join(dict.fromkeys(v.slot_name for v in slots if v.slot_name))
    many = counted(len(slots), "slot variable")
    yield Outcome("saved", f"{many} ({names}), complete" if names else many)


def why_no_slots(facts: Facts) -> str | None:
    """Why no slots are needed, None if that cannot be shown."""
    if facts.inventory.true_slots:
        return None
    meta = facts.meta
    if meta is not None and meta.optimizer_ops:
        ops = {update.op for update in meta.optimizer_ops}
        names = ", ".join(sorted(ops))
        stateless = ops <= STATELESS_UPDATES
        return f"the graph updates with {names}, which keeps no slots" if stateless else None
    if meta is not None and meta.has_train_op and meta.state_changed:
        stored = facts.checkpoint.entries
        if all((meta.key_of(name) or name) in stored for name in meta.state_changed):
            return "all that the training graph changes is stored"
    return _stateless_objects(facts)


def _stateless_objects(facts: Facts) -> str | None:
    inner = [optimizer for optimizer in facts.inventory.optimizers if optimizer.wraps is None]
    if not inner or any(NEEDS_SLOTS & set(optimizer.hyper) for optimizer in inner):
        return None
    if facts.momentum and not facts.at_start:
        return None
    if facts.step.value == 0 or len(facts.updates.counts) >= len(inner):
        return "the optimizer is stored and has no slots, as plain SGD"
    return None


@BOOK.rule(
    "OPT002",
    "The optimizer needs no slots",
    "An optimizer that made updates and has no slots is plain gradient descent; the stored graph "
    "may say so, too.",
)
def stateless(facts: Facts) -> Iterator[Outcome]:
    reason = why_no_slots(facts)
    if reason is not None:
        yield Outcome("not_needed", reason)


@BOOK.rule(
    "OPT003",
    "Optimizer state is missing",
    "What the optimizer has accumulated (momentum, moments, iterations) is not stored and starts "
    "at zero. Absence counts as loss unless the files prove that nothing was needed.",
    _ADD_OPTIMIZER,
)
def missing(facts: Facts) -> Iterator[Outcome]:
    if facts.is_damaged or facts.inventory.true_slots or not facts.has_weights:
        return
    if why_no_slots(facts) is not None:
        return
    if facts.at_start:
        yield Outcome("not_needed", "no step was made yet, so slots have their initial values")
        return
    meta = facts.meta
    wanted = [update for update in meta.optimizer_ops if update.slots] if meta is not None else []
    if facts.inventory.optimizers:
        hyper = {name for optimizer in facts.inventory.optimizers for name in optimizer.hyper}
        needing = sorted(NEEDS_SLOTS & hyper) or (["momentum"] if facts.momentum else [])
        why = "the optimizer is stored without slots, " + (
            f"although it has {', '.join(needing)}"
            if needing
            else "and nothing shows that it needs none"
        )
    elif wanted:
        why = f"the graph trains with {wanted[0].op}, but its slots are not stored"
    else:
        why = "no optimizer is stored: slots, iterations and learning rate start over"
    yield Outcome("missing", why, verdict="approximate")


@BOOK.rule(
    "OPT004",
    "Some slots are missing",
    "Some variables have slots that others of the same optimizer lack, or slots that the stored "
    "graph updates are not stored.",
    _ADD_OPTIMIZER,
)
def some_missing(facts: Facts) -> Iterator[Outcome]:
    """Slots of the graph that are not stored; variables that lack slots of their optimizer."""
    meta, entries = facts.meta, facts.checkpoint.entries
    wanted = [
        (update.variable, slot)
        for update in (meta.optimizer_ops if meta is not None else ())
        for slot in update.slots
        if "/part_" not in slot
        and meta is not None
        and slot not in entries
        and (meta.key_of(slot) or slot) not in entries
    ]
    gaps = facts.inventory.slot_gaps
    if wanted and facts.inventory.true_slots:
        target, slot = wanted[0]
        more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
        yield Outcome(
            "partial",
            f"{counted(len(wanted), 'slot')} of the graph's optimizer "
            f"{plural(len(wanted), 'is')} not stored: {slot} of {target}{more}",
            verdict="approximate",
            evidence=(Evidence(meta.path if meta is not None else None, value=slot),),
        )
    elif gaps:
        target, names = gaps[0]
        yield Outcome(
            "partial",
            f"{counted(len(gaps), 'variable')} {plural(len(gaps), 'lacks')} slots that others "
            f"have; {target} has no {', '.join(names)}",
            verdict="approximate",
            evidence=(Evidence(key=target),),
        )


@BOOK.rule(
    "OPT005",
    "The stored optimizer did not train",
    "Its iteration counter is 0 and its slots are zero although the run has trained: another "
    "optimizer object made the updates, and its state is lost.",
    "Pass the very optimizer object that applies the gradients to tf.train.Checkpoint.",
)
def unused(facts: Facts) -> Iterator[Outcome]:
    if not facts.updates.idle or not _run_moved(facts):
        return
    if facts.inventory.gradient_sums:
        return  # the first update is still to come
    counter = facts.updates.counts[0]
    trained = f"in {counted(facts.step.value, 'step')}" if facts.step.value else "in this run"
    yield Outcome(
        "inconsistent",
        f"the stored optimizer has made no update {trained}, so it is not the one that trained",
        verdict="approximate",
        evidence=(Evidence(key=counter.key, value=0),),
    )


def _run_moved(facts: Facts) -> bool:
    if facts.step.source in ("own", "graph", "run_record") and facts.step.value:
        return True
    return any(
        iterator.reading is not None and iterator.reading.started for iterator in facts.judged
    )


@BOOK.rule(
    "OPT006",
    "Adam's powers are not stored",
    "TF1's Adam corrects its moments by beta1_power and beta2_power, variables of its own. A Saver "
    "over chosen variables leaves them out; they start at beta again, and the first updates are "
    "too large.",
    "Save all variables of the optimizer: tf.train.Saver() without var_list.",
)
def powers_missing(facts: Facts) -> Iterator[Outcome]:
    if facts.adam_without_powers and not facts.is_damaged and not facts.at_start:
        yield Outcome(
            "partial",
            "Adam's slots are stored without beta1_power and beta2_power",
            "beta1_power",
            "approximate",
        )


@BOOK.rule(
    "OPT007",
    "Weights are trained by an optimizer that is not stored",
    "These weights have no slots where others have some, and they differ in another checkpoint of "
    "this directory: something trains them, and its state is not here.",
    "Add every optimizer of the program to tf.train.Checkpoint, a second one of a GAN or of "
    "embeddings among them.",
)
def trained_without_slots(facts: Facts) -> Iterator[Outcome]:
    names = facts.weights.changed
    if names and not facts.is_damaged:
        one = len(names) == 1
        yield Outcome(
            "missing",
            f"{listed(names)} {'has' if one else 'have'} no slots, and "
            f"{'its' if one else 'their'} values differ in {facts.weights.changed_in}: the optimizer that trains "
            f"{'it' if one else 'them'} is not stored",
            names[0],
            "approximate",
            (Evidence(key=names[0]),),
        )


@BOOK.condition(
    "COND122",
    "Weights without slots",
    "Where an optimizer keeps slots for some weights and none for others, those are frozen, or "
    "another optimizer trains them that is not stored. Other checkpoints of the directory would "
    "show whether they change.",
)
def frozen(facts: Facts) -> Iterator[str]:
    names = tuple(name for name in facts.weights.without_slots if name not in facts.weights.changed)
    if not names or not facts.inventory.true_slots:
        return
    if len(names) == 1:
        yield (
            f"The weight {names[0]}, which has no slots, is frozen, or trained by an optimizer "
            "that needs none: no optimizer that is not stored trains it."
        )
    else:
        yield (
            f"The {len(names)} weights without slots ({listed(names)}) are frozen, or trained by "
            "an optimizer that needs none: no optimizer that is not stored trains them."
        )


@BOOK.condition(
    "COND119",
    "Fewer updates than steps",
    "The optimizer made fewer updates than the run made steps: gradients are accumulated over "
    "several steps, or loss scaling skipped some. Neither sums nor a loss scale are stored.",
)
def fewer_updates(facts: Facts) -> Iterator[str]:
    step = facts.step
    if step.source != "own" or not step.value or facts.inventory.of_role("loss_scale"):
        return
    if facts.inventory.gradient_sums or step.starts_at or len(facts.updates.counts) != 1:
        return
    if any(it.agreement.in_step and it.agreement.witness is not None for it in facts.judged):
        return  # the batches are in step with the updates: the step counts something else
    made = facts.updates.counts[0].value
    if made and made < step.value:
        yield (
            f"The {step.value:,} steps with only {counted(made, 'optimizer update')} left nothing "
            "behind that is not stored: no partly accumulated gradients, no loss scale."
        )
