"""``<prefix>.ckptscope.json``: what the program knew when it saved, and no checkpoint holds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ckptscope.checkpoint.meta_graph import GraphPipeline

SUFFIX = ".ckptscope.json"
Epochs = Literal["iterator_per_epoch", "one_iterator"]
Fed = Literal["fit", "loop", "hook"]
Order = Literal["fixed", "shuffled", "interleaved"]
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
        counted_batches: that had left the iterator, by the recorder's count; of the running epoch
            where each has an iterator of its own.
        fed: how the program feeds its training; None in records of earlier versions.
        epochs: whether an iterator is made for each epoch (``fit`` without ``steps_per_epoch``, a
            loop that says so), or one serves them all; None where that is not known.
        epoch: 0-based, the pass of the last example that was consumed.
        examples_into_epoch, batches_into_epoch: consumed of that pass.
        examples_counted: place in the data of the run, counted over all its passes and restarts:
            ``epoch`` times the size of an epoch, and what was consumed of the last one.
        start_examples: that place where this process began.
        position_problem: why the place is not known, where counting and decoding disagree.
        steps_per_epoch: batches of a pass, as the program was told or as it was seen to end.
        batches_per_step: as counted; None where steps took different numbers.
        order: of the elements; None where it cannot be told.
        order_depends_on_epoch: whether another pass comes in another order, so that a new process,
            which begins at the first one, does not go on with it; None where it cannot be told.
        deterministic: False where a stage may hand over elements in the order in which they are
            ready.
        opaque_layers: ``name (Class)`` of layers and models whose code is the program's own: they
            may draw or keep what their attributes do not show.
        num_layers: that were looked into; None where no model was given.
        hosts: processes that share the data.
        iterations: of the optimizer when the checkpoint was saved. Keras 3 raises it once more at
            each end of data whose size it does not know, and once for each batch where gradients
            are accumulated.
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
    fed: Fed | None = None
    epochs: Epochs | None = None
    epoch: int | None = None
    examples_into_epoch: int | None = None
    batches_into_epoch: int | None = None
    examples_counted: int | None = None
    start_examples: int | None = None
    position_problem: str | None = None
    steps_per_epoch: int | None = None
    batches_per_step: int | None = None
    order: Order | None = None
    order_depends_on_epoch: bool | None = None
    deterministic: bool | None = None
    opaque_layers: tuple[str, ...] = ()
    num_layers: int | None = None
    hosts: int | None = None
    iterations: int | None = None

    @property
    def is_at_epoch_end(self) -> bool | None:
        """Whether the checkpoint was saved at the end of a pass; None where that is not known."""
        if self.epoch is None:
            return None
        if self.batches_into_epoch is not None and self.steps_per_epoch is not None:
            return self.batches_into_epoch == self.steps_per_epoch
        if self.examples_into_epoch is not None and self.epoch_size is not None:
            return self.examples_into_epoch == self.epoch_size
        return None


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

    A record of another checkpoint is refused: its hash of the index must be that of the file. Of
    Keras's own files, which have no index, it is the fingerprint of the file itself.

    Args:
        prefix: of a checkpoint, or the path of a ``.weights.h5`` or ``.keras`` file.
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
        if not _is_of(prefix, value):
            return (
                None,
                "the run record belongs to another checkpoint: its hash of the index differs",
            )
        return _record(path, value), None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return None, f"the run record cannot be read: {type(error).__name__}: {error}"


def stages_told(path: str, attempt: str, within: str | None = None) -> tuple[str, ...] | None:
    """Stages of the pipeline that a run record of an attempt names, whatever became of the
    checkpoint; None where there is none.

    Args:
        within: a link to somewhere outside of this directory is not followed.
    """
    import json

    try:
        real = os.path.realpath(path)
        if within is not None and os.path.commonpath((within, real)) != within:
            return None
        if not os.path.isfile(real) or os.path.getsize(real) > _MAX_NBYTES:
            return None
        with open(real, encoding="utf-8") as file:
            value = json.load(file)
        if value["attempt"] != attempt or value["pipeline"] is None:
            return None
        return tuple(str(op) for op in value["pipeline"]["ops"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def identity_of(prefix: str) -> dict[str, str]:
    """What ties a record to its checkpoint: the hash of its index; of a file without one its
    fingerprint.

    Raises:
        OSError: neither is there.
    """
    if os.path.isfile(f"{prefix}.index"):
        return {"index_sha256": sha256_of(f"{prefix}.index")}
    return {"file_fingerprint": fingerprint_of(prefix)}


def _is_of(prefix: str, value: Mapping[str, Any]) -> bool:
    if "index_sha256" in value:
        return bool(value["index_sha256"] == sha256_of(f"{prefix}.index"))
    return bool(value["file_fingerprint"] == fingerprint_of(prefix))


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
        **_position(value.get("position") or {}),
        **_program(value.get("program") or {}),
        hosts=_count(value.get("hosts")),
    )


def _position(value: Mapping[str, Any]) -> dict[str, Any]:
    counts = (
        "counted_batches",
        "epoch",
        "examples_into_epoch",
        "batches_into_epoch",
        "examples_counted",
        "start_examples",
    )
    problem = value.get("problem")
    return {
        **{name: _count(value.get(name)) for name in counts},
        "position_problem": None if problem is None else str(problem),
    }


def _program(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fed": _one_of(value.get("fed"), Fed),
        "epochs": _one_of(value.get("epochs"), Epochs),
        "order": _one_of(value.get("order"), Order),
        "steps_per_epoch": _count(value.get("steps_per_epoch")),
        "batches_per_step": _count(value.get("batches_per_step")),
        "order_depends_on_epoch": _truth(value.get("order_depends_on_epoch")),
        "deterministic": _truth(value.get("deterministic")),
        "opaque_layers": tuple(str(name) for name in value.get("opaque_layers") or ()),
        "num_layers": _count(value.get("num_layers")),
        "iterations": _count(value.get("iterations")),
    }


def _one_of(value: Any, words: Any) -> Any:
    """A word of a later version is not known here."""
    return value if value in get_args(words) else None


def _truth(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


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
