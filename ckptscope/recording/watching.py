"""Checkpoints that a program writes without telling: noticed by files whose stamp changed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ckptscope.checkpoint.discover import read_state_file

_SUFFIXES = (".weights.h5", ".keras", ".h5")
Stamp = tuple[int, int, int] | None


def stamp_of(path: str) -> Stamp:
    """When a file was written, and which it is; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


@dataclass
class Watch:
    """Files that change when a checkpoint is written.

    Attributes:
        states: ``checkpoint`` state files of TensorFlow's.
        files: files of Keras's that are written again and again.
        folders: directories in which new files of Keras's appear.
        backups: directories that Keras removes at the end of a training.
    """

    states: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    backups: tuple[str, ...] = ()
    _stamps: dict[str, Stamp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.poll()

    def poll(self) -> list[str]:
        """Checkpoints that were written since the last time."""
        found = []
        for path in self.states:
            if self._changed(path):
                latest, _ = read_state_file(path)
                if latest is not None:
                    found.append(os.path.join(os.path.dirname(path), os.path.basename(latest)))
        found += [path for path in self.files if self._changed(path)]
        for folder in self.folders:
            if self._changed(folder):
                found += [path for path in _files_in(folder) if self._changed(path)]
        return list(dict.fromkeys(found))

    def is_transient(self, prefix: str) -> bool:
        """It lies in a directory that Keras removes."""
        path = os.path.abspath(prefix)
        return any(
            path.startswith(os.path.join(os.path.abspath(backup), "")) for backup in self.backups
        )

    def know(self, prefix: str) -> None:
        """A checkpoint that was told needs not be noticed."""
        for path in (os.path.join(os.path.dirname(prefix), "checkpoint"), prefix):
            if path in self._stamps or path in self.files or path in self.states:
                self._stamps[path] = stamp_of(path)

    def _changed(self, path: str) -> bool:
        now = stamp_of(path)
        if now == self._stamps.get(path):
            return False
        self._stamps[path] = now
        return now is not None


def _files_in(folder: str) -> list[str]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_SUFFIXES))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names]


def watch_of(checkpoint_dir: str | None, callbacks: Iterable[Any] = ()) -> Watch:
    """What a directory and Keras's own callbacks write."""
    states, files, folders, backups = [], [], [], []
    if checkpoint_dir is not None:
        states.append(os.path.join(checkpoint_dir, "checkpoint"))
    for callback in callbacks:
        kind = type(callback).__name__
        if kind.startswith("BackupAndRestore"):
            backup = os.fspath(callback.backup_dir)
            backups.append(backup)
            files.append(os.path.join(backup, "latest.weights.h5"))
            states.append(os.path.join(backup, "chief", "checkpoint"))
        elif kind == "ModelCheckpoint":
            path = os.fspath(callback.filepath)
            folder = os.path.dirname(path) or "."
            states.append(os.path.join(folder, "checkpoint"))
            if "{" in os.path.basename(path):
                folders.append(folder)
            else:
                files.append(path)
    return Watch(_each(states), _each(files), _each(folders), _each(backups))


def _each(paths: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(paths))


def backup_of(callbacks: Iterable[Any]) -> str | None:
    """The backup that ``BackupAndRestore`` goes on from, if there is one."""
    for callback in callbacks:
        if type(callback).__name__.startswith("BackupAndRestore"):
            backup = os.fspath(callback.backup_dir)
            weights = os.path.join(backup, "latest.weights.h5")
            if os.path.isfile(weights):
                return weights
            latest, _ = read_state_file(os.path.join(backup, "chief", "checkpoint"))
            if latest is not None:
                return os.path.join(backup, "chief", os.path.basename(latest))
    return None
