"""The commands of docs/recording.md, as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope.checkpoint.run_record import read_run_record
from tests.command import ROOT
from tests.recording.test_old_python import OLD, VERSION

PAGE = (ROOT / "docs" / "recording.md").read_text()
COMMANDS = re.findall(
    r"<!-- run -->\n```sh\n(.*?)```(?:\n\n<!-- prints -->\n```text\n(.*?)```)?", PAGE, re.DOTALL
)
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A directory that looks like a checkout, in which ``python`` and ``ckptscope`` are these."""
    for name in ("ckptscope", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "bin").mkdir()
    for name, command in (
        ("python", sys.executable),
        ("ckptscope", f"{sys.executable} -m ckptscope"),
    ):
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def shell(commands: str, directory: Path, python: str | None = None) -> str:
    if python is not None:
        (directory / "bin" / "python").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=directory,
        env={
            **os.environ,
            "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": "" if python else str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_page_has_what_is_tested():
    assert len(COMMANDS) == 4 and sum(bool(prints) for _, prints in COMMANDS) == 3
    assert sorted(FILES) == ["fit.py", "loop.py", "train.py"]
    recipes = re.findall(r"^## (I .*)$", PAGE, re.MULTILINE)
    assert recipes == [
        "I use fit",
        "I have a loop",
        "I have an Estimator",
        "I train on an old machine",
    ]


@pytest.mark.tf
@pytest.mark.parametrize(
    ("commands", "prints"), COMMANDS, ids=[text.strip()[:40] for text, _ in COMMANDS]
)
def test_commands(checkout, commands, prints):
    assert prints in shell(commands, checkout)


@pytest.mark.skipif(
    VERSION is None or VERSION.startswith("2.2") or VERSION > "2.15.9",
    reason="no python3.7 with TensorFlow 1.15 to 2.15 is there, which has Estimators",
)
def test_the_estimator_resumes_in_place(checkout):
    """As on an old machine: the one file beside the script, and nothing else."""
    (checkout / "ckptscope").unlink()
    with (checkout / "ckptscope_portable.py").open("w") as file:
        source = ROOT / "ckptscope" / "recording" / "portable"
        subprocess.run([sys.executable, str(source)], stdout=file, check=True)
    (commands,) = re.findall(r"```sh\n(python train\.py.*?)ckptscope inspect", PAGE, re.DOTALL)
    shell(commands, checkout, OLD)
    history = cs.history(str(checkout / "model"))
    assert [found.columns["step"].tolist() for found in history.attempts] == [
        list(range(1, 121)),
        list(range(121, 201)),
    ]
    (restart,) = history.restarts
    assert (restart.moved, restart.repeated, restart.skipped) == (0, (), ())
    indexes = checkout.glob("model/model.ckpt-*.index")
    models = {int(path.stem.rpartition("-")[2]) for path in indexes} - {0}
    assert {50, 100, 120, 200} <= models
    for step in models:
        record, problem = read_run_record(str(checkout / "model" / f"model.ckpt-{step}"))
        assert problem is None and record is not None and record.step == step
