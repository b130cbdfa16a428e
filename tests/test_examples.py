"""The examples really run, are really killed, and their history tells what they really trained
on.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope.recording.lineage import effective
from ckptscope.recording.positions import positions_of
from tests.runs.made import reads_of

pytestmark = pytest.mark.tf
# Examples of one pass, whether the order is known to the reader, and (lost steps, repeated
# examples) of each restart.
EXAMPLES = {
    "plain_loop": (48, [(3, []), (2, [(0, 0, 40)])]),
    "keras_fit": (40, [(3, []), (2, [(2, 0, 20)])]),
    "estimator_style": (40, [(2, []), (1, [(0, 0, 28)])]),
}


@pytest.fixture(scope="module", params=sorted(EXAMPLES))
def run(request, example_runs) -> tuple[str, Path, str]:
    return request.param, *example_runs(request.param)


def logged(directory: Path) -> dict[int, list[tuple[int, list[int]]]]:
    """(step, ids) of each process, in the order in which the processes ran."""
    found: dict[int, list[tuple[int, list[int]]]] = {}
    for line in (directory / "ids.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault(row["pid"], []).append((row["step"], row["ids"]))
    return found


def test_every_step_is_where_the_log_says(run):
    name, directory, _ = run
    size, _ = EXAMPLES[name]
    attempts = cs.history(str(directory)).attempts
    truth = list(logged(directory).values())
    assert len(attempts) == len(truth) == 3
    for found, rows in zip(attempts, truth, strict=True):
        positions = positions_of(found)
        assert positions.reason is None
        assert found.columns["step"].tolist() == [step for step, _ in rows]
        # In a fixed order the last id of a batch is the place in its pass.
        assert [into % size for into in positions.into.tolist()] == [
            (ids[-1] + 1) % size for _, ids in rows
        ]


def test_restarts_cost_what_the_log_says(run):
    name, directory, _ = run
    _, expected = EXAMPLES[name]
    history = cs.history(str(directory))
    told = [
        (r.dead_steps, [(item.epoch, item.start, item.stop) for item in r.repeated])
        for r in history.restarts
    ]
    assert told == expected
    assert all(not restart.skipped for restart in history.restarts)
    processes = list(logged(directory).values())
    for number, restart in enumerate(history.restarts, 1):
        kept = [row for rows in processes[:number] for row in rows if row[0] <= (restart.step or 0)]
        lost = [row for row in processes[number - 1] if row[0] > (restart.step or 0)]
        assert restart.dead_steps == len(lost)
        if restart.repeated:
            again = {identity for _, ids in processes[number] for identity in ids}
            (item,) = restart.repeated
            assert set(range(item.start, item.stop)) <= again & {
                identity for _, ids in kept for identity in ids
            }


def test_effective_reads_are_those_of_the_weights(run):
    """Every id as often as it was trained on in steps that survive."""
    name, directory, _ = run
    size, _ = EXAMPLES[name]
    processes, survived = list(logged(directory).values()), []
    for number, rows in enumerate(processes):
        next_start = processes[number + 1][0][0] if number + 1 < len(processes) else 10**9
        survived += [identity for step, ids in rows if step < next_start for identity in ids]
    told: Counter[int] = Counter()
    for found, rows in effective(cs.history(str(directory)).attempts):
        for item in reads_of(found, rows):
            told.update(position % size for position in range(item.start, item.stop))
    assert told == Counter(survived)


def test_the_command_prints_the_history(run):
    _, directory, printed = run
    assert "Recorded: 3 attempts" in printed
    assert "resumed in place" in printed
    assert "repeated examples" in printed
    from tests.test_output import validator

    validator("history").validate(json.loads(cs.history(str(directory)).to_json()))


# The verdicts that the texts of the examples promise, by step.
VERDICTS = {
    "plain_loop": dict.fromkeys(range(5, 31, 5), "exact"),
    "keras_fit": {
        step: "exact" if step in (10, 20, 35, 45) else "approximate" for step in range(5, 46, 5)
    },
    "estimator_style": {
        step: "approximate" if step == 20 else "exact" for step in (0, 5, 10, 15, 20, 25, 27)
    },
}


def test_checkpoints_end_with_the_verdict_that_the_text_promises(run):
    name, directory, _ = run
    rows = cs.history(str(directory)).rows
    assert {row.number: row.verdict for row in rows} == VERDICTS[name]


def test_frames_and_files(run):
    name, directory, _ = run
    history = cs.history(str(directory))
    frame = history.steps_frame()
    rows = [row for rows in logged(directory).values() for row in rows]
    assert frame["step"].tolist() == [step for step, _ in rows]
    assert int((~frame["is_effective"]).sum()) == sum(
        restart.dead_steps for restart in history.restarts
    )
    files = history.file_coverage(effective_only=False)
    if name == "plain_loop":  # three files of sixteen records, the first ones read by all attempts
        assert {Path(file).name for file, *_ in files} == {
            f"train-{n:05d}.tfrecord" for n in range(3)
        }
        assert sum((last - first) * count for _, _, first, last, count in files) == sum(
            len(ids) for _, ids in rows
        )
    else:
        assert files == ()


def test_a_run_that_is_preempted_again_and_again(example_runs):
    """Labels, bands and coverage of the picture in the README, against the ids that were really
    trained on.
    """
    from ckptscope.runs.coverage import coverage_table
    from ckptscope.runs.places import search
    from ckptscope.runs.plot import position_plot
    from ckptscope.runs.reading import read_all

    directory, _ = example_runs("preempted")
    (run,) = read_all(search(str(directory)))
    assert [cost.label for cost in run.costs] == [
        "in place",
        "⇥ 200 skipped",
        "↺ 800 repeated",
        "in place, ↺ 632 read again",
    ]
    processes = list(logged(directory).values())
    seen: Counter[int] = Counter()
    for number, rows in enumerate(processes):
        kept = processes[number + 1][0][0] if number + 1 < len(processes) else 10**9
        own: Counter[int] = Counter()
        for step, ids in rows:
            own.update(ids)
            if step < kept:
                seen.update(ids)
        assert run.history.attempts[number].num_rows == len(rows)
    told: Counter[int] = Counter()
    for cell in coverage_table(run).cells:
        for first, last, count in cell.parts:
            told.update(
                dict.fromkeys(range(cell.file * 200 + first, cell.file * 200 + last), count)
            )
    assert told == seen
    bands = [(band.kind, band.axis, band.start, band.stop) for band in position_plot(run).bands]
    assert bands == [
        ("skipped", "y", 1400, 1600),
        ("repeated", "x", 250, 325),
        ("repeated", "x", 325, 404),
    ]
    assert run.checkpoints[-1].row.verdict == "impossible"
    # Which examples were seen does not follow from the step any more, and nothing is told that
    # would rest on it.
    for step, verdict in ((250, "exact"), (350, "approximate")):
        resume = cs.inspect(str(directory / "preempted"), step=step).resume
        assert resume.verdict == verdict and resume.loss is None
    assert any("dataset.skip(100)" in (finding.remedy or "") for finding in resume.findings)
