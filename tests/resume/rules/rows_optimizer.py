"""Rows of the optimizer: its slots, and which of the stored ones has trained."""

from dataclasses import replace

from ckptscope.checkpoint.graph_updates import OptimizerOp
from ckptscope.checkpoint.inventory import Optimizer
from ckptscope.checkpoint.model import Damage
from ckptscope.resume.agreement import Agreement
from ckptscope.resume.facts import Facts, IteratorFact, StepFact, UpdateFact, WeightFact, Witness
from ckptscope.resume.model import Evidence
from tests.resume.rules.table import (
    ADAM,
    BIAS,
    KERNEL,
    MOMENTUM,
    SGD,
    Row,
    Says,
    graph,
    iterator,
    own,
    stored,
    variable,
)

META = "run/ckpt-7.meta"
KEEP = "tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, iterator=iterator)"
SAVE = f"Save the optimizer with the model: {KEEP}."
LET_SAVER = "Let tf.train.Saver() save all variables (the default), not only the trainable ones."
DAMAGE = (Damage("checksum", "run/ckpt-7.data-00000-of-00001", "kernel", 0, "it differs"),)

VELOCITY = variable("opt/v/kernel", "optimizer_slot", "kernel", "v")
NAMELESS = variable("opt/s/kernel", "optimizer_slot", "kernel")
SUM = variable("sums/kernel", "optimizer_slot")
TRAINED = UpdateFact((Witness("optimizer/iterations", 7, "optimizer/iterations"),))
IDLE = UpdateFact((Witness("optimizer/iterations", 0, "optimizer/iterations"),), idle=True)
BARE = stored(KERNEL, BIAS)
PLAIN = stored(KERNEL, BIAS, optimizers=(SGD,), updates=TRAINED, step=own(7))
WHOLE = stored(KERNEL, MOMENTUM, VELOCITY, optimizers=(ADAM,), updates=TRAINED, step=own(7))
WRAPPER = Optimizer("outer", None, (), None, (), "optimizer")


def trains(op: str, *slots: str, variable: str = "kernel") -> OptimizerOp:
    return OptimizerOp(op, variable, slots)


def by_graph(*updates: OptimizerOp, facts: Facts = BARE, **more: object) -> Facts:
    """The graph makes these updates."""
    return replace(facts, meta=graph(optimizer_ops=updates, has_train_op=True, **more))


def changed_by_hand(*names: str) -> Facts:
    return by_graph(state_changed=frozenset(names))


def lost(why: str, remedy: str = SAVE) -> Says:
    return Says("missing", why, "approximate", remedy=remedy)


SLOTS = (MOMENTUM, VELOCITY)
BOTH = replace(ADAM, path="opt", trainable=("kernel", "bias"))
NOT_NEEDED = Says("not_needed", "the optimizer is stored and has no slots, as plain SGD")
NO_STEP_YET = Says("not_needed", "no step was made yet, so slots have their initial values")
ADAMS = ("kernel/Adam", "kernel/Adam_1")
STORED_ADAMS = [variable(name, "optimizer_slot", "kernel", name[7:]) for name in ADAMS]
MOVED = replace(WHOLE, updates=IDLE)


def unused(trained: str) -> Says:
    return Says(
        "inconsistent",
        f"the stored optimizer has made no update {trained}, so it is not the one that trained",
        "approximate",
        "",
        (Evidence(key="optimizer/iterations", value=0),),
        "Pass the very optimizer object that applies the gradients to tf.train.Checkpoint.",
    )


def other_weights(**known: object) -> Facts:
    """Some weights have no slots."""
    return replace(WHOLE, weights=WeightFact(**known))  # type: ignore[arg-type]


CHANGED = other_weights(without_slots=("bias",), changed=("bias",), changed_in="ckpt-9")
ADD_EVERY = (
    "Add every optimizer of the program to tf.train.Checkpoint, a second one of a GAN or of "
    "embeddings among them."
)


def accumulates(made: int, step: StepFact) -> Facts:
    count = Witness("optimizer/iterations", made, "optimizer/iterations")
    return replace(PLAIN, step=step, updates=UpdateFact((count,)))


