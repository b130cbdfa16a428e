"""The examples, really run and really killed: each once, for all tests that read them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.command import ROOT

NAMES = ("estimator_style", "keras_fit", "plain_loop", "preempted")


@dataclass
class ExampleRuns:
    """Directories and printed output of the examples, by name; run when first asked for."""

    factory: pytest.TempPathFactory
    made: dict[str, tuple[Path, str]] = field(default_factory=dict)

    def __call__(self, name: str) -> tuple[Path, str]:
        if name not in self.made:
            directory = self.factory.mktemp(name)
            done = subprocess.run(
                [sys.executable, str(ROOT / "examples" / f"{name}.py"), str(directory)],
                capture_output=True,
                text=True,
                timeout=300,
                cwd=ROOT,
            )
            assert done.returncode == 0, done.stderr[-2000:]
            self.made[name] = directory, done.stdout
        return self.made[name]
