"""The runs behind the routes: where they come from, what they cost in memory, and that threads
may ask at once.
"""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from tensorboard.data import provider as providers
from tensorboard_plugin_ckptscope.roots import Root, roots_of
from tensorboard_plugin_ckptscope.store import Store

from ckptscope.formats.event_file import read_bytes_of
from tests import samples
from tests.runs.made import at, record, restarted


@pytest.mark.parametrize(
    ("logdir", "spec", "expected"),
    [
        ("logs", "", [(None, "{cwd}/logs", True)]),
        ("/a/b", "x:y", [(None, "/a/b", True)]),
        ("", "one:/a,two:b", [("one", "/a", True), ("two", "{cwd}/b", True)]),
        ("", "/a,b", [(None, "/a", True), (None, "{cwd}/b", True)]),
        ("", "", []),
        ("gs://bucket/run", "", [(None, "gs://bucket/run", False)]),
        (
            "",
            "a:gs://bucket/run,s3://other",
            [("a", "gs://bucket/run", False), (None, "s3://other", False)],
        ),
        ("~", "", [(None, "{home}", True)]),
    ],
)
def test_roots(tmp_path, monkeypatch, logdir, spec, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    found = roots_of(logdir, SimpleNamespace(logdir_spec=spec))
    filled = [
        (name, path.format(cwd=tmp_path, home="/home/me"), local) for name, path, local in expected
    ]
    assert [(root.name, root.path, root.is_local) for root in found] == filled


def settled(store: Store) -> Store:
    store._last_scan_s = -1e9
    store.refresh(wait_s=30)
    return store


def test_memory_is_bounded_and_given_up_runs_come_back(tmp_path):
    for number in range(6):
        record(tmp_path / f"run{number}", range(1, 10_001))
    each = 10_000 * 5 * 8
    store = settled(Store((Root(None, str(tmp_path)),), None, memory_nbytes=2 * each + 1000))
    assert len(store.summaries()) == 6
    assert store.nbytes <= 2 * each + 1000
    for number in (0, 5, 0, 3):
        assert store.run(f"run{number}").history.attempts[0].num_rows == 10_000
        assert store.nbytes <= 2 * each + 1000


def test_a_run_that_was_given_up_is_not_read_again_for_the_list(tmp_path, monkeypatch):
    from tensorboard_plugin_ckptscope import store as stores

    for number in range(4):
        record(tmp_path / f"run{number}", range(1, 2001))
    store = settled(Store((Root(None, str(tmp_path)),), None, memory_nbytes=1))
    read = []
    real = stores.read_run
    monkeypatch.setattr(
        stores,
        "read_run",
        lambda place, *rest, **more: read.append(place.name) or real(place, *rest, **more),
    )
    settled(store)
    assert read == []
    record(tmp_path / "run2", range(2001, 2005), start=at(8000), restored_step=2000)
    settled(store)
    assert read == ["run2"]
    assert {summary.name: summary.num_steps for summary in store.summaries()}["run2"] == 2004


def test_many_threads_ask_at_once(tmp_path):
    for number in range(5):
        restarted(tmp_path / f"run{number}", 20, 23, 25, at(100))
    store = Store((Root(None, str(tmp_path)),), None, memory_nbytes=100_000)
    problems = []

    def ask(seed: int) -> None:
        try:
            for turn in range(20):
                store.refresh(wait_s=0.01)
                assert store.run(f"run{(seed + turn) % 5}").history.attempts[0].num_rows == 23
                store.summaries(), store.scan_state()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []


def test_a_run_that_cannot_be_read_is_shown_with_the_reason(tmp_path, monkeypatch):
    from tensorboard_plugin_ckptscope import store as stores

    record(tmp_path / "good", range(1, 5))
    record(tmp_path / "bad", range(1, 5))
    real = stores.read_run

    def read(place, *rest, **more):
        if place.name == "bad" and place.recordings:
            raise ValueError("a fault")
        return real(place, *rest, **more)

    monkeypatch.setattr(stores, "read_run", read)
    found = {
        summary.name: summary
        for summary in settled(Store((Root(None, str(tmp_path)),), None)).summaries()
    }
    assert found["bad"].warnings == ("cannot be read: ValueError: a fault",)
    assert found["good"].num_steps == 4


def test_names_below_a_spec(tab, tmp_path):
    record(tmp_path / "one" / "a", range(1, 5))
    samples.copy("manager_run_221", tmp_path / "two")
    asked = tab("", logdir_spec=f"x:{tmp_path / 'one'},{tmp_path / 'two'}")
    assert sorted(run["name"] for run in asked.settled()["runs"]) == ["manager_run_221", "x/a"]
    assert asked.api("series", run="x/a")["num_steps"] == 4


def test_a_relative_logdir_means_where_tensorboard_started(tab, tmp_path, monkeypatch):
    record(tmp_path / "logs" / "a", range(1, 5))
    monkeypatch.chdir(tmp_path)
    asked = tab("logs")
    monkeypatch.chdir("/")
    assert [run["name"] for run in asked.settled()["runs"]] == ["a"]


def provided(directory, run="remote/ckptscope"):
    """A data provider that holds what event files hold."""
    provider = mock.create_autospec(providers.DataProvider, instance=True)
    items = [
        item
        for path in sorted((directory / "ckptscope").iterdir())
        for item in read_bytes_of(str(path), "ckptscope/")
    ]
    points: dict[str, list] = {}
    for item in items:
        points.setdefault(item.tag, []).append(
            SimpleNamespace(
                step=item.step, wall_time=item.wall_time_s, numpy=np.array(item.data, dtype=object)
            )
        )
    series = {
        tag: SimpleNamespace(max_step=found[-1].step, max_wall_time=found[-1].wall_time)
        for tag, found in points.items()
    }
    provider.list_tensors.return_value = {run: series}
    provider.read_tensors.return_value = {run: points}
    return provider


def test_a_remote_logdir_is_read_through_tensorboard(tab, tmp_path):
    restarted(tmp_path, 20, 23, 25, at(100))
    provider = provided(tmp_path)
    asked = tab("gs://bucket/logs", provider=provider)
    found = asked.settled()
    (run,) = found["runs"]
    assert (run["name"], run["num_steps"], run["num_skipped"]) == ("remote", 28, 20)
    assert "gs://bucket/logs" in found["notes"][0]
    assert asked.api("series", run="remote")["num_steps"] == 28
    asked.plugin.store._last_scan_s = -1e9
    asked.settled()
    assert provider.read_tensors.call_count == 1  # nothing changed
    assert provider.read_tensors.call_args.kwargs["downsample"] > 10**6


def test_a_local_logdir_does_not_ask_the_provider(tab, tmp_path):
    record(tmp_path / "a", range(1, 5))
    provider = mock.create_autospec(providers.DataProvider, instance=True)
    tab(tmp_path, provider=provider).settled()
    assert provider.method_calls == []


def test_activity_is_found_in_the_background(tab, tmp_path):
    empty = tab(tmp_path)
    assert empty.plugin.is_active() is False
    for thread in threading.enumerate():
        if thread.name == "ckptscope-look":
            thread.join(10)
    samples.copy("full_221", tmp_path)
    full = tab(tmp_path)
    deadline = time.monotonic() + 10
    while not full.plugin.is_active() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert full.plugin.is_active() is True
    empty.plugin._looked_s = -1e9
    while not empty.plugin.is_active() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert empty.plugin.is_active() is True  # it looked again


def test_activity_costs_nothing(tab, tmp_path):
    asked = tab(tmp_path)
    start = time.perf_counter()
    for _ in range(1000):
        asked.plugin.is_active()
    assert time.perf_counter() - start < 0.5


def test_what_was_given_up_is_gone(tmp_path):
    """Measured by the arrays themselves, not by the store's own account."""
    import gc
    import weakref

    for number in range(5):
        record(tmp_path / f"run{number}", range(1, 5001))
    store = settled(Store((Root(None, str(tmp_path)),), None, memory_nbytes=1))
    columns = []
    for number in range(5):
        found = store.run(f"run{number}").history.attempts[0].columns["step"]
        columns.append(weakref.ref(found))
        del found
    gc.collect()
    assert sum(column() is not None for column in columns) <= 1
    assert [summary.num_steps for summary in store.summaries()] == [5000] * 5


def test_asking_while_a_search_runs_loses_no_checkpoint(tmp_path, monkeypatch):
    """The directories that a recording claims are known before its run can be read."""
    from tensorboard_plugin_ckptscope import store as stores

    from tests.runs.test_places import put

    put(tmp_path / "ckpts" / "a", "ckpt-1")
    directory = tmp_path / "logs" / "a"
    record(directory, range(1, 3))
    from ckptscope.recording.model import Attempt
    from ckptscope.recording.recorder import Recorder, new_id

    with Recorder(
        str(directory), Attempt(new_id(), time.time()), flush_interval_s=0.02
    ) as recorder:
        recorder.step(1)
        recorder.saved(str(tmp_path / "ckpts" / "a" / "ckpt-1"), 1)
    store = settled(Store((Root(None, str(tmp_path)),), None, memory_nbytes=1))
    record(tmp_path / "other", range(1, 3))
    store.run("other") if "other" in {summary.name for summary in store.summaries()} else None
    real = stores.runs_of

    def asked_meanwhile(found, claims, name):
        entry = store._entries.get("logs/a")
        if entry is not None:
            with entry.lock:
                entry.run = None
            assert len(store.run("logs/a").checkpoints) == 1
        return real(found, claims, name)

    monkeypatch.setattr(stores, "runs_of", asked_meanwhile)
    settled(store)
    assert len(store.run("logs/a").checkpoints) == 1


def test_two_roots_may_hold_runs_of_one_name(tab, tmp_path):
    record(tmp_path / "a" / "run", range(1, 4))
    record(tmp_path / "b" / "run", range(1, 6))
    found = tab("", logdir_spec=f"{tmp_path / 'a'},{tmp_path / 'b'}").settled()
    assert sorted((run["name"], run["num_steps"]) for run in found["runs"]) == [
        ("run", 3),
        ("run (2)", 5),
    ]


def test_a_link_beside_a_checkpoint_is_not_served(tab, tmp_path):
    import os

    outside = samples.copy("full_221", tmp_path / "outside")
    run = samples.copy("manager_run_221", tmp_path / "logs")
    os.symlink(outside, run / "ckpt-4")
    asked = tab(tmp_path / "logs")
    asked.settled()
    row = asked.api("checkpoints", run=run.name)["history"][0]
    assert asked.api("inspect", id=row["id"], variables="false")["checkpoint"]["step"] == 4
    # What becomes a link after the search is not followed either.
    (run / "ckpt-4.index").unlink()
    os.symlink(outside / "ckpt-1.index", run / "ckpt-4.index")
    assert asked.get("api/v1/inspect", id=row["id"]).status_code == 404


def test_a_run_that_was_not_found_yet_is_not_called_missing(tab, tmp_path, monkeypatch):
    from tensorboard_plugin_ckptscope import store as stores

    begun = threading.Event()
    monkeypatch.setattr(stores, "search", lambda *_: begun.wait(20))
    asked = tab(tmp_path)
    monkeypatch.setattr(asked.plugin.store, "refresh", lambda wait_s=0.0: None)
    asked.plugin.store._idle.clear()
    response = asked.get("api/v1/series", run="x")
    assert response.status_code == 503 and "try again" in response.get_data(as_text=True)
    begun.set()


@pytest.mark.parametrize("sample", ["manager_run_221", "savedmodel_215", "backup_215", "steps"])
def test_damage_is_seen_wherever_the_files_lie(tmp_path, sample):
    """Below ``variables``, ``chief`` and directories of one step, too, and also where size and
    time stay as they are.
    """
    import os
    import shutil

    if sample == "steps":
        for step in (10, 20):
            shutil.copytree(samples.ROOT / "full_221", tmp_path / "run" / str(step))
    else:
        samples.copy(sample, tmp_path)
    store = settled(Store((Root(None, str(tmp_path)),), None))
    (before,) = store.summaries()
    assert before.verdicts["impossible"] == 0
    path = sorted(tmp_path.rglob("*.data-*"))[-1]
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (after,) = settled(store).summaries()
    assert after.verdicts["impossible"] == 1
