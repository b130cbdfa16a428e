"""Numbers that rest on data files: which ones are read is known, or guessed, or neither."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ckptscope.iterator.position import Hints, read_position
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import build_tree
from tests import writers

RECORD = struct.pack("<QI", 4, 0) + b"data" + struct.pack("<I", 0)


@pytest.fixture
def files(tmp_path):
    """Three files of 10 records."""
    paths = [tmp_path / f"part-{number}.tfrecord" for number in range(3)]
    for path in paths:
        path.write_bytes(RECORD * 10)
    return [str(path) for path in paths]


def tree_at(name, closed, records):
    """A TFRecordDataset of several files that stands in one of them."""
    root = "Iterator::Root::FlatMap"
    state = {
        root: {"element_index": np.int64(closed + 1), "inputs[0]": np.array(name.encode(), object)},
        f"{root}::TensorSlice": {"index": np.int64(closed + 1)},
        f"{root}[{closed}]::TFRecord": {
            "current_file_index": np.int64(0),
            "offset": np.int64(len(RECORD) * records),
        },
    }
    messages = writers.compressed_state(state)
    stored, _ = writers.variant_tensor(messages)
    return build_tree(split_records(stored, len(messages), "iterator"))


def test_a_directory_is_a_guess(files):
    reading = read_position(tree_at(files[1], 1, 4), Hints(), DataFiles())
    assert reading.position.examples_consumed == 14
    assert [guess.code for guess in reading.guesses] == ["FILE_ORDER"]
    assert reading.position.guesses


@pytest.mark.parametrize("name", [None, "gone.tfrecord"])
def test_what_is_not_known_or_not_listed_is_not_told(files, name):
    data_files = DataFiles(may_list=name is not None)
    reading = read_position(tree_at(name or files[1], 1, 4), Hints(), data_files)
    assert reading.position.examples_consumed is None
    assert reading.position.reasons["examples_consumed"]
    assert not reading.assumptions


@pytest.mark.parametrize("may_list", [True, False])
def test_known_files_are_no_guess(files, may_list):
    # Another order than that of the names, and without the last one.
    known = (files[2], files[1])
    reading = read_position(
        tree_at(files[1], 1, 4), Hints(), DataFiles(None, known, may_list=may_list)
    )
    assert (reading.position.examples_consumed, reading.position.epoch_size) == (14, 20)
    assert not reading.assumptions


def test_known_files_in_another_order_tell_nothing(files):
    reading = read_position(tree_at(files[1], 1, 4), Hints(), DataFiles(None, (files[1],)))
    assert reading.position.examples_consumed is None


@pytest.mark.parametrize(("epoch_size", "consumed"), [(30, 14), (24, None), (None, 14)])
def test_a_given_epoch_refutes_the_guess(files, epoch_size, consumed):
    hints = Hints(epoch_size=epoch_size)
    reading = read_position(tree_at(files[1], 1, 4), hints, DataFiles())
    assert reading.position.examples_consumed == consumed
    assert bool(reading.guesses) == (consumed is not None)
