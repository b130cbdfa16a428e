"""Every rule of the judge: one file for each component, each rule's text beside its function.

To add a rule: write a function from facts to outcomes into the file of its component, below
``BOOK.rule(code, title, explanation, remedies)`` or ``BOOK.condition(...)``, and give it rows on
both sides of its line in tests/resume/rules. Codes are never renamed or used again.
"""

from __future__ import annotations

from ckptscope.resume.model import ConditionRule, Rule, RuleBook
from ckptscope.resume.rules import (
    ema,
    files,
    input_checkpoints,
    iterator,
    loss_scale,
    lr_schedule,
    metrics,
    optimizer,
    order,
    out_of_step,
    pipeline,
    rng,
    step,
    weights,
)

BOOKS: tuple[RuleBook, ...] = (
    files.BOOK,
    weights.BOOK,
    optimizer.BOOK,
    step.BOOK,
    iterator.BOOK,
    out_of_step.BOOK,
    input_checkpoints.BOOK,
    pipeline.BOOK,
    order.BOOK,
    rng.BOOK,
    lr_schedule.BOOK,
    loss_scale.BOOK,
    ema.BOOK,
    metrics.BOOK,
)
RULES: tuple[Rule, ...] = tuple(rule for book in BOOKS for rule in book.rules)
CONDITIONS: tuple[ConditionRule, ...] = tuple(rule for book in BOOKS for rule in book.conditions)
