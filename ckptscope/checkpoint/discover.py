"""From whatever path the user has to one checkpoint, and why that one.

A checkpoint is found by its prefix (``model.ckpt-7``), a member file, a directory, a ``checkpoint``
state file, an Estimator's or SavedModel's directory, a directory of step-named directories, or
``DIR@STEP``. State file: tensorflow/python/training/checkpoint_state.proto, a text protobuf."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ckptscope.checkpoint.lfs import MAX_POINTER_NBYTES, pointed_nbytes, pointer_problem
from ckptscope.checkpoint.location import Location as Location
from ckptscope.checkpoint.location import Remark as Remark
from ckptscope.checkpoint.order import (
    MEMBER,
    in_order,
    is_v1,
    numbers_of,
)
from ckptscope.checkpoint.order import checkpoints_in as checkpoints_in
from ckptscope.checkpoint.order import is_index as is_index
from ckptscope.checkpoint.order import number_of as number_of
from ckptscope.checkpoint.order import ordered_checkpoints as ordered_checkpoints
from ckptscope.checkpoint.partners import Partner as Partner
from ckptscope.checkpoint.partners import partners_of as partners_of
from ckptscope.checkpoint.partners import unfinished_input as unfinished_input
from ckptscope.checkpoint.state_file import STATE_FILE as STATE_FILE
from ckptscope.checkpoint.state_file import StateFile, is_of_windows, local_path
from ckptscope.checkpoint.state_file import name_of as name_in_state_file
from ckptscope.checkpoint.state_file import read_state_file as read_state_file
from ckptscope.errors import (
    CheckpointNotFoundError,
    CkptscopeError,
    LfsPointerError,
    UnsupportedFormatError,
    UsageError,
)
from ckptscope.formats.sstable import FOOTER_NBYTES, MAGIC

STEP_DIRECTORY = re.compile(r"^(?:(?:checkpoint|ckpt|step|global_step|epoch)[-_.])?(\d+)$")
_LATER = (".keras", ".h5", ".hdf5")
# What stands beside a checkpoint under its name, a run record among it.
_SUFFIX = re.compile(r"(\.index|\.meta|\.data-\d{5}-of-\d{5}|\.ckptscope\.json)$")
_SHARED = ("input", "checkpoint_input", "graph.pbtxt")
_UNFINISHED = re.compile(r"_temp(_[0-9a-f]+)?$|\.index\.tempstate\d+$")
_FINDS_NOTHING = "TensorFlow's latest_checkpoint finds nothing here"


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
            raise CheckpointNotFoundError(
                "--step needs a directory, and this is not one", path=path
            )
        return _of_file(path)
    except PermissionError:
        raise CkptscopeError("no permission to read it", path=path) from None


def _of_file(path: str) -> Location:
    name = os.path.basename(path)
    if os.path.isfile(f"{path}.index"):
        return _bundle(path, "the given prefix")
    member = MEMBER.match(path)
    if member and (os.path.isfile(f"{member['prefix']}.index")):
        return _bundle(member["prefix"], f"the checkpoint that {name} belongs to")
    if member and is_v1(member["prefix"]):
        return replace(
            _of_file(member["prefix"]), chosen_because=f"the V1 checkpoint that {name} belongs to"
        )
    if not os.path.isfile(path):
        if member and os.path.isfile(member["prefix"]):
            return _of_file(member["prefix"])
        first = _first_shard(path)
        if first is not None:
            return replace(_of_file(first), chosen_because="the given prefix of a V1 checkpoint")
        raise CheckpointNotFoundError(_nothing_at(path), path=path)
    if path.endswith(_LATER):
        raise UnsupportedFormatError(
            "Keras files (.keras, .h5) are not read by this version", path=path
        )
    return _by_content(path, member["prefix"] if member else None)


def _bundle(prefix: str, because: str) -> Location:
    return Location(prefix, "tensor_bundle", because, _number(prefix))


def _number(prefix: str) -> int | None:
    """The number in a name, as it is told from those of the checkpoints beside it."""
    directory, name = os.path.split(prefix)
    try:
        beside = [
            found[: -len(".index")] for found in os.listdir(directory or ".") if is_index(found)
        ]
    except OSError:
        beside = []
    return numbers_of({*beside, name})[name]


def _first_shard(path: str) -> str | None:
    """The first file of a sharded V1 checkpoint that has this prefix."""
    directory, name = os.path.split(path)
    wanted = re.compile(re.escape(name) + r"-00000-of-\d{5}")
    try:
        names = os.listdir(directory or ".")
    except OSError:
        return None
    found = (os.path.join(directory, other) for other in names if wanted.fullmatch(other))
    return next((shard for shard in found if is_v1(shard)), None)


def _by_content(path: str, belongs_to: str | None) -> Location:
    """A file that its name does not tell."""
    name = os.path.basename(path)
    with open(path, "rb") as file:
        head = file.read(MAX_POINTER_NBYTES + 1)
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if path.endswith(".index"):
        return _bundle(path[: -len(".index")], "the given index")
    if tail == MAGIC and size >= FOOTER_NBYTES:
        return Location(path, "sliced_v1", "the given file, a V1 checkpoint", _number(path))
    if b"model_checkpoint_path" in head:
        return _in_directory(os.path.dirname(path) or ".", None, state_file=name)
    if (pointed := pointed_nbytes(head)) is not None:
        raise LfsPointerError(pointer_problem(pointed), path=path)
    if belongs_to is not None:
        raise CheckpointNotFoundError(
            f"belongs to {belongs_to}, whose .index is missing: the save did not "
            "finish, or the file was lost",
            path=path,
        )
    if name == "saved_model.pb":
        return _in_directory(os.path.dirname(path) or ".", None)
    kind = (
        "an empty file"
        if size == 0
        else "a text file"
        if _is_text(head[:64])
        else "no checkpoint file"
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


def all_in(path: str) -> list[Location]:
    """Every checkpoint of a run, in step order.

    Raises:
        CheckpointNotFoundError: there is none.
    """
    directory = path if os.path.isdir(path) else os.path.dirname(path) or "."
    found = ordered_checkpoints(directory)
    if not found:
        found = in_order(
            replace(find(os.path.join(directory, name)), number=number)
            for number, name in _step_directories(directory)
        )
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


def _in_directory(directory: str, step: str | None, state_file: str = STATE_FILE) -> Location:
    if os.path.isfile(os.path.join(directory, "variables", "variables.index")) and os.path.isfile(
        os.path.join(directory, "saved_model.pb")
    ):
        prefix = os.path.join(directory, "variables", "variables")
        return Location(
            prefix, "tensor_bundle", "the variables of the SavedModel", None, is_saved_model=True
        )
    state = StateFile.read(os.path.join(directory, STATE_FILE))
    found = ordered_checkpoints(directory, state)
    if not found:
        return _below(directory, step)
    if state_file != STATE_FILE:
        state = StateFile.read(os.path.join(directory, state_file))
    remarks = tuple(_remarks(directory, state, state_file))
    found = [replace(one, remarks=(*one.remarks, *remarks)) for one in found]
    if step is not None and step != "latest":
        return _by_step(directory, found, step)
    if state.latest is not None:
        return _latest(directory, found, state.latest, state_file)
    return _last(found, state, state_file)


def _last(found: list[Location], state: StateFile, state_file: str) -> Location:
    """The last one of a directory whose state file does not say which is the latest."""
    chosen = found[-1]
    is_highest = chosen.number == max((one.number or 0 for one in found), default=0)
    because = (
        "the only checkpoint there"
        if len(found) == 1
        else "the highest number there"
        if is_highest
        else "the latest there by what is stored in them"
    )
    if state.problem is not None:
        note = f"the state file {state_file} {state.problem}; {_FINDS_NOTHING}"
        return replace(chosen, chosen_because=f"{because} ({note})", notes=(note,))
    if any(remark.kind == "no_state_file" for remark in chosen.remarks):
        because += f" (no state file: {_FINDS_NOTHING})"
    return replace(chosen, chosen_because=because)


def _remarks(directory: str, state: StateFile, state_file: str) -> Iterator[Remark]:
    """What is worth telling of a directory with checkpoints."""
    is_saved_model = os.path.isfile(os.path.join(os.path.dirname(directory), "saved_model.pb"))
    if not state.exists and not is_saved_model:
        yield Remark("no_state_file", f"there is no state file {state_file}: {_FINDS_NOTHING}")
    if state.latest is not None and is_of_windows(state.latest):
        yield Remark(
            "foreign_state_file",
            f"the state file {state_file} was written on Windows and names {state.latest}: "
            "TensorFlow's latest_checkpoint finds that only there",
        )
    listed = set(os.listdir(directory))
    for name in sorted(listed):
        member = MEMBER.match(name)
        is_debris = bool(_UNFINISHED.search(name)) or (
            member is not None and ".data-" in name and f"{member['prefix']}.index" not in listed
        )
        if is_debris and not name.startswith("input"):
            yield Remark("unfinished_save", f"{name} was left behind by a save that did not finish")


def _latest(directory: str, found: list[Location], latest: str, state_file: str) -> Location:
    """The checkpoint that the state file names, here or where it was written."""
    name, path = name_in_state_file(latest), local_path(latest)
    is_absolute = os.path.isabs(path) or is_of_windows(latest)
    here = os.path.join(directory, name if is_absolute else path)
    known = _at((here, os.path.join(directory, name), path), found)
    if known is None:
        missing = f"the state file {state_file} names {name}, which is missing"
        last = found[-1]
        highest = (last.number or 0) == max(one.number or 0 for one in found)
        return replace(
            last,
            chosen_because=f"the {'highest number' if highest else 'latest'} there ({missing})",
            notes=(missing,),
        )
    because = f"named as the latest by the state file {state_file}"
    notes = []
    if os.path.isabs(path) and not _is_there(path):
        because += ", which still has the directory's old place"
        notes.append(
            f"the state file {state_file} names {latest}, which is not there; "
            "TensorFlow's latest_checkpoint will not find it"
        )
    elif os.path.isabs(path) and os.path.realpath(path) != os.path.realpath(
        os.path.join(directory, name)
    ):
        notes.append(
            f"the state file {state_file} names {latest}, in another directory: "
            f"that is what TensorFlow's latest_checkpoint restores"
            + ("" if known.prefix == path else f", not the {name} here")
        )
    places = [one.prefix for one in found]
    newer = found[places.index(known.prefix) + 1 :] if known.prefix in places else []
    if newer and not any(remark.kind == "numbers_restart" for remark in newer[-1].remarks):
        notes.append(
            f"{os.path.basename(newer[-1].prefix)} is newer than the one that the state file names"
        )
    return replace(known, chosen_because=because, notes=tuple(notes))


def _at(paths: Iterable[str], found: list[Location]) -> Location | None:
    """The checkpoint at the first of these paths where there is one."""
    for prefix in paths:
        for location in found:
            if os.path.normpath(location.prefix) == os.path.normpath(prefix):
                return location
        if os.path.isfile(f"{prefix}.index"):
            return _bundle(prefix, "")
        if is_v1(prefix):
            return Location(prefix, "sliced_v1", "", _number(prefix))
    return None


def _is_there(prefix: str) -> bool:
    return os.path.exists(f"{prefix}.index") or is_v1(prefix)


def _numbers(found: list[Location]) -> str:
    """What ``--step`` takes here."""
    numbers = [str(location.number) for location in found if location.number is not None]
    stored = [str(step) for location in found if (step := location.stored_step) is not None]
    if not numbers and not stored:
        return "its checkpoints have no step numbers"
    told = f"there are {', '.join(numbers or stored)}"
    return told + (
        f" (stored steps {', '.join(stored)})" if numbers and stored != numbers and stored else ""
    )


def _by_step(directory: str, found: list[Location], step: str) -> Location:
    number = int(step)
    if number < 0:
        if -number > len(found):
            raise CheckpointNotFoundError(
                f"has {len(found)} checkpoints, so there is no --step {step}; {_numbers(found)}",
                path=directory,
            )
        return replace(
            found[number],
            chosen_because=f"--step {step}: number {len(found) + number + 1} of {len(found)}",
        )
    stored = [one for one in found if one.stored_step == number]
    named = [one for one in found if one.number == number]
    if not stored and not named:
        raise CheckpointNotFoundError(
            f"holds no checkpoint of step {step}; {_numbers(found)}", path=directory
        )
    both = [one for one in stored if one in named]
    chosen = (both or stored or named)[-1]
    other = next((one for one in named if one != chosen), None)
    if other is None or not stored:
        return replace(chosen, chosen_because=f"--step {step}")
    text = (
        f"step {step} is stored in {os.path.basename(chosen.prefix)}; the number {step} is also "
        f"in the name of {os.path.basename(other.prefix)}, which holds step {other.stored_step}"
    )
    return replace(
        chosen,
        chosen_because=f"--step {step}, the step stored in it",
        remarks=(*chosen.remarks, Remark("step_or_number", text)),
    )


def _below(directory: str, step: str | None) -> Location:
    """Nothing in the directory itself: a backup directory, or one directory for each step."""
    if _step_directories(directory):
        stored = all_in(directory)
        if step is not None and step != "latest":
            return _by_step(directory, stored, step)
        name = os.path.relpath(stored[-1].prefix, directory).split(os.sep)[0]
        return replace(stored[-1], chosen_because=f"the highest step directory, {name}")
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
            f"holds no checkpoint itself, but several directories do: {', '.join(inside[:5])}"
            + (f" and {len(inside) - 5} more" if len(inside) > 5 else ""),
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
