"""The recorder: nothing is lost that was flushed, and nothing that goes wrong reaches the
training.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.portable.writer import CHUNK_ROWS
from ckptscope.recording.positions import positions_of
from ckptscope.recording.reader import read_recording
from ckptscope.recording.recorder import Recorder, new_id

FRESH = Start(0, 0, 0, 0, "fresh")


def attempt(**facts: object) -> Attempt:
    return Attempt(
        **{
            "id": new_id(),
            "started_s": time.time(),
            "start": FRESH,
            "batch_size": 4,
            "epoch_size": 40,
            "spans": True,
            "order": "fixed",
            **facts,
        }
    )


def recorder(directory: Path, **facts: object) -> Recorder:
    return Recorder(str(directory), attempt(**facts), flush_interval_s=0.02)


@pytest.mark.parametrize(
    "steps",
    [0, 1, 10, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 25 * CHUNK_ROWS + 5],
)
def test_every_step_comes_back(tmp_path, steps):
    with recorder(tmp_path) as found:
        for step in range(1, steps + 1):
            found.step(step)
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == list(range(1, steps + 1))
    assert (read.missing, read.problems) == (0, ())
    positions = positions_of(read)
    assert positions.examples.tolist() == [4 * step for step in range(1, steps + 1)]
    if steps:
        assert (int(positions.epoch[-1]), int(positions.into[-1])) == (
            (steps - 1) // 10,
            ((steps - 1) % 10 + 1) * 4,
        )


def test_attempts_of_one_run_are_told_apart_and_restarts_counted(tmp_path):
    with recorder(tmp_path) as first:
        for step in range(1, 13):
            first.step(step)
            if step == 10:
                first.saved(str(tmp_path / "ckpt-10"), 10)
    with recorder(tmp_path, restored_from=str(tmp_path / "ckpt-10")) as second:
        for step in range(11, 15):
            second.step(step)
    found = read_recording(str(tmp_path))
    assert [item.num_rows for item in found] == [12, 4]
    (restart,) = restarts_of(found)
    assert (restart.step, restart.dead_steps) == (10, 2)
    assert [(item.epoch, item.start, item.stop) for item in restart.repeated] == [(0, 0, 16)]
    assert restart.skipped == ()


# ------------------------------------------------------------ faults


def test_an_unwritable_directory_is_one_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="not fully recorded") as told:
        found = Recorder(str(tmp_path / "file"), attempt(), flush_interval_s=0.01)
        for step in range(50):
            found.step(step)
            time.sleep(0.001)
        found.close()
    assert len(told) == 1


def test_a_clock_that_goes_back_changes_no_step(tmp_path, monkeypatch):
    times = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time_ns", lambda: next(times) * 1000)
    with recorder(tmp_path) as found:
        for step in range(30):
            found.step(step)
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == list(range(30))
    assert np.all(np.diff(read.columns["wall_time_ms"]) <= 0)


def test_two_writers_in_one_directory(tmp_path):
    with recorder(tmp_path) as first, recorder(tmp_path) as second:
        for step in range(20):
            first.step(step)
            second.step(step + 100)
    found = read_recording(str(tmp_path))
    assert sorted(item.columns["step"].tolist() for item in found) == [
        list(range(20)),
        list(range(100, 120)),
    ]


def test_damage_in_an_event_file_is_a_problem_and_the_rest_is_read(tmp_path):
    for offset in (0, 1000):
        with recorder(tmp_path) as found:
            for step in range(offset, offset + 100):
                found.step(step)
    first = min((tmp_path / "ckptscope").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    found = read_recording(str(tmp_path))
    assert any(item.problems for item in found)
    assert list(range(1000, 1100)) in [item.columns["step"].tolist() for item in found]


def test_nothing_is_called_skipped_where_the_recording_has_holes(tmp_path):
    """The first attempt reached its checkpoint, but its last rows were never written."""
    with recorder(tmp_path) as first:
        for step in range(1, 6):
            first.step(step)
    start = Start(10, 40, 0, 40, "decoded")
    with recorder(
        tmp_path,
        restored_from=str(tmp_path / "ckpt-10"),
        restored_step=10,
        start=start,
        parent=first.attempt.id,
    ) as second:
        second.step(11)
    (restart,) = restarts_of(read_recording(str(tmp_path)))
    assert (restart.repeated, restart.skipped) == ((), ())
    assert "not written" in restart.reason


def test_a_recording_without_checkpoints_is_shown(tmp_path, call):
    with recorder(tmp_path) as found:
        found.step(1)
    assert "Recorded: 1 attempt" in call("inspect", tmp_path, "--all").out
    assert call("inspect", tmp_path, "--all", "--require", "exact").status == 1
