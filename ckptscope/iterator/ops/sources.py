"""Sources: what reads from outside the pipeline."""

from __future__ import annotations

from collections.abc import Callable

from ckptscope.iterator.ops.spec import RANGE_ORIGIN, Evaluator, OpSpec, ProgressFunction, spec
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
    spec("Range", _range),
    spec("TensorSlice", counter("index", legacy_key="i")),
    spec("FromTensor", _from_tensor),
    spec("SparseTensorSlice", counter("i")),
    spec("TFRecord", _record_file),
    spec("TextLine", _text_file),
    spec("FixedLengthRecord", _fixed_length),
    spec("CSV", _csv),
    spec("Random", counter("num_random_samples")),
)
