"""Checkpoints and recordings put together, and read again only where something changed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope import run_history
from ckptscope.resume.commands import resume_command
from ckptscope.runs.moment import moment_of, training_stages
from ckptscope.runs.places import runs_of, search
from ckptscope.runs.reading import Known, read_run
from ckptscope.runs.summary import summary_of
from tests import samples
from tests.runs.made import FRESH, at, only_run, record, restarted


@pytest.fixture
def run_directory(tmp_path) -> Path:
    """Three real checkpoints of steps 4, 8 and 12."""
    return samples.copy("manager_run_221", tmp_path)


def test_rows_are_those_of_the_command_line(run_directory):
    run = only_run(run_directory)
    assert tuple(row.row for row in run.checkpoints) == cs.history(str(run_directory)).rows
    assert [(row.step, row.source, row.attempt_number) for row in run.checkpoints] == [
        (4, "disk", None),
        (8, "disk", None),
        (12, "disk", None),
    ]
    assert len({row.id for row in run.checkpoints}) == 3


def test_what_was_recorded_stands_beside_what_is_there(run_directory):
    record(run_directory, range(1, 13), saves=[4, 8, 10, 12])
    run = only_run(run_directory)
    assert [(row.step, row.source, row.attempt_number) for row in run.checkpoints] == [
        (4, "both", 1),
        (8, "both", 1),
        (10, "recorded", 1),
        (12, "both", 1),
    ]
    gone = run.checkpoints[2]
    assert (gone.id, gone.row.verdict, gone.row.error) == (None, None, None)
    assert "not here (any more)" in gone.row.headline
    assert summary_of(run).verdicts == {
        "exact": 3,
        "approximate": 0,
        "impossible": 0,
        "unreadable": 0,
    }


def test_a_moved_directory_keeps_what_was_recorded(run_directory, tmp_path):
    record(run_directory, range(1, 13), saves=[4, 8, 12])
    moved = tmp_path / "elsewhere" / "run"
    moved.parent.mkdir()
    identities = [row.id for row in only_run(run_directory).checkpoints]
    shutil.move(run_directory, moved)
    run = only_run(moved)
    assert [row.source for row in run.checkpoints] == ["both"] * 3
    assert [row.id for row in run.checkpoints] == identities


def test_a_checkpoint_that_was_written_again(run_directory):
    """The second attempt saves step 8 again: the file is the second one's."""
    record(run_directory, range(1, 9), saves=[8])
    record(run_directory, range(5, 9), saves=[8], start=at(16), restored_step=4)
    run = only_run(run_directory)
    rows = [(row.step, row.source, row.attempt_number) for row in run.checkpoints if row.step == 8]
    assert sorted(rows) == [(8, "both", 2), (8, "recorded", 1)]
    assert any("was written again later" in (row.row.headline or "") for row in run.checkpoints)


def test_only_what_is_new_is_opened_again(run_directory, monkeypatch):
    opened = []
    real = run_history._Judge.side

    def counted(judge, location):
        opened.append(os.path.basename(location.prefix))
        return real(judge, location)

    monkeypatch.setattr(run_history._Judge, "side", counted)
    (place,) = runs_of(search(str(run_directory)), {})
    known = Known()
    first = read_run(place, str(run_directory), known)
    assert opened == ["ckpt-4", "ckpt-8", "ckpt-12"]
    opened.clear()
    assert read_run(place, str(run_directory), known).history.rows == first.history.rows
    assert opened == []
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copy(run_directory / f"ckpt-12{suffix}", run_directory / f"ckpt-16{suffix}")
    again = read_run(place, str(run_directory), known)
    # ckpt-12 has a new neighbour, and the one before is needed for comparing.
    assert opened == ["ckpt-8", "ckpt-12", "ckpt-16"]
    assert again.history.rows == cs.history(str(run_directory)).rows
    opened.clear()
    os.utime(run_directory / "ckpt-8.index", ns=(time.time_ns(), time.time_ns()))
    assert (
        read_run(place, str(run_directory), known).history.rows
        == cs.history(str(run_directory)).rows
    )
    assert opened[:3] == ["ckpt-4", "ckpt-8", "ckpt-12"]


def test_damage_becomes_a_row(run_directory):
    (run_directory / "ckpt-8.index").write_bytes(b"nothing")
    run = only_run(run_directory)
    assert [Path(row.row.path).name for row in run.checkpoints if row.row.error is not None] == [
        "ckpt-8"
    ]
    assert summary_of(run).verdicts["unreadable"] == 1


