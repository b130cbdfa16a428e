"""Names under which a variable can be asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ckptscope.checkpoint.discover import find
from ckptscope.checkpoint.model import TensorEntry
from ckptscope.checkpoint.names import Selection, names_of, resolve
from ckptscope.checkpoint.roles import Variable, take_inventory
from ckptscope.errors import TensorNotFoundError, UsageError
from ckptscope.formats.dtypes import FLOAT32
from tests import samples

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
OPTIMIZED = "optimizer/_trainable_variables/0"


def variable(
    path: str, full_name: str | None = None, slot: tuple[str, str] | None = None
) -> Variable:
    """A variable of an object-based checkpoint; ``slot`` names owner and slot."""
    entry = TensorEntry(path + VALUE, FLOAT32, (4,), 0, 0, 16, 0)
    owner, name = (slot[0] + VALUE, slot[1]) if slot else (None, None)
    return Variable(
        path + VALUE, path, full_name, entry, "optimizer_slot" if slot else "weight", owner, name
    )


WEIGHT = variable("o/w/0", "net/dense/kernel:0")
SLOT = variable("o/v/3", "adam/net_dense_kernel_m", ("o/w/0", "m"))


def test_all_names_of_a_variable():
    found = names_of([WEIGHT, SLOT])
    assert found[WEIGHT.key] == (
        "o/w/0" + VALUE,
        "o/w/0",
        "net/dense/kernel",
        "net/dense/kernel:0",
    )
    assert set(found[SLOT.key]) >= {
        "o/v/3",
        "adam/net_dense_kernel_m",
        "o/w/0/m",
        "net/dense/kernel/m",
    }


@pytest.mark.parametrize("prefix", samples.BUNDLES)
def test_every_name_leads_to_its_variable(prefix):
    with find(f"{samples.ROOT}/{prefix}").open() as checkpoint:
        names = names_of(take_inventory(checkpoint, None).variables)
        owners = {name: key for key, own in names.items() for name in own[:2]}
        for key, own in names.items():
            assert resolve(checkpoint, key) == key
            for name in own[1:]:
                try:
                    found = resolve(checkpoint, name)
                except TensorNotFoundError as error:
                    assert key in str(error) or "more" in str(error)
                else:
                    assert found == key or owners.get(name) == found


@pytest.mark.parametrize(
    ("sample", "name", "key"),
    [
        ("full_221", "sequential/dense/kernel", OPTIMIZED + VALUE),
        ("full_221", OPTIMIZED, OPTIMIZED + VALUE),
        ("full_221", "adam/sequential_dense_kernel_momentum", "optimizer/_variables/2" + VALUE),
        ("full_221", "sequential/dense/kernel/velocities", "optimizer/_variables/3" + VALUE),
        ("full_215", "step", "step" + VALUE),
        ("saver_iterator_115", "kernel", "kernel"),
    ],
)
def test_names_of_real_checkpoints(sample, name, key):
    with find(f"{samples.ROOT}/{sample}").open() as checkpoint:
        assert resolve(checkpoint, name) == key
        np.testing.assert_array_equal(checkpoint[name], checkpoint[key])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dense/kernel", "closest are .*sequential/dense/kernel"),
        ("nothing like it at all ###", "no variable"),
    ],
)
def test_the_nearest_names_are_told(name, words):
    checkpoint = find(f"{samples.ROOT}/full_221").open()
    with checkpoint, pytest.raises(TensorNotFoundError, match=words):
        checkpoint[name]


def test_a_name_of_several_variables_is_refused(monkeypatch):
    twins = (variable("a/0", "layer/kernel"), variable("b/0", "layer/kernel"))

    class Found:
        variables = twins

    monkeypatch.setattr("ckptscope.checkpoint.roles.take_inventory", lambda *_: Found)
    checkpoint = find(f"{samples.ROOT}/full_221").open()
    both = f"2 variables: a/0{VALUE}, b/0{VALUE}"
    with checkpoint, pytest.raises(TensorNotFoundError, match=both):
        resolve(checkpoint, "layer/kernel")


@pytest.mark.parametrize(
    ("only", "ignore", "wanted"),
    [
        ((), (), {"o/w/0", "o/v/3"}),
        (("net/*",), (), {"o/w/0", "o/v/3"}),  # the slot is shown with its weight's name
        (("net/dense/kernel",), (), {"o/w/0"}),
        (("o/w/*",), (), {"o/w/0", "o/v/3"}),
        ((f"o/w/0{VALUE}",), (), {"o/w/0"}),
        (("adam/*",), (), {"o/v/3"}),
        ((), ("adam/*",), {"o/w/0"}),
        (("*kernel*",), ("*_m",), {"o/w/0"}),
    ],
)
def test_patterns(only, ignore, wanted):
    selection = Selection(only, ignore, names_of([WEIGHT, SLOT]))
    selection.check("it")
    assert {v.object_path for v in (WEIGHT, SLOT) if selection.wants(v.key)} == wanted
    assert bool(selection) is bool(only or ignore)


@pytest.mark.parametrize(("only", "ignore"), [(("x*",), ()), ((), ("x*",)), (("*", "x"), ())])
def test_patterns_that_fit_nothing(only, ignore):
    with pytest.raises(UsageError, match=r"'x\*?' fits no variable of it"):
        Selection(only, ignore, names_of([WEIGHT])).check("it")
