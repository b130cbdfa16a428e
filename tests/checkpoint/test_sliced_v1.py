from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ckptscope.checkpoint.sliced_v1 import open_sliced
from ckptscope.errors import CkptscopeError, CorruptCheckpointError
from tests import samples, writers

ARRAYS = st.sampled_from(("float32", "float64", "int32", "int64", "uint8", "int8")).flatmap(
    lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=3, max_side=4))
)
WHOLE = ((0, -1),) * 3


@given(
    tensors=st.dictionaries(st.text("ab/", min_size=1, max_size=8), ARRAYS, min_size=1),
    snappy=st.booleans(),
)
def test_round_trip(tmp_path_factory, tensors, snappy):
    path = tmp_path_factory.mktemp("v1") / "model.ckpt-3"
    stored = {name: (array, [WHOLE[: array.ndim]]) for name, array in tensors.items()}
    path.write_bytes(writers.sliced_v1(stored, snappy, block_nbytes=100))
    with open_sliced(str(path)) as checkpoint:
        assert set(checkpoint) == set(tensors)
        assert (checkpoint.format, checkpoint.style) == ("sliced_v1", "name_based")
        for name, array in tensors.items():
            found = checkpoint[name]
            assert (found.dtype, found.shape, found.tobytes()) == (
                array.dtype,
                array.shape,
                array.tobytes(),
            )
            if array.dtype.kind in "iu":
                assert checkpoint.values(name, 3) == array.reshape(-1)[:3].tolist()
        assert checkpoint.reader.check(checkpoint.entries, True, None) == []


def test_slices(tmp_path):
    whole = np.arange(24, dtype="float32").reshape(6, 4)
    slices = [((0, 2), (0, -1)), ((2, 3), (0, -1)), ((5, 1), (0, -1))]
    path = tmp_path / "v1"
    path.write_bytes(writers.sliced_v1({"w": (whole, slices)}, block_nbytes=20))
    with open_sliced(str(path)) as checkpoint:
        np.testing.assert_array_equal(checkpoint["w"], whole)
        assert checkpoint.values("w", 9) == list(range(9))


@pytest.mark.parametrize("opened", [0, 1])
def test_shards(tmp_path, opened):
    whole = np.arange(24, dtype="float32").reshape(6, 4)
    first = {"w": (whole, [((0, 2), (0, -1))]), "a": (whole, [WHOLE[:2]])}
    second = {"w": (whole, [((2, 4), (0, -1))]), "b": (whole + 1, [WHOLE[:2]])}
    paths = [tmp_path / f"m-{shard:05d}-of-00002" for shard in (0, 1)]
    for path, tensors in zip(paths, (first, second), strict=True):
        path.write_bytes(writers.sliced_v1(tensors))
    with open_sliced(str(paths[opened])) as checkpoint:
        assert set(checkpoint) == {"w", "a", "b"}
        assert checkpoint.num_shards == len(checkpoint.files) == 2
        np.testing.assert_array_equal(checkpoint["w"], whole)
        np.testing.assert_array_equal(checkpoint["b"], whole + 1)
        assert checkpoint.reader.check(checkpoint.entries, True, None) == []
    paths[1 - opened].unlink()
    with open_sliced(str(paths[opened])) as checkpoint:
        (damage,) = checkpoint.reader.check(checkpoint.entries, True, None)
        assert (damage.kind, damage.file) == ("missing_shard", str(paths[1 - opened]))
        with pytest.raises(CorruptCheckpointError, match="of 24 elements"):
            checkpoint["w"]


def test_missing_slice(tmp_path):
    whole = np.arange(24, dtype="float32").reshape(6, 4)
    path = tmp_path / "v1"
    path.write_bytes(writers.sliced_v1({"w": (whole, [((0, 2), (0, -1))])}))
    with open_sliced(str(path)) as checkpoint:
        (damage,) = checkpoint.reader.check(checkpoint.entries, False, None)
        assert (damage.key, damage.fatal) == ("w", True)
        with pytest.raises(CorruptCheckpointError, match="holds 8 of 24"):
            checkpoint["w"]


