"""The long form of a finding or condition, for ``explain`` and docs/findings.md."""

from __future__ import annotations

import textwrap

from ckptscope.comparison.alarms import AlarmRule
from ckptscope.resume.model import ConditionRule, Rule

FRAMEWORKS = {
    "": "any program",
    "estimator": "tf.estimator",
    "saver": "tf.train.Saver",
    "saved_model": "a SavedModel",
    "keras": "Keras",
    "keras_backup": "Keras BackupAndRestore",
    "checkpoint": "tf.train.Checkpoint",
}


def explanation_text(rule: Rule | ConditionRule | AlarmRule, width: int = 80) -> str:
    """Code, title, meaning and remedies, wrapped."""
    lines = [f"{rule.code}  {rule.title}", ""]
    lines += textwrap.wrap(rule.explanation, width)
    if isinstance(rule, ConditionRule):
        lines += [
            "",
            *textwrap.wrap(
                "A condition: it must hold for the verdict and cannot be read from the files.",
                width,
            ),
        ]
        return "\n".join(lines)
    if isinstance(rule, AlarmRule):
        lines += [
            "",
            *textwrap.wrap("An alarm of diff and inspect --all.", width),
            "",
            "What to do:",
        ]
        lines += textwrap.wrap(rule.remedy, width, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)
    lines += ["", f"Component: {rule.component}"]
    for framework, remedy in rule.remedies.items():
        lines += [
            "",
            f"Fix ({FRAMEWORKS[framework]}):",
            *textwrap.wrap(remedy, width, initial_indent="  ", subsequent_indent="  "),
        ]
    return "\n".join(lines)
