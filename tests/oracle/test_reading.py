"""Every key of every sample equals TensorFlow's reading."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.discover import find
from ckptscope.errors import CkptscopeError
from tests import samples, writers

pytestmark = pytest.mark.tf
SAMPLES = [*samples.BUNDLES, *samples.V1_FILES]
# TensorFlow's reader has no NumPy form for these.
OPAQUE = ("variant", "resource")


def same_bytes(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert found.dtype.itemsize == expected.dtype.itemsize
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("target", SAMPLES)
def test_keys_dtypes_shapes_values(tf, target):
    reader = tf.train.load_checkpoint(str(samples.ROOT / target))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    with find(str(samples.ROOT / target)).open() as checkpoint:
        assert set(checkpoint) == set(shapes)
        for key, shape in shapes.items():
            entry = checkpoint.entry(key)
            assert entry.shape == tuple(shape), key
            assert entry.dtype.name == dtypes[key].name, key
            assert entry.dtype.number == dtypes[key].as_datatype_enum
            if entry.dtype.name in OPAQUE:
                continue
            expected = reader.get_tensor(key)
            if entry.dtype.name == "string":
                expected = np.array(expected, dtype=object)
                assert checkpoint[key].shape == expected.shape
                assert checkpoint[key].tolist() == expected.tolist()
                assert checkpoint.values(key) == expected.reshape(-1)[:64].tolist()
                continue
            same_bytes(checkpoint[key], np.asarray(expected))
            if entry.dtype.code is not None:
                flat = np.asarray(expected).reshape(-1)[:5]
                assert np.array_equal(
                    np.array(checkpoint.values(key, 5)).reshape(-1),
                    flat.astype(np.array(flat.tolist()).dtype),
                )
        assert checkpoint.reader.check(checkpoint.entries, True, None) == []


def test_samples_cover_the_formats():
    kinds = set()
    for target in SAMPLES:
        with find(str(samples.ROOT / target)).open() as checkpoint:
            kinds.update((checkpoint.format, checkpoint.style, f"{checkpoint.num_shards} shards"))
            kinds.update(entry.dtype.name for entry in checkpoint.entries.values())
            kinds.update("slices" for entry in checkpoint.entries.values() if entry.slices)
            kinds.update(
                "empty" for entry in checkpoint.entries.values() if not math.prod(entry.shape)
            )
    assert kinds >= {
        "tensor_bundle",
        "sliced_v1",
        "object_based",
        "name_based",
        "3 shards",
        "slices",
        "empty",
        "string",
        "variant",
        "bfloat16",
        "qint8",
        "complex64",
        "bool",
        "uint64",
        "float8_e5m2",
    }


@pytest.mark.parametrize(
    ("shape", "slice_text", "axes"),
    [
        ((100, 3), "100 3 20,5:-", ((20, 5), (0, -1))),
        ((9000, 2), "9000 2 70,8200:0,2", ((70, 8200), (0, 2))),
        ((300000,), "300000 70000,200000", ((70_000, 200_000),)),
    ],
)
def test_slice_keys_of_tensorflow(tf, tmp_path, shape, slice_text, axes):
    """TensorFlow writes two slices of one variable; both are found under the keys that it made."""
    lengths = [
        size if length < 0 else length for size, (_, length) in zip(shape, axes, strict=True)
    ]
    values = np.arange(math.prod(lengths), dtype="int32").reshape(lengths)
    prefix = str(tmp_path / "c")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["w"],
        shape_and_slices=[slice_text],
        tensors=[tf.constant(values)],
    )
    with open_bundle(prefix) as checkpoint:
        entry = checkpoint.entry("w")
        assert entry.shape == shape
        ((extents, part),) = entry.slices
        assert extents.axes == axes
        np.testing.assert_array_equal(checkpoint.reader.read_array(part), values)
        assert checkpoint.reader.check(checkpoint.entries, True, None) == []


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="float32").reshape(2, 3),
        np.zeros((0, 4), "int64"),
        np.array([[b"a", b""], [b"\xff" * 300, b"x" * 70_000]], object),
        np.array(b"scalar", object),
        np.array(True),
    ],
    ids=["matrix", "empty", "strings", "scalar string", "bool"],
)
def test_tensorflow_reads_what_the_writer_writes(tf, tmp_path, array):
    """The tests' writer is no invention: TensorFlow accepts its files, checksums included."""
    prefix = (
        writers.Bundle(num_shards=2)
        .array("other", np.ones(2))
        .array("w", array, shard=1)
        .write(tmp_path / "c")
    )
    found = tf.train.load_checkpoint(prefix).get_tensor("w")
    assert np.asarray(found, array.dtype).tolist() == array.tolist()


def test_tensorflow_reads_slices_of_the_writer(tf, tmp_path):
    array = np.arange(20_000, dtype="int32").reshape(10_000, 2)
    slices = [((0, 70), (0, -1)), ((70, 8200), (0, -1)), ((8270, 1730), (0, -1))]
    prefix = writers.Bundle().sliced("w/part", array, slices).write(tmp_path / "c")
    np.testing.assert_array_equal(tf.train.load_checkpoint(prefix).get_tensor("w/part"), array)


@pytest.mark.parametrize("snappy", [False, True])
def test_tensorflow_reads_v1_files_of_the_writer(tf, tmp_path, snappy):
    array = np.arange(12, dtype="float32").reshape(6, 2)
    path = tmp_path / "v1"
    path.write_bytes(
        writers.sliced_v1({"w": (array, [((0, 2), (0, -1)), ((2, 4), (0, -1))])}, snappy)
    )
    found = tf.raw_ops.Restore(file_pattern=str(path), tensor_name="w", dt=tf.float32)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("offset", [0, 5, 11, -1])
def test_damage_that_tensorflow_refuses_is_found(tf, tmp_path, offset):
    array = np.array([b"one", b"three"], object)
    prefix = writers.Bundle().array("w", array).write(tmp_path / "c")
    path = tmp_path / "c.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
    with pytest.raises(Exception, match=r"[Cc]hecksum|corrupt|OUT_OF_RANGE|mismatch"):
        tf.train.load_checkpoint(prefix).get_tensor("w")
    with open_bundle(prefix) as checkpoint:
        assert any(
            damage.fatal for damage in checkpoint.reader.check(checkpoint.entries, True, None)
        )


@pytest.mark.parametrize(
    "name", ["bfloat16", "float8_e5m2", "float8_e4m3fn", "float16", "int4", "uint4"]
)
def test_small_dtypes_by_bytes(tf, tmp_path, name):
    dtype = getattr(tf, name, None) or getattr(tf.dtypes.experimental, name)
    tensor = tf.constant(np.array([0, 1, 2, 3]).astype(dtype.as_numpy_dtype), dtype)
    prefix = str(tmp_path / "c")
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=["w"], shape_and_slices=[""], tensors=[tensor])
    with open_bundle(prefix) as checkpoint:
        assert checkpoint.entry("w").dtype.name == name
        same_bytes(checkpoint["w"], tensor.numpy())
        assert checkpoint["w"].astype("float32").tolist() == [0, 1, 2, 3]


def test_missing_key_raises_in_both(tf):
    prefix = str(samples.ROOT / "full_221/ckpt-1")
    with pytest.raises(Exception, match="not found"):
        tf.train.load_checkpoint(prefix).get_tensor("nothing")
    with find(prefix).open() as checkpoint, pytest.raises(CkptscopeError):
        checkpoint["nothing"]
