"""The one file for old machines: it stands alone, fits Python 3.7, and writes what the package reads."""

from __future__ import annotations

import ast
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.formats.checksum import masked_crc32c
from ckptscope.formats.event_file import RecordedBytes, frame, read_bytes_of
from ckptscope.recording import columns, portable
from ckptscope.recording.columns import Chunk, decode, encode
from ckptscope.recording.portable import layout
from ckptscope.recording.portable.__main__ import MODULES
from ckptscope.recording.reader import read_recording

SOURCE = Path(portable.__file__).parent


@pytest.fixture(scope="module")
def one_file(tmp_path_factory) -> Path:
    """What a user copies, made by the command of the documentation."""
    path = tmp_path_factory.mktemp("copied") / "ckptscope_portable.py"
    with path.open("w") as file:
        subprocess.run([sys.executable, str(SOURCE)], stdout=file, check=True)
    return path


def test_all_modules_are_in_it():
    names = {path.stem for path in SOURCE.glob("*.py")} - {"__main__"}
    assert sorted(MODULES) == sorted(names)


def test_it_stands_alone_and_fits_old_python(one_file):
    tree = ast.parse(one_file.read_text(), feature_version=(3, 7))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [item.name for item in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - set(sys.stdlib_module_names) == {"tensorflow", "google_crc32c"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


def test_no_name_is_that_of_two_modules(one_file):
    tree = ast.parse(one_file.read_text())
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = Counter(node.name for node in tree.body if isinstance(node, kinds))
    names.update(
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    )
    assert [name for name, count in names.items() if count > 1] == []


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
import ckptscope_portable
with ckptscope_portable.record(sys.argv[2], batch_size=4, epoch_size=40) as recorder:
    for step in range(1, 101):
        recorder.step(step)
assert not {"numpy", "tensorflow", "ckptscope", "google_crc32c"} & set(sys.modules)
"""


def test_it_records_without_any_package(one_file, tmp_path):
    """``-S``: no site-packages."""
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALONE, str(one_file.parent), str(tmp_path)], check=True
    )
    (read,) = read_recording(str(tmp_path))
    assert read.columns["step"].tolist() == list(range(1, 101))
    assert (read.attempt.batch_size, read.attempt.start.source, read.problems) == (4, "fresh", ())


def test_its_columns_are_those_of_the_reader():
    assert (layout.COLUMNS, layout.UNKNOWN) == (columns.COLUMNS, columns.UNKNOWN)


@given(st.lists(st.tuples(*[st.integers(-1, 2**53)] * 5), min_size=1, max_size=50))
def test_its_rows_are_those_of_the_reader(rows):
    data = layout.encode_rows("abc", 7, rows)
    table = np.array(rows, np.int64)
    ours = Chunk("abc", 7, {name: table[:, n] for n, name in enumerate(columns.COLUMNS)})
    assert data == encode(ours)
    assert decode(data).num_rows == len(rows)


@given(st.binary(max_size=300))
def test_its_records_are_framed_as_the_reader_wants(data):
    assert layout._frame(data) == frame(data)


@given(st.binary(max_size=300), st.integers(0, 2**62), st.text(max_size=300))
def test_its_records_come_back(tmp_path_factory, data, step, name):
    path = tmp_path_factory.mktemp("records") / "f"
    tag = f"ckptscope/{name}"
    path.write_bytes(layout.version_record(1.0) + layout.bytes_record(tag, step, 2.0, data))
    assert list(read_bytes_of(str(path), "ckptscope/")) == [RecordedBytes(tag, step, 2.0, data)]


@given(st.binary(max_size=200))
def test_its_own_checksum_is_the_usual_one(data):
    """What is computed where google_crc32c is not installed."""
    table = layout._crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF
    assert struct.pack("<I", masked) == masked_crc32c(data).to_bytes(4, "little")


# ------------------------------------------------------------------------------------------ loops


def test_checkpoints_of_a_loop_get_run_records(tmp_path):
    from ckptscope.checkpoint.run_record import read_run_record

    prefix = tmp_path / "ckpt-1"
    with portable.record(str(tmp_path), batch_size=4, checkpoint_dir=str(tmp_path)) as recorder:
        for step in range(1, 11):
            recorder.step(step * 2)
            if step == 6:
                Path(f"{prefix}.index").write_bytes(b"an index")
                (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n')
    (read,) = read_recording(str(tmp_path))
    # Its number is no step: it was noticed behind the sixth of them.
    assert [(saved.step, saved.sequence) for saved in read.checkpoints] == [(12, 6)]
    found, problem = read_run_record(str(prefix))
    assert problem is None and found is not None
    assert (found.attempt, found.step, found.counted_batches) == (read.attempt.id, 12, 6)

    with portable.record(str(tmp_path), batch_size=4, restored_from=str(prefix)) as recorder:
        recorder.step(14)
    again = read_recording(str(tmp_path))[1].attempt
    assert (again.restored_step, again.parent) == (12, read.attempt.id)
    assert again.start.batches is None and again.start.reason


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('model_checkpoint_path: "ckpt-5"\nall_model_checkpoint_paths: "ckpt-4"\n', "ckpt-5"),
        (r'model_checkpoint_path: "a \"b\" \303\274-5"' + "\n", 'a "b" ü-5'),
        ("", None),
        ("model_checkpoint_path: ckpt-5\n", None),
        ('model_checkpoint_path: "ckpt-5\n', None),
    ],
)
def test_state_files(tmp_path, text, name):
    (tmp_path / "checkpoint").write_text(text)
    found = portable.checkpoints.latest_checkpoint(str(tmp_path / "checkpoint"))
    assert found == (None if name is None else str(tmp_path / name))


@pytest.mark.parametrize(
    ("start", "sizes", "examples"),
    [
        (9, {"batch_size": 4, "epoch_size": 20}, [13, 17, 20]),
        (8, {"batch_size": 4}, [12, 16, 20, 24]),
    ],
)
def test_data_that_begins_later(tmp_path, start, sizes, examples):
    from ckptscope.recording.positions import positions_of

    with portable.record(str(tmp_path), start=start, **sizes) as recorder:
        for step in range(1, len(examples) + 1):
            recorder.step(step)
    (read,) = read_recording(str(tmp_path))
    assert positions_of(read).examples.tolist() == examples
    assert read.attempt.start.source == "given"


def test_later_passes_of_data_that_begins_later_are_not_guessed(tmp_path):
    with portable.record(str(tmp_path), start=9, batch_size=4, epoch_size=20) as recorder:
        for step in range(1, 6):
            recorder.step(step)
    (read,) = read_recording(str(tmp_path))
    assert read.attempt.start.batches is None
    assert "repeated" in (read.attempt.start.reason or "")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", (0, 1)),
        ("not JSON", (0, 1)),
        ("[]", (0, 1)),
        (
            '{"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 1}}',
            (1, 2),
        ),
        (
            '{"cluster": {"chief": ["c"], "worker": ["a", "b"], "ps": ["p"]},'
            ' "task": {"type": "worker", "index": 0}}',
            (1, 3),
        ),
        ('{"cluster": {"chief": ["c"]}, "task": {"type": "evaluator", "index": 0}}', (0, 1)),
    ],
)
def test_tasks_of_a_cluster(monkeypatch, config, expected):
    monkeypatch.setenv("TF_CONFIG", config)
    assert portable.attempt.task_of_this_process() == expected