def test_sample():
    with open_sliced(str(samples.ROOT / samples.V1_FILES[0])) as checkpoint:
        assert checkpoint["global_step"].tolist() == 7
        assert checkpoint.entry("kernel").shape == checkpoint["kernel"].shape == (4, 6)
        assert len(checkpoint) == 12


def test_damaged_block_is_found(tmp_path):
    path = tmp_path / "v1"
    arrays = {f"w{number}": (np.full(30, number, "float64"), [((0, -1),)]) for number in range(8)}
    data = writers.sliced_v1(arrays, snappy=False, block_nbytes=100)
    path.write_bytes(data)
    with open_sliced(str(path)) as checkpoint:
        handle = checkpoint.reader.tables[0].handles[4]
    damaged = bytearray(data)
    damaged[handle.offset + handle.nbytes // 2] ^= 1
    path.write_bytes(damaged)
    with open_sliced(str(path)) as checkpoint:
        (damage,) = checkpoint.reader.check(checkpoint.entries, True, None)
        assert (damage.kind, damage.offset, damage.fatal) == ("checksum", handle.offset, True)
        with pytest.raises(CorruptCheckpointError):
            [checkpoint[name] for name in checkpoint]


def test_index_of_a_bundle_is_no_v1_file(tmp_path):
    prefix = writers.Bundle().array("w", np.ones(2)).write(tmp_path / "c")
    with pytest.raises(CorruptCheckpointError, match="V1"):
        open_sliced(f"{prefix}.index")


def test_listed_but_not_stored(tmp_path):
    meta = writers.text(1, b"w") + writers.text(2, writers.shape_proto((2,))) + writers.number(3, 1)
    path = tmp_path / "v1"
    path.write_bytes(writers.table({b"": writers.text(1, writers.text(1, meta))}))
    with open_sliced(str(path)) as checkpoint:
        for read in (lambda: checkpoint["w"], lambda: checkpoint.values("w")):
            with pytest.raises(CorruptCheckpointError, match="no data"):
                read()


@pytest.mark.parametrize(
    ("shape", "dtype", "slice_", "tensor"),
    [
        ((2,), 1, ((0, 5),), writers.tensor_proto(np.ones(5, "float32"))),  # beyond the shape
        ((2,), 1, ((0, -1),), writers.tensor_proto(np.ones(3, "float32"))),  # too many values
        ((2, 2), 1, ((0, -1),), writers.tensor_proto(np.ones(4, "float32"))),  # too few axes
        ((2,), 1, ((0, -1),), writers.tensor_proto([b"a", b"b"])),  # strings for numbers
        ((1 << 40,), 1, ((0, -1),), writers.tensor_proto(np.ones(1, "float32"))),
        ((2,), 21, ((0, -1),), b"\x08\x15"),
        ((2,), 1, ((0, -1),), b"\xff\xff"),
    ],
    ids=["beyond", "too many", "too few axes", "strings", "absurd shape", "variant", "no message"],
)
def test_data_that_contradict_the_header(tmp_path, shape, dtype, slice_, tensor):
    meta = (
        writers.text(1, b"w")
        + writers.text(2, writers.shape_proto(shape))
        + writers.number(3, dtype)
    )
    meta += writers.text(4, writers.slice_proto(slice_))
    saved = (
        writers.text(1, b"w")
        + writers.text(2, writers.slice_proto(slice_))
        + writers.text(3, tensor)
    )
    path = Path(tmp_path / "v1")
    path.write_bytes(
        writers.table(
            {
                b"": writers.text(1, writers.text(1, meta)),
                writers.slice_key("w", slice_): writers.text(2, saved),
            }
        )
    )
    with open_sliced(str(path)) as checkpoint, pytest.raises(CkptscopeError):
        checkpoint["w"]


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_values_with_right_checksums_end(tmp_path_factory, header, value):
    path = tmp_path_factory.mktemp("any") / "v1"
    path.write_bytes(writers.table({b"": header, b"\0w": value}))
    try:
        with open_sliced(str(path)) as checkpoint:
            for name, entry in checkpoint.entries.items():
                if entry.num_elements < 1 << 20:
                    checkpoint.values(name, 4)
    except CkptscopeError:
        pass
