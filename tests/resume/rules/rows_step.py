"""Rows of the step: which counter is believed, and what the others say."""

from dataclasses import replace

from ckptscope.checkpoint.location import Location
from ckptscope.checkpoint.model import Damage
from ckptscope.resume.agreement import Agreement
from ckptscope.resume.facts import Facts, StepFact, Witness
from ckptscope.resume.model import Evidence
from tests.resume.rules.table import Row, Says, graph, iterator, own

DAMAGE = (Damage("checksum", "run/ckpt-7.data-00000-of-00001", "step", 0, "it differs"),)
COUNT_IT = (
    "Add step=tf.Variable(0, dtype=tf.int64) to tf.train.Checkpoint and raise it in the loop."
)
RAISE_IT = "Raise the counter in the loop, once for each step: step.assign_add(1)."
STARTS_AT_0 = "schedules, logs and file names start at 0 again"
KEY = "step/.ATTRIBUTES/VARIABLE_VALUE"
ITERATIONS = Witness("optimizer/iterations", 84, "optimizer/iter/key")
REFUTED = Witness("step", 0, KEY)
TRAINS = graph(has_train_op=True, global_step="global_step")


def of(step: StepFact, **more: object) -> Facts:
    return replace(Facts(step=step), **more)  # type: ignore[arg-type]


def updates(value: int | None) -> StepFact:
    """The optimizer's iterations stand in."""
    return StepFact(value, "optimizer/iterations", "optimizer", {}, "alone")


def refuted(by: Witness, claim: Witness = REFUTED, **more: object) -> StepFact:
    fact = StepFact(None, KEY, None, {KEY: 0}, "contradicted", claim, by)
    return replace(fact, **more)  # type: ignore[arg-type]


def against(
    message: str, *evidence: Evidence, remedy: str = RAISE_IT, claim: Witness = REFUTED
) -> Says:
    claimed = Evidence(key=claim.key, value=claim.value)
    return Says("inconsistent", message, None, "step", (claimed, *evidence), remedy)


MADE_84 = Evidence(key="optimizer/iter/key", value=84)
LIKELY = StepFact(unproven=(Witness("Variable_1", 7, "Variable_1"),))
HERE = Location("run/ckpt-7", "tensor_bundle", "", 7)


def in_step_with_updates(step: int, batches: int | None, **more: object) -> Facts:
    """As many batches left the iterator as the optimizer made updates."""
    agreement = Agreement("agrees", compared_with=batches, witness="optimizer/iterations = 7")
    return of(own(step, **more), training=iterator(agreement=agreement))


BEHIND = Agreement("behind", 21, compared_with=7, witness="optimizer/iterations = 9")


def counts(message: str, step: int) -> Says:
    return Says("saved", message, evidence=(Evidence(key="step", value=step),))


