"""``<prefix>.ckptscope.json``: what the program knew when it saved, and no checkpoint holds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ckptscope.checkpoint.meta_graph import GraphPipeline

SUFFIX = ".ckptscope.json"
_ENDS_NBYTES = 1 << 16
FORMAT_VERSION = "1.0"
_MAX_NBYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """One data file as it was when the checkpoint was saved; ``fingerprint`` is that of
    :func:`fingerprint_of`.
    """

    path: str
    nbytes: int | None
    num_records: int | None
    fingerprint: str | None

    @property
    def has_changed(self) -> bool:
        """It is there, and another one."""
        if not os.path.isfile(self.path):
            return False
        if self.nbytes is not None and os.path.getsize(self.path) != self.nbytes:
            return True
        return self.fingerprint is not None and fingerprint_of(self.path) != self.fingerprint


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Facts of the program beside one checkpoint.

    Attributes:
        attempt: of the recorder that wrote it.
        step: of the run when the checkpoint was saved.
        pipeline: of the training data; None where it could not be read.
        files: the data files, in reading order.
        random_layers: (name, class) of layers that draw random numbers; None where no model was
            given.
        counted_batches: that had left the iterator, by the recorder's count.
    """

    path: str
    attempt: str
    step: int
    pipeline: GraphPipeline | None
    files: tuple[RecordedFile, ...]
    batch_size: int | None
    epoch_size: int | None
    random_layers: tuple[tuple[str, str], ...] | None
    versions: Mapping[str, str]
    counted_batches: int | None = None


def sha256_of(path: str) -> str:
    """Hash of a small file, in hexadecimal digits."""
    import hashlib  # it loads OpenSSL, which most calls do not need

    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def fingerprint_of(path: str) -> str:
    """Hash of a data file's size, beginning and end: cheap, and blind to changes in the middle."""
    import hashlib

    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(str(size).encode() + file.read(_ENDS_NBYTES))
        file.seek(max(0, size - _ENDS_NBYTES))
        digest.update(file.read(_ENDS_NBYTES))
    return digest.hexdigest()[:32]


def read_run_record(prefix: str) -> tuple[RunRecord | None, str | None]:
    """(record, problem) beside a checkpoint; (None, None) where there is none.

    A record of another checkpoint is refused: its hash of the index must be that of the file.
    """
    path = f"{prefix}{SUFFIX}"
    if not os.path.isfile(path):
        return None, None
    import json

    try:
        if os.path.getsize(path) > _MAX_NBYTES:
            return None, "the run record is too large to be one"
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
        if str(value["format_version"]).partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
            return None, (
                f"the run record has format {value['format_version']}, which this version "
                "does not read"
            )
        if value["index_sha256"] != sha256_of(f"{prefix}.index"):
            return (
                None,
                "the run record belongs to another checkpoint: its hash of the index differs",
            )
        return _record(path, value), None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return None, f"the run record cannot be read: {type(error).__name__}: {error}"


def _record(path: str, value: Mapping[str, Any]) -> RunRecord:
    layers = value.get("random_layers")
    return RunRecord(
        path=path,
        attempt=str(value["attempt"]),
        step=int(value["step"]),
        pipeline=_pipeline(value.get("pipeline")),
        files=tuple(
            RecordedFile(
                str(file["path"]),
                _count(file.get("nbytes")),
                _count(file.get("num_records")),
                file.get("fingerprint"),
            )
            for file in value.get("files") or ()
        ),
        batch_size=_count(value.get("batch_size")),
        epoch_size=_count(value.get("epoch_size")),
        random_layers=None
        if layers is None
        else tuple((str(layer["name"]), str(layer["class"])) for layer in layers),
        versions={str(name): str(text) for name, text in (value.get("versions") or {}).items()},
        counted_batches=_count((value.get("position") or {}).get("counted_batches")),
    )


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _pipeline(value: Any) -> GraphPipeline | None:
    if value is None:
        return None
    known = {item.name for item in dataclasses.fields(GraphPipeline)}
    chosen = {name: item for name, item in value.items() if name in known}
    for name in ("ops", "nondeterministic", "random_ops", "python_ops"):
        chosen[name] = tuple(str(item) for item in chosen[name])
    chosen["stateful_ops"] = tuple(str(item) for item in chosen.get("stateful_ops", ()))
    chosen["seeds"] = tuple((int(first), int(second)) for first, second in chosen["seeds"])
    chosen["batch_size"], chosen["epoch_size"] = (
        _count(chosen.get("batch_size")),
        _count(chosen.get("epoch_size")),
    )
    chosen["range_from_zero"] = bool(chosen["range_from_zero"])
    return GraphPipeline(**chosen)
