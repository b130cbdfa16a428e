import itertools
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ckptscope.checkpoint import bundle_v2
from ckptscope.checkpoint.bundle_v2 import open_bundle, shard_name
from ckptscope.errors import (
    CkptscopeError,
    CorruptCheckpointError,
    MissingShardError,
    TensorNotFoundError,
    TruncatedError,
    UnsupportedFormatError,
)
from tests import writers
from tests.writers import Bundle

NUMERIC = tuple(
    """
    float32 float64 int32 uint8 int16 int8 int64 bool uint16 float16 uint32 uint64 complex64
    complex128
    """.split()
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
ARRAYS = st.one_of(
    st.sampled_from(NUMERIC).flatmap(lambda name: hnp.arrays(name, SHAPES)),
    SHAPES.flatmap(lambda shape: hnp.arrays(object, shape, elements=st.binary(max_size=200))),
)
KEYS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=12
)


def same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()


@given(
    tensors=st.dictionaries(KEYS, st.tuples(ARRAYS, st.integers(0, 2)), min_size=1, max_size=6),
    block_nbytes=st.sampled_from((16, 4096)),
    snappy=st.booleans(),
)
def test_round_trip(tmp_path_factory, tensors, block_nbytes, snappy):
    bundle = Bundle(num_shards=3)
    for key, (array, shard) in tensors.items():
        bundle.array(key, array, shard)
    prefix = bundle.write(
        tmp_path_factory.mktemp("b") / "ckpt-1", block_nbytes=block_nbytes, snappy=snappy
    )
    with open_bundle(prefix) as checkpoint:
        assert list(checkpoint) == sorted(tensors, key=str.encode)
        for key, (array, shard) in tensors.items():
            entry = checkpoint.entry(key)
            assert (entry.shape, entry.shard, entry.num_elements) == (
                array.shape,
                shard,
                math.prod(array.shape),
            )
            same(checkpoint[key], array)
            if array.dtype.kind in "iub":
                assert checkpoint.values(key, 5) == array.reshape(-1)[:5].tolist()
        assert checkpoint.reader.check(checkpoint.entries, True, None) == []


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2", "float8_e4m3fn", "int4", "uint4"])
def test_small_numbers_of_ml_dtypes(tmp_path, name):
    array = np.array([[0, 1], [3, 2]]).astype(getattr(ml_dtypes, name))
    with open_bundle(Bundle().array("w", array).write(tmp_path / "c")) as checkpoint:
        assert checkpoint.entry("w").dtype.name == name
        same(checkpoint["w"], array)


@pytest.mark.parametrize(
    ("number", "name", "form"),
    [(11, "qint8", "int8"), (12, "quint8", "uint8"), (13, "qint32", "int32")],
)
def test_quantized_numbers_read_as_integers(tmp_path, number, name, form):
    array = np.arange(4, dtype=form)
    with open_bundle(Bundle().array("q", array, dtype=number).write(tmp_path / "c")) as checkpoint:
        assert checkpoint.entry("q").dtype.name == name
        same(checkpoint["q"], array)


@st.composite
def partitions(draw):
    """A matrix cut along one axis, and its slices."""
    array = draw(hnp.arrays("float32", hnp.array_shapes(max_dims=3, max_side=6)))
    axis = draw(st.integers(0, array.ndim - 1))
    cuts = sorted(
        draw(st.sets(st.integers(1, array.shape[axis]), max_size=4)) | {0, array.shape[axis]}
    )
    slices = [
        tuple(
            (start, stop - start) if dimension == axis else (0, -1)
            for dimension in range(array.ndim)
        )
        for start, stop in itertools.pairwise(cuts)
    ]
    return array, slices


