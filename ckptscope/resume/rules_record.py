"""Rules over run records: what a program wrote down beside its checkpoint settles conditions,
or breaks them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, Rule


def _used(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if record is None:
        return
    settled = []
    if record.pipeline is not None:
        settled.append("the stages and functions of the pipeline")
    if record.random_layers is not None:
        settled.append("which layers draw random numbers")
    if record.files:
        settled.append("the data files")
    told = f": {', '.join(settled)} are known from it" if settled else ""
    name = os.path.basename(record.path)
    yield Outcome(
        "saved",
        f"the run record {name} belongs to this checkpoint{told}",
        name,
        evidence=(Evidence(record.path),),
    )


def _refused(facts: Facts) -> Iterator[Outcome]:
    if facts.record_problem is not None:
        yield Outcome(
            "unknown",
            f"{facts.record_problem}; it is not used",
            evidence=(Evidence(facts.location.prefix),),
        )


def _stages_out_of_order(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if record is None or record.pipeline is None or not facts.iterators or _nothing_done(facts):
        return
    stages = list(dict.fromkeys(record.pipeline.nondeterministic))
    if stages:
        yield Outcome(
            "unknown",
            f"{', '.join(stages)} runs with deterministic=False: elements come in the "
            "order in which they are ready",
            stages[0],
            "approximate",
            (Evidence(record.path, value=stages[0]),),
        )


def _python_functions(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if (
        record is None
        or record.pipeline is None
        or not record.pipeline.python_ops
        or _nothing_done(facts)
    ):
        return
    ops = list(dict.fromkeys(record.pipeline.python_ops))
    if "PyFunc" in ops:  # TensorFlow's own mark of a function that keeps state
        yield Outcome(
            "unknown",
            "a Python function of the pipeline may keep state, which no checkpoint holds",
            ops[0],
            "approximate",
            (Evidence(record.path, value=ops[0]),),
        )


def _changed_files(facts: Facts) -> Iterator[Outcome]:
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


def _layer_seeds(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if record is None or not record.random_layers or _nothing_done(facts):
        return
    stored = sum(
        "seed_generator" in f"{v.object_path or v.key} {v.full_name or ''}"
        for v in facts.inventory.of_role("rng")
    )
    missing = len(record.random_layers) - stored
    if missing > 0:
        names = ", ".join(f"{name} ({kind})" for name, kind in record.random_layers[:3])
        yield Outcome(
            "missing",
            f"the seeds of {missing} of the layers that draw random numbers are not in "
            f"this checkpoint: {names}",
            record.random_layers[0][0],
            "approximate",
            (Evidence(record.path, value=record.random_layers[0][0]),),
        )


def _nothing_done(facts: Facts) -> bool:
    """Before the first step there is nothing to go on from."""
    return facts.step.value == 0 and facts.step.source == "own"


RECORD_RULES: tuple[Rule, ...] = (
    Rule(
        code="FILE009",
        component="files",
        title="A run record is used",
        check=_used,
        explanation="The recorder wrote facts beside this checkpoint that it cannot hold itself. "
        "They replace conditions by findings.",
    ),
    Rule(
        code="FILE010",
        component="files",
        title="A run record is refused",
        check=_refused,
        explanation="The file <prefix>.ckptscope.json is damaged, or was written for another "
        "checkpoint: its hash of the index differs. It changes nothing.",
        remedies={"": "Remove it, or copy the one that belongs to this checkpoint."},
    ),
    Rule(
        code="DATA019",
        component="iterator",
        title="A stage runs in no fixed order",
        check=_stages_out_of_order,
        explanation="The run record shows deterministic=False (or sloppy=True): elements are handed "
        "over as they get ready, so the resumed order differs from the uninterrupted "
        "one.",
        remedies={"": "Set deterministic=True, or dataset.options().deterministic."},
    ),
    Rule(
        code="DATA020",
        component="iterator",
        title="A data file has changed",
        check=_changed_files,
        explanation="A data file has another size, beginning or end than when the checkpoint was "
        "saved: the place in the data is that of the old file.",
        remedies={"": "Put the old file back, or start the data over."},
    ),
    Rule(
        code="DATA021",
        component="iterator",
        title="A Python function may keep state",
        check=_python_functions,
        explanation="The run record shows a tf.py_function or tf.numpy_function that TensorFlow "
        "marks as stateful: what it keeps is in no checkpoint.",
        remedies={
            "": "Mark it as stateless if it is (tf.numpy_function(..., stateful=False)), or "
            "save its state yourself."
        },
    ),
    Rule(
        code="RNG005",
        component="rng",
        title="Seeds of layers are not stored",
        check=_layer_seeds,
        explanation="Layers such as Dropout draw from seed generators. tf.train.Checkpoint does not "
        "reach those of Keras 3 layers, and Keras 2 layers draw from hidden ops, so a "
        "resumed run draws other numbers.",
        remedies={
            "": "Track the seed generators in the checkpoint, or accept other random draws.",
            "keras": "Save with model.save(), which includes seed generators, or track them.",
        },
    ),
)
