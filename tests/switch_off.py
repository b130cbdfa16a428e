"""Switch each rule off in turn, and some numbers wrong, and report what the tests do not notice.

    python -m tests.switch_off            all rules and mutants; exit status 1 if one survives
    python -m tests.switch_off DATA002    only these

It takes about two minutes. ``tests/switch_off.txt`` holds the output of the last run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ckptscope.iterator import position
from ckptscope.resume import report

RULE_TESTS = "tests/resume/rules/test_table.py::test_row"
POSITION_TESTS = "tests/iterator"


@contextlib.contextmanager
def without(code: str) -> Iterator[None]:
    """The judge without the rule of that code."""
    rules, conditions = report.RULES, report.CONDITIONS
    report.RULES = tuple(rule for rule in rules if rule.code != code)
    report.CONDITIONS = tuple(rule for rule in conditions if rule.code != code)
    try:
        yield
    finally:
        report.RULES, report.CONDITIONS = rules, conditions


@contextlib.contextmanager
def next_record_off_by_one() -> Iterator[None]:
    """Every next record is told as the one behind it."""
    real = position._next_record

    def wrong(*state: Any) -> position.NextRecord | str:
        found = real(*state)
        if isinstance(found, str):
            return found
        return dataclasses.replace(found, record_index=found.record_index + 1)

    position._next_record = wrong
    try:
        yield
    finally:
        position._next_record = real


def notices(path: str) -> bool:
    """Whether the tests at ``path`` fail."""
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        status = pytest.main([path, "-x", "-q", "--no-header", "-p", "no:cacheprovider"])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(f"the tests could not be run:\n{silent.getvalue()}")
    return status == pytest.ExitCode.TESTS_FAILED


def main(wanted: list[str]) -> int:
    if notices(RULE_TESTS) or notices(POSITION_TESTS):
        print("the tests fail as they are")
        return 1
    survivors = []
    codes = [code for code in report.codes() if not wanted or code in wanted]
    for code in codes:
        with without(code):
            if not notices(RULE_TESTS):
                survivors.append(code)
    mutants = 0
    if not wanted:
        mutants = 1
        with next_record_off_by_one():
            if not notices(POSITION_TESTS):
                survivors.append("next_record off by one")
    print(f"{len(codes)} rules switched off in turn, {mutants} number made wrong")
    print(f"survivors: {', '.join(survivors) or 'none'}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
