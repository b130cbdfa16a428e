"""Stages whose elements are datasets: flat_map, interleave, window, groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ckptscope.dataset_ops import BY_ITERATOR, DatasetOp
from ckptscope.iterator.held import group_sizes, interleave_elements, worker_held
from ckptscope.iterator.ops.spec import FILE_ORDER, UNIFORM_INNER, Evaluator, OpSpec, spec
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.state import StateItem
from ckptscope.iterator.tree import Stage, decode, integer_of


def _text_of(items: Mapping[str, StateItem], *keys: str) -> str | None:
    """A string argument of an inner dataset: the file name, where there is one."""
    for key in keys:
        item = items.get(key)
        tensor = decode(item) if item is not None and f"{key}.is_dataset" not in items else None
        if tensor is not None and tensor.dtype.name == "string" and tensor.num_elements == 1:
            text: bytes = tensor.scalar()
            return text.decode("utf-8", "backslashreplace")
    return None


def is_inner(slot: int | None, child: Stage) -> bool:
    """Whether an input of a stage that nests is a dataset which its function made, not the one that
    its function is called with.

    They have numbers, but for the open group of a GroupByWindow in TF 1.15, which is called Reduce.
    """
    return slot is not None or child.op == "Reduce"


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
    return _with_closed(evaluator, below, opened - 1, names.get(opened - 1), source, current)


def _with_closed(
    evaluator: Evaluator,
    below: Progress,
    closed: int,
    name: str | None,
    source: Stage | None,
    current: Stage,
) -> Progress:
    """Add the inner datasets that were read before the open one, whose sizes are not stored."""
    inside = [BY_ITERATOR[inner.op] for inner in current.walk() if inner.op in BY_ITERATOR]
    unit = next((row.locates for row in inside if row.locates in ("record", "line")), None)
    is_shuffled = source is None or any(
        inner.op not in BY_ITERATOR or BY_ITERATOR[inner.op].shuffles for inner in source.walk()
    )
    if name is not None and unit is not None and not is_shuffled:
        # What drops some of a file's records makes their number useless.
        found = None
        if not any(row.drops for row in inside):
            found = _of_files(evaluator, below, closed, name, unit)
        if found is not None:
            return found
    window = next((inner for inner in current.walk() if inner.op == "Window"), None)
    if window is not None and below.batched and not is_shuffled:
        delivered = window.integer("i")
        if delivered and below.examples.total == delivered:
            windows = Tally.single_pass(closed + 1)
            return replace(below, elements=windows, examples=Tally()).assuming(UNIFORM_INNER)
    what = "files were" if unit is not None else "inner datasets were"
    return Progress.unknown(f"{closed} {what} read before the open one; their sizes are not stored")


def _of_files(
    evaluator: Evaluator, below: Progress, closed: int, name: str, kind: str
) -> Progress | None:
    """With the records of the files that were read before the open one; None where they are not
    here.
    """
    files, is_known = evaluator.files.read_with(name)
    if closed >= len(files) or files[closed] != name:
        return None
    sizes = [evaluator.files.num_records(file, kind) for file in files]
    if None in sizes:
        return None
    total = sum(size or 0 for size in sizes[:closed]) + (below.examples.total or 0)
    tally = Tally.single_pass(total, sum(size or 0 for size in sizes))
    progress = replace(below, elements=tally, examples=tally)
    return progress if is_known else progress.assuming(FILE_ORDER)


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
            f"{finished} inner datasets have been read to their end or left no count; "
            "their sizes are not stored"
        )
    parts = [evaluator.evaluate(child, names.get(number)) for number, child in inner.items()]
    totals = [part.examples.total for part in parts]
    if None in totals:
        return Progress.unknown(
            next((part.reason for part in parts if part.reason), "an inner dataset left no count")
        )
    if any(part.batched for part in parts):
        return Progress.unknown(
            "batches are interleaved; their number in each inner dataset is not stored"
        )
    assumptions = tuple({a.code: a for part in parts for a in part.assumptions}.values())
    return Progress.of(Tally.single_pass(sum(count or 0 for count in totals) - held)).assuming(
        *assumptions
    )


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


def _delivered_of_group(group: Stage, evaluator: Evaluator) -> int | None:
    """Examples of the open group that its function's dataset has delivered; None where that cannot
    be counted: some may have been dropped, or all made into one.
    """
    rows = [BY_ITERATOR.get(stage.op) for stage in group.walk()]
    counted = (row is not None and _passes_on(row) for row in rows)
    return evaluator.evaluate(group).examples.total if all(counted) else None


def _passes_on(row: DatasetOp) -> bool:
    return row.keeps_count or row.makes_batches or row.names == ("Window",)


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
    for slot, child in stage.inputs:
        if is_inner(slot, child):
            # The group that is being handed out is still listed among the groups.
            delivered = _delivered_of_group(child, evaluator)
            if delivered is None or delivered > held:
                return Progress.unknown("how much of the open group was handed out is not stored")
            held -= delivered
    made = below.made_batches()
    return replace(
        made, examples=made.examples.minus(held), is_shuffled=True
    )  # the last windows may be short


def _sum_results(stage: Stage) -> int:
    return worker_held(stage) + sum(
        integer_of(items.get(".results.size")) or 0 for items in interleave_elements(stage)
    )


SPECS: tuple[OpSpec, ...] = (
    spec("FlatMap", _flat_map),
    spec("Interleave", _interleave),
    spec("ParallelInterleaveV2", _interleave, _sum_results),
    spec("ParallelInterleave", _interleave, _sum_results),
    spec("Window", _window, lambda s: s.integer("buffer_size")),
    spec("GroupByWindow", _group_by_window, group_sizes),
)
