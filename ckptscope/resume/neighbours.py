"""The other checkpoints of the directory as witnesses: rates, dead counters, weights that change.

Of each only the index and small tensors are read: its counters, how much its iterators have
delivered, and which weights have another checksum. The one before, the one after and the oldest
are heard.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ckptscope.checkpoint.discover import Location, partners_of
from ckptscope.checkpoint.model import Checkpoint, TensorEntry
from ckptscope.checkpoint.order import ordered_checkpoints
from ckptscope.checkpoint.run_record import read_run_record
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import VARIANT
from ckptscope.iterator.position import Hints, read_position
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import build_tree
from ckptscope.resume.delivered import delivered_by

# Larger ones are not opened only to be heard: listing 40,000 variables takes longer than judging.
_INDEX_LIMIT_NBYTES = 4 << 20
_ITERATOR_LIMIT_NBYTES = 1 << 20
# At least this share of the weights must be those of this checkpoint, or it is of another program.
_COMMON_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Delivered:
    """What an iterator state of a neighbour says: batches (None where it does not tell).

    Attributes:
        assumptions: codes of what the number rests on that the state does not hold.
    """

    batches: int | None = None
    exhausted: bool = False
    assumptions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What another checkpoint of the directory says.

    Attributes:
        name: of its files.
        later: it comes after this one.
        counters: the same integer scalars as in this checkpoint, by key.
        delivered: by key of the iterator.
        changed: keys of weights with another checksum; None where the format keeps none.
        recorded_sizes: (examples of a batch, of an epoch) in its run record; None without one.
    """

    name: str
    later: bool = False
    number: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    delivered: Mapping[str, Delivered] = field(default_factory=dict)
    changed: frozenset[str] | None = None
    recorded_sizes: tuple[int | None, int | None] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the neighbours are asked for.

    Attributes:
        counters: keys of integer scalars.
        weights: entries of the weights of this checkpoint.
        iterators: keys of its iterators.
        hints: sizes that are known.
    """

    counters: tuple[str, ...]
    weights: Mapping[str, TensorEntry]
    iterators: tuple[str, ...]
    hints: Hints = Hints()


class Neighbourhood:
    """The checkpoints of one directory in its order, listed once however many are judged."""

    def __init__(self, siblings: Iterable[Location] | None = None) -> None:
        self._siblings = None if siblings is None else list(siblings)

    def of(self, location: Location, asked: Asked) -> tuple[Neighbour, ...]:
        """The oldest, the one before and the one after, in the order of the directory."""
        others = self._siblings if self._siblings is not None else _siblings(location)
        place = next((i for i, other in enumerate(others) if other.prefix == location.prefix), None)
        if place is None or len(others) < 2:
            return ()
        chosen = sorted({0, place - 1, place + 1} & set(range(len(others))) - {place})
        heard = (self._hear(others[i], i > place, asked) for i in chosen)
        return tuple(neighbour for neighbour in heard if neighbour is not None)

    def _hear(self, other: Location, later: bool, asked: Asked) -> Neighbour | None:
        try:
            index = f"{other.prefix}.index"
            if other.format == "tensor_bundle" and os.path.getsize(index) > _INDEX_LIMIT_NBYTES:
                return None
            with other.open() as checkpoint:
                return _ask(other, checkpoint, later, asked)
        except (CkptscopeError, OSError, RecursionError, ValueError):
            return None  # a damaged neighbour says nothing


def _siblings(location: Location) -> list[Location]:
    try:
        return ordered_checkpoints(os.path.dirname(location.prefix) or ".")
    except OSError:
        return []


def _ask(other: Location, checkpoint: Checkpoint, later: bool, asked: Asked) -> Neighbour | None:
    entries = checkpoint.entries
    common = sum(key in entries for key in asked.weights)
    if asked.weights and common < _COMMON_SHARE * len(asked.weights):
        return None
    counters = {}
    for key in asked.counters:
        entry = entries.get(key)
        if entry is not None and entry.dtype.is_integer and not entry.shape:
            counters[key] = int(checkpoint.values(key, 1)[0])
    delivered = {
        key: _delivered(checkpoint, entries[key], asked.hints)
        for key in asked.iterators
        if key in entries and entries[key].dtype is VARIANT
    }
    for partner in partners_of(other):
        if partner.is_complete and partner.step == other.number:
            with Location(partner.prefix, "tensor_bundle", "", partner.step).open() as beside:
                for key in asked.iterators:
                    if key in beside.entries:
                        delivered[key] = _delivered(beside, beside.entries[key], asked.hints)
    record, _ = read_run_record(other.prefix)
    return Neighbour(
        os.path.basename(other.prefix),
        later,
        other.number,
        counters,
        delivered,
        _changed(entries, asked.weights),
        None if record is None else (record.batch_size, record.epoch_size),
    )


def _changed(
    entries: Mapping[str, TensorEntry], weights: Mapping[str, TensorEntry]
) -> frozenset[str] | None:
    found, compared = set(), 0
    for key, mine in weights.items():
        other = entries.get(key)
        if other is None or mine.crc32c is None or other.crc32c is None:
            continue
        compared += 1
        if mine.crc32c != other.crc32c:
            found.add(key)
    return frozenset(found) if compared else None


def _delivered(checkpoint: Checkpoint, entry: TensorEntry, hints: Hints) -> Delivered:
    if entry.nbytes > _ITERATOR_LIMIT_NBYTES:
        return Delivered()
    data = checkpoint.reader.read_bytes(entry)
    tree = build_tree(split_records(data, entry.num_elements, entry.key))
    reading = read_position(tree, hints, DataFiles(hints.data_root, hints.files))
    return Delivered(
        delivered_by(reading),
        reading.exhausted,
        frozenset(item.code for item in reading.assumptions if item.needs_step),
    )
