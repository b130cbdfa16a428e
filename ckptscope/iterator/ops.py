"""What each kind of stage counts and holds: one :class:`OpSpec` for each, in :data:`OP_SPECS`.

To add a dataset op: write its ``progress`` function (if none of those here fits) above the table and add one entry.
The iterators' own sources are tensorflow/core/kernels/data/*_dataset_op.cc and
tensorflow/core/kernels/data/experimental/*_dataset_op.cc (``SaveInternal`` of each). Names vary by release; see
docs/ops.md, generated from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from ckptscope.iterator.held import (
    batch_results,
    group_sizes,
    interleave_elements,
    map_results,
    prefetch_entries,
    shuffle_live,
    worker_held,
)
from ckptscope.iterator.progress import Assumption, Progress, Tally
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.state import StateItem
from ckptscope.iterator.tree import Stage, decode, integer_of

RANGE_ORIGIN = Assumption(
    "RANGE_ORIGIN",
    "the range that feeds the pipeline starts at 0 and counts by 1 (only its next value is stored)",
    True,
)
SYMBOLIC = Assumption(
    "SYMBOLIC", "the symbolic checkpoint describes exactly what was consumed, nothing in flight", True
)
READ_AHEAD = Assumption("READ_AHEAD", "this stage had counted nothing that was not handed on yet", True)
UNIFORM_BATCHES = Assumption(
    "UNIFORM_BATCHES", "all batches that were split up again had as many rows as the present one", True
)
UNIFORM_INNER = Assumption(
    "UNIFORM_INNER", "the inner datasets already read gave as many elements as the present one", True
)
FILE_ORDER = Assumption(
    "FILE_ORDER", "files are read in the order of their names, all of them from this directory", True
)


class Evaluator(Protocol):
    """What a progress function may ask for.

    ``legacy``: written by TensorFlow 1.x; ``from_zero``: the first pass of a shuffle has number 0.
    """

    files: DataFiles
    legacy: bool
    from_zero: bool

    def below(self, stage: Stage) -> Progress:
        """Progress of the stage's input."""

    def evaluate(self, stage: Stage, file: str | None = None) -> Progress:
        """Progress of any stage; ``file`` is the name of the file that it reads."""

    def file_of(self, stage: Stage) -> str | None:
        """The file that a source reads, as the stages above it say."""


ProgressFunction = Callable[[Stage, Evaluator], Progress]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpSpec:
    """One kind of stage.

    Attributes:
        names: classes of iterators as they occur in names.
        title: what users call it.
        counts: what is counted and held, for the documentation.
        progress: elements handed on, from the stage's keys and its input.
        held: number of elements held, for display; None if it holds none.
        is_source: reads data from outside the pipeline.
        draws: draws random numbers, so that its seed matters.
        runs_function: runs a function of the user's.
        is_parallel: order may depend on timing when deterministic=False.
        needs_files: files beside the data must survive, in words.
    """

    names: tuple[str, ...]
    title: str
    counts: str
    progress: ProgressFunction
    held: Callable[[Stage], int | None] | None = None
    is_source: bool = False
    draws: bool = False
    runs_function: bool = False
    is_parallel: bool = False
    needs_files: str | None = None


# ---------------------------------------------------------------------------------------------------- sources


