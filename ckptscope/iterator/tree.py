"""From names to stages.

Names are ``Iterator::…`` with the stage nearest the trainer first
(tensorflow/core/framework/dataset.h, ``DatasetBaseIterator::BuildUniqueName`` and ``full_name``).
``X::Y`` is the input of X, ``X[i]::Y`` its sub-iterator i."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ckptscope.dataset_ops import BY_ITERATOR, DATASET_OPS
from ckptscope.errors import CorruptCheckpointError, IteratorStateError
from ckptscope.formats.dtypes import STRING
from ckptscope.iterator.state import IteratorRecords, StateItem, StateTensor, items_of

_WRAPPERS = frozenset(
    ("Root", *(name for row in DATASET_OPS if row.is_wrapper for name in row.names))
)
# Segments that name a part of the stage before them, not a stage of their own.
_PART = re.compile(
    r"^(\d+|current_elements|future_elements|worker_\d+|worker_thread_\d+|invocation_results|predicate_values|return_values)$"
)
_SEGMENT = re.compile(
    r"^(?P<op>.*?)(?P<part>_invocation_results|:buffer|:batch_results_\d+)?(?:\[(?P<slot>\d+)\])?$",
    re.DOTALL,
)
_HALVES = {half: row.names[0] for row in DATASET_OPS for half in row.halves}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the pipeline as the state shows it.

    Attributes:
        path: its normalised name.
        op: class of the iterator, e.g. ``ShuffleAndRepeat``.
        items: its own keys.
        parts: keys of its parts (buffer entries, workers, results), by part name.
        inputs: (sub-iterator number or None, stage) pairs, nearest the trainer first.
        nbytes: bytes of the checkpoint that hold its keys and parts.
    """

    path: str
    op: str
    items: Mapping[str, StateItem]
    parts: Mapping[str, Mapping[str, StateItem]]
    inputs: tuple[tuple[int | None, Stage], ...]
    nbytes: int

    def __contains__(self, key: str) -> bool:
        return key in self.items

    def tensor(self, key: str) -> StateTensor | None:
        """The tensor under that key, None where it was not saved."""
        return decode(self.items.get(key))

    def integer(self, key: str) -> int | None:
        """An integer scalar, None where it was not saved or is no integer."""
        return integer_of(self.items.get(key))

    def flag(self, key: str) -> bool:
        """A flag: up to TF 2.11 an empty string whose presence means true, later an integer."""
        return flag_of(self.items.get(key))

    @property
    def child(self) -> Stage | None:
        """The only input, or the first without a number."""
        for slot, stage in self.inputs:
            if slot is None and stage.op != "Reduce":
                return stage
        return self.inputs[0][1] if len(self.inputs) == 1 else None

    def numbered(self) -> dict[int, Stage]:
        """Sub-iterators by number."""
        return {slot: stage for slot, stage in self.inputs if slot is not None}

    def walk(self) -> Iterator[Stage]:
        """This stage and everything below it."""
        yield self
        for _, stage in self.inputs:
            yield from stage.walk()


def decode(item: StateItem | None) -> StateTensor | None:
    """The tensor of an item.

    Raises:
        IteratorStateError: its record cannot be decoded.
    """
    if item is None:
        return None
    try:
        return item.record.tensors[item.index]
    except CorruptCheckpointError as error:
        raise IteratorStateError(f"{item.name}: {error}") from None


def integer_of(item: StateItem | None) -> int | None:
    """The integer of an item, None if there is none."""
    tensor = decode(item)
    if tensor is None or not tensor.dtype.is_integer:
        return None
    try:
        return int(tensor.scalar())
    except CorruptCheckpointError as error:
        raise IteratorStateError(f"{item.name if item else ''}: {error}") from None


def flag_of(item: StateItem | None) -> bool:
    """The flag of an item: presence for strings, value for integers."""
    if item is None:
        return False
    tensor = decode(item)
    return tensor is not None and (tensor.dtype is STRING or bool(integer_of(item)))


@dataclass
class _Builder:
    path: str
    op: str
    items: dict[str, StateItem] = field(default_factory=dict)
    parts: dict[str, dict[str, StateItem]] = field(default_factory=dict)
    inputs: dict[tuple[int | None, str], _Builder] = field(default_factory=dict)
    nbytes: int = 0

    def freeze(self) -> Stage:
        inputs = tuple((slot, builder.freeze()) for (slot, _), builder in self.inputs.items())
        return Stage(self.path, self.op, self.items, self.parts, inputs, self.nbytes)


