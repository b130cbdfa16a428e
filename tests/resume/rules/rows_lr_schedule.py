"""Rows of the learning rate."""

from dataclasses import replace

from ckptscope.resume.model import Evidence
from tests.resume.rules.table import KERNEL, Row, Says, graph, own, stored, variable

META = "run/ckpt-7.meta"
RATE = variable("optimizer/_learning_rate", "optimizer_hyper", shape=())
OLD_RATE = replace(RATE, key="optimizer/lr/.ATTRIBUTES/VARIABLE_VALUE", object_path="optimizer/lr")
NAMED = replace(RATE, key="learning_rate", object_path=None)
DECAY = variable("optimizer/decay", "optimizer_hyper", shape=())
WHOLE = stored(KERNEL, RATE)
GRAPH = graph(fed_rates=("rate_a", "rate_b"))


def lost(*names: str, kind: str = "lr_schedule"):
    return replace(WHOLE, meta=graph(), unsaved_of_graph={kind: names})


def missing(names: str) -> Says:
    return Says(
        "missing",
        f"the learning rate is computed from {names} not stored",
        "approximate",
        "global_step",
        (Evidence(META),),
        "Save that variable: tf.train.Saver() without var_list.",
    )


ROWS = [
    Row(
        "LR001",
        "stored",
        WHOLE,
        (
            Says(
                "saved",
                "the learning rate is stored",
                evidence=(Evidence(key="optimizer/_learning_rate"),),
            ),
        ),
    ),
    Row(
        "LR001",
        "of several optimizers",
        stored(OLD_RATE, NAMED, RATE),
        (
            Says(
                "saved",
                "the learning rate is stored",
                evidence=(
                    Evidence(key="optimizer/lr/.ATTRIBUTES/VARIABLE_VALUE"),
                    Evidence(key="learning_rate"),
                ),
            ),
        ),
    ),
    Row("LR001", "only its decay", stored(KERNEL, DECAY)),
    Row("LR001", "a weight of that name", stored(replace(RATE, role="weight"))),
    Row("LR002", "one", lost("global_step"), (missing("global_step, which is"),)),
    Row(
        "LR002",
        "several",
        lost("global_step", "rate"),
        (missing("global_step, rate, which are"),),
    ),
    Row("LR002", "of another kind", lost("global_step", kind="weights")),
    Row("LR002", "none", replace(WHOLE, meta=graph())),
    Row(
        "COND128",
        "fed",
        replace(WHOLE, meta=GRAPH, step=own(7)),
        (
            "The program feeds the same learning rate (rate_a, rate_b) as the uninterrupted run "
            "would have, from a state that is stored or from the step.",
        ),
    ),
    Row("COND128", "at the start", replace(WHOLE, meta=GRAPH, step=own(0))),
    Row("COND128", "not fed", replace(WHOLE, meta=graph(), step=own(7))),
    Row("COND128", "no graph", WHOLE),
]
