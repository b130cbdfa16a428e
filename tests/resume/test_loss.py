"""What resuming repeats or never sees: a range only where everything that it rests on is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ckptscope.checkpoint.absence import MissingKey
from ckptscope.checkpoint.model import Damage
from ckptscope.iterator.position import Hints, Position, Reading
from ckptscope.iterator.progress import Progress, Tally
from ckptscope.iterator.seeds import SeedProof
from ckptscope.resume.agreement import Agreement
from ckptscope.resume.facts import Facts, IteratorFact, StepFact
from ckptscope.resume.loss import loss_of
from ckptscope.resume.model import EpochRange, Loss
from ckptscope.resume.neighbours import Neighbour
from ckptscope.resume.recorded import RecordedPlace
from tests.resume.rules.iterators import AT_0, at, at_7, iterator
from tests.resume.rules.rows_input_checkpoints import partner

SIZES = Hints(batch_size=4, epoch_size=40)
DAMAGED = (Damage("data", "run/ckpt-7.data-00000-of-00001", "kernel", 0, "cut off"),)
ABSENT = (MissingKey("bias", "graph", "the object graph names it"),)
NEIGHBOUR = (Neighbour("ckpt-5"),)
SHUFFLE = (SeedProof("Iterator::Shuffle", "shuffle", "proven", "its seed is 42", None),)


def reading(epoch_size: int | None = 40, **progress: object) -> Reading:
    """Batches of 4 examples."""
    plain = Progress(Tally(), Tally(size=epoch_size), batched=True, batch_size=4)
    counted = replace(plain, **progress)  # type: ignore[arg-type]
    position = Position("stored", batch_size=4, epoch_size=epoch_size)
    return Reading(position, counted, True, False, ())


READING = reading()
# Three batches an epoch, the last of them of 2.
SHORT = reading(10, drops_remainder=False)


def ahead(batches: int | None = 2, delivered: int | None = 9, **more: object) -> Agreement:
    """Ahead of step 7."""
    plain = Agreement("ahead", batches, compared_with=7, delivered=delivered)
    return replace(plain, **more)  # type: ignore[arg-type]


def feeds(agreement: Agreement, read: Reading | None = READING, **more: object) -> Facts:
    """The training iterator at step 7."""
    return at_7(iterator(agreement, read=read), **more)


def skipped(*ranges: tuple[int, int, int]) -> Loss:
    return Loss(skipped=tuple(EpochRange(*item) for item in ranges))


def repeated(*ranges: tuple[int, int, int]) -> Loss:
    return Loss(repeated=tuple(EpochRange(*item) for item in ranges))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(feeds(ahead()), skipped((0, 28, 36)), id="two batches ahead"),
        pytest.param(feeds(ahead(4, 11)), skipped((0, 28, 40), (1, 0, 4)), id="across an epoch"),
        pytest.param(
            feeds(ahead(), hints=Hints(2, 16)), skipped((0, 14, 16), (1, 0, 2)), id="sizes given"
        ),
        pytest.param(feeds(ahead(), SHORT), skipped((2, 4, 10)), id="short batches end the epochs"),
        pytest.param(
            feeds(ahead(), reading(10, crosses_passes=True)),
            skipped((2, 8, 10), (3, 0, 6)),
            id="batches cross the ends of epochs",
        ),
        pytest.param(
            feeds(ahead(), reading(10)), None, id="whether short batches are dropped is not known"
        ),
        pytest.param(
            feeds(ahead(fetched_ahead="it is as far ahead in ckpt-5"), neighbours=NEIGHBOUR),
            skipped((0, 28, 36)),
            id="fetched at every save",
        ),
        pytest.param(
            feeds(ahead(), neighbours=NEIGHBOUR), None, id="an earlier resume may have skipped them"
        ),
        pytest.param(
            at(StepFact(1, "step", "own"), iterator(ahead(1, 1), read=reading(10))),
            skipped((0, 4, 8)),
            id="before the first short batch",
        ),
        pytest.param(
            at(StepFact(2, "step", "own"), iterator(ahead(1, 3), read=reading(10))),
            None,
            id="with the first short batch",
        ),
        pytest.param(
            feeds(ahead(), replace(READING, position=Position("stored", epoch_size=40))),
            None,
            id="batch size not known",
        ),
        pytest.param(feeds(ahead(7, 14)), None, id="twice the step"),
        pytest.param(feeds(ahead(6, 13)), skipped((0, 28, 40), (1, 0, 12)), id="less than twice"),
        pytest.param(feeds(ahead(None, None)), None, id="nobody knows by how many"),
        pytest.param(feeds(ahead(lost_before="ckpt-5")), None, id="skipped long ago"),
        pytest.param(feeds(ahead(not_training="of an evaluation")), None, id="another iterator"),
        pytest.param(feeds(Agreement("behind", 2)), None, id="behind"),
        pytest.param(feeds(Agreement("agrees")), None, id="in step"),
        pytest.param(feeds(ahead(), None), None, id="not decoded"),
        pytest.param(feeds(ahead(), reading(None)), None, id="size of an epoch not known"),
        pytest.param(feeds(ahead(), order_is_fixed=False), None, id="order not fixed"),
        pytest.param(feeds(ahead(), recorded=RecordedPlace(7)), None, id="recorded otherwise"),
        pytest.param(feeds(ahead(), damage=DAMAGED), None, id="damaged"),
        pytest.param(feeds(ahead(), absent=ABSENT), None, id="something is not stored"),
        pytest.param(at(StepFact(), iterator(ahead(), read=READING)), None, id="no step"),
        pytest.param(
            at_7(iterator(ahead(), read=READING), iterator(key="second")), None, id="two iterators"
        ),
    ],
)
def test_of_an_iterator_ahead(facts: Facts, expected: Loss | None) -> None:
    assert loss_of(facts) == expected


def hooked(other_step: int, **more: object) -> Facts:
    """An Estimator at step 7, and the input checkpoint of another step."""
    agreement = Agreement("agrees", compared_with=other_step)
    other = iterator(agreement, read=more.pop("read", READING), proofs=more.pop("proofs", ()))
    return at_7(
        **{
            "partners": (partner(other_step),),
            "partner_of_other_step": other,
            "hints": SIZES,
            **more,
        }
    )


def disagreeing() -> IteratorFact:
    """An iterator of an input checkpoint that is not in step with its number."""
    return iterator(Agreement("behind", 1, compared_with=5), read=READING)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(hooked(5), repeated((0, 20, 28)), id="earlier"),
        pytest.param(hooked(9), skipped((0, 28, 36)), id="later"),
        pytest.param(hooked(12), skipped((0, 28, 40), (1, 0, 8)), id="across an epoch"),
        pytest.param(
            hooked(5, read=SHORT, hints=Hints()),
            repeated((1, 8, 10), (2, 0, 4)),
            id="short batches end the epochs",
        ),
        pytest.param(hooked(5, hints=Hints(2, 16)), repeated((0, 10, 14)), id="sizes given"),
        pytest.param(hooked(5, read=reading(10), hints=Hints()), None, id="dropped or not"),
        pytest.param(
            hooked(5, read=reading(None), hints=Hints(batch_size=4)), None, id="no size of an epoch"
        ),
        pytest.param(hooked(5, order_is_fixed=False), None, id="order not fixed"),
        pytest.param(hooked(5, proofs=SHUFFLE), None, id="shuffled"),
        pytest.param(hooked(5, step=StepFact()), None, id="no step"),
        pytest.param(
            hooked(5, partner_of_other_step=disagreeing()), None, id="the partner disagrees"
        ),
        pytest.param(hooked(5, read=None), None, id="not decoded"),
    ],
)
def test_of_an_input_checkpoint(facts: Facts, expected: Loss | None) -> None:
    assert loss_of(facts) == expected


ONE_ITERATOR = RecordedPlace(7, 28, 0, 28, 4, 40, False, True, 7)
EACH_EPOCH = RecordedPlace(7, 68, 1, 28, 4, 40, True, True, 17)


def recorded(place: RecordedPlace, **more: object) -> Facts:
    """No iterator stored at step 7, and a recording."""
    return at_7(**{"recorded": place, **more})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(recorded(ONE_ITERATOR), repeated((0, 0, 28)), id="one iterator"),
        pytest.param(
            recorded(
                replace(ONE_ITERATOR, examples=68, epoch=1, batches_of_run=17),
                step=StepFact(17, "step", "own"),
            ),
            repeated((0, 0, 40), (1, 0, 28)),
            id="one iterator in its second epoch",
        ),
        pytest.param(recorded(EACH_EPOCH), repeated((1, 0, 28)), id="an iterator for each epoch"),
        pytest.param(
            recorded(replace(EACH_EPOCH, examples_into_epoch=40)), None, id="the end of an epoch"
        ),
        pytest.param(
            recorded(replace(EACH_EPOCH, examples_into_epoch=0)), None, id="the start of an epoch"
        ),
        pytest.param(recorded(replace(EACH_EPOCH, epoch=None)), None, id="epoch not known"),
        pytest.param(
            recorded(replace(ONE_ITERATOR, batches_of_run=9)), None, id="restarted before"
        ),
        pytest.param(recorded(replace(ONE_ITERATOR, examples=None)), None, id="no examples"),
        pytest.param(
            recorded(replace(ONE_ITERATOR, batches_of_run=None), step=StepFact()),
            None,
            id="neither step nor batches",
        ),
        pytest.param(
            at_7(iterator(), iterator(key="second"), recorded=EACH_EPOCH), None, id="iterators"
        ),
        pytest.param(recorded(EACH_EPOCH, step=AT_0), None, id="at step 0 of an epoch"),
        pytest.param(recorded(ONE_ITERATOR, step=StepFact()), None, id="no step"),
        pytest.param(
            recorded(replace(ONE_ITERATOR, iterator_per_epoch=None)),
            None,
            id="how often an iterator is made is not known",
        ),
        pytest.param(
            recorded(replace(ONE_ITERATOR, epoch_size=None)), None, id="size of an epoch not known"
        ),
        pytest.param(
            recorded(replace(ONE_ITERATOR, order_is_fixed=False)), None, id="order not fixed"
        ),
        pytest.param(
            recorded(replace(ONE_ITERATOR, order_is_fixed=None)), None, id="order not known"
        ),
        pytest.param(recorded(ONE_ITERATOR, data_index=("start_index", 28)), None, id="an index"),
        pytest.param(recorded(ONE_ITERATOR, partners=(partner(7),)), None, id="a partner"),
        pytest.param(recorded(ONE_ITERATOR, epoch_end=0), None, id="nothing is repeated"),
        pytest.param(recorded(ONE_ITERATOR, step=AT_0), None, id="at step 0"),
        pytest.param(recorded(ONE_ITERATOR, damage=DAMAGED), None, id="damaged"),
        pytest.param(at_7(hints=SIZES), None, id="an earlier restart cannot be excluded"),
        pytest.param(
            Facts(recorded=ONE_ITERATOR, step=StepFact(7, "step", "own")), None, id="no weights"
        ),
    ],
)
def test_of_a_recording(facts: Facts, expected: Loss | None) -> None:
    assert loss_of(facts) == expected
