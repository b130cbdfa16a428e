"""From whatever path the user has to one checkpoint, and why that one.

A checkpoint is found by its prefix (``model.ckpt-7``), a member file, a directory, a ``checkpoint``
state file, an Estimator's or SavedModel's directory, a directory of step-named directories, or
``DIR@STEP``. State file: tensorflow/python/training/checkpoint_state.proto, a text protobuf."""

from __future__ import annotations

import functools
import os
import re
import time
from dataclasses import dataclass, replace

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.model import Checkpoint
from ckptscope.checkpoint.sliced_v1 import open_sliced
from ckptscope.errors import (
    CheckpointChangedError,
    CheckpointNotFoundError,
    CkptscopeError,
    UnsupportedFormatError,
    UsageError,
)
from ckptscope.formats.sstable import FOOTER_NBYTES, MAGIC

_MEMBER = re.compile(r"^(?P<prefix>.+?)(\.index|\.meta|\.data-\d{5}-of-\d{5})$")
_NUMBER = re.compile(r"(?:^|[-_.])(\d+)$")
_PARTNER = re.compile(r"^(?P<base>input(?:_\w+?_\d+)?\.ckpt)-(?P<step>\d+)$")
STEP_DIRECTORY = re.compile(r"^(?:checkpoint[-_.]|ckpt[-_.]|step[-_.])?(\d+)$")
_LATER = (".keras", ".h5", ".hdf5")
# What stands beside a checkpoint under its name, a run record among it.
_SUFFIX = re.compile(r"(\.index|\.meta|\.data-\d{5}-of-\d{5}|\.ckptscope\.json)$")
_SHARED = ("input", "checkpoint_input", "graph.pbtxt")
STATE_FILE = "checkpoint"
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Location:
    """One checkpoint on disk.

    Attributes:
        prefix: path without suffixes; for V1 the file.
        format: ``tensor_bundle`` or ``sliced_v1``.
        chosen_because: the reason, as a clause.
        number: the number at the end of its name, often the step; None if there is none.
        is_saved_model: it is the ``variables`` of a SavedModel.
        notes: things about the state file that a person should know.
    """

    prefix: str
    format: str
    chosen_because: str
    number: int | None
    is_saved_model: bool = False
    notes: tuple[str, ...] = ()

    def fingerprint(self) -> tuple[int, int, int] | None:
        """Inode, size and time of the index; None where it is gone. Changes when the checkpoint
        is replaced.
        """
        try:
            status = os.stat(
                f"{self.prefix}.index" if self.format == "tensor_bundle" else self.prefix
            )
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def open(self) -> Checkpoint:
        """Open the checkpoint.

        Raises:
            CheckpointChangedError: it vanished or was replaced meanwhile, twice.
            CkptscopeError: it cannot be read.
        """
        for attempt in (1, 2):
            before = self.fingerprint()
            try:
                return (
                    open_bundle(self.prefix)
                    if self.format == "tensor_bundle"
                    else open_sliced(self.prefix)
                )
            except CkptscopeError:
                if before == self.fingerprint() and before is not None:
                    raise
            except FileNotFoundError:
                pass
            except OSError as error:
                raise CkptscopeError(
                    f"cannot be read: {error.strerror or error}", path=self.prefix
                ) from None
            if attempt == 2:
                raise CheckpointChangedError(
                    "is being written or removed right now; try again", path=self.prefix
                )
        raise AssertionError("unreachable")


def members_of(directory: str) -> dict[str, list[os.DirEntry[str]]]:
    """Files of a directory by the prefix that they belong to: members of a checkpoint, and what is
    written beside it.

    Partners of an Estimator's input pipeline and their state files, on which every checkpoint of
    the directory depends, are under the empty prefix."""
    found: dict[str, list[os.DirEntry[str]]] = {}
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return found
    for entry in entries:
        is_shared = entry.name.startswith(_SHARED)
        found.setdefault("" if is_shared else _SUFFIX.sub("", entry.name), []).append(entry)
    return found


