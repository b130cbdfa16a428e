"""The stages of the input pipeline and the data files: what is known of them, and what is not."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ckptscope.iterator.ops import OPS
from ckptscope.iterator.tree import Stage
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.resume.rules.stages import evidence_of, has_trait, walk
from ckptscope.wording import listed

BOOK = RuleBook("iterator")
# The key of a stage that reads ahead under which it counts what waits in it.
_BUFFER = "buffer_size"


def _titles(facts: Facts, trait: str) -> str:
    """Titles of the stages that have a trait of the table of ops."""
    found = dict.fromkeys(
        OPS[stage.op].title
        for stage in facts.stages()
        if stage.op in OPS and getattr(OPS[stage.op], trait)
    )
    return ", ".join(found)


@BOOK.rule(
    "DATA009",
    "A stage is not known",
    "The pipeline has a stage that is in no table here. Its keys are shown raw; whether it "
    "restores exactly is not known.",
    "Report the stage's name and TensorFlow version.",
)
def unknown_stage(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        unknown = sorted({stage.op for stage in iterator.stages() if stage.op not in OPS})
        if unknown:
            one = len(unknown) == 1
            yield Outcome(
                "unknown",
                f"the pipeline has {'a stage' if one else 'stages'} that this version does not "
                f"know ({', '.join(unknown)}): what {'it holds' if one else 'they hold'} cannot be "
                "judged",
                iterator.key,
                "approximate",
                evidence_of(iterator),
            )


@BOOK.rule(
    "DATA014",
    "A data file does not fit the state",
    "The byte offset in the state is past the end of the file or no record starts there: the file "
    "was changed, truncated or replaced. TensorFlow does not notice until it reads.",
    "Bring the data file back that the run was reading.",
)
def data_files(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        for source in iterator.reading.position.sources if iterator.reading is not None else ():
            if source.file is None or source.problem is None or source.byte_offset is None:
                continue
            if source.is_missing:
                # Without --data-root the file may well be where the program will look for it.
                root = facts.user_hints.data_root
                message = (
                    f"the data file {source.file} is not below {root}: resuming cannot read it"
                )
                wrong = root is not None
            else:
                message = f"{source.file}: {source.problem}"
                wrong = source.record_index is None and (
                    "changed since" in source.problem or "past the end" in source.problem
                )
            if wrong:
                evidence = (Evidence(source.file, offset=source.byte_offset),)
                yield Outcome("inconsistent", message, source.file, "approximate", evidence)


@BOOK.rule(
    "DATA015",
    "A data file is not here",
    "The state names a file that is neither found from the working directory nor below "
    "--data-root, so its records could not be counted. That says nothing about the machine that "
    "trains.",
)
def data_files_absent(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
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
                f"the data file {absent[0]} is not here, so its records were not counted (give "
                "--data-root)",
                absent[0],
            )


@BOOK.rule(
    "DATA017",
    "TensorFlow 1.15 crashes on this state",
    "Restoring a shuffle of windows crashes the process in TensorFlow 1.15 (measured).",
    "Shuffle before window(), or move to TensorFlow 2.",
)
def window_crash(facts: Facts) -> Iterator[Outcome]:
    for iterator in facts.judged:
        if iterator.tree is None or not iterator.tree.is_legacy:
            continue
        for stage in iterator.stages():
            if has_trait(stage, "shuffles") and any(
                has_trait(child, "makes_datasets") for _, child in stage.inputs
            ):
                yield Outcome(
                    "damaged",
                    "a shuffle of windows is stored; TensorFlow 1.15 crashes when it restores one",
                    stage.path,
                    "impossible",
                    evidence_of(iterator),
                )


@BOOK.rule(
    "DATA019",
    "A stage runs in no fixed order",
    "The run record shows deterministic=False (or sloppy=True): elements are handed over as they "
    "get ready, so the resumed order differs from the uninterrupted one.",
    "Set deterministic=True, or dataset.options().deterministic.",
)
def out_of_order(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if record is None or record.pipeline is None or not facts.iterators or facts.at_start:
        return
    stages = list(dict.fromkeys(record.pipeline.nondeterministic))
    if stages:
        yield Outcome(
            "unknown",
            f"the run record shows deterministic=False for {', '.join(stages)}: elements come in "
            "the order in which they are ready",
            stages[0],
            "approximate",
            (Evidence(record.path, value=stages[0]),),
        )


@BOOK.rule(
    "DATA020",
    "A data file has changed",
    "A data file has another size, beginning or end than when the checkpoint was saved: the "
    "position is that in the old file.",
    "Put the old file back, or start the data over.",
)
def changed_files(facts: Facts) -> Iterator[Outcome]:
    for file in facts.run_record.files if facts.run_record is not None else ():
        try:
            changed = file.has_changed
        except OSError:
            continue
        if changed:
            name = os.path.basename(file.path)
            yield Outcome(
                "inconsistent",
                f"{name} has changed since this was saved",
                name,
                "approximate",
                (Evidence(file.path),),
            )


@BOOK.rule(
    "DATA021",
    "A Python function may keep state",
    "The run record shows a tf.py_function or tf.numpy_function that TensorFlow marks as stateful: "
    "what it keeps is in no checkpoint.",
    "Mark it as stateless if it is (tf.numpy_function(..., stateful=False)), or save its state "
    "yourself.",
)
def python_state(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if record is None or record.pipeline is None or facts.at_start:
        return
    # TensorFlow's own mark of a function that keeps state.
    if "PyFunc" in record.pipeline.python_ops:
        yield Outcome(
            "unknown",
            "a Python function of the pipeline may keep state, which no checkpoint holds",
            "PyFunc",
            "approximate",
            (Evidence(record.path, value="PyFunc"),),
        )


@BOOK.condition(
    "COND102",
    "Parallel stages are deterministic",
    "With deterministic=False parallel map and interleave hand elements over as they get ready. No "
    "flag of it is in the state.",
)
def deterministic(facts: Facts) -> Iterator[str]:
    titles = _titles(facts, "is_parallel")
    if titles and (facts.run_record is None or facts.run_record.pipeline is None):
        yield (
            f"The parallel stages ({titles}) run with deterministic=True, which is the default; "
            "the state does not say."
        )


@BOOK.condition(
    "COND103",
    "Functions are pure",
    "Functions in map, filter and the like are not in the state. Stateful ones are refused when "
    "saving, unless options.experimental_external_state_policy is WARN or IGNORE.",
)
def pure(facts: Facts) -> Iterator[str]:
    titles = _titles(facts, "runs_function")
    pipeline = facts.pipeline
    if titles and (
        pipeline is None or pipeline.python_ops or pipeline.random_ops or pipeline.stateful_ops
    ):
        yield (
            f"The functions in {titles} draw no random numbers and keep no state (an "
            "external-state policy of WARN or IGNORE hides such ones)."
        )


@BOOK.condition(
    "COND116",
    "Python functions are pure",
    "py_function and numpy_function run Python code that no graph shows.",
)
def python(facts: Facts) -> Iterator[str]:
    pipeline = facts.pipeline
    ops = set(pipeline.python_ops) if pipeline is not None else set()
    if facts.meta is not None and not facts.at_start:
        ops |= set(facts.meta.python_ops)
    if ops:
        yield (
            f"The Python functions that training reaches ({listed(sorted(ops))}) give the same "
            "output for the same input."
        )


@BOOK.condition(
    "COND117",
    "Order of nondeterministic stages",
    "The stored graph says deterministic=False (or sloppy): the order of elements depends on "
    "timing.",
)
def nondeterministic(facts: Facts) -> Iterator[str]:
    pipeline = facts.meta.pipeline if facts.meta is not None else None
    if pipeline is not None and pipeline.nondeterministic and facts.iterators:
        names = ", ".join(sorted(set(pipeline.nondeterministic)))
        yield (
            f"The order in which elements come out of {names} (deterministic=False in the stored "
            "graph) does not matter."
        )


@BOOK.condition(
    "COND105",
    "Files outside are kept",
    "File caches, snapshots and saved datasets are read again on resuming; the state holds only "
    "positions in them.",
)
def external(facts: Facts) -> Iterator[str]:
    needed = dict.fromkeys(
        OPS[stage.op].needs_files
        for stage in facts.stages()
        if stage.op in OPS and OPS[stage.op].needs_files
    )
    for what in needed:
        yield (
            f"The files outside the checkpoint that the pipeline reads ({what}) are kept unchanged."
        )


@BOOK.condition(
    "COND112",
    "Symbolic checkpoint with interleave",
    "Restoring symbolic checkpoints of interleaved pipelines stopped answering in some releases "
    "(measured on 2.21).",
)
def symbolic(facts: Facts) -> Iterator[str]:
    stages = list(facts.stages())
    if any(has_trait(stage, "interleaves") for stage in stages) and any(map(_is_symbolic, stages)):
        yield (
            "Restoring this symbolic checkpoint of an interleave works in the TensorFlow at hand "
            "(some releases stop answering)."
        )


def _is_symbolic(stage: Stage) -> bool:
    """A buffer that was not written: the elements in it are computed again when it is restored."""
    spec = OPS.get(stage.op)
    if spec is None or not spec.reads_ahead or _BUFFER not in spec.fields:
        return False
    return _BUFFER not in stage


@BOOK.condition(
    "COND118",
    "Saved at the end of a pass",
    "Stages that have met the end of their pass drop the state of what lies below them, the "
    "generator of a seeded shuffle included. Until the repeat begins the next pass, a checkpoint "
    "does not hold it, and a restored run shuffles from the start of the generator again (measured "
    "on 2.4 to 2.21: shuffle, batch, repeat in this order; a shuffle of files below one of "
    "records). Save a step later, or shuffle right before repeat().",
)
def between_passes(facts: Facts) -> Iterator[str]:
    for iterator in facts.running:
        if iterator.tree is None or iterator.tree.root is None:
            continue
        repeated = (stage for stage, is_repeated in walk(iterator.tree.root) if is_repeated)
        if any(_is_emptied(stage) for stage in repeated):
            yield (
                "No shuffle of files or records lies below the stages that have come to the end of "
                "their pass: TensorFlow does not store its generator then, and it would start "
                "again in the next pass."
            )


def _is_emptied(stage: Stage) -> bool:
    """A stage that must have an input, but has left none in the state."""
    spec = OPS.get(stage.op)
    if spec is None or stage.inputs:
        return False
    return not spec.is_source and not spec.may_lack_input and spec.needs_files is None
