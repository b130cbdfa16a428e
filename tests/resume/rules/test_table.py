"""Every code has rows on both sides of its line, and each row holds."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import tests.resume.rules as package
from ckptscope.resume import report
from tests.resume.rules.table import Row, ids, said

ROWS: list[Row] = [
    row
    for module in pkgutil.iter_modules(package.__path__)
    if module.name.startswith("rows_")
    for row in importlib.import_module(f"{package.__name__}.{module.name}").ROWS
]


@pytest.mark.parametrize("row", ROWS, ids=ids(ROWS))
def test_row(row: Row) -> None:
    assert said(row.code, row.facts) == row.says


@pytest.mark.parametrize("code", sorted(report.codes()))
def test_both_sides(code: str) -> None:
    rows = [row for row in ROWS if row.code == code]
    assert any(row.says for row in rows), f"no row in which {code} speaks"
    standing = any(rule.code == code and rule.source == "standing" for rule in report.CONDITIONS)
    assert standing or any(not row.says for row in rows), f"no row in which {code} is silent"


def test_no_row_is_left_over() -> None:
    assert {row.code for row in ROWS} == set(report.codes())
