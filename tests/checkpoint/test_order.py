"""The order in which the checkpoints of a directory were saved."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ckptscope.checkpoint import order as ordering
from ckptscope.checkpoint.discover import find, in_order
from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.order import number_of, numbers_of, ordered_checkpoints
from ckptscope.checkpoint.state_file import StateFile
from ckptscope.checkpoint.stored_step import Progress, progress_of
from tests import samples, writers

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def save(prefix: Path, **stored: float) -> None:
    """A bundle with these scalars: ``step`` and ``updates`` as integers, ``power`` as Adam's."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    bundle = writers.Bundle().array("w", np.ones(3, "float32"))
    names = {"step": "global_step", "updates": f"optimizer/iter{VALUE}", "power": "beta2_power"}
    for kind, value in stored.items():
        number = np.float32(value) if kind == "power" else np.int64(value)
        bundle.array(names.get(kind, kind), np.asarray(number))
    bundle.write(prefix)


def listing(directory: Path, *names: str, stamps: tuple[float, ...] = ()) -> None:
    lines = [f'model_checkpoint_path: "{names[-1]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    lines += [f"all_model_checkpoint_timestamps: {stamp}" for stamp in stamps]
    (directory / "checkpoint").write_text("\n".join(lines) + "\n")


def order(directory: Path) -> list[str]:
    return [os.path.basename(one.prefix) for one in ordered_checkpoints(str(directory))]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["ckpt-4", "ckpt-12"], [4, 12]),
        (["cp-0010.ckpt", "cp-0020.ckpt"], [10, 20]),
        (["cp-0010.ckpt"], [10]),
        (["model8000", "model14000"], [8000, 14000]),
        (["x-9800.ckpt", "x-10200.ckpt"], [9800, 10200]),
        (["weights.01-0.52", "weights.02-0.48"], [1, 2]),
        (["resnet50-9", "resnet50-10"], [9, 10]),
        (["resnet50", "vgg16"], [None, None]),
        (["step100_v2", "step200_v2"], [100, 200]),
        (["epoch3-100", "epoch4-200"], [100, 200]),
        (["run1_model", "run2_model"], [1, 2]),
        (["loss0.5_step100", "loss0.4_step200"], [100, 200]),
        (["model.ckpt-5-00000-of-00001", "model.ckpt-9-00000-of-00001"], [5, 9]),
        (["weights"], [None]),
        (["v2"], [None]),
    ],
)
def test_numbers_in_names(names, numbers):
    found = numbers_of(names)
    assert [found[name] for name in names] == numbers


def test_a_name_alone():
    assert number_of("a/model.ckpt-7") == number_of("cp-0007.ckpt") == 7


STEPS = {"ckpt-7": 70, "ckpt-8": 80, "ckpt-9": 90, "ckpt-0": 100, "ckpt-1": 110}


@pytest.mark.parametrize(
    ("stored", "listed", "expected"),
    [
        # The list, against the numbers.
        (dict.fromkeys(STEPS), list(STEPS), list(STEPS)),
        # What is not in the list, by what is stored.
        ({name: {"step": at} for name, at in STEPS.items()}, ["ckpt-0", "ckpt-1"], list(STEPS)),
        ({name: {"updates": at} for name, at in STEPS.items()}, ["ckpt-0", "ckpt-1"], list(STEPS)),
        (
            {name: {"power": 0.999**at} for name, at in STEPS.items()},
            ["ckpt-0", "ckpt-1"],
            list(STEPS),
        ),
        # A step that never moves says nothing.
        (
            {name: {"step": 0, "updates": at} for name, at in STEPS.items()},
            ["ckpt-0", "ckpt-1"],
            list(STEPS),
        ),
        # No list: by what is stored, then by numbers.
        ({name: {"step": at} for name, at in STEPS.items()}, [], list(STEPS)),
        (dict.fromkeys(STEPS), [], ["ckpt-0", "ckpt-1", "ckpt-7", "ckpt-8", "ckpt-9"]),
        (
            dict.fromkeys(STEPS),
            ["ckpt-7", "ckpt-8"],
            ["ckpt-0", "ckpt-1", "ckpt-7", "ckpt-8", "ckpt-9"],
        ),
        # The list stands although what is stored says otherwise.
        (
            {"ckpt-1": {"step": 9}, "ckpt-2": {"step": 5}, "ckpt-3": {"step": 7}},
            ["ckpt-1", "ckpt-2"],
            ["ckpt-3", "ckpt-1", "ckpt-2"],
        ),
        ({"b": None, "a": None, "ckpt-1": None}, [], ["a", "b", "ckpt-1"]),
    ],
)
def test_order(tmp_path, stored, listed, expected):
    for name, values in sorted(stored.items()):
        save(tmp_path / name, **(values or {}))
    if listed:
        listing(tmp_path, *listed)
    assert order(tmp_path) == expected
    assert find(str(tmp_path), "-1").prefix == str(tmp_path / expected[-1])
    assert find(str(tmp_path), "-2").prefix == str(tmp_path / expected[-2])


