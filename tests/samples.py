"""The sample checkpoints with their measured truth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent / "sample_ckpts"
ROWS: list[dict[str, Any]] = json.loads((ROOT / "manifest.json").read_text())["samples"]
JUDGED = [row for row in ROWS if row.get("truth")]
TARGETS = [row["target"] for row in ROWS]
# Their data file is only a pointer.
NOT_FETCHED = ["lfs_pointer_221"]
READABLE = [target for target in TARGETS if target not in NOT_FETCHED]
# Prefixes of V2 bundles, input partners and by-name bundles included; the debris of saves that
# never finished left out.
BUNDLES = sorted(
    str(path.relative_to(ROOT))[: -len(".index")]
    for path in ROOT.rglob("*.index")
    if "_temp_" not in str(path) and path.parent.name not in NOT_FETCHED
)
V1_FILES = ["saver_v1_115/model.ckpt-7"]


def copy(name: str, into: Path) -> Path:
    """A private copy of a sample, to be damaged."""
    return Path(shutil.copytree(ROOT / name, into / Path(name).name))
