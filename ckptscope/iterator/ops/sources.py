"""Sources: what reads from outside the pipeline."""

from __future__ import annotations

from collections.abc import Callable

from ckptscope.iterator.ops.spec import RANGE_ORIGIN, Evaluator, OpSpec, ProgressFunction
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.records import RecordIndex
from ckptscope.iterator.tree import Stage


def counter(key: str, *, legacy_key: str | None = None) -> ProgressFunction:
    """A stage whose key is its count."""

    def progress(stage: Stage, _: Evaluator) -> Progress:
        count = stage.integer(key)
        if count is None and legacy_key is not None:
            count = stage.integer(legacy_key)
        return (
            Progress.unknown(f"{stage.op} stored no {key}")
            if count is None
            else Progress.of(Tally.single_pass(count))
        )

    return progress


def _range(stage: Stage, _: Evaluator) -> Progress:
    following = stage.integer("next")
    if following is None or following < 0:
        return Progress.unknown("the start and step of the range are not stored")
    return Progress.of(Tally.single_pass(following)).assuming(RANGE_ORIGIN)


def _from_tensor(stage: Stage, _: Evaluator) -> Progress:
    return Progress.of(Tally.single_pass(int(stage.flag("produced")), 1))


def _record_file(stage: Stage, evaluator: Evaluator) -> Progress:
    return _open_file(stage, evaluator, "offset", "record", evaluator.files.record_at)


def _text_file(stage: Stage, evaluator: Evaluator) -> Progress:
    return _open_file(stage, evaluator, "current_pos", "line", evaluator.files.line_at)


def _open_file(
    stage: Stage,
    evaluator: Evaluator,
    key: str,
    kind: str,
    index_at: Callable[[str, int], RecordIndex],
) -> Progress:
    """Elements read from the file that is open: its byte offset, turned into an index by
    walking the file.
    """
    offset, name = stage.integer(key), evaluator.file_of(stage)
    if offset is None or stage.integer("current_file_index"):
        return Progress.unknown("no byte offset is stored for the open file")
    if offset == 0 or (
        offset < 0 and kind == "line"
    ):  # a text file that is not open yet stands at -1
        return Progress.of(Tally.single_pass(0))
    if name is None:
        return Progress.unknown("the state does not name the file that is being read")
    found = index_at(name, offset)
    if found.index is None:
        return Progress.unknown(f"{name}: {found.problem}")
    return Progress.of(Tally.single_pass(found.index, evaluator.files.num_records(name, kind)))


def _fixed_length(stage: Stage, _: Evaluator) -> Progress:
    position = stage.integer("current_pos")
    if position is not None and position <= 0:
        return Progress.of(Tally.single_pass(0))
    return Progress.unknown("record and header sizes of fixed-length records are not stored")


def _csv(_: Stage, __: Evaluator) -> Progress:
    return Progress.unknown("a CSV dataset stores a byte offset, but not the name of its file")


SPECS: tuple[OpSpec, ...] = (
    OpSpec(
        names=("Range",),
        title="range",
        counts="`next` is the next value; start and step are not stored",
        progress=_range,
        is_source=True,
    ),
    OpSpec(
        names=("TensorSlice",),
        title="from_tensor_slices",
        counts="`index` (`i` in 1.15) elements handed on",
        progress=counter("index", legacy_key="i"),
        is_source=True,
    ),
    OpSpec(
        names=("FromTensor", "Tensor"),
        title="from_tensors",
        counts="`produced`: its one element was handed on",
        progress=_from_tensor,
        is_source=True,
    ),
    OpSpec(
        names=("SparseTensorSlice",),
        title="from_sparse_tensor_slices",
        counts="`i` rows handed on",
        progress=counter("i"),
        is_source=True,
    ),
    OpSpec(
        names=("TFRecord", "TFRecordV2"),
        title="TFRecord file",
        counts="`offset` is the byte where the next record starts, in the uncompressed stream",
        progress=_record_file,
        is_source=True,
    ),
    OpSpec(
        names=("TextLine",),
        title="text file",
        counts="`current_pos` is the byte where the next line starts",
        progress=_text_file,
        is_source=True,
    ),
    OpSpec(
        names=("FixedLengthRecord", "FixedLengthRecordV2"),
        title="fixed-length record file",
        counts="`current_pos` is a byte offset; record and header sizes are not stored",
        progress=_fixed_length,
        is_source=True,
    ),
    OpSpec(
        names=("CSV",),
        title="CSV file",
        counts="`pos` within the present read buffer, `num_buffer_reads`; no file name",
        progress=_csv,
        is_source=True,
    ),
    OpSpec(
        names=("Random",),
        title="random numbers",
        counts="`num_random_samples` handed on; seeds from 2.15",
        progress=counter("num_random_samples"),
        is_source=True,
        draws=True,
    ),
)
