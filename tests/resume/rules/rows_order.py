"""Rows of the order of the data."""

from __future__ import annotations

from dataclasses import replace

from ckptscope.checkpoint.meta_graph import MetaGraph
from ckptscope.checkpoint.model import Damage
from ckptscope.iterator.seeds import SeedProof
from ckptscope.iterator.tree import IteratorTree
from ckptscope.resume.facts import Facts, StepFact
from ckptscope.resume.model import Evidence
from tests import writers
from tests.resume.rules.iterators import (
    AT_0,
    AT_7,
    EXHAUSTED,
    READING,
    RECORD_FILE,
    WHERE,
    at,
    at_7,
    iterator,
    pipeline,
    reading,
    record,
    tree_of,
)
from tests.resume.rules.table import Row, Says

PATH = "Iterator::ForeverRepeat[0]::Shuffle"
DRAWS = "its draws follow from the op seed 42"
NO_SEED = "no small seed reproduces the stored draws"
SEED_IT = (
    "Give every shuffle() a seed= (and Dataset.random, sample_from_datasets and list_files, too), "
    "or set tf.random.set_seed at the start. If it has one, pass it here with --shuffle-seed or "
    "--global-seed."
)
BEGIN_FIRST = "Take one batch before the first save, or save no iterator before it."
DAMAGED = (Damage("data", "run/ckpt-7.data-00000-of-00001", "kernel", 0, "cut off"),)
LATER = "later epochs may be shuffled differently"
UNSEEDED = pipeline("BatchDatasetV2", "ShuffleDatasetV3", seeds=((0, 0),))


def proof(status: str, how: str, remaining: int | None = None, **more: object) -> SeedProof:
    """What is known of a shuffle."""
    plain = SeedProof(PATH, "shuffle", status, how, remaining)  # type: ignore[arg-type]
    return replace(plain, **more)  # type: ignore[arg-type]


PROVEN = proof("proven", DRAWS)
UNPROVEN = proof("unproven", NO_SEED)
CURRENT = proof("current_pass", "no repeat makes it anew, so only the present pass remains")
NO_ORDER = proof("unproven", "this TensorFlow stores no seed of it", holds_order=False)


def shuffled(*proofs: SeedProof, read=READING, **more: object) -> Facts:  # type: ignore[no-untyped-def]
    """A training iterator with these shuffles."""
    return at_7(iterator(proofs=proofs, read=read), **more)


def not_seeded(message: str) -> tuple[Says, ...]:
    """What SEED002 says."""
    return (Says("unknown", message, "approximate", PATH, WHERE, SEED_IT),)


def begins(
    keys: dict[str, int],
    *,
    write=writers.named_state,  # type: ignore[no-untyped-def]
    below: str = "ForeverRepeat[0]::",
    stage: str = "Shuffle",
) -> Facts:
    """A shuffle with these counters, below a repeat."""
    above = {"ForeverRepeat": {"i": 0}} if below else {}
    return at_7(iterator(tree=tree_of({**above, f"{below}{stage}": keys}, write)))


RESHUFFLED = (
    Says(
        "unknown",
        "a shuffle below a repeat had not begun its pass; TensorFlow reshuffles when it restores "
        "this state",
        "approximate",
        PATH,
        WHERE,
        BEGIN_FIRST,
    ),
)
ANEW = "the data is shuffled without a seed, so each start from here sees it in another order"

