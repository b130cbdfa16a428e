"""Runs for the browser's tests, made without TensorFlow."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ckptscope.recording.model import Attempt, SourceFile
from ckptscope.recording.recorder import Recorder, new_id
from tests import samples
from tests.runs.made import FRESH, at, files, record

SAMPLES = [
    "manager_run_221",
    "estimator_plain_215",
    "estimator_hook_reused_115",
    "manager_run_lost_221",
]
MILLION = 1_000_000
RESTARTS = 20
EACH = 48_000
HTML = "<img src=x onerror=parent.document.title=document.title='hit'>"


def preempted(directory: Path) -> None:
    """Killed twice: starts its data over, then skips some."""
    facts = {"files": files(16, 24)}
    first = record(directory, range(1, 24), saves=[10, 20], **facts)
    second = record(
        directory,
        range(21, 45),
        saves=[30, 40],
        start=FRESH,
        parent=first,
        restored_step=20,
        restored_from=str(directory / "ckpt-20"),
        **facts,
    )
    record(
        directory,
        range(41, 61),
        saves=[50, 60],
        start=at(120),
        parent=second,
        restored_step=40,
        restored_from=str(directory / "ckpt-40"),
        **facts,
    )


def evaluated(directory: Path) -> str:
    """Training, an evaluation of its checkpoint, and training that goes on; returns the
    evaluation's id.
    """
    first = record(directory, range(1, 11), saves=[5])
    between = record(directory, range(6, 9), kind="eval", start=FRESH, restored_step=5)
    record(
        directory,
        range(6, 15),
        start=at(20),
        parent=first,
        restored_step=5,
        restored_from=str(directory / "ckpt-5"),
    )
    return between


def many_files(directory: Path, count: int) -> None:
    """As many files, of one record each, all of them read once."""
    record(
        directory,
        range(1, -(-count // 4) + 1),
        saves=[2],
        epoch_size=count,
        files=files(*[1] * count),
    )


def corrupted(directory: Path) -> None:
    """Two attempts; the file of the first one has a byte that is wrong."""
    record(directory, range(1, 9))
    (first,) = (directory / "ckptscope").iterdir()
    record(directory, range(5, 12), start=at(16), restored_step=4)
    data = bytearray(first.read_bytes())
    data[-40] ^= 0xFF
    first.write_bytes(data)


def marked_up(directory: Path) -> None:
    """Whatever can be named is named by markup: checkpoints on disk and in records, data files."""
    source = samples.ROOT / "manager_run_221"
    directory.mkdir(parents=True)
    for path in sorted(source.glob("ckpt-4.*")):
        shutil.copy(path, directory / path.name.replace("ckpt-4", "<i>ckpt<i>-4"))
    attempt = Attempt(
        new_id(),
        time.time(),
        start=FRESH,
        batch_size=4,
        epoch_size=40,
        spans=True,
        order="fixed",
        files=(SourceFile("/data/<b>part<b>", 100, 40),),
    )
    with Recorder(str(directory), attempt, flush_interval_s=0.02) as recorder:
        for step in range(1, 21):
            recorder.step(step)
            if step in (4, 10, 20):
                name = "<i>ckpt<i>-4" if step == 4 else f"<b onmouseover=alert(1)>-{step}"
                recorder.saved(str(directory / name), step)
    record(
        directory,
        range(11, 25),
        start=at(20),
        parent=attempt.id,
        restored_step=10,
        restored_from=str(directory / "<b onmouseover=alert(1)>-10"),
    )


def million(directory: Path) -> None:
    """A million steps, restarted twenty times: the data starts over, or is ahead by some."""
    last = None
    for number in range(RESTARTS + 1):
        begin = number * EACH
        end = MILLION if number == RESTARTS else begin + EACH + 500
        ahead = 640 if number and number % 3 == 0 else 0
        facts = (
            {}
            if last is None
            else {
                "parent": last,
                "restored_step": begin,
                "restored_from": str(directory / f"ckpt-{begin}"),
            }
        )
        last = record(
            directory,
            range(begin + 1, end + 1),
            saves=[min(begin + EACH, end)],
            batch_size=32,
            epoch_size=50_000,
            start=FRESH if number % 2 else at(begin * 32 + ahead, 50_000, 32),
            **facts,
        )