@dataclass(frozen=True, slots=True)
class Partner:
    """An ``input.ckpt-N`` that an Estimator's ``CheckpointInputPipelineHook`` wrote beside the
    model's checkpoints.

    Attributes:
        step: number in its name.
        is_complete: its index is there; else only debris of a save is (``problem`` says what).
    """

    prefix: str
    base: str
    step: int
    is_complete: bool
    problem: str | None = None


def number_of(prefix: str) -> int | None:
    """The number at the end of a prefix's name."""
    match = _NUMBER.search(os.path.basename(prefix))
    return int(match[1]) if match else None


def find(path: str, step: str | None = None) -> Location:
    """The checkpoint that ``path`` means.

    Args:
        path: any of the forms in the module's description.
        step: a number, ``latest``, or ``-K`` (the K-th from the end), for directories.

    Raises:
        CheckpointNotFoundError: there is none; says what is nearby.
        UnsupportedFormatError: a format that is not read (yet).
    """
    if re.match(r"^[a-z][a-z0-9+]*://", path):
        raise UnsupportedFormatError(
            "remote files are not read by this version; copy the checkpoint here first", path=path
        )
    base, at, suffix = path.rpartition("@")
    if (
        at
        and re.fullmatch(r"\d+|latest|-\d+", suffix)
        and not os.path.exists(path)
        and os.path.isdir(base)
    ):
        path, step = base, suffix
    if step is not None and not re.fullmatch(r"latest|-?\d+", step):
        raise UsageError(
            f"--step takes a number, latest, or -K for the K-th from the end, not {step!r}"
        )
    # A prefix may also be the name of a directory; with a slash at its end that is meant.
    is_prefix = not path.endswith("/") and os.path.isfile(f"{path}.index")
    path = path.rstrip("/") if len(path) > 1 else path
    try:
        if os.path.isdir(path) and not is_prefix:
            return _in_directory(path, step)
        if step is not None and step != "latest":
            raise CheckpointNotFoundError("--step needs a directory, and this is none", path=path)
        return _of_file(path)
    except PermissionError:
        raise CkptscopeError("no permission to read it", path=path) from None


def _of_file(path: str) -> Location:
    name = os.path.basename(path)
    if os.path.isfile(f"{path}.index"):
        return Location(path, "tensor_bundle", "the given prefix", number_of(path))
    member = _MEMBER.match(path)
    if member and (os.path.isfile(f"{member['prefix']}.index")):
        return Location(
            member["prefix"],
            "tensor_bundle",
            f"the checkpoint that {name} belongs to",
            number_of(member["prefix"]),
        )
    if member and _is_v1(member["prefix"]):
        return replace(
            _of_file(member["prefix"]), chosen_because=f"the V1 checkpoint that {name} belongs to"
        )
    if not os.path.isfile(path):
        if member and os.path.isfile(member["prefix"]):
            return _of_file(member["prefix"])
        raise CheckpointNotFoundError(_nothing_at(path), path=path)
    if path.endswith(_LATER):
        raise UnsupportedFormatError(
            "Keras files (.keras, .h5) are not read by this version", path=path
        )
    with open(path, "rb") as file:
        head = file.read(64)
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if path.endswith(".index"):
        return Location(
            path[: -len(".index")],
            "tensor_bundle",
            "the given index",
            number_of(path[: -len(".index")]),
        )
    if tail == MAGIC and size >= FOOTER_NBYTES:
        return Location(path, "sliced_v1", "the given file, a V1 checkpoint", number_of(path))
    if b"model_checkpoint_path" in head:
        return _in_directory(os.path.dirname(path) or ".", None, state_file=name)
    if member:
        raise CheckpointNotFoundError(
            f"belongs to {member['prefix']}, whose .index is missing: the save did not "
            "finish, or the file was lost",
            path=path,
        )
    if name == "saved_model.pb":
        return _in_directory(os.path.dirname(path) or ".", None)
    kind = (
        "an empty file" if size == 0 else "a text file" if _is_text(head) else "no checkpoint file"
    )
    raise CheckpointNotFoundError(
        f"is {kind}; give a prefix (model.ckpt-7), an .index file, or the directory with "
        "checkpoints",
        path=path,
    )


