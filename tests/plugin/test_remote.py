"""Recordings below addresses that are no directories of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tensorboard.compat.tensorflow_stub.io import gfile
from tensorboard_plugin_ckptscope import remote

from tests.runs.made import at, record, restarted

SCHEME = "elsewhere"


class Bucket(gfile.LocalFileSystem):
    """A file system behind addresses ``elsewhere://...``, which counts what is asked of it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.asked = directory, []

    def _local(self, address: str | bytes) -> str:
        address = os.fsdecode(address)
        assert address.startswith(f"{SCHEME}://")
        return os.path.join(self.directory, address.removeprefix(f"{SCHEME}://"))

    def exists(self, filename):
        return super().exists(self._local(filename))

    def read(self, filename, binary_mode=False, size=None, continue_from=None):
        self.asked.append(filename)
        # The parent class asks the global ``exists`` for the local path.
        return super().read(self._local(filename), binary_mode, size, continue_from)

    def listdir(self, dirname):
        return [
            name + "/" * os.path.isdir(os.path.join(self._local(dirname), name))
            for name in os.listdir(self._local(dirname))
        ]

    def isdir(self, dirname):
        return os.path.isdir(self._local(dirname))

    def stat(self, filename):
        return super().stat(self._local(filename))


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Bucket:
    found = Bucket(tmp_path)
    monkeypatch.setitem(gfile._REGISTERED_FILESYSTEMS, SCHEME, found)
    monkeypatch.setattr(remote, "file_system", lambda: gfile)
    return found


def test_recordings_are_found_and_read(bucket, tab, tmp_path):
    restarted(tmp_path / "logs" / "a", 20, 23, 25, at(100))
    record(tmp_path / "logs" / "deep" / "er", range(1, 5))
    asked = tab(f"{SCHEME}://logs")
    found = asked.settled()
    steps = {run["name"]: run["num_steps"] for run in found["runs"]}
    assert steps == {"a": 28, "deep/er": 4}
    assert asked.api("series", run="a")["num_steps"] == 28
    before = len(bucket.asked)
    asked.plugin.store._last_scan_s = -1e9
    asked.settled()
    assert len(bucket.asked) == before  # nothing changed, nothing is fetched
    record(tmp_path / "logs" / "deep" / "er", range(5, 9))
    asked.plugin.store._last_scan_s = -1e9
    assert {run["name"]: run["num_steps"] for run in asked.settled()["runs"]}["deep/er"] == 8
    assert asked.plugin.notes[0].startswith(f"Checkpoints below {SCHEME}://logs are not")


def test_a_file_system_that_nobody_knows_is_a_note(tab):
    asked = tab("nowhere://logs")
    assert asked.settled()["runs"] == []
    assert "fsspec" in asked.plugin.notes[1]


def test_activity_of_a_remote_logdir(bucket, tab, tmp_path):
    (tmp_path / "empty").mkdir()
    asked = tab(f"{SCHEME}://empty")
    asked.plugin._look_now()
    assert asked.plugin.is_active() is False
    record(tmp_path / "empty" / "run", range(1, 5))
    asked.plugin._look_now()
    assert asked.plugin.is_active() is True
