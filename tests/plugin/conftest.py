"""A plugin as TensorBoard makes it, without a server; and with one, in a real browser."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins import base_plugin
from tensorboard_plugin_ckptscope.plugin import CkptscopePlugin
from werkzeug.test import Client, TestResponse

from tests import samples
from tests.plugin.browser import chromium
from tests.plugin.made_runs import (
    HTML,
    SAMPLES,
    corrupted,
    evaluated,
    many_files,
    marked_up,
    million,
    preempted,
)
from tests.plugin.servers import tensorboard

MOUNT = "/data/plugin/ckptscope"
Made = Callable[..., "Tab"]


def flags(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(
        **{
            "logdir": "",
            "logdir_spec": "",
            "host": None,
            "bind_all": False,
            "ckptscope_allowed_hosts": "",
            **given,
        }
    )


class Tab:
    """The plugin and a client of its routes, as TensorBoard mounts them."""

    def __init__(self, logdir: Path | str, provider: Any = None, **given: Any) -> None:
        told = flags(**{"logdir": str(logdir), **given})
        self.plugin = CkptscopePlugin(
            base_plugin.TBContext(logdir=told.logdir, flags=told, data_provider=provider)
        )
        self.apps = self.plugin.get_plugin_apps()
        self.client = Client(self._mounted)

    def _mounted(self, environ: dict[str, Any], start: Any) -> Any:
        path = environ["PATH_INFO"]
        assert path.startswith(MOUNT), path
        local = path[len(MOUNT) :]
        for pattern, app in self.apps.items():
            if pattern == local or (pattern.endswith("/*") and local.startswith(pattern[:-1])):
                return app(environ, start)
        start("404 NOT FOUND", [])
        return [b""]

    def get(self, route: str, **parameters: Any) -> TestResponse:
        return self.client.get(
            f"{MOUNT}/{route}", query_string=parameters, headers={"Host": "localhost:6006"}
        )

    def api(self, route: str, **parameters: Any) -> Any:
        response = self.get(f"api/v1/{route}", **parameters)
        assert response.status_code == 200, response.get_data(as_text=True)
        return json.loads(response.get_data())

    def settled(self) -> Any:
        """The overview when everything is read."""
        for _ in range(200):
            self.plugin.store.refresh(wait_s=1.0)
            found = self.api("overview")
            if found["scan"]["state"] != "running":
                return found
        raise AssertionError(found["scan"])


@pytest.fixture
def tab() -> Made:
    return Tab


# ------------------------------------------------------------ real browsers


@pytest.fixture(scope="session")
def browser():
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser):
    """The browser; what the console says of our files fails the test."""
    browser.driver.set_window_size(1400, 1000)
    yield browser
    assert browser.errors() == []


@pytest.fixture(scope="session")
def logs(tmp_path_factory) -> Path:
    """Real checkpoints, a recording with restarts, one with a damaged file, and names that are
    markup.
    """
    directory = tmp_path_factory.mktemp("browser") / "logs"
    for name in SAMPLES:
        samples.copy(name, directory)
    preempted(directory / "preempted")
    corrupted(directory / "corrupt")
    marked_up(directory / HTML)
    return directory


@pytest.fixture(scope="session")
def server(logs):
    with tensorboard(logs.parent / "log", "--logdir", str(logs)) as running:
        running.settled()
        yield running


@pytest.fixture(scope="session")
def special(tmp_path_factory):
    """Many files, more of them, an evaluation, and a run of one checkpoint."""
    directory = tmp_path_factory.mktemp("special")
    for name, count in (("seventy", 70), ("many", 2500)):
        many_files(directory / "logs" / name, count)
    evaluated(directory / "logs" / "evaluated")
    keep_only(samples.copy("manager_run_221", directory / "logs"), "ckpt-8")
    with tensorboard(directory / "log", "--logdir", str(directory / "logs")) as running:
        running.settled()
        yield running


def keep_only(run: Path, name: str) -> None:
    for path in run.glob("ckpt-*"):
        if not path.name.startswith(f"{name}."):
            path.unlink()


@pytest.fixture(scope="session")
def long(tmp_path_factory):
    directory = tmp_path_factory.mktemp("million")
    million(directory / "logs" / "long")
    with tensorboard(directory / "log", "--logdir", str(directory / "logs")) as running:
        running.settled()
        yield running
