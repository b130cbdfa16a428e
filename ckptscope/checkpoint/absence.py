"""What a checkpoint, or what stands beside it, names and does not hold.

Restoring looks a value up by the key that the object graph names for it, and raises NotFoundError
where there is none (tensorflow/python/checkpoint/restore.py, tensorflow/core/kernels/
save_restore_v2_ops.cc). An attribute may be stored in several tensors, whose keys begin with its
own: ``ITERATOR_STATE``, ``table-keys`` and ``table-values``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ckptscope.checkpoint.model import Checkpoint
from ckptscope.checkpoint.slices import uncovered
from ckptscope.errors import CkptscopeError
from ckptscope.formats.dtypes import VARIANT

NamedBy = Literal["graph", "meta", "partition", "partner"]

# Descriptions of a Keras object, written by TensorFlow 1.14 to 2.3: no value of the training.
_NOT_RESTORED = frozenset(("OBJECT_CONFIG_JSON", "OBJECT_METADATA"))
# Tensors that are stored together under one attribute: one without the other cannot be restored.
_TOGETHER = {"-keys": "-values", "-values": "-keys"}


@dataclass(frozen=True, slots=True)
class MissingKey:
    """One value that is named and not stored.

    Attributes:
        key: its checkpoint key; for a partner the partner's prefix.
        named_by: ``graph`` (the object graph), ``meta`` (the list of what a Saver writes),
            ``partition`` (a slice of a tensor) or ``partner`` (the input pipeline's checkpoint).
        problem: what is missing, as a clause that a person can check.
        raises: restoring this checkpoint into the program that wrote it raises.
    """

    key: str
    named_by: NamedBy
    problem: str
    raises: bool = True


def missing_keys(
    checkpoint: Checkpoint,
    *,
    saved: Iterable[str] = (),
    partners: Iterable[str] = (),
) -> tuple[MissingKey, ...]:
    """Everything that is named and not stored, in the order graph, partition, meta, partner.

    Args:
        saved: keys that the ``.meta``'s SaveV2 op writes.
        partners: prefixes of complete input checkpoints that belong to this one.
    """
    found = [*_of_graph(checkpoint), *_of_partitions(checkpoint)]
    known = {item.key for item in found}
    found += [
        MissingKey(key, "meta", f"the stored graph saves {key}, and it is not stored")
        for key in dict.fromkeys(saved)
        if key not in checkpoint.entries and key not in known
    ]
    return (*found, *_of_partners(partners))


def _of_graph(checkpoint: Checkpoint) -> Iterator[MissingKey]:
    if checkpoint.graph is None:
        return
    entries = checkpoint.entries
    in_order: list[str] | None = None
    told = set()
    for node in checkpoint.graph.nodes:
        for attribute in node.attributes:
            key = attribute.key
            if key in entries or key in told:
                continue
            if in_order is None:
                in_order = sorted(entries)
            stored = set(_suffixes(key, in_order))
            lost = [other for one, other in _TOGETHER.items() if one in stored] if stored else [""]
            for suffix in lost:
                if suffix and suffix in stored:
                    continue
                told.add(key)
                yield MissingKey(
                    key + suffix,
                    "graph",
                    f"the object graph names {key + suffix}, and it is not stored",
                    raises=attribute.name not in _NOT_RESTORED,
                )


def _suffixes(key: str, in_order: list[str]) -> Iterator[str]:
    """What follows ``key`` in stored keys that are its own tensors."""
    for place in range(bisect_left(in_order, key), len(in_order)):
        if not in_order[place].startswith(key):
            return
        suffix = in_order[place][len(key) :]
        if suffix[:1] in ("-", "_"):
            yield suffix


def _of_partitions(checkpoint: Checkpoint) -> Iterator[MissingKey]:
    for entry in checkpoint.entries.values():
        if entry.slices and (problem := uncovered(entry)) is not None:
            yield MissingKey(entry.key, "partition", f"{entry.key} is not complete: {problem}")


def _of_partners(partners: Iterable[str]) -> Iterator[MissingKey]:
    from ckptscope.checkpoint.bundle_v2 import open_bundle

    for prefix in partners:
        try:
            with open_bundle(prefix) as partner:
                if any(entry.dtype is VARIANT for entry in partner.entries.values()):
                    continue
        except (CkptscopeError, OSError):
            continue  # damage, which checking it says
        yield MissingKey(
            prefix, "partner", f"the input checkpoint {prefix} holds no iterator state"
        )