def _counter(key: str, *, legacy_key: str | None = None) -> ProgressFunction:
    """A stage whose key is its count."""

    def progress(stage: Stage, _: Evaluator) -> Progress:
        count = stage.integer(key)
        if count is None and legacy_key is not None:
            count = stage.integer(legacy_key)
        return (
            Progress.unknown(f"{stage.op} stored no {key}") if count is None else Progress.of(Tally.single_pass(count))
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
    offset, name = stage.integer("offset"), evaluator.file_of(stage)
    if offset is None or stage.integer("current_file_index"):
        return Progress.unknown("no byte offset is stored for the open file")
    if offset == 0:
        return Progress.of(Tally.single_pass(0))
    if name is None:
        return Progress.unknown("the state does not name the file that is being read")
    found = evaluator.files.record_at(name, offset)
    if found.index is None:
        return Progress.unknown(f"{name}: {found.problem}")
    return Progress.of(Tally.single_pass(found.index, evaluator.files.num_records(name, "record")))


def _text_file(stage: Stage, evaluator: Evaluator) -> Progress:
    position, name = stage.integer("current_pos"), evaluator.file_of(stage)
    if position is None or stage.integer("current_file_index"):
        return Progress.unknown("no byte offset is stored for the open file")
    if position <= 0:
        return Progress.of(Tally.single_pass(0))
    if name is None:
        return Progress.unknown("the state does not name the file that is being read")
    found = evaluator.files.line_at(name, position)
    if found.index is None:
        return Progress.unknown(f"{name}: {found.problem}")
    return Progress.of(Tally.single_pass(found.index, evaluator.files.num_records(name, "line")))


def _fixed_length(stage: Stage, _: Evaluator) -> Progress:
    position = stage.integer("current_pos")
    if position is not None and position <= 0:
        return Progress.of(Tally.single_pass(0))
    return Progress.unknown("record and header sizes of fixed-length records are not stored")


def _csv(_: Stage, __: Evaluator) -> Progress:
    return Progress.unknown("a CSV dataset stores a byte offset, but not the name of its file")


# ---------------------------------------------------------------------------------------------------- one to one


def _transparent(stage: Stage, evaluator: Evaluator) -> Progress:
    return evaluator.below(stage)


_ERROR_WAITS = "an error waits in a buffer of the pipeline, which the next request will raise"


def _prefetch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    if "buffer_size" not in stage:
        return below.assuming(SYMBOLIC)
    entries = prefetch_entries(stage)
    if any(entry.is_error for entry in entries):
        return Progress.unknown(_ERROR_WAITS)
    ended = below.ended
    return _without_held(replace(below, ended=ended and not entries), [entry.leading for entry in entries], ended)


def _parallel_map(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    results = map_results(stage)
    if any(result.is_error for result in results):
        return Progress.unknown(_ERROR_WAITS)
    ended = below.ended
    return _without_held(replace(below, ended=ended and not results), [result.leading for result in results], ended)


def _without_held(below: Progress, leading: list[int | None], ended_below: bool) -> Progress:
    """Take elements that wait in a buffer away; batches among them show the batch size."""
    if not below.batched:
        return below.minus(len(leading), len(leading))
    sizes = [size for size in leading if size is not None]
    if sizes and len(sizes) == len(leading):
        into = below.examples.into
        # A lone batch may be the short one at the end of a pass; then it shows nothing.
        is_lone = len(sizes) == 1
        may_be_short = ended_below or below.pass_over or (into is not None and (into < sizes[0] or into % sizes[0]))
        if not below.is_shuffled and not (is_lone and may_be_short):
            below = below.with_batch_size(max(sizes))
        if below.batch_size is not None and min(sizes) < below.batch_size:
            below = replace(below, drops=False)
        return below.completed().minus(len(leading), sum(sizes)).completed()
    if below.batch_size is not None and not below.pass_over and not ended_below:
        return below.completed().minus(len(leading), len(leading) * below.batch_size).completed()
    return below.minus(len(leading), None if leading else 0)


def _filter(stage: Stage, evaluator: Evaluator) -> Progress:
    kept, dropped = stage.integer("filtered_elements"), stage.integer("dropped_elements")
    below = evaluator.below(stage)
    if kept is None or (kept == 0 and not dropped and below.elements.total != 0):
        return Progress.unknown(
            "this TensorFlow does not store how many elements a filter passed on", ended=below.ended
        )
    return _recounted(below, kept, replace_examples=not below.batched)


def _recounted(below: Progress, count: int, *, replace_examples: bool) -> Progress:
    """A stage with a counter of its own that drops some of its input; sizes of passes no longer hold."""
    tally = Tally(count, below.elements.passes, None).filled() if below.repeated else Tally.single_pass(count)
    examples = tally if replace_examples else Tally(None, tally.passes)
    return replace(
        below, elements=tally, examples=examples, reason=None, assumptions=(),
        batch_size=below.batch_size if below.batched else 1,
    )  # fmt: skip


def _unknown_count(reason: str) -> ProgressFunction:
    def progress(stage: Stage, evaluator: Evaluator) -> Progress:
        below = evaluator.below(stage)
        if below.elements.total == 0:
            return below
        return Progress.unknown(reason, ended=below.ended)

    return progress


def _take(stage: Stage, evaluator: Evaluator) -> Progress:
    count = stage.integer("i")
    below = evaluator.below(stage)
    if count is None:
        return below
    ended = stage.flag("input_impl_empty")
    size = below.elements.size if below.repeated else (count if ended else None)
    elements = Tally(
        count, below.elements.passes if below.repeated else 0, below.elements.into if below.repeated else count, size
    )
    examples = (
        elements if not below.batched else replace(below.examples, size=below.examples.size if below.repeated else None)
    )
    return replace(below, elements=elements.filled(), examples=examples.filled(), ended=ended, reason=None,
                   assumptions=() if not below.repeated else below.assumptions)  # fmt: skip


def _skip(stage: Stage, evaluator: Evaluator) -> Progress:
    skipped = stage.integer("i")
    below = evaluator.below(stage)
    if skipped is None:
        return below
    if below.repeated or below.batched:
        elements = Tally(below.elements.minus(skipped).total)
        return replace(below, elements=elements, examples=Tally() if below.batched else elements, mixed=True,
                       epoch_reason="elements were skipped across passes")  # fmt: skip
    size = None if below.elements.size is None else max(0, below.elements.size - skipped)
    tally = replace(below.elements.minus(skipped), size=size)
    return replace(below, elements=tally, examples=tally)


def _shard(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    if stage.integer("next_index") == 0:
        return Progress.of(Tally.single_pass(0))
    return Progress.unknown("how many shards there are is not stored, nor which one this is", ended=below.ended)


# ---------------------------------------------------------------------------------------------------- repeating


def _repeat(stage: Stage, evaluator: Evaluator) -> Progress:
    inner = stage.numbered()
    passes = stage.integer("i")
    if passes is None and inner:
        passes = max(inner)
    child = inner.get(passes if passes is not None else -1) or stage.child
    ended = stage.flag("input_impl_empty")
    if child is None:
        if ended:
            return replace(Progress.unknown("the data has ended and its counters are gone", ended=True), repeated=True)
        below = Progress.of(Tally.single_pass(0))
        if passes is None:
            return replace(
                Progress.unknown("this TensorFlow does not store how often the data was repeated"), repeated=True
            )
    else:
        below = evaluator.evaluate(child)
    if below.repeated and below.elements.passes is None:
        return replace(
            below,
            elements=Tally(),
            examples=Tally(),
            ended=ended,
            epoch_reason="nested repeats",
            reason=below.reason or "nested repeats",
        )

    def again(tally: Tally) -> Tally:
        if below.repeated:
            return Tally(None, None, None, None) if passes != 0 else tally
        return Tally(None, passes, tally.total if tally.total is not None else tally.into, tally.size).filled()

    reason = below.reason
    if reason is None and passes is None:
        reason = "this TensorFlow does not store how often the data was repeated"
    elif reason is None and passes:
        reason = "how many elements one pass has is not stored (give --epoch-size)"
    return replace(
        below, elements=again(below.elements), examples=again(below.examples), repeated=True, ended=ended, reason=reason,
        mixed=below.mixed and not below.opaque,
    )  # fmt: skip


def _shuffle(stage: Stage, evaluator: Evaluator) -> Progress:
    slices, fused = stage.integer("slices_size"), stage.op == "ShuffleAndRepeat"
    below = evaluator.below(stage)
    if slices is None:
        return Progress.unknown(f"{stage.op} stored no slices")
    first = 0
    if slices > 1 and not stage.integer("slices_end_0") and stage.integer("slices_start_1"):
        first, slices = 1, slices - 1  # restoring in TF 1.15 leaves an empty slice before the real ones
    start = stage.integer(f"slices_start_{first}") or 0
    end = stage.integer(f"slices_end_{first}") or 0
    drained = stage.flag("end_of_input_sequence") and end > 0
    if below.batched:
        tally = _fused_tally(stage, evaluator, slices, start, end) if fused else Tally.single_pass(start)
        return _shuffle_of_batches(stage, below, tally, fused, drained and slices <= 1)
    if not fused:
        size = end if drained and slices == 1 and not below.repeated else None
        opaque = below.opaque or stage.child is None
        if below.repeated:
            return replace(Progress.of(Tally(start)), repeated=True, mixed=True, ended=drained and start == end,
                           epoch_reason="the data is repeated before it is shuffled, so passes overlap")  # fmt: skip
        return replace(
            Progress.of(Tally.single_pass(start, size)), ended=drained and start == end, opaque=opaque, mixed=opaque and start > 0,
            epoch_reason="whether the data was repeated before it was shuffled is no longer in the state" if opaque else None,
        )  # fmt: skip
    return replace(Progress.of(_fused_tally(stage, evaluator, slices, start, end)), repeated=True,
                   ended=drained and start == end and slices <= 1, opaque=below.opaque or stage.child is None)  # fmt: skip


def _fused_tally(stage: Stage, evaluator: Evaluator, slices: int, start: int, end: int) -> Tally:
    """ShuffleAndRepeat counts over all passes; slice 0 is the pass that is being handed out."""
    epoch, drawn = stage.integer("epoch") or 0, stage.integer("num_random_samples") or 0
    passes: int | None = max(0, epoch - max(slices - 1, 0) if evaluator.from_zero else epoch - max(slices, 1))
    if not evaluator.legacy and (passes == 0) != (start == drawn) and start:
        passes = None  # the two counters contradict each other
    if passes is None:
        return Tally(start)
    complete = slices > 1 or stage.flag("slices_reached_end_of_sequence_0")
    size: int | None = None
    if complete and end % (passes + 1) == 0:
        size = end // (passes + 1)
    elif passes and not evaluator.legacy and (start - drawn) % passes == 0:
        size = (start - drawn) // passes
    if size and not evaluator.legacy and start - drawn not in (passes * size, start):
        size = None
    into = start - passes * size if size else (start if passes == 0 else None if evaluator.legacy else drawn)
    return Tally(start, passes, into, size)


def _shuffle_of_batches(stage: Stage, below: Progress, tally: Tally, fused: bool, drained: bool) -> Progress:
    """The short batch may come anywhere, so examples are what was read less what is live."""
    live = shuffle_live(stage)
    sizes = [held.leading for held in live] if live is not None else [None]
    known = [size for size in sizes if size is not None]
    held = sum(known) if len(known) == len(sizes) else None
    rests = any(assumption.needs_step for assumption in below.assumptions)  # on what the step cannot confirm here
    examples = Tally() if fused or below.repeated or rests else below.examples.minus(held)
    reason = None if examples.total is not None else "batches are shuffled, so it is not known where the short one went"
    return replace(
        below, elements=tally, examples=examples, batch_size=max(known) if len(known) > 1 else None, uncut=None,
        repeated=below.repeated or fused, ended=drained and not sizes, reason=reason, is_shuffled=True,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------- batching


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _batch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    ended = stage.flag("input_impl_empty") or stage.flag("exhausted")
    return replace(below.made_batches(), ended=ended)


def _map_and_batch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    held, batch_size = batch_results(stage)
    met_end = below.ended or any(key.endswith("_end_of_input") and stage.flag(key) for key in stage.items)
    made = below.made_batches(batch_size)
    made = replace(made, pass_over=made.pass_over or met_end, ended=met_end and held == 0)
    return replace(made, examples=made.examples.minus(held), in_flight=_sum(made.in_flight, held)).completed()


def _unbatch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    rows, current = stage.integer("n"), stage.integer("current_index")
    if rows is None or current is None:
        return Progress.unknown("the batch that is being split is not stored", ended=below.ended)
    pending = rows - current
    if below.examples.total is not None and below.batched:
        tally = below.examples.minus(pending)
        ended = below.ended and pending <= 0
        return replace(below, elements=tally, examples=tally, batched=False, batch_size=1, ended=ended)
    if below.elements.total is not None:
        count = (below.elements.total - 1) * rows + current if below.elements.total else 0
        result = Progress.of(Tally.single_pass(max(0, count)))
        return result.assuming(*below.assumptions, UNIFORM_BATCHES)
    why = below.reason or "the batches before it cannot be counted"
    return Progress.unknown(why, ended=below.ended and pending <= 0)


def _rebatch(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    offset = stage.integer("offset")
    first = stage.tensor("tensors[0]")
    rows = first.shape[0] if first is not None and first.shape else 0
    held = 0 if offset is None or offset < 0 or first is None else rows - offset
    # Rows pass through: examples stay what they are, whatever the batches below hold.
    return replace(
        below,
        elements=Tally(),
        examples=below.examples.minus(held),
        batched=True,
        batch_size=None,
        ended=below.ended and held == 0,
        in_flight=_sum(below.in_flight, held),
    )


# ---------------------------------------------------------------------------------------------------- caches


def _memory_cache(stage: Stage, evaluator: Evaluator) -> Progress:
    complete = "cache_completed" in stage
    count = stage.integer("num_elements")
    count = stage.integer("cache_size") if count is None else count
    index = stage.integer("index")
    below = evaluator.below(stage) if stage.inputs else Progress.of(Tally())
    if complete and index is not None:
        return replace(Progress.of(Tally.single_pass(index, count)), ended=index == count, opaque=True)
    if count is None:
        return Progress.unknown("the cache stored no count", ended=below.ended)
    if complete:  # filled to its end in this pass, not read from yet
        return replace(Progress.of(Tally.single_pass(count, count)), ended=True, opaque=True)
    return replace(
        below,
        elements=Tally.single_pass(count),
        examples=Tally.single_pass(count) if not below.batched else below.examples,
        reason=None,
        assumptions=(),
    )


def _file_cache(stage: Stage, evaluator: Evaluator) -> Progress:
    index = stage.integer("cur_index")
    if index is None:
        return Progress.unknown("the file cache stored no index")
    below = evaluator.below(stage) if stage.inputs else replace(Progress.of(Tally()), opaque=True)
    tally = Tally.single_pass(index)
    return replace(below, elements=tally, examples=Tally() if below.batched else tally, reason=None).assuming(
        READ_AHEAD
    )


# ---------------------------------------------------------------------------------------------------- several inputs


def _zip(stage: Stage, evaluator: Evaluator) -> Progress:
    inputs = [evaluator.evaluate(child) for _, child in sorted(stage.inputs, key=lambda pair: pair[0] or 0)]
    ended = stage.flag("input_impls_empty")
    known = [
        progress for progress in inputs if progress.elements.total is not None or progress.elements.into is not None
    ]
    if not known:
        reason = next(
            (progress.reason for progress in inputs if progress.reason), "the data has ended and its counters are gone"
        )
        return Progress.unknown(reason, ended=ended)
    # All inputs have given the same number. Where only some are repeated it is not known which one makes the epochs.
    if len({progress.repeated for progress in inputs}) > 1:
        known = [
            replace(item, elements=Tally(item.elements.total), examples=Tally(item.examples.total), repeated=True)
            for item in known
        ]
    best = min(known, key=lambda progress: (len(progress.assumptions), progress.elements.total is None))
    batches = next((progress for progress in inputs if progress.batched), None)
    if batches is not None:
        rests = any(assumption.needs_step for assumption in batches.assumptions)
        examples = Tally() if rests else replace(batches.examples, size=None)
        elements = replace(best.elements, size=None)
        return replace(batches, elements=elements, examples=examples, uncut=None, ended=ended)
    sizes = [progress.elements.size for progress in inputs if not progress.repeated]
    # An input without a size may be the shorter one.
    size = min(filter(None, sizes)) if sizes and None not in sizes else best.elements.size if best.repeated else None
    tally = replace(best.elements, size=size)
    return replace(best, elements=tally, examples=tally, ended=ended)


def _concatenate(stage: Stage, evaluator: Evaluator) -> Progress:
    active, inputs = stage.integer("i"), stage.numbered()
    if active is None:
        return Progress.unknown("which input is being read is not stored")
    below = evaluator.evaluate(inputs[active]) if active in inputs else Progress.of(Tally.single_pass(0))
    if active == 0:
        return replace(below, elements=replace(below.elements, size=None), examples=replace(below.examples, size=None))
    before = [
        evaluator.evaluate(inputs[number]).examples.total if number in inputs else None for number in range(active)
    ]
    if None in before or below.batched:
        return Progress.unknown("how long the inputs before the present one were is not stored", ended=below.ended)
    total = sum(number or 0 for number in before)
    tally = Tally.single_pass(None if below.examples.total is None else total + below.examples.total)
    return replace(below, elements=tally, examples=tally)


def _directed(stage: Stage, evaluator: Evaluator) -> Progress:
    inputs = [evaluator.evaluate(child) for slot, child in stage.inputs if slot is not None]
    reason = "several datasets are mixed, so an epoch is not defined"
    totals = [progress.elements.total for progress in inputs]
    expected = sum(key.startswith("data_input_impl_empty[") for key in stage.items)
    if not inputs or None in totals or len(inputs) < expected:
        why = next((progress.reason for progress in inputs if progress.reason), "an input that has ended left no count")
        return replace(Progress.unknown(why), mixed=True, epoch_reason=reason)
    total = sum(count or 0 for count in totals)
    assumptions = tuple({a.code: a for progress in inputs for a in progress.assumptions}.values())
    batched = any(progress.batched for progress in inputs)
    return Progress(
        Tally(total), Tally() if batched else Tally(total), batched=batched, batch_size=None if batched else 1,
        mixed=True, assumptions=assumptions, epoch_reason=reason,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------- nested datasets


def _text_of(items: Mapping[str, StateItem], *keys: str) -> str | None:
    """A string argument of an inner dataset: the file name, where there is one."""
    for key in keys:
        item = items.get(key)
        tensor = decode(item) if item is not None and f"{key}.is_dataset" not in items else None
        if tensor is not None and tensor.dtype.name == "string" and tensor.num_elements == 1:
            text: bytes = tensor.scalar()
            return text.decode("utf-8", "backslashreplace")
    return None


def inner_files(stage: Stage) -> dict[int, str]:
    """File names of the open inner datasets of a FlatMap or interleave, by sub-iterator number."""
    files: dict[int, str] = {}
    if stage.op == "FlatMap":
        name = _text_of(stage.items, "inputs[0]", "captured_func_inputs[0]")
        opened = stage.integer("element_index")
        if name is not None and opened:
            files[opened - 1] = name
    for number in stage.numbered():
        name = _text_of(stage.items, f"args_list_[{number}][0]", f"args_list_[{number}][0][0]")
        if name is not None:
            files[number] = name
    for items in interleave_elements(stage):
        element, name = integer_of(items.get(".id")), _text_of(items, ".inputs[0]")
        if element is not None and name is not None:
            files[element] = name
    for part, items in stage.parts.items():
        if part.startswith("worker_thread_") and (name := _text_of(items, "input_0")) is not None:
            files[int(part.rpartition("_")[2])] = name
    for key in stage.items:
        if (
            key.startswith("worker_thread_")
            and key.endswith("_input_0")
            and (name := _text_of(stage.items, key)) is not None
        ):
            files[int(key.split("_")[2])] = name
    return files


def _flat_map(stage: Stage, evaluator: Evaluator) -> Progress:
    opened = stage.integer("element_index") or 0
    inner = stage.numbered()
    exhausted = stage.flag("exhausted")
    if opened == 0:
        return (
            Progress.of(Tally.single_pass(0))
            if not exhausted
            else Progress.unknown("the data has ended and its counters are gone", ended=True)
        )
    current = inner.get(opened - 1)
    if current is None:
        return Progress.unknown("the open inner dataset left no count", ended=exhausted)
    names = inner_files(stage)
    below = evaluator.evaluate(current, names.get(opened - 1))
    source = stage.child
    outer_ended = exhausted
    if opened == 1:
        return replace(
            below,
            elements=replace(below.elements, size=None),
            examples=replace(below.examples, size=None),
            ended=outer_ended,
        )
    if below.examples.total is None:
        return replace(below, ended=outer_ended)
    return _with_closed(stage, evaluator, below, opened - 1, names.get(opened - 1), source, current)


def _with_closed(
    stage: Stage,
    evaluator: Evaluator,
    below: Progress,
    closed: int,
    name: str | None,
    source: Stage | None,
    current: Stage,
) -> Progress:
    """Add the inner datasets that were read before the open one, whose sizes are not stored."""
    del stage
    inside = {inner.op for inner in current.walk()}
    kind = "record" if "TFRecord" in inside else "line" if "TextLine" in inside else None
    shuffled = source is None or any(inner.op in ("Shuffle", "ShuffleAndRepeat") for inner in source.walk())
    if (
        name is not None
        and kind is not None
        and not shuffled
        and not inside & {"Filter", "Shard", "FiniteTake", "FiniteSkip"}
    ):
        files = evaluator.files.siblings(name)
        if closed < len(files) and files[closed] == name:
            sizes = [evaluator.files.num_records(file, kind) for file in files]
            if None not in sizes:
                total = sum(size or 0 for size in sizes[:closed]) + (below.examples.total or 0)
                tally = Tally.single_pass(total, sum(size or 0 for size in sizes))
                return replace(below, elements=tally, examples=tally).assuming(FILE_ORDER)
    if "Window" in inside and below.batched:
        window = next(inner for inner in current.walk() if inner.op == "Window")
        if window.integer("i") and not shuffled and below.examples.total == window.integer("i"):
            return replace(below, elements=Tally.single_pass(closed + 1), examples=Tally()).assuming(UNIFORM_INNER)
    if kind is not None:
        return Progress.unknown(f"{closed} files were read before the open one; their sizes are not stored")
    return Progress.unknown(f"{closed} inner datasets were read before the open one; their sizes are not stored")


def _interleave(stage: Stage, evaluator: Evaluator) -> Progress:
    """All interleaves: what the open inner datasets gave, less what waits in the workers."""
    names, inner = inner_files(stage), stage.numbered()
    held = worker_held(stage)
    elements = interleave_elements(stage)
    for items in elements:
        held += integer_of(items.get(".results.size")) or 0
    source = stage.child
    opened = stage.integer("element_id_counter")
    if opened is None and source is not None:
        opened = evaluator.evaluate(source).elements.total
    if opened is None:
        return Progress.unknown("how many inner datasets were opened is not stored")
    if len(inner) < opened:
        finished = opened - len(inner)
        return Progress.unknown(
            f"{finished} inner datasets have been read to their end or left no count; their sizes are not stored"
        )
    parts = [evaluator.evaluate(child, names.get(number)) for number, child in inner.items()]
    totals = [part.examples.total for part in parts]
    if None in totals:
        return Progress.unknown(next((part.reason for part in parts if part.reason), "an inner dataset left no count"))
    if any(part.batched for part in parts):
        return Progress.unknown("batches are interleaved; their number in each inner dataset is not stored")
    assumptions = tuple({a.code: a for part in parts for a in part.assumptions}.values())
    return Progress.of(Tally.single_pass(sum(count or 0 for count in totals) - held)).assuming(*assumptions)


def _window(stage: Stage, evaluator: Evaluator) -> Progress:
    if not stage.inputs:  # the dataset of one window
        delivered = stage.integer("i")
        return (
            Progress.unknown("the window stored no count")
            if delivered is None
            else Progress.of(Tally.single_pass(delivered))
        )
    below = evaluator.below(stage)
    if below.elements.total == 0:
        return below
    return Progress.unknown("size and shift of the windows are not stored", ended=below.ended)


def _group_by_window(stage: Stage, evaluator: Evaluator) -> Progress:
    below = evaluator.below(stage)
    held = group_sizes(stage)
    if below.ended or stage.flag("end_of_input"):
        return replace(
            below.made_batches(),
            examples=Tally(),
            is_shuffled=True,
            reason="the groups are being emptied at the end of the data",
        )
    groups = [child for slot, child in stage.inputs if slot is not None or child.op == "Reduce"]
    for child in groups:  # the open group is still listed among the groups
        held -= next((inner.integer("i") or 0 for inner in child.walk() if inner.op == "Window"), 0)
    made = below.made_batches()
    return replace(made, examples=made.examples.minus(held), is_shuffled=True)  # the last windows may be short


def _load(stage: Stage, evaluator: Evaluator) -> Progress:
    inner = [child for child in stage.walk() if child.op == "SnapshotDatasetReader"]
    below = evaluator.below(stage)
    if below.elements.total is None and inner:
        return Progress.unknown("how much was read of shards that are finished is not stored", ended=below.ended)
    return below


def _sum_results(stage: Stage) -> int:
    return worker_held(stage) + sum(integer_of(items.get(".results.size")) or 0 for items in interleave_elements(stage))


def _rebatch_rows(stage: Stage) -> int:
    first, offset = stage.tensor("tensors[0]"), stage.integer("offset")
    return first.shape[0] - max(offset or 0, 0) if first is not None and first.shape else 0


def _unbatch_rows(stage: Stage) -> int:
    return (stage.integer("n") or 0) - (stage.integer("current_index") or 0)


def _cached(stage: Stage) -> int | None:
    count = stage.integer("num_elements")
    return stage.integer("cache_size") if count is None else count


OP_SPECS: tuple[OpSpec, ...] = (
    # sources
    OpSpec(names=("Range",), title="range", counts="`next` is the next value; start and step are not stored", progress=_range, is_source=True),
    OpSpec(names=("TensorSlice",), title="from_tensor_slices", counts="`index` (`i` in 1.15) elements handed on", progress=_counter("index", legacy_key="i"), is_source=True),
    OpSpec(names=("FromTensor", "Tensor"), title="from_tensors", counts="`produced`: its one element was handed on", progress=_from_tensor, is_source=True),
    OpSpec(names=("SparseTensorSlice",), title="from_sparse_tensor_slices", counts="`i` rows handed on", progress=_counter("i"), is_source=True),
    OpSpec(names=("TFRecord", "TFRecordV2"), title="TFRecord file", counts="`offset` is the byte where the next record starts, in the uncompressed stream", progress=_record_file, is_source=True),
    OpSpec(names=("TextLine",), title="text file", counts="`current_pos` is the byte where the next line starts", progress=_text_file, is_source=True),
    OpSpec(names=("FixedLengthRecord", "FixedLengthRecordV2"), title="fixed-length record file", counts="`current_pos` is a byte offset; record and header sizes are not stored", progress=_fixed_length, is_source=True),
    OpSpec(names=("CSV",), title="CSV file", counts="`pos` within the present read buffer, `num_buffer_reads`; no file name", progress=_csv, is_source=True),
    OpSpec(names=("Random",), title="random numbers", counts="`num_random_samples` handed on; seeds from 2.15", progress=_counter("num_random_samples"), is_source=True, draws=True),
    # one to one
    OpSpec(names=("Map", "MapV2"), title="map", counts="no keys: what its input gave", progress=_transparent, runs_function=True),
    OpSpec(names=("ParallelMap", "ParallelMapV2"), title="map (parallel)", counts="holds the results that are computed ahead", progress=_parallel_map, held=lambda s: len(map_results(s)), runs_function=True, is_parallel=True),
    OpSpec(names=("Prefetch",), title="prefetch", counts="holds `buffer_size` elements", progress=_prefetch, held=lambda s: s.integer("buffer_size"), ),
    OpSpec(names=("Filter",), title="filter", counts="`filtered_elements` passed on (counted from 2.15)", progress=_filter, runs_function=True),
    OpSpec(names=("ParallelFilter",), title="filter (parallel)", counts="not counted", progress=_unknown_count("a parallel filter does not store how many elements it passed on"), runs_function=True, is_parallel=True),
    OpSpec(names=("FiniteTake", "Take"), title="take", counts="`i` elements handed on", progress=_take),
    OpSpec(names=("FiniteSkip", "Skip"), title="skip", counts="`i` elements skipped so far", progress=_skip),
    OpSpec(names=("Shard",), title="shard", counts="`next_index` elements read; number of shards not stored", progress=_shard),
    OpSpec(names=("Scan",), title="scan", counts="what its input gave; its state is stored", progress=_transparent, runs_function=True),
    OpSpec(names=("TakeWhile",), title="take_while", counts="what its input gave", progress=_transparent, runs_function=True),
    OpSpec(names=("AssertCardinality", "AssertNext", "AssertPrev", "Options", "OptionsV2", "FinalizeDataset", "IgnoreErrors", "SetStatsAggregator", "LatencyStats", "BytesProducedStats", "NonSerializable"), title="pass-through", counts="what its input gave", progress=_transparent),
    OpSpec(names=("Reduce",), title="group being reduced", counts="TF 1.15's name for the open group of a group_by_window", progress=_transparent),
    OpSpec(names=("Unique",), title="unique", counts="`unique_elements_size` handed on", progress=lambda s, e: _recounted(e.below(s), s.integer("unique_elements_size") or 0, replace_examples=True)),
    OpSpec(names=("ParseExample", "ParseExampleV2"), title="parse_example", counts="holds results that are computed ahead", progress=_parallel_map, held=lambda s: len(map_results(s)), is_parallel=True),
    # repeating and shuffling
    OpSpec(names=("FiniteRepeat", "ForeverRepeat", "EmptyRepeat"), title="repeat", counts="`i` whole passes are done (ForeverRepeat: stored from 2.15)", progress=_repeat),
    OpSpec(names=("Shuffle", "ReshufflingShuffle", "FixedSeedShuffle"), title="shuffle", counts="handed on `slices_start_0`, read `slices_end_last`, holds the difference", progress=_shuffle, held=lambda s: s.integer("num_elements"), draws=True),
    OpSpec(names=("ShuffleAndRepeat",), title="shuffle + repeat", counts="as shuffle, over all passes", progress=_shuffle, held=lambda s: s.integer("num_elements"), draws=True),
    OpSpec(names=("GlobalShuffle",), title="global shuffle", counts="`element_count` handed on, or read ahead", progress=lambda s, e: _counter("element_count")(s, e).assuming(READ_AHEAD), draws=True),
    # batching
    OpSpec(names=("BatchV2", "Batch", "PaddedBatchV2", "PaddedBatch", "DenseToSparseBatch"), title="batch", counts="holds nothing; its size is not stored", progress=_batch),
    OpSpec(names=("MapAndBatch", "MapAndBatchV2"), title="map + batch", counts="holds `batch_results_*_num_elements` examples", progress=_map_and_batch, held=lambda s: batch_results(s)[0], runs_function=True, is_parallel=True),
    OpSpec(names=("ParallelBatch",), title="batch (parallel)", counts="holds `batch_results_*_num_elements` examples", progress=_map_and_batch, held=lambda s: batch_results(s)[0], is_parallel=True),
    OpSpec(names=("Unbatch",), title="unbatch", counts="`current_index` of `n` rows of the present batch handed on", progress=_unbatch, held=_unbatch_rows),
    OpSpec(names=("RebatchV2", "Rebatch", "LegacyRebatch"), title="rebatch", counts="holds the rows of `tensors` behind `offset`", progress=_rebatch, held=_rebatch_rows),
    # caches
    OpSpec(names=("MemoryCache",), title="cache (memory)", counts="filling: `num_elements` handed on; reading: `index`; all elements are in the state", progress=_memory_cache, held=_cached),
    OpSpec(names=("FileCache",), title="cache (file)", counts="`cur_index` handed on", progress=_file_cache, needs_files="the cache files"),
    # several inputs
    OpSpec(names=("Zip",), title="zip", counts="what each input gave", progress=_zip),
    OpSpec(names=("Concatenate",), title="concatenate", counts="input `i` is being read", progress=_concatenate),
    OpSpec(names=("DirectedInterleave",), title="sample_from / choose_from_datasets", counts="the sum of its inputs", progress=_directed),
    # nested datasets
    OpSpec(names=("FlatMap",), title="flat_map", counts="`element_index` inner datasets opened", progress=_flat_map, runs_function=True),
    OpSpec(names=("Interleave", "InterleaveV2"), title="interleave", counts="the sum of the open inner datasets, and the sizes of those read", progress=_interleave, runs_function=True),
    OpSpec(names=("ParallelInterleaveV2", "ParallelInterleaveV3", "ParallelInterleaveV4"), title="interleave (parallel)", counts="as interleave; holds `.results.size` for each element", progress=_interleave, held=_sum_results, runs_function=True, is_parallel=True),
    OpSpec(names=("ParallelInterleave", "LegacyParallelInterleaveV2"), title="parallel_interleave", counts="as interleave; holds `outputs_size` for each worker", progress=_interleave, held=_sum_results, runs_function=True, is_parallel=True),
    OpSpec(names=("Window",), title="window", counts="holds `buffer_size` elements of overlap", progress=_window, held=lambda s: s.integer("buffer_size")),
    OpSpec(names=("GroupByWindow",), title="group_by_window", counts="holds the groups that are not full", progress=_group_by_window, held=group_sizes, runs_function=True),
    # on disk
    OpSpec(names=("Snapshot",), title="snapshot", counts="`index` handed on, or read ahead", progress=lambda s, e: _counter("index")(s, e).assuming(READ_AHEAD), needs_files="the snapshot directory"),
    OpSpec(names=("SnapshotWriter",), title="snapshot writer", counts="what its input gave", progress=_transparent, needs_files="the snapshot directory"),
    OpSpec(names=("Load",), title="Dataset.load", counts="what its shards gave", progress=_load, needs_files="the saved dataset"),
    OpSpec(names=("SnapshotNestedDatasetReader",), title="shards of a saved dataset", counts="`index` shards opened", progress=_counter("index"), is_source=True),
    OpSpec(names=("SnapshotDatasetReader",), title="shard of a saved dataset", counts="`start_index` elements read", progress=_counter("start_index"), is_source=True),
)  # fmt: skip
OPS: dict[str, OpSpec] = {name: spec for spec in OP_SPECS for name in spec.names}
