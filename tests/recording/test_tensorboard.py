"""A million steps through TensorBoard's own data providers, with its default flags: nothing is
thinned out.
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

STEPS = 1_000_000
RESTART = 400_000
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
    """Two attempts; the second goes on from before the first one's end."""
    directory = tmp_path_factory.mktemp("run")
    for first, last in ((1, STEPS), (RESTART, RESTART + 5000)):
        attempt = Attempt(
            new_id(), time.time(), start=Start(0, 0, 0, 0, "fresh"), batch_size=4, epoch_size=40
        )
        with Recorder(str(directory), attempt, flush_interval_s=0.2) as recorder:
            for step in range(first, last + 1):
                recorder.step(step)
    return directory


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


@pytest.mark.parametrize("mode", [slow, fast], ids=["slow", "fast"])
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_lost_in_tensorboard(log_dir, mode):
    ingester = mode(log_dir)
    deadline = time.monotonic() + 60
    found = ()
    while sum(item.num_rows for item in found) < STEPS + 5001 and time.monotonic() < deadline:
        found = collect_tensors(tensors(ingester.data_provider))
    assert [item.num_rows for item in found] == [STEPS, 5001]
    assert np.array_equal(found[0].columns["step"], np.arange(1, STEPS + 1))
    assert np.array_equal(found[1].columns["step"], np.arange(RESTART, RESTART + 5001))
    assert all(item.missing == 0 and not item.problems for item in found)


def test_our_own_reader_is_fast(log_dir):
    start = time.process_time()
    found = read_recording(str(log_dir))
    assert time.process_time() - start < READING_S
    assert [item.num_rows for item in found] == [STEPS, 5001]
    size = sum(path.stat().st_size for path in (log_dir / "ckptscope").iterdir())
    assert size / STEPS < 4
