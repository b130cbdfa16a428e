"""Rows of loss scaling."""

from dataclasses import replace

from ckptscope.checkpoint.inventory import Optimizer
from ckptscope.resume.model import Evidence
from tests.resume.rules.table import KERNEL, SGD, Row, Says, stored, variable

STATE = [
    variable(f"outer/{name}", "loss_scale", shape=())
    for name in ("scale", "good_steps", "step", "more")
]
SCALING = Optimizer("outer", None, (), None, (), "outer/inner")
FIXED = replace(SCALING, path="fixed", scale_is_fixed=True)

ROWS = [
    Row(
        "SCALE001",
        "one",
        stored(STATE[0]),
        (
            Says(
                "saved",
                "1 variable of loss scaling stored",
                evidence=(Evidence(key="outer/scale"),),
            ),
        ),
    ),
    Row(
        "SCALE001",
        "more than are named",
        stored(*STATE),
        (
            Says(
                "saved",
                "4 variables of loss scaling stored",
                evidence=tuple(Evidence(key=item.key) for item in STATE[:3]),
            ),
        ),
    ),
    Row("SCALE001", "none", stored(KERNEL)),
    Row(
        "SCALE002",
        "without its scale",
        stored(KERNEL, optimizers=(FIXED, SCALING, SGD)),
        (
            Says(
                "missing",
                "outer scales the loss, but its scale is not stored",
                "approximate",
                "outer",
                (),
                "Save the LossScaleOptimizer itself, not only its inner optimizer.",
            ),
        ),
    ),
    Row("SCALE002", "with it", stored(KERNEL, STATE[0], optimizers=(SCALING,))),
    Row("SCALE002", "a constant", stored(KERNEL, optimizers=(FIXED,))),
    Row("SCALE002", "nothing scales", stored(KERNEL, optimizers=(SGD,))),
]
