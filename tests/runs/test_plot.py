"""What a plot of a run shows, against runs whose every step is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.recording.columns import UNKNOWN
from ckptscope.recording.model import Start
from ckptscope.recording.positions import positions_of
from ckptscope.runs.plot import position_plot
from ckptscope.runs.thinning import thinned
from tests.runs.made import BATCH, EPOCH, FRESH, at, files, only_run, record, restarted


def columns(line):
    return list(zip(line.positions.step.tolist(), line.y.tolist(), strict=True))


def test_a_run_without_restarts(tmp_path):
    record(tmp_path, range(1, 26), saves=[10, 20])
    plot = position_plot(only_run(tmp_path))
    (line,) = plot.lines
    assert columns(line) == [(step, step * BATCH) for step in range(26)]
    assert plot.epochs == ((1, 10.0), (2, 20.0))
    assert [(mark.x, mark.y, mark.id) for mark in plot.checkpoints] == [
        (10, 40, None),
        (20, 80, None),
    ]
    assert (plot.restarts, plot.bands, plot.extent, plot.num_steps, plot.is_thinned) == (
        (),
        (),
        (0, 25),
        25,
        False,
    )


@pytest.mark.parametrize(
    ("start", "label", "bands"),
    [
        (at(80), "in place", []),
        (FRESH, "↺ 20 repeated", [("repeated", "x", 20.0, 25.0)]),
        (at(60), "↺ 20 repeated", [("repeated", "x", 20.0, 25.0)]),
        (at(100), "⇥ 20 skipped", [("skipped", "y", 80.0, 100.0)]),
        # Behind the place by less than what was trained after it: some steps repeat, the others go
        # on.
        (at(72), "↺ 8 repeated", [("repeated", "x", 20.0, 22.0)]),
        (Start(reason="no idea"), "loss not known", []),
        (at(76), "↺ 4 repeated", [("repeated", "x", 20.0, 21.0)]),
    ],
)
def test_restarts_and_their_bands(tmp_path, start, label, bands):
    restarted(tmp_path, 20, 23, 25, start)
    plot = position_plot(only_run(tmp_path))
    (mark,) = plot.restarts
    assert (mark.cost.label, mark.cost.number, mark.x) == (label, 2, 20.0)
    assert [(band.kind, band.axis, band.start, band.stop) for band in plot.bands] == bands
    if start.examples is not None:
        assert mark.y == start.examples
        assert columns(plot.lines[1])[0] == (20, start.examples)


def test_lost_steps_are_shown_only_where_all_reads_are_asked_for(tmp_path):
    restarted(tmp_path, 20, 23, 25, at(80))
    run = only_run(tmp_path)
    kept = position_plot(run)
    assert [(line.number, line.part, int(line.positions.step[-1])) for line in kept.lines] == [
        (1, "kept", 20),
        (2, "kept", 25),
    ]
    every = position_plot(run, reads="all")
    assert [(line.number, line.part) for line in every.lines] == [
        (1, "kept"),
        (1, "lost"),
        (2, "kept"),
    ]
    assert every.lines[1].positions.step.tolist() == [20, 21, 22, 23]
    assert (kept.num_drawn, every.num_drawn) == (25, 28)


def test_units(tmp_path):
    restarted(tmp_path, 15, 17, 20, at(100), files=files(16, 24))
    run = only_run(tmp_path)
    epoch = position_plot(run, y="epoch")
    assert epoch.lines[0].y.tolist() == [step / 10 for step in range(16)]
    assert [(band.start, band.stop) for band in epoch.bands] == [(1.5, 2.5)]
    into = position_plot(run, y="record")
    assert into.lines[0].y.max() == EPOCH
    assert into.ticks == ((0, "part-0"), (16, "part-1"))
    # The skipped part lies in two epochs: 60..79 and 80..99.
    assert into.bands == () and "several epochs" in into.notes[0]
    line = into.lines[0]
    steps = line.positions.step.tolist()
    assert (line.file[steps.index(4)], line.record[steps.index(4)]) == (1, 0)
    assert (line.file[steps.index(10)], line.record[steps.index(10)]) == (
        0,
        0,
    )  # the next pass begins
    assert into.files == ("/data/part-0", "/data/part-1")


def test_time_is_that_of_the_steps(tmp_path):
    first, second = restarted(tmp_path, 20, 23, 25, FRESH)
    run = only_run(tmp_path)
    plot = position_plot(run, x="time")
    assert (
        plot.lines[0].x[1:].tolist()
        == (run.attempt(first).columns["wall_time_ms"][:20] / 1000).tolist()
    )
    assert plot.restarts[0].x == run.attempt(second).attempt.started_s
    (band,) = plot.bands
    assert plot.restarts[0].x - 0.01 <= band.start <= band.stop == plot.lines[1].x[-1]


def test_what_is_not_known_is_said(tmp_path):
    record(tmp_path, range(1, 5), start=Start(reason="the iterator was not given"))
    plot = position_plot(only_run(tmp_path))
    assert plot.reason is not None and "the iterator was not given" in plot.reason
    assert np.isnan(plot.lines[0].y).all()


def test_epochs_of_their_own_iterators(tmp_path):
    """As ``fit`` counts: each epoch begins with an iterator of its own."""
    import time

    from ckptscope.recording.model import Attempt
    from ckptscope.recording.recorder import Recorder, new_id

    attempt = Attempt(
        new_id(),
        time.time(),
        start=FRESH,
        counting="epochs",
        batch_size=4,
        epoch_size=12,
        order="fixed",
    )
    with Recorder(str(tmp_path), attempt, flush_interval_s=0.02) as recorder:
        for epoch in (2, 3):
            recorder.epoch(epoch)
            for batch in range(3):
                recorder.step(epoch * 3 + batch + 1)
    (line,) = position_plot(only_run(tmp_path), y="epoch").lines
    assert line.y.tolist() == pytest.approx([2, 2 + 1 / 3, 2 + 2 / 3, 3, 3 + 1 / 3, 3 + 2 / 3, 4])


def test_zoom_gives_every_step_in_view_and_keeps_the_rest(tmp_path):
    record(tmp_path, range(1, 30_001), epoch_size=1000, batch_size=32)
    run = only_run(tmp_path)
    whole = position_plot(run, points=400)
    assert whole.is_thinned and whole.num_points < 4000
    zoomed = position_plot(run, points=400, visible=(10_000, 10_150))
    steps = zoomed.lines[0].positions.step
    assert set(range(10_000, 10_151)) <= set(steps.tolist())
    assert (steps[0], steps[-1]) == (0, 30_000)
    assert position_plot(run, points=400, visible=(5e6, 6e6)).num_points > 0


def test_an_evaluation_is_not_part_of_the_run(tmp_path):
    record(tmp_path, range(1, 11))
    record(tmp_path, range(1, 4), kind="eval")
    run = only_run(tmp_path)
    assert [line.kind for line in position_plot(run).lines] == ["train"]
    assert [(line.kind, line.label) for line in position_plot(run, reads="all").lines] == [
        ("train", "attempt 1"),
        ("eval", "attempt 2 (eval)"),
    ]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
    st.integers(0, 400),
    st.integers(0, 400),
    st.integers(2, 40),
    st.lists(st.integers(0, 399), max_size=6),
)
def test_thinning_keeps_extremes_ends_and_events(values, first, last, most, keep):
    array = np.array(values)
    wanted = np.array([row for row in keep if row < len(values)], np.int64)
    rows = thinned(array, (min(first, last), max(first, last)), most, wanted, 8)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert set(wanted.tolist()) <= set(rows.tolist()) <= set(range(len(values)))
    assert {0, len(values) - 1} <= set(rows.tolist())
    assert array[rows].min() == array.min() and array[rows].max() == array.max()
    assert len(rows) <= most * 2 + 8 * 2 + 16 + len(wanted)


def test_a_million_steps_and_twenty_restarts_lose_no_event(tmp_path):
    from ckptscope.runs.restarts import RestartCost

    steps, each = 1_000_000, 50_000
    last = None
    for number in range(20):
        begin = number * each
        start = FRESH if number % 2 else at(begin * 32, 50_000, 32)
        facts = (
            {}
            if last is None
            else {
                "parent": last,
                "restored_step": begin,
                "restored_from": str(tmp_path / f"ckpt-{begin}"),
            }
        )
        end = steps if number == 19 else begin + each + 500
        last = record(
            tmp_path,
            range(begin + 1, end + 1),
            start=start,
            saves=[begin + each],
            batch_size=32,
            epoch_size=50_000,
            **facts,
        )
    plot = position_plot(only_run(tmp_path))
    assert len(plot.restarts) == 19 and all(
        isinstance(mark.cost, RestartCost) and mark.x == mark.cost.restart.step
        for mark in plot.restarts
    )
    drawn = {(line.number, int(step)) for line in plot.lines for step in line.positions.step}
    for mark in plot.restarts:
        assert (mark.cost.number, mark.cost.restart.step) in drawn
        assert (mark.cost.parent_number, mark.cost.restart.step) in drawn
    assert plot.num_points < 12_000
    assert {band.restart for band in plot.bands} >= set(range(2, 21, 2))


def test_columns_agree_with_positions(tmp_path):
    identity = record(tmp_path, range(1, 200))
    run = only_run(tmp_path)
    positions = positions_of(run.attempt(identity))
    (line,) = position_plot(run).lines
    for name in ("step", "batches", "examples", "epoch", "into"):
        assert getattr(line.positions, name)[1:].tolist() == getattr(positions, name).tolist()
    assert UNKNOWN not in line.positions.batches


def test_bands_of_steps_that_are_lost_are_not_among_the_effective(tmp_path):
    """The second attempt starts its data over, and is itself given up half-way: the third goes
    on from its step 24.
    """
    first = record(tmp_path, range(1, 24), saves=[20])
    second = record(
        tmp_path, range(21, 30), restored_step=20, parent=first, saves=[24], start=FRESH
    )
    record(tmp_path, range(25, 30), restored_step=24, parent=second, start=at(16))
    run = only_run(tmp_path)
    assert [(band.restart, band.start, band.stop) for band in position_plot(run).bands] == [
        (2, 20.0, 24.0),
        (3, 24.0, 29.0),
    ]
    assert [
        (band.restart, band.start, band.stop) for band in position_plot(run, reads="all").bands
    ] == [
        (2, 20.0, 29.0),
        (3, 24.0, 29.0),
    ]


def test_a_restart_that_was_itself_given_up_keeps_its_mark(tmp_path):
    first = record(tmp_path, range(1, 24), saves=[15, 20])
    record(tmp_path, range(21, 30), restored_step=20, parent=first, start=FRESH)
    record(tmp_path, range(16, 30), restored_step=15, parent=first, start=at(60))
    plot = position_plot(only_run(tmp_path))
    assert [mark.cost.label for mark in plot.restarts] == ["↺ 36 repeated", "in place"]
    assert plot.bands == ()


def test_in_place_after_a_restart_that_was_not(tmp_path):
    """The third attempt goes on exactly; that it reads what was read before is the second one's
    doing.
    """
    first = record(tmp_path, range(1, 24), saves=[20])
    second = record(
        tmp_path, range(21, 26), restored_step=20, parent=first, saves=[24], start=FRESH
    )
    third = record(
        tmp_path, range(25, 30), restored_step=24, parent=second, start=at(16), saves=[29]
    )
    record(tmp_path, range(30, 33), restored_step=29, parent=third, start=at(60))
    costs = only_run(tmp_path).costs
    assert [(cost.label, cost.restart.moved) for cost in costs] == [
        ("↺ 20 repeated", -80),
        ("in place, ↺ 20 read again", 0),
        ("⇥ 24 ahead, ↺ 12 read again", 24),
    ]
    assert (
        "in place; 1 step lost. It read 20 examples "
        "again, as an earlier restart made it" in costs[1].text
    )
    assert "24 examples ahead of that place" in costs[2].text