ROWS = [
    Row(
        "STEP001",
        "own",
        of(own(1200)),
        (
            Says(
                "saved",
                "the run is at step 1,200",
                evidence=(Evidence(key="step", value=1200),),
            ),
        ),
    ),
    Row(
        "STEP001",
        "it began at 1",
        of(own(8, starts_at=1)),
        (
            Says(
                "saved",
                "the run is at step 8 (it started at 1)",
                evidence=(Evidence(key="step", value=8),),
            ),
        ),
    ),
    Row(
        "STEP001",
        "raised by the graph",
        of(replace(own(7), source="graph")),
        (Says("saved", "the run is at step 7", evidence=(Evidence(key="step", value=7),)),),
    ),
    Row("STEP001", "own counters that differ", of(replace(own(7), value=None))),
    Row("STEP001", "refuted", of(refuted(ITERATIONS))),
    Row("STEP001", "only updates", of(updates(7))),
    Row("STEP001", "only a run record", of(replace(own(7), source="run_record"))),
    Row(
        "STEP002",
        "one update",
        of(updates(1)),
        (
            Says(
                "partial",
                "the run's own step counter is not stored; the optimizer has made 1 update",
                evidence=(Evidence(key="optimizer/iterations", value=1),),
                remedy=COUNT_IT,
            ),
        ),
    ),
    Row(
        "STEP002",
        "of fit",
        of(updates(1200), framework="keras"),
        (
            Says(
                "partial",
                "the run's own step counter is not stored; the optimizer has made 1,200 updates",
                evidence=(Evidence(key="optimizer/iterations", value=1200),),
                remedy="Nothing to do for `fit`: the optimizer's iterations count the batches.",
            ),
        ),
    ),
    Row("STEP002", "several that differ", of(updates(None))),
    Row("STEP002", "own", of(own(1))),
    Row(
        "STEP003",
        "none",
        of(StepFact()),
        (
            Says(
                "missing",
                f"no step counter is stored: {STARTS_AT_0}",
                "approximate",
                remedy=COUNT_IT,
            ),
        ),
    ),
    Row(
        "STEP003",
        "unset",
        of(StepFact(unset=KEY)),
        (
            Says(
                "missing",
                f"no step counter is stored (step is unset): {STARTS_AT_0}",
                "approximate",
                remedy=COUNT_IT,
            ),
        ),
    ),
    Row(
        "STEP003",
        "the graph does not read one",
        of(StepFact(), meta=TRAINS, framework="saver"),
        (
            Says(
                "missing",
                "no step counter is stored; nothing of the training graph reads one",
                remedy="Create tf.train.get_or_create_global_step() and pass it to minimize().",
            ),
        ),
    ),
    Row(
        "STEP003",
        "the graph reads it",
        of(
            StepFact(),
            meta=replace(TRAINS, state_read=frozenset(("global_step",))),
            framework="estimator",
        ),
        (
            Says(
                "missing",
                f"no step counter is stored: {STARTS_AT_0}",
                "approximate",
                remedy="Pass tf.train.get_global_step() to minimize().",
            ),
        ),
    ),
    Row(
        "STEP003",
        "nothing in the graph trains",
        of(StepFact(), meta=graph(global_step="global_step")),
        (
            Says(
                "missing",
                f"no step counter is stored: {STARTS_AT_0}",
                "approximate",
                remedy=COUNT_IT,
            ),
        ),
    ),
    Row("STEP003", "one is stored", of(own(0))),
    Row("STEP003", "one may be it", of(LIKELY)),
    Row("STEP003", "damaged", of(StepFact(), damage=DAMAGE)),
    Row(
        "STEP004",
        "own counters",
        of(StepFact(None, KEY, "own", {KEY: 1200, "train_step": 7}, "contradicted")),
        (Says("unknown", "several step counters differ: step = 1,200, train_step = 7"),),
    ),
    Row(
        "STEP004",
        "iterations of two optimizers",
        of(StepFact(None, None, "optimizer", {"g/iterations": 7, "d/iterations": 35})),
        (Says("partial", "several step counters differ: g/iterations = 7, d/iterations = 35"),),
    ),
    Row(
        "STEP004",
        "one was chosen",
        of(StepFact(7, "step", "own", {"step": 7, "train_step": 8}, "agreed")),
    ),
    Row("STEP004", "refuted", of(refuted(ITERATIONS))),
    Row("STEP004", "none", of(StepFact())),
    Row(
        "STEP005",
        "by updates",
        of(refuted(ITERATIONS)),
        (
            against(
                "step is 0, but the optimizer has made 84 updates (optimizer/iterations): nothing "
                "raises step in this program, or it is set back",
                MADE_84,
            ),
        ),
    ),
    Row(
        "STEP005",
        "by a slot",
        of(refuted(Witness("a slot that is not zero any more", None, "kernel/Adam"))),
        (
            against(
                "step is 0, but the optimizer has made updates (kernel/Adam is not zero any more): "
                "nothing raises step in this program, or it is set back",
                Evidence(key="kernel/Adam"),
            ),
        ),
    ),
    Row(
        "STEP005",
        "by a neighbour",
        of(
            refuted(
                replace(ITERATIONS, name="optimizer/iterations, which was 60 in ckpt-5"),
                Witness("step", 30, KEY),
            )
        ),
        (
            against(
                "step is 30, but the optimizer has made 84 updates (optimizer/iterations, which "
                "was 60 in ckpt-5): nothing raises step in this program, or it is set back",
                MADE_84,
                claim=Witness("step", 30, KEY),
            ),
        ),
    ),
    Row(
        "STEP005",
        "the run record stands in",
        of(refuted(ITERATIONS, value=1084, source="run_record")),
        (
            against(
                "step is 0, but the optimizer has made 84 updates (optimizer/iterations): nothing "
                "raises step in this program, or it is set back; the run record says step 1,084",
                MADE_84,
            ),
        ),
    ),
    Row(
        "STEP005",
        "the graph's counter stands in",
        of(refuted(ITERATIONS, value=84, key="count", source="graph"), framework="saver"),
        (
            against(
                "step is 0, but the optimizer has made 84 updates (optimizer/iterations): nothing "
                "raises step in this program, or it is set back; count in the stored graph says "
                "step 84",
                MADE_84,
                remedy="Pass global_step to minimize(), so that each update raises it.",
            ),
        ),
    ),
    Row("STEP005", "nobody speaks against it", of(own(0))),
    Row(
        "STEP006",
        "the number of the file",
        of(LIKELY, location=HERE),
        (
            Says(
                "unknown",
                "Variable_1 = 7 is the number in the file's name: it may be the run's step",
                None,
                "Variable_1",
                (Evidence(key="Variable_1", value=7),),
            ),
        ),
    ),
    Row(
        "STEP006",
        "raised",
        of(replace(LIKELY, value=9, source="optimizer"), location=replace(HERE, number=9)),
        (
            Says(
                "unknown",
                "Variable_1 = 7 is raised by the stored graph: it may be the run's step",
                None,
                "Variable_1",
                (Evidence(key="Variable_1", value=7),),
            ),
        ),
    ),
    Row("STEP006", "there is a step of its own", of(replace(LIKELY, value=9, source="own"))),
    Row("STEP006", "none", of(updates(7))),
    Row(
        "STEP007",
        "examples",
        in_step_with_updates(28, 7),
        (
            counts(
                "the step is 28 after 7 batches and as many updates: it seems to count 4 for each "
                "batch, examples perhaps",
                28,
            ),
        ),
    ),
    Row(
        "STEP007",
        "several batches to a step",
        in_step_with_updates(7, 28),
        (
            counts(
                "the step is 7 after 28 batches and as many updates: it seems to be raised once "
                "every 4 batches",
                7,
            ),
        ),
    ),
    Row(
        "STEP007",
        "no whole factor",
        in_step_with_updates(28, 9),
        (
            counts(
                "the step is 28 after 9 batches and as many updates: it seems to count something "
                "else",
                28,
            ),
        ),
    ),
    Row(
        "STEP007",
        "fewer, and no whole factor",
        in_step_with_updates(7, 9),
        (
            counts(
                "the step is 7 after 9 batches and as many updates: it seems to count something "
                "else",
                7,
            ),
        ),
    ),
    Row("STEP007", "the same number", in_step_with_updates(7, 7)),
    Row("STEP007", "it began at 1", in_step_with_updates(8, 7, starts_at=1)),
    Row("STEP007", "nothing was delivered", in_step_with_updates(28, 0)),
    Row("STEP007", "a step of 0", in_step_with_updates(0, 7)),
    Row(
        "STEP007",
        "out of step",
        of(own(28), training=iterator(agreement=Agreement("behind", 21, compared_with=7))),
    ),
    Row(
        "STEP007",
        "out of step with the updates",
        of(own(28), training=iterator(agreement=BEHIND)),
    ),
    Row(
        "STEP007",
        "only the step was compared",
        of(own(28), training=iterator(agreement=Agreement("agrees", compared_with=7))),
    ),
    Row(
        "STEP007",
        "updates stand in for the step",
        replace(in_step_with_updates(28, 7), step=updates(28)),
    ),
]
