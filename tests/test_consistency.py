"""Whoever is asked about a checkpoint, the answer is the same: ``inspect``, ``--all``, ``diff``,
the tab and the report, on every run of the examples.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import ckptscope as cs
from ckptscope.render.jsonable import dumps
from ckptscope.render.run_json import checkpoints_to_jsonable
from ckptscope.report import make_report
from ckptscope.runs.places import search
from ckptscope.runs.reading import read_all
from tests.example_runs import NAMES

pytestmark = pytest.mark.tf
NUMBERS = (
    "class step epoch batches_consumed examples_consumed examples_into_epoch batch_size known_from"
).split()


@dataclass(frozen=True)
class Answers:
    """Of one run: what each of them says of its checkpoints, by their paths."""

    history: dict[str, Any]
    tab: dict[str, Any]
    report: dict[str, Any]

    @property
    def paths(self) -> list[str]:
        return [row["path"] for row in self.history["history"] if "error" not in row]


def by_path(answer: dict[str, Any]) -> dict[str, Any]:
    return {row["path"]: row for row in answer["history"] if row.get("id", "") is not None}


@pytest.fixture(params=NAMES)
def told(request, example_runs) -> Answers:
    top, _ = example_runs(request.param)
    (run,) = read_all(search(str(top)))
    home = Path(run.place.directory)
    page = re.search(r'id="answers">(.*?)</script>', make_report(str(top)).html, re.DOTALL)
    (report,) = (
        answer
        for answer in json.loads(page[1])["answers"].values()
        if isinstance(answer, dict) and "history" in answer
    )
    return Answers(
        json.loads(cs.history(str(home)).to_json()),
        json.loads(dumps(checkpoints_to_jsonable(run))),
        report,
    )


def inspected(path: str) -> dict[str, Any]:
    return json.loads(cs.inspect(path).to_json())


def numbers(position: dict[str, Any]) -> dict[str, Any]:
    return {name: position[name] for name in NUMBERS}


def test_all_tell_the_same_of_each_checkpoint(told):
    tab, report = by_path(told.tab), by_path(told.report)
    assert told.paths and set(tab) == set(report) == set(told.paths)
    for row in told.history["history"]:
        alone = inspected(row["path"])
        expected = (alone["resume"]["verdict"], numbers(alone["resume"]["position"]))
        for other in (row, tab[row["path"]], report[row["path"]]):
            assert (other["verdict"], numbers(other["position"])) == expected
            # Alone it also names the latest one of the directory that can be continued.
            assert alone["resume"]["headline"].startswith(other["headline"])
            assert other["checkpoint"]["step"] == alone["checkpoint"]["step"]


def test_a_comparison_tells_what_the_history_tells(told):
    rows = by_path(told.history)
    for old, new in pairwise(told.paths):
        found = json.loads(cs.diff(old, new).to_json())
        summary, row = found["summary"], rows[new]
        assert summary["verdicts"] == [rows[old]["verdict"], row["verdict"]]
        assert [found[side]["step"] for side in "ab"] == [
            rows[path]["position"]["step"] for path in (old, new)
        ]
        assert summary["batches_delta"] == row["batches_delta"]
        # A history reads no values.
        silent = ("NAN_NEW", "WEIGHTS_FROZEN")
        said = [alarm for alarm in summary["alarms"] if alarm["code"] not in silent]
        assert said == [alarm for alarm in row["alarms"] if alarm["code"] not in silent]


def test_the_recorder_counts_what_the_checkpoint_tells(told):
    """Place in the epoch: totals begin anew with an iterator, or go on over a restart."""
    compared = 0
    for row in told.tab["history"]:
        counted, position = row["counted"], row["position"]
        if counted is None or None in (position["epoch"], position["examples_into_epoch"]):
            continue
        compared += 1
        assert (counted["epoch"], counted["examples_into_epoch"]) == (
            position["epoch"],
            position["examples_into_epoch"],
        )
    assert compared >= 2


def test_the_newest_checkpoint_of_a_directory_is_judged_alike(told):
    home = Path(told.paths[-1]).parent
    newest = inspected(str(home))
    row = by_path(told.history)[newest["checkpoint"]["path"]]
    assert row["verdict"] == newest["resume"]["verdict"]
    assert numbers(row["position"]) == numbers(newest["resume"]["position"])
