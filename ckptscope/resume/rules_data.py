"""Rules about the place in the data and the order in which it comes."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ckptscope.checkpoint.discover import Partner
from ckptscope.iterator.ops import OPS
from ckptscope.iterator.seeds import SeedProof
from ckptscope.iterator.tree import Stage
from ckptscope.resume.facts import INDEX_NAMES, Facts, IteratorFact
from ckptscope.resume.model import Evidence, Outcome, Rule


def _evidence(iterator: IteratorFact) -> tuple[Evidence, ...]:
    return (Evidence(iterator.source_file, iterator.key),)


def _judged(facts: Facts) -> tuple[IteratorFact, ...]:
    """The iterators whose quality decides: the training one, or all that might be it."""
    return (facts.training,) if facts.training is not None else facts.candidates


def _iterator_saved(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if (
            iterator.reading is None
            or iterator.reading.exhausted
            or iterator.agreement.kind in ("ahead", "behind", "contradicts")
        ):
            continue
        position = iterator.reading.position
        told = (
            f": {position.examples_consumed:,} examples consumed"
            if position.examples_consumed is not None
            else ""
        )
        yield Outcome(
            "saved",
            f"the iterator's state is stored{told}",
            iterator.key,
            evidence=_evidence(iterator),
        )


def _other_iterators(facts: Facts) -> Iterator[Outcome]:
    if facts.training is None:
        return
    for iterator in facts.iterators:
        if iterator is not facts.training:
            why = (
                "exhausted"
                if iterator.reading is not None and iterator.reading.exhausted
                else "not the one in step with the counter"
            )
            yield Outcome(
                "not_needed",
                f"another iterator is stored, {why}: evaluation or warm-up",
                iterator.key,
                evidence=_evidence(iterator),
            )


def _several(facts: Facts) -> Iterator[Outcome]:
    if facts.training is None and len(facts.candidates) > 1:
        listed = ", ".join(iterator.key for iterator in facts.candidates)
        yield Outcome(
            "unknown",
            f"{len(facts.candidates)} iterators are stored and none alone is in step with "
            f"the counter: {listed}",
        )


def _starts_at_zero(facts: Facts) -> bool:
    return facts.step.value == 0 and facts.step.source == "own"


def _nothing_consumed(facts: Facts) -> Iterator[Outcome]:
    if not facts.iterators and _starts_at_zero(facts):
        yield Outcome(
            "not_needed",
            "the run is at step 0: nothing was consumed yet, so starting the data anew "
            "loses nothing",
        )


def _index_saved(facts: Facts) -> Iterator[Outcome]:
    if facts.iterators or facts.data_index is None or _starts_at_zero(facts):
        return
    name, value = facts.data_index
    yield Outcome(
        "saved",
        f"{name} = {value:,} is stored: the program itself can skip to its place in the data",
        name,
        evidence=(Evidence(key=name, value=value),),
    )


def _exact_partners(facts: Facts) -> list[Partner]:
    return [partner for partner in facts.partners if partner.step == facts.location.number]


def _iterator_missing(facts: Facts) -> Iterator[Outcome]:
    if (
        facts.iterators
        or facts.is_damaged
        or facts.data_index is not None
        or _starts_at_zero(facts)
        or facts.partners
    ):
        return
    if not facts.inventory.of_role("weight", "ema"):
        return
    impostors = [
        variable.key
        for variable in facts.inventory.variables
        if variable.role != "iterator"
        and "iterator" in (variable.object_path or variable.key).lower()
    ]
    why = "no iterator state is stored, so the data starts over"
    if facts.meta is not None and facts.meta.has_iterator and not facts.meta.iterator_saved:
        why = (
            "the stored graph has an iterator that is not among the saved objects, so the "
            "data starts over"
        )
    if impostors:
        why += f" ({impostors[0]} is a plain variable, no iterator)"
    lost = facts.step.value
    counted = facts.counted_otherwise
    remedy = None
    if counted:
        remedy = (
            f"To go on from here: dataset.skip({counted}) after batch() puts a fresh "
            "pipeline of fixed order behind the "
            f"{counted:,} batches that the recorder had counted; the run had lost its "
            "place before. "
        )
    elif lost:
        batches = f"{lost:,} batches"
        if facts.hints.batch_size:
            batches += f" = {lost * facts.hints.batch_size:,} examples"
        remedy = (
            f"To go on from here: dataset.skip({lost}) after batch() puts a fresh pipeline of "
            f"fixed order behind the {batches} of {lost:,} steps"
        )
        if facts.hints.batch_size:
            remedy += f", or skip({lost * facts.hints.batch_size}) before it"
        remedy += ". "
    own = RULE_ITERATOR_MISSING.remedy(facts.framework) or ""
    yield Outcome(
        "missing",
        why,
        verdict="approximate",
        remedy=f"{remedy or ''}{own}",
        evidence=tuple(Evidence(key=key) for key in impostors[:2]),
    )


def _partner_of_other_step(facts: Facts) -> Iterator[Outcome]:
    exact = _exact_partners(facts)
    if (
        facts.location.number is None
        or any(partner.is_complete for partner in exact)
        or _starts_at_zero(facts)
    ):
        return
    whole = [
        partner
        for partner in facts.partners
        if partner.is_complete and partner.step != facts.location.number
    ]
    if facts.iterators or not whole:
        return
    nearest = min(
        whole, key=lambda partner: (abs(partner.step - (facts.location.number or 0)), partner.step)
    )
    steps = nearest.step - facts.location.number
    yield Outcome(
        "inconsistent",
        f"{os.path.basename(nearest.prefix)} is the nearest stored input state, of "
        f"{abs(steps)} steps {'earlier' if steps < 0 else 'later'} than the model "
        f"of step {facts.location.number}",
        os.path.basename(nearest.prefix),
        "approximate",
        (Evidence(f"{nearest.prefix}.index"),),
    )


def _unfinished_partner(facts: Facts) -> Iterator[Outcome]:
    for partner in facts.partners:
        if partner.is_complete:
            continue
        concerns = partner.step == facts.location.number
        yield Outcome(
            "missing" if concerns and not facts.iterators else "inconsistent",
            f"the save of {os.path.basename(partner.prefix)} was never finished: {partner.problem}",
            os.path.basename(partner.prefix),
            "approximate" if concerns and not facts.iterators else None,
            (Evidence(partner.prefix),),
        )


def _broken_hook(facts: Facts) -> Iterator[Outcome]:
    if facts.unfinished_input is not None and not facts.iterators:
        state_file, name = facts.unfinished_input
        yield Outcome(
            "damaged",
            f"{os.path.basename(state_file)} names {name}, a save that never finished: "
            "restoring with the hook raises",
            name,
            "impossible",
            (Evidence(state_file, value=name),),
        )


def _ahead(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if iterator.agreement.kind != "ahead":
            continue
        by = iterator.agreement.batches
        many = f"{by:,} batches" if by is not None else "some batches"
        yield Outcome(
            "inconsistent",
            f"the iterator is {many} ahead of step {facts.step.value:,}: they had left it "
            "when it was saved, and training will not see them",
            iterator.key,
            "approximate",
            _evidence(iterator),
        )


def _behind(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if iterator.agreement.kind == "behind":
            by = iterator.agreement.batches
            many = f"{by:,} batches" if by is not None else "some batches"
            yield Outcome(
                "inconsistent",
                f"the iterator is {many} behind step {facts.step.value:,}: an earlier "
                "resume lost its place, or it is not the training iterator",
                iterator.key,
                evidence=_evidence(iterator),
            )


def _contradicts(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if iterator.agreement.kind == "contradicts" and iterator.reading is not None:
            yield Outcome(
                "inconsistent",
                f"no batch size makes the iterator agree with step {facts.step.value:,}; "
                "whether it is ahead cannot be told",
                iterator.key,
                "approximate",
                _evidence(iterator),
            )


def _exhausted(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if iterator.reading is not None and iterator.reading.exhausted:
            yield Outcome(
                "saved",
                "the iterator has come to the end of its data: a resumed run gets no "
                "more of it and ends at once, as the run itself would have",
                iterator.key,
                evidence=_evidence(iterator),
            )


def _undecodable(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if iterator.error is not None and not facts.is_damaged:
            yield Outcome(
                "unknown",
                f"the iterator's state cannot be decoded: {iterator.error}",
                iterator.key,
                "approximate",
                _evidence(iterator),
            )


def _unknown_stage(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if iterator.tree is None or iterator.tree.root is None:
            continue
        unknown = sorted({stage.op for stage in iterator.tree.root.walk() if stage.op not in OPS})
        if unknown:
            yield Outcome(
                "unknown",
                "the pipeline has stages that this version does not know "
                f"({', '.join(unknown)}): what they hold cannot be judged",
                iterator.key,
                "approximate",
                _evidence(iterator),
            )


def _data_files(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        for source in iterator.reading.position.sources if iterator.reading is not None else ():
            if source.file is None or source.problem is None or source.byte_offset is None:
                continue
            if source.is_missing:
                # Without --data-root the file may well be where the program will look for it.
                message = f"the data file {source.file} is gone: resuming will not find it"
                wrong = facts.user_hints.data_root is not None
            else:
                message = f"{source.file}: {source.problem}"
                wrong = source.record_index is None and (
                    "changed since" in source.problem or "past the end" in source.problem
                )
            if wrong:
                evidence = (Evidence(source.file, offset=source.byte_offset),)
                yield Outcome("inconsistent", message, source.file, "approximate", evidence)


def _data_files_absent(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        absent = [
            source.file
            for source in (
                iterator.reading.position.sources if iterator.reading is not None else ()
            )
            if source.file and source.is_missing
        ]
        if absent and facts.user_hints.data_root is None:
            yield Outcome(
                "unknown",
                f"the data file {absent[0]} is not here, so its records were not counted "
                "(give --data-root)",
                absent[0],
            )


def _window_crash(facts: Facts) -> Iterator[Outcome]:
    for iterator in _judged(facts):
        if iterator.tree is None or not iterator.tree.is_legacy or iterator.tree.root is None:
            continue
        for stage in iterator.tree.root.walk():
            if stage.op in ("Shuffle", "ShuffleAndRepeat") and any(
                child.op == "Window" for _, child in stage.inputs
            ):
                yield Outcome(
                    "damaged",
                    "a shuffle of windows is stored; TensorFlow 1.15 crashes when it restores one",
                    stage.path,
                    "impossible",
                    _evidence(iterator),
                )


# ------------------------------------------------------------ order


def _proofs(facts: Facts, *statuses: str) -> Iterator[tuple[IteratorFact, SeedProof]]:
    if facts.is_damaged:
        return
    for iterator in _judged(facts):
        if iterator.reading is not None and iterator.reading.exhausted:
            continue
        for proof in iterator.proofs:
            if proof.status in statuses:
                yield iterator, proof


def _short(path: str) -> str:
    return path.rpartition("::")[2]


def _seeded(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "proven", "whole"):
        yield Outcome(
            "saved",
            f"the order of {proof.op} ({_short(proof.path)}) is reproducible: {proof.how}",
            proof.path,
            evidence=_evidence(iterator),
        )


def _current_pass(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "current_pass"):
        yield Outcome(
            "saved",
            f"the order of {proof.op} ({_short(proof.path)}) is stored to the end of its "
            f"pass: {proof.how}",
            proof.path,
            evidence=_evidence(iterator),
        )


def _unseeded(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "unproven", "unseeded", "given_mismatch"):
        if proof.holds_order:
            yield Outcome(
                "unknown",
                f"{proof.op} ({_short(proof.path)}) is not proven seeded: {proof.how}. "
                f"{_still_exact(iterator, proof)}",
                proof.path,
                "approximate",
                _evidence(iterator),
            )


def _still_exact(iterator: IteratorFact, proof: SeedProof) -> str:
    """For how many elements the order is still stored."""
    position = iterator.reading.position if iterator.reading is not None else None
    size = position.epoch_size if position is not None else None
    if position is not None and size and position.examples_into_epoch is not None:
        left = size - position.examples_into_epoch
        return (
            f"The order is exact for {left:,} more examples, to the end of this pass; later "
            "passes come in another order"
        )
    if proof.remaining is not None:
        return (
            f"The order is exact for at least {proof.remaining:,} more elements of this "
            "stage, to the end of this pass; later passes come in another order"
        )
    return "The order is exact to the end of this pass; later passes come in another order"


def _unstarted_shuffle(facts: Facts) -> Iterator[Outcome]:
    """Up to TF 2.11 a restored shuffle that had not begun draws its seeds once more."""
    for iterator in _judged(facts):
        if (
            iterator.tree is None
            or iterator.tree.root is None
            or iterator.tree.encoding == "compressed"
            or facts.is_damaged
        ):
            continue
        for stage, repeated in _below_repeat(iterator.tree.root, False):
            draws = (
                stage.integer("epoch_num_random_samples")
                or stage.integer("ds_num_random_samples")
                or 0
            )
            if (
                stage.op == "Shuffle"
                and repeated
                and draws >= 2
                and not stage.integer("slices_end_0")
            ):
                yield Outcome(
                    "unknown",
                    "a shuffle below a repeat had not begun its pass; this TensorFlow "
                    "makes its order anew when it restores such a state",
                    stage.path,
                    "approximate",
                    _evidence(iterator),
                )


def _below_repeat(stage: Stage, repeated: bool) -> Iterator[tuple[Stage, bool]]:
    yield stage, repeated
    for _, child in stage.inputs:
        yield from _below_repeat(child, repeated or stage.op in ("FiniteRepeat", "ForeverRepeat"))


def _order_lost(facts: Facts) -> Iterator[Outcome]:
    for iterator, proof in _proofs(facts, "unproven"):
        if not proof.holds_order:
            yield Outcome(
                "missing",
                f"the order of {proof.op} ({_short(proof.path)}) is not stored: {proof.how}",
                proof.path,
                "approximate",
                _evidence(iterator),
            )


_SAVE_ITERATOR = (
    "For the future: make the iterator once (iterator = iter(dataset)), add it to the "
    "checkpoint (tf.train.Checkpoint(model=model, optimizer=optimizer, step=step, "
    "iterator=iterator)), and take batches with next(iterator). from_generator, "
    "py_function, distributed iterators and the data service cannot be saved by "
    "TensorFlow: "
    "save the number of examples consumed instead, and skip() that many."
)
RULE_ITERATOR_MISSING = Rule(
    code="DATA002",
    component="iterator",
    title="The place in the data is not stored",
    check=_iterator_missing,
    explanation="No iterator state, no saved data index and no input checkpoint: the input pipeline "
    "starts over. Its first batches are trained on again, and what would have "
    "come next may come late or never. Estimator.train() and model.fit always start the "
    "pipeline over unless something saves it.",
    remedies={
        "": _SAVE_ITERATOR,
        "estimator": "For the future: pass "
        "tf.data.experimental.CheckpointInputPipelineHook(estimator) in hooks=, a new "
        "one for each train() call (a reused one silently does not restore).",
        "saver": "For the future: saveable = "
        "tf.data.experimental.make_saveable_from_iterator(iterator); "
        "tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.SAVEABLE_OBJECTS, "
        "saveable) "
        "before the Saver is made, and do not run iterator.initializer after restoring.",
        "keras": "model.fit cannot save its iterator. Resume at epoch boundaries of a fixed order "
        "with initial_epoch, or write the loop yourself and save the iterator: " + _SAVE_ITERATOR,
        "keras_backup": "BackupAndRestore stores epoch and batch numbers, but fit starts the data over. "
        "Save at epoch ends (save_freq='epoch') with a dataset whose order depends on "
        "the epoch "
        "alone, or write the loop yourself: " + _SAVE_ITERATOR,
    },
)
_SEED_SHUFFLE = {
    "": "Give every shuffle() a seed= (and Dataset.random, sample_from_datasets and "
    "list_files, too), or set tf.random.set_seed at the start; if it has one, pass it "
    "here with --shuffle-seed or --global-seed."
}

DATA_RULES: tuple[Rule, ...] = (
    Rule(
        code="DATA001",
        component="iterator",
        title="The iterator is stored",
        check=_iterator_saved,
        explanation="The state of the tf.data iterator is in the files and could be decoded. "
        "Restoring it continues behind the last element that left it, buffers included.",
    ),
    RULE_ITERATOR_MISSING,
    Rule(
        code="DATA003",
        component="iterator",
        title="A data index is stored",
        check=_index_saved,
        explanation="An integer at the root with a name that says it is a place in the data: "
        f"{', '.join(INDEX_NAMES)}. The place can be derived if the program skips by it "
        "and the order is fixed.",
    ),
    Rule(
        code="DATA004",
        component="iterator",
        title="Nothing was consumed",
        check=_nothing_consumed,
        explanation="At step 0 a fresh pipeline is the right one.",
    ),
    Rule(
        code="DATA005",
        component="iterator",
        title="The iterator is ahead of the step",
        check=_ahead,
        explanation="More batches left the iterator than steps were made: the program had fetched "
        "ahead (a queue, a prefetching loop, a device prefetch) when it saved. Those "
        "batches are lost.",
        remedies={
            "": "Save between steps, with as many next() calls as steps; do not fetch the next "
            "batch before the step counter is raised."
        },
    ),
    Rule(
        code="DATA006",
        component="iterator",
        title="The iterator is behind the step",
        check=_behind,
        explanation="Fewer batches left the iterator than steps were made. Resuming from here is "
        "not wrong by that: the difference is the trace of an earlier resume that lost "
        "its place, "
        "or this is another iterator (evaluation) than the one that trains.",
        remedies={
            "": "Compare with earlier checkpoints of the run (ckptscope inspect DIR --all); "
            "save the training iterator under its own name."
        },
    ),
    Rule(
        code="DATA007",
        component="iterator",
        title="The iterator is exhausted",
        check=_exhausted,
        explanation="The state says that the data has ended. TensorFlow drops the counters at the "
        "end, so how much was consumed is not stored.",
        remedies={
            "": "Repeat the dataset, or make a new iterator for the next pass before saving."
        },
    ),
    Rule(
        code="DATA008",
        component="iterator",
        title="The iterator cannot be decoded",
        check=_undecodable,
        explanation="A variant tensor is stored that is no iterator state of a known layout. "
        "TensorFlow may restore it, but nothing can be shown.",
        remedies={"": "Report the file's TensorFlow version; until then treat the place as lost."},
    ),
    Rule(
        code="DATA009",
        component="iterator",
        title="A stage is not known",
        check=_unknown_stage,
        explanation="The pipeline has a stage that is in no table here. Its keys are shown raw; "
        "whether it restores exactly is not known.",
        remedies={"": "Report the stage's name and TensorFlow version."},
    ),
    Rule(
        code="DATA010",
        component="iterator",
        title="The input state is of another step",
        check=_partner_of_other_step,
        explanation="CheckpointInputPipelineHook writes input.ckpt-N beside model.ckpt-N. The "
        "nearest one here belongs to another step, so model and data do not fit "
        "together.",
        remedies={
            "": "Resume from the step of which both are there, or save both with the same "
            "period (the hook takes its times from RunConfig)."
        },
    ),
    Rule(
        code="DATA011",
        component="iterator",
        title="An input state was never finished",
        check=_unfinished_partner,
        explanation="Parts of an input.ckpt-N are there without its index, or only in a _temp_ "
        "directory: the hook was reused over several train() calls, or the process died "
        "while it saved.",
        remedies={"": "Make a new CheckpointInputPipelineHook for each train() call."},
    ),
    Rule(
        code="DATA018",
        component="iterator",
        title="The hook's state file names an unfinished save",
        check=_broken_hook,
        explanation="CheckpointInputPipelineHook restores what its own state file names as the "
        "latest. That is a temporary part of a save without the iterator's state, so a "
        "run with the hook raises "
        "NotFoundError when it starts (measured on 1.15); a run without the hook starts "
        "its data over.",
        remedies={
            "": "Delete the state file (checkpoint_input), or make it name the last whole "
            "input.ckpt-N; then make a new hook for each train() call."
        },
    ),
    Rule(
        code="DATA012",
        component="iterator",
        title="Several iterators",
        check=_several,
        explanation="More than one iterator could feed the training and none alone is in step with "
        "the counter, so no position is given for the run.",
    ),
    Rule(
        code="DATA013",
        component="iterator",
        title="Iterator and step contradict each other",
        check=_contradicts,
        explanation="The examples that left the iterator are no whole number of equal batches for "
        "each step, or several batches were taken for each optimizer update.",
        remedies={"": "Give --batch-size, or save a step counter of the loop."},
    ),
    Rule(
        code="DATA014",
        component="iterator",
        title="A data file does not fit the state",
        check=_data_files,
        explanation="The byte offset in the state is past the end of the file or no record starts "
        "there: the file was changed, truncated or replaced. TensorFlow does not notice "
        "until it reads.",
        remedies={"": "Bring the data file back that the run was reading."},
    ),
    Rule(
        code="DATA015",
        component="iterator",
        title="A data file is not here",
        check=_data_files_absent,
        explanation="The state names a file that is neither found from the working directory nor "
        "below --data-root, so its records could not be counted. That says nothing "
        "about the machine that trains.",
    ),
    Rule(
        code="DATA016",
        component="iterator",
        title="Other iterators",
        check=_other_iterators,
        explanation="Iterators beside the training one: of an evaluation or a warm-up. They are "
        "listed, not judged.",
    ),
    Rule(
        code="DATA017",
        component="iterator",
        title="TensorFlow 1.15 crashes on this state",
        check=_window_crash,
        explanation="Restoring a shuffle of windows crashes the process in TensorFlow 1.15 "
        "(measured).",
        remedies={"": "Shuffle before window(), or move to TensorFlow 2."},
    ),
    Rule(
        code="SEED001",
        component="rng",
        title="The order is reproducible",
        check=_seeded,
        explanation="The stored draws were reproduced from a seed (a 64-bit match), or the whole "
        "generator or the order itself is stored.",
    ),
    Rule(
        code="SEED002",
        component="rng",
        title="A shuffle is not proven seeded",
        check=_unseeded,
        remedies=_SEED_SHUFFLE,
        explanation="The state holds the buffer and the seeds of the present pass, so this pass "
        "continues in its order. The generator of later passes is made anew by each "
        "process, unless it is seeded; "
        "no small op seed, global seed or given seed reproduces the stored draws.",
    ),
    Rule(
        code="SEED003",
        component="rng",
        title="The order of this pass is stored",
        check=_current_pass,
        explanation="The stage draws random numbers, but nothing makes it anew: the pass that it is "
        "in is the only one left to this iterator.",
    ),
    Rule(
        code="SEED005",
        component="rng",
        title="A shuffle had not begun",
        check=_unstarted_shuffle,
        explanation="Up to TensorFlow 2.11 a shuffle below a repeat that had not begun when it was "
        "saved is shuffled anew when it is restored, seeded or not (measured on 1.15 to "
        "2.11).",
        remedies={"": "Take one batch before the first save, or save no iterator before it."},
    ),
    Rule(
        code="SEED004",
        component="iterator",
        title="The order is not stored",
        check=_order_lost,
        remedies=_SEED_SHUFFLE,
        explanation="Up to TensorFlow 2.11 the state of Dataset.random (and of what samples by it) "
        "holds a count, not the seeds, so even the present pass goes on differently "
        "unless it is seeded.",
    ),
)
