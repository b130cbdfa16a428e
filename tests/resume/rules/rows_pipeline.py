"""Rows of the stages and the data files."""

from __future__ import annotations

import os

from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.run_record import RecordedFile
from ckptscope.iterator.position import Hints, SourcePosition
from ckptscope.iterator.tree import IteratorTree
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence
from tests import writers
from tests.resume.rules.iterators import (
    AT_0,
    EXHAUSTED,
    KEY,
    RECORD_FILE,
    WHERE,
    at,
    at_7,
    iterator,
    pipeline,
    reading,
    record,
    tree_of,
)
from tests.resume.rules.table import Row, Says

GONE = "the file is gone"
CHANGED = "no record starts at byte 120: the file has changed since the save"
PAST_THE_END = "record 3 at byte 100 reaches past the end of the file"
NO_STAGE = IteratorTree(None, "compressed", None)
AT_ROOT = Hints(data_root="/data")
UNORDERED = ("ParallelMapDatasetV2",)
# A file that is there, and its size.
SELF, NBYTES = __file__, os.path.getsize(__file__)

REPORT = "Report the stage's name and TensorFlow version."
BRING_BACK = "Bring the data file back that the run was reading."
MARK = (
    "Mark it as stateless if it is (tf.numpy_function(..., stateful=False)), or save its state "
    "yourself."
)


def stages(*names: str, write=writers.compressed_state, exhausted: bool = False) -> Facts:  # type: ignore[no-untyped-def]
    """A training iterator with these stages, which have no counters but ``i``."""
    tree = tree_of({name: {"i": 0} for name in names}, write)
    return at_7(iterator(tree=tree, read=EXHAUSTED if exhausted else reading()))


def source(
    problem: str | None,
    record_index: int | None = None,
    *,
    file: str | None = "a.tfrecord",
    offset: int | None = 120,
) -> Facts:
    """A training iterator that reads a file."""
    found = SourcePosition(
        "TFRecord file", file, record_index, offset, None, problem, is_missing=problem == GONE
    )
    return at_7(iterator(read=reading(sources=(found,))))


def with_root(facts: Facts) -> Facts:
    """The same where the user gave --data-root."""
    return at_7(*facts.iterators, user_hints=AT_ROOT)


def recorded(*ops: str, **more: object) -> dict[str, object]:
    """A run record that shows a pipeline."""
    return {"run_record": record(pipeline(*ops, **more))}


def graph(*ops: str, **more: object) -> dict[str, object]:
    """A stored graph that shows a pipeline."""
    return {"meta": MetaGraph(pipeline=pipeline(*ops, **more))}


def misfit(message: str) -> tuple[Says, ...]:
    """What DATA014 says."""
    evidence = (Evidence("a.tfrecord", offset=120),)
    return (Says("inconsistent", message, "approximate", "a.tfrecord", evidence, BRING_BACK),)


def file_of(nbytes: int | None) -> dict[str, object]:
    """A run record that names a data file of that size."""
    return {"run_record": record(files=(RecordedFile(SELF, nbytes, None, None),))}


FILES = [
    Row("DATA014", "changed", source(CHANGED), misfit(f"a.tfrecord: {CHANGED}")),
    Row("DATA014", "cut off", source(PAST_THE_END), misfit(f"a.tfrecord: {PAST_THE_END}")),
    Row(
        "DATA014",
        "gone from where it must be",
        with_root(source(GONE)),
        misfit("the data file a.tfrecord is not below /data: resuming cannot read it"),
    ),
    Row("DATA014", "gone from here", source(GONE)),
    Row("DATA014", "found", source(None, 3)),
    Row("DATA014", "counted nevertheless", source(PAST_THE_END, 3)),
    Row("DATA014", "nobody looked", source(None)),
    Row("DATA014", "no offset", source(CHANGED, offset=None)),
    Row("DATA014", "not a record file", source("the length of its records is not stored")),
    Row("DATA014", "no name", source(CHANGED, file=None)),
    Row("DATA014", "not decoded", at_7(iterator(read=None))),
    Row(
        "DATA015",
        "gone from here",
        source(GONE),
        (
            Says(
                "unknown",
                "the data file a.tfrecord is not here, so its records were not counted (give "
                "--data-root)",
                None,
                "a.tfrecord",
                (),
                None,
            ),
        ),
    ),
    Row("DATA015", "no name", source(GONE, file=None)),
    Row("DATA015", "the root is given", with_root(source(GONE))),
    Row("DATA015", "found", source(None, 3)),
    Row("DATA015", "not decoded", at_7(iterator(read=None))),
    Row(
        "DATA020",
        "another size",
        at_7(**file_of(NBYTES + 1)),
        (
            Says(
                "inconsistent",
                "rows_pipeline.py has changed since this was saved",
                "approximate",
                "rows_pipeline.py",
                (Evidence(SELF),),
                "Put the old file back, or start the data over.",
            ),
        ),
    ),
    Row("DATA020", "the same", at_7(**file_of(NBYTES))),
    Row("DATA020", "no record", at_7()),
]

