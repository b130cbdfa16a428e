"""Shared fixtures, and how Hypothesis searches.

The same examples are tried in every run; ``CKPTSCOPE_EXPLORE=20 pytest tests`` tries other ones,
twenty times as many."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests import samples
from tests.command import Call, in_process
from tests.example_runs import ExampleRuns

EXPLORE = int(os.environ.get("CKPTSCOPE_EXPLORE", "0"))
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "ckptscope",
    deadline=None,
    database=None,
    derandomize=not EXPLORE,
    max_examples=80 * (EXPLORE or 1),
    suppress_health_check=QUIET,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
settings.load_profile("ckptscope")


@pytest.fixture
def in_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from the samples' directory: their iterators name data files relative to it."""
    monkeypatch.chdir(samples.ROOT)


@pytest.fixture
def call(monkeypatch, capsys) -> Call:
    return in_process(monkeypatch, capsys)


@pytest.fixture(scope="session")
def example_runs(tmp_path_factory) -> ExampleRuns:
    return ExampleRuns(tmp_path_factory)


@pytest.fixture
def damaged(tmp_path) -> str:
    directory = samples.copy("full_221", tmp_path)
    path = directory / "ckpt-1.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return str(directory)
