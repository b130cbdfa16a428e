"""The pipelines of the law, one row for each: what is built, saved where, and what must be read
back.

``build`` gets a :class:`Lab`, so that this table can be read without TensorFlow. To cover a new
dataset op, add a row."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EPOCH = ("epoch", "examples_into_epoch")
BATCHES = ("batches_consumed",)
EXAMPLES = ("examples_consumed",)
COUNTED = (*BATCHES, *EXAMPLES)
ALL = (*COUNTED, *EPOCH)
NOTHING: tuple[str, ...] = ()
END = -1  # a count: all elements, and the end of the data was raised


@dataclass(frozen=True)
class Case:
    """One pipeline.

    Attributes:
        build: makes the dataset, the same each time it is called.
        ops: stages that its states must show, each at one of the counts at least.
        counts: elements to advance before a save; the fields in ``known`` must be known there.
        known: fields of both positions that must not be None when the sizes below are given.
        edges: further counts, where a field may be None but never wrong.
        batch_size: examples of a full batch; None where elements are examples.
        epoch_size: examples that one pass delivers; None where there is no end.
        mixed: passes overlap, so that no epoch may be told.
        seeded: every shuffle must be proven seeded (True) or none (False); None: nothing is
            shuffled.
        tuned: TensorFlow may add a prefetch of its own, whose size it tunes; else none but those of
            the pipeline.
        writes: it writes files of its own, so each save is of a run of its own that ends there.
        wrong: why something wrong is told of the position: the case is expected to fail until that
            is mended.
        misjudged: why the data is judged exact although it goes on differently, likewise.
    """

    name: str
    build: Callable[[Lab], Any]
    ops: str
    counts: tuple[int, ...]
    known: tuple[str, ...] = ALL
    edges: tuple[int, ...] = ()
    batch_size: int | None = None
    epoch_size: int | None = 22
    mixed: bool = False
    seeded: bool | None = None
    global_seed: int | None = None
    tuned: bool = False
    writes: bool = False
    wrong: str | None = None
    misjudged: str | None = None


class Lab:
    """TensorFlow, data files and short names for what many pipelines need.

    Attributes:
        records: three TFRecord files of 9, 7 and 6 records; ``zipped`` are the same, compressed.
        lines: two text files of 12 and 10 lines.
        scratch: directory for files that a pipeline writes; it is another for each iterator.
    """

    def __init__(self, tensorflow: Any, directory: str) -> None:
        self.tf = tensorflow
        self.data = tensorflow.data.Dataset
        self.experimental = tensorflow.data.experimental
        self.range = self.data.range
        self.directory = directory
        self.scratch = directory
        self.records = [
            self._write(f"part-{part}.tfrecord", b"".join(map(record, range(first, stop))))
            for part, (first, stop) in enumerate(((0, 9), (9, 16), (16, 22)))
        ]
        self.zipped = self._write(
            "all.tfrecord.gz", gzip.compress(b"".join(map(record, range(22))))
        )
        self.lines = [
            self._write(
                f"lines-{part}.txt", b"".join(b"%d %s\n" % (n, b"x" * (n % 5)) for n in numbers)
            )
            for part, numbers in enumerate((range(12), range(12, 22)))
        ]
        self.fixed = self._write("fixed.bin", b"head" + bytes(range(44)))
        self.table = self._write("table.csv", b"".join(b"%d,%d\n" % (n, n * n) for n in range(22)))
        self.examples = [self._example(number) for number in range(22)]

    def _write(self, name: str, content: bytes) -> str:
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def _example(self, number: int) -> bytes:
        train = self.tf.train
        feature = train.Feature(int64_list=train.Int64List(value=[number]))
        return train.Example(features=train.Features(feature={"id": feature})).SerializeToString()

    def slices(self, count: int) -> Any:
        """0, 1, … in memory; as ``range``, but its start need not be assumed."""
        return self.data.from_tensor_slices(list(range(count)))

    def tfrecords(self, *paths: str, **options: Any) -> Any:
        return self.tf.data.TFRecordDataset(list(paths) or self.records, **options)

    def files(self) -> Any:
        return self.data.from_tensor_slices(self.records)

    def texts(self) -> Any:
        return self.tf.data.TextLineDataset(self.lines)

    def csv(self) -> Any:
        return self.experimental.CsvDataset([self.table], [self.tf.int32, self.tf.int32])

    def cached_in_file(self, dataset: Any) -> Any:
        return dataset.cache(os.path.join(self.scratch, "cache"))

    def snapshot(self, dataset: Any) -> Any:
        return dataset.snapshot(os.path.join(self.scratch, "snapshot"))

    def snapshot_read(self, dataset: Any) -> Any:
        """A snapshot that was written before."""
        path = os.path.join(self.directory, "snapshot")
        if not os.path.exists(path):
            for _ in dataset.snapshot(path):
                pass
        return dataset.snapshot(path)

    def saved(self, dataset: Any) -> Any:
        """A saved and loaded dataset."""
        path = os.path.join(self.directory, "saved")
        if not os.path.exists(path):
            dataset.save(path)
        return self.data.load(path)

    def with_options(self, dataset: Any, **values: Any) -> Any:
        """Names of nested options are joined by two underscores."""
        options = self.tf.data.Options()
        for name, value in values.items():
            *path, last = name.split("__")
            target = options
            for part in path:
                target = getattr(target, part)
            setattr(target, last, value)
        return dataset.with_options(options)

    def raw(
        self,
        op: str,
        dataset: Any,
        *,
        function: Callable[..., Any] | None = None,
        **attributes: Any,
    ) -> Any:
        """An op that no method makes (any more), over a dataset of integers."""
        if function is not None:
            element = dataset.element_spec
            attributes["predicate" if "Filter" in op else "f"] = self.tf.function(
                function
            ).get_concrete_function(element)
            attributes["other_arguments"] = []
        batched = "batch_size" in attributes or len(dataset.element_spec.shape) > 0
        spec = self.tf.TensorSpec([None] if batched else [], self.tf.int64)
        attributes.setdefault("output_types", [spec.dtype])
        attributes.setdefault("output_shapes", [spec.shape])
        variant = getattr(self.tf.raw_ops, op)(
            input_dataset=self.experimental.to_variant(dataset), **attributes
        )
        return self.experimental.from_variant(variant, spec)

    def six(self, number: Any) -> Any:
        """An inner dataset of six elements."""
        return self.range(number * 10, number * 10 + 6)

    def six_as_variant(self, number: Any) -> Any:
        return self.experimental.to_variant(self.six(number))


def record(number: int) -> bytes:
    """One framed TFRecord: a number and some filling, so that lengths differ."""
    data = b"%d %s" % (number, b"x" * (number % 7))
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    import google_crc32c

    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def plus_nothing(number: Any) -> Any:
    return number + 0


def third(number: Any) -> Any:
    return number % 3 == 0


def ragged(lab: Lab) -> Any:
    """Vectors of one to four numbers."""
    return lab.slices(22).map(lambda number: lab.tf.fill([number % 4 + 1], number))


def _choose(lab: Lab) -> Any:
    return lab.data.choose_from_datasets([lab.slices(12), lab.slices(10)], lab.range(2).repeat(11))


def _sample(lab: Lab, seed: int | None) -> Any:
    return lab.data.sample_from_datasets([lab.slices(12), lab.slices(10)], [0.5, 0.5], seed=seed)


def _grouped(lab: Lab) -> Any:
    return lab.slices(22).group_by_window(
        lambda n: lab.tf.cast(n % 3, lab.tf.int64), lambda _, w: w.batch(4), window_size=4
    )


def _shuffled_groups(lab: Lab) -> Any:
    groups = lab.slices(22).group_by_window(
        lambda n: lab.tf.cast(n % 3, lab.tf.int64),
        lambda _, group: group.shuffle(4, seed=3).batch(2),
        window_size=4,
    )
    # TensorFlow refuses to save the generator inside the function, which starts anew in each call.
    ignore = lab.experimental.ExternalStatePolicy.IGNORE
    return lab.with_options(groups, experimental_external_state_policy=ignore)


def _bucketed(lab: Lab) -> Any:
    return ragged(lab).bucket_by_sequence_length(lambda v: lab.tf.shape(v)[0], [3], [4, 4])


def _windows(lab: Lab) -> Any:
    return lab.slices(22).window(4).flat_map(lambda window: window.batch(4))


def _parsed(lab: Lab, op: str) -> Any:
    batches = lab.data.from_tensor_slices(lab.examples).batch(4)
    features = {"id": lab.tf.io.FixedLenFeature([], lab.tf.int64)}
    if op == "ParseExampleV2":
        return batches.apply(
            lab.experimental.parse_example_dataset(features, num_parallel_calls=2)
        ).map(lambda e: e["id"])
    return lab.raw(
        "ParseExampleDataset",
        batches,
        num_parallel_calls=2,
        dense_defaults=[lab.tf.zeros([0], lab.tf.int64)],
        sparse_keys=[],
        dense_keys=["id"],
        sparse_types=[],
        dense_shapes=[[]],
        output_types=[lab.tf.int64],
        output_shapes=[[None]],
    )


def _global_shuffle(lab: Lab) -> Any:
    return lab.raw(
        "GlobalShuffleDataset",
        lab.range(22),
        seed=1,
        seed2=2,
        seed_generator=lab.tf.raw_ops.DummySeedGenerator(),
        reshuffle_each_iteration=False,
    )


def _sparse_slices(lab: Lab) -> Any:
    return lab.tf.compat.v1.data.Dataset.from_sparse_tensor_slices(
        lab.tf.sparse.from_dense(lab.tf.eye(8))
    )


def _sparse_batches(lab: Lab) -> Any:
    return ragged(lab).apply(lab.experimental.dense_to_sparse_batch(4, [5]))


def _interleaved(lab: Lab, **options: Any) -> Any:
    return lab.files().interleave(lab.tf.data.TFRecordDataset, cycle_length=2, **options)


def _old_interleave(lab: Lab, op: str, **attributes: Any) -> Any:
    return lab.raw(
        op, lab.range(3), function=lab.six_as_variant, cycle_length=2, block_length=1, **attributes
    )


def _nested_repeats(lab: Lab) -> Any:
    return lab.slices(11).repeat(2).map(plus_nothing).repeat(3)


def _two_shuffles(lab: Lab) -> Any:
    return (
        lab.slices(22)
        .shuffle(7, seed=1)
        .map(plus_nothing)
        .shuffle(5, seed=2)
        .map(plus_nothing)
        .repeat(3)
    )


def _symbolic(lab: Lab, dataset: Any) -> Any:
    return lab.with_options(dataset, experimental_symbolic_checkpoint=True)


CASES: tuple[Case, ...] = (
    # sources
    Case("range", lambda lab: lab.range(22), "Range", (0, 1, 13), edges=(22, END)),
    Case("range from 100", lambda lab: lab.range(100, 122), "Range", (), edges=(0, 5)),
    Case(
        "range by 5",
        lambda lab: lab.range(0, 110, 5).batch(4),
        "Range",
        (),
        edges=(0, 3),
        batch_size=4,
    ),
    Case("slices", lambda lab: lab.slices(22), "TensorSlice", (0, 1, 13), edges=(22, END)),
    Case(
        "tensors",
        lambda lab: lab.data.from_tensors([1, 2]).repeat(5),
        "FromTensor FiniteRepeat",
        (0, 1, 3),
        edges=(5, END),
        epoch_size=1,
    ),
    Case("sparse slices", _sparse_slices, "SparseTensorSlice", (0, 3), epoch_size=8),
    Case(
        "records",
        lambda lab: lab.tfrecords(lab.records[0]),
        "TFRecord",
        (0, 4),
        edges=(9, END),
        epoch_size=9,
    ),
    Case(
        "records of several files",
        lambda lab: lab.tfrecords(),
        "FlatMap TFRecord",
        (0, 5, 13),
        edges=(9, 16, 22, END),
    ),
    Case(
        "compressed records",
        lambda lab: lab.tfrecords(lab.zipped, compression_type="GZIP").batch(4).repeat(),
        "TFRecord",
        (0, 1, 7),
        edges=(3, 6, 8),
        batch_size=4,
    ),
    Case(
        "lines",
        lambda lab: lab.texts().batch(4),
        "TextLine",
        (0, 2),
        edges=(3, 5, 6, END),
        batch_size=4,
    ),
    Case(
        "fixed-length records",
        lambda lab: lab.tf.data.FixedLengthRecordDataset(lab.fixed, 2, header_bytes=4),
        "FixedLengthRecordV2",
        (0, 5),
        NOTHING,
        edges=(22, END),
    ),
    Case("CSV", lambda lab: lab.csv(), "CSV", (0, 5), NOTHING, edges=(22, END)),
    Case(
        "random numbers",
        lambda lab: lab.data.random(seed=5),
        "Random",
        (0, 5),
        epoch_size=None,
        seeded=True,
    ),
    Case(
        "random numbers, unseeded",
        lambda lab: lab.data.random(),
        "Random",
        (0, 5),
        epoch_size=None,
        seeded=False,
    ),
    # one to one
    Case(
        "map",
        lambda lab: lab.with_options(
            lab.slices(22).map(plus_nothing), experimental_optimization__map_parallelization=False
        ),
        "Map",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "parallel map",
        lambda lab: lab.slices(22).map(plus_nothing, num_parallel_calls=4),
        "ParallelMapV2",
        (0, 1, 5, 20),
        edges=(22, END),
    ),
    Case(
        "parallel map of a repeat",
        lambda lab: lab.slices(22).repeat(3).map(plus_nothing, num_parallel_calls=4),
        "ParallelMapV2 FiniteRepeat",
        (0, 5, 23, 44),
        edges=(20, 21, 22, 66, END),
    ),
    Case(
        "old parallel map",
        lambda lab: lab.raw(
            "ParallelMapDataset", lab.range(22), function=plus_nothing, num_parallel_calls=2
        ),
        "ParallelMap",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "prefetch",
        lambda lab: lab.slices(22).prefetch(3),
        "Prefetch",
        (0, 1, 10),
        edges=(19, 20, 22, END),
    ),
    Case(
        "prefetch of batches",
        lambda lab: lab.slices(22).batch(4).prefetch(2),
        "Prefetch BatchV2",
        (0, 1, 3),
        edges=(4, 5, 6, END),
        batch_size=4,
    ),
    Case(
        "filter",
        lambda lab: lab.slices(40).filter(third),
        "Filter",
        (0, 5),
        edges=(14, END),
        epoch_size=14,
    ),
    Case(
        "filter, batched",
        lambda lab: lab.slices(40).filter(third).batch(4).repeat(3),
        "Filter BatchV2",
        (0, 2),
        edges=(4, 6, 12, END),
        batch_size=4,
        epoch_size=14,
    ),
    Case(
        "parallel filter",
        lambda lab: lab.with_options(
            lab.slices(40).filter(third), experimental_optimization__filter_parallelization=True
        ),
        "ParallelFilter",
        (0, 5),
        NOTHING,
        edges=(14, END),
        epoch_size=14,
    ),
    Case("take", lambda lab: lab.slices(40).take(22), "FiniteTake", (0, 5), edges=(22, END)),
    Case(
        "take of a repeat",
        lambda lab: lab.slices(22).repeat().take(50).batch(4),
        "FiniteTake ForeverRepeat",
        (0, 5, 8),
        edges=(6, 11, 13, END),
        batch_size=4,
    ),
    Case("skip", lambda lab: lab.slices(30).skip(8), "FiniteSkip", (1, 5), edges=(0, 22, END)),
    Case(
        "skip, batched",
        lambda lab: lab.slices(30).skip(8).repeat().batch(4),
        "FiniteSkip",
        (1, 5, 8),
        edges=(0, 6, 11),
        batch_size=4,
    ),
    Case(
        "shard", lambda lab: lab.slices(66).shard(3, 1), "Shard", (0, 5), NOTHING, edges=(22, END)
    ),
    Case(
        "scan",
        lambda lab: lab.slices(22).scan(0, lambda total, n: (total + n, n + 0)),
        "Scan",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "take_while",
        lambda lab: lab.slices(40).take_while(lambda n: n < 22),
        "TakeWhile",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "assert_cardinality",
        lambda lab: lab.slices(22).apply(lab.experimental.assert_cardinality(22)),
        "AssertCardinality",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "ignore_errors",
        lambda lab: lab.slices(22).apply(lab.experimental.ignore_errors()),
        "IgnoreErrors",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "assert_next",
        lambda lab: lab.raw(
            "AssertNextDataset", lab.range(22), transformations=lab.tf.zeros([0], lab.tf.string)
        ),
        "AssertNext",
        (0, 5),
        edges=(22,),
    ),
    Case(
        "assert_prev",
        lambda lab: lab.raw(
            "AssertPrevDataset", lab.range(22), transformations=lab.tf.zeros([0], lab.tf.string)
        ),
        "AssertPrev",
        (0, 5),
        edges=(22,),
    ),
    Case(
        "latency_stats",
        lambda lab: lab.raw("LatencyStatsDataset", lab.range(22), tag="latency"),
        "LatencyStats",
        (0, 5),
        edges=(22,),
    ),
    Case(
        "bytes_produced_stats",
        lambda lab: lab.raw("BytesProducedStatsDataset", lab.range(22), tag="bytes"),
        "BytesProducedStats",
        (0, 5),
        edges=(22,),
    ),
    Case(
        "non-serializable",
        lambda lab: lab.raw("NonSerializableDataset", lab.range(22)),
        "NonSerializable",
        (0, 5),
        edges=(22,),
    ),
    Case(
        "unique",
        lambda lab: lab.slices(44).map(lambda n: n // 2).unique(),
        "Unique",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "parse_example",
        lambda lab: _parsed(lab, "ParseExampleV2"),
        "ParseExampleV2",
        (0, 1),
        edges=(2, 4, 6, END),
        batch_size=4,
    ),
    Case(
        "old parse_example",
        lambda lab: _parsed(lab, "ParseExample"),
        "ParseExample",
        (0, 1),
        edges=(2, 4, 6, END),
        batch_size=4,
    ),
    # repeating and shuffling
    Case(
        "repeat",
        lambda lab: lab.slices(22).repeat(3),
        "FiniteRepeat",
        (0, 5, 23, 50),
        edges=(22, 44, 66, END),
    ),
    Case(
        "repeat of batches",
        lambda lab: lab.slices(22).batch(4).repeat(3),
        "FiniteRepeat BatchV2",
        (0, 3, 7, 14),
        edges=(5, 6, 12, 18, END),
        batch_size=4,
    ),
    Case(
        "repeat of batches, no remainder",
        lambda lab: lab.slices(22).batch(4, drop_remainder=True).repeat(3),
        "FiniteRepeat BatchV2",
        (0, 3, 7),
        edges=(4, 5, 6, 10, 15, END),
        batch_size=4,
        epoch_size=20,
    ),
    Case(
        "batches of a repeat",
        lambda lab: lab.slices(22).repeat(3).batch(4),
        "FiniteRepeat BatchV2",
        (0, 3, 7, 14),
        edges=(5, 6, 11, 16, 17, END),
        batch_size=4,
    ),
    Case(
        "endless batches",
        lambda lab: lab.slices(22).repeat().batch(4).prefetch(2),
        "ForeverRepeat BatchV2 Prefetch",
        (0, 3, 7, 14),
        edges=(4, 5, 6, 11, 22),
        batch_size=4,
    ),
    Case(
        "nested repeats",
        _nested_repeats,
        "FiniteRepeat",
        (0, 5),
        edges=(11, 12, 23, 30),
        epoch_size=11,
    ),
    Case(
        "nested repeats, between outer passes",
        _nested_repeats,
        "FiniteRepeat",
        (),
        edges=(22,),
        epoch_size=11,
    ),
    Case(
        "shuffle",
        lambda lab: lab.slices(22).shuffle(7, seed=1),
        "Shuffle",
        (0, 5),
        edges=(15, 16, 20, 22, END),
        seeded=True,
    ),
    Case(
        "shuffle, unseeded",
        lambda lab: lab.slices(22).shuffle(7),
        "Shuffle",
        (0, 5),
        edges=(20, 22, END),
        seeded=False,
    ),
    Case(
        "shuffle, fixed order",
        lambda lab: (
            lab.slices(22)
            .shuffle(7, seed=1, reshuffle_each_iteration=False)
            .map(plus_nothing)
            .repeat(3)
        ),
        "Shuffle FiniteRepeat",
        (0, 5, 30),
        edges=(22, 44),
        seeded=True,
    ),
    Case(
        "shuffle of all",
        lambda lab: lab.slices(22).shuffle(100, seed=1).repeat(3).batch(4),
        "ShuffleAndRepeat",
        (0, 3, 8),
        edges=(6, 11, 17, END),
        batch_size=4,
        seeded=True,
    ),
    Case(
        "shuffle and repeat",
        lambda lab: lab.slices(22).shuffle(7, seed=1).repeat(),
        "ShuffleAndRepeat",
        (0, 5, 23, 50),
        edges=(15, 16, 21, 22, 37, 44),
        seeded=True,
    ),
    Case(
        "shuffle and repeat, unseeded",
        lambda lab: lab.slices(22).shuffle(7).repeat().batch(4).prefetch(2),
        "ShuffleAndRepeat Prefetch",
        (0, 1, 7, 12),
        edges=(2, 3, 4, 5, 6),
        batch_size=4,
        seeded=False,
    ),
    Case(
        "shuffle, map, repeat",
        lambda lab: lab.slices(22).shuffle(7, seed=1).map(plus_nothing).repeat(3).batch(4),
        "Shuffle FiniteRepeat",
        (0, 3, 8),
        edges=(4, 5, 6, 11, 17, END),
        batch_size=4,
        seeded=True,
    ),
    Case(
        "shuffle, global seed",
        lambda lab: lab.slices(22).shuffle(7).batch(4).repeat(3),
        "Shuffle",
        (0, 3, 8),
        edges=(6, 12),
        batch_size=4,
        seeded=True,
        global_seed=5,
    ),
    Case(
        "shuffle, both seeds",
        lambda lab: lab.slices(22).shuffle(7, seed=9).repeat(3).batch(4),
        "ShuffleAndRepeat",
        (0, 3, 8),
        edges=(6, 12),
        batch_size=4,
        seeded=True,
        global_seed=5,
    ),
    Case(
        "two shuffles", _two_shuffles, "Shuffle FiniteRepeat", (0, 5), edges=(22, 30), seeded=True
    ),
    Case(
        "two shuffles, the inner one at its end",
        _two_shuffles,
        "Shuffle FiniteRepeat",
        (),
        edges=(20,),
        seeded=True,
    ),
    Case(
        "shuffle of a repeat",
        lambda lab: lab.slices(22).repeat(3).shuffle(7, seed=1).batch(4),
        "Shuffle FiniteRepeat",
        (0, 3, 8),
        COUNTED,
        edges=(6, 11, 15, 16),
        batch_size=4,
        epoch_size=None,
        mixed=True,
        seeded=True,
    ),
    Case(
        "shuffle of batches",
        lambda lab: lab.slices(22).batch(4).shuffle(3, seed=1).repeat(3),
        "ShuffleAndRepeat BatchV2",
        (0, 2, 8),
        BATCHES,
        edges=(5, 6, 12),
        batch_size=4,
        seeded=True,
    ),
    Case(
        "shuffle of batches, at its end",
        lambda lab: lab.slices(22).batch(4).shuffle(3, seed=1).repeat(3),
        "ShuffleAndRepeat",
        (),
        edges=(16, 17),
        batch_size=4,
        seeded=True,
    ),
    Case("global shuffle", _global_shuffle, "GlobalShuffle", (0, 5), seeded=True),
    Case(
        "global shuffle, at its end",
        _global_shuffle,
        "GlobalShuffle",
        (),
        edges=(END,),
        seeded=True,
    ),
    # batching
    Case(
        "batch",
        lambda lab: lab.slices(22).batch(4),
        "BatchV2",
        (0, 3),
        edges=(5, 6, END),
        batch_size=4,
    ),
    Case(
        "batches of batches",
        lambda lab: lab.slices(40).batch(4).batch(2),
        "BatchV2",
        (),
        edges=(0, 3, 5, END),
        batch_size=2,
        epoch_size=10,
    ),
    Case(
        "batches of prefetched batches",
        lambda lab: lab.slices(40).batch(4).prefetch(2).batch(2),
        "BatchV2 Prefetch",
        (2,),
        edges=(0, 3, 5, END),
        batch_size=2,
        epoch_size=10,
    ),
    Case(
        "padded batch",
        lambda lab: ragged(lab).padded_batch(4),
        "PaddedBatchV2",
        (0, 3),
        edges=(5, 6, END),
        batch_size=4,
    ),
    Case(
        "sparse batch",
        _sparse_batches,
        "DenseToSparseBatch",
        (0,),
        edges=(3, 5, 6, END),
        batch_size=4,
    ),
    Case(
        "ragged batch",
        lambda lab: ragged(lab).ragged_batch(4).prefetch(2),
        "Prefetch",
        (0, 1),
        BATCHES,
        edges=(4, 6, END),
        batch_size=4,
    ),
    Case(
        "map and batch",
        lambda lab: lab.slices(22).map(plus_nothing, num_parallel_calls=4).batch(4),
        "MapAndBatch",
        (0, 2),
        edges=(4, 5, 6, END),
        batch_size=4,
    ),
    Case(
        "map and batch of a repeat",
        lambda lab: (
            lab.slices(22)
            .shuffle(7, seed=1)
            .repeat(3)
            .map(plus_nothing, num_parallel_calls=2)
            .batch(4)
        ),
        "MapAndBatch ShuffleAndRepeat",
        (0, 2, 7, 12),
        edges=(4, 5, 11, 16, 17),
        batch_size=4,
        seeded=True,
    ),
    Case(
        "map and batch, repeated",
        lambda lab: lab.slices(22).map(plus_nothing, num_parallel_calls=2).batch(4).repeat(3),
        "MapAndBatch FiniteRepeat",
        (0, 1),
        edges=(2, 4, 5, 6, 8, 12),
        batch_size=4,
    ),
    Case(
        "parallel batch",
        lambda lab: lab.slices(22).batch(4, num_parallel_calls=2),
        "ParallelBatch",
        (0, 2),
        edges=(4, 5, 6, END),
        batch_size=4,
    ),
    Case(
        "unbatch",
        lambda lab: lab.slices(22).batch(8).unbatch(),
        "Unbatch BatchV2",
        (1, 5, 13),
        edges=(0, 8, 16, 22, END),
    ),
    Case(
        "unbatch of the last batch",
        lambda lab: lab.slices(22).batch(8).unbatch(),
        "Unbatch BatchV2",
        (),
        edges=(18,),
    ),
    Case(
        "unbatch of shuffled batches",
        lambda lab: lab.slices(24).batch(4).shuffle(3, seed=1).unbatch(),
        "Unbatch Shuffle",
        (),
        edges=(0, 5, 13, 24),
        epoch_size=24,
        seeded=True,
    ),
    Case(
        "rebatch",
        lambda lab: lab.slices(22).batch(8).rebatch(4),
        "RebatchV2",
        (),
        edges=(0, 1, 3, 6, END),
        batch_size=4,
    ),
    Case(
        "rebatch of the last batch",
        lambda lab: lab.slices(22).batch(8).rebatch(4),
        "RebatchV2",
        (),
        edges=(5,),
        batch_size=4,
    ),
    Case(
        "rebatch of prefetched batches",
        lambda lab: lab.slices(64).batch(8).prefetch(2).rebatch(4),
        "RebatchV2 Prefetch",
        (),
        edges=(0, 1, 3),
        batch_size=4,
        epoch_size=64,
    ),
    Case(
        "rebatch for replicas",
        lambda lab: lab.raw("RebatchDataset", lab.range(24).batch(8), num_replicas=2),
        "Rebatch",
        (),
        edges=(0, 1, 3),
        batch_size=4,
        epoch_size=24,
    ),
    # caches
    Case(
        "cache being filled",
        lambda lab: lab.slices(22).cache(),
        "MemoryCache",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "cache being read",
        lambda lab: lab.slices(22).cache().repeat(3),
        "MemoryCache FiniteRepeat",
        (5, 30),
        BATCHES,
        edges=(0, 22, 23, 44, 66),
    ),
    Case(
        "cache, shuffled",
        lambda lab: lab.slices(22).cache().shuffle(7, seed=1).repeat(3).batch(4),
        "MemoryCache ShuffleAndRepeat",
        (3, 9),
        edges=(0, 4, 5, 6),
        batch_size=4,
        seeded=True,
    ),
    Case(
        "cache of a shuffle",
        lambda lab: lab.slices(22).shuffle(7).cache().repeat(3).batch(4),
        "MemoryCache",
        (3, 9),
        edges=(0, 5, 6),
        batch_size=4,
        seeded=False,
    ),
    Case(
        "cache of batches",
        lambda lab: lab.slices(22).batch(4).cache().repeat(3),
        "MemoryCache BatchV2",
        (3,),
        edges=(0,),
        batch_size=4,
    ),
    Case(
        "cache of batches, being read",
        lambda lab: lab.slices(22).batch(4).cache().repeat(3),
        "MemoryCache",
        (),
        edges=(7, 12),
        batch_size=4,
    ),
    Case(
        "file cache being filled",
        lambda lab: lab.cached_in_file(lab.slices(22)),
        "FileCache",
        (0, 5),
        writes=True,
    ),
    Case(
        "file cache being filled, at its end",
        lambda lab: lab.cached_in_file(lab.slices(22)),
        "FileCache",
        (),
        edges=(END,),
        writes=True,
    ),
    Case(
        "file cache being read",
        lambda lab: lab.cached_in_file(lab.slices(22)).repeat(3),
        "FileCache FiniteRepeat",
        (),
        edges=(5, 30),
        writes=True,
    ),
    # several inputs
    Case(
        "zip",
        lambda lab: lab.data.zip((lab.slices(22), lab.range(30))),
        "Zip",
        (0, 5),
        edges=(22, END),
    ),
    Case(
        "zip of batches",
        lambda lab: lab.data.zip((lab.slices(22).batch(4), lab.slices(22).batch(4))).repeat(2),
        "Zip BatchV2",
        (),
        edges=(0, 3, 5, 6, 8),
        batch_size=4,
    ),
    Case(
        "enumerate",
        lambda lab: lab.slices(22).repeat(3).enumerate(),
        "Zip FiniteRepeat",
        (0, 5),
        edges=(22,),
    ),
    Case(
        "enumerate, later passes",
        lambda lab: lab.slices(22).repeat(3).enumerate(),
        "Zip FiniteRepeat",
        (),
        edges=(30, 44),
    ),
    Case(
        "concatenate",
        lambda lab: lab.slices(12).concatenate(lab.slices(10)),
        "Concatenate",
        (0, 5),
        edges=(11, 12, 13, 20, 22, END),
    ),
    Case(
        "concatenate, repeated",
        lambda lab: lab.slices(12).concatenate(lab.slices(10)).repeat(3).batch(4),
        "Concatenate FiniteRepeat",
        (0, 2),
        edges=(3, 5, 6, 8),
        batch_size=4,
    ),
    Case(
        "choose_from_datasets",
        _choose,
        "DirectedInterleave",
        (0, 5),
        COUNTED,
        edges=(20, 22, END),
        epoch_size=None,
        mixed=True,
    ),
    Case(
        "sample_from_datasets",
        lambda lab: _sample(lab, 3),
        "DirectedInterleave Random",
        (0, 5),
        COUNTED,
        edges=(15,),
        epoch_size=None,
        mixed=True,
        seeded=True,
    ),
    Case(
        "sample_from_datasets, unseeded",
        lambda lab: _sample(lab, None),
        "DirectedInterleave Random",
        (0, 5),
        COUNTED,
        edges=(15,),
        epoch_size=None,
        mixed=True,
        seeded=False,
    ),
    # nested datasets
    Case(
        "flat_map",
        lambda lab: lab.range(4).flat_map(lab.six),
        "FlatMap",
        (0, 5),
        edges=(6, 13),
        epoch_size=24,
    ),
    Case(
        "interleave",
        lambda lab: _interleaved(lab).batch(4),
        "Interleave TFRecord",
        (0, 2),
        edges=(4, 5, 6, END),
        batch_size=4,
    ),
    Case(
        "parallel interleave",
        lambda lab: _interleaved(lab, num_parallel_calls=2),
        "ParallelInterleaveV4 TFRecord",
        (0,),
        edges=(5, 13, 20, 22, END),
    ),
    Case(
        "parallel interleave, shuffled",
        lambda lab: _interleaved(lab, num_parallel_calls=2).shuffle(5, seed=1).repeat(2).batch(4),
        "ParallelInterleaveV4 ShuffleAndRepeat",
        (0, 2, 7),
        edges=(4, 5, 6),
        batch_size=4,
        seeded=True,
    ),
    Case(
        "interleave of version 2",
        lambda lab: _old_interleave(lab, "ParallelInterleaveDatasetV2", num_parallel_calls=2),
        "ParallelInterleaveV2",
        (0,),
        edges=(13,),
        epoch_size=18,
    ),
    Case(
        "interleave of version 3",
        lambda lab: _old_interleave(lab, "ParallelInterleaveDatasetV3", num_parallel_calls=2),
        "ParallelInterleaveV3",
        (0,),
        edges=(13,),
        epoch_size=18,
    ),
    Case(
        "parallel_interleave",
        lambda lab: lab.files().apply(
            lab.experimental.parallel_interleave(lab.tf.data.TFRecordDataset, cycle_length=2)
        ),
        "LegacyParallelInterleaveV2",
        (0,),
        edges=(5, 13, 20, 22),
    ),
    Case(
        "windows", lambda lab: lab.slices(22).window(4), "Window", (0,), edges=(2, 6), epoch_size=6
    ),
    Case(
        "batches of windows", _windows, "Window FlatMap", (0, 1), edges=(3, 5, 6, END), batch_size=4
    ),
    Case(
        "group_by_window",
        _grouped,
        "GroupByWindow",
        (0, 2),
        (*EXAMPLES, *EPOCH),
        edges=(6,),
        batch_size=4,
    ),
    Case(
        "group_by_window of shuffled groups",
        _shuffled_groups,
        "GroupByWindow Shuffle",
        (3,),
        (*EXAMPLES, *EPOCH),
        edges=(0, 4, 5, 8),
        batch_size=2,
        seeded=True,
    ),
    Case(
        "group_by_window, at its end",
        lambda lab: _grouped(lab).prefetch(2),
        "GroupByWindow Prefetch",
        (),
        edges=(4, 5),
        batch_size=4,
    ),
    Case(
        "bucket_by_sequence_length",
        _bucketed,
        "GroupByWindow",
        (0, 2),
        (*EXAMPLES, *EPOCH),
        edges=(6,),
        batch_size=4,
    ),
    # on disk
    Case(
        "snapshot being written",
        lambda lab: lab.snapshot(lab.slices(22)),
        "Snapshot SnapshotWriter",
        (5,),
        edges=(0,),
        writes=True,
    ),
    Case(
        "snapshot being written, at its end",
        lambda lab: lab.snapshot(lab.slices(22)),
        "Snapshot SnapshotWriter",
        (),
        edges=(END,),
        writes=True,
    ),
    Case(
        "snapshot being read",
        lambda lab: lab.snapshot_read(lab.slices(22)).repeat(3),
        "Snapshot FiniteRepeat",
        (5, 30),
        edges=(0,),
    ),
    Case(
        "snapshot being read, at the end of a pass",
        lambda lab: lab.snapshot_read(lab.slices(22)).repeat(3),
        "Snapshot FiniteRepeat",
        (),
        edges=(22,),
    ),
    Case(
        "saved dataset",
        lambda lab: lab.saved(lab.slices(22)).repeat(2).batch(4),
        "Load SnapshotNestedDatasetReader SnapshotDatasetReader",
        (0,),
        edges=(3, 5, 6, 8),
        batch_size=4,
    ),
    # options
    Case(
        "a prefetch of TensorFlow's own",
        lambda lab: lab.slices(22).shuffle(7, seed=1).repeat().batch(4),
        "Prefetch ShuffleAndRepeat",
        (0, 3, 8),
        edges=(5, 6, 11),
        batch_size=4,
        seeded=True,
        tuned=True,
    ),
    Case(
        "symbolic",
        lambda lab: _symbolic(
            lab, lab.slices(22).shuffle(7, seed=1).repeat(3).batch(4).prefetch(2)
        ),
        "Prefetch ShuffleAndRepeat",
        (0, 3, 8),
        edges=(5, 6, 12),
        batch_size=4,
        seeded=True,
    ),
    Case(
        "no optimizations",
        lambda lab: lab.with_options(
            lab.slices(22).map(plus_nothing, num_parallel_calls=2).batch(4).prefetch(2),
            experimental_optimization__apply_default_optimizations=False,
        ),
        "ParallelMapV2 BatchV2 Prefetch",
        (0, 2),
        edges=(4, 5, 6),
        batch_size=4,
    ),
    Case(
        "a whole training pipeline",
        lambda lab: (
            _interleaved(lab, num_parallel_calls=2)
            .cache()
            .shuffle(22, seed=1)
            .repeat()
            .map(lab.tf.strings.length, num_parallel_calls=2)
            .batch(4)
            .prefetch(2)
        ),
        "MemoryCache ShuffleAndRepeat MapAndBatch Prefetch",
        (0, 3, 9),
        edges=(5, 6, 12),
        batch_size=4,
        seeded=True,
    ),
)

# Names in the table of ops that no case can show, and why.
NOT_MADE: dict[str, str] = {
    **dict.fromkeys(
        ("Batch", "PaddedBatch", "FixedLengthRecord"),
        "TensorFlow 2.21 cannot build the first version of this op",
    ),
    "Reduce": "TensorFlow 1.15's name for the open group of a group_by_window",
    "ParallelInterleave": "TensorFlow 1.x's name of parallel_interleave",
    "FinalizeDataset": "it builds other stages and leaves none of its own name",
    **dict.fromkeys(
        ("Options", "OptionsV2"), "options set what runs and leave no iterator of their own"
    ),
    **dict.fromkeys(
        ("Model", "Optimize", "MaxIntraOpParallelism", "PrivateThreadPool"),
        "it is put around the whole pipeline and is no stage",
    ),
    "SetStatsAggregator": "needs a StatsAggregator resource, which has no public API since 2.0",
    "EmptyRepeat": "repeat(0) has nothing to count and saves no key",
    **dict.fromkeys(
        (
            "Tensor",
            "TFRecordV2",
            "MapV2",
            "Take",
            "Skip",
            "InterleaveV2",
            "MapAndBatchV2",
            "LegacyRebatch",
            "ReshufflingShuffle",
            "FixedSeedShuffle",
        ),
        "no release from 1.15 to 2.21 was seen to write this name",
    ),
}
