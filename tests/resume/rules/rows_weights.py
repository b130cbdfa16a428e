"""Rows of weights: the model itself, and what training changes beside it."""

from dataclasses import replace

from ckptscope.checkpoint.model import Damage
from ckptscope.resume.facts import Facts, StepFact, WeightFact
from ckptscope.resume.model import Evidence
from tests.resume.rules.table import BIAS, KERNEL, Row, Says, graph, own, stored, variable

META = "run/ckpt-7.meta"
DAMAGE = (Damage("checksum", "run/ckpt-7.data-00000-of-00001", "kernel", 0, "it differs"),)
AVERAGE = variable("kernel/ExponentialMovingAverage", "ema")
STEP = variable("step", "counter", shape=(), dtype="int64")
WHOLE = stored(KERNEL, BIAS)
GRAPH = graph(trainable=frozenset(("kernel", "bias")))
TABLE = (("vocabulary", "MutableHashTableV2"), ("seen", "VarHandleOp"))
ALL = "Save all variables: tf.train.Saver() without var_list, not Saver(tf.trainable_variables())."
NONE = "no model weights are stored, so there is nothing that training could go on from"


def slots_of(*names: str) -> Facts:
    """Slots of these variables are stored, and they are not."""
    return replace(WHOLE, weights=WeightFact(owners_missing=names))


def beside(name: str) -> Facts:
    return replace(stored(STEP), weights=WeightFact(elsewhere=name))


def lost(*state: tuple[str, str], facts: Facts = WHOLE) -> Facts:
    return replace(facts, meta=GRAPH, graph_state_lost=state)


def of_graph(*names: str) -> Facts:
    return replace(WHOLE, meta=GRAPH, unsaved_of_graph={"weights": names})


