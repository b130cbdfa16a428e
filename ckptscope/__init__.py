"""ckptscope: what is in a TensorFlow checkpoint, where its data stands, and whether the run resumes
exactly.

    import ckptscope as cs

    cs.inspect("model_dir").resume.verdict
    cs.diff("model_dir@8", "model_dir@12").summary
    cs.open("model_dir")["dense/kernel"]

Reading never imports TensorFlow and never runs anything that it reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ckptscope.version import VERSION as __version__

if TYPE_CHECKING:
    from ckptscope.comparison.compare import Diff, diff
    from ckptscope.comparison.model import CheckpointDiff
    from ckptscope.inspection import Inspection, inspect
    from ckptscope.inspection import open_checkpoint as open
    from ckptscope.run_history import RunHistory, inspect_all

_LAZY = {
    "inspect": ("ckptscope.inspection", "inspect"),
    "inspect_all": ("ckptscope.run_history", "inspect_all"),
    "diff": ("ckptscope.comparison.compare", "diff"),
    "history": ("ckptscope.run_history", "inspect_all"),
    "record": ("ckptscope.recording.run_recorder", "record"),
    "open": ("ckptscope.inspection", "open_checkpoint"),
    "Inspection": ("ckptscope.inspection", "Inspection"),
    "RunHistory": ("ckptscope.run_history", "RunHistory"),
    "Diff": ("ckptscope.comparison.compare", "Diff"),
    "CheckpointDiff": ("ckptscope.comparison.model", "CheckpointDiff"),
    "CkptscopeError": ("ckptscope.errors", "CkptscopeError"),
}
__all__ = [
    "CheckpointDiff",
    "CkptscopeError",
    "Diff",
    "Inspection",
    "RunHistory",
    "__version__",
    "diff",
    "inspect",
    "inspect_all",
    "open",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line needs only a part."""
    if name == "keras":  # a module of ours, which imports Keras
        import importlib

        return importlib.import_module("ckptscope.keras")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)
