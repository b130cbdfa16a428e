"""What files cannot show, as sentences that a person can check."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.iterator.ops import OPS
from ckptscope.iterator.tree import Stage
from ckptscope.resume.facts import Facts, IteratorFact
from ckptscope.resume.model import ConditionRule


def _judged(facts: Facts) -> tuple[IteratorFact, ...]:
    return (facts.training,) if facts.training is not None else facts.candidates


def _stages(facts: Facts) -> Iterator[Stage]:
    for iterator in _judged(facts):
        if iterator.tree is not None and iterator.tree.root is not None:
            yield from iterator.tree.root.walk()


def _titles(facts: Facts, wanted: str) -> str:
    found = dict.fromkeys(
        OPS[stage.op].title
        for stage in _stages(facts)
        if stage.op in OPS and getattr(OPS[stage.op], wanted)
    )
    return ", ".join(found)


def _standing(_: Facts) -> Iterator[str]:
    yield (
        "The same program is started again on the same data files, TensorFlow version and "
        "number of hosts, restores all of this checkpoint, and draws no random numbers from "
        "generators that are not stored here."
    )


def _dropout(facts: Facts) -> Iterator[str]:
    if facts.plain_layers and (facts.run_record is None or facts.run_record.random_layers is None):
        count = len(facts.plain_layers)
        yield (
            f"None of the {count} layer{'s' if count > 1 else ''} without variables "
            f"({', '.join(facts.plain_layers[:3])}{' …' if count > 3 else ''}) draws "
            "random numbers: "
            "for Dropout and noise layers TensorFlow does not save the seed generator."
        )


def _deterministic(facts: Facts) -> Iterator[str]:
    titles = _titles(facts, "is_parallel")
    if titles and (facts.run_record is None or facts.run_record.pipeline is None):
        yield (
            f"The parallel stages ({titles}) run with deterministic=True, which is the "
            "default; the state does not say."
        )


def _pure(facts: Facts) -> Iterator[str]:
    titles = _titles(facts, "runs_function")
    pipeline = facts.pipeline
    if titles and (
        pipeline is None or pipeline.python_ops or pipeline.random_ops or pipeline.stateful_ops
    ):
        yield (
            f"The functions in {titles} draw no random numbers and keep no state (an "
            "external-state policy of WARN or IGNORE hides such ones)."
        )


def _python(facts: Facts) -> Iterator[str]:
    pipeline = facts.pipeline
    if pipeline is not None and pipeline.python_ops:
        yield (
            "The Python functions in the pipeline "
            f"({', '.join(sorted(set(pipeline.python_ops)))}) give the same output for the "
            "same input."
        )


def _nondeterministic(facts: Facts) -> Iterator[str]:
    pipeline = facts.meta.pipeline if facts.meta is not None else None
    if pipeline is not None and pipeline.nondeterministic and facts.iterators:
        yield (
            f"The order in which {', '.join(sorted(set(pipeline.nondeterministic)))} "
            "(deterministic=False in the stored graph) hands over elements does not matter."
        )


def _checksums(facts: Facts) -> Iterator[str]:
    if not facts.checksums_read:
        yield (
            "The stored tensors are intact: their checksums were not read because of their "
            "size (run with --verify)."
        )


def _external(facts: Facts) -> Iterator[str]:
    needed = dict.fromkeys(
        OPS[stage.op].needs_files
        for stage in _stages(facts)
        if stage.op in OPS and OPS[stage.op].needs_files
    )
    for what in needed:
        yield (
            f"The files outside the checkpoint that the pipeline reads ({what}) are kept unchanged."
        )


def _feeds(facts: Facts) -> Iterator[str]:
    for iterator in _judged(facts):
        if iterator.agreement.kind == "behind":
            yield (
                f"The iterator under {iterator.key} feeds the training (it is behind the step "
                "counter)."
            )


def _which(facts: Facts) -> Iterator[str]:
    if facts.training is None and len(facts.candidates) > 1:
        yield (
            f"All iterators that feed the training are among the {len(facts.candidates)} "
            "stored ones."
        )


def _batch_size(facts: Facts) -> Iterator[str]:
    for iterator in _judged(facts):
        size = iterator.agreement.implied_batch_size
        if size is not None and iterator.reading is not None:
            consumed = iterator.reading.position.examples_consumed
            yield (
                f"The batch size is {size}: then the {consumed:,} examples that left the "
                f"iterator agree with step {facts.step.value:,}."
            )


def _per_update(facts: Facts) -> Iterator[str]:
    for iterator in _judged(facts):
        count = iterator.agreement.batches_per_update
        if count is not None:
            yield (
                f"The program takes {count} batches for each update of the optimizer: then "
                f"the iterator agrees with its {facts.step.value:,} updates."
            )


def _unlocated(facts: Facts) -> Iterator[str]:
    for iterator in _judged(facts):
        if (
            iterator.agreement.kind != "unknown"
            or iterator.reading is None
            or iterator.reading.exhausted
            or iterator.agreement.implied_batch_size
        ):
            continue
        if (
            iterator.agreement.implied_batch_size is not None
            or iterator.agreement.batches_per_update is not None
        ):
            continue
        if facts.step.value is not None:
            yield (
                f"As many batches left the iterator under {iterator.key} as steps were made "
                f"({facts.step.value:,}): its counters do not show it."
            )


def _skips(facts: Facts) -> Iterator[str]:
    if (
        not facts.iterators
        and facts.data_index is not None
        and not (facts.step.value == 0 and facts.step.source == "own")
    ):
        yield (
            f"The program skips to {facts.data_index[0]} = {facts.data_index[1]:,} when it starts."
        )


def _fixed_order(facts: Facts) -> Iterator[str]:
    if (
        not facts.iterators
        and facts.data_index is not None
        and not (facts.step.value == 0 and facts.step.source == "own")
    ):
        yield (
            "The order of the data is the same in every run and every epoch (no shuffle, or "
            "one that gives the same order again)."
        )


def _one_pass(facts: Facts) -> Iterator[str]:
    for iterator in _judged(facts):
        if any(proof.status == "current_pass" for proof in iterator.proofs) and not (
            iterator.reading is not None and iterator.reading.exhausted
        ):
            yield (
                "The program does not iterate over the dataset again: a later pass would be "
                "shuffled differently unless the shuffle is seeded."
            )


def _symbolic(facts: Facts) -> Iterator[str]:
    ops = {stage.op for stage in _stages(facts)}
    for stage in _stages(facts):
        if (
            stage.op == "Prefetch"
            and "buffer_size" not in stage
            and any("nterleave" in op for op in ops)
        ):
            yield (
                "Restoring this symbolic checkpoint of an interleave works in the TensorFlow "
                "at hand (some releases stop answering)."
            )
            return


def _between_passes(facts: Facts) -> Iterator[str]:
    for iterator in _judged(facts):
        if (
            iterator.tree is None
            or iterator.tree.root is None
            or (iterator.reading is not None and iterator.reading.exhausted)
        ):
            continue
        if any(_is_emptied(leaf) for leaf in _leaves_below_repeat(iterator.tree.root, False)):
            yield (
                "No shuffle of files or records lies below the stages that have come to "
                "the end of their pass: TensorFlow does not "
                "store its generator then, and it would start again in the next pass."
            )


def _leaves_below_repeat(stage: Stage, repeated: bool) -> Iterator[Stage]:
    repeated = repeated or stage.op in ("ForeverRepeat", "FiniteRepeat")
    if not stage.inputs and repeated:
        yield stage
    for _, child in stage.inputs:
        yield from _leaves_below_repeat(child, repeated)


def _is_emptied(leaf: Stage) -> bool:
    """A stage that must have an input, but has left none in the state."""
    spec = OPS.get(leaf.op)
    return (
        spec is not None
        and not spec.is_source
        and spec.needs_files is None
        and leaf.op not in ("MemoryCache", "Window")
    )


def _fewer_updates(facts: Facts) -> Iterator[str]:
    if facts.step.source != "own" or not facts.step.value or facts.inventory.of_role("loss_scale"):
        return
    if any(variable.slot_of is None for variable in facts.inventory.of_role("optimizer_slot")):
        return  # sums of gradients are stored
    paths = {
        optimizer.path: optimizer.iterations
        for optimizer in facts.inventory.optimizers
        if optimizer.iterations is not None
    }
    updates = [facts.counters.get(key.partition("/.ATTRIBUTES/")[0]) for key in paths.values()]
    fewer = [count for count in updates if count is not None and 0 < count < facts.step.value]
    if len(updates) == 1 and fewer:
        yield (
            f"The {facts.step.value:,} steps with only {fewer[0]:,} optimizer updates "
            "left nothing behind that is not stored: no partly accumulated "
            "gradients, no loss scale."
        )


def _new_hook(facts: Facts) -> Iterator[str]:
    if facts.framework == "estimator" and any(
        iterator.source_file != facts.location.prefix for iterator in facts.iterators
    ):
        yield (
            "A new CheckpointInputPipelineHook is passed to each train() call: a reused one "
            "does not restore the state."
        )


def _initializer(facts: Facts) -> Iterator[str]:
    if facts.framework == "saver" and facts.meta is not None and facts.iterators:
        yield (
            "The program does not run the iterator's initializer after it has restored the "
            "checkpoint."
        )


CONDITION_RULES: tuple[ConditionRule, ...] = (
    ConditionRule(
        code="COND101",
        title="Layers without variables",
        check=_dropout,
        explanation="A layer node without variables in the object graph may be an "
        "activation, Flatten, or Dropout. tf.train.Checkpoint does not save "
        "the seed generator of Keras 3 layers unless it is tracked (measured).",
    ),
    ConditionRule(
        code="COND102",
        title="Parallel stages are deterministic",
        check=_deterministic,
        explanation="With deterministic=False parallel map and interleave hand elements "
        "over as they get ready. No flag of it is in the state.",
    ),
    ConditionRule(
        code="COND103",
        title="Functions are pure",
        check=_pure,
        explanation="Functions in map, filter and the like are not in the state. Stateful "
        "ones are refused when saving, unless "
        "options.experimental_external_state_policy is WARN or IGNORE.",
    ),
    ConditionRule(
        code="COND104",
        title="Checksums not read",
        check=_checksums,
        explanation="Beyond 1 GiB of data the checksums of tensors are read only with "
        "--verify; those of the index always are.",
    ),
    ConditionRule(
        code="COND105",
        title="Files outside are kept",
        check=_external,
        explanation="File caches, snapshots and saved datasets are read again on resuming; "
        "the state holds only positions in them.",
    ),
    ConditionRule(
        code="COND106",
        title="This iterator feeds the training",
        check=_feeds,
        explanation="The iterator is behind the step counter: either a restart lost its "
        "place earlier, or it is the iterator of an evaluation.",
    ),
    ConditionRule(
        code="COND107",
        title="The program skips by the index",
        check=_skips,
        explanation="A saved data index puts a fresh pipeline in its place only if the "
        "program skips by it.",
    ),
    ConditionRule(
        code="COND108",
        title="The order is fixed",
        check=_fixed_order,
        explanation="Skipping finds the same place only if the data comes in the same order.",
    ),
    ConditionRule(
        code="COND109",
        title="One pass only",
        check=_one_pass,
        explanation="A shuffle that is not proven seeded continues its present pass. A "
        "Python loop over epochs would shuffle the next one anew.",
    ),
    ConditionRule(
        code="COND110",
        title="The batch size agrees",
        check=_batch_size,
        explanation="Without a buffered batch the batch size is not stored. It follows if "
        "the iterator is in step with the counter; give --batch-size to prove "
        "it.",
    ),
    ConditionRule(
        code="COND111",
        title="Iterator and step agree",
        check=_unlocated,
        explanation="The counters that are stored do not show how many batches left the "
        "iterator, so it could not be compared with the step.",
    ),
    ConditionRule(
        code="COND120",
        title="Batches for each update",
        check=_per_update,
        explanation="Only the optimizer's iterations are stored, and a whole number of "
        "batches left the iterator for each: gradients are accumulated, or "
        "optimizers take turns.",
    ),
    ConditionRule(
        code="COND112",
        title="Symbolic checkpoint with interleave",
        check=_symbolic,
        explanation="Restoring symbolic checkpoints of interleaved pipelines stopped "
        "answering in some releases (measured on 2.21).",
    ),
    ConditionRule(
        code="COND118",
        title="Saved at the end of a pass",
        check=_between_passes,
        explanation="Stages that have met the end of their pass drop the state of what "
        "lies below them, the generator of a seeded shuffle included. Until "
        "the repeat begins the next pass, a checkpoint "
        "does not hold it, and a restored run shuffles from the start of the "
        "generator again (measured on 2.4 to 2.21: shuffle, batch, repeat in "
        "this order; a shuffle of files below one of "
        "records). Save a step later, or shuffle right before repeat().",
    ),
    ConditionRule(
        code="COND119",
        title="Fewer updates than steps",
        check=_fewer_updates,
        explanation="The optimizer made fewer updates than the run made steps: gradients "
        "are accumulated over several steps, or loss scaling skipped some. "
        "Neither sums nor a loss scale are stored.",
    ),
    ConditionRule(
        code="COND113",
        title="A new hook for each train() call",
        check=_new_hook,
        explanation="CheckpointInputPipelineHook restores only in the first train() call "
        "that it is used for (measured on 1.15).",
    ),
    ConditionRule(
        code="COND114",
        title="The initializer is not run again",
        check=_initializer,
        explanation="Running iterator.initializer after Saver.restore starts the data over.",
    ),
    ConditionRule(
        code="COND115",
        title="Which iterators train",
        check=_which,
        explanation="Several iterators are stored and none is singled out by the step counter.",
    ),
    ConditionRule(
        code="COND116",
        title="Python functions are pure",
        check=_python,
        explanation="py_function and numpy_function run Python code that no graph shows.",
    ),
    ConditionRule(
        code="COND117",
        title="Order of nondeterministic stages",
        check=_nondeterministic,
        explanation="The stored graph says deterministic=False (or sloppy): the order of "
        "elements depends on timing.",
    ),
    ConditionRule(
        code="COND001",
        title="The same program and data",
        check=_standing,
        source="standing",
        explanation="What resuming means: the same program, data files, library versions "
        "and number of hosts. Only a proof (restoring for real) discharges it.",
    ),
)