ROWS = [
    Row("VAR001", "two", WHOLE, (Says("saved", "2 variables with 30 parameters"),)),
    Row(
        "VAR001",
        "one of one element",
        stored(variable("scale", shape=())),
        (Says("saved", "1 variable with 1 parameter"),),
    ),
    Row("VAR001", "none", stored(STEP)),
    Row("VAR001", "averages only", stored(AVERAGE)),
    Row(
        "VAR002",
        "only a counter",
        stored(STEP),
        (
            Says(
                "missing",
                NONE,
                "impossible",
                remedy="Give the model's own checkpoint, or save the model with it.",
            ),
        ),
    ),
    Row(
        "VAR002",
        "an input checkpoint",
        replace(stored(STEP), framework="estimator"),
        (
            Says(
                "missing",
                NONE,
                "impossible",
                remedy="This is the input pipeline's checkpoint; point at model.ckpt-N beside it.",
            ),
        ),
    ),
    Row("VAR002", "one weight", stored(KERNEL)),
    Row("VAR002", "averages", stored(AVERAGE)),
    Row("VAR002", "weights elsewhere", beside("state.msgpack")),
    Row(
        "VAR007",
        "beside",
        beside("state.msgpack"),
        (
            Says(
                "unknown",
                "the weights are not in this bundle; state.msgpack beside it is of another format",
                "approximate",
                "state.msgpack",
                (Evidence("state.msgpack"),),
                "Restore the weights with the library that wrote them.",
            ),
        ),
    ),
    Row("VAR007", "nothing beside", stored(STEP)),
    Row(
        "VAR007",
        "weights here, too",
        replace(beside("state.msgpack"), inventory=WHOLE.inventory),
    ),
    Row(
        "VAR003",
        "one of two",
        replace(stored(KERNEL), meta=GRAPH),
        (
            Says(
                "missing",
                "1 of 2 trainable variables of the graph is not stored: bias",
                "impossible",
                evidence=(Evidence(META),),
                remedy="Save with a Saver over all variables.",
            ),
        ),
    ),
    Row(
        "VAR003",
        "the Saver leaves them out",
        replace(
            stored(KERNEL),
            meta=graph(
                trainable=frozenset(("w", "bias", "gamma")), saved={"kernel": "w", "gamma": "gamma"}
            ),
        ),
        (
            Says(
                "missing",
                "2 of 3 trainable variables of the graph are not stored: bias, gamma",
                "impossible",
                evidence=(Evidence(META),),
                remedy="Save with a Saver over all variables.",
            ),
        ),
    ),
    Row("VAR003", "all stored", replace(WHOLE, meta=GRAPH)),
    Row(
        "VAR003",
        "stored under another key",
        replace(stored(KERNEL), meta=graph(trainable=frozenset(("w",)), saved={"kernel": "w"})),
    ),
    Row("VAR003", "damaged", replace(stored(KERNEL), meta=GRAPH, damage=DAMAGE)),
    Row("VAR003", "no weight at all", replace(stored(STEP), meta=GRAPH)),
    Row("VAR003", "no graph", stored(KERNEL)),
    Row(
        "VAR004",
        "one",
        of_graph("moving_mean"),
        (
            Says(
                "partial",
                "1 variable of the graph is not stored (moving_mean) and starts over from its "
                "initial value",
                "approximate",
                "moving_mean",
                (Evidence(META),),
                ALL,
            ),
        ),
    ),
    Row(
        "VAR004",
        "several",
        of_graph("moving_mean", "moving_variance"),
        (
            Says(
                "partial",
                "2 variables of the graph are not stored (moving_mean, moving_variance) and start "
                "over from their initial values",
                "approximate",
                "moving_mean",
                (Evidence(META),),
                ALL,
            ),
        ),
    ),
    Row(
        "VAR004",
        "of another kind",
        replace(WHOLE, meta=GRAPH, unsaved_of_graph={"ema": ("kernel/average",)}),
    ),
    Row(
        "VAR005",
        "one",
        slots_of("gamma"),
        (
            Says(
                "missing",
                "slots are stored for a variable that is not stored: gamma",
                "impossible",
                "gamma",
                (),
                "Save the model whole: all variables of the optimizer's, not a part of them.",
            ),
        ),
    ),
    Row(
        "VAR005",
        "several",
        slots_of("a", "b", "c", "d"),
        (
            Says(
                "missing",
                "slots are stored for 4 variables that are not stored: a, b, c and 1 more",
                "impossible",
                "a",
                (),
                "Save the model whole: all variables of the optimizer's, not a part of them.",
            ),
        ),
    ),
    Row("VAR005", "none", WHOLE),
    Row("VAR005", "damaged", replace(slots_of("gamma"), damage=DAMAGE)),
    Row(
        "VAR006",
        "a table",
        lost(*TABLE[:1]),
        (
            Says(
                "missing",
                "training reads and changes vocabulary (MutableHashTableV2), which is not stored",
                "approximate",
                "vocabulary",
                (Evidence(META, value="vocabulary"),),
                "Save it: add it to the Saver's var_list, or to the GLOBAL_VARIABLES collection. "
                "Create tables with checkpoint=True.",
            ),
        ),
    ),
    Row(
        "VAR006",
        "and more",
        lost(*TABLE, ("rate", "VarHandleOp")),
        (
            Says(
                "missing",
                "training reads and changes vocabulary (MutableHashTableV2) and 2 more, which are "
                "not stored",
                "approximate",
                "vocabulary",
                (Evidence(META, value="vocabulary"),),
                "Save it: add it to the Saver's var_list, or to the GLOBAL_VARIABLES collection. "
                "Create tables with checkpoint=True.",
            ),
        ),
    ),
    Row("VAR006", "nothing lost", lost()),
    Row("VAR006", "nothing was trained yet", replace(lost(*TABLE), step=own(0))),
    Row(
        "VAR006",
        "updates stand in for the step",
        replace(lost(*TABLE[:1]), step=StepFact(0, "n", "optimizer", {"n": 0}, "alone")),
        (
            Says(
                "missing",
                "training reads and changes vocabulary (MutableHashTableV2), which is not stored",
                "approximate",
                "vocabulary",
                (Evidence(META, value="vocabulary"),),
                "Save it: add it to the Saver's var_list, or to the GLOBAL_VARIABLES collection. "
                "Create tables with checkpoint=True.",
            ),
        ),
    ),
    Row("VAR006", "damaged", replace(lost(*TABLE), damage=DAMAGE)),
    Row("VAR006", "no weights", lost(*TABLE, facts=stored(STEP))),
]
