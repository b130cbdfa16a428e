"""What belongs to what: variables of two checkpoints paired by key, by full name across styles,
and by content.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ckptscope.checkpoint.names import names_of
from ckptscope.checkpoint.object_keys import ObjectKey, short_name
from ckptscope.checkpoint.optimizers import canonical_slot
from ckptscope.checkpoint.roles import Variable
from ckptscope.errors import UsageError
from ckptscope.formats.dtypes import VARIANT

# Renames without equal content need paths at least this much alike (percent), as git wants by
# default.
MIN_SCORE = 50
# A proposal costs a comparison of paths: so many are made in all, groups of few candidates first.
_MAX_PROPOSALS = 20_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two variables that are one, or one that has no partner.

    Attributes:
        score: set where the pair is a rename: 100 by content, less by how alike the paths are.
    """

    a: Variable | None
    b: Variable | None
    score: int | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """What the user knows of names.

    Attributes:
        maps: (old, new) keys or leading parts of them.
        strip: leading parts that do not count, on either side.
    """

    maps: tuple[tuple[str, str], ...] = ()
    strip: tuple[str, ...] = ()

    @classmethod
    def parsed(cls, maps: Iterable[str], strip: Iterable[str]) -> Names:
        """From ``OLD=NEW`` texts.

        Raises:
            UsageError: one has no ``=``.
        """
        pairs = []
        for text in maps:
            old, equals, new = text.partition("=")
            if not equals or not old:
                raise UsageError(f"--map takes OLD=NEW, not {text!r}")
            pairs.append((short_name(old), short_name(new)))
        return cls(tuple(pairs), tuple(strip))

    def check(self, variables: Iterable[Variable]) -> None:
        """Complain of a map that fits no name of A.

        Raises:
            UsageError: naming it.
        """
        known = {name for names in names_of(variables).values() for name in names[1:] or names}
        for old, _ in self.maps:
            if not any(_below(name, old) for name in known):
                close = difflib.get_close_matches(old, sorted(known), n=3, cutoff=0.3)
                hint = f"; the closest are {', '.join(close)}" if close else ""
                raise UsageError(
                    f"--map {old}=…: no variable of A has that name, nor one that begins with it"
                    f"{hint}"
                )

    def resolved(self, a: Iterable[Variable], b: Iterable[Variable]) -> Names:
        """With keys where a map has another name of a single variable."""
        if not self.maps:
            return self
        old_keys, new_keys = _keys_by_name(a), _keys_by_name(b)
        maps = tuple((old_keys.get(old, old), new_keys.get(new, new)) for old, new in self.maps)
        return replace(self, maps=maps)

    def stripped(self, name: str) -> str:
        """Without the first prefix that fits."""
        prefix = next((prefix for prefix in self.strip if name.startswith(prefix)), "")
        return name[len(prefix) :].lstrip("/") if prefix else name

    def translated(self, name: str) -> str:
        """A's name as B would have it."""
        for old, new in self.maps:
            if _below(name, old):
                return (new + name[len(old) :]).lstrip("/")
        return name


def _keys_by_name(variables: Iterable[Variable]) -> dict[str, str]:
    """Keys without suffix by those names that only one variable has."""
    owners: dict[str, set[str]] = defaultdict(set)
    for key, names in names_of(variables).items():
        for name in names:
            owners[name].add(short_name(key))
    return {name: next(iter(keys)) for name, keys in owners.items() if len(keys) == 1}


def _below(name: str, path: str) -> bool:
    return name == path or name.startswith(path if path.endswith("/") else f"{path}/")


class _Matcher:
    """Collects pairs, and what is still alone on either side."""

    def __init__(self, a: Sequence[Variable], b: Sequence[Variable], names: Names) -> None:
        self.names = names
        self.a = {variable.key: variable for variable in a}
        self.b = {variable.key: variable for variable in b}
        self.pairs: dict[str, tuple[str, int | None]] = {}  # key in A -> key in B, score

    def pair(self, a: Variable, b: Variable, score: int | None = None) -> None:
        self.pairs[a.key] = (b.key, score)
        del self.alone_a[a.key]
        del self.alone_b[b.key]

    def start(self) -> None:
        self.alone_a, self.alone_b = dict(self.a), dict(self.b)

    def by(
        self,
        name_a: Callable[[Variable], object],
        name_b: Callable[[Variable], object],
        slots: bool | None,
    ) -> None:
        """Pair what has the same name, where a name is None or not unique on a side it pairs
        nothing.
        """
        found_a, found_b = (
            _unique(alone.values(), name, slots)
            for alone, name in ((self.alone_a, name_a), (self.alone_b, name_b))
        )
        for name, a in found_a.items():
            b = found_b.get(name)
            # Two slots with different owners are different slots, whatever their keys say.
            if b is not None and not (slots is None and _has_owner(a) and _has_owner(b)):
                self.pair(a, b)

    def own_name(self, variable: Variable) -> str:
        return self.names.stripped(self.names.translated(short_name(variable.key)))

    def other_name(self, variable: Variable) -> str:
        return self.names.stripped(short_name(variable.key))


