"""Facts and rules to a verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ckptscope.iterator.position import Position
from ckptscope.resume.conditions import CONDITION_RULES
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import (
    Condition,
    ConditionRule,
    Finding,
    Loss,
    Outcome,
    Rule,
    Verdict,
    describe_ranges,
    epoch_ranges,
    worst,
)
from ckptscope.resume.rules_data import DATA_RULES
from ckptscope.resume.rules_record import RECORD_RULES
from ckptscope.resume.rules_state import STATE_RULES

RULES: tuple[Rule, ...] = (*STATE_RULES, *DATA_RULES, *RECORD_RULES)
# How findings are told: what breaks the verdict first, what is in order last.
_ORDER = ("damaged", "missing", "partial", "inconsistent", "unknown", "not_needed", "saved")


@dataclass(frozen=True, slots=True)
class ResumeReport:
    """The judgement on one checkpoint.

    Attributes:
        verdict: the worst that a finding forces.
        headline: one sentence.
        position: where the data stands for the run.
        conditions: what must hold besides, those raised by evidence first.
        findings: worst first.
        loss: what resuming repeats or skips; None where it cannot be derived or nothing is lost.
    """

    verdict: Verdict
    headline: str
    position: Position
    conditions: tuple[Condition, ...]
    findings: tuple[Finding, ...]
    loss: Loss | None


def evaluate(facts: Facts, *, extra_rules: Iterable[Rule] = ()) -> ResumeReport:
    """Judge the facts by all rules."""
    findings = [
        _finding(rule, outcome, facts)
        for rule in (*RULES, *extra_rules)
        for outcome in rule.check(facts)
    ]
    findings.sort(key=lambda finding: (_severity(finding), _ORDER.index(finding.status)))
    verdict = worst(finding.verdict for finding in findings)
    conditions = (
        tuple(
            Condition(rule.code, text, rule.source)
            for rule in CONDITION_RULES
            for text in rule.check(facts)
        )
        if verdict != "impossible"
        else ()
    )
    loss = _loss(facts)
    headline = _headline(verdict, findings, facts, loss)
    return ResumeReport(verdict, headline, facts.position, conditions, tuple(findings), loss)


def _severity(finding: Finding) -> int:
    return {"impossible": 0, "approximate": 1}.get(finding.verdict or "", 2)


def _finding(rule: Rule, outcome: Outcome, facts: Facts) -> Finding:
    good = outcome.status in ("saved", "not_needed")
    remedy = outcome.remedy or (None if good else rule.remedy(facts.framework))
    return Finding(
        rule.code,
        rule.component,
        outcome.status,
        outcome.verdict,
        outcome.subject,
        outcome.message,
        outcome.evidence,
        remedy,
    )


def _loss(facts: Facts) -> Loss | None:
    size, step, epoch_size = facts.hints.batch_size, facts.step.value, facts.hints.epoch_size
    training = facts.training
    if training is not None and training.reading is not None:
        reading = training.reading
        size = size if size is not None else reading.position.batch_size
        epoch_size = epoch_size if epoch_size is not None else reading.position.epoch_size
        ahead = training.agreement.kind == "ahead" and training.agreement.batches
        if ahead and size and step is not None and facts.counted_otherwise is None:
            return Loss(skipped=epoch_ranges(step * size, (step + ahead) * size, epoch_size))
        return None
    if (
        step is None
        or size is None
        or facts.is_damaged
        or step == 0
        or facts.counted_otherwise is not None
    ):
        return None
    older = [
        partner
        for partner in facts.partners
        if partner.is_complete and partner.step != facts.location.number
    ]
    if not facts.iterators and older and facts.location.number is not None:
        nearest = min(
            older,
            key=lambda partner: (abs(partner.step - (facts.location.number or 0)), partner.step),
        )
        if nearest.step < step:
            return Loss(repeated=epoch_ranges(nearest.step * size, step * size, epoch_size))
        return Loss(skipped=epoch_ranges(step * size, nearest.step * size, epoch_size))
    if facts.position.kind == "lost" and facts.inventory.of_role("weight", "ema"):
        return Loss(repeated=epoch_ranges(0, step * size, epoch_size))
    return None


_LOST_NAMES = {
    "weights": "some weights",
    "optimizer": "the optimizer's state",
    "iterator": "the place in the data",
    "step": "the step",
    "lr_schedule": "the learning-rate schedule",
    "loss_scale": "the loss scale",
    "ema": "the averaged weights",
    "rng": "the random order",
    "metrics": "the state of metrics",
}
_LOST_WORDS = {
    "missing": "lost",
    "partial": "only partly stored",
    "inconsistent": "out of step",
    "damaged": "damaged",
    "unknown": "not proven",
}


def _what_is_lost(findings: list[Finding]) -> str:
    """``the optimizer's state and the step are lost; the random order is not proven``."""
    phrases = []
    told: set[str] = set()
    for status, words in _LOST_WORDS.items():
        components = {finding.component for finding in findings if finding.status == status} - told
        told |= components
        names = [name for component, name in _LOST_NAMES.items() if component in components]
        if names:
            listed = (
                " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]
            )
            phrases.append(
                f"{listed} {'are' if len(names) > 1 or names == ['some weights'] else 'is'} {words}"
            )
    return "; ".join(phrases) or findings[0].message


def _headline(verdict: Verdict, findings: list[Finding], facts: Facts, loss: Loss | None) -> str:
    bad = [finding for finding in findings if finding.verdict == verdict]
    if verdict == "exact":
        at = f" at step {facts.step.value:,}" if facts.step.value is not None else ""
        if any(finding.code == "DATA007" for finding in findings):
            return f"The run resumes exactly{at}, at the end of its data."
        return f"The run resumes exactly{at}, if the conditions hold."
    if verdict == "impossible":
        return f"Training cannot go on from this checkpoint: {bad[0].message}."
    text = f"The run resumes only approximately: {_what_is_lost(bad)}."
    if loss is not None and loss.repeated:
        text += f" Resuming repeats {describe_ranges(loss.repeated)}."
    if loss is not None and loss.skipped:
        text += f" Training never sees {describe_ranges(loss.skipped)}."
    return text


def codes() -> list[str]:
    """Codes of all findings and conditions."""
    return [rule.code for rule in RULES] + [rule.code for rule in CONDITION_RULES]


def explain(code: str) -> Rule | ConditionRule | None:
    """The table entry of a finding's or condition's code, None if there is none."""
    every: tuple[Rule | ConditionRule, ...] = (*RULES, *CONDITION_RULES)
    return next((rule for rule in every if rule.code == code.upper()), None)
