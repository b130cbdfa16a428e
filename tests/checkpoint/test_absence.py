"""Keys that are named and not stored."""

from __future__ import annotations

import pytest

from ckptscope.checkpoint.absence import MissingKey, missing_keys
from ckptscope.checkpoint.discover import find
from ckptscope.checkpoint.model import Checkpoint, TensorEntry
from ckptscope.checkpoint.object_graph import Attribute, ObjectGraph, ObjectNode
from ckptscope.checkpoint.slices import uncovered
from ckptscope.formats.dtypes import DType, dtype_of
from ckptscope.formats.messages import Extents
from tests import samples

FLOAT: DType = dtype_of(1)
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def entry(key: str, shape: tuple[int, ...] = ()) -> TensorEntry:
    """A tensor that is stored in one piece."""
    return TensorEntry(key, FLOAT, shape, 0, 0, 4, 0)


def checkpoint(entries: list[TensorEntry], *named: tuple[str, str]) -> Checkpoint:
    """A checkpoint with these entries, whose object graph names (attribute, key) pairs."""
    node = ObjectNode(0, (), tuple(Attribute(name, "", key) for name, key in named), ())
    return Checkpoint(
        prefix="ckpt-1",
        format="tensor_bundle",
        style="object_based",
        entries={item.key: item for item in entries},
        num_shards=1,
        files=(),
        nbytes=0,
        producer=None,
        graph=ObjectGraph((node,)),
        graph_problem=None,
        reader=None,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("stored", "attribute", "key", "missing"),
    [
        (["w" + VALUE], "VARIABLE_VALUE", "w" + VALUE, []),
        (["v" + VALUE], "VARIABLE_VALUE", "w" + VALUE, [("w" + VALUE, True)]),
        (["it/.ATTRIBUTES/ITERATOR_STATE"], "ITERATOR", "it/.ATTRIBUTES/ITERATOR", []),
        (["it2/.ATTRIBUTES/ITERATOR_STATE"], "ITERATOR", "it/.ATTRIBUTES/ITERATOR", [("it/.ATTRIBUTES/ITERATOR", True)]),
        (["t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values"], "table", "t/.ATTRIBUTES/table", []),
        (["t/.ATTRIBUTES/table-keys"], "table", "t/.ATTRIBUTES/table", [("t/.ATTRIBUTES/table-values", True)]),
        (["t/.ATTRIBUTES/table-values"], "table", "t/.ATTRIBUTES/table", [("t/.ATTRIBUTES/table-keys", True)]),
        ([], "table", "t/.ATTRIBUTES/table", [("t/.ATTRIBUTES/table", True)]),
        ([], "OBJECT_CONFIG_JSON", "m/.ATTRIBUTES/OBJECT_CONFIG_JSON", [("m/.ATTRIBUTES/OBJECT_CONFIG_JSON", False)]),
    ],
)  # fmt: skip
def test_keys_of_the_object_graph(stored, attribute, key, missing):
    found = missing_keys(checkpoint([entry(name) for name in stored], (attribute, key)))
    assert [(item.key, item.raises) for item in found] == missing
    assert {item.named_by for item in found} <= {"graph"}


@pytest.mark.parametrize(
    ("shape", "axes", "problem"),
    [
        ((4, 6), [((0, 2), (0, 6)), ((2, 2), (0, 6))], None),
        ((4, 6), [((0, 2), (0, -1)), ((2, 2), (0, -1))], None),
        ((4, 6), [((0, 2), (0, 6)), ((2, 1), (0, 6))], "hold 18 of 24"),
        ((4, 6), [((0, 2), (0, 6))], "holds 12 of 24"),
        ((4, 6), [((0, 2), (0, 6)), ((1, 2), (0, 6))], "overlap"),
        ((4, 6), [((0, 2), (0, 6)), ((2, 2), (0, 6)), ((1, 1), (0, 6))], "overlap"),
        ((4, 6), [((0, 2), (0, 6)), ((3, 2), (0, 6))], "does not fit"),
        ((4,), [((0, 2), (0, 6))], "does not fit"),
    ],
)
def test_slices_of_a_partitioned_tensor(shape, axes, problem):
    parts = tuple(
        (
            Extents(box),
            TensorEntry(
                "", FLOAT, tuple(6 if length < 0 else length for _, length in box), 0, 0, 0, 0
            ),
        )
        for box in axes
    )
    whole = TensorEntry("w", FLOAT, shape, 0, 0, 4, 0, parts)
    found = uncovered(whole)
    assert found is None if problem is None else found is not None and problem in found
    assert [item.named_by for item in missing_keys(checkpoint([whole]))] == (
        [] if problem is None else ["partition"]
    )


def test_keys_of_a_saver_and_partners():
    prefix = f"{samples.ROOT}/estimator_hook_115"
    with find(f"{prefix}/model.ckpt-7").open() as model:
        assert missing_keys(model, saved=model.entries, partners=[f"{prefix}/input.ckpt-7"]) == ()
        found = missing_keys(model, saved=["x", "x", "y"], partners=[f"{prefix}/model.ckpt-0"])
    assert [(item.key, item.named_by) for item in found] == [
        ("x", "meta"),
        ("y", "meta"),
        (f"{prefix}/model.ckpt-0", "partner"),
    ]
    assert all(isinstance(item, MissingKey) and item.raises for item in found)


@pytest.mark.parametrize("prefix", samples.BUNDLES)
def test_samples_hold_all_that_they_name(prefix):
    with find(f"{samples.ROOT}/{prefix}").open() as stored:
        assert missing_keys(stored) == ()