def test_timestamps_of_the_list(tmp_path):
    for name in ("ckpt-1", "ckpt-2", "ckpt-3"):
        save(tmp_path / name)
    listing(tmp_path, "ckpt-1", "ckpt-2", "ckpt-3", stamps=(30.0, 10.0, 20.0))
    assert order(tmp_path) == ["ckpt-2", "ckpt-3", "ckpt-1"]


def test_times_of_files_only_tell(tmp_path):
    for name in ("ckpt-1", "ckpt-2", "ckpt-9"):
        save(tmp_path / name)
    listing(tmp_path, "ckpt-1", "ckpt-2")
    assert not find(str(tmp_path)).remarks
    os.utime(tmp_path / "ckpt-9.index", (1e9, 1e9))
    found = find(str(tmp_path))
    assert order(tmp_path) == ["ckpt-1", "ckpt-2", "ckpt-9"]
    assert [remark.kind for remark in found.remarks] == ["numbers_restart"]
    assert "ckpt-9" in found.remarks[0].text
    assert not found.notes  # what is not newer is not called so


def test_newer_is_said_only_of_what_is(tmp_path):
    for name, step in STEPS.items():
        save(tmp_path / name, step=step)
    listing(tmp_path, "ckpt-0", "ckpt-1")
    assert not find(str(tmp_path)).notes
    save(tmp_path / "ckpt-2", step=120)
    assert ["ckpt-2 is newer" in note for note in find(str(tmp_path)).notes] == [True]


@pytest.mark.parametrize(
    ("step", "name", "told"),
    [
        ("70", "ckpt-7", False),
        ("110", "ckpt-1", False),
        ("7", "ckpt-7", False),
        ("9", "ckpt-8", True),  # stored in ckpt-8; ckpt-9 has the number
    ],
)
def test_step_is_a_stored_step_or_a_number(tmp_path, step, name, told):
    for saved, at in (STEPS | {"ckpt-8": 9}).items():
        save(tmp_path / saved, step=at)
    found = find(str(tmp_path), step)
    assert os.path.basename(found.prefix) == name
    texts = [remark.text for remark in found.remarks if remark.kind == "step_or_number"]
    assert bool(texts) is told
    assert all("ckpt-9, which holds step 90" in text for text in texts)


@pytest.mark.parametrize("large", [False, True])
def test_progress_is_read_from_a_few_bytes(tmp_path, large):
    save(tmp_path / "a", step=7, updates=5, power=0.999**6, save_counter=1)
    bundle = writers.Bundle()
    for number in range(3000 if large else 1):
        bundle.array(f"layer{number:05d}/with/a/long/name", np.ones(1, "float32"))
    bundle.array("global_step", np.asarray(np.int64(7))).write(tmp_path / "b")
    assert progress_of(str(tmp_path / "b"), "tensor_bundle") == Progress(step=7)
    found = progress_of(str(tmp_path / "a"), "tensor_bundle")
    assert (found.step, found.updates) == (7, 5)
    assert found.power == pytest.approx(-6 * np.log(0.999), rel=1e-4)


def test_damaged_steps_are_not_believed(tmp_path):
    save(tmp_path / "a", step=7)
    data = bytearray((tmp_path / "a.data-00000-of-00001").read_bytes())
    for place in range(len(data)):
        data[place] ^= 1
    (tmp_path / "a.data-00000-of-00001").write_bytes(data)
    assert progress_of(str(tmp_path / "a"), "tensor_bundle") == Progress()
    (tmp_path / "a.data-00000-of-00001").unlink()
    assert progress_of(str(tmp_path / "a"), "tensor_bundle") == Progress()
    assert Location(str(tmp_path / "gone"), "tensor_bundle", "", None).stored_step is None


@pytest.mark.parametrize(
    ("sample", "step"), [("full_221", 7), ("saver_v1_115/model.ckpt-7", 7), ("full_24", 7)]
)
def test_steps_of_real_checkpoints(sample, step):
    assert find(f"{samples.ROOT}/{sample}").stored_step == step


def test_directories_of_one_step(tmp_path):
    for number, step in ((1, 30), (2, 10), (3, 20)):
        save(tmp_path / f"epoch-{number}" / "ckpt", step=step)
    found = in_order(find(f"{tmp_path}/epoch-{number}") for number in (1, 2, 3))
    assert [os.path.basename(os.path.dirname(one.prefix)) for one in found] == [
        "epoch-2",
        "epoch-3",
        "epoch-1",
    ]
    assert find(str(tmp_path)).prefix == str(tmp_path / "epoch-1/ckpt")


# ------------------------------------------------------------ state files


