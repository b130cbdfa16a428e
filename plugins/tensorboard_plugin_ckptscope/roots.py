"""Where TensorBoard was told to look, out of its flags."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

_REMOTE = re.compile(r"^[a-zA-Z][0-9a-zA-Z.+-]*://")


@dataclass(frozen=True, slots=True)
class Root:
    """One directory of ``--logdir`` or ``--logdir_spec``.

    Attributes:
        name: what its runs are named below; None for ``--logdir``.
        path: absolute; for remote ones as given.
    """

    name: str | None
    path: str

    @property
    def is_local(self) -> bool:
        """It is a directory of this machine."""
        return not _REMOTE.match(self.path)


def roots_of(logdir: str | None, flags: Any) -> tuple[Root, ...]:
    """Roots in the order given. ``logdir_spec`` is read as TensorBoard's data_ingester does."""
    logdir = logdir or getattr(flags, "logdir", None) or ""
    if logdir:
        return (Root(None, _absolute(logdir)),)
    found = []
    for part in str(getattr(flags, "logdir_spec", None) or "").split(","):
        name: str | None = None
        path = part
        if (
            ":" in part
            and not _REMOTE.match(part)
            and not part.startswith("/")
            and not os.path.splitdrive(part)[0]
        ):
            name, _, path = part.partition(":")
        if path:
            found.append(Root(name or None, _absolute(path)))
    return tuple(found)


def _absolute(path: str) -> str:
    return path if _REMOTE.match(path) else os.path.abspath(os.path.expanduser(path))


def anything_below(roots: tuple[Root, ...], max_seconds: float) -> bool:
    """Whether there is a checkpoint or a recording: a look that ends at the first one."""
    from ckptscope.runs.places import search

    looks = (
        search(root.path, max_seconds=max_seconds, first_only=True)
        for root in roots
        if root.is_local
    )
    return any(look.recordings or look.stores for look in looks)
