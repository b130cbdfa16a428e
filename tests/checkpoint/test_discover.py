import shutil
from pathlib import Path

import numpy as np
import pytest

from ckptscope.checkpoint import location as opening
from ckptscope.checkpoint.discover import (
    all_in,
    checkpoints_in,
    find,
    number_of,
    partners_of,
    read_state_file,
)
from ckptscope.errors import (
    CheckpointChangedError,
    CheckpointNotFoundError,
    CkptscopeError,
    UnsupportedFormatError,
)
from tests import samples, writers


def save(prefix: Path, value: int = 0) -> Path:
    prefix.parent.mkdir(parents=True, exist_ok=True)
    writers.Bundle().array("w", np.array([value])).write(prefix)
    return prefix


def state(directory: Path, latest: str, *others: str, name: str = "checkpoint") -> None:
    lines = [
        f'model_checkpoint_path: "{latest}"',
        *(f'all_model_checkpoint_paths: "{other}"' for other in others),
    ]
    (directory / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def run(tmp_path) -> Path:
    """Checkpoints 4, 8, 12, as a manager leaves them; the state file names 8 as the latest."""
    for step in (4, 8, 12):
        save(tmp_path / "run" / f"ckpt-{step}", step)
    state(tmp_path / "run", "ckpt-8", "ckpt-4", "ckpt-8", "ckpt-12")
    return tmp_path / "run"


# ------------------------------------------------------------ forms
# of PATH


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("ckpt-4", "ckpt-4"),
        ("ckpt-4.index", "ckpt-4"),
        ("ckpt-4.data-00000-of-00001", "ckpt-4"),
        ("ckpt-4.meta", "ckpt-4"),
        ("", "ckpt-8"),
        ("checkpoint", "ckpt-8"),
    ],
)
def test_forms(run, form, name):
    (run / "ckpt-4.meta").write_bytes(b"")
    location = find(str(run / form))
    assert location.prefix == str(run / name)
    assert (location.format, location.number) == ("tensor_bundle", int(name[5:]))
    assert location.chosen_because
    with location.open() as checkpoint:
        assert checkpoint["w"].tolist() == [location.number]


def test_trailing_slash_and_relative_path(run, monkeypatch):
    monkeypatch.chdir(run)
    assert find(f"{run}/").prefix == str(run / "ckpt-8")
    assert find(".").number == find("./").number == find("checkpoint").number == 8
    assert find("ckpt-12.index").number == 12


@pytest.mark.parametrize("form", ["model.ckpt-7", "model.ckpt-7.meta", "", "checkpoint"])
def test_v1_files(form):
    location = find(str(samples.ROOT / "saver_v1_115" / form))
    assert (location.prefix, location.format, location.number) == (
        str(samples.ROOT / "saver_v1_115/model.ckpt-7"),
        "sliced_v1",
        7,
    )


def test_reason_names_the_state_file(run):
    assert "state file checkpoint" in find(str(run)).chosen_because


def test_highest_number_without_state_file(run):
    (run / "checkpoint").unlink()
    save(run / "ckpt-100", 100)
    location = find(str(run))
    assert location.number == 100
    assert "highest" in location.chosen_because


def test_only_checkpoint(tmp_path):
    save(tmp_path / "weights")
    location = find(str(tmp_path))
    assert (location.prefix, location.number) == (str(tmp_path / "weights"), None)
    assert "only" in location.chosen_because


def test_state_file_that_names_a_missing_one(run):
    state(run, "ckpt-99")
    location = find(str(run))
    assert location.number == 12
    assert "ckpt-99" in location.chosen_because
    assert any("ckpt-99" in note for note in location.notes)


def test_newer_than_the_state_file_says_is_noted(run):
    assert any("ckpt-12" in note for note in find(str(run)).notes)


def test_moved_directory_with_absolute_paths(run, tmp_path):
    state(run, str(run / "ckpt-12"), str(run / "ckpt-12"))
    assert not find(str(run)).notes
    moved = tmp_path / "moved"
    shutil.move(run, moved)
    location = find(str(moved))
    assert location.prefix == str(moved / "ckpt-12")
    assert any("not there" in note for note in location.notes)


