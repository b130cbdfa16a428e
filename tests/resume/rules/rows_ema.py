"""Rows of averaged weights."""

from dataclasses import replace

from ckptscope.resume.model import Evidence
from tests.resume.rules.table import BIAS, KERNEL, Row, Says, graph, stored, variable

AVERAGES = [variable(f"{name}/ExponentialMovingAverage", "ema") for name in ("kernel", "bias")]


def lost(*names: str, kind: str = "ema"):
    return replace(stored(KERNEL), meta=graph(), unsaved_of_graph={kind: names})


def missing(many: str) -> Says:
    return Says(
        "missing",
        f"the graph keeps averages of {many} that are not stored",
        "approximate",
        AVERAGES[0].key,
        (Evidence("run/ckpt-7.meta"),),
        "Save all variables: tf.train.Saver() without var_list.",
    )


ROWS = [
    Row("EMA001", "one", stored(KERNEL, AVERAGES[0]), (Says("saved", "1 averaged weight stored"),)),
    Row(
        "EMA001",
        "several",
        stored(KERNEL, BIAS, *AVERAGES),
        (Says("saved", "2 averaged weights stored"),),
    ),
    Row(
        "EMA001",
        "without the weights",
        stored(*AVERAGES),
        (
            Says(
                "partial",
                "averaged weights are stored without the weights they average",
                "approximate",
            ),
        ),
    ),
    Row("EMA001", "none", stored(KERNEL)),
    Row("EMA002", "one", lost(AVERAGES[0].key), (missing("1 variable"),)),
    Row("EMA002", "several", lost(*(item.key for item in AVERAGES)), (missing("2 variables"),)),
    Row("EMA002", "of another kind", lost("kernel/average", kind="weights")),
    Row("EMA002", "none", replace(stored(KERNEL), meta=graph())),
]
