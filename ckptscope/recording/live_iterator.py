"""The state of an iterator that is in use, as the bytes that a checkpoint of it would hold.

The state is written by TensorFlow's own ops (``SerializeIterator``, ``SaveV2``) into a small bundle
in a temporary directory, which the library then reads like any other. That needs no checkpoint of
the program's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import VARIANT
from ckptscope.iterator.position import Hints, Position, read_position
from ckptscope.iterator.records import DataFiles
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import IteratorTree, build_tree
from ckptscope.recording.model import Start
from ckptscope.resume.agreement import compare, resume_position

_KEY = "iterator"


@dataclass(frozen=True, slots=True)
class LiveState:
    """A state on its way from TensorFlow to the decoder; ``problem`` says why there is none."""

    directory: str | None
    problem: str | None = None

    def read(
        self, hints: Hints, like: str | None = None, files: Sequence[str] = ()
    ) -> DecodedState:
        """Decode it, and remove its files.

        Args:
            like: a checkpoint whose iterator it is compared with.
            files: data files of the program, in reading order.
        """
        if self.directory is None:
            return DecodedState(None, None, self.problem)
        try:
            prefix = os.path.join(self.directory, "state")
            return replace(
                decode_bundle(prefix, hints, files=files),
                is_like=like is not None and _stored(prefix) == _stored(like),
            )
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class DecodedState:
    """What a state says; both None where it could not be decoded.

    Attributes:
        is_like: it is byte for byte the state in the checkpoint that was restored.
    """

    position: Position | None
    tree: IteratorTree | None
    problem: str | None
    is_like: bool = False


def save_state(iterator: Any) -> LiveState:
    """Write the state of an ``iter(dataset)``; never raises."""
    resource = getattr(iterator, "_iterator_resource", None)
    if resource is None:
        return LiveState(None, f"a {type(iterator).__name__} cannot be asked for its state")
    directory = tempfile.mkdtemp(prefix="ckptscope-")
    try:
        import tensorflow as tf

        # 1: external state (hidden random generators) is no reason to refuse; the counters are
        # there all the same.
        state = tf.raw_ops.SerializeIterator(resource_handle=resource, external_state_policy=1)
        prefix = os.path.join(directory, "state")
        tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=[_KEY], shape_and_slices=[""], tensors=[state]
        )
    except (
        Exception
    ) as error:  # whatever TensorFlow raises: py_function, from_generator, a closed iterator
        shutil.rmtree(directory, ignore_errors=True)
        first = str(error).split("\n", 1)[0]
        return LiveState(None, f"TensorFlow cannot save this iterator: {first}")
    return LiveState(directory)


def decode_bundle(
    prefix: str, hints: Hints, step: int | None = None, files: Sequence[str] = ()
) -> DecodedState:
    """The position of the only iterator in a bundle; an agreeing step completes what TensorFlow
    does not store.

    Args:
        files: data files of the program, in reading order; without them nothing is told that rests
            on which files come before another.
    """
    try:
        with open_bundle(prefix) as checkpoint:
            entry = next(item for item in checkpoint.entries.values() if item.dtype is VARIANT)
            records = split_records(
                checkpoint.reader.read_bytes(entry), entry.num_elements, entry.key
            )
            tree = build_tree(records)
            reading = read_position(
                tree, hints, DataFiles(hints.data_root, tuple(files), may_list=False)
            )
            position = reading.position
            if step is not None and position.batches_consumed is None:
                agreement = replace(compare(reading, step, "own", hints), compared_with=step)
                position = resume_position(
                    step=step,
                    training=(reading, agreement),
                    iterators=1,
                    candidates=1,
                    damaged=False,
                    data_index=None,
                    starts_at_zero=False,
                    hints=hints,
                )
            return DecodedState(position, tree, None)
    except (CkptscopeError, OSError, StopIteration, RecursionError) as error:
        return DecodedState(None, None, str(error) or type(error).__name__)


def _stored(prefix: str) -> bytes | None:
    """The stored bytes of the only iterator in a bundle."""
    try:
        with open_bundle(prefix) as checkpoint:
            states = [item for item in checkpoint.entries.values() if item.dtype is VARIANT]
            return checkpoint.reader.read_bytes(states[0]) if len(states) == 1 else None
    except (CkptscopeError, OSError):
        return None


def start_of(state: DecodedState) -> Start:
    """Where an attempt starts whose iterator is in that state."""
    position = state.position
    if position is None:
        return Start(reason=state.problem)
    if position.batches_consumed is None:
        return Start(reason=position.reasons.get("batches_consumed"))
    return Start(
        position.batches_consumed,
        position.examples_consumed,
        position.epoch,
        position.examples_into_epoch,
        "decoded",
    )
