"""The line of a program that goes on from a checkpoint, by framework."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from ckptscope.resume.facts import Framework

# {prefix} and {directory} are string literals.
_COMMANDS: Mapping[Framework, str] = {
    "checkpoint": "checkpoint.restore({prefix})",
    "keras": "checkpoint.restore({prefix})  # weights alone: model.load_weights({prefix})",
    "keras_backup": "model.fit(..., callbacks=[keras.callbacks.BackupAndRestore({directory})])",
    "estimator": "estimator.train(input_fn)  # model_dir={directory}, whose state file must name this "
    "checkpoint as the latest",
    "saver": "saver.restore(session, {prefix})",
    "saved_model": "tf.saved_model.load({directory})  # weights alone",
}


def resume_command(framework: Framework, prefix: str) -> str:
    """How a program of that framework restores ``prefix``."""
    directory = os.path.dirname(prefix) or "."
    if framework in ("saved_model", "keras_backup"):
        # The one holds its bundle in variables/, the other in chief/ or in itself.
        inner = ("variables",) if framework == "saved_model" else ("chief",)
        directory = (
            os.path.dirname(directory) or "." if os.path.basename(directory) in inner else directory
        )
    return _COMMANDS[framework].format(prefix=_quoted(prefix), directory=_quoted(directory))


def _quoted(path: str) -> str:
    """A string as Python reads it; JSON's escapes of rare characters would be two of them."""
    return json.dumps(path, ensure_ascii=False)
