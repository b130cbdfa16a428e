"""Every name that is shown of a variable is a name by which it can be asked for.

A variable has its key; the key without what all variables end with; the path of its object in the
program; its own name (``dense/kernel``), where that is stored; and an optimizer's slot the name of
its variable with that of the slot behind it (``dense/kernel/momentums``)."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ckptscope.errors import TensorNotFoundError, UsageError

if TYPE_CHECKING:
    from ckptscope.checkpoint.model import Checkpoint
    from ckptscope.checkpoint.roles import Variable

ATTRIBUTES = "/.ATTRIBUTES/"
_VALUE = f"{ATTRIBUTES}VARIABLE_VALUE"
_MAX_NAMED = 5
_MAX_COMPARED = 20_000


def short_key(key: str) -> str:
    """A key without what all variables end with."""
    return key.removesuffix(_VALUE)


def names_of(variables: Iterable[Variable]) -> dict[str, tuple[str, ...]]:
    """All names of each variable by its key; the key first, then from the most to the least
    particular.
    """
    every = list(variables)
    found = {variable.key: _own_names(variable) for variable in every}
    for variable in every:
        if variable.slot_of is not None and variable.slot_name is not None:
            owners = found.get(variable.slot_of, (variable.slot_of,))
            slots = (f"{short_key(owner)}/{variable.slot_name}" for owner in owners)
            found[variable.key] = tuple(dict.fromkeys((*found[variable.key], *slots)))
    return found


def _own_names(variable: Variable) -> tuple[str, ...]:
    names = [variable.key, variable.key.partition(ATTRIBUTES)[0]]
    if variable.object_path:
        names.append(variable.object_path)
    if variable.full_name:
        names += [variable.full_name.removesuffix(":0"), variable.full_name]
    return tuple(dict.fromkeys(name for name in names if name))


def resolve(checkpoint: Checkpoint, name: str) -> str:
    """The key of the variable with that name.

    Raises:
        TensorNotFoundError: no variable has it, or several have; names the closest, or those.
    """
    if name in checkpoint.entries:
        return name
    from ckptscope.checkpoint.roles import take_inventory

    known = names_of(take_inventory(checkpoint, None).variables)
    ranks = {key: names.index(name) for key, names in known.items() if name in names}
    best = [key for key, rank in ranks.items() if rank == min(ranks.values())]
    if len(best) == 1:
        return best[0]
    if best:
        more = f" and {len(best) - _MAX_NAMED} more" if len(best) > _MAX_NAMED else ""
        raise TensorNotFoundError(
            f"{name!r} is the name of {len(best)} variables: {', '.join(best[:_MAX_NAMED])}{more}",
            path=checkpoint.prefix,
        )
    raise TensorNotFoundError(
        f"no variable {name!r} in this checkpoint{_closest(name, known)}", path=checkpoint.prefix
    )


def _closest(name: str, known: Mapping[str, Sequence[str]]) -> str:
    """The names nearest to this one, each of another variable."""
    import difflib

    owners = {
        other: key
        for key, names in list(known.items())[:_MAX_COMPARED]
        for other in (names[1:] or names)
    }
    close = difflib.get_close_matches(name, list(owners), n=9, cutoff=0.3)
    unlike = {owners[other]: other for other in reversed(close)}
    nearest = sorted(unlike.values(), key=close.index)[:3]
    return f"; the closest are {', '.join(nearest)}" if nearest else ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which variables the user wants to see: those that a pattern of ``only`` fits, if there are
    some, and that none of ``ignore`` does. Patterns are compared with all names of a variable.
    """

    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.only or self.ignore)

    def wants(self, key: str) -> bool:
        """Whether the variable with this key is among them."""
        names = self.names.get(key, (key,))
        listed = not self.only or any(_fits(names, glob) for glob in self.only)
        return listed and not any(_fits(names, glob) for glob in self.ignore)

    def check(self, where: str) -> None:
        """Complain of a pattern that fits nothing.

        Raises:
            UsageError: naming it.
        """
        for option, patterns in (("--only", self.only), ("--ignore", self.ignore)):
            for glob in patterns:
                if not any(_fits(names, glob) for names in self.names.values()):
                    raise UsageError(
                        f"{option} {glob!r} fits no variable of {where}"
                        f"{_closest(glob.strip('*/'), self.names)}"
                    )

    @property
    def text(self) -> str:
        """The patterns in words."""
        parts = [f"matching {' or '.join(self.only)}"] if self.only else []
        parts += [f"without {' and '.join(self.ignore)}"] if self.ignore else []
        return " ".join(parts)


def _fits(names: Iterable[str], glob: str) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for name in names)
