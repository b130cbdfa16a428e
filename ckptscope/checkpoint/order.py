"""The checkpoints of one directory, and the order in which they were saved.

The state file's list says it for what is in the list. What is not is put among it by what the
checkpoints store about how far training had come, and where nothing is stored by the numbers in the
names. Times of files are lost by copying: they only say that numbers may have started again."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ckptscope.checkpoint.location import Location, Remark
from ckptscope.checkpoint.state_file import STATE_FILE, StateFile, name_of
from ckptscope.checkpoint.stored_step import Progress, progress_of
from ckptscope.formats.sstable import FOOTER_NBYTES, MAGIC

MEMBER = re.compile(r"^(?P<prefix>.+?)(\.index|\.meta|\.data-\d{5}-of-\d{5})$")
PARTNER = re.compile(r"^(?P<base>input(?:_\w+?_\d+)?\.ckpt)-(?P<step>\d+)$")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_LAST = re.compile(r"(?:^|[-_.])(\d+)$")
_EXTENSION = re.compile(r"(?<=\d)\.(ckpt|tf|chkpt|cpt|weights|model|variables)$", re.IGNORECASE)
# A number with a fraction (a loss in the name) is not a step.
_RUN = re.compile(r"(?<![\d.])\d+(?![\d]|\.\d)|(?<=[A-Za-z_-]\.)\d+(?![\d]|\.\d)")
_STEP_WORD = re.compile(r"(?:step|iter|iteration|ckpt|checkpoint|epoch|ep|cp)s?[-_.=]?$", re.I)
# Files that might be V1 checkpoints are recognised by their last bytes: no more than so many.
_MAX_PROBED = 1000
# Copies get times of their own, some seconds apart.
_COPYING_SECONDS = 60
_NEVER_V1 = re.compile(r"\.(pb|pbtxt|txt|json|yaml|yml|csv|h5|keras|npz|npy|tfrecords?|py|log|gz)$")
# So many checkpoints, with indexes of so many bytes together, are opened to order a directory; of
# more the numbers in their names do.
_MOST_READ, _MOST_READ_NBYTES = 256, 16 << 20


def number_of(prefix: str) -> int | None:
    """The number in a checkpoint's name, by the name alone: the one at its end, or before a
    ``.ckpt``.
    """
    name = _EXTENSION.sub("", _SHARD.sub("", os.path.basename(prefix)))
    match = _LAST.search(name)
    return int(match[1]) if match else None


def numbers_of(names: Iterable[str]) -> dict[str, int | None]:
    """The number in each of the names of one directory, wherever it is in the name: the one that
    differs between names that are otherwise alike.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in names:
        alike[re.sub(r"\d+", "#", _SHARD.sub("", name))].append(name)
    found: dict[str, int | None] = {}
    for group in alike.values():
        runs = {name: list(_RUN.finditer(_SHARD.sub("", name))) for name in group}
        count = min(len(own) for own in runs.values())
        varying = [
            place
            for place in range(count)
            if len({int(own[place][0]) for own in runs.values()}) > 1
            and len({len(own) for own in runs.values()}) == 1
        ]
        place = _telling(group[0], runs[group[0]], varying)
        for name in group:
            found[name] = int(runs[name][place][0]) if place is not None else number_of(name)
    return found


def _telling(name: str, runs: Sequence[re.Match[str]], varying: Sequence[int]) -> int | None:
    """Which of the numbers that vary counts: one at the end, one behind a word for steps, or the
    first.
    """
    if not varying:
        return None
    own = number_of(name)
    if own is not None and int(runs[varying[-1]][0]) == own and varying[-1] == len(runs) - 1:
        return varying[-1]
    plain = _SHARD.sub("", name)
    after_word = (place for place in varying if _STEP_WORD.search(plain[: runs[place].start()]))
    return next(after_word, varying[0])


def is_index(name: str) -> bool:
    """Whether a file of that name is a checkpoint's index; those of input partners and
    unfinished saves are not.
    """
    return (
        name.endswith(".index")
        and "_temp_" not in name
        and not PARTNER.match(name[: -len(".index")])
    )


