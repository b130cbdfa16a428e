"""In a real TensorBoard process: loading modes, prefixes, specs, faults of others."""

from __future__ import annotations

import json
import time

import pytest

from tests import samples
from tests.plugin.servers import WITH_TENSORFLOW, tensorboard
from tests.runs.made import FRESH, at, record, restarted

MODES = [("--load_fast", "true"), ("--load_fast", "false")]
IDS = ["fast", "slow"]


@pytest.fixture
def logdir(tmp_path):
    restarted(tmp_path / "logs" / "lost", 20, 23, 25, FRESH)
    samples.copy("manager_run_221", tmp_path / "logs")
    return tmp_path / "logs"


def of_runs(found):
    return {
        run["name"]: (run["num_steps"], run["num_checkpoints"], run["num_repeated"])
        for run in found["runs"]
    }


@pytest.mark.parametrize("mode", MODES, ids=IDS)
def test_both_loading_modes(tmp_path, logdir, mode):
    with tensorboard(tmp_path / "log", "--logdir", str(logdir), *mode) as server:
        assert of_runs(server.settled()) == {"lost": (28, 0, 20), "manager_run_221": (0, 3, 0)}
        assert server.api("health")["loading"] == ("fast" if mode[1] == "true" else "slow")
        # What TensorBoard's own reader would have dropped is there: the steps after the restart's,
        # of the first attempt.
        lines = server.api("series?run=lost&reads=all")["lines"]
        assert [(line["part"], line["step"][-1]) for line in lines] == [
            ("kept", 20),
            ("lost", 23),
            ("kept", 25),
        ]
        listing = json.loads(server.request("data/plugins_listing")[2])["ckptscope"]
        assert listing["enabled"] is True and listing["tab_name"] == "Data position"
        # A step that is written later shows up.
        record(logdir / "late", range(1, 4))
        deadline = time.monotonic() + 20
        while "late" not in of_runs(server.api("overview")) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert of_runs(server.settled())["late"] == (3, 0, 0)


def test_checkpoints_alone_make_the_tab_active(tmp_path):
    samples.copy("manager_run_221", tmp_path / "logs")
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as server:
        deadline = time.monotonic() + 20
        while (
            not (
                active := json.loads(server.request("data/plugins_listing")[2])["ckptscope"][
                    "enabled"
                ]
            )
            and time.monotonic() < deadline
        ):
            time.sleep(0.1)
        assert active is True


def test_prefix_and_relative_logdir(tmp_path, logdir):
    with tensorboard(
        tmp_path / "log", "--logdir", "logs", "--path_prefix", "/foo/bar", cwd=tmp_path
    ) as server:
        assert server.url.endswith("/foo/bar/")
        assert set(of_runs(server.settled())) == {"lost", "manager_run_221"}
        assert server.request("experiment/x/data/plugin/ckptscope/api/v1/overview")[0] == 200


def test_spec(tmp_path, logdir):
    with tensorboard(
        tmp_path / "log", "--logdir_spec", f"a:{logdir / 'lost'},b:{logdir}"
    ) as server:
        assert set(of_runs(server.settled())) == {"a", "b/lost", "b/manager_run_221"}


def test_hosts_and_methods(tmp_path, logdir):
    with tensorboard(tmp_path / "log", "--logdir", str(logdir)) as server:
        path = "data/plugin/ckptscope/api/v1/overview"
        assert server.request(path)[0] == 200
        assert server.request(path, host="evil.example.com:6006")[0] == 403
        assert [
            server.request(path, method=method)[0] for method in ("POST", "PUT", "DELETE", "HEAD")
        ] == [
            405,
            405,
            405,
            200,
        ]
        for name in ("..%2fplugin.py", "%2e%2e/plugin.py", "../plugin.py"):
            assert server.request(f"data/plugin/ckptscope/static/{name}")[0] == 404


@pytest.mark.parametrize("mode", MODES, ids=IDS)
def test_two_writers_and_a_corrupt_file(tmp_path, mode):
    run = tmp_path / "logs" / "run"
    record(run, range(1, 9))
    record(run, range(5, 12), start=at(16), restored_step=4)
    first = min((run / "ckptscope").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(first.read_bytes())
    data[-40] ^= 0xFF
    first.write_bytes(data)
    (run / "events.out.tfevents.1.host").write_bytes(b"\xff" * 100)
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs"), *mode) as server:
        (found,) = server.settled()["runs"]
        assert found["attempts"][1]["num_steps"] == 7
        assert any(first.name in text and "at byte" in text for text in found["warnings"])


@pytest.mark.tf
def test_with_tensorflow_installed(tmp_path, logdir):
    with tensorboard(
        tmp_path / "log", "--logdir", str(logdir), "--load_fast", "false", code=WITH_TENSORFLOW
    ) as server:
        assert set(of_runs(server.settled())) == {"lost", "manager_run_221"}


def test_a_large_recording_is_complete(tmp_path):
    record(tmp_path / "logs" / "long", range(1, 300_001), batch_size=32, epoch_size=50_000)
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as server:
        (found,) = server.settled()["runs"]
        assert (found["num_steps"], found["num_missing"]) == (300_000, 0)
        zoomed = server.api("series?run=long&from=150000&to=150100")
        assert set(range(150_000, 150_101)) <= set(zoomed["lines"][0]["step"])
