"""What lies in a run's directory besides the checkpoints that a history lists."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope.errors import CheckpointNotFoundError, UnsupportedFormatError
from tests import samples
from tests.command import subprocess_of
from tests.runs.made import record

RUN = samples.ROOT / "manager_run_221"


def copy(directory: Path, *numbers: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        for suffix in ("index", "data-00000-of-00001"):
            shutil.copy(RUN / f"ckpt-{number}.{suffix}", directory)


def told(directory: Path) -> list[tuple[str, str]]:
    """(kind, path below the directory) of all notes."""
    notes = cs.history(str(directory)).notes
    return [(note.kind, str(Path(note.path).relative_to(directory))) for note in notes]


def names(directory: Path) -> list[str]:
    return [str(Path(row.path).relative_to(directory)) for row in cs.history(str(directory)).rows]


CUT = [
    (["ckpt-25.data-00000-of-00001"], ["ckpt-25"]),
    (["ckpt-25.data-00000-of-00002", "ckpt-25.data-00001-of-00002"], ["ckpt-25"]),
    (["ckpt-25_temp/part-00000-of-00001.index"], ["ckpt-25_temp"]),
    (["ckpt-12.index.tempstate123"], ["ckpt-12.index.tempstate123"]),
    (["notes.txt", "data-00000-of-00001"], []),  # of somebody else
]


@pytest.mark.parametrize(("files", "expected"), CUT)
def test_saves_that_did_not_finish_are_named(tmp_path, files, expected):
    copy(tmp_path, 8, 12)
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert names(tmp_path) == ["ckpt-8", "ckpt-12"]
    assert told(tmp_path) == [("unfinished_save", name) for name in expected]


def test_a_whole_run_has_no_notes(tmp_path):
    copy(tmp_path, 8, 12)
    assert told(tmp_path) == []


@pytest.mark.parametrize("below", ["ckpts", "backup/chief"])
def test_the_only_directory_with_checkpoints_is_listed(tmp_path, below):
    copy(tmp_path / below, 8, 12)
    (tmp_path / "logs").mkdir()
    assert names(tmp_path) == [f"{below}/ckpt-8", f"{below}/ckpt-12"]
    assert told(tmp_path) == [("listed_from", below)]


def test_checkpoints_further_down_are_named(tmp_path):
    copy(tmp_path, 8)
    copy(tmp_path / "best", 8, 12)
    assert names(tmp_path) == ["ckpt-8"]
    (note,) = cs.history(str(tmp_path)).notes
    assert note.kind == "checkpoints_below" and "2 checkpoints lie in best/" in note.text


def test_of_several_directories_none_is_chosen(tmp_path):
    copy(tmp_path / "a", 8)
    copy(tmp_path / "b", 12)
    with pytest.raises(CheckpointNotFoundError, match="several directories do: a, b"):
        cs.history(str(tmp_path))
    record(tmp_path, range(1, 5))
    assert names(tmp_path) == []
    assert told(tmp_path) == [("checkpoints_below", "a"), ("checkpoints_below", "b")]


def test_directories_of_one_step_each_are_the_run_itself(tmp_path):
    copy(tmp_path / "step_8", 8)
    copy(tmp_path / "step_12", 12)
    assert names(tmp_path) == ["step_8/ckpt-8", "step_12/ckpt-12"]
    assert told(tmp_path) == []


def test_links_are_not_followed(tmp_path):
    copy(tmp_path / "run", 8)
    copy(tmp_path / "elsewhere", 8)
    (tmp_path / "run" / "link").symlink_to(tmp_path / "elsewhere")
    assert told(tmp_path / "run") == []


def test_a_recording_beside_files_that_are_not_read(tmp_path):
    for name in ("ckpt-01.weights.h5", "backup/latest.weights.h5", "model.keras"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UnsupportedFormatError):
        cs.history(str(tmp_path))
    record(tmp_path, range(1, 5))
    done = subprocess_of("inspect", str(tmp_path), "--all")
    assert done.returncode == 0 and "Recorded: 1 attempt" in done.stdout
    (note,) = json.loads(subprocess_of("inspect", str(tmp_path), "--all", "--json").stdout)["notes"]
    assert note["kind"] == "unread_format"
    for name in ("ckpt-01.weights.h5", "backup/latest.weights.h5", "model.keras"):
        assert name in note["text"]