STAGES = [
    Row(
        "DATA009",
        "one",
        stages("Prefetch", "Prefetch::Frobnicate", "Prefetch::Frobnicate::Range"),
        (
            Says(
                "unknown",
                "the pipeline has a stage that this version does not know (Frobnicate): what it "
                "holds cannot be judged",
                "approximate",
                KEY,
                WHERE,
                REPORT,
            ),
        ),
    ),
    Row(
        "DATA009",
        "two",
        stages("Frobnicate", "Frobnicate::Defrobnicate", "Frobnicate::Defrobnicate::Range"),
        (
            Says(
                "unknown",
                "the pipeline has stages that this version does not know (Defrobnicate, "
                "Frobnicate): what they hold cannot be judged",
                "approximate",
                KEY,
                WHERE,
                REPORT,
            ),
        ),
    ),
    Row("DATA009", "known", stages("Prefetch", "Prefetch::Range")),
    Row("DATA009", "not decoded", at_7(iterator(read=None))),
    Row(
        "DATA017",
        "a shuffle of windows",
        stages("Shuffle", "Shuffle::Window", "Shuffle::Window::Range", write=writers.single_state),
        (
            Says(
                "damaged",
                "a shuffle of windows is stored; TensorFlow 1.15 crashes when it restores one",
                "impossible",
                "Iterator::Shuffle",
                WHERE,
                "Shuffle before window(), or move to TensorFlow 2.",
            ),
        ),
    ),
    Row(
        "DATA017",
        "a fused one",
        stages("ShuffleAndRepeat", "ShuffleAndRepeat::Window", write=writers.single_state),
        (
            Says(
                "damaged",
                "a shuffle of windows is stored; TensorFlow 1.15 crashes when it restores one",
                "impossible",
                "Iterator::ShuffleAndRepeat",
                WHERE,
                "Shuffle before window(), or move to TensorFlow 2.",
            ),
        ),
    ),
    Row(
        "DATA017", "of TensorFlow 2", stages("Shuffle", "Shuffle::Window", "Shuffle::Window::Range")
    ),
    Row(
        "DATA017",
        "windows of a shuffle",
        stages("Window", "Window::Shuffle", "Window::Shuffle::Range", write=writers.single_state),
    ),
    Row(
        "DATA017",
        "a prefetch of windows",
        stages("Prefetch", "Prefetch::Window", write=writers.single_state),
    ),
    Row("DATA017", "not decoded", at_7(iterator())),
    Row(
        "COND102",
        "parallel",
        stages("ParallelMapV2", "ParallelMapV2::Range"),
        (
            "The parallel stages (map (parallel)) run with deterministic=True, which is the "
            "default; the state does not say.",
        ),
    ),
    Row(
        "COND102",
        "the record knows",
        at_7(iterator(tree=tree_of({"ParallelMapV2": {"i": 0}})), **recorded("Map")),
    ),
    Row(
        "COND102",
        "the record does not know",
        at_7(iterator(tree=tree_of({"ParallelMapV2": {"i": 0}})), run_record=record()),
        (
            "The parallel stages (map (parallel)) run with deterministic=True, which is the "
            "default; the state does not say.",
        ),
    ),
    Row("COND102", "an unknown stage", stages("Frobnicate")),
    Row("COND102", "none is parallel", stages("Map", "Map::Range")),
    Row(
        "COND103",
        "functions",
        stages("Filter", "Filter::Map", "Filter::Map::Range"),
        (
            "The functions in filter, map draw no random numbers and keep no state (an "
            "external-state policy of WARN or IGNORE hides such ones).",
        ),
    ),
    Row(
        "COND103",
        "a random one in the graph",
        at_7(
            iterator(tree=tree_of({"Map": {"i": 0}})),
            **graph("MapDataset", random_ops=("RandomUniform",)),
        ),
        (
            "The functions in map draw no random numbers and keep no state (an external-state "
            "policy of WARN or IGNORE hides such ones).",
        ),
    ),
    Row(
        "COND103",
        "a Python one in the graph",
        at_7(
            iterator(tree=tree_of({"Map": {"i": 0}})), **graph("MapDataset", python_ops=("PyFunc",))
        ),
        (
            "The functions in map draw no random numbers and keep no state (an external-state "
            "policy of WARN or IGNORE hides such ones).",
        ),
    ),
    Row(
        "COND103",
        "a table in the graph",
        at_7(
            iterator(tree=tree_of({"Map": {"i": 0}})),
            **graph("MapDataset", stateful_ops=("LookupTableFindV2",)),
        ),
        (
            "The functions in map draw no random numbers and keep no state (an external-state "
            "policy of WARN or IGNORE hides such ones).",
        ),
    ),
    Row(
        "COND103",
        "pure in the graph",
        at_7(iterator(tree=tree_of({"Map": {"i": 0}})), **graph("MapDataset")),
    ),
    Row("COND103", "no functions", stages("Prefetch", "Prefetch::Range")),
    Row(
        "COND105",
        "a file cache",
        stages("FileCache", "FileCache::Range"),
        (
            "The files outside the checkpoint that the pipeline reads (the cache files) are kept "
            "unchanged.",
        ),
    ),
    Row("COND105", "an unknown stage", stages("Frobnicate")),
    Row("COND105", "a cache in memory", stages("MemoryCache", "MemoryCache::Range")),
    Row(
        "COND112",
        "a buffer that was not written",
        stages("Prefetch", "Prefetch::ParallelInterleaveV4"),
        (
            "Restoring this symbolic checkpoint of an interleave works in the TensorFlow at hand "
            "(some releases stop answering).",
        ),
    ),
    Row(
        "COND112",
        "a buffer",
        at_7(
            iterator(
                tree=tree_of({"Prefetch": {"buffer_size": 0}, "Prefetch::InterleaveV2": {"i": 0}})
            )
        ),
    ),
    Row(
        "COND112",
        "a buffer that was not written, of a plain interleave",
        stages("Prefetch", "Prefetch::InterleaveV2"),
        (
            "Restoring this symbolic checkpoint of an interleave works in the TensorFlow at hand "
            "(some releases stop answering).",
        ),
    ),
    Row("COND112", "an unknown stage", stages("Frobnicate", "Frobnicate::InterleaveV2")),
    Row("COND112", "a window", stages("Window", "Window::InterleaveV2")),
    Row("COND112", "another buffer", stages("ParallelMapV2", "ParallelMapV2::InterleaveV2")),
    Row("COND112", "no interleave", stages("Prefetch", "Prefetch::FlatMap")),
    Row("COND112", "nothing reads ahead", stages("BatchV2", "BatchV2::InterleaveV2")),
]

