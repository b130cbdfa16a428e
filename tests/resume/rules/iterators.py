"""Shorthands for facts of iterators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ckptscope.checkpoint.meta_graph import GraphPipeline
from ckptscope.checkpoint.run_record import RunRecord
from ckptscope.iterator.position import Position, Reading
from ckptscope.iterator.progress import Assumption, Progress, Tally
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import IteratorTree, build_tree
from ckptscope.resume.agreement import Agreement
from ckptscope.resume.facts import Facts, IteratorFact, StepFact
from ckptscope.resume.model import Evidence
from tests import writers
from tests.resume.rules.table import KERNEL, stored

FILE = "run/ckpt-7"
KEY = "iterator/.ATTRIBUTES/ITERATOR_STATE"
WHERE = (Evidence(FILE, KEY),)
AT_7 = StepFact(7, "step", "own")
AT_0 = StepFact(0, "step", "own")
AGREES = Agreement("agrees", compared_with=7)
RECORD_FILE = "run/ckpt-7.ckptscope.json"


def reading(
    examples: int | None = 28,
    size: int | None = 4,
    epoch_size: int | None = None,
    exhausted: bool = False,
    assumptions: tuple[Assumption, ...] = (),
    **position: object,
) -> Reading:
    """An iterator that has delivered so many examples of its first pass, in batches."""
    progress = Progress(
        Tally(), Tally.single_pass(examples, epoch_size), batched=True, batch_size=size
    )
    where = Position("stored", examples_consumed=examples, batch_size=size, epoch_size=epoch_size)
    where = replace(where, **position)  # type: ignore[arg-type]
    return Reading(where, progress, bool(examples), exhausted, assumptions)


READING = reading()
EXHAUSTED = reading(None, exhausted=True)


def iterator(
    agreement: Agreement = AGREES,
    *,
    key: str = KEY,
    read: Reading | None = READING,
    **more: object,
) -> IteratorFact:
    """An iterator of the checkpoint at step 7, in step unless its agreement says otherwise."""
    fact = IteratorFact(key, FILE, reading=read, agreement=agreement)
    return replace(fact, **more)  # type: ignore[arg-type]


def at(step: StepFact, /, *iterators: IteratorFact, **more: object) -> Facts:
    """Facts of a checkpoint with a weight and these iterators; of one, it is that of training."""
    training = iterators[0] if len(iterators) == 1 else None
    return stored(KERNEL, **{"step": step, "iterators": iterators, "training": training, **more})


def at_7(*iterators: IteratorFact, **more: object) -> Facts:
    """The same at step 7."""
    return at(AT_7, *iterators, **more)


def tree_of(
    stages: Mapping[str, Mapping[str, int]],
    write: Callable[..., list[bytes]] = writers.compressed_state,
) -> IteratorTree:
    """A state with these stages, each with its integers.

    Args:
        write: the encoding: compressed (from 2.12), named (2.0 to 2.11) or single (1.15).
    """
    state = {
        f"Iterator::Root::{name}": {key: np.int64(value) for key, value in keys.items()}
        for name, keys in stages.items()
    }
    messages = write(state)
    data, _ = writers.variant_tensor(messages)
    return build_tree(split_records(data, len(messages), KEY))


def pipeline(*ops: str, **more: object) -> GraphPipeline:
    """A pipeline of these ops, nearest the trainer first, with nothing to say but what is given."""
    plain = GraphPipeline(ops, None, None, None, (), False, (), (), ())
    return replace(plain, **more)  # type: ignore[arg-type]


def record(shown: GraphPipeline | None = None, **more: object) -> RunRecord:
    """A run record of step 7 that shows this pipeline."""
    plain = RunRecord(RECORD_FILE, "a1", 7, shown, (), None, None, None, {})
    return replace(plain, **more)  # type: ignore[arg-type]