def test_state_file_naming_another_directory(tmp_path):
    save(tmp_path / "elsewhere/ckpt-3")
    save(tmp_path / "here/ckpt-1")
    state(tmp_path / "here", str(tmp_path / "elsewhere/ckpt-3"))
    assert find(str(tmp_path / "here")).prefix == str(tmp_path / "elsewhere/ckpt-3")


def test_state_file_of_the_input_hook():
    directory = samples.ROOT / "estimator_hook_115"
    assert find(str(directory)).prefix.endswith("model.ckpt-7")
    assert find(str(directory / "checkpoint_input")).prefix.endswith("input.ckpt-7")


@pytest.mark.parametrize(
    ("text", "latest", "every"),
    [
        ('model_checkpoint_path: "a b"\n', "a b", ()),
        ('model_checkpoint_path: "a\\"b\\\\c"\n', 'a"b\\c', ()),
        (
            'model_checkpoint_path:"x"\nall_model_checkpoint_paths: '
            '"x"\nall_model_checkpoint_paths: "y"\n',
            "x",
            ("x", "y"),
        ),
        ("", None, ()),
        ("model_checkpoint_path: unquoted", None, ()),
        (
            'model_checkpoint_path: "\\303\\251"',
            "é",
            (),
        ),  # text protobufs escape each byte of UTF-8
    ],
)
def test_state_file_text(tmp_path, text, latest, every):
    (tmp_path / "checkpoint").write_text(text)
    assert read_state_file(str(tmp_path / "checkpoint")) == (latest, every)


# ------------------------------------------------------------ --step


@pytest.mark.parametrize(
    ("step", "number"),
    [("4", 4), ("12", 12), ("latest", 8), (None, 8), ("-1", 12), ("-2", 8), ("-3", 4)],
)
def test_step(run, step, number):
    assert find(str(run), step).number == number
    if step is not None:
        assert find(f"{run}@{step}").number == number


@pytest.mark.parametrize("step", ["5", "-4", "0"])
def test_absent_step_names_those_there(run, step):
    with pytest.raises(CheckpointNotFoundError) as caught:
        find(str(run), step)
    if step == "5":
        assert "4, 8, 12" in str(caught.value)


def test_absent_step_from_the_end_names_those_there(run):
    with pytest.raises(CheckpointNotFoundError, match="4, 8, 12"):
        find(str(run), "-4")


@pytest.mark.parametrize("step", ["x", "1.5", "--1", ""])
def test_step_that_is_no_number(run, step):
    with pytest.raises(CkptscopeError):
        find(str(run), step)


def test_step_needs_a_directory(run):
    with pytest.raises(CkptscopeError, match="directory"):
        find(str(run / "ckpt-4"), "8")


def test_at_sign_in_a_name_is_no_step(tmp_path):
    save(tmp_path / "run@4/ckpt-9")
    assert find(str(tmp_path / "run@4")).number == 9


# ------------------------------------------------------------ directories


def test_saved_model():
    for form in ("", "saved_model.pb"):
        location = find(str(samples.ROOT / "savedmodel_215" / form))
        assert location.is_saved_model
        assert location.prefix == str(samples.ROOT / "savedmodel_215/variables/variables")


def test_backup_directory():
    location = find(str(samples.ROOT / "backup_215"))
    assert location.prefix == str(samples.ROOT / "backup_215/chief/ckpt-2")
    assert "chief" in location.chosen_because


def test_one_directory_for_each_step(tmp_path):
    for step in (2, 10, 9):
        save(tmp_path / str(step) / "ckpt", step)
    location = find(str(tmp_path))
    assert (location.prefix, location.number) == (str(tmp_path / "10/ckpt"), 10)
    assert find(str(tmp_path), "9").number == 9
    assert find(str(tmp_path), "-2").number == 9
    assert [found.number for found in all_in(str(tmp_path))] == [2, 9, 10]


def test_several_directories_are_all_named(tmp_path):
    for name in ("one", "two"):
        save(tmp_path / name / "ckpt-1")
    with pytest.raises(CheckpointNotFoundError, match="one, two"):
        find(str(tmp_path))


def test_directory_with_a_single_run_below(tmp_path):
    save(tmp_path / "logs/ckpt-1")
    assert find(str(tmp_path)).prefix == str(tmp_path / "logs/ckpt-1")


def test_all_in_step_order(run):
    save(run / "ckpt-100")
    assert [location.number for location in all_in(str(run))] == [4, 8, 12, 100]
    assert [location.number for location in all_in(str(run / "ckpt-4"))] == [4, 8, 12, 100]


