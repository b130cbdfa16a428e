"""How examples lie in batches, and what follows for counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.iterator.progress import BatchLayout, Progress, Tally


def batches_of(layout: BatchLayout, passes: int) -> list[tuple[int, int, int]]:
    """(examples in all, pass, examples of that pass) after each batch, one example at a time."""
    rows, held = [], 0
    for turn in range(passes):
        for example in range(1, layout.per_pass + 1):
            held += 1
            if held == layout.size or (example == layout.per_pass and not layout.crosses_passes):
                rows.append((turn * layout.per_pass + example, turn, example))
                held = 0
    return rows


@given(st.integers(1, 9), st.integers(1, 30), st.booleans(), st.integers(1, 4))
def test_layouts_against_counting(size, per_pass, crosses, passes):
    layout = BatchLayout(size, per_pass, crosses_passes=crosses)
    for number, row in enumerate(batches_of(layout, passes), 1):
        tally = layout.after(number)
        assert (tally.total, tally.passes, tally.into) == row


@pytest.mark.parametrize(
    ("layout", "alternatives"),
    [
        (BatchLayout(8, 50), {50, 48}),
        (BatchLayout(8, 50, drops_remainder=False), {50}),
        (BatchLayout(8, 48), {48}),
        (BatchLayout(8), {None}),
        (BatchLayout(8, 50, crosses_passes=True), {50}),
    ],
)
def test_a_short_batch_may_be_dropped(layout, alternatives):
    assert {other.per_pass for other in layout.alternatives()} == alternatives


@pytest.mark.parametrize(
    ("within", "size", "batch", "batches", "agrees"),
    [
        (1376, 5000, 32, 200, True),  # 157 batches a pass, the last of 8
        (1376, 5000, 32, 201, False),
        (24, 50, 8, 17, True),  # 7 batches a pass
        (40, 50, 8, 17, True),  # 6 batches a pass, the rest dropped
        (32, 50, 8, 17, False),
        (50, 50, 8, 7, True),
        (0, 50, 8, 0, True),
    ],
)
def test_passes_that_are_not_counted(within, size, batch, batches, agrees):
    """TensorFlow 1.15 to 2.11: batches below a repeat that keeps no count."""
    progress = Progress(
        Tally(),
        Tally(None, None, within, size),
        batched=True,
        batch_size=batch,
        repeated=True,
    ).completed()
    assert any(tally.into == within for tally in progress.after(batches)) == agrees


def test_batches_made_of_a_repeated_stream_cross_its_passes():
    stream = Progress(Tally(100), Tally(100, 2, 20, 40), repeated=True)
    assert stream.made_batches(8).batches_span_passes
    assert not Progress.of(Tally.single_pass(20, 40)).made_batches(8).batches_span_passes