@given(partition=partitions(), shard=st.integers(0, 1))
def test_slices_round_trip(tmp_path_factory, partition, shard):
    array, slices = partition
    prefix = (
        Bundle(num_shards=2)
        .sliced("w/é", array, slices, shard)
        .write(tmp_path_factory.mktemp("b") / "c")
    )
    with open_bundle(prefix) as checkpoint:
        assert list(checkpoint) == ["w/é"]
        entry = checkpoint.entry("w/é")
        assert [extents.axes for extents, _ in entry.slices] == slices
        assert entry.nbytes == array.nbytes
        same(checkpoint["w/é"], array)
        assert (
            checkpoint.values("w/é", 3) == array.reshape(-1)[:3].tolist() or np.isnan(array).any()
        )
        assert checkpoint.reader.check(checkpoint.entries, True, None) == []


def test_slices_with_long_starts(tmp_path):
    array = np.arange(20_000, dtype="int16")
    slices = [((0, 70),), ((70, 8200),), ((8270, 11_730),)]
    with open_bundle(Bundle().sliced("w", array, slices).write(tmp_path / "c")) as checkpoint:
        same(checkpoint["w"], array)


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 40), (10,) * 200], ids=["long", "many axes"])
def test_shapes_beyond_any_tensor(tmp_path, shape):
    bundle = Bundle().raw(b"w", 1, shape, b"", b"\0\0\0\0")
    with pytest.raises(CorruptCheckpointError, match="too large"):
        open_bundle(bundle.write(tmp_path / "c"))


def test_an_empty_tensor_too_long_for_an_array(tmp_path):
    bundle = Bundle().raw(b"w", 1, (0, 1 << 40, 1 << 40), b"", b"\0\0\0\0")
    checkpoint = open_bundle(bundle.write(tmp_path / "c"))
    with checkpoint, pytest.raises(CorruptCheckpointError, match="too large"):
        checkpoint["w"]


@pytest.mark.parametrize(("most", "times", "refused"), [(100, 0, True), (100, 100, False)])
def test_keys_that_outgrow_their_file(tmp_path, monkeypatch, most, times, refused):
    monkeypatch.setattr(bundle_v2, "_MAX_KEY_NBYTES", most)
    monkeypatch.setattr(bundle_v2, "_MAX_KEY_EXPANSION", times)
    prefix = Bundle().array("k" * 200, np.ones(1)).write(tmp_path / "c")
    if refused:
        with pytest.raises(CorruptCheckpointError, match="far longer than the file"):
            open_bundle(prefix)
    else:
        assert len(open_bundle(prefix)) == 1


def test_slice_that_the_index_lacks(tmp_path):
    bundle = Bundle().sliced(
        "w", np.zeros((4, 2), "float32"), [((0, 2), (0, -1)), ((2, 2), (0, -1))]
    )
    del bundle.entries[writers.slice_key("w", ((2, 2), (0, -1)))]
    with open_bundle(bundle.write(tmp_path / "p")) as checkpoint:
        (damage,) = [d for d in checkpoint.reader.check(checkpoint.entries, True, None) if d.fatal]
        assert (damage.key, damage.kind) == ("w", "malformed")
        with pytest.raises(CorruptCheckpointError, match="lists a slice"):
            checkpoint["w"]


def test_arrays_are_read_only_views(tmp_path):
    with open_bundle(
        Bundle().array("w", np.ones(3, "float32")).write(tmp_path / "c")
    ) as checkpoint:
        with pytest.raises(ValueError, match="read-only"):
            checkpoint["w"][0] = 2
        kept = checkpoint["w"]
    assert kept.tolist() == [1, 1, 1]  # also after the checkpoint was closed


def test_unknown_key_names_the_closest(tmp_path):
    with open_bundle(
        Bundle().array("dense/kernel", np.ones(1)).write(tmp_path / "c")
    ) as checkpoint:
        with pytest.raises(TensorNotFoundError, match="dense/kernel") as caught:
            checkpoint["dense/kernal"]
        assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize("number", [20, 21, 999])
def test_dtypes_without_numpy_form(tmp_path, number):
    bundle = Bundle().raw(b"w", number, (1,), b"\0\0\0\0\0", writers.masked_crc(b"\0\0\0\0\0"))
    with (
        open_bundle(bundle.write(tmp_path / "c")) as checkpoint,
        pytest.raises(UnsupportedFormatError),
    ):
        checkpoint["w"]


