"""Checkpoints as a training program sees them, and the run records beside them."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import re
import sys
from typing import Any, Mapping

_EPOCHS = {"stream": "one_iterator", "epochs": "iterator_per_epoch"}
# The first line of a state file: a string as protocol buffers write it.
_NAMED = re.compile(rb'model_checkpoint_path: ("(?:[^"\\\n]|\\.)*")')


def step_in_name(prefix: str) -> int | None:
    """The number at the end of a checkpoint's name."""
    tail = os.path.basename(prefix).rpartition("-")[2]
    return int(tail) if tail.isdigit() else None


def stamp_of(path: str) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def latest_checkpoint(state_file: str) -> str | None:
    """The prefix that a state file names; None where there is none."""
    try:
        with open(state_file, "rb") as file:
            found = _NAMED.match(file.read(1 << 16))
        if found is None:
            return None
        name: str = ast.literal_eval("b" + found.group(1).decode("latin-1")).decode()
    except (OSError, ValueError, SyntaxError):
        return None
    return os.path.join(os.path.dirname(state_file), name)


def run_record_of(prefix: str) -> dict[str, Any]:
    """The run record beside a checkpoint; empty where there is none that belongs to it."""
    try:
        with open("%s.ckptscope.json" % prefix, encoding="utf-8") as file:
            found = json.load(file)
        return dict(found) if found["index_sha256"] == _sha256_of(prefix + ".index") else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _sha256_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def write_run_record(
    note: Mapping[str, Any], header: Mapping[str, Any], counted: int | None
) -> None:
    """What no checkpoint holds, beside it; in one move."""
    path = "%s.ckptscope.json" % note["path"]
    names = ("tensorflow", "keras", "numpy")
    versions = {name: str(sys.modules[name].__version__) for name in names if name in sys.modules}
    value = {
        "format_version": "1.0",
        "tool_version": "portable",
        "index_sha256": _sha256_of(note["path"] + ".index"),
        "attempt": note["attempt"],
        "step": note["step"],
        "wall_time_s": note["wall_time_s"],
        "pipeline": None,
        "files": [],
        "batch_size": header.get("batch_size"),
        "epoch_size": header.get("epoch_size"),
        "versions": dict(versions, python=platform.python_version()),
        "hosts": header["hosts"],
        "random_layers": None,
        "position": {"counted_batches": counted, "decoded": None},
        "program": {"fed": header["fed"], "epochs": _EPOCHS.get(header["counting"])},
    }
    temporary = "%s.%d.tmp" % (path, os.getpid())
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
    os.replace(temporary, path)
