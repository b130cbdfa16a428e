"""Recipes, killed and restarted: what is recorded equals what was trained on, or is unknown with
its reason.

CI runs a part: each recipe with each kind of data, restart and order. ``python tests/matrix.py`` runs all, also under
other versions of TensorFlow (CKPTSCOPE_FULL=1; CKPTSCOPE_RECIPES_PYTHON names the Python that trains,
which may be one that cannot have ckptscope)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.positions import positions_of
from tests.command import ROOT
from tests.oracle.recipes import (
    BATCH,
    CASES,
    PER_PASS,
    SESSIONS,
    SIZE,
    Case,
    part_of,
)

pytestmark = pytest.mark.tf
Place = tuple[int, int]


PYTHON = os.environ.get("CKPTSCOPE_RECIPES_PYTHON")
CHOSEN = [
    case.name
    for case in (CASES.values() if os.environ.get("CKPTSCOPE_FULL") else part_of([*CASES.values()]))
    if PYTHON is None or case.recipe in SESSIONS
]
KERAS_2_CANNOT = "in maybe_load_initial_counters_from_ckpt"
IS_OLD = PYTHON is not None or version("keras").startswith("2.")
# What may be unknown, by recipe and data, and what the reason says. A hook is not told of the
# dataset: what a restored state means where batches are short can stay open. Older states tell less.
OF_STATES = "(is|are) not stored|contradict each other|lies at the end of an epoch"
MAY_BE_UNKNOWN = {
    ("loop", "filter"): "its size is not known",
    ("loop", "generator"): "its size is not known",
    **{
        (recipe, data): OF_STATES for recipe in SESSIONS for data in ("known", "tfrecord", "filter")
    },
    **{(recipe, "generator"): "state could not be saved" for recipe in SESSIONS},
}


def unknown_of(case: Case) -> str | None:
    """What the reason says, where nothing need be told of a restart."""
    if IS_OLD and (case.recipe, case.data) == ("loop", "tfrecord"):
        return OF_STATES
    is_told = case.recipe in SESSIONS and case.restart == "lost" and case.data != "generator"
    if is_told and not IS_OLD:
        return None
    return MAY_BE_UNKNOWN.get((case.recipe, case.data))


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("recipes")
    asked = [
        item.callspec.params["name"]
        for item in request.session.items
        if "name" in getattr(getattr(item, "callspec", None), "params", {})
        and item.path == request.path
    ]
    wanted = [name for name in CASES if name in asked]
    path = os.pathsep.join(sys.path)
    if PYTHON is not None:  # as on an old machine: the one file, and these programs
        path = str(tmp_path_factory.mktemp("portable"))
        (Path(path) / "tests").symlink_to(ROOT / "tests")
        source = ROOT / "ckptscope" / "recording" / "portable"
        with (Path(path) / "ckptscope_portable.py").open("w") as file:
            subprocess.run([sys.executable, str(source)], stdout=file, check=True)
    made = subprocess.run(
        [PYTHON or sys.executable, "-m", "tests.oracle.recipes", str(directory), *wanted],
        capture_output=True,
        text=True,
        timeout=1800,
        cwd=path if PYTHON else ROOT,
        env={**os.environ, "PYTHONPATH": path},
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


@pytest.mark.parametrize("name", CHOSEN)
def test_what_is_recorded_was_trained_on(runs: Path, name: str) -> None:
    case, directory = CASES[name], runs / name
    failed = directory / "failed.txt"
    if failed.exists() and KERAS_2_CANNOT in failed.read_text():
        pytest.skip("Keras 2.15 cannot restore within an epoch of unknown size")
    assert not failed.exists(), failed.read_text()
    history, truth = cs.history(str(directory)), logged(directory)
    assert [found.attempt.kind for found in history.attempts] == ["train", "train"]
    for number, found in enumerate(history.attempts, 1):
        check_positions(found, truth[number])
    (restart,) = history.restarts
    assert restart.step == case.go_on
    assert restart.dead_steps == case.kill - case.go_on
    if restart.reason is not None:
        expected = unknown_of(case)
        assert expected is not None and re.search(expected, restart.reason), restart.reason
        assert not restart.repeated and not restart.skipped
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
