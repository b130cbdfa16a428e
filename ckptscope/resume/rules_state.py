"""Rules about files, weights, optimizer, step, random generators and the smaller parts of the
training state.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from ckptscope.checkpoint.model import Damage
from ckptscope.checkpoint.roles import Optimizer
from ckptscope.checkpoint.run_record import SUFFIX
from ckptscope.resume.facts import CHECKSUM_LIMIT_NBYTES, STEP_NAMES, Facts
from ckptscope.resume.model import Component, Evidence, Outcome, Rule

_STATELESS_UPDATES = frozenset(("ApplyGradientDescent", "ApplyProximalGradientDescent"))
# Hyper-parameters whose optimizer always has slots once it has made an update.
_NEEDS_SLOTS = frozenset(("beta_1", "beta_2", "rho"))


def _damage(facts: Facts, *kinds: str) -> Iterator[Outcome]:
    found = [damage for damage in facts.damage if damage.kind in kinds]
    for damage in found[:20]:
        yield Outcome(
            "damaged" if damage.fatal else "inconsistent",
            damage.problem,
            damage.key or os.path.basename(damage.file),
            "impossible" if damage.fatal else None,
            (_where(damage),),
        )
    if len(found) > 20:
        yield Outcome("damaged", f"and {len(found) - 20} more of the same kind", "", "impossible")


def _where(damage: Damage) -> Evidence:
    return Evidence(damage.file, damage.key, damage.offset)


def _files_complete(facts: Facts) -> Iterator[Outcome]:
    if facts.is_damaged:
        return
    what = (
        "all checksums match"
        if facts.checksums_read
        else "sizes and index are sound; checksums of the data were not read"
    )
    shards = facts.checkpoint.num_shards
    yield Outcome("saved", f"{shards} data file{'s' if shards != 1 else ''} complete, {what}")


def _meta_damaged(facts: Facts) -> Iterator[Outcome]:
    if facts.meta_problem is not None:
        yield Outcome(
            "inconsistent",
            facts.meta_problem,
            evidence=(Evidence(f"{facts.location.prefix}.meta"),),
        )


def _state_file(facts: Facts) -> Iterator[Outcome]:
    for note in facts.location.notes:
        yield Outcome("inconsistent", note, "checkpoint")


def _weights(facts: Facts) -> Iterator[Outcome]:
    weights = facts.inventory.of_role("weight", "ema")
    if weights:
        total = sum(variable.entry.num_elements for variable in facts.inventory.of_role("weight"))
        yield Outcome(
            "saved", f"{len(facts.inventory.of_role('weight'))} variables with {total:,} parameters"
        )


def _no_weights(facts: Facts) -> Iterator[Outcome]:
    if not facts.inventory.of_role("weight", "ema"):
        yield Outcome(
            "missing",
            "no model weights are stored, so there is nothing that training could go on from",
            verdict="impossible",
        )


def _weights_of_meta(facts: Facts) -> Iterator[Outcome]:
    """Trainable variables of the graph that the checkpoint does not hold."""
    if facts.meta is None:
        return
    missing = sorted(name for name in facts.meta.trainable if name not in facts.checkpoint.entries)
    if missing and facts.inventory.of_role("weight", "ema") and not facts.is_damaged:
        yield Outcome(
            "missing",
            f"{len(missing)} of {len(facts.meta.trainable)} trainable variables of the "
            f"graph are not stored: {', '.join(missing[:3])}",
            verdict="impossible",
            evidence=(Evidence(facts.meta.path),),
        )


def _variables_of_meta(facts: Facts) -> dict[Component, list[str]]:
    """Saved-by-default variables of the graph that are not stored, by what they are."""
    if facts.meta is None or facts.is_damaged or not facts.inventory.of_role("weight", "ema"):
        return {}
    slots = {
        re.sub(r"/part_\d+", "", slot)
        for update in facts.meta.optimizer_ops
        for slot in update.slots
    }
    rates = {name for update in facts.meta.optimizer_ops for name in update.rate_from}
    found: dict[Component, list[str]] = {}
    for name in sorted(facts.meta.variables - facts.meta.trainable - slots):
        if (
            name in facts.checkpoint.entries
            or name == facts.meta.global_step
            or re.search(r"(^|/)beta[12]_power(_\d+)?$", name)
        ):
            continue
        kind: Component = (
            "ema"
            if "ExponentialMovingAverage" in name
            else "lr_schedule"
            if name in rates
            else "loss_scale"
            if "loss_scale" in name
            else "weights"
        )
        found.setdefault(kind, []).append(name)
    return found


def _untrained_missing(facts: Facts) -> Iterator[Outcome]:
    missing = _variables_of_meta(facts).get("weights")
    if missing and facts.meta is not None:
        yield Outcome(
            "partial",
            f"{len(missing)} variables of the graph are not stored, {missing[0]} first: "
            "statistics of normalisation and the like start anew",
            missing[0],
            "approximate",
            (Evidence(facts.meta.path),),
        )


def _averages_missing(facts: Facts) -> Iterator[Outcome]:
    missing = _variables_of_meta(facts).get("ema")
    if missing and facts.meta is not None:
        yield Outcome(
            "missing",
            f"the graph keeps averages of {len(missing)} variables that are not stored",
            missing[0],
            "approximate",
            (Evidence(facts.meta.path),),
        )


def _schedule_missing(facts: Facts) -> Iterator[Outcome]:
    if facts.meta is None or facts.is_damaged or not facts.inventory.of_role("weight", "ema"):
        return
    missing = sorted(
        {
            name
            for update in facts.meta.optimizer_ops
            for name in update.rate_from
            if name not in facts.checkpoint.entries
        }
    )
    if missing:
        yield Outcome(
            "missing",
            f"the learning rate is computed from {', '.join(missing)}, which is not stored",
            missing[0],
            "approximate",
            (Evidence(facts.meta.path),),
        )


# ------------------------------------------------------------ optimizer


def _optimizer_saved(facts: Facts) -> Iterator[Outcome]:
    slots = [
        variable
        for variable in facts.inventory.of_role("optimizer_slot")
        if variable.slot_name or variable.slot_of
    ]
    if not slots or any(_optimizer_gaps(facts)) or any(_optimizer_unused(facts)):
        return
    names = ", ".join(dict.fromkeys(variable.slot_name for variable in slots if variable.slot_name))
    yield Outcome(
        "saved",
        f"{len(slots)} slot variables ({names}), complete"
        if names
        else f"{len(slots)} slot variables",
    )


def _is_stateless(facts: Facts) -> str | None:
    """Why no slots are needed, None if that cannot be shown."""
    if facts.inventory.of_role("optimizer_slot"):
        return None
    if facts.meta is not None and facts.meta.optimizer_ops:
        ops = {update.op for update in facts.meta.optimizer_ops}
        return (
            f"the graph updates its variables with {', '.join(sorted(ops))}, which keeps no slots"
            if ops <= _STATELESS_UPDATES
            else None
        )
    inner = [optimizer for optimizer in facts.inventory.optimizers if optimizer.wraps is None]
    if not inner or any(_NEEDS_SLOTS & set(optimizer.hyper) for optimizer in inner):
        return None
    if any(_momentum(facts, optimizer) for optimizer in inner):
        return None
    if facts.step.value == 0 or all(
        _iterations(facts, optimizer) is not None for optimizer in inner
    ):
        return "the optimizer is stored and has no slots, as plain SGD"
    return None


def _momentum(facts: Facts, optimizer: Optimizer) -> bool:
    """Older Keras stores SGD's momentum as a hyper-parameter; if it is not zero there must be
    slots.
    """
    if "momentum" not in optimizer.hyper or facts.is_damaged:
        return False
    key = f"{optimizer.path}/momentum/.ATTRIBUTES/VARIABLE_VALUE"
    return (
        key in facts.checkpoint.entries
        and facts.checkpoint.values(key, 1) != [0.0]
        and (facts.step.value or 1) > 0
    )


def _iterations(facts: Facts, optimizer: Optimizer) -> int | None:
    if optimizer.iterations is None:
        return None
    return facts.counters.get(optimizer.iterations.partition("/.ATTRIBUTES/")[0])


def _optimizer_stateless(facts: Facts) -> Iterator[Outcome]:
    reason = _is_stateless(facts)
    if reason is not None:
        yield Outcome("not_needed", reason)


def _optimizer_missing(facts: Facts) -> Iterator[Outcome]:
    if (
        facts.is_damaged
        or facts.inventory.of_role("optimizer_slot")
        or _is_stateless(facts) is not None
        or not facts.inventory.of_role("weight", "ema")
    ):
        return
    if facts.step.value == 0 and facts.step.source == "own":
        yield Outcome("not_needed", "no step was made yet, so slots have their initial values")
        return
    wanted = (
        [update for update in facts.meta.optimizer_ops if update.slots]
        if facts.meta is not None
        else []
    )
    if facts.inventory.optimizers:
        names = ", ".join(
            sorted(
                _NEEDS_SLOTS
                & {name for optimizer in facts.inventory.optimizers for name in optimizer.hyper}
            )
        )
        why = f"the optimizer is stored without slots, although it has {names or 'momentum'}"
    elif wanted:
        why = f"the graph trains with {wanted[0].op}, but its slots are not stored"
    else:
        why = "no optimizer is stored: slots, iterations and learning rate start anew"
    yield Outcome("missing", why, verdict="approximate")


def _optimizer_gaps(facts: Facts) -> Iterator[Outcome]:
    """Variables that have some slots of their optimizer, not all; slots of the graph that are
    not stored.
    """
    gaps = facts.inventory.slot_gaps
    wanted = [
        (update.variable, slot)
        for update in (facts.meta.optimizer_ops if facts.meta is not None else ())
        for slot in update.slots
        if "/part_" not in slot and slot not in facts.checkpoint.entries
    ]
    if wanted and facts.inventory.of_role("optimizer_slot"):
        target, slot = wanted[0]
        message = (
            f"{len(wanted)} slots of the graph's optimizer are not stored, {slot} of {target} first"
        )
        yield Outcome("partial", message, verdict="approximate")
    elif gaps:
        target, missing = gaps[0]
        message = f"{len(gaps)} variables lack slots, {', '.join(missing)} of {target} first"
        yield Outcome("partial", message, verdict="approximate", evidence=(Evidence(key=target),))


def _optimizer_unused(facts: Facts) -> Iterator[Outcome]:
    """An optimizer that made no update although the run made steps is not the one that trained."""
    if facts.step.source != "own" or not facts.step.value:
        return
    counted = {
        optimizer.path: _iterations(facts, optimizer)
        for optimizer in facts.inventory.optimizers
        if optimizer.wraps is None
    }
    if (
        counted
        and all(value == 0 for value in counted.values())
        and not facts.inventory.of_role("optimizer_slot")
    ):
        yield Outcome(
            "inconsistent",
            f"the stored optimizer made no update in {facts.step.value} steps, so it is "
            "not the one that trained (or training had not reached it)",
            verdict="approximate",
            evidence=(Evidence(key=next(iter(counted)), value=0),),
        )


# ------------------------------------------------------------ step


def _step_saved(facts: Facts) -> Iterator[Outcome]:
    if facts.step.value is not None and facts.step.source == "own":
        yield Outcome(
            "saved",
            f"the run is at step {facts.step.value:,}",
            evidence=(Evidence(key=facts.step.key, value=facts.step.value),),
        )


def _step_from_optimizer(facts: Facts) -> Iterator[Outcome]:
    if facts.step.source == "optimizer" and facts.step.value is not None:
        yield Outcome(
            "partial",
            "the run's own step counter is not stored; the optimizer has made "
            f"{facts.step.value:,} updates",
            evidence=(Evidence(key=facts.step.key, value=facts.step.value),),
        )


def _step_ambiguous(facts: Facts) -> Iterator[Outcome]:
    if facts.step.value is None and facts.step.candidates:
        listed = ", ".join(
            f"{key.partition('/.ATTRIBUTES/')[0]} = {value}"
            for key, value in facts.step.candidates.items()
        )
        yield Outcome(
            "unknown" if facts.step.source == "own" else "partial",
            f"several step counters differ: {listed}",
        )


def _step_missing(facts: Facts) -> Iterator[Outcome]:
    if not facts.step.candidates and not facts.is_damaged:
        yield Outcome(
            "missing",
            "no step counter is stored: schedules, logs and file names start at 0 again",
            verdict="approximate",
        )


# ------------------------------------------------------------ the rest


def _generators(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("rng")
    if found:
        yield Outcome(
            "saved",
            f"{len(found)} random generator{'s' if len(found) > 1 else ''} stored",
            evidence=tuple(Evidence(key=item.key) for item in found[:5]),
        )


def _random_ops(facts: Facts) -> Iterator[Outcome]:
    if facts.meta is None or not facts.meta.random_ops:
        return
    names = [name for name, _ in facts.meta.random_ops]
    yield Outcome(
        "missing",
        "the training graph draws random numbers in "
        f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''}; the state of these ops "
        "is in no checkpoint, "
        "so a resumed run draws others (dropout, noise, augmentation)",
        names[0],
        "approximate",
        (Evidence(facts.meta.path, value=facts.meta.random_ops[0][1]),),
    )


def _random_input_ops(facts: Facts) -> Iterator[Outcome]:
    pipeline = facts.pipeline
    if pipeline is None or not pipeline.random_ops:
        return
    source = facts.meta.path if facts.meta is not None else f"{facts.location.prefix}{SUFFIX}"
    if facts.step.value == 0 and facts.step.source == "own":
        return
    yield Outcome(
        "missing",
        "functions of the input pipeline draw random numbers "
        f"({', '.join(sorted(set(pipeline.random_ops)))}); their state is in no checkpoint",
        verdict="approximate",
        evidence=(Evidence(source, value=pipeline.random_ops[0]),),
    )


def _no_random_ops(facts: Facts) -> Iterator[Outcome]:
    if (
        facts.meta is not None
        and facts.meta.has_train_op
        and not facts.meta.random_ops
        and not (facts.pipeline and facts.pipeline.random_ops)
    ):
        yield Outcome(
            "not_needed",
            "the stored graph shows no random op that training reaches",
            evidence=(Evidence(facts.meta.path),),
        )


def _loss_scale(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("loss_scale")
    if found:
        yield Outcome(
            "saved",
            f"{len(found)} variables of loss scaling stored",
            evidence=tuple(Evidence(key=item.key) for item in found[:3]),
        )


def _loss_scale_missing(facts: Facts) -> Iterator[Outcome]:
    wrappers = [
        optimizer
        for optimizer in facts.inventory.optimizers
        if optimizer.wraps is not None and not optimizer.scale_is_fixed
    ]
    if wrappers and not facts.inventory.of_role("loss_scale"):
        yield Outcome(
            "missing",
            f"{wrappers[0].path} scales the loss, but its scale is not stored",
            wrappers[0].path,
            "approximate",
        )


def _averages(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("ema")
    if found and facts.inventory.of_role("weight"):
        yield Outcome("saved", f"{len(found)} averaged weights stored")
    elif found:
        yield Outcome(
            "partial",
            "averaged weights are stored without the weights they average",
            verdict="approximate",
        )


def _metrics(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("metric")
    if found:
        yield Outcome("saved", f"{len(found)} variables of running metrics stored")


def _learning_rate(facts: Facts) -> Iterator[Outcome]:
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


_KEEP_ALL = "tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, iterator=iterator)"
_ADD_OPTIMIZER = {
    "": f"Save the optimizer with the model: {_KEEP_ALL}.",
    "saver": "Let tf.train.Saver() save all variables (the default), not only the trainable ones.",
    "keras": "Use tf.keras.callbacks.ModelCheckpoint with save_weights_only=False, or save the "
    "optimizer with tf.train.Checkpoint(model=model, optimizer=model.optimizer).",
    "saved_model": "A SavedModel is for serving; to train on, save with "
    "tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, iterator=iterator).",
}

STATE_RULES: tuple[Rule, ...] = (
    Rule(
        code="FILE001",
        component="files",
        title="Files are complete",
        check=_files_complete,
        explanation="Every tensor that the index lists lies within its data file, and the checksums "
        "agree. Checksums of the index are always verified, those of the data "
        f"up to {CHECKSUM_LIMIT_NBYTES >> 30} GiB or with --verify.",
    ),
    Rule(
        code="FILE002",
        component="files",
        title="A data file is missing",
        check=lambda f: _damage(f, "missing_shard"),
        explanation="The index names a data file that is not there. TensorFlow raises NotFoundError "
        "when it restores a tensor from it.",
        remedies={
            "": "Copy the missing file back from where the checkpoint was written, or resume "
            "from another checkpoint."
        },
    ),
    Rule(
        code="FILE003",
        component="files",
        title="A data file is too short",
        check=lambda f: _damage(f, "short_shard"),
        explanation="A tensor reaches past the end of its data file: the save did not finish, the "
        "disk was full, or a copy was cut off.",
        remedies={"": "Resume from another checkpoint; copy with a tool that verifies sizes."},
    ),
    Rule(
        code="FILE004",
        component="files",
        title="A checksum does not match",
        check=lambda f: _damage(f, "checksum"),
        explanation="The stored bytes of a tensor do not have the checksum that was stored with "
        "them. TensorFlow raises DataLossError when it restores it.",
        remedies={
            "": "Resume from another checkpoint; check disk and memory of the machine that "
            "wrote or copied this one."
        },
    ),
    Rule(
        code="FILE005",
        component="files",
        title="An entry contradicts itself",
        check=lambda f: _damage(f, "malformed", "index"),
        explanation="Shape, dtype and stored size of an entry do not fit together, or the object "
        "graph cannot be parsed.",
        remedies={"": "Resume from another checkpoint."},
    ),
    Rule(
        code="FILE006",
        component="files",
        title="Bytes that belong to no tensor",
        check=lambda f: _damage(f, "unclaimed"),
        explanation="The data file is longer than its index says. Restoring ignores the rest; it "
        "does no harm.",
    ),
    Rule(
        code="FILE007",
        component="files",
        title="The stored graph cannot be read",
        check=_meta_damaged,
        explanation="The .meta file beside the checkpoint is damaged. Restoring variables does not "
        "need it, but import_meta_graph does, and nothing can be said from it here.",
    ),
    Rule(
        code="FILE008",
        component="files",
        title="The state file is out of date",
        check=_state_file,
        explanation="The text file `checkpoint` names a checkpoint that is elsewhere, missing, or "
        "older than the newest one. tf.train.latest_checkpoint follows it blindly.",
        remedies={"": "Restore by prefix, or correct model_checkpoint_path in the state file."},
    ),
    Rule(
        code="VAR001",
        component="weights",
        title="Weights are stored",
        check=_weights,
        explanation="Variables that are neither slots, counters, generators nor iterators.",
    ),
    Rule(
        code="VAR002",
        component="weights",
        title="No weights are stored",
        check=_no_weights,
        explanation="A checkpoint without model weights cannot be trained on, whatever else it "
        "holds.",
        remedies={
            "": "Give the model's own checkpoint, or save the model with it.",
            "estimator": "This is the input pipeline's checkpoint; point at model.ckpt-N beside it.",
        },
    ),
    Rule(
        code="VAR003",
        component="weights",
        title="Weights of the graph are missing",
        check=_weights_of_meta,
        explanation="The stored graph has trainable variables that the checkpoint does not hold; "
        "restoring raises NotFoundError.",
        remedies={"": "Save with a Saver over all variables."},
    ),
    Rule(
        code="VAR004",
        component="weights",
        title="Other variables of the graph are missing",
        check=_untrained_missing,
        explanation="The stored graph has variables beside the trainable ones (moving means and "
        "variances of normalisation, say) that the checkpoint does not hold; they start "
        "at their initial values.",
        remedies={
            "": "Save all variables: tf.train.Saver() without var_list, not "
            "Saver(tf.trainable_variables())."
        },
    ),
    Rule(
        code="EMA002",
        component="ema",
        title="Averaged weights are missing",
        check=_averages_missing,
        explanation="The stored graph keeps exponential moving averages that the checkpoint does "
        "not hold; they start anew from the present weights or from zero.",
        remedies={"": "Save all variables: tf.train.Saver() without var_list."},
    ),
    Rule(
        code="LR002",
        component="lr_schedule",
        title="The learning rate's source is missing",
        check=_schedule_missing,
        explanation="The stored graph computes the learning rate from a variable (a step counter, a "
        "rate that callbacks change) that the checkpoint does not hold, so the schedule "
        "starts anew.",
        remedies={"": "Save that variable: tf.train.Saver() without var_list."},
    ),
    Rule(
        code="OPT001",
        component="optimizer",
        title="Optimizer slots are stored",
        check=_optimizer_saved,
        explanation="Momentum, moments and other slots are stored for each variable that has any.",
    ),
    Rule(
        code="OPT002",
        component="optimizer",
        title="The optimizer needs no slots",
        check=_optimizer_stateless,
        explanation="An optimizer that made updates and has no slots is plain gradient descent; the "
        "stored graph may say so, too.",
    ),
    Rule(
        code="OPT003",
        component="optimizer",
        title="Optimizer state is missing",
        check=_optimizer_missing,
        remedies=_ADD_OPTIMIZER,
        explanation="What the optimizer has accumulated (momentum, moments, iterations) is not "
        "stored and starts at zero. Absence counts as loss unless the files prove that "
        "nothing was needed.",
    ),
    Rule(
        code="OPT004",
        component="optimizer",
        title="Some slots are missing",
        check=_optimizer_gaps,
        remedies=_ADD_OPTIMIZER,
        explanation="Some variables have slots that others of the same optimizer lack, or slots "
        "that the stored graph updates are not stored.",
    ),
    Rule(
        code="OPT005",
        component="optimizer",
        title="The stored optimizer did not train",
        check=_optimizer_unused,
        explanation="Its iteration counter is 0 although the run made steps: another optimizer "
        "object trained, and its state is lost.",
        remedies={
            "": "Pass the very optimizer object that applies the gradients to tf.train.Checkpoint."
        },
    ),
    Rule(
        code="STEP001",
        component="step",
        title="The step is stored",
        check=_step_saved,
        explanation="An integer scalar at the root of the object graph, or in the GLOBAL_STEP "
        f"collection, under a known name: {', '.join(STEP_NAMES)}.",
    ),
    Rule(
        code="STEP002",
        component="step",
        title="Only the optimizer's iterations are stored",
        check=_step_from_optimizer,
        explanation="The loop's own counter is not in the checkpoint. The optimizer's iterations "
        "stand in for it, which differs where gradients are accumulated or several "
        "optimizers take turns.",
        remedies={
            "": "Add step=tf.Variable(0, dtype=tf.int64) to tf.train.Checkpoint and count it in "
            "the loop."
        },
    ),
    Rule(
        code="STEP003",
        component="step",
        title="No step is stored",
        check=_step_missing,
        explanation="Neither a step counter nor optimizer iterations are stored.",
        remedies={
            "": "Add step=tf.Variable(0, dtype=tf.int64) to tf.train.Checkpoint and count it in "
            "the loop.",
            "saver": "Create tf.train.get_or_create_global_step() and let the Saver save it.",
        },
    ),
    Rule(
        code="STEP004",
        component="step",
        title="Step counters differ",
        check=_step_ambiguous,
        explanation="Several counters could be the run's step and have different values, so none is "
        "taken.",
    ),
    Rule(
        code="RNG001",
        component="rng",
        title="Random generators are stored",
        check=_generators,
        explanation="tf.random.Generator objects (and seed generators) that were tracked; they "
        "continue where they stood.",
    ),
    Rule(
        code="RNG002",
        component="rng",
        title="Random ops without stored state",
        check=_random_ops,
        explanation="Random ops of TF1 graphs (dropout, noise) keep a counter in the process that "
        "is in no checkpoint: a resumed run draws from the start of the sequence, with "
        "or without seeds.",
        remedies={
            "": "Use stateless random ops keyed by the global step (tf.random.stateless_uniform "
            "with seed=[s, step]).",
            "estimator": "Use tf.random.stateless_* keyed by tf.train.get_global_step() for dropout "
            "and "
            "noise.",
        },
    ),
    Rule(
        code="RNG003",
        component="rng",
        title="The input pipeline draws random numbers",
        check=_random_input_ops,
        explanation="Random ops inside Dataset.map and the like keep their state in the process. "
        "Saving such an iterator is refused unless the external-state policy is WARN or "
        "IGNORE.",
        remedies={
            "": "Use stateless random ops in map, with a seed that comes with the element (zip "
            "the dataset with tf.data.Dataset.random(seed=…) or counter())."
        },
    ),
    Rule(
        code="RNG004",
        component="rng",
        title="Training draws no random numbers",
        check=_no_random_ops,
        explanation="No random op is reached by the training op of the stored graph, other than "
        "through initializers.",
    ),
    Rule(
        code="LR001",
        component="lr_schedule",
        title="The learning rate is stored",
        check=_learning_rate,
        explanation="The learning-rate variable is stored. Schedules that are functions of the step "
        "continue with the step.",
    ),
    Rule(
        code="SCALE001",
        component="loss_scale",
        title="The loss scale is stored",
        check=_loss_scale,
        explanation="Dynamic loss scaling keeps its scale and the number of good steps; both are "
        "stored.",
    ),
    Rule(
        code="SCALE002",
        component="loss_scale",
        title="The loss scale is missing",
        check=_loss_scale_missing,
        explanation="An optimizer for loss scaling is stored without its scale: scaling starts at "
        "its initial value and some steps will be skipped.",
        remedies={"": "Save the LossScaleOptimizer itself, not only its inner optimizer."},
    ),
    Rule(
        code="EMA001",
        component="ema",
        title="Averaged weights",
        check=_averages,
        explanation="Exponential moving averages of the weights are stored beside the weights. "
        "Without the weights, training would go on from the averages.",
    ),
    Rule(
        code="METRIC001",
        component="metrics",
        title="Running metrics are stored",
        check=_metrics,
        explanation="Totals and counts of metrics in the middle of an epoch.",
    ),
)
