"""Nothing untrue is told of runs that are less simple: several hosts, dropped batches, unknown
sizes, odd recordings.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ckptscope as cs
from ckptscope.formats.event_file import RecordedBytes, bytes_record, version_record
from ckptscope.recording.lineage import effective
from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.notes import attempt_from, checkpoint_from
from ckptscope.recording.recorder import Recorder, new_id
from ckptscope.report import make_report
from ckptscope.runs.coverage import coverage_table
from ckptscope.runs.moment import moment_of
from ckptscope.runs.places import runs_of, search
from ckptscope.runs.plot import position_plot
from ckptscope.runs.reading import Known, read_all, read_run
from ckptscope.runs.summary import summary_of
from tests import samples
from tests.runs.made import FRESH, at, attempts_of, files, only_run, pieces_of, record, restarted

# ------------------------------------------------------------ who
# reads what


def test_an_evaluation_repeats_nothing(tmp_path):
    record(tmp_path, range(1, 26), saves=[20])
    record(
        tmp_path,
        range(21, 26),
        kind="eval",
        restored_from=str(tmp_path / "ckpt-20"),
        restored_step=20,
    )
    run = only_run(tmp_path)
    assert run.history.restarts == () and position_plot(run, reads="all").bands == ()
    assert summary_of(run).num_repeated == 0


def test_hosts_are_lanes_of_their_own(tmp_path):
    """Two hosts, each with its share of the data; the checkpoint is written by the first."""
    for process in (0, 1):
        record(tmp_path, range(1, 13), saves=[10] if process == 0 else [], process=process, hosts=2)
    for process in (0, 1):
        record(
            tmp_path,
            range(11, 15),
            process=process,
            hosts=2,
            restored_from=str(tmp_path / "ckpt-10"),
            restored_step=10,
            start=at(40),
        )
    run = only_run(tmp_path)
    processes = {found.attempt.id: found.attempt.process for found in run.history.attempts}
    assert [(processes[r.attempt], processes[r.parent]) for r in run.history.restarts] == [
        (0, 0),
        (1, 1),
    ]
    assert [cost.label for cost in run.costs] == ["in place", "in place"]
    assert [
        (line.number, line.part, int(line.positions.step[-1])) for line in position_plot(run).lines
    ] == [
        (1, "kept", 10),
        (2, "kept", 10),
        (3, "kept", 14),
        (4, "kept", 14),
    ]
    assert "host 1" in position_plot(run).lines[1].label
    table = coverage_table(run)
    assert table.cells == () and "2 hosts" in str(table.reason)
    assert run.history.coverage() == ()


def test_an_attempt_that_has_only_begun_changes_nothing(tmp_path):
    record(tmp_path, range(1, 13))
    record(tmp_path, ())
    run = only_run(tmp_path)
    assert [rows for _, rows in effective(run.history.attempts)] == [12]
    assert [(line.number, line.part) for line in position_plot(run, reads="all").lines] == [
        (1, "kept")
    ]


def test_a_parent_whose_last_steps_were_not_written(tmp_path):
    record(tmp_path, range(1, 11))
    record(tmp_path, range(16, 20), restored_step=15, start=at(60))
    (cost,) = only_run(tmp_path).costs
    assert (
        cost.label == "loss not known"
        and "were not written" in cost.text
        and "as its steps suggest" in cost.text
    )


def test_steps_that_come_again_in_one_attempt(tmp_path):
    identity = record(tmp_path, [*range(1, 11), *range(1, 6)])
    moment = moment_of(only_run(tmp_path), identity, 9)
    assert (moment.step, moment.batches) == (9, 9)


def test_directories_of_one_step_each_are_told_apart(tmp_path):
    """All checkpoints have one name; what counts is where they are."""
    attempt = Attempt(
        new_id(), time.time(), start=FRESH, batch_size=4, epoch_size=40, spans=True, order="fixed"
    )
    with Recorder(str(tmp_path), attempt, flush_interval_s=0.02) as recorder:
        for step in range(1, 31):
            recorder.step(step)
            if step % 10 == 0:
                recorder.saved(str(tmp_path / str(step) / "ckpt"), step)
    record(
        tmp_path,
        range(11, 15),
        restored_from=str(tmp_path / "10" / "ckpt"),
        restored_step=10,
        start=at(40),
    )
    (cost,) = only_run(tmp_path).costs
    assert (cost.label, cost.restart.dead_steps) == ("in place", 20)


# ------------------------------------------------------------ sizes
# and units


def test_batches_that_a_pass_drops_are_not_skipped(tmp_path):
    """42 examples in batches of 4, the short one dropped: a pass delivers 40, and nobody lost
    the other two.
    """
    facts = {"epoch_size": 42, "drops": True, "spans": False, "files": files(20, 22)}
    # What a decoder counts may hold the dropped batch; the place in the pass does not.
    restarted(tmp_path, 22, 24, 40, Start(24, 92, 2, 8, "decoded"), **facts)
    run = only_run(tmp_path)
    assert [cost.label for cost in run.costs] == ["in place"]
    plot = position_plot(run)
    assert plot.lines[0].y[-1] == plot.lines[1].y[0] == plot.restarts[0].y == 88
    assert plot.lines[1].y[1] == 92
    assert [
        (cell.status, cell.num_unread) for cell in coverage_table(run).cells if cell.epoch < 3
    ] == [("once", 0)] * 6
    line = position_plot(run, y="record").lines[0]
    end = line.positions.step.tolist().index(10)
    assert (line.file[end], line.record[end]) == (0, 0)


def test_explicit_examples_with_dropped_batches(tmp_path):
    attempt = Attempt(
        new_id(), time.time(), start=FRESH, batch_size=4, epoch_size=42, drops=True, order="fixed"
    )
    with Recorder(str(tmp_path), attempt, flush_interval_s=0.02) as recorder:
        for step in range(1, 32):
            recorder.step(step, examples=4)
    moment = moment_of(only_run(tmp_path), attempt.id, 31)
    assert (moment.epoch, moment.examples_into_epoch) == (3, 4)


def test_without_the_size_of_an_epoch_no_epoch_is_told(tmp_path):
    first, _ = restarted(tmp_path, 20, 23, 30, FRESH, epoch_size=None)
    run = only_run(tmp_path)
    moment = moment_of(run, first, 20)
    assert (moment.examples, moment.epoch, moment.examples_into_epoch) == (80, None, None)
    assert moment.reason == "the size of an epoch is not known" == coverage_table(run).reason
    assert (
        position_plot(run, y="record").reason is not None
        and position_plot(run, y="epoch").reason is not None
    )
    (cost,) = run.costs
    assert (cost.num_repeated, cost.restart.moved, cost.repeat_steps) == (40, -80, (21, 30))
    assert "examples 0..39 of the stream" in cost.text
    assert position_plot(run).lines[0].y[-1] == 80


def test_a_recording_that_begins_within_an_epoch_does_not_know_where_it_began(tmp_path):
    record(tmp_path, range(16, 26), start=at(60))
    assert position_plot(only_run(tmp_path)).epochs == ((2, 20.0),)


def test_steps_in_tens(tmp_path):
    """``steps_per_execution=10``: the first row is step 10, and the run began at 0."""
    attempt = Attempt(
        new_id(), time.time(), start=FRESH, batch_size=4, epoch_size=40, spans=True, order="fixed"
    )
    with Recorder(str(tmp_path), attempt, flush_interval_s=0.02) as recorder:
        for step in range(10, 60, 10):
            recorder.step(step, batches=10)
    run = only_run(tmp_path)
    assert run.history.attempts[0].attempt.restored_step is None
    (line,) = position_plot(run).lines
    assert (line.x[0], line.y[0]) == (0, 0)


def test_a_restart_has_one_number_in_plot_and_table(tmp_path):
    first = record(tmp_path, range(1, 24), saves=[20])
    second = record(
        tmp_path, range(21, 30), restored_step=20, parent=first, saves=[24], start=FRESH
    )
    third = record(
        tmp_path, range(25, 27), restored_step=24, parent=second, start=at(100), saves=[26]
    )
    record(tmp_path, range(27, 32), restored_step=26, parent=third, start=at(80))
    plot = position_plot(only_run(tmp_path))
    # Four of nine steps survive; then 20 examples were passed over, all of which the last attempt
    # came back for.
    assert [(band.restart, band.label) for band in plot.bands if band.kind == "repeated"] == [
        (2, "↺ 36 repeated")
    ]
    assert [mark.label for mark in plot.restarts] == [cost.label for cost in plot_costs(tmp_path)]
    assert [band for band in plot.bands if band.kind == "skipped"] == []
    assert [cost.num_skipped for cost in plot_costs(tmp_path)] == [0, 20, 0]
    first_cost = plot_costs(tmp_path)[0]
    assert (first_cost.num_repeated_kept, first_cost.num_repeated) == (16, 36)


def plot_costs(directory):
    return only_run(directory).costs


def test_a_moment_does_not_name_a_checkpoint_of_lost_steps(tmp_path):
    run = samples.copy("manager_run_221", tmp_path)
    record(run, range(1, 11), saves=[4, 8])
    second = record(
        run, range(5, 12), restored_from=str(run / "ckpt-4"), restored_step=4, start=at(16)
    )
    moment = moment_of(only_run(run), second, 10)
    assert moment.checkpoint is not None and moment.checkpoint.step == 4


# ------------------------------------------------------------ verdicts stay current


@pytest.mark.parametrize("change", ["data", "record", "meta", "partner"])
def test_a_verdict_follows_everything_that_it_rests_on(tmp_path, change):
    """The index is not all: data, run records and partners may come, change and go later."""
    name = {"partner": "estimator_hook_215", "meta": "saver_iterator_115"}.get(
        change, "manager_run_221"
    )
    directory = samples.copy(name, tmp_path)
    late = {"data": "*.data-*", "meta": "*.meta", "partner": "input*"}.get(change)
    kept = tmp_path / "kept"
    kept.mkdir()
    if late is not None:
        for path in list(directory.glob(late)):
            shutil.move(path, kept / path.name)
    (place,) = [
        item for item in runs_of(search(str(tmp_path)), {}) if item.directory == str(directory)
    ]
    known = Known()
    read_run(place, str(tmp_path), known)
    if late is None:
        (directory / "ckpt-8.ckptscope.json").write_text("{}")
    for path in kept.iterdir():
        shutil.copy2(path, directory / path.name)
    assert read_run(place, str(tmp_path), known).history.rows == cs.history(str(directory)).rows


def test_a_data_file_that_vanishes_is_seen(tmp_path):
    directory = samples.copy("manager_run_221", tmp_path)
    (place,) = runs_of(search(str(tmp_path)), {})
    known = Known()
    assert read_run(place, str(tmp_path), known).checkpoints[1].row.verdict == "exact"
    (directory / "ckpt-8.data-00000-of-00001").unlink()
    assert read_run(place, str(tmp_path), known).checkpoints[1].row.verdict == "impossible"


# ------------------------------------------------------------ odd
# recordings


def write_recording(
    directory: Path, header: dict, notes: dict[str, dict] | None = None, name: str = "abc"
) -> None:
    (directory / "ckptscope").mkdir(parents=True)
    with open(directory / "ckptscope" / f"events.out.tfevents.1.host.1.{name}.1", "wb") as file:
        file.write(version_record(1.0))
        file.write(
            bytes_record(
                RecordedBytes(f"ckptscope/run/{name}", 0, 1.0, json.dumps(header).encode())
            )
        )
        for kind, note in (notes or {}).items():
            file.write(
                bytes_record(
                    RecordedBytes(f"ckptscope/{kind}/{name}/0", 1, 1.0, json.dumps(note).encode())
                )
            )


HEADER = {
    "id": "abc",
    "started_s": 1.0,
    "batch_size": 4,
    "epoch_size": 40,
    "start": {"batches": 0, "examples": 0, "epoch": 0, "into": 0},
}
NOTE = {"path": "/x/ckpt-1", "step": 1, "attempt": "abc", "sequence": 0, "wall_time_s": 1.0}
ODD = [
    ({"started_s": "x"}, {}),
    ({"started_s": None}, {}),
    ({"started_s": math.nan}, {}),
    ({"schema": "2"}, {}),
    ({"restored_from": 5}, {}),
    ({"start": {"batches": "a"}}, {}),
    ({"start": 7}, {}),
    ({"batch_size": 0}, {}),
    ({"batch_size": "4"}, {}),
    ({"batch_size": 1 << 70}, {}),
    ({"batch_size": -4}, {}),
    ({"epoch_size": 0}, {}),
    ({"files": "x"}, {}),
    ({"files": [1, {"path": 2}]}, {}),
    ({"id": "another"}, {}),
    ({"parent": "abc"}, {}),
    ({"parent": ["x"]}, {}),
    ({"process": "0"}, {}),
    ({"kind": None}, {}),
    ({"order": 3}, {}),
    ({}, {"ckpt": {**NOTE, "attempt": "nobody"}}),
    ({}, {"ckpt": {**NOTE, "sequence": -3}}),
    ({}, {"ckpt": {**NOTE, "step": "1"}}),
    ({}, {"ckpt": {**NOTE, "decoded": [1]}}),
    ({}, {"ckpt": {**NOTE, "decoded": {"epoch": "x"}}}),
    ({}, {"ckpt": {"path": "x"}}),
    ({}, {"ckpt": {**NOTE, "wall_time_s": math.inf}}),
    ({}, {"gap": {"first": 1}}),
    ({}, {"state": {"step": "x", "decoded": 3}}),
    ({}, {"ckpt": {**NOTE, "path": "a\0b"}}),
    ({}, {"ckpt": {**NOTE, "path": "\ud800"}}),
    ({"restored_from": "\udfff"}, {}),
    ({}, {"raw": {"when": "start", "files": 3}}),
    ({}, {"ckpt": {**NOTE, "verdict": 7}}),
]


@pytest.mark.parametrize(("header", "notes"), ODD)
def test_one_odd_recording_hides_no_other(tmp_path, header, notes):
    write_recording(tmp_path / "odd", {**HEADER, **header}, notes)
    record(tmp_path / "good", range(1, 5))
    runs = {run.name: run for run in read_all(search(str(tmp_path)))}
    assert summary_of(runs["good"]).num_steps == 4
    for y in ("examples", "epoch", "record"):
        position_plot(runs["odd"], y=y, reads="all")
    coverage_table(runs["odd"]), summary_of(runs["odd"])
    assert make_report(str(tmp_path)).num_runs == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *HEADER,
                "kind",
                "files",
                "parent",
                "process",
                "restored_step",
                "order",
                "drops",
                "spans",
            ]
        ),
        JSON,
    )
)
def test_any_header_becomes_an_attempt(value):
    problems: list[str] = []
    made = attempt_from(value, "x", problems)
    assert (
        made.id == "x" and isinstance(made.started_s, int | float) and math.isfinite(made.started_s)
    )
    assert made.batch_size is None or made.batch_size > 0
    assert isinstance(made.start, Start) and isinstance(made.process, int)


@given(st.dictionaries(st.sampled_from(list(NOTE) + ["verdict", "decoded"]), JSON))
def test_any_note_becomes_a_checkpoint_or_a_problem(value):
    problems: list[str] = []
    made = checkpoint_from(value, "abc", problems)
    assert (made is None and problems) or (
        made is not None and made.attempt == "abc" and made.sequence >= 0
    )


def test_columns_of_any_size(tmp_path):
    from ckptscope.recording.columns import Chunk, encode

    write_recording(tmp_path, HEADER)
    values = np.array([1, 1 << 61, -5, (1 << 62) + 7], np.int64)
    chunk = encode(
        Chunk(
            "abc",
            0,
            dict.fromkeys(("step", "epoch", "batches", "examples", "wall_time_ms"), values),
        )
    )
    with open(tmp_path / "ckptscope" / "events.out.tfevents.1.host.1.abc.1", "ab") as file:
        file.write(bytes_record(RecordedBytes("ckptscope/pos/abc/0", 1, 1.0, chunk)))
    with np.errstate(all="ignore"):
        run = only_run(tmp_path)
        position_plot(run, reads="all"), coverage_table(run), summary_of(run)


def test_names_that_are_no_text(tmp_path):
    directory = Path(os.fsdecode(os.fsencode(tmp_path) + b"/run\xff"))
    shutil.copytree(samples.ROOT / "manager_run_221", directory)
    for path in list(directory.glob("ckpt-8.*")):
        path.rename(Path(os.fsdecode(os.fsencode(path).replace(b"ckpt-8", b"ck\xff-8"))))
    (run,) = read_all(search(str(tmp_path)))
    assert run.name == "run\\xff"
    html = make_report(str(tmp_path)).html
    assert "run\\\\xff" in html and html.encode("utf-8")


# ------------------------------------------------------------ places


def test_numbered_directories_of_which_some_hold_several_checkpoints_are_runs(tmp_path):
    from tests.runs.test_places import put

    put(tmp_path / "run" / "10", "ckpt")
    put(tmp_path / "run" / "20", "ckpt-1", "ckpt-2")
    runs = list(read_all(search(str(tmp_path))))
    assert sorted((run.name, len(run.checkpoints)) for run in runs) == [
        ("run/10", 1),
        ("run/20", 2),
    ]
    record(tmp_path / "run", range(1, 3))
    (run,) = read_all(search(str(tmp_path)))
    assert len(run.checkpoints) == 3 == len({row.id for row in run.checkpoints})


def test_a_directory_of_recordings_that_also_holds_checkpoints(tmp_path):
    from tests.runs.test_places import put

    record(tmp_path, range(1, 3))
    put(tmp_path / "ckptscope", "ckpt-1")
    (run,) = read_all(search(str(tmp_path)))
    assert len(run.checkpoints) == 1


def test_neighbours_are_those_of_a_directory(tmp_path):
    """A copy of the best one elsewhere is no step of the run."""
    directory = samples.copy("manager_run_221", tmp_path)
    record(directory, range(1, 3))
    shutil.copytree(samples.ROOT / "manager_run_221", directory / "best")
    run = only_run(directory)
    assert [row.row.batches_moved for row in run.checkpoints] == [None, None, 4, 4, 4, 4]
    assert [row.source for row in run.checkpoints] == ["disk"] * 6


def test_a_copy_with_the_same_name_is_not_what_was_recorded(tmp_path):
    directory = samples.copy("manager_run_221", tmp_path)
    record(directory, range(1, 13), saves=[4, 8, 12])
    (directory / "best").mkdir()
    for path in directory.glob("ckpt-8.*"):
        shutil.copy(path, directory / "best" / path.name)
    told = {
        os.path.relpath(row.row.path, directory): row.source
        for row in only_run(directory).checkpoints
    }
    assert told == {"ckpt-4": "both", "ckpt-8": "both", "ckpt-12": "both", "best/ckpt-8": "disk"}


def test_partners_that_lie_elsewhere_are_not_opened(tmp_path):
    outside = samples.copy("estimator_hook_215", tmp_path / "outside")
    root = samples.copy("estimator_hook_215", tmp_path / "root")
    for path in list(root.glob("input*")):
        path.unlink()
        os.symlink(outside / path.name, path)
    (run,) = read_all(search(str(tmp_path / "root")))
    assert run.checkpoints == () and "outside of the directory" in run.problems[0]


def test_event_files_that_lie_elsewhere_are_not_read(tmp_path):
    record(tmp_path / "outside", range(1, 5))
    (tmp_path / "root" / "run" / "ckptscope").mkdir(parents=True)
    (event_file,) = (tmp_path / "outside" / "ckptscope").iterdir()
    os.symlink(event_file, tmp_path / "root" / "run" / "ckptscope" / event_file.name)
    (run,) = read_all(search(str(tmp_path / "root")))
    assert run.history.attempts == ()


def test_a_prefix_is_not_taken_for_the_directory_of_that_name(tmp_path):
    directory = samples.copy("manager_run_221", tmp_path)
    shutil.copytree(samples.ROOT / "full_221", directory / "ckpt-4")
    assert cs.inspect(str(directory / "ckpt-4")).checkpoint.step == 4
    assert cs.inspect(f"{directory / 'ckpt-4'}/").checkpoint.step == 7


@pytest.mark.parametrize(
    "target",
    [
        "ckpt-4.index",
        "ckpt-4.data-00000-of-00001",
        "input.ckpt-4.index",
        "ckptscope/events.out.tfevents.1.pipe.1",
    ],
)
def test_a_pipe_is_not_waited_for(tmp_path, target):
    directory = samples.copy("manager_run_221", tmp_path)
    (directory / "ckptscope").mkdir()
    path = directory / target
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    runs = list(read_all(search(str(tmp_path))))
    assert [len(run.checkpoints) for run in runs] == [
        {"input.ckpt-4.index": 0, "ckptscope/events.out.tfevents.1.pipe.1": 3}.get(target, 2)
    ]
    assert runs[0].problems or "tfevents" in target


def test_a_run_that_cannot_be_read_does_not_hide_the_others(tmp_path, monkeypatch):
    from ckptscope.runs import reading

    record(tmp_path / "bad", range(1, 5))
    record(tmp_path / "good", range(1, 5))
    real = reading.read_run

    def read(place, *rest, **more):
        if place.name == "bad":
            raise ValueError("embedded null byte")
        return real(place, *rest, **more)

    monkeypatch.setattr(reading, "read_run", read)
    runs = {run.name: run for run in read_all(search(str(tmp_path)))}
    assert runs["bad"].problems == ("cannot be read: ValueError: embedded null byte",)
    assert summary_of(runs["good"]).num_steps == 4


def test_very_short_epochs_cost_no_more_than_long_ones(tmp_path):
    """A million steps of one batch for each epoch, restarted twenty times."""
    parent, each = None, 50_000
    for number in range(20):
        begin = number * each
        start = FRESH if number % 2 else at(begin * 4, 4)
        facts = {} if parent is None else {"parent": parent, "restored_step": begin}
        parent = record(
            tmp_path, range(begin + 1, begin + each + 1), start=start, epoch_size=4, **facts
        )
    begun = time.process_time()
    run = only_run(tmp_path)
    plot, table = position_plot(run), coverage_table(run)
    text = json.dumps(
        [__import__("ckptscope.render.run_json", fromlist=["x"]).checkpoints_to_jsonable(run)]
    )
    assert time.process_time() - begun < 5
    assert len(plot.epochs) <= 60 and len(table.epochs) == 100 and table.num_epochs == 950_000
    assert len(text) < 3_000_000
    # The second attempt started over: 50,000 epochs of 4 examples again.
    assert (
        run.costs[0].num_repeated
        == 200_000
        == sum(item.stop - item.start for item in run.history.restarts[0].repeated)
    )


def test_totals_are_those_of_the_steps_that_survive(tmp_path):
    """A start-over that was itself given up: nothing is repeated in the last weights, and the
    page says so throughout.
    """
    first = record(tmp_path, range(1, 24), saves=[5, 20])
    record(tmp_path, range(21, 31), restored_step=20, parent=first, start=FRESH)
    record(tmp_path, range(6, 12), restored_step=5, parent=first, start=at(20))
    run = only_run(tmp_path)
    summary = summary_of(run)
    assert (summary.num_repeated, summary.num_skipped) == (0, 0)
    assert [mark.label for mark in position_plot(run).restarts] == ["↺ 40 repeated", "in place"]
    assert {cell.num_repeated for cell in coverage_table(run).cells} == {0}


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 12), st.integers(0, 30)),
        min_size=2,
        max_size=4,
    ),
    st.integers(1, 7),
    st.integers(3, 20),
)
def test_totals_agree_with_coverage(plan, batch, epoch):
    from ckptscope.recording.lineage import restarts_of
    from ckptscope.run_history import RunHistory
    from ckptscope.runs.model import Run
    from ckptscope.runs.places import RunPlace
    from ckptscope.runs.restarts import costs_of

    pieces = pieces_of(plan, batch)
    attempts = attempts_of(pieces, batch, epoch)
    history = RunHistory("x", (), attempts, restarts_of(attempts))
    numbers = {found.attempt.id: number for number, found in enumerate(attempts, 1)}
    run = Run(RunPlace("x", "x"), history, (), numbers, costs_of(history, numbers))
    summary, table = summary_of(run), coverage_table(run)
    if summary.num_repeated is not None and table.reason is None:
        excess = sum(
            (last - first) * (count - 1)
            for cell in table.cells
            for first, last, count in cell.parts
        )
        assert summary.num_repeated == excess
        assert summary.num_skipped == sum(cell.num_unread for cell in table.cells)


def test_what_the_recorder_counted_stands_beside_what_a_checkpoint_tells(tmp_path):
    record(tmp_path, range(1, 13), saves=[4, 12])
    rows = only_run(tmp_path).checkpoints
    assert [
        (row.counted.examples, row.counted.epoch, row.counted.into) for row in rows if row.counted
    ] == [
        (16, 0, 16),
        (48, 1, 8),
    ]


def test_a_saved_model_is_called_by_its_directory():
    (run,) = [run for run in read_all(search(str(samples.ROOT))) if run.name == "savedmodel_215"]
    assert [row.name for row in run.checkpoints] == ["savedmodel_215"]
