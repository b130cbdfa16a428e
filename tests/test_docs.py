"""Commands in the documentation print what stands below them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.command import ROOT

PAGES = ("verdicts.md", "iterators.md")


def examples(page):
    """(command, lines that it should print) of each ``    $ ...`` block of a page."""
    found = []
    for line in (ROOT / "docs" / page).read_text().splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found and found[-1][1] is not None:
            found[-1][1].append(line[4:])
        elif found and found[-1][1] is not None:
            found.append((None, None))  # the block has ended
    return [(command, lines) for command, lines in found if command and lines]


EXAMPLES = [
    pytest.param(command, lines, id=f"{page}-{number}")
    for page in PAGES
    for number, (command, lines) in enumerate(examples(page))
    if not command.endswith('"')  # a program over several lines, whose output is told in a table
]


@pytest.fixture
def environment(tmp_path):
    """One in which ``ckptscope`` is this package."""
    file = tmp_path / "ckptscope"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} -m ckptscope "$@"\n')
    file.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(("command", "lines"), EXAMPLES)
def test_output(command, lines, environment):
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    expected = "\n".join(re.escape(line) if line != "…" else r"[^\0]*?" for line in lines)
    assert re.fullmatch(expected, done.stdout.rstrip("\n")), done.stdout


def test_there_are_examples():
    assert len(EXAMPLES) >= 8
