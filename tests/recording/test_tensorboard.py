"""TensorBoard lists no run for a recording; those of earlier releases, which it does list, come
through its data providers complete with its default flags.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ckptscope.formats.event_file import RecordedBytes
from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.reader import collect_tensors, read_recording
from ckptscope.recording.recorder import Recorder, new_id
from tests.recording.old import old_recording

STEPS, OLD_STEPS = 1_000_000, 200_000
RESTART = 80_000
READING_S = 2.0
NO_LIMIT = 10**9
FLAGS = {
    "logdir_spec": "",
    "reload_interval": 0,
    "reload_multifile": False,
    "reload_multifile_inactive_secs": 86400,
    "max_reload_threads": 1,
    "purge_orphaned_data": True,
    "reload_task": "auto",
    "generic_data": "auto",
    "samples_per_plugin": {},
    "event_file": "",
    "detect_file_replacement": None,
    "load_fast": "auto",
    "window_title": "",
}


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of today."""
    directory = tmp_path_factory.mktemp("run")
    with Recorder(str(directory), attempt(), flush_interval_s=0.2) as recorder:
        for step in range(1, STEPS + 1):
            recorder.step(step)
            if step % 100_000 == 0:
                recorder.saved(str(directory / f"ckpt-{step}"), step)
    return directory


@pytest.fixture(scope="module")
def old_log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two attempts of an earlier release; the second goes on from before the first one's end."""
    directory = tmp_path_factory.mktemp("old")
    old_recording(directory, attempt(), range(1, OLD_STEPS + 1))
    old_recording(directory, attempt(), range(RESTART, RESTART + 5001))
    return directory


def attempt() -> Attempt:
    return Attempt(
        new_id(), time.time(), start=Start(0, 0, 0, 0, "fresh"), batch_size=4, epoch_size=40
    )


def slow(log_dir: Path) -> Any:
    from tensorboard.backend.event_processing import data_ingester

    ingester = data_ingester.LocalDataIngester(argparse.Namespace(**FLAGS, logdir=str(log_dir)))
    ingester.start()
    return ingester


def fast(log_dir: Path) -> Any:
    from tensorboard.data import server_ingester
    from tensorboard.util import grpc_util

    ingester = server_ingester.SubprocessServerDataIngester(
        server_binary=server_ingester.get_server_binary(),
        logdir=str(log_dir),
        reload_interval=0,
        channel_creds_type=grpc_util.ChannelCredsType.LOCAL,
        samples_per_plugin={},
    )
    ingester.start()
    return ingester


def tensors(provider: Any) -> Iterator[RecordedBytes]:
    from tensorboard import context
    from tensorboard.data import provider as providers

    asked = {"experiment_id": "", "plugin_name": "ckptscope"}
    for run in provider.list_tensors(context.RequestContext(), **asked):
        wanted = providers.RunTagFilter(runs=[run])
        found = provider.read_tensors(
            context.RequestContext(), **asked, run_tag_filter=wanted, downsample=NO_LIMIT
        )
        for tag, points in found[run].items():
            for point in points:
                yield RecordedBytes(tag, point.step, point.wall_time, point.numpy.item())


MODES = pytest.mark.parametrize("mode", [slow, fast], ids=["slow", "fast"])


@MODES
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_lists_no_run_for_a_recording(log_dir, old_log_dir, tmp_path, mode):
    """Beside a run of its own, which it lists: 300 recordings would empty its Time Series."""
    from tensorboard import context

    for number in range(5):
        (tmp_path / f"run{number}").symlink_to(log_dir)
    (tmp_path / "old").symlink_to(old_log_dir)
    for number in range(5):
        with Recorder(str(tmp_path / f"new{number}"), attempt()) as recorder:
            recorder.step(1)
    old_recording(tmp_path / "seen", attempt(), [1])
    ingester = mode(tmp_path)
    deadline, runs = time.monotonic() + 60, []
    # Slow loading lists its runs one after the other.
    while not {"seen/ckptscope", "old/ckptscope"} <= set(runs) and time.monotonic() < deadline:
        found = ingester.data_provider.list_runs(context.RequestContext(), experiment_id="")
        runs = [run.run_name for run in found]
    assert "seen/ckptscope" in runs
    assert {run.partition("/")[0] for run in runs} <= {"seen", "old"}


@MODES
@pytest.mark.filterwarnings("ignore")
def test_nothing_of_an_old_recording_is_lost_in_tensorboard(old_log_dir, mode):
    ingester = mode(old_log_dir)
    deadline = time.monotonic() + 60
    found = ()
    while sum(item.num_rows for item in found) < OLD_STEPS + 5001 and time.monotonic() < deadline:
        found = collect_tensors(tensors(ingester.data_provider))
    assert_old(found)


def test_old_recordings_are_read(old_log_dir):
    assert_old(read_recording(str(old_log_dir)))


def assert_old(found) -> None:
    assert [item.num_rows for item in found] == [OLD_STEPS, 5001]
    assert np.array_equal(found[0].columns["step"], np.arange(1, OLD_STEPS + 1))
    assert np.array_equal(found[1].columns["step"], np.arange(RESTART, RESTART + 5001))
    assert all(item.missing == 0 and not item.problems for item in found)


def test_old_and_new_recordings_in_one_directory(tmp_path):
    old_recording(tmp_path, attempt(), range(1, 11))
    with Recorder(str(tmp_path), attempt()) as recorder:
        for step in range(11, 16):
            recorder.step(step)
    assert [item.num_rows for item in read_recording(str(tmp_path))] == [10, 5]


def test_our_own_reader_is_fast(log_dir):
    start = time.process_time()
    (found,) = read_recording(str(log_dir))
    assert time.process_time() - start < READING_S
    assert np.array_equal(found.columns["step"], np.arange(1, STEPS + 1))
    assert len(found.checkpoints) == 10 and found.missing == 0
    (path,) = (log_dir / "ckptscope").iterdir()
    assert path.stat().st_size / STEPS < 4