FUNCTIONS = [
    Row(
        "DATA019",
        "recorded",
        at_7(iterator(), **recorded(*UNORDERED, nondeterministic=UNORDERED * 2)),
        (
            Says(
                "unknown",
                "the run record shows deterministic=False for ParallelMapDatasetV2: elements come "
                "in the order in which they are ready",
                "approximate",
                "ParallelMapDatasetV2",
                (Evidence(RECORD_FILE, value="ParallelMapDatasetV2"),),
                "Set deterministic=True, or dataset.options().deterministic.",
            ),
        ),
    ),
    Row("DATA019", "the record does not know", at_7(iterator(), run_record=record())),
    Row("DATA019", "in order", at_7(iterator(), **recorded(*UNORDERED))),
    Row("DATA019", "no iterator", at_7(**recorded(*UNORDERED, nondeterministic=UNORDERED))),
    Row(
        "DATA019",
        "at step 0",
        at(AT_0, iterator(), **recorded(*UNORDERED, nondeterministic=UNORDERED)),
    ),
    Row("DATA019", "no record", at_7(iterator())),
    Row(
        "DATA021",
        "a stateful one",
        at_7(**recorded("MapDataset", python_ops=("PyFunc",))),
        (
            Says(
                "unknown",
                "a Python function of the pipeline may keep state, which no checkpoint holds",
                "approximate",
                "PyFunc",
                (Evidence(RECORD_FILE, value="PyFunc"),),
                MARK,
            ),
        ),
    ),
    Row(
        "DATA021",
        "a stateless one",
        at_7(**recorded("MapDataset", python_ops=("PyFuncStateless",))),
    ),
    Row("DATA021", "the record does not know", at_7(run_record=record())),
    Row("DATA021", "at step 0", at(AT_0, **recorded("MapDataset", python_ops=("PyFunc",)))),
    Row("DATA021", "no record", at_7()),
    Row(
        "COND116",
        "of the pipeline and of the graph",
        at_7(
            meta=MetaGraph(
                pipeline=pipeline("MapDataset", python_ops=("EagerPyFunc",)), python_ops=("PyFunc",)
            )
        ),
        (
            "The Python functions that training reaches (EagerPyFunc, PyFunc) give the same output "
            "for the same input.",
        ),
    ),
    Row("COND116", "of the graph at step 0", at(AT_0, meta=MetaGraph(python_ops=("PyFunc",)))),
    Row("COND116", "no graph", at_7()),
    Row("COND116", "none", at_7(**graph("MapDataset"))),
    Row(
        "COND117",
        "in the graph",
        at_7(iterator(), **graph(*UNORDERED, nondeterministic=UNORDERED * 2)),
        (
            "The order in which elements come out of ParallelMapDatasetV2 (deterministic=False in "
            "the stored graph) does not matter.",
        ),
    ),
    Row("COND117", "in order", at_7(iterator(), **graph(*UNORDERED))),
    Row("COND117", "no iterator", at_7(**graph(*UNORDERED, nondeterministic=UNORDERED))),
    Row("COND117", "of a record", at_7(iterator(), **recorded("Map", nondeterministic=UNORDERED))),
]

