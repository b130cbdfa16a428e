"""Rows of running metrics."""

from ckptscope.resume.facts import Facts
from tests.resume.rules.table import Row, Says, stored, variable

TOTAL = variable("metrics/loss/total", "metric", shape=())

ROWS = [
    Row(
        "METRIC001",
        "stored",
        stored(TOTAL),
        (Says("saved", "1 variable of running metrics stored"),),
    ),
    Row("METRIC001", "none", Facts()),
]