def test_big_endian_is_refused(tmp_path):
    with pytest.raises(UnsupportedFormatError, match="big-endian"):
        open_bundle(Bundle(big_endian=True).array("w", np.ones(1)).write(tmp_path / "c"))


def test_keys_that_are_no_utf8_are_escaped(tmp_path):
    with open_bundle(Bundle().array(b"w\xff\xc3", np.ones(1)).write(tmp_path / "c")) as checkpoint:
        assert list(checkpoint) == ["w\\xff\\xc3"]
        assert checkpoint["w\\xff\\xc3"].tolist() == [1]


# ------------------------------------------------------------ damage


@pytest.fixture
def prefix(tmp_path) -> str:
    """Two shards: numbers and a partitioned variable in one, strings and a variant in the other."""
    bundle = Bundle(num_shards=2)
    bundle.sliced(
        "parts", np.arange(8, dtype="int64").reshape(4, 2), [((0, 2), (0, -1)), ((2, 2), (0, -1))]
    )
    bundle.array("empty", np.zeros((0, 3), "float32")).array("a", np.arange(6, dtype="float32"))
    bundle.array("text", np.array([b"one", b"", b"three"], object), shard=1)
    stored, crc = writers.variant_tensor(
        writers.named_state({"Iterator::Range": {"i": np.int64(3)}})
    )
    bundle.raw(b"state", writers.VARIANT, (1,), stored, crc, shard=1)
    return bundle.write(tmp_path / "ckpt-5")


def damage_of(prefix: str, checksums: bool = True):
    with open_bundle(prefix) as checkpoint:
        return checkpoint.reader.check(checkpoint.entries, checksums, None)


def test_intact(prefix):
    assert damage_of(prefix) == []


def test_missing_shard(prefix):
    Path(shard_name(prefix, 1, 2)).unlink()
    (damage,) = damage_of(prefix)
    assert (damage.kind, damage.file, damage.fatal) == (
        "missing_shard",
        shard_name(prefix, 1, 2),
        True,
    )
    assert "2 tensors" in damage.problem
    with open_bundle(prefix) as checkpoint:
        assert checkpoint["a"].tolist() == list(range(6))
        for read in (lambda: checkpoint["text"], lambda: checkpoint.values("text")):
            with pytest.raises(MissingShardError, match="data-00001-of-00002"):
                read()


@pytest.mark.parametrize("checksums", [False, True])
@pytest.mark.parametrize("shard", [0, 1])
def test_short_shard(prefix, shard, checksums):
    path = Path(shard_name(prefix, shard, 2))
    path.write_bytes(path.read_bytes()[:-1])
    found = damage_of(prefix, checksums)
    assert [(damage.kind, damage.fatal) for damage in found] == [("short_shard", True)]
    with open_bundle(prefix) as checkpoint, pytest.raises((TruncatedError, UnsupportedFormatError)):
        checkpoint[found[0].key]


def test_empty_shard_file(prefix):
    Path(shard_name(prefix, 0, 2)).write_bytes(b"")
    found = damage_of(prefix)
    assert {damage.kind for damage in found} == {"short_shard"}
    assert "a" in {damage.key for damage in found}


@pytest.mark.parametrize("shard", [0, 1])
def test_every_flipped_byte_of_the_data(prefix, shard):
    path = Path(shard_name(prefix, shard, 2))
    intact = path.read_bytes()
    with open_bundle(prefix) as checkpoint:
        parts = [
            part
            for entry in checkpoint.entries.values()
            for part in ([p for _, p in entry.slices] or [entry])
        ]
        whole = set(checkpoint)
    for offset in range(len(intact)):
        damaged = bytearray(intact)
        damaged[offset] ^= 0x01
        path.write_bytes(damaged)
        found = damage_of(prefix)
        (owner,) = (
            part
            for part in parts
            if part.shard == shard and part.offset <= offset < part.offset + part.nbytes
        )
        assert [(damage.kind, damage.offset, damage.fatal) for damage in found] == [
            ("checksum", owner.offset, True)
        ]
        if owner.key in whole:
            assert found[0].key == owner.key


