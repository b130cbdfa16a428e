"""The other checkpoints of a directory as witnesses, on small bundles made for the purpose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ckptscope.checkpoint.bundle_v2 import open_bundle
from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.order import ordered_checkpoints
from ckptscope.checkpoint.run_record import identity_of
from ckptscope.iterator.position import Hints
from ckptscope.resume import neighbours
from ckptscope.resume.neighbours import Asked, Delivered, Neighbour, Neighbourhood
from tests.writers import Bundle, named_state, sliced_v1

SLICES = "Iterator::Root::BatchV2::TensorSlice"
KERNEL, BIAS, STEP, ITERATOR = "kernel", "bias", "step", "iterator"


def saved(directory: Path, number: int, weight: float | None = None, **more: np.ndarray) -> str:
    """One checkpoint of a run of 10 steps for each save and 4 examples for each step."""
    value = number if weight is None else weight
    bundle = Bundle().array(KERNEL, np.full((4, 6), value, np.float32))
    bundle.array(BIAS, np.zeros(6, np.float32)).array(STEP, np.array(10 * number, np.int64))
    for key, values in more.items():
        bundle.array(key, values)
    bundle.variant(ITERATOR, named_state({SLICES: {"i": np.int64(40 * number)}}))
    return bundle.write(directory / f"ckpt-{number}")


def asked(prefix: str, *counters: str, iterators: tuple[str, ...] = (ITERATOR,)) -> Asked:
    with open_bundle(prefix) as checkpoint:
        weights = {key: checkpoint.entries[key] for key in (KERNEL, BIAS)}
    return Asked(counters or (STEP,), weights, iterators, Hints(batch_size=4))


def heard(directory: Path, number: int, **options) -> tuple[Neighbour, ...]:
    prefix = str(directory / f"ckpt-{number}")
    location = Location(prefix, "tensor_bundle", "", number)
    return Neighbourhood().of(location, asked(prefix, **options))


def names(found: tuple[Neighbour, ...]) -> list[tuple[str, bool]]:
    return [(neighbour.name, neighbour.later) for neighbour in found]


def neighbour(number: int, later: bool) -> Neighbour:
    return Neighbour(
        f"ckpt-{number}",
        later,
        number,
        {STEP: 10 * number},
        {ITERATOR: Delivered(10 * number)},
        frozenset((KERNEL,)),
    )


def test_a_neighbour_says_what_it_is_asked(tmp_path):
    for number in (1, 2, 3):
        saved(tmp_path, number)
    assert heard(tmp_path, 2) == (neighbour(1, False), neighbour(3, True))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, [("ckpt-2", True)]),
        (2, [("ckpt-1", False), ("ckpt-3", True)]),
        (4, [("ckpt-1", False), ("ckpt-3", False), ("ckpt-10", True)]),
        (10, [("ckpt-1", False), ("ckpt-4", False)]),
    ],
)
def test_the_oldest_and_those_next_to_it_are_heard(tmp_path, number, expected):
    for other in (1, 2, 3, 4, 10):
        saved(tmp_path, other)
    assert names(heard(tmp_path, number)) == expected


def test_the_state_file_orders(tmp_path):
    for number in (1, 2, 3):
        saved(tmp_path, number)
    paths = "".join(f'all_model_checkpoint_paths: "ckpt-{number}"\n' for number in (3, 1, 2))
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-2"\n{paths}')
    assert names(heard(tmp_path, 1)) == [("ckpt-3", False), ("ckpt-2", True)]


def test_alone_nobody_is_heard(tmp_path):
    saved(tmp_path, 1)
    assert heard(tmp_path, 1) == ()


def test_a_checkpoint_that_is_not_in_the_list_hears_nobody(tmp_path):
    for number in (1, 2):
        saved(tmp_path, number)
    prefix = saved(tmp_path, 3)
    others = ordered_checkpoints(str(tmp_path))[:2]
    location = Location(prefix, "tensor_bundle", "", 3)
    assert Neighbourhood(others).of(location, asked(prefix)) == ()


def test_a_directory_is_listed_once_for_all(tmp_path, monkeypatch):
    prefixes = [saved(tmp_path, number) for number in (1, 2)]
    together = Neighbourhood(ordered_checkpoints(str(tmp_path)))
    monkeypatch.setattr(neighbours, "ordered_checkpoints", lambda _: pytest.fail("listed again"))
    for prefix, other in zip(prefixes, reversed(prefixes), strict=True):
        location = Location(prefix, "tensor_bundle", "", None)
        (found,) = together.of(location, asked(prefix))
        assert found.name == Path(other).name


def test_a_damaged_neighbour_says_nothing(tmp_path):
    for number in (1, 2, 3):
        saved(tmp_path, number)
    index = tmp_path / "ckpt-3.index"
    index.write_bytes(index.read_bytes()[:40])
    assert names(heard(tmp_path, 2)) == [("ckpt-1", False)]


def test_a_neighbour_whose_counter_is_damaged_says_nothing(tmp_path):
    for number in (1, 2):
        saved(tmp_path, number)
    data = tmp_path / "ckpt-1.data-00000-of-00001"
    data.write_bytes(b"\xff" * data.stat().st_size)
    assert heard(tmp_path, 2) == ()


def test_a_neighbour_without_its_data_says_nothing(tmp_path):
    for number in (1, 2):
        saved(tmp_path, number)
    (tmp_path / "ckpt-1.data-00000-of-00001").unlink()
    assert heard(tmp_path, 2) == ()


def test_a_checkpoint_of_another_program_is_not_heard(tmp_path):
    saved(tmp_path, 2)
    other = Bundle().array("w", np.zeros(3, np.float32)).array(STEP, np.array(5, np.int64))
    other.write(tmp_path / "ckpt-1")
    assert heard(tmp_path, 2) == ()


def test_without_weights_to_compare_everybody_is_heard(tmp_path):
    saved(tmp_path, 1)
    prefix = saved(tmp_path, 2)
    location = Location(prefix, "tensor_bundle", "", 2)
    (found,) = Neighbourhood().of(location, Asked((STEP,), {}, ()))
    assert found == Neighbour("ckpt-1", False, 1, {STEP: 10})


def test_half_of_the_weights_are_enough(tmp_path):
    saved(tmp_path, 2)
    Bundle().array(KERNEL, np.zeros((4, 6), np.float32)).write(tmp_path / "ckpt-1")
    assert heard(tmp_path, 2) == (Neighbour("ckpt-1", False, 1, changed=frozenset((KERNEL,))),)


def test_a_large_index_is_not_opened(tmp_path, monkeypatch):
    for number in (1, 2, 3):
        saved(tmp_path, number)
    size = (tmp_path / "ckpt-1.index").stat().st_size
    saved(tmp_path, 1, **{f"further/{n}": np.zeros(2, np.float32) for n in range(50)})
    monkeypatch.setattr(neighbours, "_INDEX_LIMIT_NBYTES", size)
    assert names(heard(tmp_path, 2)) == [("ckpt-3", True)]


def test_a_large_iterator_is_not_decoded(tmp_path, monkeypatch):
    for number in (1, 2):
        saved(tmp_path, number)
    monkeypatch.setattr(neighbours, "_ITERATOR_LIMIT_NBYTES", 8)
    (found,) = heard(tmp_path, 2)
    assert found.delivered == {ITERATOR: Delivered()}


def test_only_integer_scalars_and_iterators_are_told(tmp_path):
    saved(tmp_path, 1, rate=np.array(0.5, np.float32), sizes=np.array([1, 2], np.int64))
    prefix = saved(tmp_path, 2)
    location = Location(prefix, "tensor_bundle", "", 2)
    question = asked(prefix, STEP, "rate", "sizes", "gone", iterators=(ITERATOR, BIAS, "gone"))
    (found,) = Neighbourhood().of(location, question)
    assert (found.counters, set(found.delivered)) == ({STEP: 10}, {ITERATOR})


def test_equal_checksums_are_no_change(tmp_path):
    saved(tmp_path, 1, weight=7.0)
    saved(tmp_path, 2, weight=7.0)
    (found,) = heard(tmp_path, 2)
    assert found.changed == frozenset()


def test_a_format_without_checksums_does_not_tell_of_changes(tmp_path):
    saved(tmp_path, 2)
    whole = np.zeros((4, 6), np.float32)
    file = tmp_path / "ckpt-1"
    file.write_bytes(sliced_v1({name: (whole, [((0, -1), (0, -1))]) for name in (KERNEL, BIAS)}))
    (tmp_path / "ckpt-1.meta").write_bytes(b"")
    (found,) = heard(tmp_path, 2)
    assert (found.name, found.changed) == ("ckpt-1", None)


@pytest.mark.parametrize(("step", "expected"), [(1, 30), (2, 10)])
def test_the_input_checkpoint_of_the_same_step_is_asked(tmp_path, step, expected):
    for number in (1, 2):
        saved(tmp_path, number)
    state = named_state({SLICES: {"i": np.int64(120)}})
    Bundle().variant(ITERATOR, state).write(tmp_path / f"input.ckpt-{step}")
    (found,) = heard(tmp_path, 2)
    assert found.delivered == {ITERATOR: Delivered(expected)}


def test_an_unfinished_input_checkpoint_is_not_asked(tmp_path):
    for number in (1, 2):
        saved(tmp_path, number)
    (tmp_path / "input.ckpt-1_temp_abc").mkdir()
    (tmp_path / "input.ckpt-1.data-00000-of-00001").write_bytes(b"")
    (found,) = heard(tmp_path, 2)
    assert found.delivered == {ITERATOR: Delivered(10)}


def test_assumptions_behind_a_count_are_told(tmp_path):
    saved(tmp_path, 2)
    state = named_state({"Iterator::Root::BatchV2::Range": {"next": np.int64(40)}})
    Bundle().array(KERNEL, np.zeros((4, 6), np.float32)).variant(ITERATOR, state).write(
        tmp_path / "ckpt-1"
    )
    (found,) = heard(tmp_path, 2)
    assert found.delivered == {ITERATOR: Delivered(10, False, frozenset(("RANGE_ORIGIN",)))}


def test_the_sizes_of_its_run_record(tmp_path):
    prefix, _ = saved(tmp_path, 1), saved(tmp_path, 2)
    known = {"format_version": "1.0", "attempt": "a", "step": 10, "versions": {}, "files": []}
    sizes = {"batch_size": 4, "epoch_size": 28}
    text = json.dumps({**known, **sizes, **identity_of(prefix)})
    Path(f"{prefix}.ckptscope.json").write_text(text)
    (found,) = heard(tmp_path, 2)
    assert found.recorded_sizes == (4, 28)