def _is_text(head: bytes) -> bool:
    return all(byte in b"\t\n\r" or byte >= 32 for byte in head)


def _nothing_at(path: str) -> str:
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        return f"does not exist, nor does the directory {directory}"
    debris = sorted(
        name for name in os.listdir(directory) if name.startswith(os.path.basename(path) + ".")
    )
    if debris:
        return (
            f"has no .index, only {', '.join(debris[:3])}: the save did not finish, or the "
            "index was lost"
        )
    nearby = [os.path.basename(location.prefix) for location in checkpoints_in(directory)]
    listed = ", ".join(nearby[-5:])
    return (
        f"does not exist; {directory} holds {listed}"
        if nearby
        else f"does not exist, and {directory} holds no checkpoint"
    )


def is_index(name: str) -> bool:
    """Whether a file of that name is a checkpoint's index; those of input partners and
    unfinished saves are not.
    """
    return (
        name.endswith(".index")
        and "_temp_" not in name
        and not _PARTNER.match(name[: -len(".index")])
    )


def checkpoints_in(directory: str) -> list[Location]:
    """Checkpoints whose index lies in this directory, in step order; input partners and
    temporary files left out.
    """
    found = []
    for name in sorted(os.listdir(directory)):
        if name.endswith(".index"):
            prefix = os.path.join(directory, name[: -len(".index")])
            if is_index(name):
                found.append(
                    Location(prefix, "tensor_bundle", "found in the directory", number_of(prefix))
                )
        elif (
            _NUMBER.search(name)
            and not _MEMBER.match(name)
            and _is_v1(os.path.join(directory, name))
        ):
            found.append(
                Location(
                    os.path.join(directory, name),
                    "sliced_v1",
                    "found in the directory",
                    number_of(name),
                )
            )
    return sorted(
        found,
        key=lambda location: (location.number is not None, location.number or 0, location.prefix),
    )