def test_a_damaged_event_file_is_told_and_the_rest_read(tmp_path):
    record(tmp_path, range(1, 5))
    record(tmp_path, range(3, 7), restored_step=2, start=at(8))
    first, second = sorted((tmp_path / "ckptscope").iterdir())
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 0xFF
    first.write_bytes(data)
    summary = summary_of(only_run(tmp_path))
    (warning,) = [text for text in summary.warnings if first.name in text]
    assert "at byte" in warning and "nothing of this file" in warning and "could be read" in warning
    assert len(summary.attempts) == 2 and summary.attempts[1].num_steps == 4
    assert str(second) not in " ".join(summary.warnings)


def test_summary(tmp_path):
    restarted(tmp_path, 20, 23, 25, FRESH)
    summary = summary_of(only_run(tmp_path))
    assert (summary.num_steps, summary.first_step, summary.last_step) == (28, 1, 25)
    assert (summary.num_repeated, summary.num_skipped) == (20, 0)
    assert (
        summary.costs[0].text
        == "Resumed from attempt 1 at step 20, with its data 80 examples behind that place; "
        "3 steps lost. It read 20 examples again: examples 0..19 of "
        "epoch 0."
    )
    assert summary.newest_s == pytest.approx(time.time(), abs=60)
    assert summary.costs[0].repeat_steps == (21, 25)


def test_one_unknown_loss_makes_the_sum_unknown(tmp_path):
    from ckptscope.recording.model import Start

    restarted(tmp_path, 20, 23, 25, Start(reason="not given"))
    summary = summary_of(only_run(tmp_path))
    assert (summary.num_repeated, summary.num_skipped) == (None, None)
    assert "not known: not given" in summary.costs[0].text


@pytest.mark.parametrize(
    ("step", "expected"),
    [(1, (1, 4, 0, 4)), (10, (10, 40, 0, 40)), (11, (11, 44, 1, 4)), (99, (13, 52, 1, 12))],
)
def test_moments(tmp_path, step, expected):
    identity = record(tmp_path, range(1, 14))
    moment = moment_of(only_run(tmp_path), identity, step)
    assert (moment.step, moment.examples, moment.epoch, moment.examples_into_epoch) == expected
    assert moment.is_effective and moment.reason is None


def test_moments_that_are_not_there(tmp_path):
    identity = record(tmp_path, range(5, 14), start=at(16))
    with pytest.raises(KeyError):
        moment_of(only_run(tmp_path), identity, 4)
    with pytest.raises(KeyError):
        moment_of(only_run(tmp_path), "another", 6)


def test_a_lost_step_is_not_effective_and_a_moment_names_the_checkpoint_before_it(run_directory):
    first = record(run_directory, range(1, 12), saves=[4, 8])
    record(
        run_directory,
        range(9, 13),
        start=at(32),
        restored_from=str(run_directory / "ckpt-8"),
        restored_step=8,
        saves=[12],
    )
    run = only_run(run_directory)
    assert [moment_of(run, first, step).is_effective for step in (8, 9)] == [True, False]
    moment = moment_of(run, first, 7)
    assert moment.checkpoint is not None and moment.checkpoint.step == 4
    stages = training_stages(cs.inspect(moment.checkpoint.row.path))
    assert stages and stages[0].title


def test_commands_by_framework():
    assert resume_command("checkpoint", "/a/ckpt-1") == 'checkpoint.restore("/a/ckpt-1")'
    assert resume_command("saver", '/a/"x"') == r'saver.restore(session, "/a/\"x\"")'
    assert '"/a/export"' in resume_command("saved_model", "/a/export/variables/variables")
    assert '"/a/backup"' in resume_command("keras_backup", "/a/backup/chief/ckpt-1")
    assert '"/a"' in resume_command("estimator", "/a/model.ckpt-7")


@pytest.mark.parametrize("row", samples.JUDGED, ids=lambda row: row["target"])
def test_every_sample_says_why_and_how(row):
    path = str(samples.ROOT / row["target"])
    last = cs.history(os.path.dirname(path) if not os.path.isdir(path) else path).rows[-1]
    if last.verdict == "exact":
        assert (last.why, last.fix) == (None, None)
    elif last.verdict is not None:
        assert last.why
    assert (last.command is None) == (last.verdict in ("impossible", None))
