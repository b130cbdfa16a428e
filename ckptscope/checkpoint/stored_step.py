"""How far training had come when a checkpoint was written, read from a few bytes of it.

For putting checkpoints in order and for finding one by its step: of the index only the blocks with
the wanted keys are read, of the data only these scalars, each compared with its checksum. What a
checkpoint's step *is* gets judged elsewhere, with all that it holds."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ckptscope.checkpoint.bundle_v2 import shard_name
from ckptscope.checkpoint.sliced_v1 import open_sliced
from ckptscope.errors import CkptscopeError
from ckptscope.formats.checksum import masked_crc32c
from ckptscope.formats.dtypes import dtype_of
from ckptscope.formats.messages import parse_bundle_entry, parse_bundle_header
from ckptscope.formats.sstable import Table
from ckptscope.formats.tensor_proto import unpack

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_STEPS = tuple(
    """
    global_step step train_step training_step current_step steps num_steps step_counter
    global_steps iteration iterations iter train_counter _train_counter update_step num_updates
    """.split()
)
_OPTIMIZERS = ("optimizer", "opt", "_optimizer", "optim")
_ITERATIONS = ("_iterations", "iter", "iterations")
# Keys by what they witness, the most telling first. All keys of a small index are looked through,
# in a large one these names are looked up.
_KEYS: Mapping[str, tuple[re.Pattern[str], tuple[str, ...]]] = {
    "step": (
        re.compile(rf"^({'|'.join(_STEPS)})({_VALUE})?$"),
        (*_STEPS, *(name + _VALUE for name in _STEPS)),
    ),
    "updates": (
        re.compile(rf"(^|/)({'|'.join(_ITERATIONS)})({_VALUE})?$"),
        tuple(f"{owner}/{name}{_VALUE}" for owner in _OPTIMIZERS for name in _ITERATIONS),
    ),
    "power": (re.compile(r"(^|/)beta2_power$"), ("beta2_power",)),
    "saves": (re.compile(rf"^save_counter{_VALUE}$"), ("save_counter" + _VALUE,)),
}
_SMALL_NBYTES = 1 << 16
_INTEGERS = frozenset(("int32", "int64", "uint32", "uint64"))


@dataclass(frozen=True, slots=True)
class Progress:
    """What a checkpoint stores about how far training had come; None where it stores nothing.

    Attributes:
        step: the run's own step; None, too, where two differ.
        updates: iterations of its optimizer.
        power: -log of Adam's ``beta2_power``, which grows with each update; for comparing only.
        saves: ``save_counter``, which counts what one program saved.
    """

    step: int | None = None
    updates: int | None = None
    power: float | None = None
    saves: int | None = None


def progress_of(prefix: str, format: str) -> Progress:
    """Read it; nothing where the files cannot be read."""
    try:
        found = dict(_of_bundle(prefix) if format == "tensor_bundle" else _of_sliced(prefix))
    except (CkptscopeError, OSError, ValueError):
        return Progress()

    def agreed(kind: str) -> int | None:
        values = {value for key, value in found.items() if key[0] == kind}
        return int(values.pop()) if len(values) == 1 else None

    powers = [value for (kind, _), value in found.items() if kind == "power" and 0 < value < 1]
    return Progress(
        agreed("step"),
        agreed("updates"),
        -math.log(powers[0]) if len(powers) == 1 else None,
        agreed("saves"),
    )


def stored_step(prefix: str, format: str) -> int | None:
    """The run's own step, or else the iterations of its optimizer."""
    found = progress_of(prefix, format)
    return found.step if found.step is not None else found.updates


def _kinds(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    for key in keys:
        for kind, (pattern, _) in _KEYS.items():
            if pattern.search(key):
                yield kind, key
                break


def _of_bundle(prefix: str) -> Iterator[tuple[tuple[str, str], int | float]]:
    path = f"{prefix}.index"
    with open(path, "rb") as file:
        data = file.read()
    table = Table(data, path)
    num_shards = parse_bundle_header(table.get(b"") or b"").num_shards
    if len(data) <= _SMALL_NBYTES:
        stored = {key.decode("utf-8", "replace"): value for key, value in table}
        wanted = [(kind, key, stored[key]) for kind, key in _kinds(stored)]
    else:
        wanted = [
            (kind, key, value)
            for kind, (_, keys) in _KEYS.items()
            for key in keys
            if (value := table.get(key.encode())) is not None
        ]
    for kind, key, value in wanted:
        entry = parse_bundle_entry(value)
        dtype = dtype_of(entry.dtype)
        if entry.shape or entry.slices or not _fits(kind, dtype.name):
            continue
        with open(shard_name(prefix, entry.shard, num_shards), "rb") as shard:
            raw = os.pread(shard.fileno(), dtype.nbytes, max(0, entry.offset))
        if entry.nbytes == len(raw) and masked_crc32c(raw) == entry.crc32c:
            yield (kind, key), unpack(dtype, raw, 1)[0]


def _of_sliced(path: str) -> Iterator[tuple[tuple[str, str], int | float]]:
    with open_sliced(path) as checkpoint:
        for kind, key in _kinds(checkpoint.entries):
            entry = checkpoint.entries[key]
            if not entry.shape and _fits(kind, entry.dtype.name):
                yield (kind, key), checkpoint.values(key, 1)[0]


def _fits(kind: str, dtype: str) -> bool:
    return dtype in (("float32", "float64") if kind == "power" else _INTEGERS)
