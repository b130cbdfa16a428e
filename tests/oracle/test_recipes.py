"""Recipes, killed and restarted: what is recorded equals what was trained on, or is unknown with
its reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.positions import positions_of
from tests.oracle.recipes import BATCH, CASES, PER_PASS, SIZE

pytestmark = pytest.mark.tf
Place = tuple[int, int]


# One iterator over passes of unknown size, each with a short batch somewhere.
UNKNOWN_EXAMPLES = {("loop", "filter"), ("loop", "generator")}


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("recipes")
    asked = [
        item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")
    ]
    wanted = [name for name in CASES if name in asked]
    made = subprocess.run(
        [sys.executable, "-m", "tests.oracle.recipes", str(directory), *wanted],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return directory


def logged(directory: Path) -> dict[int, list[tuple[int, list[int]]]]:
    """(epoch, ids) of each training step, by attempt."""
    found: dict[int, list[tuple[int, list[int]]]] = {1: [], 2: []}
    for line in (directory / "truth.jsonl").read_text().splitlines():
        attempt, _, epoch, ids = json.loads(line)
        found[attempt].append((epoch, ids))
    return found


def places(steps: list[tuple[int, list[int]]]) -> set[Place]:
    return {(epoch, number) for epoch, ids in steps for number in ids}


def expanded(ranges) -> set[Place]:
    return {(item.epoch, number) for item in ranges for number in range(item.start, item.stop)}


def never_read(read: set[Place]) -> set[Place]:
    last = max(read)
    every = {(epoch, i) for epoch in range(last[0] + 1) for i in range(SIZE)}
    return {place for place in every if place < last} - read


@pytest.mark.parametrize("name", CASES)
def test_what_is_recorded_was_trained_on(runs: Path, name: str) -> None:
    case, directory = CASES[name], runs / name
    failed = directory / "failed.txt"
    assert not failed.exists(), failed.read_text()
    history, truth = cs.history(str(directory)), logged(directory)
    assert [found.attempt.kind for found in history.attempts] == ["train", "train"]
    for number, found in enumerate(history.attempts, 1):
        check_positions(found, truth[number])
    (restart,) = history.restarts
    assert restart.step == case.go_on
    assert restart.dead_steps == case.kill - case.go_on
    if restart.reason is not None:
        assert (case.recipe, case.data) in UNKNOWN_EXAMPLES, restart.reason
        assert "its size is not known" in restart.reason
        return
    kept, later = truth[1][: case.go_on], truth[2]
    again = places(kept) & places(later)
    skipped = never_read(places(kept) | places(later)) - never_read(places(kept))
    if restart.epoch_size == SIZE:
        assert expanded(restart.repeated) == again
        assert expanded(restart.skipped) == skipped
    else:
        assert len(again) == sum(item.stop - item.start for item in restart.repeated)
        assert bool(skipped) == bool(restart.skipped)
    if restart.moved is not None:
        (epoch, ids), (left, before) = later[0], kept[-1]
        assert restart.moved == (epoch - left) * SIZE + ids[0] - before[-1] - 1


def check_positions(found, truth) -> None:
    """Each recorded step stands where the log says, or nowhere."""
    positions = positions_of(found)
    assert len(truth) >= found.num_rows >= len(truth) - 1
    for row, (epoch, ids) in enumerate(truth[: found.num_rows]):
        told, into = int(positions.epoch[row]), int(positions.into[row])
        if told != UNKNOWN:
            assert told == epoch
        if into != UNKNOWN and found.attempt.epoch_size is not None:
            assert into == ids[-1] + 1
        examples = int(positions.examples[row])
        if examples != UNKNOWN:
            assert examples == epoch * SIZE + ids[-1] + 1
    assert BATCH * PER_PASS >= SIZE
