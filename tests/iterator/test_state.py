from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ckptscope.errors import CkptscopeError, IteratorStateError
from ckptscope.iterator.state import items_of, split_records
from ckptscope.iterator.tree import build_tree
from tests import writers

SHAPES = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3)
VALUES = st.one_of(
    st.sampled_from(("int64", "float32", "bool", "uint8", "int32")).flatmap(
        lambda name: hnp.arrays(name, SHAPES)
    ),
    SHAPES.flatmap(lambda shape: hnp.arrays(object, shape, elements=st.binary(max_size=10))),
)
KEY = st.sampled_from(("index", "seed", "seed2", "buffer[0]", "status.code", "exhausted"))
NAMES = st.sampled_from(
    (
        "Iterator::Root::Prefetch",
        "Iterator::Root::Prefetch::BatchV2",
        "Iterator::Root::Prefetch::0",
        "Iterator::Root::Prefetch::BatchV2::TensorSlice",
        "Iterator::Root::Prefetch::BatchV2::Shuffle:buffer::3",
    )
)
STATES = st.dictionaries(NAMES, st.dictionaries(KEY, VALUES, min_size=1, max_size=4), min_size=1)


def read(messages):
    stored, _ = writers.variant_tensor(messages)
    return split_records(stored, len(messages), "iterator")


def plain(tensor):
    return (tensor.dtype.name, tensor.shape, tensor.values())


def expected(array):
    name = "string" if array.dtype == object else array.dtype.name
    return name, array.shape, array.reshape(-1).tolist()


def same(one, other):
    assert one[:2] == other[:2]
    assert np.array_equal(one[2], other[2], equal_nan=one[0].startswith("float"))


@pytest.mark.parametrize(
    ("write", "encoding"),
    [(writers.named_state, "named"), (writers.compressed_state, "compressed")],
)
@given(state=STATES)
def test_round_trip(write, encoding, state):
    found = read(write(state))
    assert found.encoding == encoding
    assert [record.name for record in found.records] == list(state)
    for record, held in zip(found.records, state.values(), strict=True):
        assert record.keys == tuple(held)
        for tensor, array in zip(record.tensors, held.values(), strict=True):
            same(plain(tensor), expected(np.asarray(array)))
        assert [(item.name, item.key) for item in items_of(record)] == [
            (record.name, key) for key in held
        ]


# TF 1.15 numbers the slots of buffers in the key, never in the name.
TF1_STATES = STATES.map(
    lambda state: {name: held for name, held in state.items() if ":buffer" not in name}
)


@given(TF1_STATES.filter(lambda state: sum(map(len, state.values())) > 1))
def test_single_variant_of_tf1_round_trip(state):
    found = read(writers.single_state(state))
    assert found.encoding == "single"
    (record,) = found.records
    flat = [(name, key, array) for name, held in state.items() for key, array in held.items()]
    assert [(item.name, item.key) for item in items_of(record)] == [
        (name, key) for name, key, _ in flat
    ]
    for tensor, (_, _, array) in zip(record.tensors, flat, strict=True):
        same(plain(tensor), expected(np.asarray(array)))


HASH = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("name", "key", "item"),
    [
        ("Iterator::Root::Range", "i", ("Iterator::Root::Range", "i", False)),
        (f"{HASH}|Iterator::Root::Range", "i", ("Iterator::Root::Range", "i", True)),
        (
            "Iterator::Root::Range",
            f"{HASH}|Iterator::Root::Range:i",
            ("Iterator::Root::Range", "i", True),
        ),
        ("Iterator::Root::Range", "Iterator::Root::Range:i", ("Iterator::Root::Range", "i", False)),
    ],
)
def test_names_of_old_style(name, key, item):
    (record,) = read(writers.named_state({name: {key: np.int64(1)}})).records
    (found,) = items_of(record)
    assert (found.name, found.key, found.hashed) == item


@pytest.mark.parametrize(
    "write", [writers.named_state, writers.compressed_state, writers.single_state]
)
def test_stages_nest_as_their_names_do(write):
    root = "Iterator::Root::Prefetch"
    state = {
        root: {"buffer_size": np.int64(0)},
        f"{root}::BatchV2": {"input_impl_empty": np.int64(0)},
        f"{root}::BatchV2::Zip[0]::Range": {"next": np.int64(3)},
        f"{root}::BatchV2::Zip[1]::TensorSlice": {"index": np.int64(4)},
    }
    tree = build_tree(read(write(state)))
    assert tree.is_legacy == (write is writers.single_state)
    assert [stage.op for stage in tree.root.walk()] == [
        "Prefetch",
        "BatchV2",
        "Zip",
        "Range",
        "TensorSlice",
    ]
    zipped = tree.root.child.child
    assert [number for number, _ in zipped.inputs] == [0, 1]
    assert zipped.inputs[1][1].integer("index") == 4
    assert tree.root.integer("buffer_size") == 0
    assert "buffer_size" in tree.root
    assert tree.root.integer("nothing") is None


@pytest.mark.parametrize(
    ("stored", "count"),
    [
        (b"", 1),
        (b"\x05ab", 1),
        (b"\x02\x0a\x00" + bytes(4) + b"more", 1),
        (b"\x80", 1),
        (b"\xff" * 9 + b"\x01", 1),
        (b"\x01\x0b" + bytes(4), 1),  # a group
    ],
)
def test_no_state(stored, count):
    with pytest.raises(IteratorStateError, match="iterator"):
        split_records(stored, count, "iterator")


def test_more_keys_than_tensors():
    body = writers.text(1, b"tensorflow::Iterator") + writers.text(
        2, b"Iterator::Root::Range@@i@@j"
    )
    (record,) = read([body + writers.text(3, writers.tensor_proto(np.int64(1)))]).records
    with pytest.raises(CkptscopeError, match="1 tensors for 2 keys"):
        record.tensors  # noqa: B018


@given(st.binary(max_size=60), st.integers(1, 3))
def test_any_bytes_end(data, count):
    try:
        records = split_records(data, count, "iterator")
        build_tree(records)
        for record in records.records:
            record.tensors  # noqa: B018
    except CkptscopeError:
        pass


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_messages_end(messages):
    try:
        records = read(messages)
        build_tree(records)
        for record in records.records:
            record.tensors  # noqa: B018
    except CkptscopeError:
        pass