def _has_owner(variable: Variable) -> bool:
    return variable.slot_of is not None and variable.slot_name is not None


def _unique(
    variables: Iterable[Variable], name: Callable[[Variable], object], slots: bool | None
) -> dict[object, Variable]:
    found: dict[object, Variable | None] = {}
    for variable in variables:
        if slots is not None and _has_owner(variable) is not slots:
            continue
        value = name(variable)
        if value is not None:
            found[value] = None if value in found else variable
    return {value: variable for value, variable in found.items() if variable is not None}


def pair_variables(
    a: Sequence[Variable],
    b: Sequence[Variable],
    names: Names,
    *,
    across_styles: bool,
    same_bytes: Callable[[Variable, Variable], bool],
) -> list[Pair]:
    """Pair the variables of two checkpoints; slots follow the variable that they belong to.

    Args:
        across_styles: the two were stored by different means, so that equal full names make a pair.
        same_bytes: confirms a rename that equal checksums suggest.
    """
    if names == Names() and _all_alike(a, b):
        return [Pair(old, new) for old, new in zip(a, b, strict=True)]
    matcher = _Matcher(a, b, names)
    matcher.start()
    matcher.by(matcher.own_name, matcher.other_name, slots=False)
    if across_styles:
        matcher.by(lambda v: names.translated(_full_name(v)), _full_name, slots=False)
    _renames(matcher, same_bytes)
    _slots_follow(matcher)
    matcher.by(matcher.own_name, matcher.other_name, slots=None)
    if across_styles:
        matcher.by(lambda v: names.translated(_full_name(v)), _full_name, slots=None)
    _by_content(matcher, same_bytes, slots=True)
    return list(_in_order(matcher))


def _all_alike(a: Sequence[Variable], b: Sequence[Variable]) -> bool:
    """The common case of two checkpoints of one program: nothing to search for."""
    return len(a) == len(b) and all(
        (old.key, old.slot_of, old.slot_name) == (new.key, new.slot_of, new.slot_name)
        for old, new in zip(a, b, strict=True)
    )


def _full_name(variable: Variable) -> str:
    return (variable.full_name or variable.key).removesuffix(":0")


def _in_order(matcher: _Matcher) -> Iterator[Pair]:
    """In the order of B, what was removed at the place it had in A."""
    partner = {new: (old, score) for old, (new, score) in matcher.pairs.items()}
    removed = sorted(matcher.alone_a)
    for key in sorted(matcher.b):
        while removed and removed[0] < key:
            yield Pair(matcher.a[removed.pop(0)], None)
        if key in partner:
            old, score = partner[key]
            yield Pair(matcher.a[old], matcher.b[key], score)
        else:
            yield Pair(None, matcher.b[key])
    yield from (Pair(matcher.a[key], None) for key in removed)


# ------------------------------------------------------------ renames


def _renames(matcher: _Matcher, same_bytes: Callable[[Variable, Variable], bool]) -> None:
    _by_content(matcher, same_bytes, slots=False)
    _by_likeness(matcher)