ROWS = [
    Row("OPT001", "complete", WHOLE, (Says("saved", "2 slot variables (m, v), complete"),)),
    Row("OPT001", "without names", stored(KERNEL, NAMELESS), (Says("saved", "1 slot variable"),)),
    Row("OPT001", "none", PLAIN),
    Row("OPT001", "sums of gradients only", stored(KERNEL, SUM)),
    Row(
        "OPT001",
        "some are missing",
        replace(WHOLE, inventory=stored(KERNEL, BIAS, *SLOTS, optimizers=(BOTH,)).inventory),
    ),
    Row("OPT001", "the optimizer was never used", MOVED),
    Row("OPT001", "without the powers", replace(WHOLE, adam_without_powers=True)),
    Row("OPT002", "plain descent", PLAIN, (NOT_NEEDED,)),
    Row(
        "OPT002",
        "not begun, its updates not counted",
        replace(PLAIN, updates=UpdateFact(), step=own(0)),
        (NOT_NEEDED,),
    ),
    Row("OPT002", "nobody counts its updates", replace(PLAIN, updates=UpdateFact())),
    Row("OPT002", "it has momentum", replace(PLAIN, momentum=True)),
    Row(
        "OPT002",
        "momentum, and no step yet",
        replace(PLAIN, momentum=True, step=own(0)),
        (NOT_NEEDED,),
    ),
    Row(
        "OPT002",
        "it has betas",
        replace(PLAIN, inventory=stored(KERNEL, optimizers=(ADAM,)).inventory),
    ),
    Row("OPT002", "only a wrapper is stored", stored(KERNEL, optimizers=(WRAPPER,))),
    Row(
        "OPT002",
        "the graph says so",
        by_graph(trains("ApplyGradientDescent")),
        (
            Says(
                "not_needed",
                "the graph updates with ApplyGradientDescent, which keeps no slots",
            ),
        ),
    ),
    Row(
        "OPT002",
        "another update has slots",
        by_graph(trains("ApplyGradientDescent"), trains("ApplyAdam", *ADAMS)),
    ),
    Row(
        "OPT002",
        "updates made by hand",
        changed_by_hand("kernel", "bias"),
        (Says("not_needed", "all that the training graph changes is stored"),),
    ),
    Row(
        "OPT002",
        "updates made by hand, stored under another key",
        by_graph(state_changed=frozenset(("w",)), saved={"kernel": "w"}),
        (Says("not_needed", "all that the training graph changes is stored"),),
    ),
    Row(
        "OPT002",
        "updates made by hand, another Saver wrote them",
        by_graph(state_changed=frozenset(("kernel",)), saved={}),
        (Says("not_needed", "all that the training graph changes is stored"),),
    ),
    Row(
        "OPT002",
        "nothing in the graph trains",
        replace(BARE, meta=graph(state_changed=frozenset(("kernel",)))),
    ),
    Row("OPT002", "the graph changes nothing", by_graph()),
    Row(
        "OPT002",
        "plain descent in a wrapper",
        replace(PLAIN, inventory=stored(KERNEL, optimizers=(WRAPPER, SGD)).inventory),
        (NOT_NEEDED,),
    ),
    Row("OPT002", "one of them is not stored", changed_by_hand("kernel", "trace")),
    Row("OPT002", "slots are stored", WHOLE),
    Row(
        "OPT003",
        "no optimizer",
        BARE,
        (lost("no optimizer is stored: slots, iterations and learning rate start over"),),
    ),
    Row(
        "OPT003",
        "of a SavedModel",
        replace(BARE, framework="saved_model"),
        (
            lost(
                "no optimizer is stored: slots, iterations and learning rate start over",
                f"A SavedModel is for serving; to train on, save with {KEEP}.",
            ),
        ),
    ),
    Row(
        "OPT003",
        "sums of gradients are not an optimizer",
        stored(KERNEL, SUM),
        (lost("no optimizer is stored: slots, iterations and learning rate start over"),),
    ),
    Row(
        "OPT003",
        "it needs slots",
        stored(KERNEL, optimizers=(ADAM,), step=own(7)),
        (lost("the optimizer is stored without slots, although it has beta_1"),),
    ),
    Row(
        "OPT003",
        "it has momentum",
        replace(PLAIN, momentum=True),
        (lost("the optimizer is stored without slots, although it has momentum"),),
    ),
    Row(
        "OPT003",
        "nobody counts its updates",
        replace(PLAIN, updates=UpdateFact()),
        (lost("the optimizer is stored without slots, and nothing shows that it needs none"),),
    ),
    Row(
        "OPT003",
        "the graph has slots",
        replace(by_graph(trains("ApplyAdam", *ADAMS)), framework="saver"),
        (lost("the graph trains with ApplyAdam, but its slots are not stored", LET_SAVER),),
    ),
    Row(
        "OPT003",
        "one of the graph's updates has slots",
        by_graph(trains("ApplyGradientDescent"), trains("ApplyAdam", *ADAMS)),
        (lost("the graph trains with ApplyAdam, but its slots are not stored"),),
    ),
    Row("OPT003", "no step yet", replace(BARE, step=own(0)), (NO_STEP_YET,)),
    Row("OPT003", "slots are stored", WHOLE),
    Row("OPT003", "none are needed", PLAIN),
    Row("OPT003", "damaged", replace(BARE, damage=DAMAGE)),
    Row("OPT003", "no weights", stored()),
    Row(
        "OPT004",
        "a slot of the graph",
        by_graph(
            trains("ApplyAdam", "opt/m/kernel", "kernel/Adam_1"), facts=stored(KERNEL, MOMENTUM)
        ),
        (
            Says(
                "partial",
                "1 slot of the graph's optimizer is not stored: kernel/Adam_1 of kernel",
                "approximate",
                "",
                (Evidence(META, value="kernel/Adam_1"),),
                SAVE,
            ),
        ),
    ),
    Row(
        "OPT004",
        "slots of the graph",
        by_graph(trains("ApplyAdam", *ADAMS), facts=stored(KERNEL, MOMENTUM)),
        (
            Says(
                "partial",
                "2 slots of the graph's optimizer are not stored: kernel/Adam of kernel and 1 more",
                "approximate",
                "",
                (Evidence(META, value="kernel/Adam"),),
                SAVE,
            ),
        ),
    ),
    Row("OPT004", "no slot is stored at all", by_graph(trains("ApplyAdam", *ADAMS))),
    Row(
        "OPT004",
        "stored under another key",
        by_graph(
            trains("ApplyMomentum", "kernel/Momentum"),
            facts=stored(KERNEL, MOMENTUM),
            saved={"opt/m/kernel": "kernel/Momentum", "kernel": "kernel"},
        ),
    ),
    Row(
        "OPT004",
        "a part of a partitioned slot",
        by_graph(trains("ApplyMomentum", "k/part_0/Momentum"), facts=stored(KERNEL, MOMENTUM)),
    ),
    Row(
        "OPT004",
        "all slots of the graph",
        by_graph(trains("ApplyAdam", *ADAMS), facts=stored(KERNEL, *STORED_ADAMS)),
    ),
    Row(
        "OPT004",
        "a variable lacks one of a pair",
        stored(
            KERNEL,
            MOMENTUM,
            VELOCITY,
            optimizers=(replace(ADAM, path="opt", trainable=("kernel", "bias")),),
        ),
        (
            Says(
                "partial",
                "1 variable lacks slots that others have; bias has no m, v",
                "approximate",
                "",
                (Evidence(key="bias"),),
                SAVE,
            ),
        ),
    ),
    Row(
        "OPT004",
        "several variables lack them",
        stored(
            KERNEL,
            MOMENTUM,
            VELOCITY,
            optimizers=(replace(ADAM, path="opt", trainable=("bias", "gamma")),),
        ),
        (
            Says(
                "partial",
                "2 variables lack slots that others have; bias has no m, v",
                "approximate",
                "",
                (Evidence(key="bias"),),
                SAVE,
            ),
        ),
    ),
    Row(
        "OPT004",
        "all that it trains have them",
        stored(
            KERNEL,
            MOMENTUM,
            VELOCITY,
            optimizers=(replace(ADAM, path="opt", trainable=("kernel",)),),
        ),
    ),
    Row("OPT005", "the run moved", MOVED, (unused("in 7 steps"),)),
    Row(
        "OPT005",
        "only the iterator moved",
        replace(MOVED, step=StepFact(), training=iterator()),
        (unused("in this run"),),
    ),
    Row("OPT005", "neither moved", replace(MOVED, step=StepFact(), training=iterator(False))),
    Row(
        "OPT005",
        "the step is its own count",
        replace(MOVED, step=StepFact(7, "optimizer/iterations", "optimizer", {}, "alone")),
    ),
    Row("OPT005", "at the start", replace(MOVED, step=own(0))),
    Row(
        "OPT005",
        "an iterator that could not be decoded",
        replace(MOVED, step=StepFact(), training=IteratorFact("iterator", error="damaged")),
    ),
    Row("OPT005", "it made updates", WHOLE),
    Row(
        "OPT005",
        "its first update is to come",
        replace(MOVED, inventory=stored(KERNEL, MOMENTUM, SUM).inventory),
    ),
    Row(
        "OPT006",
        "left out",
        replace(WHOLE, adam_without_powers=True),
        (
            Says(
                "partial",
                "Adam's slots are stored without beta1_power and beta2_power",
                "approximate",
                "beta1_power",
                (),
                "Save all variables of the optimizer: tf.train.Saver() without var_list.",
            ),
        ),
    ),
    Row("OPT006", "stored", WHOLE),
    Row("OPT006", "at the start", replace(WHOLE, adam_without_powers=True, step=own(0))),
    Row("OPT006", "damaged", replace(WHOLE, adam_without_powers=True, damage=DAMAGE)),
    Row(
        "OPT007",
        "one changed",
        CHANGED,
        (
            Says(
                "missing",
                "bias has no slots, and its values differ in ckpt-9: the optimizer that trains it "
                "is not stored",
                "approximate",
                "bias",
                (Evidence(key="bias"),),
                ADD_EVERY,
            ),
        ),
    ),
    Row(
        "OPT007",
        "several changed",
        other_weights(changed=("bias", "gamma"), changed_in="ckpt-9"),
        (
            Says(
                "missing",
                "bias, gamma have no slots, and their values differ in ckpt-9: the optimizer that "
                "trains them is not stored",
                "approximate",
                "bias",
                (Evidence(key="bias"),),
                ADD_EVERY,
            ),
        ),
    ),
    Row("OPT007", "nobody saw them change", other_weights(without_slots=("bias",))),
    Row("OPT007", "damaged", replace(CHANGED, damage=DAMAGE)),
    Row(
        "COND122",
        "one",
        other_weights(without_slots=("bias",)),
        (
            "The weight bias, which has no slots, is frozen, or trained by an optimizer that needs "
            "none: no optimizer that is not stored trains it.",
        ),
    ),
    Row(
        "COND122",
        "several",
        other_weights(without_slots=("bias", "gamma")),
        (
            "The 2 weights without slots (bias, gamma) are frozen, or trained by an optimizer that "
            "needs none: no optimizer that is not stored trains them.",
        ),
    ),
    Row("COND122", "seen to change", CHANGED),
    Row("COND122", "no slots anywhere", replace(PLAIN, weights=WeightFact(("bias",)))),
    Row(
        "COND119",
        "half as many",
        accumulates(7, own(14)),
        (
            "The 14 steps with only 7 optimizer updates left nothing behind that is not stored: no "
            "partly accumulated gradients, no loss scale.",
        ),
    ),
    Row(
        "COND119",
        "one fewer",
        accumulates(1, own(2)),
        (
            "The 2 steps with only 1 optimizer update left nothing behind that is not stored: no "
            "partly accumulated gradients, no loss scale.",
        ),
    ),
    Row("COND119", "as many", accumulates(14, own(14))),
    Row("COND119", "more", accumulates(15, own(14))),
    Row("COND119", "none at all", accumulates(0, own(14))),
    Row("COND119", "the step began at 1", accumulates(7, own(8, starts_at=1))),
    Row("COND119", "the step is the graph's", accumulates(7, replace(own(14), source="graph"))),
    Row(
        "COND119",
        "a loss scale is stored",
        replace(
            accumulates(7, own(14)),
            inventory=stored(KERNEL, variable("scale", "loss_scale", shape=())).inventory,
        ),
    ),
    Row(
        "COND119",
        "sums are stored",
        replace(accumulates(7, own(14)), inventory=stored(KERNEL, SUM).inventory),
    ),
    Row(
        "COND119",
        "two optimizers take turns",
        replace(
            accumulates(7, own(14)),
            updates=UpdateFact((Witness("g", 7, "g"), Witness("d", 7, "d"))),
        ),
    ),
    Row(
        "COND119",
        "batches are in step with the updates",
        replace(
            accumulates(7, own(14)), training=iterator(agreement=Agreement("agrees", witness="d"))
        ),
    ),
    Row(
        "COND119",
        "batches are behind the updates",
        replace(
            accumulates(7, own(14)), training=iterator(agreement=Agreement("behind", witness="d"))
        ),
        (
            "The 14 steps with only 7 optimizer updates left nothing behind that is not stored: no "
            "partly accumulated gradients, no loss scale.",
        ),
    ),
    Row(
        "COND119",
        "batches are in step with the steps",
        replace(accumulates(7, own(14)), training=iterator(agreement=Agreement("agrees"))),
        (
            "The 14 steps with only 7 optimizer updates left nothing behind that is not stored: no "
            "partly accumulated gradients, no loss scale.",
        ),
    ),
]
