"""Rows of random numbers: generators, random ops, layers that draw."""

from dataclasses import replace

from ckptscope.resume.facts import Facts, LayerFact
from ckptscope.resume.model import Evidence
from tests.resume.rules.table import Row, Says, graph, own, pipeline, record, stored, variable

META = "run/ckpt-7.meta"
RECORD = "run/ckpt-7.ckptscope.json"
GENERATORS = [
    variable(f"generator_{number}", "rng", shape=(3,), dtype="int64") for number in "abcdef"
]
SEED = variable("dropout/seed_generator/seed", "rng", shape=(2,), dtype="int64")
UNNAMED = replace(SEED, key="v7", object_path=None, full_name="dropout/seed_generator_state")
BARE_SEED = replace(SEED, object_path=None, full_name=None)
OLD_SEED = replace(SEED, key="v7", full_name=None)
DRAWS = (
    ("dropout/random_uniform", "RandomUniform"),
    ("noise/random_normal", "RandomStandardNormal"),
)
TRAINS = graph(has_train_op=True)
MAPPED = pipeline("BatchDatasetV2", "MapDataset", random_ops=("RandomUniform", "RandomUniform"))
SHUFFLED = pipeline("BatchDatasetV2", "ShuffleDatasetV3", seeds=((0, 0),))
STATELESS = (
    "Use stateless random ops keyed by the global step (tf.random.stateless_uniform with seed=[s, "
    "step])."
)
OF_ESTIMATOR = (
    "Use tf.random.stateless_* keyed by tf.train.get_global_step() for dropout and noise."
)
IN_MAP = (
    "Use stateless random ops in map, with a seed that comes with the element (zip the dataset "
    "with tf.data.Dataset.random(seed=…) or counter())."
)
TRACK = "Track the seed generators in the checkpoint, or accept other random draws."
ONE_LAYER = record(random_layers=(("dropout", "Dropout"),), num_layers=3)
TWO_LAYERS = record(random_layers=(("dropout", "Dropout"), ("noise", "GaussianNoise")))
OTHERS = (
    "the state of these ops is in no checkpoint, so a resumed run draws others (dropout, noise, "
    "augmentation)"
)


def trained(**known: object) -> Facts:
    return replace(stored(step=own(7)), **known)  # type: ignore[arg-type]


def drawn(names: str, remedy: str) -> Says:
    return Says(
        "missing",
        f"the training graph draws random numbers in {names}; {OTHERS}",
        "approximate",
        "dropout/random_uniform",
        (Evidence(META, value="RandomUniform"),),
        remedy,
    )


def mapped(file: str, names: str = "RandomUniform") -> Says:
    return Says(
        "missing",
        f"functions of the input pipeline draw random numbers ({names}); their state is in no "
        "checkpoint",
        "approximate",
        "",
        (Evidence(file, value="RandomUniform"),),
        IN_MAP,
    )


def unseeded(message: str, remedy: str = TRACK) -> Says:
    return Says(
        "missing", message, "approximate", "dropout", (Evidence(RECORD, value="dropout"),), remedy
    )


NO_RANDOM_OP = Says(
    "not_needed",
    "the stored graph shows no random op that training reaches",
    evidence=(Evidence(META),),
)
SILENT = LayerFact(without_variables=("layer-1",))
DRAWING = LayerFact(may_draw=("lstm",))
MY_LAYER = record(num_layers=3, opaque_layers=("mine (MyLayer)",))

