import pytest

from ckptscope.checkpoint.optimizers import (
    OPTIMIZERS,
    SLOT_SETS,
    STATELESS_UPDATES,
    UNEVEN_SLOTS,
    canonical_slot,
    is_slot_name,
    sounds_like_slot,
    update_op,
)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("Adam", "m"),
        ("Adam_1", "v"),
        ("AdamW_1", "v"),
        ("momentums", "m"),
        ("velocities", "v"),
        ("Adagrad", "accumulator"),
        ("Ftrl", "accumulator"),
        ("Ftrl_1", "linear"),
        ("RMSProp", "rms"),
        ("RMSProp_1", "momentum"),
        ("Adadelta_1", "accum_var"),
        ("accumulated_grads", "accum_grad"),
        ("momentum", "momentum"),
        ("rms", "rms"),
        ("My_slot", "my_slot"),
    ],
)
def test_one_name_for_a_slot(name, same):
    assert canonical_slot(name) == same


@pytest.mark.parametrize(
    ("name", "is_one", "sounds_so"),
    [
        ("Adam", True, True),
        ("Adam_2", True, True),
        ("adam_m", True, True),
        ("AdamG_1", False, True),
        ("momentum", True, True),
        ("kernel", False, False),
        ("bias_1", False, False),
    ],
)
def test_names_of_slots(name, is_one, sounds_so):
    assert is_slot_name(name) is is_one
    assert sounds_like_slot(name) is sounds_so


@pytest.mark.parametrize(
    ("op", "slots", "rate"),
    [
        ("ApplyAdam", (1, 2), 5),
        ("ResourceApplyAdam", (1, 2), 5),
        ("ResourceSparseApplyFtrl", (1, 2), 5),
        ("ResourceApplyFtrl", (1, 2), 4),
        ("SparseApplyAdagrad", (1,), 2),
        ("ApplyGradientDescent", (), 1),
    ],
)
def test_update_ops(op, slots, rate):
    found = update_op(op)
    assert found is not None
    assert (found.slots, found.rate) == (slots, rate)


def test_unknown_update():
    assert update_op("ApplySomethingElse") is None


def test_lists_made_from_the_table():
    assert {"ApplyGradientDescent", "ApplyProximalGradientDescent"} == STATELESS_UPDATES
    assert {("Adam", "Adam_1"), ("Ftrl", "Ftrl_1"), ("adam_m", "adam_v")} <= set(SLOT_SETS)
    assert not any("Momentum" in names for names in SLOT_SETS)
    assert {"r", "c", "adam_momentums"} <= UNEVEN_SLOTS
    assert not {"m", "v", "momentums"} & UNEVEN_SLOTS
    assert len({row.title for row in OPTIMIZERS}) == len(OPTIMIZERS)
