"""Where runs lie below a directory: recordings, and directories with checkpoints. Bounded in
depth, number and time.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ckptscope.checkpoint.discover import STATE_FILE, STEP_DIRECTORY, is_index
from ckptscope.recording.journal_files import DIRECTORY, is_recording

_V1_SHARD = re.compile(r"(?<!\.data)-00000-of-\d{5}$")
MAX_DEPTH = 8
MAX_DIRECTORIES = 20_000
MAX_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where one run lies.

    Attributes:
        name: relative to the root, ``.`` for the root itself.
        directory: absolute.
        recordings: directories with the recorder's event files.
        stores: directories whose checkpoints are the run's.
        watched: those in which their files really lie: ``variables``, and directories of one step,
            lie below.
    """

    name: str
    directory: str
    recordings: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came upon.

    Attributes:
        recordings: by the directory of the run that they belong to.
        stores: directories with checkpoints, in order, and those in which the files of each lie.
        limit: why the search ended early, None if it did not.
    """

    root: str
    recordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    num_directories: int = 0
    limit: str | None = None


def search(root: str, *, max_seconds: float = MAX_SECONDS, first_only: bool = False) -> Found:
    """Look for recordings and checkpoints below ``root``. Links to directories are not followed.

    Args:
        first_only: stop at the first one.
    """
    root = os.path.abspath(root)
    recordings: dict[str, list[str]] = {}
    singles: dict[str, int] = {}
    count, limit, deadline = 0, None, time.monotonic() + max_seconds
    for here, below, names in os.walk(root):
        count += 1
        depth = 0 if here == root else os.path.relpath(here, root).count(os.sep) + 1
        below[:] = (
            sorted(name for name in below if not name.startswith(".")) if depth < MAX_DEPTH else []
        )
        if os.path.basename(here) == DIRECTORY and any(map(is_recording, names)):
            recordings.setdefault(os.path.dirname(here) if here != root else here, []).append(here)
        if "_temp_" not in os.path.basename(here) and (num_stored := _num_stored(names)):
            singles[here] = num_stored
        if first_only and (recordings or singles):
            break
        if count >= MAX_DIRECTORIES or time.monotonic() > deadline:
            limit = (
                f"the search for runs ended after {count:,} directories; start further down "
                "to see the rest"
            )
            break
    kept = {home: tuple(places) for home, places in recordings.items()}
    return Found(root, kept, _stores(singles, kept, root), count, limit)


def _num_stored(names: Iterable[str]) -> int:
    """Checkpoints among file names: indexes, and V1 files by their .meta; sharded ones, whose
    names others have, too, only beside a state file.
    """
    listed = set(names)
    has_state = STATE_FILE in listed
    return sum(
        is_index(name)
        or (name.endswith(".meta") and name[: -len(".meta")] in listed)
        or (has_state and _V1_SHARD.search(name) is not None)
        for name in listed
    )


def _stores(
    singles: Mapping[str, int], recordings: Mapping[str, object], root: str
) -> dict[str, tuple[str, ...]]:
    """The directories that a user would name: above ``variables``, ``chief``, and directories of
    one step each.

    With each those in which the files lie.
    """
    homes: dict[str, list[str]] = {}
    for here in sorted(singles):
        homes.setdefault(_above_inner(here, singles, root), []).append(here)
    # A step directory holds one checkpoint; numbered directories of which some hold more are runs.
    several = {
        os.path.dirname(home)
        for home in homes
        if _is_step(home) and (singles.get(home, 1) > 1 or home in recordings)
    }
    found: dict[str, tuple[str, ...]] = {}
    for home, holders in homes.items():
        parent = os.path.dirname(home)
        is_step = (
            _is_step(home) and home != root and parent not in singles and parent not in several
        )
        store = parent if is_step else home
        found[store] = (*found.get(store, ()), *holders)
    return found


def _above_inner(here: str, singles: Mapping[str, int], root: str) -> str:
    parent = os.path.dirname(here)
    is_inner = (
        os.path.basename(here) in ("variables", "chief") and here != root and parent not in singles
    )
    return parent if is_inner else here


def _is_step(home: str) -> bool:
    return bool(STEP_DIRECTORY.match(os.path.basename(home)))


def runs_of(
    found: Found, claims: Mapping[str, str], name: str | None = None
) -> tuple[RunPlace, ...]:
    """Runs out of what was found: a store belongs to the recording that wrote to it, or that lies
    above it.

    Args:
        claims: directories that recordings say they wrote checkpoints to, with the directory of
            that run.
        name: what runs are named below, as in TensorBoard's ``--logdir_spec``.
    """
    stores: dict[str, list[str]] = {home: [] for home in found.recordings}
    for store in found.stores:
        home = claims.get(os.path.realpath(store)) or _above(store, found) or store
        stores.setdefault(home, []).append(store)
    return tuple(
        RunPlace(
            _name(home, found.root, name),
            home,
            found.recordings.get(home, ()),
            tuple(mine),
            tuple(holder for store in mine for holder in found.stores[store]),
        )
        for home, mine in sorted(stores.items())
    )


def _above(store: str, found: Found) -> str | None:
    while store not in found.recordings:
        if store == found.root or os.path.dirname(store) == store:
            return None
        store = os.path.dirname(store)
    return store


def _name(home: str, root: str, prefix: str | None) -> str:
    # A name is what pages and addresses carry: bytes that are no text are escaped.
    relative = os.fsencode(os.path.relpath(home, root)).decode("utf-8", "backslashreplace")
    if prefix is None:
        return relative
    return prefix if relative == "." else f"{prefix}/{relative}"
