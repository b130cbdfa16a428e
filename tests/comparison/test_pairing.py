"""What belongs to what: a table of old and new variables with the pairs that are expected."""

from __future__ import annotations

import pytest

from ckptscope.checkpoint.model import TensorEntry
from ckptscope.checkpoint.object_keys import short_name
from ckptscope.checkpoint.roles import Role, Variable
from ckptscope.comparison.pairing import Names, pair_variables
from ckptscope.errors import UsageError
from ckptscope.formats.dtypes import FLOAT32

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def variable(
    name: str,
    content: int = 0,
    shape: tuple[int, ...] = (4,),
    full_name: str | None = None,
    slot: tuple[str, str] | None = None,
) -> Variable:
    """``content`` stands for the bytes: equal numbers are equal tensors."""
    nbytes = 4
    for size in shape:
        nbytes *= size
    entry = TensorEntry(name + SUFFIX, FLOAT32, shape, 0, 0, nbytes, content)
    role: Role = "optimizer_slot" if slot else "weight"
    owner = None if slot is None else slot[0] + SUFFIX
    return Variable(name + SUFFIX, name, full_name, entry, role, owner, slot[1] if slot else None)


def slots(
    owner: str, first: int, content: int, names: tuple[str, ...] = ("m", "v")
) -> list[Variable]:
    """Slots as Keras keeps them: numbered, whoever they belong to."""
    return [
        variable(f"optimizer/_variables/{first + n}", content + n, slot=(owner, name))
        for n, name in enumerate(names)
    ]


def pairs(
    a: list[Variable], b: list[Variable], names: Names | None = None, across: bool = False
) -> set[object]:
    found = pair_variables(
        a,
        b,
        names or Names(),
        across_styles=across,
        same_bytes=lambda x, y: x.entry.crc32c == y.entry.crc32c,
    )
    return {
        (
            short_name(pair.a.key) if pair.a else None,
            short_name(pair.b.key) if pair.b else None,
            pair.score,
        )
        for pair in found
    }


