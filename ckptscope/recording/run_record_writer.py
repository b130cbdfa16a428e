"""Writing run records beside checkpoints."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ckptscope.checkpoint.meta_graph import GraphPipeline
from ckptscope.checkpoint.run_record import FORMAT_VERSION, SUFFIX, identity_of
from ckptscope.recording.live import versions
from ckptscope.recording.model import SourceFile
from ckptscope.version import VERSION


def write_run_record(
    prefix: str,
    *,
    attempt: str,
    step: int,
    wall_time_s: float,
    pipeline: GraphPipeline | None,
    files: Sequence[SourceFile],
    batch_size: int | None,
    epoch_size: int | None,
    hosts: int,
    random_layers: Sequence[Mapping[str, str]] | None,
    position: Mapping[str, Any],
    program: Mapping[str, Any] | None = None,
) -> str:
    """Write ``<prefix>.ckptscope.json`` in one move; returns its path.

    Args:
        prefix: of a checkpoint, or the path of a file of Keras's.
        position: where the data stood, by the names of :class:`RunRecord`.
        program: how the program feeds its training, by the same names.

    Raises:
        OSError: the checkpoint is not there, or the directory cannot be written.
    """
    value = {
        "format_version": FORMAT_VERSION,
        "tool_version": VERSION,
        **identity_of(prefix),
        "attempt": attempt,
        "step": step,
        "wall_time_s": wall_time_s,
        "pipeline": None if pipeline is None else dataclasses.asdict(pipeline),
        "files": [dataclasses.asdict(file) for file in files],
        "batch_size": batch_size,
        "epoch_size": epoch_size,
        "versions": versions(),
        "hosts": hosts,
        "random_layers": None
        if random_layers is None
        else [dict(layer) for layer in random_layers],
        "position": dict(position),
        "program": dict(program or {}),
    }
    path = f"{prefix}{SUFFIX}"
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
    os.replace(temporary, path)
    return path
