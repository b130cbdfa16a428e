from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.iterator.philox import find_seeds
from ckptscope.iterator.position import Hints
from ckptscope.iterator.seed_guesses import _derived, derived
from ckptscope.iterator.seeds import DEFAULT_GRAPH_SEED, draws, philox_block, prove
from ckptscope.iterator.state import split_records
from ckptscope.iterator.tree import build_tree
from tests import writers

MASK32 = 0xFFFFFFFF


# Drawn by tf.random's Philox generator in a running TensorFlow.
@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ((87654321, 1), (2870909127, 3455438759, 4052121393, 1279227022)),
        ((87654321, 3), (3534849767, 279844183)),
    ],
)
def test_draws_of_tensorflow(seeds, expected):
    assert draws(*seeds, 0, len(expected)) == expected


# Known answers of the generator's authors (Random123, kat_vectors): counter, key, output of
# philox4x32-10.
@pytest.mark.parametrize(
    ("counter", "key", "output"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((MASK32,) * 4, (MASK32,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_philox(counter, key, output):
    block = counter[0] | counter[1] << 32
    assert philox_block(key[0] | key[1] << 32, counter[2] | counter[3] << 32, block) == output


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 40), st.integers(0, 9))
def test_draws_may_start_anywhere(seed, seed2, first, count):
    assert draws(seed, seed2, first, count) == draws(seed, seed2, 0, first + count)[first:]


def tree_of(stages):
    messages = writers.compressed_state(
        {name: {k: np.int64(v) for k, v in keys.items()} for name, keys in stages.items()}
    )
    stored, _ = writers.variant_tensor(messages)
    return build_tree(split_records(stored, len(messages), "iterator"))


def shuffle(seed, seed2, drawn, repeated=True):
    root = "Iterator::Root::" + ("ForeverRepeat[0]::" if repeated else "") + "Shuffle"
    state = {
        root: {
            "seed": seed,
            "seed2": seed2,
            "epoch_num_random_samples": drawn,
            "num_random_samples": 5,
            "epoch": drawn // 2,
            "slices_size": 1,
            "slices_start_0": 5,
            "slices_end_0": 40,
            "slices_reached_end_of_sequence_0": 1,
        },
        f"{root}::TensorSlice": {"index": 40},
    }
    return {"Iterator::Root::ForeverRepeat": {"i": 0}, **state} if repeated else state


def proof_of(stages, **hints):
    (proof,) = prove(tree_of(stages), Hints(**hints))
    return proof


def replayed(base, drawn):
    return (*draws(*base, drawn - 2, 2), drawn)


@pytest.mark.parametrize("op_seed", [0, 1, 3, 42, 511, 512, 4095, 65535])
@pytest.mark.parametrize("drawn", [2, 4, 6, 20])
def test_replay_finds_op_seeds(op_seed, drawn):
    proof = proof_of(shuffle(*replayed((DEFAULT_GRAPH_SEED, op_seed), drawn)))
    assert proof.status == "proven"
    assert f"op seed {op_seed}" in proof.how
    assert proof.remaining == 35


@pytest.mark.parametrize("base", [(0, 0), (1, 0), (0, 5), (7, 3)])
def test_replay_finds_small_pairs(base):
    assert proof_of(shuffle(*replayed(base, 2))).status == "proven"


def test_pair_of_a_given_global_seed():
    stages = shuffle(*replayed((42, 7), 2))
    proof = proof_of(stages, global_seed=42)
    assert proof.status == "proven"
    assert "42" in proof.how
    assert proof_of(stages, global_seed=43).status == "given_mismatch"


@pytest.mark.parametrize("global_seed", [0, 1, 42, 1234, 2047])
def test_replay_finds_global_seeds(global_seed):
    """Where only the global seed is set, eager TensorFlow draws op seeds from Python's
    generator.
    """
    import random

    op_seed = random.Random(global_seed).randint(0, 2**31 - 1)
    proof = proof_of(shuffle(*replayed((global_seed, op_seed), 4)))
    assert proof.status == "proven"
    assert f"global seed {global_seed}" in proof.how


FAR = (DEFAULT_GRAPH_SEED, 192_837_465)


def test_large_seed_is_found_when_given():
    stages = shuffle(*replayed(FAR, 6))
    assert proof_of(stages).status == "unproven"
    assert proof_of(stages, shuffle_seed=192_837_465).status == "proven"
    assert proof_of(stages, shuffle_seed=5).status == "given_mismatch"
    assert (
        proof_of(
            shuffle(*replayed((99_999, 192_837_465), 6)),
            global_seed=99_999,
            shuffle_seed=192_837_465,
        ).status
        == "proven"
    )


@pytest.mark.parametrize(
    ("seed", "seed2", "status"),
    [
        (2**40 + 1, 2**41 + 3, "unseeded"),  # TensorFlow's own 64-bit random numbers
        (DEFAULT_GRAPH_SEED, 5, "proven"),  # not reshuffled: the seeds themselves
        (3_000_000_001, 3_000_000_002, "unproven"),
    ],
)
def test_stored_seeds(seed, seed2, status):
    assert proof_of(shuffle(seed, seed2, 2)).status == status


def test_single_pass_needs_no_seed():
    assert (
        proof_of(shuffle(3_000_000_001, 3_000_000_002, 2, repeated=False)).status == "current_pass"
    )
    assert proof_of(shuffle(3_000_000_001, 3_000_000_002, 4, repeated=False)).status == "unproven"


def test_no_shuffle_no_proof():
    assert list(prove(tree_of({"Iterator::Root::TensorSlice": {"index": 4}}), Hints())) == []


@pytest.mark.parametrize(
    ("own", "drawn", "passes", "extra"),
    [
        (0, 2, 1, 0),
        (2, 4, 2, 0),
        (0, 4, 1, 2),  # somebody looked at an example after the iterator was made
        (2, 4, 1, 2),  # or before
        (4, 10, 2, 6),  # a copy for each of several asynchronous saves
        (40, 200, 2, 196),
    ],
)
def test_generators_that_serve_several_iterators(own, drawn, passes, extra):
    """Any pair of draws may be the one of this pass; what else was drawn is counted."""
    stages = shuffle(*draws(DEFAULT_GRAPH_SEED, 3, own, 2), drawn)
    stages["Iterator::Root::ForeverRepeat"] = {"i": passes - 1}
    proof = proof_of(stages)
    assert (proof.status, proof.extra_draws) == ("proven", extra)


def test_draws_before_the_first_pass_of_this_iterator_prove_nothing():
    """The third pass of an iterator cannot have the first pair of draws."""
    stages = shuffle(*draws(DEFAULT_GRAPH_SEED, 3, 0, 2), 6)
    stages["Iterator::Root::ForeverRepeat"] = {"i": 2}
    assert proof_of(stages).status == "unproven"


def test_python_epochs_draw_nothing_extra():
    proof = proof_of(shuffle(*replayed((DEFAULT_GRAPH_SEED, 3), 8), repeated=False))
    assert (proof.status, proof.extra_draws) == ("proven", 0)


def inside(stages, outer="FlatMap"):
    return {
        f"Iterator::Root::{outer}": {"element_index": 1},
        **{
            name.replace("Iterator::Root::", f"Iterator::Root::{outer}[0]::"): keys
            for name, keys in stages.items()
        },
    }


@pytest.mark.parametrize("outer", ["FlatMap", "InterleaveV2", "GroupByWindow"])
def test_a_function_makes_its_shuffle_anew(outer):
    unknown = shuffle(*replayed(FAR, 2), repeated=False)
    assert proof_of(unknown).status == "current_pass"
    proof = proof_of(inside(unknown, outer))
    assert (proof.status, proof.made_by is None) == ("unproven", False)
    assert proof.made_by in proof.how
    known = shuffle(*replayed((DEFAULT_GRAPH_SEED, 5), 2), repeated=False)
    assert proof_of(inside(known, outer)).status == "proven"


def test_a_fused_shuffle_makes_the_shuffle_below_it_anew():
    """Files are shuffled once in each pass of the records."""
    files = shuffle(*replayed(FAR, 2), repeated=False)
    stages = {
        "Iterator::Root::ShuffleAndRepeat": {"epoch": 1, "slices_size": 1, "seed": 1, "seed2": 2},
        **{k.replace("Root::", "Root::ShuffleAndRepeat::"): v for k, v in files.items()},
    }
    assert [proof.status for proof in prove(tree_of(stages), Hints())] == ["proven", "unproven"]


@pytest.mark.parametrize(
    ("base", "hints"),
    [
        ((DEFAULT_GRAPH_SEED, 512), {"shuffle_seed": 2**40}),
        ((512, 192_837_465), {"global_seed": 2**40, "shuffle_seed": 192_837_465}),
        ((0, 2**31 - 1), {"global_seed": 0, "shuffle_seed": 0}),
    ],
)
def test_given_seeds_are_reduced_as_tensorflow_does(base, hints):
    assert proof_of(shuffle(*replayed(base, 4)), **hints).status == "proven"


@pytest.mark.parametrize(
    "base",
    [
        (40_000, 40_000),  # random, NumPy and shuffle seeded alike
        (42, derived(42)[200]),  # a model was built before the data
        (1234, derived(1234)[255]),
        (2047, derived(2047)[4]),
        (1234, 42),
        (DEFAULT_GRAPH_SEED, 20240229),
    ],
)
def test_usual_seeds_are_found(base):
    proof = proof_of(shuffle(*replayed(base, 6)))
    assert (proof.status, proof.base) == ("proven", base)
    # Without reshuffling the base seeds themselves are stored.
    assert proof_of(shuffle(*base, 3)).status == "proven"


@given(st.integers(0, 2**40), st.integers(1, 300))
def test_many_derived_seeds_are_those_of_random(global_seed, count):
    assert _derived(global_seed, count).tolist() == derived(global_seed, count)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**34))
def test_many_generators_at_once_draw_the_same(seed, seed2, start):
    start -= start % 4 == 3
    pairs = np.array([[1, seed], [2, seed2]], dtype=np.uint64)
    wanted = draws(seed, seed2, start, 2)
    assert find_seeds(*pairs, [start], wanted) == ((seed, seed2), start)
