"""Which runs a directory holds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ckptscope.runs import places
from ckptscope.runs.places import runs_of, search
from ckptscope.runs.reading import Known, claimed_by, read_all, read_attempts
from tests import samples
from tests.runs.made import record


def put(directory: Path, *names: str) -> None:
    """A real checkpoint under other names."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        for suffix in (".index", ".data-00000-of-00001"):
            shutil.copy(
                samples.ROOT / "full_221" / f"ckpt-1{suffix}", directory / f"{name}{suffix}"
            )


def layout_recorded_beside(root: Path) -> None:
    record(root / "a", range(1, 3))
    put(root / "a", "ckpt-1", "ckpt-2")


def layout_recorded_above(root: Path) -> None:
    record(root / "a", range(1, 3))
    put(root / "a" / "ckpts", "ckpt-1")


def layout_bare(root: Path) -> None:
    put(root / "x" / "y", "ckpt-1")
    put(root / "z", "model.ckpt-5")


def layout_root_itself(root: Path) -> None:
    record(root, range(1, 3))
    put(root, "ckpt-1")


def layout_steps(root: Path) -> None:
    for step in (10, 20):
        put(root / "run" / str(step), "ckpt")


def layout_numbered_runs(root: Path) -> None:
    for number in (1, 2):
        put(root / str(number), "ckpt-1", "ckpt-2")


def layout_nested(root: Path) -> None:
    record(root / "outer", range(1, 3))
    record(root / "outer" / "inner", range(1, 3))
    put(root / "outer" / "inner" / "ck", "ckpt-1")
    put(root / "outer" / "other", "ckpt-1")


LAYOUTS = [
    (layout_recorded_beside, {"a": 2}),
    (layout_recorded_above, {"a": 1}),
    (layout_bare, {"x/y": 1, "z": 1}),
    (layout_root_itself, {".": 1}),
    (layout_steps, {"run": 2}),
    (layout_numbered_runs, {"1": 2, "2": 2}),
    (layout_nested, {"outer": 1, "outer/inner": 1}),
]


@pytest.mark.parametrize(
    ("layout", "expected"), LAYOUTS, ids=[layout.__name__[7:] for layout, _ in LAYOUTS]
)
def test_layouts(tmp_path, layout, expected):
    layout(tmp_path)
    assert {run.name: len(run.checkpoints) for run in read_all(search(str(tmp_path)))} == expected


def test_a_recording_claims_the_directory_that_it_wrote_to(tmp_path):
    """Event files under logs/, checkpoints under ckpts/: one run."""
    from ckptscope.recording.model import Attempt
    from ckptscope.recording.recorder import Recorder, new_id

    put(tmp_path / "ckpts" / "a", "ckpt-1")
    with Recorder(
        str(tmp_path / "logs" / "a"), Attempt(new_id(), 1.0), flush_interval_s=0.02
    ) as recorder:
        recorder.step(1)
        recorder.saved(str(tmp_path / "ckpts" / "a" / "ckpt-1"), 1)
    (run,) = read_all(search(str(tmp_path)))
    assert (run.name, [row.source for row in run.checkpoints]) == ("logs/a", ["both"])


def test_every_sample_is_found_as_the_command_line_finds_it():
    import ckptscope as cs

    for run in read_all(search(str(samples.ROOT))):
        listed = [row.path for row in cs.history(run.place.stores[0]).rows]
        assert sorted(row.row.path for row in run.checkpoints) == sorted(listed), run.name


def test_what_is_no_run(tmp_path):
    put(tmp_path / ".hidden", "ckpt-1")
    put(tmp_path / "input", "input.ckpt-5")
    put(tmp_path / "ckpt-5_temp_ab12", "part-0")
    (tmp_path / "ckptscope").mkdir()
    assert list(read_all(search(str(tmp_path)))) == []


def test_links_are_not_followed_and_nothing_outside_is_opened(tmp_path):
    outside, root = tmp_path / "outside", tmp_path / "root"
    put(outside, "ckpt-1")
    put(root / "run", "ckpt-2")
    os.symlink(outside, root / "linked")
    for suffix in (".index", ".data-00000-of-00001"):
        os.symlink(outside / f"ckpt-1{suffix}", root / "run" / f"ckpt-1{suffix}")
    # An index of its own, whose data lies elsewhere.
    shutil.copy(outside / "ckpt-1.index", root / "run" / "ckpt-3.index")
    os.symlink(outside / "ckpt-1.data-00000-of-00001", root / "run" / "ckpt-3.data-00000-of-00001")
    (run,) = read_all(search(str(root)))
    assert [Path(row.row.path).name for row in run.checkpoints] == ["ckpt-2"]


def test_a_link_as_the_root_is_the_root(tmp_path):
    put(tmp_path / "real", "ckpt-1")
    os.symlink(tmp_path / "real", tmp_path / "link")
    (run,) = read_all(search(str(tmp_path / "link")))
    assert len(run.checkpoints) == 1


@pytest.mark.parametrize(("name", "value"), [("MAX_DIRECTORIES", 3), ("MAX_DEPTH", 1)])
def test_the_search_is_bounded(tmp_path, monkeypatch, name, value):
    monkeypatch.setattr(places, name, value)
    put(tmp_path / "a" / "b" / "c" / "d" / "e", "ckpt-1")
    found = search(str(tmp_path))
    assert not found.stores
    assert (found.limit is not None) == (name == "MAX_DIRECTORIES")


def test_a_missing_directory_holds_nothing(tmp_path):
    assert not search(str(tmp_path / "nowhere")).stores


def test_claims_beat_places(tmp_path):
    put(tmp_path / "a" / "ck", "ckpt-1")
    record(tmp_path / "a", range(1, 3))
    record(tmp_path / "b", range(1, 3))
    found = search(str(tmp_path))
    taken = runs_of(found, {str(tmp_path / "a" / "ck"): str(tmp_path / "b")}, "spec")
    assert {place.name: len(place.stores) for place in taken} == {"spec/a": 0, "spec/b": 1}
    assert claimed_by(read_attempts(taken[0], Known(), str(tmp_path))) == set()