@dataclass(frozen=True, slots=True)
class IteratorTree:
    """All stages of one iterator.

    Attributes:
        root: the stage nearest the trainer; None if the state names none.
        encoding: as in :class:`ckptscope.iterator.state.IteratorRecords`.
        wrapper: first wrapper segment (``Root``, ``Model`` or none): a sign of the writer's
            release.
    """

    root: Stage | None
    encoding: str
    wrapper: str | None

    @property
    def is_legacy(self) -> bool:
        """Written by TensorFlow 1.x."""
        return self.encoding == "single"

    @property
    def counts_passes_from_zero(self) -> bool:
        """Up to about TensorFlow 2.4 a shuffle's ``epoch`` is 0 in the first pass, later 1."""
        return self.encoding != "compressed" and self.wrapper != "Root"


def build_tree(records: IteratorRecords) -> IteratorTree:
    """Arrange the records of an iterator by their names."""
    top = _Builder("Iterator", "Iterator")
    wrapper: str | None = None
    placed: dict[str, tuple[_Builder, str]] = {}
    for record in records.records:
        seen: list[_Builder] = []
        for item in items_of(record):
            # Buffers have a name for each slot, alike up to the number: place what they share once.
            head, _, tail = item.name.rpartition("::")
            if not tail.isdigit():
                head, tail = item.name, ""
            if head not in placed:
                segments = head.split("::")
                if segments[0] != "Iterator":
                    continue
                if len(segments) > 1 and segments[1] in _WRAPPERS:
                    wrapper = wrapper or segments[1]
                placed[head] = _place(top, segments[1:])
            builder, part = placed[head]
            if tail:
                part = f"{part}::{tail}" if part else tail
            _store(builder, part, item, records.encoding)
            seen.append(builder)
        if seen:
            # Bytes of a TF 1.15 state lie in one record: share them out by key.
            for builder in seen:
                builder.nbytes += record.nbytes // len(seen)
        elif record.name.startswith("Iterator"):
            _place(top, record.name.split("::")[1:])[0].nbytes += record.nbytes
    stages = [builder.freeze() for builder in top.inputs.values()]
    root = stages[0] if len(stages) == 1 else None
    if len(stages) > 1:
        raise IteratorStateError(
            f"{len(stages)} outermost stages: {', '.join(stage.op for stage in stages)}"
        )
    return IteratorTree(root, records.encoding, wrapper)


def _place(top: _Builder, segments: list[str]) -> tuple[_Builder, str]:
    """Find or make the stage that a name belongs to; returns it and the name of the part, if
    any.
    """
    builder, part = top, ""
    slot: int | None = None
    for segment in segments:
        if _PART.match(segment):
            part = f"{part}::{segment}" if part else segment
            continue
        match = _SEGMENT.match(segment)
        if match is None:
            continue
        # Readers of saved datasets carry the number of their node.
        op, suffix = re.sub(r"/_\d+$", "", match["op"]), match["part"]
        number = int(match["slot"]) if match["slot"] is not None else None
        if op in _WRAPPERS and builder is top:
            continue
        op = _HALVES.get(op.removesuffix(".selector"), op.removesuffix(".selector"))
        if op != builder.op or op not in _HALVES.values():
            child = builder.inputs.get((slot, op))
            if child is None:
                numbered = f"[{slot}]" if slot is not None else ""
                child = builder.inputs[slot, op] = _Builder(f"{builder.path}{numbered}::{op}", op)
            builder = child
            part = ""
        if suffix == "_invocation_results":
            part, number = f"invocation_results::{number}", None
        elif suffix is not None:
            part = suffix[1:]
        slot = number
    return builder, part


def _store(builder: _Builder, part: str, item: StateItem, encoding: str) -> None:
    if part:
        builder.parts.setdefault(part, {})[item.key] = item
        return
    # TF 2.4 to 2.11: the slot list of a shuffle shares its key with the count of live elements.
    row = BY_ITERATOR.get(builder.op)
    shuffles = row is not None and row.shuffles
    if encoding == "named" and not item.hashed and item.key == "num_elements" and shuffles:
        builder.parts.setdefault("buffer", {})[item.key] = item
        return
    builder.items[item.key] = item
