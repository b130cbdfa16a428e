"""The first example of the next batch: what the source has read, less what is in flight."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from ckptscope.iterator.position import Hints, read_position
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import build_tree
from tests import writers

RECORD = struct.pack("<QI", 4, 0) + b"data" + struct.pack("<I", 0)
ROOT = "Iterator::Root::Prefetch"
OTHER_ORDER = "stages between the source and training change the order"
ELSEWHERE = "it may lie in another pass or file than what is being read"


def told(state, hints=Hints(), files=None):
    """((file, number) of the next record, or why it is not known)."""
    messages = writers.compressed_state(state)
    stored, _ = writers.variant_tensor(messages)
    tree = build_tree(split_records(stored, len(messages), "iterator"))
    position = read_position(tree, hints, files or DataFiles()).position
    found = position.next_record
    if found is None:
        return position.reasons["next_record"]
    assert "next_record" not in position.reasons
    return found.file, found.record_index


def buffered(count, below, size=4):
    """A prefetch that holds so many batches above other stages."""
    state = {ROOT: {"buffer_size": np.int64(count)}}
    for number in range(count):
        state[f"{ROOT}::{number}"] = {
            "status.code": np.int64(0),
            "buffer[0]": np.zeros((size, 3), "float32"),
            "buffer.size": np.int64(1),
        }
    for name, keys in below.items():
        state[f"{ROOT}::{name}"] = {key: np.int64(value) for key, value in keys.items()}
    return state


def in_memory(index):
    return {"BatchV2": {"input_impl_empty": 0}, "BatchV2::TensorSlice": {"index": index}}


def again(passes, index):
    """Batches of a repeated dataset in memory."""
    return {
        "BatchV2": {"input_impl_empty": 0},
        "BatchV2::ForeverRepeat": {"i": passes},
        f"BatchV2::ForeverRepeat[{passes}]::TensorSlice": {"index": index},
    }


OF_40 = Hints(epoch_size=40)


@pytest.mark.parametrize(
    ("state", "hints", "expected"),
    [
        pytest.param(buffered(2, in_memory(36)), Hints(), (None, 28), id="two batches in flight"),
        pytest.param(buffered(0, in_memory(36)), Hints(), (None, 36), id="nothing in flight"),
        pytest.param(buffered(1, in_memory(4)), Hints(), (None, 0), id="the first one"),
        pytest.param(buffered(1, again(1, 8)), OF_40, (None, 4), id="in the second pass"),
        pytest.param(buffered(2, again(1, 4)), OF_40, (None, 36), id="still in the first pass"),
        pytest.param(buffered(0, again(1, 40)), OF_40, (None, 0), id="at the end of a pass"),
        pytest.param(buffered(0, again(1, 36)), Hints(), ELSEWHERE, id="perhaps at its end"),
        pytest.param(
            buffered(0, in_memory(40)), OF_40, "the data may have ended", id="at the end of all"
        ),
        pytest.param(
            buffered(
                1,
                {
                    "BatchV2": {"input_impl_empty": 0},
                    "BatchV2::Shuffle": {"slices_size": 1},
                    "BatchV2::Shuffle::TensorSlice": {"index": 36},
                },
            ),
            Hints(),
            OTHER_ORDER,
            id="shuffled",
        ),
    ],
)
def test_in_memory(state, hints, expected):
    assert told(state, hints) == expected


@pytest.mark.parametrize(
    ("held", "records", "expected"),
    [(1, 10, 6), (2, 10, 2), (0, 10, "another file"), (2, 6, "another file")],
)
def test_in_a_file(tmp_path: Path, held, records, expected):
    file = tmp_path / "part-0.tfrecord"
    file.write_bytes(RECORD * 20)
    below = {
        "BatchV2": {"input_impl_empty": 0},
        "BatchV2::FlatMap": {"element_index": 1},
        "BatchV2::FlatMap::TensorSlice": {"index": 1},
        "BatchV2::FlatMap[0]::TFRecord": {
            "current_file_index": 0,
            "offset": len(RECORD) * records,
        },
    }
    state = buffered(held, below)
    state[f"{ROOT}::BatchV2::FlatMap"]["inputs[0]"] = np.array(str(file).encode(), object)
    found = told(state)
    if isinstance(expected, int):
        assert found == (str(file), expected)
    else:
        assert expected in found