BELOW_REPEAT = "ForeverRepeat[0]"
BETWEEN_PASSES = (
    "No shuffle of files or records lies below the stages that have come to the end of their pass: "
    "TensorFlow does not store its generator then, and it would start again in the next pass.",
)
PASSES = [
    Row(
        "COND118",
        "a batch whose input is gone",
        stages("ForeverRepeat", f"{BELOW_REPEAT}::BatchV2"),
        BETWEEN_PASSES,
    ),
    Row(
        "COND118",
        "below a repeat of a repeat",
        stages("ForeverRepeat", f"{BELOW_REPEAT}::FiniteRepeat"),
        BETWEEN_PASSES,
    ),
    Row(
        "COND118",
        "below a fused shuffle",
        stages("ShuffleAndRepeat", "ShuffleAndRepeat::FlatMap"),
        BETWEEN_PASSES,
    ),
    Row(
        "COND118",
        "within the pass",
        stages("ForeverRepeat", f"{BELOW_REPEAT}::BatchV2", f"{BELOW_REPEAT}::BatchV2::Range"),
    ),
    Row(
        "COND118",
        "two stages below the repeat",
        stages("ForeverRepeat", f"{BELOW_REPEAT}::Prefetch", f"{BELOW_REPEAT}::Prefetch::BatchV2"),
        BETWEEN_PASSES,
    ),
    Row("COND118", "no stage", at_7(iterator(tree=NO_STAGE))),
    Row("COND118", "not repeated", stages("BatchV2")),
    Row("COND118", "a repeat that had not begun", stages("ForeverRepeat")),
    Row("COND118", "a cache", stages("ForeverRepeat", f"{BELOW_REPEAT}::MemoryCache")),
    Row("COND118", "a cache in files", stages("ForeverRepeat", f"{BELOW_REPEAT}::FileCache")),
    Row("COND118", "a window", stages("ForeverRepeat", f"{BELOW_REPEAT}::Window")),
    Row("COND118", "an unknown stage", stages("ForeverRepeat", f"{BELOW_REPEAT}::Frobnicate")),
    Row(
        "COND118",
        "exhausted",
        stages("ForeverRepeat", f"{BELOW_REPEAT}::BatchV2", exhausted=True),
    ),
    Row("COND118", "not decoded", at_7(iterator())),
]

ROWS = [*FILES, *STAGES, *FUNCTIONS, *PASSES]
