"""Faults injected into the recorder: the training goes on with one warning, and what is lost is
what the documentation says.
"""

from __future__ import annotations

import copy
import errno
import io
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ckptscope.recording import run_recorder
from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.portable import journal, loop, writer
from ckptscope.recording.portable.guard import whole_number
from ckptscope.recording.reader import read_recording
from ckptscope.recording.recorder import Recorder, new_id
from tests.command import ROOT


def recorder(directory: Path, **arguments) -> Recorder:
    attempt = Attempt(new_id(), time.time(), start=Start(0, 0, 0, 0, "fresh"), batch_size=4)
    return Recorder(str(directory), attempt, **{"flush_interval_s": 30.0, **arguments})


def steps_of(directory: Path) -> list[int]:
    (read,) = read_recording(str(directory))
    return read.columns["step"].tolist()


# ------------------------------------------------------------------------------------------ disks


@dataclass
class Disk:
    """A disk on which so many bytes are free; a write that does not fit takes a part."""

    free: int

    def open(self, path: str, mode: str, buffering: int) -> io.FileIO:
        assert buffering == 0
        disk = self

        class File(io.FileIO):
            def write(self, data) -> int:
                count = min(len(data), disk.free)
                if not count:
                    raise OSError(errno.ENOSPC, "No space left on device")
                disk.free -= count
                return super().write(bytes(data[:count]))

            def truncate(self, size=None) -> int:
                disk.free += os.fstat(self.fileno()).st_size - size
                return super().truncate(size)

        return File(path, mode)


@pytest.fixture
def disk(monkeypatch) -> Disk:
    found = Disk(1 << 30)
    monkeypatch.setattr(journal, "open", found.open, raising=False)
    return found


@pytest.mark.parametrize("room", [0, 1, 40, 300])
@pytest.mark.parametrize("first", [0, 100], ids=["from the start", "later"])
def test_rows_of_a_full_disk_wait_for_the_next_flush(tmp_path, disk, room, first):
    """Also where the last write took a part of its bytes: half a record is taken back."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = recorder(tmp_path)
        for step in range(first):
            found.step(step)
        found.flush()
        if first == 0:
            found.close()
            found = recorder(tmp_path / "new")
            disk.free = room
            time.sleep(0.05)
        disk.free = room
        for step in range(first, first + 300):
            found.step(step, examples=random.randrange(1, 1000))
        found.flush()
        disk.free = 1 << 30
        for step in range(first + 300, first + 400):
            found.step(step)
        found.close()
    assert len(told) == 1 and "No space left" in str(told[0].message)
    assert steps_of(tmp_path if first else tmp_path / "new") == list(range(first + 400))
    files = list((tmp_path / ("" if first else "new") / "ckptscope").iterdir())
    assert len(files) == 1


def test_what_waits_is_written_by_close_without_further_steps(tmp_path, disk):
    with pytest.warns(RuntimeWarning, match="No space left"):
        found = recorder(tmp_path)
        found.flush()
        disk.free = 0
        found.step(1)
        found.saved(str(tmp_path / "ckpt-1"), 1)
        found.flush()
        disk.free = 1 << 30
        found.close()
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == [1]
    assert [saved.step for saved in read.checkpoints] == [1]


def test_more_than_can_wait_is_given_up_and_noted(tmp_path, disk, monkeypatch):
    monkeypatch.setattr(writer, "MAX_PENDING_ROWS", 50)
    with pytest.warns(RuntimeWarning, match="No space left"):
        found = recorder(tmp_path)
        found.flush()
        disk.free = 0
        for step in range(200):
            found.step(step)
        found.flush()
        disk.free = 1 << 30
        found.step(200)
        found.close()
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == list(range(150, 201))
    assert [(gap.first, gap.last) for gap in read.gaps] == [(0, 149)]
    assert read.missing == 150


LIMITED = """
import resource, sys, warnings
from tests.recording.test_faults import recorder
warnings.simplefilter("always")
found = recorder(sys.argv[1])
def steps(first, last):
    for step in range(first, last):
        found.step(step, examples=step * 7919 % 1009)
    found.flush()
