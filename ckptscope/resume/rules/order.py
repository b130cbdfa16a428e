"""The order of the data: whether each shuffle goes on as it would have."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.iterator.seeds import SeedProof
from ckptscope.resume.facts import Facts, IteratorFact
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.resume.rules.stages import evidence_of, has_trait, walk
from ckptscope.wording import counted

BOOK = RuleBook("rng")
_SEED_IT = (
    "Give every shuffle() a seed= (and Dataset.random, sample_from_datasets and list_files, too), "
    "or set tf.random.set_seed at the start. If it has one, pass it here with --shuffle-seed or "
    "--global-seed."
)


def _proofs(facts: Facts, *statuses: str) -> Iterator[tuple[IteratorFact, SeedProof]]:
    if facts.is_damaged:
        return
    for iterator in facts.running:
        for proof in iterator.proofs:
            if proof.status in statuses:
                yield iterator, proof


def _short(path: str) -> str:
    return path.rpartition("::")[2]


@BOOK.rule(
    "SEED001",
    "The order is reproducible",
    "The stored draws were reproduced from a seed (a 64-bit match), or the whole generator or the "
    "order itself is stored.",
)
def seeded(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "proven", "whole"):
        yield Outcome(
            "saved",
            f"the order of {proof.op} ({_short(proof.path)}) is reproducible: {proof.how}",
            proof.path,
            evidence=evidence_of(iterator),
        )


@BOOK.rule(
    "SEED002",
    "A shuffle is not proven seeded",
    "The state holds the buffer and the seeds of the present pass, so this pass continues in its "
    "order. The generator of later passes is made anew by each process, unless it is seeded; no "
    "small op seed, global seed or given seed reproduces the stored draws.",
    _SEED_IT,
)
def unseeded(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "unproven", "unseeded", "given_mismatch"):
        if proof.holds_order:
            given = proof.status == "given_mismatch"
            wrong = "does not have the given seed" if given else "is not proven seeded"
            yield Outcome(
                "unknown",
                f"{proof.op} ({_short(proof.path)}) {wrong}: {proof.how}. "
                f"{_still_exact(iterator, proof)}",
                proof.path,
                "approximate",
                evidence_of(iterator),
            )


def _still_exact(iterator: IteratorFact, proof: SeedProof) -> str:
    """For how many elements the order is still stored."""
    position = iterator.reading.position if iterator.reading is not None else None
    size = position.epoch_size if position is not None else None
    later = "to the end of this epoch; later epochs may be shuffled differently"
    if position is not None and size and position.examples_into_epoch is not None:
        left = counted(size - position.examples_into_epoch, "example")
        return f"The order is exact for another {left}, {later}"
    if proof.remaining is not None:
        left = counted(proof.remaining, "element")
        return f"The order is exact for at least {left} of this stage, {later}"
    return f"The order is exact {later}"


@BOOK.rule(
    "SEED003",
    "The order of this pass is stored",
    "The stage draws random numbers, but nothing makes it anew: the pass that it is in is the only "
    "one left to this iterator.",
)
def current_pass(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "current_pass"):
        yield Outcome(
            "saved",
            f"the order of {proof.op} ({_short(proof.path)}) is stored to the end of its pass: "
            f"{proof.how}",
            proof.path,
            evidence=evidence_of(iterator),
        )


@BOOK.rule(
    "SEED004",
    "The order is not stored",
    "Up to TensorFlow 2.11 the state of Dataset.random (and of what samples by it) holds a count, "
    "not the seeds, so even the present pass goes on differently unless it is seeded.",
    _SEED_IT,
    component="iterator",
)
def order_lost(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "unproven"):
        if not proof.holds_order:
            yield Outcome(
                "missing",
                f"the order of {proof.op} ({_short(proof.path)}) is not stored: {proof.how}",
                proof.path,
                "approximate",
                evidence_of(iterator),
            )


@BOOK.rule(
    "SEED005",
    "A shuffle had not begun",
    "Up to TensorFlow 2.11 a shuffle below a repeat that had not begun when it was saved is "
    "shuffled anew when it is restored, seeded or not (measured on 1.15 to 2.11).",
    "Take one batch before the first save, or save no iterator before it.",
)
def unstarted(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        tree = iterator.tree
        if tree is None or tree.root is None or tree.encoding == "compressed" or facts.is_damaged:
            continue
        for stage, repeated in walk(tree.root):
            if not repeated or not has_trait(stage, "shuffles") or has_trait(stage, "is_fused"):
                continue
            draws = stage.integer("epoch_num_random_samples")
            draws = draws or stage.integer("ds_num_random_samples") or 0
            if draws >= 2 and not stage.integer("slices_end_0"):
                yield Outcome(
                    "unknown",
                    "a shuffle below a repeat had not begun its pass; TensorFlow reshuffles when "
                    "it restores this state",
                    stage.path,
                    "approximate",
                    evidence_of(iterator),
                )


@BOOK.rule(
    "SEED006",
    "The data is shuffled without a seed",
    "Nothing was consumed yet, and the stored graph or the run record shows a shuffle without a "
    "seed: each process that starts from here sees the data in another order.",
    _SEED_IT,
)
def unseeded_at_start(facts: Facts) -> Iterator[Outcome]:
    if not facts.at_start or facts.iterators or not facts.has_weights:
        return
    if facts.has_unseeded_shuffle:
        meta, record = facts.meta, facts.run_record
        by_graph = meta is not None and (meta.has_unseeded_shuffle or meta.pipeline is not None)
        shown_by = meta if by_graph else record
        path = shown_by.path if shown_by is not None else None
        yield Outcome(
            "unknown",
            "the data is shuffled without a seed, so each start from here sees it in another order",
            verdict="approximate",
            evidence=(Evidence(path),),
        )


@BOOK.condition(
    "COND109",
    "One pass only",
    "A shuffle that is not proven seeded continues its present pass. A Python loop over epochs "
    "would shuffle the next one anew.",
)
def one_pass(facts: Facts) -> Iterator[str]:
    for iterator in facts.running:
        if any(proof.status == "current_pass" for proof in iterator.proofs):
            yield (
                "The program does not iterate over the dataset again: a later epoch would be "
                "shuffled differently unless the shuffle is seeded."
            )


@BOOK.condition(
    "COND126",
    "No other iterator of this dataset",
    "The generator of a shuffle has made more draws than its passes need: another iterator of the "
    "same dataset draws from it, too (a look at one batch, a copy for an asynchronous save). One "
    "that is made after restoring shifts the later passes.",
)
def other_draws(facts: Facts) -> Iterator[str]:
    for iterator in facts.running:
        if any(proof.extra_draws for proof in iterator.proofs):
            yield (
                "No other iterator of this dataset is made after restoring (its shuffle has "
                "already drawn for more passes than this iterator began)."
            )
            return


@BOOK.condition(
    "COND130",
    "The same order at each start",
    "At step 0 nothing is lost. But where neither a stored graph nor a run record shows the "
    "pipeline, it may hold a shuffle that each process draws anew.",
)
def same_start(facts: Facts) -> Iterator[str]:
    if not facts.at_start or facts.iterators or not facts.has_weights:
        return
    if facts.pipeline is None and not facts.has_unseeded_shuffle:
        yield (
            "The data comes in the same order at each start: it is not shuffled, or with a seed."
        )