@pytest.mark.parametrize(
    ("written", "name", "kinds", "num_notes"),
    [
        ("ckpt-2", "ckpt-2", [], 0),
        (r"C:\\Users\\me\\run\\ckpt-2", "ckpt-2", ["foreign_state_file"], 0),
        (r".\\run\\ckpt-2", "ckpt-2", ["foreign_state_file"], 0),
        (r"\\\\server\\share\\ckpt-2", "ckpt-2", ["foreign_state_file"], 0),
        ("/old/place/ckpt-2", "ckpt-2", [], 1),
        ("ckpt-5", "ckpt-3", [], 1),
    ],
)
def test_paths_of_state_files(tmp_path, written, name, kinds, num_notes):
    for number in (1, 2, 3):
        save(tmp_path / f"ckpt-{number}")
    listing(tmp_path, *(written.replace("ckpt-2", f"ckpt-{n}") for n in (1, 3, 2)), written)
    found = find(str(tmp_path))
    assert os.path.basename(found.prefix) == name
    assert [remark.kind for remark in found.remarks] == kinds
    assert len(found.notes) == num_notes


def test_a_state_file_that_names_another_directory_says_which_is_restored(tmp_path):
    for place in ("here", "there"):
        save(tmp_path / place / "ckpt-3")
    listing(tmp_path / "here", str(tmp_path / "there/ckpt-3"))
    found = find(str(tmp_path / "here"))
    assert found.prefix == str(tmp_path / "here/ckpt-3")
    assert [f"{tmp_path}/there/ckpt-3" in note for note in found.notes] == [True]
    (tmp_path / "link").symlink_to(tmp_path / "there")
    listing(tmp_path / "there", str(tmp_path / "link/ckpt-3"))
    assert not find(str(tmp_path / "there")).notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("what is this\n", "names no latest checkpoint"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 77\n",
            "git lfs pull",
        ),
    ],
)
def test_state_files_that_say_nothing(tmp_path, text, words):
    save(tmp_path / "ckpt-1")
    (tmp_path / "checkpoint").write_text(text)
    found = find(str(tmp_path))
    assert [words in note for note in found.notes] == [True]
    assert words in (StateFile.read(str(tmp_path / "checkpoint")).problem or "")


def test_no_state_file_is_said(tmp_path):
    save(tmp_path / "ckpt-1")
    found = find(str(tmp_path))
    assert [remark.kind for remark in found.remarks] == ["no_state_file"]
    assert "latest_checkpoint finds nothing" in found.chosen_because
    assert not find(f"{samples.ROOT}/savedmodel_215").remarks


@pytest.mark.parametrize(
    "left", ["ckpt-8_temp/part", "ckpt-8.data-00000-of-00001", "ckpt-8_temp_0af3/part"]
)
def test_leftovers_of_a_killed_save(tmp_path, left):
    save(tmp_path / "ckpt-7")
    listing(tmp_path, "ckpt-7")
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).write_bytes(b"x")
    found = find(str(tmp_path))
    assert [(remark.kind, "ckpt-8" in remark.text) for remark in found.remarks] == [
        ("unfinished_save", True)
    ]


@pytest.mark.parametrize(
    ("files", "written", "chosen"),
    [
        (["model.ckpt"], ["model.ckpt"], "model.ckpt"),
        (["model.ckpt", "model.ckpt.meta"], [], "model.ckpt"),
        (
            ["m.ckpt-5-00000-of-00001", "m.ckpt-9-00000-of-00001"],
            ["m.ckpt-9-?????-of-00001", "m.ckpt-5-?????-of-00001"],
            "m.ckpt-5-00000-of-00001",
        ),
    ],
)
def test_v1_checkpoints(tmp_path, files, written, chosen):
    stored = (samples.ROOT / "saver_v1_115/model.ckpt-7").read_bytes()
    for name in files:
        (tmp_path / name).write_bytes(stored)
    if written:
        listing(tmp_path, *written)
    found = find(str(tmp_path))
    assert (found.format, os.path.basename(found.prefix)) == ("sliced_v1", chosen)
    assert not found.notes
    with found.open() as checkpoint:
        assert "global_step" in checkpoint


def test_a_sharded_v1_checkpoint_by_its_prefix(tmp_path):
    stored = (samples.ROOT / "saver_v1_115/model.ckpt-7").read_bytes()
    (tmp_path / "m.ckpt-9-00000-of-00001").write_bytes(stored)
    assert find(f"{tmp_path}/m.ckpt-9").number == 9


def test_many_checkpoints_are_ordered_without_opening_them(tmp_path, monkeypatch):
    """The numbers in names order them then, and nothing else is read."""
    many = ordering._MOST_READ + 1
    for number in range(1, many + 1):
        (tmp_path / f"ckpt-{number}.index").write_bytes(b"")
    monkeypatch.setattr(ordering, "progress_of", lambda *_: pytest.fail("it was opened"))
    numbers = [one.number for one in ordered_checkpoints(str(tmp_path))]
    assert numbers == list(range(1, many + 1))
