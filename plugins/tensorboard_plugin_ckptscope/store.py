"""Runs below the logdir: read by one thread in the background, kept in bounded memory.

Local directories are read by the library itself, as the command line reads them: nothing is thinned
out, nothing waits for TensorBoard to reload, and damage is told. What is not on this machine comes
through TensorBoard's file systems, or its data provider."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Any

from ckptscope.checkpoint.discover import Location
from ckptscope.runs.model import Run
from ckptscope.runs.places import Found, RunPlace, runs_of, search
from ckptscope.runs.reading import (
    Known,
    claimed_by,
    files_inside,
    read_attempts,
    read_run,
    stamp_of,
    unreadable_run,
)
from ckptscope.runs.summary import RunSummary, summary_of
from tensorboard_plugin_ckptscope.provided import Elsewhere
from tensorboard_plugin_ckptscope.roots import Root

MEMORY_NBYTES = 64 << 20
# A search begins at most so often, and takes at most a tenth of the time.
RESCAN_S, SLOWEST_RESCAN_S = 2.0, 60.0
FIRST_ANSWER_S = 0.4
_log = logging.getLogger(__name__)


@dataclass
class _Entry:
    """What is known of one run; read and written under its lock.

    Attributes:
        stamp: of its directories when it was read.
        run: None where it was given up for others' sake.
        paths: prefixes of its checkpoints, by their ids.
    """

    place: RunPlace
    root: str
    known: Known
    stamp: object = None
    run: Run | None = None
    summary: RunSummary | None = None
    paths: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class ScanState:
    """How far the search is, as the overview tells it."""

    state: str
    text: str | None
    num_directories: int
    num_checkpoints: int
    num_checkpoints_read: int

    def to_jsonable(self) -> dict[str, Any]:
        """The overview's ``scan``."""
        return {
            "state": self.state,
            "text": self.text,
            "num_directories": self.num_directories,
            "num_checkpoints": self.num_checkpoints,
            "num_checkpoints_read": self.num_checkpoints_read,
        }