def test_listing_leaves_partners_and_temporary_files_out():
    found = checkpoints_in(str(samples.ROOT / "estimator_hook_reused_115"))
    assert [location.number for location in found] == [0, 7, 14]
    assert all("model.ckpt" in location.prefix for location in found)


def test_partners():
    directory = samples.ROOT / "estimator_hook_reused_115"
    partners = partners_of(find(str(directory)))
    assert [(partner.step, partner.is_complete) for partner in partners] == [
        (0, True),
        (7, True),
        (14, False),
    ]
    assert "_temp_" in (partners[-1].problem or "")
    assert partners_of(find(str(directory / "input.ckpt-7"))) == []


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("model.ckpt-7", 7),
        ("ckpt-0012", 12),
        ("weights", None),
        ("a/7/weights", None),
        ("ckpt_9", 9),
        ("v2", None),
        ("12", 12),
    ],
)
def test_number_of(name, number):
    assert number_of(name) == number


# ------------------------------------------------------------ nothing
# there


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"hello\nworld\n", "text"),
        ("empty", b"", "empty"),
        ("image", b"\x89PNG\r\n\x1a\n\x00\x01", "no checkpoint"),
    ],
)
def test_other_files(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointNotFoundError, match=words) as caught:
        find(str(tmp_path / name))
    assert caught.value.path == str(tmp_path / name)


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.weights.h5"])
def test_keras_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n")
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(UnsupportedFormatError, match="keras"):
            find(str(path))


@pytest.mark.parametrize(
    "url", ["gs://bucket/run/ckpt-1", "s3://b/ckpt-1", "hdfs://host/run", "https://h/ckpt-1.index"]
)
def test_remote_urls(url):
    with pytest.raises(UnsupportedFormatError, match="remote") as caught:
        find(url)
    assert caught.value.path == url


def test_missing_prefix_names_what_is_nearby(run):
    with pytest.raises(CheckpointNotFoundError, match="ckpt-12") as caught:
        find(str(run / "ckpt-5"))
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("path", ["no/such/place", "no", "no/"])
def test_missing_path(tmp_path, path):
    with pytest.raises(CheckpointNotFoundError, match="exist"):
        find(str(tmp_path / path))


def test_directory_without_checkpoints(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="no checkpoint"):
        find(str(tmp_path))


def test_state_file_alone(tmp_path):
    state(tmp_path, "ckpt-3")
    for path in (tmp_path, tmp_path / "checkpoint"):
        with pytest.raises(CheckpointNotFoundError, match="ckpt-3"):
            find(str(path))


@pytest.mark.parametrize("form", ["ckpt-4", "ckpt-4.data-00000-of-00001", ""])
def test_data_without_index(tmp_path, form):
    save(tmp_path / "ckpt-4")
    (tmp_path / "ckpt-4.index").unlink()
    with pytest.raises(CheckpointNotFoundError, match="index"):
        find(str(tmp_path / form))


def test_all_in_nothing(tmp_path):
    with pytest.raises(CheckpointNotFoundError):
        all_in(str(tmp_path))


# ------------------------------------------------------------ while
# being written


def test_vanished_between_finding_and_opening(run):
    location = find(str(run))
    (run / "ckpt-8.index").unlink()
    with pytest.raises(CheckpointChangedError):
        location.open()


def test_replaced_while_read_is_tried_once_more(run, monkeypatch):
    location = find(str(run))
    good = (run / "ckpt-8.index").read_bytes()
    (run / "ckpt-8.index").write_bytes(good[:20])
    calls = []
    real = opening.open_bundle

    def racing(prefix):
        calls.append(prefix)
        try:
            return real(prefix)
        finally:
            (run / "ckpt-8.index").write_bytes(good)

    monkeypatch.setattr(opening, "open_bundle", racing)
    with location.open() as checkpoint:
        assert checkpoint["w"].tolist() == [8]
    assert len(calls) == 2


def test_steadily_damaged_index_is_no_race(run):
    (run / "ckpt-8.index").write_bytes(b"x" * 100)
    with pytest.raises(CkptscopeError) as caught:
        find(str(run)).open()
    assert not isinstance(caught.value, CheckpointChangedError)
