"""What ``verify`` found, as text and JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ckptscope.render import words
from ckptscope.render.jsonable import envelope

if TYPE_CHECKING:
    from ckptscope.checkpoint.model import Checkpoint, Damage


def damage_to_jsonable(checkpoint: Checkpoint, damage: Sequence[Damage]) -> dict[str, Any]:
    """``verify --json``."""
    return {
        **envelope("verify"),
        "path": checkpoint.prefix,
        "intact": not any(item.fatal for item in damage),
        "damage": [
            {
                "kind": d.kind,
                "file": d.file,
                "key": d.key,
                "offset": d.offset,
                "problem": d.problem,
                "fatal": d.fatal,
            }
            for d in damage
        ],
    }


def damage_text(checkpoint: Checkpoint, damage: Sequence[Damage]) -> str:
    """One line for each damaged place, and a last one that sums up."""
    lines = []
    for item in damage:
        where = os.path.basename(item.file)
        at = f" at byte {item.offset:,}" if item.offset is not None else ""
        own = item.key is not None and item.file.startswith(checkpoint.prefix)
        entry = checkpoint.entries.get(item.key or "") if own else None
        what = (
            f" {item.key} ({entry.dtype.name} {words.shape(entry.shape)})"
            if entry is not None
            else ""
        )
        lines.append(f"{'damaged' if item.fatal else 'note'}: {where}{at}:{what} {item.problem}")
    fatal = sum(item.fatal for item in damage)
    counted = (
        f"{words.plural(len(checkpoint.entries), 'variable')}, {words.size(checkpoint.nbytes)}"
    )
    lines.append(
        f"{checkpoint.prefix}: {words.plural(fatal, 'damaged place') if fatal else 'intact'} ({counted})"
    )
    return "\n".join(lines)