class Store:
    """All runs. Methods may be called from any thread."""

    def __init__(
        self,
        roots: tuple[Root, ...],
        provided: Elsewhere | None,
        memory_nbytes: int = MEMORY_NBYTES,
    ) -> None:
        self._roots = [root for root in roots if root.is_local]
        self._provided = provided
        self._memory_nbytes = memory_nbytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._recent: OrderedDict[str, int] = OrderedDict()
        # What recordings say of the directories that they wrote to, with the stamp of their files.
        self._claims: dict[str, tuple[object, frozenset[str]]] = {}
        self._wake, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._last_scan_s, self._rescan_s = -1e9, RESCAN_S
        self._directories = self._read = 0
        self._limit: str | None = None
        self.trouble: str | None = None

    # ------------------------------------------------------------------------------------------
    # asked by routes

    def refresh(self, wait_s: float = FIRST_ANSWER_S) -> None:
        """Look for what is new, in the background; wait a moment, so that a quick search is in
        the answer.
        """
        with self._lock:
            due = time.monotonic() - self._last_scan_s > self._rescan_s
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="ckptscope-scan", daemon=True
                )
                self._thread.start()
            if due and self._idle.is_set():
                self._idle.clear()
                self._wake.set()
        self._idle.wait(wait_s)

    def summaries(self) -> list[RunSummary]:
        """Of the runs that were read so far."""
        with self._lock:
            return [entry.summary for entry in self._entries.values() if entry.summary is not None]

    def scan_state(self) -> ScanState:
        """How far the search is."""
        with self._lock:
            running = not self._idle.is_set()
            found = sum(
                entry.summary.num_checkpoints
                for entry in self._entries.values()
                if entry.summary is not None
            )
            unread = sum(entry.summary is None for entry in self._entries.values())
            text = self.trouble or self._limit
            if running:
                left = f"; {unread:,} runs are not read yet" if unread else ""
                text = (
                    f"Looking for runs and judging checkpoints: {self._read:,} read so far{left}."
                )
            state = "running" if running else "limited" if text else "done"
            return ScanState(
                state, text, self._directories, found, min(self._read, found) if running else found
            )

    def run(self, name: str) -> Run:
        """One run with its steps.

        Raises:
            KeyError: no such run.
        """
        with self._lock:
            entry = self._entries.get(name)
        if entry is None:
            self.refresh(wait_s=5.0)
            with self._lock:
                entry = self._entries[name]
        with entry.lock:
            run = entry.run if entry.run is not None else self._read_entry(entry)
        self._keep(name, run)
        return run

    def path(self, identity: str) -> str:
        """Prefix of a checkpoint.

        Raises:
            KeyError: no such checkpoint.
        """
        found = self._located(identity)
        if found is None:
            self.refresh(wait_s=5.0)
            found = self._located(identity)
        if found is None:
            raise KeyError(identity)
        prefix, root = found
        # Files may have become links since they were found.
        form = "tensor_bundle" if os.path.lexists(f"{prefix}.index") else "sliced_v1"
        if not files_inside(root)(Location(prefix, form, "", None)):
            raise KeyError(identity)
        return prefix

    def _located(self, identity: str) -> tuple[str, str] | None:
        """(prefix, root) of a checkpoint."""
        with self._lock:
            entries = list(self._entries.values())
        return next(
            ((entry.paths[identity], entry.root) for entry in entries if identity in entry.paths),
            None,
        )

    @property
    def nbytes(self) -> int:
        """Memory that runs take, about."""
        with self._lock:
            return sum(self._recent.values())

    # ------------------------------------------------------------------------------------------ in
    # the thread

    def _work(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            begun = time.monotonic()
            try:
                self._scan()
                self.trouble = None
            except Exception as error:  # the thread must live; the page says what happened
                _log.exception("looking for runs")
                self.trouble = f"the search for runs failed: {type(error).__name__}: {error}"
            with self._lock:
                self._last_scan_s = time.monotonic()
                self._rescan_s = min(
                    max(RESCAN_S, 10 * (self._last_scan_s - begun)), SLOWEST_RESCAN_S
                )
                self._idle.set()

    def _scan(self) -> None:
        self._read = 0
        searched = [(root, search(root.path)) for root in self._roots]
        self._directories = sum(found.num_directories for _, found in searched)
        self._limit = next((found.limit for _, found in searched if found.limit), None)
        read: dict[str, Known] = {}
        places: dict[str, tuple[RunPlace, str]] = {}
        for root, found in searched:
            for place in self._places(root, found, read):
                name = _unused(place.name, places)
                places[name] = (replace(place, name=name), root.path)
        if self._provided is not None:
            places.update(
                {place.name: (place, "") for place in self._provided.places(without=set(places))}
            )
        with self._lock:
            for gone in set(self._entries) - set(places):
                del self._entries[gone]
                self._recent.pop(gone, None)
            for name, (place, base) in places.items():
                self._entries.setdefault(
                    name, _Entry(place, base, read.pop(place.directory, Known()))
                )
            entries = [(self._entries[name], place, base) for name, (place, base) in places.items()]
        for entry, place, base in entries:
            with entry.lock:
                entry.place, entry.root = place, base
                if entry.summary is None or self._stamp(entry) != entry.stamp:
                    self._keep(place.name, self._read_entry(entry))

    def _places(self, root: Root, found: Found, read: dict[str, Known]) -> tuple[RunPlace, ...]:
        """Runs of a root; recordings are read first, because they say which directories are theirs.

        Args:
            read: gets what was read of recordings on the way, as far as memory allows.
        """
        claims: dict[str, str] = {}
        for place in runs_of(found, {}, root.name):
            if place.recordings:
                claims |= dict.fromkeys(self._claimed(place, root, read), place.directory)
        return runs_of(found, claims, root.name)

    def _claimed(self, place: RunPlace, root: Root, read: dict[str, Known]) -> frozenset[str]:
        stamp = stamp_of(place.recordings)
        known_stamp, claimed = self._claims.get(place.directory, (None, frozenset()))
        if stamp == known_stamp:
            return claimed
        known = Known()
        try:
            claimed = frozenset(claimed_by(read_attempts(place, known, root.path)))
        except Exception:  # reading the run itself will say what is wrong
            _log.exception("reading %s", place.directory)
            claimed = frozenset()
        self._claims[place.directory] = (stamp, claimed)
        if known.nbytes + sum(item.nbytes for item in read.values()) <= self._memory_nbytes:
            read[place.directory] = known
        return claimed

    def _stamp(self, entry: _Entry) -> object:
        if self._provided is not None and not entry.root:
            return self._provided.stamp(entry.place)
        return stamp_of((*entry.place.recordings, *entry.place.stores, *entry.place.watched))

    def _read_entry(self, entry: _Entry) -> Run:
        """Read a run; its lock is held. One that cannot be read is shown with the reason."""
        entry.stamp = self._stamp(entry)
        try:
            provided = self._provided is not None and not entry.root
            attempts = (
                self._provided.read(entry.place)
                if provided and self._provided is not None
                else None
            )
            run = read_run(
                entry.place, entry.root, entry.known, attempts=attempts, progress=self._progress
            )
        except Exception as error:  # the other runs must still be shown
            _log.exception("reading %s", entry.place.directory)
            run = unreadable_run(entry.place, error)
        entry.run, entry.summary = run, summary_of(run)
        entry.paths = {row.id: row.row.path for row in run.checkpoints if row.id is not None}
        return run

    def _progress(self, count: int) -> None:
        self._read += count

    def _keep(self, name: str, run: Run) -> None:
        """Remember that a run was used; give up those that were not for longest when memory
        runs out.
        """
        with self._lock:
            self._recent[name] = run.nbytes
            self._recent.move_to_end(name)
            while len(self._recent) > 1 and sum(self._recent.values()) > self._memory_nbytes:
                oldest, _ = self._recent.popitem(last=False)
                entry = self._entries.get(oldest)
                if entry is not None:
                    entry.run, entry.known = None, Known()


def _unused(name: str, names: Container[str]) -> str:
    """A name that no other run has: two roots of a --logdir_spec may hold runs of one name."""
    number, found = 1, name
    while found in names:
        number += 1
        found = f"{name} ({number})"
    return found