ROWS = [
    Row(
        "SEED001",
        "proven",
        shuffled(PROVEN),
        (
            Says(
                "saved",
                f"the order of shuffle (Shuffle) is reproducible: {DRAWS}",
                None,
                PATH,
                WHERE,
            ),
        ),
    ),
    Row(
        "SEED001",
        "whole",
        shuffled(proof("whole", "it lies below a complete cache, which holds its order")),
        (
            Says(
                "saved",
                "the order of shuffle (Shuffle) is reproducible: it lies below a complete cache, "
                "which holds its order",
                None,
                PATH,
                WHERE,
            ),
        ),
    ),
    Row("SEED001", "unproven", shuffled(UNPROVEN)),
    Row("SEED001", "the current pass", shuffled(CURRENT)),
    Row("SEED001", "damaged", shuffled(PROVEN, damage=DAMAGED)),
    Row("SEED001", "exhausted", shuffled(PROVEN, read=EXHAUSTED)),
    Row(
        "SEED002",
        "size of an epoch known",
        shuffled(UNPROVEN, read=reading(epoch_size=40, examples_into_epoch=28)),
        not_seeded(
            f"shuffle (Shuffle) is not proven seeded: {NO_SEED}. The order is exact for another 12 "
            f"examples, to the end of this epoch; {LATER}"
        ),
    ),
    Row(
        "SEED002",
        "buffer known",
        shuffled(replace(UNPROVEN, remaining=35)),
        not_seeded(
            f"shuffle (Shuffle) is not proven seeded: {NO_SEED}. The order is exact for at least "
            f"35 elements of this stage, to the end of this epoch; {LATER}"
        ),
    ),
    Row(
        "SEED002",
        "nothing known",
        shuffled(replace(UNPROVEN, status="unseeded"), read=None),
        not_seeded(
            f"shuffle (Shuffle) is not proven seeded: {NO_SEED}. The order is exact to the end of "
            f"this epoch; {LATER}"
        ),
    ),
    Row(
        "SEED002",
        "another seed than the given",
        shuffled(proof("given_mismatch", f"{DRAWS}, not from the given shuffle seed 3")),
        not_seeded(
            f"shuffle (Shuffle) does not have the given seed: {DRAWS}, not from the given shuffle "
            f"seed 3. The order is exact to the end of this epoch; {LATER}"
        ),
    ),
    Row(
        "SEED002",
        "place in the epoch not known",
        shuffled(UNPROVEN, read=reading(epoch_size=40)),
        not_seeded(
            f"shuffle (Shuffle) is not proven seeded: {NO_SEED}. The order is exact to the end of "
            f"this epoch; {LATER}"
        ),
    ),
    Row(
        "SEED002",
        "size of an epoch not known",
        shuffled(UNPROVEN, read=reading(examples_into_epoch=28)),
        not_seeded(
            f"shuffle (Shuffle) is not proven seeded: {NO_SEED}. The order is exact to the end of "
            f"this epoch; {LATER}"
        ),
    ),
    Row("SEED002", "proven", shuffled(PROVEN)),
    Row("SEED002", "order not stored", shuffled(NO_ORDER)),
    Row("SEED002", "damaged", shuffled(UNPROVEN, damage=DAMAGED)),
    Row("SEED002", "exhausted", shuffled(UNPROVEN, read=EXHAUSTED)),
    Row(
        "SEED003",
        "the current pass",
        shuffled(CURRENT),
        (
            Says(
                "saved",
                "the order of shuffle (Shuffle) is stored to the end of its pass: no repeat makes "
                "it anew, so only the present pass remains",
                None,
                PATH,
                WHERE,
            ),
        ),
    ),
    Row("SEED003", "unproven", shuffled(UNPROVEN)),
    Row(
        "SEED004",
        "order not stored",
        shuffled(NO_ORDER),
        (
            Says(
                "missing",
                "the order of shuffle (Shuffle) is not stored: this TensorFlow stores no seed of "
                "it",
                "approximate",
                PATH,
                WHERE,
                SEED_IT,
            ),
        ),
    ),
    Row("SEED004", "order stored", shuffled(UNPROVEN)),
    Row("SEED004", "proven", shuffled(replace(NO_ORDER, status="proven"))),
    Row("SEED005", "two draws", begins({"epoch_num_random_samples": 2}), RESHUFFLED),
    Row("SEED005", "two draws of 1.15", begins({"ds_num_random_samples": 2}), RESHUFFLED),
    Row("SEED005", "one draw", begins({"epoch_num_random_samples": 1})),
    Row("SEED005", "begun", begins({"epoch_num_random_samples": 2, "slices_end_0": 8})),
    Row(
        "SEED005",
        "from 2.12 on",
        begins({"epoch_num_random_samples": 2}, write=writers.compressed_state),
    ),
    Row("SEED005", "draws not counted", begins({"epoch": 1})),
    Row("SEED005", "no stage", at_7(iterator(tree=IteratorTree(None, "named", "Root")))),
    Row("SEED005", "not repeated", begins({"epoch_num_random_samples": 2}, below="")),
    Row(
        "SEED005",
        "a fused shuffle",
        begins({"epoch_num_random_samples": 2}, stage="ShuffleAndRepeat"),
    ),
    Row("SEED005", "no shuffle", begins({"epoch_num_random_samples": 2}, stage="Random")),
    Row(
        "SEED005",
        "damaged",
        at_7(*begins({"epoch_num_random_samples": 2}).iterators, damage=DAMAGED),
    ),
    Row("SEED005", "not decoded", at_7(iterator())),
    Row(
        "SEED006",
        "in the graph",
        at(AT_0, meta=MetaGraph("run/ckpt-0.meta", has_unseeded_shuffle=True)),
        (
            Says(
                "unknown",
                ANEW,
                "approximate",
                evidence=(Evidence("run/ckpt-0.meta"),),
                remedy=SEED_IT,
            ),
        ),
    ),
    Row(
        "SEED006",
        "in the run record",
        at(AT_0, meta=MetaGraph("run/ckpt-0.meta"), run_record=record(UNSEEDED)),
        (Says("unknown", ANEW, "approximate", evidence=(Evidence(RECORD_FILE),), remedy=SEED_IT),),
    ),
    Row(
        "SEED006",
        "in the run record, and no graph",
        at(AT_0, run_record=record(UNSEEDED)),
        (Says("unknown", ANEW, "approximate", evidence=(Evidence(RECORD_FILE),), remedy=SEED_IT),),
    ),
    Row(
        "SEED006",
        "in the pipeline of the graph",
        at(AT_0, meta=MetaGraph("run/ckpt-0.meta", pipeline=UNSEEDED)),
        (
            Says(
                "unknown",
                ANEW,
                "approximate",
                evidence=(Evidence("run/ckpt-0.meta"),),
                remedy=SEED_IT,
            ),
        ),
    ),
    Row("SEED006", "seeded", at(AT_0, run_record=record(replace(UNSEEDED, seeds=((0, 7),))))),
    Row("SEED006", "not shuffled", at(AT_0, run_record=record(pipeline("Map", seeds=((0, 0),))))),
    Row("SEED006", "at step 7", at(AT_7, run_record=record(UNSEEDED))),
    Row("SEED006", "an iterator", at(AT_0, iterator(), run_record=record(UNSEEDED))),
    Row(
        "SEED006",
        "no weights",
        Facts(step=StepFact(0, "step", "own"), run_record=record(UNSEEDED)),
    ),
    Row(
        "COND109",
        "the current pass",
        shuffled(CURRENT),
        (
            "The program does not iterate over the dataset again: a later epoch would be shuffled "
            "differently unless the shuffle is seeded.",
        ),
    ),
    Row("COND109", "proven", shuffled(PROVEN)),
    Row("COND109", "exhausted", shuffled(CURRENT, read=EXHAUSTED)),
    Row(
        "COND126",
        "more draws than passes",
        shuffled(PROVEN, replace(PROVEN, extra_draws=2)),
        (
            "No other iterator of this dataset is made after restoring (its shuffle has already "
            "drawn for more passes than this iterator began).",
        ),
    ),
    Row("COND126", "as many", shuffled(PROVEN)),
    Row("COND126", "exhausted", shuffled(replace(PROVEN, extra_draws=2), read=EXHAUSTED)),
    Row(
        "COND130",
        "nothing shows the pipeline",
        at(AT_0),
        ("The data comes in the same order at each start: it is not shuffled, or with a seed.",),
    ),
    Row("COND130", "a record shows it", at(AT_0, run_record=record(pipeline("Map")))),
    Row("COND130", "an unseeded queue", at(AT_0, meta=MetaGraph(has_unseeded_shuffle=True))),
    Row("COND130", "at step 7", at(AT_7)),
    Row("COND130", "an iterator", at(AT_0, iterator())),
    Row("COND130", "no weights", Facts(step=StepFact(0, "step", "own"))),
]