steps(0, 500)
size = found._journal._size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
steps(500, 3500)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
steps(3500, 6500)
found.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
def test_the_kernel_takes_a_part_of_a_write(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and done.stderr.count("RuntimeWarning") == 1, done.stderr
    assert steps_of(tmp_path) == list(range(6500))


def test_a_removed_directory_is_noticed_once_and_recording_goes_on(tmp_path):
    with pytest.warns(RuntimeWarning, match="removed") as told:
        found = recorder(tmp_path / "logs")
        for step in range(1, 11):
            found.step(step)
        found.flush()
        shutil.rmtree(tmp_path / "logs")
        for step in range(11, 21):
            found.step(step)
            found.flush()
        found.close()
    assert len(told) == 1
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == list(range(11, 21))
    assert [(gap.first, gap.last) for gap in read.gaps] == [(1, 10)]
    assert read.attempt.batch_size == 4 and read.missing == 10


def test_a_directory_that_is_removed_after_the_last_step_stays_removed(tmp_path):
    found = recorder(tmp_path / "logs")
    found.step(1)
    found.flush()
    shutil.rmtree(tmp_path / "logs")
    found.close()
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("what", ["a file", "read-only"])
def test_where_nothing_can_be_written(tmp_path, what):
    place = tmp_path / "place"
    if what == "a file":
        place.write_text("in the way")
    else:
        (tmp_path / "ckptscope").mkdir()
        place = Path("/proc/self/fd")
    with pytest.warns(RuntimeWarning, match="not fully recorded") as told:
        found = recorder(place, flush_interval_s=0.01)
        for step in range(50):
            found.step(step)
            time.sleep(0.001)
        found.saved("nowhere", 50)
        found.close()
    assert len(told) == 1


# ------------------------------------------------------------------------------------------ values


class Bad:
    def __int__(self):
        raise RuntimeError("asked in a replica")


ODD = (
    None, "x", "5", b"5", 1.5, float("nan"), float("inf"), 2**70, 2**63, -1, -(2**70), True, [],
    [1, 2], {}, object(), Bad(), 1j, np.array([1, 2]), np.float64("nan"),
)  # fmt: skip


@pytest.mark.parametrize("place", ["step", "batches", "examples", "epoch", "saved"])
@pytest.mark.parametrize("value", ODD, ids=[repr(value)[:20] for value in ODD])
def test_an_odd_value_spoils_one_row(tmp_path, place, value):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with recorder(tmp_path) as found:
            for step in range(1, 50):
                if step == 20 and place == "step":
                    found.step(value)
                elif step == 20 and place in ("batches", "examples"):
                    found.step(step, **{place: value})
                elif step == 20 and place == "epoch":
                    found.epoch(value)
                elif step == 20:
                    found.saved(value, 20)
                else:
                    found.step(step)
    assert len(told) <= 1, [str(item.message) for item in told]
    (read,) = read_recording(str(tmp_path))
    got = read.columns["step"].tolist()
    assert [step for step in range(1, 50) if step not in got] in ([], [20])
    assert sorted(set(got)) == got and not read.problems
    if place == "step":
        assert len(told) == 1 and 20 not in got
        # The batch was taken all the same.
        assert read.columns["batches"].tolist()[-1] == 49


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5), (5.0, 5), (np.int64(7), 7), (np.uint8(7), 7), (np.array(3), 3)]
    + [(value, None) for value in ODD],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whole_numbers(value, number):
    assert whole_number(value) == number


def test_numbers_of_several_replicas():
    class Replicas:
        values = (np.int64(12), np.int64(12))

        def __int__(self):
            raise TypeError("int() argument must be a number, not MirroredVariable")

    class Variable:
        """As Keras 3 wraps it."""

        value = Replicas()

        def __int__(self):
            raise TypeError("int() argument must be a number, not MirroredVariable")

    assert whole_number(Replicas()) == whole_number(Variable()) == 12


# ------------------------------------------------------------------------------------------ objects


def test_closing_twice_is_silent_and_steps_after_it_are_one_warning(tmp_path):
    found = recorder(tmp_path)
    found.step(1)
    found.close()
    found.close()
    with pytest.warns(RuntimeWarning, match=r"after close") as told:
        for step in range(2, 10):
            found.step(step)
        found.saved("x", 3)
        assert not found.flush(0.1)
        found.close()
    assert len(told) == 1
    assert steps_of(tmp_path) == [1]