TABLE = {
    "the same keys": (
        [variable("x", 1), variable("y", 2)],
        [variable("x", 3), variable("y", 2)],
        {("x", "x", None), ("y", "y", None)},
    ),
    "added and removed": (
        [variable("x", 1), variable("gone/entirely", 2, (2,))],
        [variable("x", 1), variable("brand/new", 3, (3,))],
        {("x", "x", None), ("gone/entirely", None, None), (None, "brand/new", None)},
    ),
    "renamed, by content": (
        [variable("old/kernel", 7)],
        [variable("zzz/w", 7)],
        {("old/kernel", "zzz/w", 100)},
    ),
    "renamed and changed, by likeness": (
        [variable("model/dense/kernel", 1)],
        [variable("model/dense_a/kernel", 2)],
        {("model/dense/kernel", "model/dense_a/kernel", 95)},
    ),
    "not alike enough": (
        [variable("abc", 1)],
        [variable("xyz", 2)],
        {("abc", None, None), (None, "xyz", None)},
    ),
    "another shape is no rename": (
        [variable("dense/kernel", 1)],
        [variable("dense_a/kernel", 1, (5,))],
        {("dense/kernel", None, None), (None, "dense_a/kernel", None)},
    ),
    "of equal tensors the most alike": (
        [variable("a/bias", 0), variable("b/bias", 0)],
        [variable("a2/bias", 0), variable("b2/bias", 0)],
        {("a/bias", "a2/bias", 100), ("b/bias", "b2/bias", 100)},
    ),
    "one of many equal tensors is no proof": (
        [variable("abc", 0)],
        [variable("xyz", 0), variable("uvw", 0)],
        {("abc", None, None), (None, "xyz", None), (None, "uvw", None)},
    ),
    "a single number is no proof": (
        [variable("abc", 0, ())],
        [variable("xyz", 0, ())],
        {("abc", None, None), (None, "xyz", None)},
    ),
    "slots follow a renamed variable": (
        [variable("old", 1), *slots("old", 2, 10)],
        [variable("new", 1), *slots("new", 2, 20)],
        {
            ("old", "new", 100),
            ("optimizer/_variables/2", "optimizer/_variables/2", None),
            ("optimizer/_variables/3", "optimizer/_variables/3", None),
        },
    ),
    "slots whose numbers shift": (
        [variable("b", 1), *slots("b", 2, 10)],
        [variable("a", 9, (2,)), variable("b", 1), *slots("a", 2, 30), *slots("b", 4, 10)],
        {
            (None, "a", None),
            ("b", "b", None),
            (None, "optimizer/_variables/2", None),
            (None, "optimizer/_variables/3", None),
            ("optimizer/_variables/2", "optimizer/_variables/4", None),
            ("optimizer/_variables/3", "optimizer/_variables/5", None),
        },
    ),
    "slots of different variables under one key": (
        [variable("a", 1), *slots("a", 2, 10, ("m",))],
        [variable("b", 2, (3,)), *slots("b", 2, 20, ("m",))],
        {
            ("a", None, None),
            (None, "b", None),
            ("optimizer/_variables/2", None, None),
            (None, "optimizer/_variables/2", None),
        },
    ),
    "releases call slots differently": (
        [
            variable("w", 1),
            variable("w/Adam", 2, slot=("w", "Adam")),
            variable("w/Adam_1", 3, slot=("w", "Adam_1")),
        ],
        [variable("w", 1), *slots("w", 2, 5)],
        {
            ("w", "w", None),
            ("w/Adam", "optimizer/_variables/2", None),
            ("w/Adam_1", "optimizer/_variables/3", None),
        },
    ),
    "two optimizers with slots of one name": (
        [
            variable("w", 1),
            *(
                variable(f"w/.OPTIMIZER_SLOT/{o}/m", n, slot=("w", "m"))
                for n, o in enumerate(("gen", "dis"))
            ),
        ],
        [
            variable("w", 1),
            *(
                variable(f"w/.OPTIMIZER_SLOT/{o}/m", n, slot=("w", "m"))
                for n, o in enumerate(("gen", "dis"))
            ),
        ],
        {
            ("w", "w", None),
            *(
                (f"w/.OPTIMIZER_SLOT/{o}/m", f"w/.OPTIMIZER_SLOT/{o}/m", None)
                for o in ("gen", "dis")
            ),
        },
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_pairs(case):
    a, b, expected = TABLE[case]
    assert pairs(a, b) == expected


def test_full_names_pair_across_styles_only():
    a = [variable("dense/kernel", 1, full_name="dense/kernel")]
    b = [variable("layers/0/w", 2, full_name="dense/kernel")]
    assert pairs(a, b, across=True) == {("dense/kernel", "layers/0/w", None)}
    assert pairs(a, b) == {("dense/kernel", "layers/0/w", 99)}


@pytest.mark.parametrize(
    ("maps", "strip", "old", "new"),
    [
        (["model=net"], [], "model/dense/kernel", "net/dense/kernel"),
        (["model/dense/kernel=w"], [], "model/dense/kernel", "w"),
        (["model/=net/"], [], "model/dense/kernel", "net/dense/kernel"),
        (["model="], [], "model/dense/kernel", "dense/kernel"),
        ([], ["model/"], "model/dense/kernel", "dense/kernel"),
        ([], ["model"], "model/dense/kernel", "dense/kernel"),
        ([], ["model/", "net/"], "model/dense/kernel", "net/dense/kernel"),
        (["a=b"], ["b"], "a/x", "x"),
    ],
)
def test_what_the_user_knows_of_names(maps, strip, old, new):
    names = Names.parsed(maps, strip)
    names.check([variable(old)])
    assert pairs([variable(old, 1)], [variable(new, 2)], names) == {(old, new, None)}


def test_maps_that_fit_nothing_are_refused():
    with pytest.raises(UsageError, match="OLD=NEW"):
        Names.parsed(["x"], [])
    with pytest.raises(UsageError, match=r"closest are model/dense"):
        Names.parsed(["model/dens=x"], []).check([variable("model/dense")])


@pytest.mark.parametrize(
    ("old", "new"),
    [("seq/dense/kernel", "w"), ("opt/vars/0", "net/w"), ("opt/vars/0" + SUFFIX, "w")],
)
def test_maps_take_every_name_of_a_variable(old, new):
    a = [variable("opt/vars/0", 1, full_name="seq/dense/kernel")]
    b = [variable("w", 2, full_name="net/w")]
    names = Names.parsed([f"{old}={new}"], [])
    names.check(a)
    assert pairs(a, b, names.resolved(a, b)) == {("opt/vars/0", "w", None)}


def test_very_many_unmatched_variables_take_bounded_time():
    a = [variable(f"old/{n}", n) for n in range(2000)]
    b = [variable(f"new/{n}", n + 5000) for n in range(2000)]
    assert len(pairs(a, b)) == 4000
