"""The checkpoints of a run's directory, and what else lies there that a history would leave out:
saves that did not finish, checkpoints further down, files of formats that are not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from ckptscope.checkpoint.discover import Location, all_in, checkpoints_in, members_of
from ckptscope.errors import CheckpointNotFoundError, UnsupportedFormatError

NoteKind = Literal["unfinished_save", "checkpoints_below", "listed_from", "unread_format"]
_UNREAD = (".keras", ".h5", ".hdf5")
_MOST_NAMES = 5
_MOST_DIRECTORIES = 200
_DEPTH = 3
# A SavedModel's variables are one checkpoint of their own, not saves of a run.
_NOT_OF_THE_RUN = ("variables", "assets")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that lies in a run's directory and is not a checkpoint of its history.

    Attributes:
        path: of the save, the directory or the first of the files.
    """

    kind: NoteKind
    path: str
    text: str


def locations_of(path: str, *, recorded: bool) -> tuple[list[Location], tuple[Note, ...]]:
    """Every checkpoint of a run, in step order, and what else lies there.

    A directory without checkpoints of its own stands for the one directory below it that has some.

    Args:
        recorded: the directory holds a recording, which is told even if no checkpoint is left.

    Raises:
        CheckpointNotFoundError: there is none.
    """
    if not os.path.isdir(path):
        return all_in(path), ()
    path = path.rstrip(os.sep) or path
    below = dict(_below(path))
    try:
        locations = all_in(path)
    except (CheckpointNotFoundError, UnsupportedFormatError):
        if not recorded and len(below) != 1:
            raise
        locations = []
    homes = {os.path.dirname(location.prefix) for location in locations}
    if len(below) == 1 and homes <= {os.path.join(path, name) for name in below}:
        (inner,) = below
        home = os.path.join(path, inner)
        note = Note("listed_from", home, f"these checkpoints lie in {inner}{os.sep}")
        return all_in(home), (note, *notes_on(path), *notes_on(home))
    kept = {name: count for name, count in below.items() if os.path.join(path, name) not in homes}
    return locations, (*notes_on(path), *_not_listed(path, kept))


def notes_on(directory: str) -> tuple[Note, ...]:
    """Saves that did not finish, and files of formats that are not read."""
    return (*_unfinished(directory), *_unread(directory))


def _unfinished(directory: str) -> Iterator[Note]:
    for stem, entries in members_of(directory).items():
        names = [entry.name for entry in entries]
        shards = [name for name in names if ".data-" in name]
        if stem and shards and f"{stem}.index" not in names:
            more = f" and {len(shards) - 1:,} more" if len(shards) > 1 else ""
            yield Note(
                "unfinished_save",
                os.path.join(directory, stem),
                f"{stem} was not saved to its end: {shards[0]}{more} is there, its .index is not",
            )
        elif stem and any(_is_temporary(name) for name in names):
            yield Note(
                "unfinished_save",
                os.path.join(directory, stem),
                f"{stem} was left behind by a save that did not finish",
            )


def _is_temporary(name: str) -> bool:
    return "_temp_" in name or name.endswith("_temp") or ".index.tempstate" in name


def _unread(directory: str) -> Iterator[Note]:
    """Keras's own files, here or in a directory below, as ``BackupAndRestore`` writes them."""
    found = [(directory, name) for name in _files(directory)]
    for name in _directories(directory)[:_MOST_DIRECTORIES]:
        home = os.path.join(directory, name)
        found += [(home, file) for file in _files(home)]
    names = [
        os.path.relpath(os.path.join(home, name), directory)
        for home, name in found
        if name.endswith(_UNREAD)
    ]
    if names:
        many = "1 file is" if len(names) == 1 else f"{len(names):,} files are"
        yield Note(
            "unread_format",
            os.path.join(directory, names[0]),
            f"{many} of a format that this version does not read: {_listed(names)}",
        )


def _not_listed(directory: str, below: dict[str, int]) -> Iterator[Note]:
    for name, count in below.items():
        many = "1 checkpoint lies" if count == 1 else f"{count:,} checkpoints lie"
        home = os.path.join(directory, name)
        yield Note(
            "checkpoints_below", home, f"{many} in {name}{os.sep}: inspect {home} --all lists them"
        )


def _below(directory: str) -> Iterator[tuple[str, int]]:
    """(relative path, number of checkpoints) of directories below that hold some."""
    for here, names, _ in islice(os.walk(directory), _MOST_DIRECTORIES):
        relative = os.path.relpath(here, directory)
        is_deepest = relative.count(os.sep) + 1 >= _DEPTH and relative != os.curdir
        shown = () if is_deepest else _directories(here)
        names[:] = [name for name in shown if name not in _NOT_OF_THE_RUN]
        if relative != os.curdir and (count := len(checkpoints_in(here))):
            yield relative, count


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return []


def _files(directory: str) -> list[str]:
    return [entry.name for entry in _entries(directory) if entry.is_file()]


def _directories(directory: str) -> list[str]:
    """Names of directories; links to others are not followed."""
    names = [entry.name for entry in _entries(directory) if entry.is_dir(follow_symlinks=False)]
    return [name for name in names if not name.startswith(".") and not _is_temporary(name)]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