def test_a_warning_that_is_an_error_does_not_stop_the_training(tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = recorder(tmp_path)
        found.step(None)
        found.step(1)
        found.close()
    assert "is not a count" in capfd.readouterr().err
    assert steps_of(tmp_path) == [1]


@pytest.mark.parametrize(
    "made", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_copies_record_nothing(tmp_path, made):
    found = recorder(tmp_path)
    other = made(found)
    with other as again:
        again.step(99)
    other.saved("x", 5)
    other.close()
    found.step(1)
    found.close()
    assert steps_of(tmp_path) == [1]


def test_methods_of_subclasses_are_guarded(tmp_path):
    class Broken(Recorder):
        def step(self, step, *, batches=1, examples=None):
            super().step(step)
            raise RuntimeError("broken")

    attempt = Attempt(new_id(), time.time())
    with pytest.warns(RuntimeWarning, match="broken") as told, Broken(str(tmp_path), attempt) as it:
        it.step(1)
        it.step(2)
    assert len(told) == 1
    assert steps_of(tmp_path) == [1, 2]


def test_a_recorder_that_cannot_be_made_records_nothing(tmp_path, monkeypatch):
    def broken(*arguments, **named):
        raise RuntimeError("cannot be made")

    monkeypatch.setattr(run_recorder.RunRecorder, "__init__", broken)
    monkeypatch.setattr(loop.LoopRecorder, "__init__", broken)
    for record in (run_recorder.record, loop.record):
        with pytest.warns(RuntimeWarning, match="cannot be made") as told:
            found = record(str(tmp_path))
            with found as entered:
                entered.step(1)
                entered.epoch(1)
                entered.saved("x")
        assert len(told) == 1
    assert not list(read_recording(str(tmp_path)))


@pytest.mark.parametrize("log_dir", [None, 7, "\0"])
def test_no_directory_stops_the_training(log_dir):
    for record in (run_recorder.record, loop.record):
        with pytest.warns(RuntimeWarning, match="not fully recorded"), record(log_dir) as found:
            found.step(1)


def test_hosts_are_those_of_the_cluster(tmp_path, monkeypatch):
    cluster = {"worker": ["a:1", "b:1", "c:1"]}
    config = {"cluster": cluster, "task": {"type": "worker", "index": 2}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    for number, facts in enumerate(({}, {"process": 4, "hosts": 9})):
        with run_recorder.record(str(tmp_path / str(number)), **facts) as found:
            found.step(1)
    attempts = [read_recording(str(tmp_path / str(number)))[0].attempt for number in range(2)]
    assert [(found.process, found.hosts) for found in attempts] == [(2, 3), (4, 9)]


# ---------------------------------------------------------------------------------------- processes


def test_a_fork_leaves_the_recording_to_its_parent(tmp_path):
    found = recorder(tmp_path, flush_interval_s=0.02)
    found.step(1)
    child = os.fork()
    if child == 0:
        found.step(99)
        found.saved("x", 99)
        found.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    found.step(2)
    found.close()
    assert steps_of(tmp_path) == [1, 2]


def test_recorders_are_forgotten_when_they_are_closed(tmp_path):
    before = len(writer._living)
    for number in range(20):
        recorder(tmp_path / str(number)).close()
    assert len(writer._living) == before


@pytest.mark.parametrize("name", ["register_at_fork", "fork", "preadv", "pread"])
def test_what_other_systems_lack(tmp_path, name):
    """The module is imported and records where ``os`` has no such function."""
    code = (
        f"import os, hypothesis, numpy, pytest, random, subprocess, threading\ndel os.{name}\n"
        "from tests.recording.test_faults import recorder\n"
        f"found = recorder({str(tmp_path)!r})\n"
        "found.step(1); found.close()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert steps_of(tmp_path) == [1]


LOOP = """
import sys, time
from ckptscope.recording.portable import record
found = record(sys.argv[1], batch_size=8, flush_interval_s=float(sys.argv[2]))
print("go", flush=True)
for step in range(1, int(sys.argv[3]) + 1):
    found.step(step, examples=8)
    if step % 50 == 0:
        print(step, flush=True)
        time.sleep(0.002)
"""
ENDS = {
    "ordinary end": ("", 0),
    "exception": ("raise RuntimeError('out of memory, say')", 1),
    "Ctrl-C": ("raise KeyboardInterrupt", -signal.SIGINT),
    "sys.exit": ("sys.exit(3)", 3),
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_lost_where_nobody_closes(tmp_path, end):
    last, status = ENDS[end]
    done = subprocess.run(
        [sys.executable, "-c", LOOP + last, str(tmp_path), "10", "300"],
        capture_output=True,
        cwd=ROOT,
    )
    assert done.returncode == status, done.stderr
    assert steps_of(tmp_path) == list(range(1, 301))


def test_a_long_pause_is_no_loss(tmp_path):
    """Rows are on disk an interval after their step, whatever the program does meanwhile."""
    child = started(tmp_path, "0.05", "200", "time.sleep(60)")
    try:
        while child.stdout.readline().strip() != "200":
            pass
        deadline = time.monotonic() + 10
        while (read := read_recording(str(tmp_path))) == () or read[0].num_rows < 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        child.kill()
        child.communicate()


def started(directory: Path, interval: str, steps: str, last: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOOP + last, str(directory), interval, steps],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize(("kind", "times"), [(signal.SIGTERM, 10), (signal.SIGKILL, 40)])
def test_a_killed_process_loses_what_was_not_flushed(tmp_path, kind, times):
    """At random moments: the rows are those of the first steps, without a hole."""
    chance = random.Random(int(kind))
    for number in range(times):
        place = tmp_path / str(number)
        child = started(place, "0.01", str(10**9))
        assert child.stdout is not None
        child.stdout.readline()
        told = [(0, time.monotonic())]
        until = time.monotonic() + chance.uniform(0.0, 0.15)
        while time.monotonic() < until:
            told.append((int(child.stdout.readline()), time.monotonic()))
        child.send_signal(kind)
        killed = time.monotonic()
        child.communicate()
        found = read_recording(str(place))
        got = found[0].columns["step"].tolist() if found else []
        assert got == list(range(1, len(got) + 1))
        assert not found or not found[0].problems
        # What was done half a second before the end is there: the interval is a hundredth.
        assert len(got) >= max(step for step, at in told if at <= max(killed - 0.5, told[0][1]))


def test_two_processes_in_one_directory(tmp_path):
    children = [started(tmp_path, "0.01", "500") for _ in range(2)]
    for child in children:
        child.communicate()
        assert child.returncode == 0
    found = read_recording(str(tmp_path))
    assert [item.columns["step"].tolist() for item in found] == [list(range(1, 501))] * 2
    assert len(list((tmp_path / "ckptscope").iterdir())) == 2