def _is_v1(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < FOOTER_NBYTES:
            return False
        file.seek(size - 8)
        return file.read(8) == MAGIC


def all_in(path: str) -> list[Location]:
    """Every checkpoint of a run, in step order.

    Raises:
        CheckpointNotFoundError: there is none.
    """
    directory = path if os.path.isdir(path) else os.path.dirname(path) or "."
    found = checkpoints_in(directory)
    if not found:
        found = [
            replace(find(os.path.join(directory, name)), number=number)
            for number, name in _step_directories(directory)
        ]
    if not found:
        return [find(path)]
    return found


def _step_directories(directory: str) -> list[tuple[int, str]]:
    found = []
    for name in os.listdir(directory):
        match = STEP_DIRECTORY.match(name)
        if (
            match
            and os.path.isdir(os.path.join(directory, name))
            and _has_checkpoint(os.path.join(directory, name))
        ):
            found.append((int(match[1]), name))
    return sorted(found)


def _has_checkpoint(directory: str) -> bool:
    try:
        names = os.listdir(directory)
    except OSError:
        return False
    return any(name.endswith(".index") for name in names) or "saved_model.pb" in names


def read_state_file(path: str) -> tuple[str | None, tuple[str, ...]]:
    """(latest, all) of a ``checkpoint`` state file, as written in it."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            text = file.read(1 << 20)
    except OSError:
        return None, ()
    latest = re.search(r'^\s*model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', text, re.MULTILINE)
    others = re.findall(
        r'^\s*all_model_checkpoint_paths:\s*"((?:[^"\\]|\\.)*)"', text, re.MULTILINE
    )
    return (_unescape(latest[1]) if latest else None), tuple(map(_unescape, others))


def _unescape(text: str) -> str:
    """Undo the text format's escapes: bytes in octal, and backslash before a character."""
    raw = re.sub(
        rb"\\([0-7]{3}|.)",
        lambda match: bytes((int(match[1], 8) & 0xFF,)) if len(match[1]) == 3 else match[1],
        text.encode("utf-8", "surrogateescape"),
    )
    return raw.decode("utf-8", "backslashreplace")


def _in_directory(directory: str, step: str | None, state_file: str = STATE_FILE) -> Location:
    if os.path.isfile(os.path.join(directory, "variables", "variables.index")) and os.path.isfile(
        os.path.join(directory, "saved_model.pb")
    ):
        prefix = os.path.join(directory, "variables", "variables")
        return Location(
            prefix, "tensor_bundle", "the variables of the SavedModel", None, is_saved_model=True
        )
    found = checkpoints_in(directory)
    if not found:
        return _below(directory, step)
    if step is not None and step != "latest":
        return _by_step(directory, found, step)
    latest, _ = read_state_file(os.path.join(directory, state_file))
    if latest is not None:
        return _latest(directory, found, latest, state_file)
    chosen = found[-1]
    only = len(found) == 1
    because = (
        "the only checkpoint there"
        if only
        else "the highest number there (no state file says which is latest)"
    )
    return replace(chosen, chosen_because=because)


def _latest(directory: str, found: list[Location], latest: str, state_file: str) -> Location:
    """The checkpoint that the state file names, here or where it was written."""
    name = os.path.basename(latest)
    here = (
        os.path.join(directory, name) if os.path.isabs(latest) else os.path.join(directory, latest)
    )
    notes = []
    for prefix in (here, os.path.join(directory, name), latest):
        known = next(
            (
                location
                for location in found
                if os.path.normpath(location.prefix) == os.path.normpath(prefix)
            ),
            None,
        )
        if known is None and os.path.isfile(f"{prefix}.index"):
            known = Location(prefix, "tensor_bundle", "", number_of(prefix))
        if known is not None:
            because = f"named as the latest by the state file {state_file}"
            if os.path.isabs(latest) and not os.path.exists(f"{latest}.index"):
                because += ", which still has the directory's old place"
                notes.append(
                    f"the state file {state_file} names {latest}, which is not there; "
                    "TensorFlow's latest_checkpoint will not find it"
                )
            newer = [location for location in found if (location.number or 0) > (known.number or 0)]
            if newer and known.number is not None:
                notes.append(
                    f"{os.path.basename(newer[-1].prefix)} is newer than the one that the "
                    "state file names"
                )
            return replace(known, chosen_because=because, notes=tuple(notes))
    chosen = found[-1]
    missing = f"the state file {state_file} names {name}, which is missing"
    return replace(chosen, chosen_because=f"the highest number there ({missing})", notes=(missing,))


def _numbers(found: list[Location]) -> str:
    numbers = [str(location.number) for location in found if location.number is not None]
    return ", ".join(numbers) or "none with a number"


def _by_step(directory: str, found: list[Location], step: str) -> Location:
    number = int(step)
    if number < 0:
        if -number > len(found):
            raise CheckpointNotFoundError(
                f"has {len(found)} checkpoints, so there is no --step {step}; there are "
                f"{_numbers(found)}",
                path=directory,
            )
        return replace(
            found[number],
            chosen_because=f"--step {step}: number {len(found) + number + 1} of {len(found)}",
        )
    for location in found:
        if location.number == number:
            return replace(location, chosen_because=f"--step {step}")
    raise CheckpointNotFoundError(
        f"holds no checkpoint of step {step}; there are {_numbers(found)}", path=directory
    )


def _below(directory: str, step: str | None) -> Location:
    """Nothing in the directory itself: a backup directory, or one directory for each step."""
    numbered = _step_directories(directory)
    if numbered:
        if step is not None and step != "latest":
            return _by_step(directory, all_in(directory), step)
        number, name = numbered[-1]
        inner = find(os.path.join(directory, name))
        return replace(inner, number=number, chosen_because=f"the highest step directory, {name}")
    for name in ("chief", "variables", "train", "backup"):
        inner_directory = os.path.join(directory, name)
        if os.path.isdir(inner_directory) and _has_checkpoint(inner_directory):
            inner = find(inner_directory, step)
            return replace(inner, chosen_because=f"{inner.chosen_because} (in {name}/)")
    names = os.listdir(directory)
    inside = sorted(
        name
        for name in names
        if os.path.isdir(os.path.join(directory, name))
        and _has_checkpoint(os.path.join(directory, name))
    )
    if len(inside) == 1:
        inner = find(os.path.join(directory, inside[0]), step)
        return replace(inner, chosen_because=f"{inner.chosen_because} (in {inside[0]}/)")
    if inside:
        raise CheckpointNotFoundError(
            f"holds no checkpoint itself, but several directories do: {', '.join(inside[:5])}",
            path=directory,
        )
    if any(name.endswith(_LATER) for name in names):
        raise UnsupportedFormatError(
            "Keras files (.keras, .h5) are not read by this version", path=directory
        )
    debris = [
        name for name in names if ".data-" in name or "_temp" in name or name.endswith(".meta")
    ]
    if debris:
        raise CheckpointNotFoundError(
            f"holds no index, only {', '.join(sorted(debris)[:3])}: the save did not finish",
            path=directory,
        )
    if STATE_FILE in names:
        latest, _ = read_state_file(os.path.join(directory, STATE_FILE))
        raise CheckpointNotFoundError(
            f"its state file names {latest}, but no checkpoint is there", path=directory
        )
    raise CheckpointNotFoundError("holds no checkpoint", path=directory)


def _input_names(directory: str) -> tuple[str, ...]:
    """Names of an input pipeline's checkpoints and state files. Every checkpoint of a directory
    asks for them.
    """
    changed_ns = os.stat(directory).st_mtime_ns
    # A directory that has just changed may change again without a new time.
    is_settled = time.time_ns() - changed_ns > _SETTLED_NS
    return (
        _listed(directory, changed_ns) if is_settled else _listed.__wrapped__(directory, changed_ns)
    )


@functools.lru_cache(maxsize=4)
def _listed(directory: str, changed_ns: int) -> tuple[str, ...]:
    del changed_ns
    return tuple(
        sorted(
            name
            for name in os.listdir(directory)
            if name.startswith(("input", f"{STATE_FILE}_input"))
        )
    )


def unfinished_input(location: Location) -> tuple[str, str] | None:
    """(state file, name) where an input pipeline's state file names a temporary part of a save
    as the latest.
    """
    directory = os.path.dirname(location.prefix) or "."
    try:
        names = [name for name in _input_names(directory) if name.startswith(STATE_FILE)]
    except OSError:
        return None
    if not names:
        return None
    newest = max((other.number or 0 for other in checkpoints_in(directory)), default=0)
    for name in names:
        path = os.path.join(directory, name)
        latest, _ = read_state_file(path)
        if latest is not None and "_temp_" in latest and location.number == newest:
            return path, os.path.basename(os.path.dirname(latest)) or latest
    return None


def partners_of(location: Location) -> list[Partner]:
    """Input checkpoints beside a model's, of any step, in step order."""
    directory = os.path.dirname(location.prefix) or "."
    if _PARTNER.match(os.path.basename(location.prefix)):
        return []
    found: dict[str, Partner] = {}
    try:
        names = [name for name in _input_names(directory) if name.startswith("input")]
    except OSError:
        return []
    for name in names:
        stem = re.sub(r"(\.index|\.meta|\.data-\d{5}-of-\d{5}|_temp_.*)$", "", name)
        match = _PARTNER.match(stem)
        if match is None:
            continue
        prefix = os.path.join(directory, stem)
        if os.path.isfile(f"{prefix}.index"):
            found[stem] = Partner(prefix, match["base"], int(match["step"]), True)
        elif stem not in found or "_temp_" in name:
            problem = f"only {name} is there" + (
                ": a save that never finished" if "_temp_" in name else ", without its index"
            )
            found[stem] = Partner(prefix, match["base"], int(match["step"]), False, problem)
    return sorted(found.values(), key=lambda partner: (partner.step, partner.base))
