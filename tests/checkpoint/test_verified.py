"""Values are compared with their checksum before they are shown; verifying covers all that
belongs to a checkpoint.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import ckptscope
from ckptscope.checkpoint.discover import find
from ckptscope.checkpoint.lfs import pointed_nbytes
from ckptscope.checkpoint.verification import verify_all
from ckptscope.errors import CkptscopeError, CorruptCheckpointError, LfsPointerError
from tests import samples, writers

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 52428800\n" % (
    b"0" * 64
)
WHOLE = np.arange(8, dtype="float32").reshape(4, 2)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.fixture
def stored(tmp_path) -> Path:
    """``good``, ``bad`` (one bit flipped), ``parts`` (one bit of its second slice flipped) and
    ``words``.
    """
    bundle = writers.Bundle().array("bad", WHOLE).array("good", WHOLE)
    bundle.sliced("parts", WHOLE, [((0, 2), (0, -1)), ((2, 2), (0, -1))])
    bundle.array("words", np.array([b"one", b"two"], object))
    prefix = bundle.write(tmp_path / "ckpt-1")
    path = tmp_path / "ckpt-1.data-00000-of-00001"
    with find(str(prefix)).open() as checkpoint:
        places = [checkpoint.entry("bad").offset, checkpoint.entry("parts").slices[1][1].offset]
        places.append(checkpoint.entry("words").offset + 8)
    for place in places:
        flip(path, place)
    return tmp_path / "ckpt-1"


@pytest.mark.parametrize("key", ["bad", "parts", "words"])
def test_damaged_values_are_not_shown(stored, key):
    with ckptscope.open(stored) as checkpoint:
        for _ in range(2):
            with pytest.raises(CorruptCheckpointError, match="checksum"):
                checkpoint[key]
        with pytest.raises(CorruptCheckpointError, match="checksum"):
            checkpoint.values(key)
        assert checkpoint["good"].tolist() == WHOLE.tolist()
        assert not checkpoint["good"].flags.owndata


def test_statistics_of_damaged_values_are_null_with_the_reason(stored):
    found = json.loads(ckptscope.inspect(str(stored), stats=True).to_json())
    rows = {row["key"]: row for row in found["variables"]}
    assert rows["good"]["stats"]["max"] == 7
    assert rows["good"]["stats_reason"] is None
    for key, words in (("bad", "checksum"), ("parts", "checksum"), ("words", "not numbers")):
        assert rows[key]["stats"] is None
        assert words in rows[key]["stats_reason"]


def test_a_comparison_lists_damaged_values_as_unreadable(stored, tmp_path):
    other = writers.Bundle().array("bad", WHOLE + 1).array("good", WHOLE + 1)
    other.sliced("parts", WHOLE + 1, [((0, 2), (0, -1)), ((2, 2), (0, -1))])
    other.array("words", np.array([b"one", b"six"], object))
    with ckptscope.diff(str(stored), str(other.write(tmp_path / "ckpt-2"))) as found:
        kinds = {change.key: change.kind for change in found.changes}
    assert kinds == {
        "bad": "unreadable",
        "parts": "unreadable",
        "words": "unreadable",
        "good": "value",
    }


def test_elements_that_no_slice_holds_are_not_shown(tmp_path):
    bundle = writers.Bundle().sliced("w", WHOLE, [((0, 2), (0, -1))])
    with find(str(bundle.write(tmp_path / "c"))).open() as checkpoint:
        with pytest.raises(CorruptCheckpointError, match="holds 4 of 8"):
            checkpoint["w"]
        with pytest.raises(CorruptCheckpointError, match="holds 4 of 8"):
            checkpoint.values("w", 2)


# ------------------------------------------------------------ git-LFS


@pytest.mark.parametrize(
    ("data", "nbytes"),
    [
        (POINTER, 52428800),
        (POINTER.replace(b"\n", b"\r\n"), 52428800),
        (POINTER[:-1], 52428800),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", None),
        (b"x" + POINTER, None),
        (POINTER + b"x" * 1024, None),
        (b"", None),
    ],
)
def test_pointers(data, nbytes):
    assert pointed_nbytes(data) == nbytes


@pytest.mark.parametrize("name", ["ckpt-1.index", "model.ckpt-7"])
def test_a_pointer_instead_of_an_index(tmp_path, name):
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(LfsPointerError, match=r"52,428,800 bytes\): run `git lfs pull`"):
        find(str(tmp_path / name)).open()


def test_a_pointer_instead_of_the_data_is_said_once(tmp_path):
    copy = samples.copy("full_221", tmp_path)
    (path,) = copy.glob("*.data-*")
    path.write_bytes(POINTER)
    with find(str(copy)).open() as checkpoint:
        (damage,) = checkpoint.reader.check(checkpoint.entries, True, None)
        assert (damage.key, damage.file, damage.fatal) == (None, str(path), True)
        assert "git lfs pull" in damage.problem
        with pytest.raises(LfsPointerError, match="git lfs pull"):
            checkpoint["step/.ATTRIBUTES/VARIABLE_VALUE"]
    found = ckptscope.inspect(str(copy))
    assert found.resume.verdict == "impossible"
    assert sum(finding.status == "damaged" for finding in found.resume.findings) == 1
    with pytest.raises(CkptscopeError, match="git lfs pull"):
        ckptscope.diff(str(copy), f"{samples.ROOT}/full_221")


# ------------------------------------------------------------ verify


def verified(path: Path) -> list[tuple[str, bool]]:
    location = find(str(path))
    with location.open() as checkpoint:
        return [(item.kind, item.fatal) for item in verify_all(location, checkpoint)]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("input.ckpt-7.data-00000-of-00001", "checksum"),
        ("input.ckpt-7.index", "index"),
        ("model.ckpt-7.data-00000-of-00001", "checksum"),
    ],
)
def test_verifying_covers_the_input_partner(tmp_path, file, kind):
    copy = samples.copy("estimator_hook_115", tmp_path)
    assert verified(copy) == []
    flip(copy / file, 30)
    assert (kind, True) in verified(copy)


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (lambda d: (d / "model.ckpt-7.meta").write_bytes(b"\xff" * 40), [("meta", True)]),
        (lambda d: (d / "input.ckpt-7.index").unlink(), [("index", True)]),
        (
            lambda d: [
                shutil.copy(d / f"model.ckpt-0{end}", d / f"input.ckpt-7{end}")
                for end in (".index", ".data-00000-of-00001")
            ],
            [("absent", True)],
        ),
        # Another step's partner does not belong to this checkpoint.
        (lambda d: flip(d / "input.ckpt-0.data-00000-of-00001", 9), []),
    ],
)
def test_verifying_covers_what_belongs_to_a_checkpoint(tmp_path, damage, kinds):
    copy = samples.copy("estimator_hook_115", tmp_path)
    damage(copy)
    assert verified(copy) == kinds


def test_verifying_names_missing_slices(tmp_path):
    bundle = writers.Bundle().sliced("w", WHOLE, [((0, 2), (0, -1))])
    assert verified(bundle.write(tmp_path / "c")) == [("absent", True)]
