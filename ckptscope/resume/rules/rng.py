"""Random numbers of the program: generators, random ops, layers that draw."""

from __future__ import annotations

from collections.abc import Iterator

from ckptscope.checkpoint.run_record import SUFFIX
from ckptscope.resume.facts import Facts
from ckptscope.resume.model import Evidence, Outcome, RuleBook
from ckptscope.wording import counted, listed, plural

BOOK = RuleBook("rng")


@BOOK.rule(
    "RNG001",
    "Random generators are stored",
    "tf.random.Generator objects (and seed generators) that were tracked; they continue where they "
    "stood.",
)
def generators(facts: Facts) -> Iterator[Outcome]:
    found = facts.inventory.of_role("rng")
    if found:
        yield Outcome(
            "saved",
            f"{counted(len(found), 'random generator')} stored",
            evidence=tuple(Evidence(key=item.key) for item in found[:5]),
        )


@BOOK.rule(
    "RNG002",
    "Random ops without stored state",
    "Random ops of TF1 graphs (dropout, noise) keep a counter in the process that is in no "
    "checkpoint: a resumed run draws from the start of the sequence, with or without seeds.",
    {
        "": "Use stateless random ops keyed by the global step (tf.random.stateless_uniform with "
        "seed=[s, step]).",
        "estimator": "Use tf.random.stateless_* keyed by tf.train.get_global_step() for dropout "
        "and noise.",
    },
)
def random_ops(facts: Facts) -> Iterator[Outcome]:
    if facts.meta is None or not facts.meta.random_ops:
        return
    names = [name for name, _ in facts.meta.random_ops]
    yield Outcome(
        "missing",
        f"the training graph draws random numbers in {listed(names)}; the state of these ops is in "
        "no checkpoint, so a resumed run draws others (dropout, noise, augmentation)",
        names[0],
        "approximate",
        (Evidence(facts.meta.path, value=facts.meta.random_ops[0][1]),),
    )


@BOOK.rule(
    "RNG003",
    "The input pipeline draws random numbers",
    "Random ops inside Dataset.map and the like keep their state in the process. Saving such an "
    "iterator is refused unless the external-state policy is WARN or IGNORE.",
    "Use stateless random ops in map, with a seed that comes with the element (zip the dataset "
    "with tf.data.Dataset.random(seed=…) or counter()).",
)
def random_input_ops(facts: Facts) -> Iterator[Outcome]:
    pipeline = facts.pipeline
    if pipeline is None or not pipeline.random_ops:
        return
    source = facts.meta.path if facts.meta is not None else f"{facts.location.prefix}{SUFFIX}"
    names = ", ".join(sorted(set(pipeline.random_ops)))
    yield Outcome(
        "missing",
        f"functions of the input pipeline draw random numbers ({names}); their state is in no "
        "checkpoint",
        verdict="approximate",
        evidence=(Evidence(source, value=pipeline.random_ops[0]),),
    )


@BOOK.rule(
    "RNG004",
    "Training draws no random numbers",
    "No random op is reached by the training op of the stored graph, other than through "
    "initializers, and no shuffle without a seed.",
)
def no_random_ops(facts: Facts) -> Iterator[Outcome]:
    meta, pipeline = facts.meta, facts.pipeline
    if meta is None or not meta.has_train_op or meta.random_ops or meta.python_ops:
        return
    if facts.has_unseeded_shuffle or (pipeline is not None and pipeline.random_ops):
        return
    yield Outcome(
        "not_needed",
        "the stored graph shows no random op that training reaches",
        evidence=(Evidence(meta.path),),
    )


@BOOK.rule(
    "RNG005",
    "Seeds of layers are not stored",
    "Layers such as Dropout draw from seed generators. tf.train.Checkpoint does not reach those of "
    "Keras 3 layers, and Keras 2 layers draw from hidden ops, so a resumed run draws other "
    "numbers.",
    {
        "": "Track the seed generators in the checkpoint, or accept other random draws.",
        "keras": "Save with model.save(), which includes seed generators, or track them.",
    },
)
def layer_seeds(facts: Facts) -> Iterator[Outcome]:
    record = facts.run_record
    if record is None or not record.random_layers or facts.at_start:
        return
    stored = sum(
        "seed_generator" in f"{v.object_path or v.key} {v.full_name or ''}"
        for v in facts.inventory.of_role("rng")
    )
    total = len(record.random_layers)
    missing = total - stored
    if missing > 0:
        first = record.random_layers[0][0]
        names = listed([f"{name} ({kind})" for name, kind in record.random_layers])
        some = "" if missing == total else f"{missing} of "
        which = f"{some}the {total} layers that draw" if total > 1 else "the layer that draws"
        yield Outcome(
            "missing",
            f"{which} random numbers ({names}) {plural(missing, 'has')} no seed in this checkpoint",
            first,
            "approximate",
            (Evidence(record.path, value=first),),
        )


@BOOK.condition(
    "COND101",
    "Layers that may draw or keep state",
    "A layer node without variables in the object graph may be an activation, Flatten, or Dropout. "
    "A recurrent or attention layer may apply dropout, and a recurrent one may keep a state. "
    "tf.train.Checkpoint does not save the seed generator of Keras 3 layers unless it is tracked "
    "(measured). A run record settles this only where it looked into every layer.",
)
def drawing_layers(facts: Facts) -> Iterator[str]:
    record = facts.run_record
    silent, drawing = facts.layers.without_variables, facts.layers.may_draw
    if record is not None and record.num_layers is not None:
        # It looked into every layer; only those of the program's own code stay unknown.
        if record.opaque_layers:
            yield (
                f"The layers whose code is the program's own ({listed(record.opaque_layers)}) draw "
                "no random numbers and keep no state that is not stored."
            )
        return
    if silent:
        which = "The layer" if len(silent) == 1 else f"None of the {len(silent)} layers"
        verb = "draws no random numbers" if len(silent) == 1 else "draws random numbers"
        yield (
            f"{which} without variables ({listed(silent)}) {verb}: for Dropout and noise layers "
            "TensorFlow does not save the seed generator."
        )
    if drawing:
        which = "The layer" if len(drawing) == 1 else f"The {len(drawing)} layers"
        verb = "applies" if len(drawing) == 1 else "apply"
        keeps = "keeps" if len(drawing) == 1 else "keep"
        yield (
            f"{which} with recurrent, attention or inner parts ({listed(drawing)}) {verb} no "
            f"dropout and {keeps} no state that is not stored."
        )
