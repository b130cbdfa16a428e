"""What a person should look at: the table of alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ckptscope.comparison.data import Course, CourseKind, Move, first_examples
from ckptscope.comparison.model import Alarm
from ckptscope.comparison.places import Place, shared_order
from ckptscope.resume.model import VERDICTS, Verdict, describe_ranges


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that alarms ask about.

    Attributes:
        places: of A and B.
        pipeline: what shows that the pipeline changed; None where nothing does.
        weights_frozen: all weights are equal; None where there are none, or not all were compared.
        turned_nan: variables with NaN in B and none in A.
    """

    places: tuple[Place, Place]
    move: Move
    verdicts: tuple[Verdict, Verdict]
    pipeline: str | None
    weights_frozen: bool | None
    turned_nan: tuple[str, ...] = ()

    @property
    def steps_words(self) -> str:
        """``the step went from 8 to 12``."""
        old, new = self.places[0].step, self.places[1].step
        return (
            f"the step stayed at {new:,}"
            if old == new
            else f"the step went from {old:,} to {new:,}"
        )

    @property
    def at(self) -> tuple[str, str]:
        """What to call the two: by step where these differ."""
        old, new = self.places[0].step, self.places[1].step
        return (
            ("A", "B")
            if old is None or new is None or old == new
            else (f"step {old:,}", f"step {new:,}")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """One alarm: its code is stable, its remedy says what to do about it."""

    code: str
    title: str
    explanation: str
    remedy: str
    check: Callable[[Situation], Iterable[Alarm]]


def raise_alarms(situation: Situation) -> tuple[Alarm, ...]:
    """All alarms of a comparison, in the order of the table."""
    return tuple(alarm for rule in ALARM_RULES for alarm in rule.check(situation))


def _course(situation: Situation, *kinds: CourseKind) -> Course | None:
    """How the data went on, if it is one of these kinds and B is not the older one."""
    move = situation.move
    return (
        move.course
        if move.course.kind in kinds and move.steps is not None and move.steps >= 0
        else None
    )


def _stalled(situation: Situation) -> Iterator[Alarm]:
    course = _course(situation, "lost")
    if course is not None and course.moved == 0:
        yield Alarm("DATA_STALLED", f"{situation.steps_words}, and the data {course.words}")


def _back(situation: Situation) -> Iterator[Alarm]:
    course = _course(situation, "lost")
    if course is not None and course.moved < 0:
        over = ": the run started its data over" if situation.move.repeated is not None else ""
        yield Alarm("DATA_BACK", f"{situation.steps_words}, and the data {course.words}{over}")


def _rate(situation: Situation) -> Iterator[Alarm]:
    course = _course(situation, "lost", "ahead")
    if course is None or course.rate is None or (course.kind == "lost" and course.moved <= 0):
        return
    expected = course.rate * (situation.move.steps or 0)
    each = (
        f"{course.rate:,} for each step"
        if course.rate > 1 or course.unit == "examples"
        else "one for each step"
    )
    yield Alarm(
        "DATA_RATE",
        f"{situation.steps_words}, and the data moved by {course.moved:,} {course.unit}; "
        f"at {each} it would be {expected:,}",
    )


def _pipeline(situation: Situation) -> Iterator[Alarm]:
    if situation.pipeline is not None:
        yield Alarm("PIPELINE_CHANGED", f"the input pipeline is another one: {situation.pipeline}")


def _verdict(situation: Situation) -> Iterator[Alarm]:
    old, new = situation.verdicts
    if (
        VERDICTS.index(new) >= VERDICTS.index(old)
        or (situation.move.steps or 0) < 0
        or _is_no_loss(situation)
    ):
        return
    first, second = situation.at
    yield Alarm(
        "VERDICT_FELL",
        f"the checkpoint of {first} resumes {_RESUMES[old]}, that of {second} {_RESUMES[new]}",
    )


def _is_no_loss(situation: Situation) -> bool:
    """The verdict may fall without a change: nothing can be lost at the start, and later states
    may show more.
    """
    a, b = situation.places
    if a.step == 0:
        return True
    if a.iterator is None or b.iterator is None:
        return False
    old, new = (
        [proof.status in _REPRODUCIBLE for proof in place.iterator.proofs]
        for place in (a, b)
        if place.iterator
    )
    seeds_came_to_light = not all(new) and not (all(old) and len(old) == len(new))
    out_of_step = b.iterator.agreement.kind in ("ahead", "contradicts")
    return seeds_came_to_light or (
        out_of_step and situation.move.course.kind not in ("lost", "ahead")
    )


_REPRODUCIBLE = ("proven", "whole")
_RESUMES = {"exact": "exactly", "approximate": "only approximately", "impossible": "not at all"}


def _repeated(situation: Situation) -> Iterator[Alarm]:
    count, (a, b) = situation.move.repeated, situation.places
    order = shared_order(a, b) if count is not None and situation.pipeline is None else None
    if count is None or order is None:
        return
    ranges = first_examples(a, b)
    what = describe_ranges(ranges) if ranges else f"the first {count:,} batches"
    first, second = situation.at
    rests = f" (if {', '.join(order)} is deterministic, as by default)" if order else ""
    yield Alarm(
        "DATA_REPEATED",
        f"{what} were read before {first}, and again before {second}{rests}",
        repeated=ranges,
    )


def _skipped(situation: Situation) -> Iterator[Alarm]:
    course = _course(situation, "ahead")
    if course is None or not course.is_only or course.rate is None:
        return
    count = course.moved - course.rate * (situation.move.steps or 0)
    first, second = situation.at
    what = (
        f"at least {count:,} {course.unit}" if count > 1 else f"at least one of the {course.unit}"
    )
    yield Alarm(
        "DATA_SKIPPED",
        f"{what} left the iterator between {first} and {second} without a step for it",
    )


def _frozen(situation: Situation) -> Iterator[Alarm]:
    if situation.weights_frozen and (situation.move.steps or 0) > 0:
        yield Alarm("WEIGHTS_FROZEN", f"{situation.steps_words}, and every weight is the same")


def _nan(situation: Situation) -> Iterator[Alarm]:
    names = situation.turned_nan
    if names:
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        yield Alarm("NAN_NEW", f"NaN in B, none in A: {', '.join(names[:3])}{more}")


_RESTORE = (
    "Save the iterator along (tf.train.Checkpoint(iterator=...), "
    "CheckpointInputPipelineHook) and restore it, or skip "
    "by a stored index; ckptscope inspect on A says what its checkpoint lacks."
)
ALARM_RULES: tuple[AlarmRule, ...] = (
    AlarmRule(
        code="DATA_STALLED",
        title="The step advanced and the data did not",
        explanation="Batches left the iterator as often in B as in A, although steps were made "
        "between them. Either the "
        "run started its data over and came exactly as far again, or the saved iterator "
        "does not feed the training.",
        remedy=_RESTORE,
        check=_stalled,
    ),
    AlarmRule(
        code="DATA_BACK",
        title="The data went back",
        explanation="Fewer batches have left the iterator in B than in A, although B is not older. "
        "The iterator was "
        "created anew between them: a restart restored the weights and not the place in the data.",
        remedy=_RESTORE,
        check=_back,
    ),
    AlarmRule(
        code="DATA_RATE",
        title="The data moved by other than steps times batch",
        explanation="Steps and batches moved by different amounts, and the batch size is the same. "
        "Batches were taken "
        "without a step, a restart came in between, or several batches make a step.",
        remedy="If several batches make a step, nothing is wrong. Else see DATA_BACK.",
        check=_rate,
    ),
    AlarmRule(
        code="PIPELINE_CHANGED",
        title="The input pipeline changed",
        explanation="The stages of the two iterator states, or the batch sizes, differ. A state "
        "restores into the same "
        "pipeline only; with another one TensorFlow raises, or reads other data.",
        remedy="Restore with the program that saved, or accept that the data starts over.",
        check=_pipeline,
    ),
    AlarmRule(
        code="VERDICT_FELL",
        title="The later checkpoint resumes worse",
        explanation="A could be resumed with a better verdict than B: something is no longer saved, "
        "or out of step.",
        remedy="ckptscope inspect on B names what is missing and how to save it.",
        check=_verdict,
    ),
    AlarmRule(
        code="DATA_REPEATED",
        title="Elements were read twice",
        explanation="The stretch of training that ends at B began at an earlier place in the data "
        "than A's: what lies "
        "between was trained on before A and again after it. Ranges are told where the "
        "order is fixed or its seed "
        "proven, and assume that the run had no other checkpoint between the two.",
        remedy=_RESTORE,
        check=_repeated,
    ),
    AlarmRule(
        code="DATA_SKIPPED",
        title="Elements were never trained on",
        explanation="More batches left the iterator between A and B than steps were made: the run "
        "never trained on them.",
        remedy="Look for batches that are taken without a step: a restart from a later "
        "iterator, a warm-up, an evaluation.",
        check=_skipped,
    ),
    AlarmRule(
        code="WEIGHTS_FROZEN",
        title="No weight changed although the step advanced",
        explanation="All model weights are equal in A and B. A learning rate of zero, gradients that "
        "are all zero or not "
        "finite (a loss scaler then skips the update), or a checkpoint of other "
        "variables than those that are trained.",
        remedy="Look at the learning rate, the loss scale and which variables the optimizer is "
        "given.",
        check=_frozen,
    ),
    AlarmRule(
        code="NAN_NEW",
        title="A variable turned NaN",
        explanation="A variable without NaN in A has some in B. Training does not recover from NaN "
        "in weights or slots.",
        remedy="Go back to A, and lower the learning rate or clip gradients; "
        "tf.debugging.enable_check_numerics finds the op.",
        check=_nan,
    ),
)