ROWS = [
    Row(
        "RNG001",
        "one",
        stored(GENERATORS[0]),
        (Says("saved", "1 random generator stored", evidence=(Evidence(key="generator_a"),)),),
    ),
    Row(
        "RNG001",
        "more than are named",
        stored(*GENERATORS),
        (
            Says(
                "saved",
                "6 random generators stored",
                evidence=tuple(Evidence(key=f"generator_{number}") for number in "abcde"),
            ),
        ),
    ),
    Row("RNG001", "none", stored()),
    Row(
        "RNG002",
        "one",
        trained(meta=graph(random_ops=DRAWS[:1])),
        (drawn("dropout/random_uniform", STATELESS),),
    ),
    Row(
        "RNG002",
        "of an Estimator, at step 0",
        trained(meta=graph(random_ops=DRAWS), framework="estimator", step=own(0)),
        (drawn("dropout/random_uniform, noise/random_normal", OF_ESTIMATOR),),
    ),
    Row("RNG002", "none", trained(meta=TRAINS)),
    Row("RNG002", "no graph", trained()),
    Row("RNG003", "of the graph", trained(meta=graph(pipeline=MAPPED)), (mapped(META),)),
    Row(
        "RNG003",
        "at step 0",
        trained(meta=graph(pipeline=MAPPED), step=own(0)),
        (mapped(META),),
    ),
    Row(
        "RNG003",
        "of a run record",
        trained(
            run_record=record(pipeline=replace(MAPPED, random_ops=("RandomUniform", "RandomGamma")))
        ),
        (mapped(RECORD, "RandomGamma, RandomUniform"),),
    ),
    Row(
        "RNG003",
        "none in its functions",
        trained(meta=graph(pipeline=replace(MAPPED, random_ops=()))),
    ),
    Row("RNG003", "no pipeline is known", trained(meta=TRAINS)),
    Row("RNG004", "nothing draws", trained(meta=TRAINS), (NO_RANDOM_OP,)),
    Row(
        "RNG004",
        "a shuffle with a seed",
        trained(meta=replace(TRAINS, pipeline=replace(SHUFFLED, seeds=((87654321, 5),)))),
        (NO_RANDOM_OP,),
    ),
    Row("RNG004", "a shuffle without one", trained(meta=replace(TRAINS, pipeline=SHUFFLED))),
    Row(
        "RNG004",
        "a shuffle without one outside the pipeline",
        trained(meta=replace(TRAINS, has_unseeded_shuffle=True)),
    ),
    Row("RNG004", "a random op", trained(meta=replace(TRAINS, random_ops=DRAWS))),
    Row("RNG004", "a Python function", trained(meta=replace(TRAINS, python_ops=("PyFunc",)))),
    Row("RNG004", "a random op in map", trained(meta=replace(TRAINS, pipeline=MAPPED))),
    Row("RNG004", "nothing in the graph trains", trained(meta=graph())),
    Row("RNG004", "no graph", trained()),
    Row(
        "RNG005",
        "one layer",
        trained(run_record=ONE_LAYER),
        (
            unseeded(
                "the layer that draws random numbers (dropout (Dropout)) has no seed in this "
                "checkpoint"
            ),
        ),
    ),
    Row(
        "RNG005",
        "one of two",
        trained(run_record=TWO_LAYERS, inventory=stored(SEED).inventory, framework="keras"),
        (
            unseeded(
                "1 of the 2 layers that draw random numbers (dropout (Dropout), noise "
                "(GaussianNoise)) has no seed in this checkpoint",
                "Save with model.save(), which includes seed generators, or track them.",
            ),
        ),
    ),
    Row(
        "RNG005",
        "both",
        trained(run_record=TWO_LAYERS, inventory=stored(GENERATORS[0]).inventory),
        (
            unseeded(
                "the 2 layers that draw random numbers (dropout (Dropout), noise "
                "(GaussianNoise)) have no seed in this checkpoint"
            ),
        ),
    ),
    Row(
        "RNG005",
        "stored",
        trained(run_record=ONE_LAYER, inventory=stored(SEED).inventory),
    ),
    Row(
        "RNG005",
        "stored by its own name",
        trained(run_record=ONE_LAYER, inventory=stored(UNNAMED).inventory),
    ),
    Row(
        "RNG005",
        "stored by its key",
        trained(run_record=ONE_LAYER, inventory=stored(BARE_SEED).inventory),
    ),
    Row(
        "RNG005",
        "stored by its path",
        trained(run_record=ONE_LAYER, inventory=stored(OLD_SEED).inventory),
    ),
    Row("RNG005", "no record", trained()),
    Row("RNG005", "at the start", trained(run_record=ONE_LAYER, step=own(0))),
    Row("RNG005", "nobody looked", trained(run_record=record())),
    Row("RNG005", "no layer draws", trained(run_record=record(random_layers=()))),
    Row(
        "COND101",
        "one without variables",
        trained(layers=SILENT),
        (
            "The layer without variables (layer-1) draws no random numbers: for Dropout and noise "
            "layers TensorFlow does not save the seed generator.",
        ),
    ),
    Row(
        "COND101",
        "several of both kinds",
        trained(layers=LayerFact(("layer-1", "layer-2"), ("lstm", "attention"))),
        (
            "None of the 2 layers without variables (layer-1, layer-2) draws random numbers: for "
            "Dropout and noise layers TensorFlow does not save the seed generator.",
            "The 2 layers with recurrent, attention or inner parts (lstm, attention) apply no "
            "dropout and keep no state that is not stored.",
        ),
    ),
    Row(
        "COND101",
        "one with inner parts",
        trained(layers=DRAWING),
        (
            "The layer with recurrent, attention or inner parts (lstm) applies no dropout and "
            "keeps no state that is not stored.",
        ),
    ),
    Row(
        "COND101",
        "a record that looked into no layer",
        trained(layers=DRAWING, run_record=record()),
        (
            "The layer with recurrent, attention or inner parts (lstm) applies no dropout and "
            "keeps no state that is not stored.",
        ),
    ),
    Row("COND101", "a record that did", trained(layers=DRAWING, run_record=record(num_layers=3))),
    Row(
        "COND101",
        "layers of the program's own",
        trained(layers=SILENT, run_record=MY_LAYER),
        (
            "The layers whose code is the program's own (mine (MyLayer)) draw no random numbers "
            "and keep no state that is not stored.",
        ),
    ),
    Row(
        "COND101",
        "a step of 0 that others confirm",
        trained(layers=DRAWING, step=replace(own(0), standing="agreed")),
        (
            "The layer with recurrent, attention or inner parts (lstm) applies no dropout and "
            "keeps no state that is not stored.",
        ),
    ),
    Row(
        "COND101",
        "a step of 7 that others confirm",
        trained(layers=SILENT, step=replace(own(7), standing="agreed")),
        (
            "The layer without variables (layer-1) draws no random numbers: for Dropout and noise "
            "layers TensorFlow does not save the seed generator.",
        ),
    ),
    Row(
        "COND101",
        "a step of 0 that nobody confirms",
        trained(layers=SILENT, step=own(0)),
        (
            "The layer without variables (layer-1) draws no random numbers: for Dropout and noise "
            "layers TensorFlow does not save the seed generator.",
        ),
    ),
    Row("COND101", "no layers", trained()),
]
