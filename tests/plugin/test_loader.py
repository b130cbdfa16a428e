"""What TensorBoard imports when it starts must not be able to hurt it."""

from __future__ import annotations

import argparse
import importlib.metadata
import json

import pytest
from tensorboard.plugins import base_plugin
from tensorboard_plugin_ckptscope.loader import Loader

from tests.command import python


def test_the_entry_point_is_ours():
    (entry,) = [
        item
        for item in importlib.metadata.entry_points(group="tensorboard_plugins")
        if item.name == "ckptscope"
    ]
    assert entry.load() is Loader


def test_flags_can_be_parsed_empty_and_given():
    parser = argparse.ArgumentParser()
    Loader().define_flags(parser)
    assert parser.parse_args([]).ckptscope_allowed_hosts == ""
    assert parser.parse_args(["--ckptscope_allowed_hosts", "a,b"]).ckptscope_allowed_hosts == "a,b"
    assert "ckptscope" in parser.format_help()


def test_a_context_of_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plugin = Loader().load(base_plugin.TBContext())
    assert plugin is not None
    assert plugin.roots == () and plugin.is_active() is False
    assert plugin.frontend_metadata().es_module_path in plugin.get_plugin_apps()


@pytest.mark.parametrize(
    "broken",
    [
        "numpy",
        "werkzeug",
        "ckptscope",
        "tensorboard.backend",
        "google.protobuf",
        "plotly",
        "pandas",
    ],
)
def test_a_broken_installation_does_not_reach_tensorboard(broken):
    """Each import that may fail does: the loader is imported, and at worst there is no plugin."""
    found = python(f"""
import sys, importlib.abc
from tensorboard.plugins import base_plugin
for name in [name for name in sys.modules if name == {broken!r} or name.startswith({broken!r} + ".")]:
    del sys.modules[name]
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {broken!r} or name.startswith({broken!r} + "."):
            raise RuntimeError("a broken wheel")
sys.meta_path.insert(0, Broken())
from tensorboard_plugin_ckptscope.loader import Loader
plugin = Loader().load(base_plugin.TBContext())
assert plugin is None or plugin.is_active() is False
""")
    assert found.returncode == 0, found.stderr


def test_nothing_imports_tensorflow(tmp_path):
    """All routes, with TensorFlow installed."""
    found = python(
        """
import sys, json
from tests.plugin.conftest import Tab
from tests import samples
tab = Tab(samples.ROOT)
overview = tab.settled()
for run in overview["runs"][:5]:
    for route in ("series", "coverage", "checkpoints"):
        tab.api(route, run=run["name"])
rows = tab.api("checkpoints", run="manager_run_221")["history"]
tab.api("inspect", id=rows[0]["id"]); tab.api("diff", a=rows[0]["id"], b=rows[1]["id"]); tab.get("index.js")
print(json.dumps([name for name in ("tensorflow", "keras", "pandas", "plotly", "pickle5") if name in sys.modules]))
""",
        cwd=__import__("tests.command", fromlist=["ROOT"]).ROOT,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == []


def test_loading_imports_little():
    """What TensorBoard pays at its start: no NumPy, no protobuf, nothing of the library that
    reads.
    """
    found = python("""
import sys
from tensorboard.plugins import base_plugin
from tensorboard.backend import http_util
before = set(sys.modules)
from tensorboard_plugin_ckptscope.loader import Loader
Loader().load(base_plugin.TBContext())
print("\\n".join(sorted(set(sys.modules) - before)))
""")
    loaded = found.stdout.split()
    assert found.returncode == 0 and not {
        "numpy",
        "pandas",
        "plotly",
        "google.protobuf",
        "ckptscope.run_history",
    } & set(loaded)
    assert len(loaded) < 60, loaded
