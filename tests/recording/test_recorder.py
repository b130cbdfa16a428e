"""The recorder: nothing is lost that was flushed, and nothing that goes wrong reaches the
training.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from ckptscope.recording import journal as journals
from ckptscope.recording.journal import PER_TAG, SEALED_ROWS
from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.positions import positions_of
from ckptscope.recording.reader import read_recording
from ckptscope.recording.recorder import Recorder, new_id
from tests.command import ROOT

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
    [0, 1, 10, SEALED_ROWS - 1, SEALED_ROWS, SEALED_ROWS + 1, 3 * SEALED_ROWS * PER_TAG + 5],
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


def test_a_tag_never_holds_more_than_tensorboard_keeps(tmp_path):
    with recorder(tmp_path) as found:
        for step in range(1, 20 * SEALED_ROWS):
            found.step(step)
    counts: dict[str, int] = {}
    from ckptscope.formats.event_file import read_bytes_of

    (path,) = (tmp_path / "ckptscope").iterdir()
    for item in read_bytes_of(str(path), "ckptscope/"):
        counts[item.tag] = counts.get(item.tag, 0) + 1
    assert max(count for name, count in counts.items() if "/tail/" not in name) <= PER_TAG


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


def test_a_full_disk_is_a_gap_only_if_it_stays_full(tmp_path, monkeypatch):
    """Rows wait for the next try: what was not written for a while is not lost."""
    original, broken = journals.bytes_record, True

    def write(item):
        if broken:
            raise OSError(28, "No space left on device")
        return original(item)

    monkeypatch.setattr(journals, "bytes_record", write)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = recorder(tmp_path)
        for step in range(100):
            found.step(step)
        found.flush()
        broken = False
        for step in range(100, 120):
            found.step(step)
        found.close()
    assert len(told) == 1
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == list(range(120))


def test_more_than_can_wait_is_given_up_and_noted(tmp_path, monkeypatch):
    from ckptscope.recording import recorder as module

    monkeypatch.setattr(module, "_MAX_PENDING_ROWS", 50)
    original, broken = journals.bytes_record, True

    def write(item):
        if broken:
            raise OSError(28, "No space left on device")
        return original(item)

    monkeypatch.setattr(journals, "bytes_record", write)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = recorder(tmp_path)
        for step in range(200):
            found.step(step)
        found.flush()
        broken = False
        found.step(200)
        found.close()
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == list(range(150, 201))
    assert [(gap.first, gap.last) for gap in read.gaps] == [(0, 149)]
    assert read.missing == 150


def test_a_vanishing_directory(tmp_path):
    directory = tmp_path / "logs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = recorder(directory)
        found.step(1)
        found.flush()
        shutil.rmtree(directory)
        for step in range(2, 10):
            found.step(step)
        found.close()


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


def test_a_fork_leaves_the_recording_to_its_parent(tmp_path):
    found = recorder(tmp_path)
    found.step(1)
    child = os.fork()
    if child == 0:
        found.step(99)
        found.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    found.step(2)
    found.close()
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == [1, 2]


def test_a_killed_process_loses_at_most_what_was_not_flushed(tmp_path):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2])\n"
        "from tests.recording.test_recorder import attempt\n"
        "from ckptscope.recording.recorder import Recorder\n"
        "found = Recorder(sys.argv[1], attempt(), flush_interval_s=0.1)\n"
        "for step in range(1, 10**9):\n"
        "    found.step(step); time.sleep(0.0001); print(step, flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    reached, told_at = 0, {}
    for line in child.stdout:
        reached = int(line)
        told_at[reached] = time.monotonic()
        if reached == 5000:
            break
    child.send_signal(signal.SIGKILL)
    child.communicate()
    (read,) = read_recording(str(tmp_path))
    last = int(read.columns["step"][-1])
    assert read.columns["step"].tolist() == list(range(1, last + 1))
    lost_s = told_at[reached] - told_at[last] if last in told_at else 0.0
    assert lost_s < 1.0  # ten times the interval: the machine may be busy


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


def test_closing_twice_and_stepping_after_it_do_no_harm(tmp_path):
    found = recorder(tmp_path)
    found.step(1)
    found.close()
    found.step(2)
    found.close()


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
