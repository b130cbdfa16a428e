"""How a rule is tested: literal facts in, its outcome out. One row on each side of its line.

A row is ``Row(code, why, facts, says)``: ``says`` holds what the rule must say, whole: status,
verdict, subject, message, evidence and remedy of a finding; the sentence of a condition. It is
empty where the rule must be silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ckptscope.checkpoint.inventory import Inventory, Optimizer, Role, Variable
from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.model import TensorEntry
from ckptscope.formats.dtypes import DTYPES, DType
from ckptscope.resume import report
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Status, Verdict

_DTYPES = {row.name: row for row in DTYPES.values()}


@dataclass(frozen=True)
class Says:
    """A finding, without its code and component."""

    status: Status
    message: str
    verdict: Verdict | None = None
    subject: str = ""
    evidence: tuple[Evidence, ...] = ()
    remedy: str | None = None


@dataclass(frozen=True)
class Row:
    """One row of the table of a code."""

    code: str
    why: str
    facts: Facts
    says: tuple[Says | str, ...] = ()


def said(code: str, facts: Facts) -> tuple[Says | str, ...]:
    """What the rule of that code says of the facts, alone."""
    for condition in report.CONDITIONS:
        if condition.code == code:
            return tuple(condition.check(facts))
    return tuple(
        Says(
            finding.status,
            finding.message,
            finding.verdict,
            finding.subject,
            finding.evidence,
            finding.remedy,
        )
        for rule in report.RULES
        if rule.code == code
        for finding in report.findings_of(rule, facts)
    )


def ids(rows: Iterable[Row]) -> list[str]:
    """Names of rows for pytest."""
    return [f"{row.code}-{row.why.replace(' ', '_')}" for row in rows]


# ------------------------------------------------------------ shorthands for facts


def entry(key: str, shape: tuple[int, ...] = (4, 6), dtype: str = "float32") -> TensorEntry:
    """A stored tensor of which nobody reads the bytes."""
    kind: DType = _DTYPES[dtype]
    size = 1
    for axis in shape:
        size *= axis
    return TensorEntry(key, kind, shape, 0, 0, size * 4, None)


def variable(
    key: str,
    role: Role = "weight",
    slot_of: str | None = None,
    slot_name: str | None = None,
    shape: tuple[int, ...] = (4, 6),
    dtype: str = "float32",
) -> Variable:
    """One variable of an object-based checkpoint, under a short key."""
    return Variable(key, key, key, entry(key, shape, dtype), role, slot_of, slot_name)


def stored(*variables: Variable, optimizers: tuple[Optimizer, ...] = (), **more: object) -> Facts:
    """Facts of a checkpoint that holds these variables and is sound."""
    entries = {item.key: item.entry for item in variables}
    checkpoint = replace(Facts().checkpoint, prefix="run/ckpt-7", entries=entries, num_shards=1)
    return replace(
        Facts(
            location=Location("run/ckpt-7", "tensor_bundle", "the given prefix", 7),
            checkpoint=checkpoint,
            inventory=Inventory(tuple(variables), optimizers),
        ),
        **more,  # type: ignore[arg-type]
    )


KERNEL = variable("kernel")
BIAS = variable("bias", shape=(6,))
MOMENTUM = variable("opt/m/kernel", "optimizer_slot", "kernel", "m")
SGD = Optimizer("optimizer", "optimizer/iterations", (), None, ("learning_rate",), None)
ADAM = Optimizer(
    "optimizer", "optimizer/iterations", ("m", "v"), None, ("learning_rate", "beta_1"), None
)