def test_bytes_that_no_entry_claims_are_a_note(prefix):
    path = Path(shard_name(prefix, 0, 2))
    path.write_bytes(path.read_bytes() + b"more")
    assert [(damage.kind, damage.fatal) for damage in damage_of(prefix)] == [("unclaimed", False)]


def test_damage_of_a_slice_names_the_variable(prefix):
    """What a person sees is the variable, not the encoded key of its slice."""
    with open_bundle(prefix) as checkpoint:
        part = checkpoint.entry("parts").slices[1][1]
    path = Path(shard_name(prefix, 0, 2))
    data = bytearray(path.read_bytes())
    data[part.offset] ^= 1
    path.write_bytes(data)
    (damage,) = damage_of(prefix)
    assert damage.key == "parts"


def test_nbytes_that_contradict_the_shape(tmp_path):
    bundle = Bundle().raw(b"w", 1, (3,), bytes(8), writers.masked_crc(bytes(8)))
    prefix = bundle.write(tmp_path / "c")
    assert [(damage.kind, damage.key) for damage in damage_of(prefix)] == [("malformed", "w")]
    with open_bundle(prefix) as checkpoint, pytest.raises(CorruptCheckpointError):
        checkpoint["w"]


@pytest.mark.parametrize(
    "stored",
    [b"", b"\x05\0\0\0\0ab", b"\x80", b"\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0"],
)
def test_strings_that_do_not_fit(tmp_path, stored):
    prefix = Bundle().raw(b"s", writers.STRING, (1,), stored, b"\0\0\0\0").write(tmp_path / "c")
    assert [(damage.key, damage.fatal) for damage in damage_of(prefix)] == [("s", True)]
    with open_bundle(prefix) as checkpoint:
        for read in (lambda: checkpoint["s"], lambda: checkpoint.values("s")):
            with pytest.raises(CorruptCheckpointError):
                read()


@pytest.mark.parametrize("stored", [b"", b"\x05ab", b"\x80", b"\x00"])
def test_variants_that_do_not_fit(tmp_path, stored):
    prefix = Bundle().raw(b"v", writers.VARIANT, (1,), stored, b"\0\0\0\0").write(tmp_path / "c")
    assert [(damage.key, damage.fatal) for damage in damage_of(prefix)] == [("v", True)]


@pytest.mark.parametrize(
    "value",
    [
        b"",  # no shards
        b"\x08" + writers.varint(2**40),
        b"\x0a\x00",
        b"\x08",
    ],
)
def test_headers_that_cannot_be(tmp_path, value):
    Path(tmp_path / "c.index").write_bytes(writers.table({b"": value}))
    with pytest.raises(CorruptCheckpointError):
        open_bundle(str(tmp_path / "c"))


@pytest.mark.parametrize("entries", [{}, {b"w": writers.number(1, 1)}])
def test_tables_without_header(tmp_path, entries):
    Path(tmp_path / "c.index").write_bytes(writers.table(entries))
    with pytest.raises(CorruptCheckpointError, match=r"header|empty"):
        open_bundle(str(tmp_path / "c"))


def test_entry_of_a_shard_that_does_not_exist(tmp_path):
    bundle = Bundle(num_shards=2).array("w", np.ones(1), shard=1)
    bundle.num_shards = 1
    with pytest.raises(CorruptCheckpointError, match="shard 1 of 1"):
        open_bundle(bundle.write(tmp_path / "c"))


@given(st.binary(max_size=40), st.binary(min_size=1, max_size=10))
def test_any_entry_with_right_checksums_ends(tmp_path_factory, value, key):
    directory = tmp_path_factory.mktemp("any")
    (directory / "c.index").write_bytes(writers.table({b"": b"\x08\x01", key: value}))
    (directory / "c.data-00000-of-00001").write_bytes(b"0123456789")
    try:
        with open_bundle(str(directory / "c")) as checkpoint:
            checkpoint.reader.check(checkpoint.entries, True, None)
            for name in checkpoint:
                if checkpoint.entry(name).num_elements < 1 << 20:
                    checkpoint.values(name, 4)
    except CkptscopeError:
        pass