def is_v1(path: str) -> bool:
    """Whether a file ends as a V1 checkpoint does."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < FOOTER_NBYTES:
            return False
        file.seek(size - 8)
        return file.read(8) == MAGIC


def checkpoints_in(directory: str, state: StateFile | None = None) -> list[Location]:
    """Checkpoints whose index lies in this directory, by their numbers; input partners and
    temporary files left out.
    """
    names = sorted(os.listdir(directory))
    state = state or StateFile.read(os.path.join(directory, STATE_FILE))
    bundles = [name[: -len(".index")] for name in names if is_index(name)]
    files = _v1_files(directory, names, state)
    numbers = numbers_of([*bundles, *files])
    found = [
        Location(os.path.join(directory, name), kind, "found in the directory", numbers[name])
        for kind, group in (("tensor_bundle", bundles), ("sliced_v1", files))
        for name in group
    ]
    return sorted(found, key=_by_number)


def in_order(found: Iterable[Location]) -> list[Location]:
    """Checkpoints that no state file lists, in the order in which they were saved."""
    every = list(found)
    known = {one.prefix: progress_of(one.prefix, one.format) for one in every}
    return sorted(every, key=_witness(every, known))


def _by_number(location: Location) -> tuple[bool, int, str]:
    return location.number is not None, location.number or 0, location.prefix


def _v1_files(directory: str, names: Sequence[str], state: StateFile) -> list[str]:
    """V1 checkpoints: what the state file names, has a ``.meta`` beside it, or a number, and ends
    as a table does. Of several shards the first.
    """
    listed = set(names)
    named = {name_of(path) for path in (*state.every, *((state.latest,) if state.latest else ()))}
    likely = [
        name
        for name in names
        if not MEMBER.match(name)
        and not _NEVER_V1.search(name)
        and (
            name in named
            or f"{_SHARD.sub('', name)}.meta" in listed
            or _LAST.search(_EXTENSION.sub("", name))
        )
        and (not _SHARD.search(name) or re.search(r"-00000-of-\d{5}$", name))
    ]
    first = sorted(likely, key=lambda name: (name not in named, name))[:_MAX_PROBED]
    return sorted(name for name in first if is_v1(os.path.join(directory, name)))


def ordered_checkpoints(directory: str, state: StateFile | None = None) -> list[Location]:
    """The checkpoints of a directory in the order in which they were saved."""
    state = state or StateFile.read(os.path.join(directory, STATE_FILE))
    found = checkpoints_in(directory, state)
    if len(found) < 2:
        return found
    places = {name: place for place, name in enumerate(map(name_of, state.every))}
    listed = [one for one in found if os.path.basename(one.prefix) in places]
    listed.sort(key=lambda one: places[os.path.basename(one.prefix)])
    others = [one for one in found if os.path.basename(one.prefix) not in places]
    if not others:
        return listed
    key: _Key = _by_number
    if _can_be_read(found):
        known = {one.prefix: progress_of(one.prefix, one.format) for one in found}
        key = _witness(found, known)
    others.sort(key=key)
    ordered = _merged(listed, others, key)
    return _told_of_restart(ordered) if key is _by_number else ordered


_Key = Callable[[Location], tuple[bool, float, str]]


def _can_be_read(found: Sequence[Location]) -> bool:
    """Few and small enough that all are opened for the steps inside them."""
    if len(found) > _MOST_READ:
        return False
    try:
        return sum(os.path.getsize(_main_file(one)) for one in found) <= _MOST_READ_NBYTES
    except OSError:
        return False


def _witness(found: Sequence[Location], known: Mapping[str, Progress]) -> _Key:
    """What orders these checkpoints: the first of the stored witnesses that all have and that
    moves; else the numbers.
    """
    for kind in ("step", "updates", "power", "saves"):
        values = {one.prefix: getattr(known[one.prefix], kind) for one in found}
        if None not in values.values() and len(set(values.values())) > 1:
            # Equal ones (the same step saved twice) go by their numbers.
            rank = {one.prefix: place for place, one in enumerate(sorted(found, key=_by_number))}
            return lambda one: (True, float(values[one.prefix]), f"{rank[one.prefix]:09d}")
    return _by_number


def _merged(listed: Sequence[Location], others: Sequence[Location], key: _Key) -> list[Location]:
    """The others before the first listed one that comes after them by ``key``; the order of the
    list stands.
    """
    result: list[Location] = []
    waiting = list(others)
    for one in listed:
        while waiting and key(waiting[0]) < key(one):
            result.append(waiting.pop(0))
        result.append(one)
    return result + waiting


def _told_of_restart(ordered: list[Location]) -> list[Location]:
    """Says so where one that only its number puts last was written before another."""
    try:
        written = {one.prefix: os.path.getmtime(_main_file(one)) for one in ordered}
    except OSError:
        return ordered
    last, newest = ordered[-1], max(ordered, key=lambda one: written[one.prefix])
    if written[newest.prefix] - written[last.prefix] < _COPYING_SECONDS:
        return ordered
    text = (
        f"{os.path.basename(last.prefix)} comes last by its number, but "
        f"{os.path.basename(newest.prefix)} was written after it: "
        "the numbers may have started again"
    )
    return [replace(one, remarks=(Remark("numbers_restart", text),)) for one in ordered]


def _main_file(location: Location) -> str:
    return f"{location.prefix}.index" if location.format == "tensor_bundle" else location.prefix
