"""Every code that the tool prints, and what it means."""

from __future__ import annotations

from ckptscope.comparison.alarms import ALARM_RULES, AlarmRule
from ckptscope.resume.model import ConditionRule, Rule
from ckptscope.resume.report import codes as resume_codes
from ckptscope.resume.report import explain as explain_resume


def codes() -> list[str]:
    """Codes of all findings, conditions and alarms."""
    return resume_codes() + [rule.code for rule in ALARM_RULES]


def explain(code: str) -> Rule | ConditionRule | AlarmRule | None:
    """The table entry of a code; None if there is none."""
    found = explain_resume(code)
    return (
        found
        if found is not None
        else next((rule for rule in ALARM_RULES if rule.code == code.upper()), None)
    )
