"""``ckptscope diff`` in its surroundings: git, pipes, files, terminals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import samples
from tests.command import subprocess_of

pytestmark = pytest.mark.usefixtures("in_samples")
RUN = "manager_run_221"


def _git(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = [
        word
        for pair in {
            "user.name": "n",
            "user.email": "e@example.org",
            "diff.ckptscope.textconv": f"{sys.executable} -m ckptscope inspect --format csv",
            "difftool.ckptscope.cmd": f'{sys.executable} -m ckptscope diff "$LOCAL" "$REMOTE" --stat',
        }.items()
        for word in ("-c", "=".join(pair))
    ]
    return subprocess.run(
        ["git", *settings, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(samples.ROOT.parent)},
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed here")
def test_git_shows_checkpoints(tmp_path):
    """The settings of docs/diff.md: textconv for the index, difftool for whole checkpoints."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / ".gitattributes").write_text("*.index diff=ckptscope\n")
    _git(tmp_path, "init", "-q")
    for number in (8, 12):
        for suffix in ("index", "data-00000-of-00001"):
            shutil.copy(samples.ROOT / RUN / f"ckpt-{number}.{suffix}", run / f"model.{suffix}")
        _git(tmp_path, "add", "-A")
        assert _git(tmp_path, "commit", "-qm", str(number)).returncode == 0
    shown = _git(tmp_path, "diff", "HEAD~1", "HEAD").stdout
    assert "+optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE" in shown
    assert "-optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE" in shown
    told = _git(tmp_path, "difftool", "-d", "-t", "ckptscope", "HEAD~1", "HEAD").stdout
    assert told.startswith("DIFFERENT  +4 steps")


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m ckptscope diff {RUN} -v | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("DIFFERENT")
    assert not done.stderr


def test_output_goes_to_a_file_and_nothing_else(tmp_path):
    done = subprocess_of("diff", RUN, "--json", "-o", tmp_path / "diff.json")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert json.loads((tmp_path / "diff.json").read_text())["command"] == "diff"


def _on_a_terminal(code: str, *arguments: str) -> tuple[int, str, str]:
    """(status, stdout, stderr) of a command whose stderr is a terminal and whose bar does not
    wait.
    """
    import pty

    ours, theirs = pty.openpty()
    program = (
        f"import sys, ckptscope.render.progress as p; p._PATIENCE_S = -1\n{code}\nfrom "
        "ckptscope.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        timeout=60,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return done.returncode, done.stdout, shown.decode()


def test_progress_goes_to_the_terminal_and_goes_away():
    status, out, err = _on_a_terminal("", "diff", RUN)
    assert status == 1
    assert out.startswith("DIFFERENT")
    assert "comparing" in err
    assert "/468 bytes" in err
    assert err.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor is shown again, the bar is erased


def test_interrupting_leaves_the_terminal_clean():
    code = (
        "import ckptscope.comparison.measures as m\n"
        "def stop(self):\n"
        "    raise KeyboardInterrupt\n"
        "m.Accumulator.measures = lambda self, numeric=True: stop(self)\n"
    )
    status, out, err = _on_a_terminal(code, "diff", RUN)
    assert (status, out) == (130, "")
    assert "Traceback" not in err
    assert "interrupted" in err.split("\x1b[?25h")[-1]  # told after the cursor is back
