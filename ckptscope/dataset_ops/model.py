"""What is known of one kind of dataset op, whoever reads it: its iterator's state, its graph, or a
run record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Literal

# Keys that stages of any kind may have: flags, and what TensorFlow counts for a global shuffle.
COMMON_FIELDS: Mapping[str, str | None] = MappingProxyType(
    {
        "input_impl_empty": None,
        "exhausted": None,
        "end_of_input": None,
        "element_count": None,
        "global_shuffle_iterator_next_index": None,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetOp:
    """One kind of dataset op. ``tests/oracle/test_traits.py`` holds every trait against TensorFlow.

    Attributes:
        names: classes of its iterators as they occur in the names of a state.
        halves: further classes of iterators that are parts of one stage of this kind.
        graph_ops: its nodes in a graph, without the ``Dataset`` that most names have (last or
            before a version): ``ShuffleV3`` for ``ShuffleDatasetV3``.
        title: what users call it.
        method: what makes it in ``tf.data``; None where no user does.
        counts: what is counted and held, for the documentation.
        fields: keys of its state that may be shown, with the words that a table has for them, or
            None; all others may be the user's data. ``#`` stands for a number.

        is_source: reads data from outside the pipeline.
        locates: what a position in its data is: a ``record`` or a ``line`` of a file, which can be
            found from a byte offset; ``bytes`` of a file; an ``element`` in memory; empty where
            it is none of these.
        offset_key: the key that holds the byte offset.
        needs_files: files beside the data must survive, in words.

        keeps_order: elements come in the order of its input.
        keeps_count: it delivers one element for each of its input, all of them.
        drops: which of its elements it does not deliver: those behind an ``end``, some by their
            ``position``, some by their ``value``.
        makes_batches: each of its elements holds several of its input.
        makes_datasets: each of its elements is a dataset.
        reads_ahead: works ahead of what is asked for, and holds the results in its state.
        shuffles: hands its elements on in a random order.
        draws: draws random numbers, so that its seed matters.
        same_order: every process that runs the same program gets the same order from it, if its
            shuffles have the same seeds.
        is_parallel: order may depend on timing when deterministic=False.
        runs_function: runs a function of the user's.

        repeats: makes its input anew for each pass.
        endless_as: those of its names that never end.
        keeps_endless: it has no end where its input (for ``joins``: all of them) has none.
        nests: its elements come out of datasets that its function makes anew; they are its
            numbered inputs.
        interleaves: several of its inputs are read in turns.
        joins: has several inputs, whose elements it delivers ``together``, one input after the
            other (``in_turn``), or as a selection says (``mixed``).
        may_lack_input: its input may have left no state although it still goes on.
        is_wrapper: TensorFlow puts it around the whole pipeline; it is no stage.

        seed_input: which input of its graph op is the first of two seeds.
        batch_size_input: which is the batch size, not counting what its function captures.
    """

    names: tuple[str, ...] = ()
    halves: tuple[str, ...] = ()
    graph_ops: tuple[str, ...] = ()
    title: str
    method: str | None = None
    counts: str = ""
    fields: Mapping[str, str | None] = field(default_factory=dict)

    is_source: bool = False
    locates: Literal["", "record", "line", "bytes", "element"] = ""
    offset_key: str | None = None
    needs_files: str | None = None

    keeps_order: bool = False
    keeps_count: bool = False
    drops: Literal["", "end", "position", "value"] = ""
    makes_batches: bool = False
    makes_datasets: bool = False
    reads_ahead: bool = False
    shuffles: bool = False
    draws: bool = False
    same_order: bool = False
    is_parallel: bool = False
    runs_function: bool = False

    repeats: bool = False
    endless_as: tuple[str, ...] = ()
    keeps_endless: bool = True
    nests: bool = False
    interleaves: bool = False
    joins: Literal["", "together", "in_turn", "mixed"] = ""
    may_lack_input: bool = False
    is_wrapper: bool = False

    seed_input: int | None = None
    batch_size_input: int | None = None

    def shows(self, key: str) -> bool:
        """Whether the value under that key may be shown: it counts, and is no data of the
        user's.
        """
        pattern = _digits_as_marks(key)
        return key in COMMON_FIELDS or key in self.fields or pattern in self.fields

    @property
    def seed_keys(self) -> frozenset[str]:
        """Keys that fix the order of what follows."""
        return SEED_KEYS & self.fields.keys()

    @property
    def is_fused(self) -> bool:
        """A shuffle that repeats, too."""
        return self.shuffles and self.repeats

    @property
    def delivers_a_prefix(self) -> bool:
        """What it delivers are the first elements of its input, in their order, perhaps in
        batches.
        """
        kept = self.keeps_order and self.drops in ("", "end")
        return kept and self.joins in ("", "together")


SEED_KEYS = frozenset(("seed", "seed2", "epoch"))


@cache
def _digits_as_marks(key: str) -> str:
    return re.sub(r"\d+", "#", key)


def graph_op(name: str) -> str:
    """The name of a node's op as the table has it: ``ShuffleDatasetV3`` is ``ShuffleV3``."""
    # TensorFlow 1.x calls some of them experimental.
    kind, _, version = name.removeprefix("Experimental").partition("Dataset")
    return kind + version
