"""Facts and rules to a verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ckptscope.iterator.position import Position
from ckptscope.resume.facts import Facts
from ckptscope.resume.loss import loss_of
from ckptscope.resume.model import (
    Condition,
    ConditionRule,
    Finding,
    Loss,
    Outcome,
    Rule,
    Verdict,
    describe_ranges,
    worst,
)
from ckptscope.resume.rules import CONDITIONS, RULES
from ckptscope.wording import counted

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
    findings = [finding for rule in (*RULES, *extra_rules) for finding in findings_of(rule, facts)]
    findings.sort(key=lambda finding: (_severity(finding), _ORDER.index(finding.status)))
    verdict = worst(finding.verdict for finding in findings)
    conditions = [] if verdict == "impossible" else _conditions(facts)
    loss = loss_of(facts)
    headline = _headline(verdict, findings, conditions, facts, loss)
    return ResumeReport(verdict, headline, facts.position, tuple(conditions), tuple(findings), loss)


def _conditions(facts: Facts) -> list[Condition]:
    """What must hold besides, raised by evidence first."""
    raised = [
        Condition(rule.code, text, rule.source) for rule in CONDITIONS for text in rule.check(facts)
    ]
    return sorted(raised, key=lambda condition: condition.source != "evidence")


def findings_of(rule: Rule, facts: Facts) -> list[Finding]:
    """What one rule finds."""
    return [_finding(rule, outcome, facts) for outcome in rule.check(facts)]


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


_LOST_NAMES = {
    "weights": "some weights",
    "optimizer": "the optimizer's state",
    "iterator": "the data position",
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


# Conditions that the headline names: what the verdict hangs on, most telling first.
_TELLING = tuple(
    """
    COND106 COND125 COND124 COND120 COND115 COND111 COND129 COND121 COND107 COND122 COND126 COND110
    COND128 COND119 COND130
    """.split()
)
_HANGS_ON = {
    "COND106": "this iterator feeds the training",
    "COND125": "the batches it is ahead of the step were skipped earlier",
    "COND124": "a step takes several batches",
    "COND120": "an update takes several batches",
    "COND115": "all iterators that train are stored",
    "COND111": "the iterator is in step, which its counters do not show",
    "COND129": "fit goes on with the next epoch",
    "COND121": "no further epoch is trained",
    "COND107": "the program skips by the stored index",
    "COND122": "the weights without slots are frozen",
    "COND126": "no other iterator of the dataset is made",
    "COND110": "the batch size is what the counts imply",
    "COND128": "the same learning rate is fed",
    "COND119": "skipped updates left nothing behind",
    "COND130": "the data comes in the same order at each start",
}


def _headline(
    verdict: Verdict,
    findings: list[Finding],
    conditions: list[Condition],
    facts: Facts,
    loss: Loss | None,
) -> str:
    bad = [finding for finding in findings if finding.verdict == verdict]
    if verdict == "exact":
        return _exact(findings, conditions, facts)
    if verdict == "impossible":
        return f"Training cannot go on from this checkpoint: {bad[0].message}."
    text = f"The run resumes only approximately: {_what_is_lost(bad)}."
    if loss is not None and loss.repeated:
        text += f" Resuming repeats {describe_ranges(loss.repeated)}."
    if loss is not None and loss.skipped:
        text += f" Training never sees {describe_ranges(loss.skipped)}."
    return text


def _exact(findings: list[Finding], conditions: list[Condition], facts: Facts) -> str:
    at = f" at step {facts.step.value:,}" if facts.step.value is not None else ""
    end = ", at the end of its data" if any(f.code == "DATA007" for f in findings) else ""
    raised = {condition.code for condition in conditions if condition.source == "evidence"}
    first = next((code for code in _TELLING if code in raised), None)
    if first is None:
        assuming = ", assuming what is listed below" if raised else ""
        return f"The run resumes exactly{at}{end}{assuming}."
    more = len(raised) - 1
    also = f" (and {counted(more, 'other condition')})" if more else ""
    return f"The run resumes exactly{at}{end} only if {_HANGS_ON[first]}{also}."


def codes() -> list[str]:
    """Codes of all findings and conditions."""
    return [rule.code for rule in RULES] + [rule.code for rule in CONDITIONS]


def explain(code: str) -> Rule | ConditionRule | None:
    """The table entry of a finding's or condition's code, None if there is none."""
    every: tuple[Rule | ConditionRule, ...] = (*RULES, *CONDITIONS)
    return next((rule for rule in every if rule.code == code.upper()), None)