def _by_content(
    matcher: _Matcher, same_bytes: Callable[[Variable, Variable], bool], slots: bool
) -> None:
    """Equal checksum, dtype and shape, confirmed by bytes; where several could be meant, the
    most alike paths.
    """

    def groups(alone: dict[str, Variable]) -> dict[tuple[object, ...], list[Variable]]:
        found: dict[tuple[object, ...], list[Variable]] = defaultdict(list)
        for variable in alone.values():
            entry = variable.entry
            if (
                entry.crc32c is not None
                and entry.dtype is not VARIANT
                and _has_owner(variable) is slots
            ):
                found[entry.crc32c, entry.dtype.number, entry.shape].append(variable)
        return found

    others, budget = groups(matcher.alone_b), _MAX_PROPOSALS
    found = [
        (variables, others[content])
        for content, variables in groups(matcher.alone_a).items()
        if content in others
    ]
    for variables, candidates in sorted(found, key=lambda group: len(group[0]) * len(group[1])):
        budget -= len(variables) * len(candidates)
        if budget < 0 and len(variables) * len(candidates) > 1:
            break
        # One number, or one of several equal tensors, says little: then the paths must agree as
        # well.
        sure = len(variables) == len(candidates) == 1 and variables[0].entry.num_elements > 1
        for score, old, new in _ranked(variables, candidates):
            if (
                (sure or score >= MIN_SCORE)
                and _both_alone(matcher, old, new)
                and same_bytes(old, new)
            ):
                matcher.pair(old, new, 100)


def _by_likeness(matcher: _Matcher) -> None:
    """Equal dtype and shape, and paths (or full names) at least half alike."""
    groups: dict[tuple[object, ...], tuple[list[Variable], list[Variable]]] = defaultdict(
        lambda: ([], [])
    )
    for number, alone in enumerate((matcher.alone_a, matcher.alone_b)):
        for variable in alone.values():
            if (
                not _has_owner(variable)
                and variable.entry.dtype is not VARIANT
                and variable.role != "bookkeeping"
            ):
                groups[variable.entry.dtype.number, variable.entry.shape, variable.role][
                    number
                ].append(variable)
    budget = _MAX_PROPOSALS
    for old_ones, new_ones in sorted(
        groups.values(), key=lambda group: len(group[0]) * len(group[1])
    ):
        budget -= len(old_ones) * len(new_ones)
        if budget < 0:
            break
        for score, old, new in _ranked(old_ones, new_ones):
            if score >= MIN_SCORE and _both_alone(matcher, old, new):
                matcher.pair(old, new, min(score, 99))


def _both_alone(matcher: _Matcher, a: Variable, b: Variable) -> bool:
    return a.key in matcher.alone_a and b.key in matcher.alone_b


def _ranked(a: Sequence[Variable], b: Sequence[Variable]) -> list[tuple[int, Variable, Variable]]:
    ranked = [(likeness(old, new), old, new) for old in a for new in b]
    return sorted(ranked, key=lambda item: (-item[0], item[1].key, item[2].key))


def likeness(a: Variable, b: Variable) -> int:
    """How alike two variables are named, in percent: by path, or by full name where both have
    one.
    """
    names = [(short_name(a.key), short_name(b.key))]
    if a.full_name and b.full_name and "/" in a.full_name and "/" in b.full_name:
        names.append((a.full_name, b.full_name))
    return round(
        100 * max(difflib.SequenceMatcher(None, *pair, autojunk=False).ratio() for pair in names)
    )


# ------------------------------------------------------------ slots


def _slots_follow(matcher: _Matcher) -> None:
    """A slot belongs to the same slot of its variable's partner, whatever its own key says."""

    def name(variable: Variable, owner: str | None, exact: bool) -> tuple[str, ...] | None:
        if owner is None or variable.slot_name is None:
            return None
        slot = variable.slot_name if exact else canonical_slot(variable.slot_name)
        return (owner, slot, _optimizer(variable.key)) if exact else (owner, slot)

    def partner(variable: Variable) -> str | None:
        if variable.slot_of is None:
            return None
        found = matcher.pairs.get(variable.slot_of)
        return found[0] if found is not None else None

    for exact in (True, False):

        def of_partner(variable: Variable, exact: bool = exact) -> tuple[str, ...] | None:
            return name(variable, partner(variable), exact)

        def of_owner(variable: Variable, exact: bool = exact) -> tuple[str, ...] | None:
            return name(variable, variable.slot_of, exact)

        matcher.by(of_partner, of_owner, slots=True)
    scores = {old: score for old, (_, score) in matcher.pairs.items()}
    for key, (new, _) in list(matcher.pairs.items()):
        owner = matcher.a[key].slot_of
        if (
            owner is not None
            and scores.get(owner) is not None
            and short_name(key) != short_name(new)
        ):
            matcher.pairs[key] = (new, scores[owner])


def _optimizer(key: str) -> str:
    """Path of the optimizer in a slot's key; where it has none, what comes before its list."""
    optimizer = ObjectKey.parse(key).optimizer
    return optimizer if optimizer is not None else key.partition("/_variables/")[0]
