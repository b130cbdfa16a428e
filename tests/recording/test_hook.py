"""The hook for Estimators and MonitoredSessions, against the ids that were really trained on.

tests/recording/test_old_python.py runs the same under TensorFlow 1.15."""

from __future__ import annotations

import copy
import json
import pickle
import time
from itertools import product
from pathlib import Path

import pytest

from ckptscope.checkpoint.run_record import read_run_record
from ckptscope.recording.lineage import restarts_of
from ckptscope.recording.positions import positions_of
from ckptscope.recording.reader import read_recording
from tests.recording.sessions import BATCH, EXAMPLES, SOURCES, train

pytestmark = [
    pytest.mark.tf,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]


@pytest.fixture
def make_hook():
    from ckptscope.recording.portable import DataPositionHook

    def made(directory: Path, **facts):
        facts = {"batch_size": BATCH, "epoch_size": EXAMPLES, "flush_interval_s": 0.05, **facts}
        return DataPositionHook(str(directory), **facts)

    return made


ORDERS, RESTORES = ("hook first", "hook last"), ("everything", "weights")


@pytest.mark.parametrize(("order", "restore"), list(product(ORDERS, RESTORES)))
@pytest.mark.parametrize("source", [name for name in SOURCES if name != "generator"])
def test_restarts_cost_what_was_really_read(tmp_path, make_hook, source, order, restore):
    """Ended at step 13 after the checkpoint of step 10, and restarted; both orders of hooks."""
    first = train(tmp_path, [make_hook(tmp_path)], 20, source=source, order=order, stop_at=13)
    second = train(tmp_path, [make_hook(tmp_path)], 17, source=source, order=order, restore=restore)
    one, two = read_recording(str(tmp_path))
    assert one.columns["step"].tolist() == [step for step, _ in first]
    assert two.columns["step"].tolist() == [step for step, _ in second]
    for found, rows in ((one, first), (two, second)):
        assert positions_of(found).into.tolist() == [ids[-1] + 1 for _, ids in rows]
    (restart,) = restarts_of((one, two))
    assert (restart.step, restart.dead_steps) == (10, 3)
    kept = [ids for step, ids in first if step <= 10]
    again = [ids for _, ids in second if ids in kept[: len(second)]] if restore == "weights" else []
    repeated = sum(item.stop - item.start for item in restart.repeated)
    assert repeated == BATCH * len(again) == (0 if restore == "everything" else BATCH * 7)
    assert restart.skipped == ()


def test_an_iterator_that_cannot_be_saved_is_an_unknown_start(tmp_path, make_hook):
    for last in (12, 14):
        train(tmp_path, [make_hook(tmp_path)], last, source="generator", restore="weights")
    one, two = read_recording(str(tmp_path))
    assert one.attempt.start.source == "fresh" and two.attempt.start.batches is None
    (restart,) = restarts_of((one, two))
    assert restart.repeated == () and restart.reason


@pytest.mark.parametrize("change", ["skip", "slice"])
def test_data_that_begins_later_is_unknown_or_told(tmp_path, make_hook, change):
    """What the article advises: ``dataset.skip(n)``, ``data[n:]``."""
    for name, given in (("unknown", {}), ("told", {"start": 40})):
        place = tmp_path / name
        train(place, [make_hook(place)], 10)
        train(place, [make_hook(place, **given)], 13, restore="weights", **{change: 40})
        one, two = read_recording(str(place))
        (restart,) = restarts_of((one, two))
        if given:
            assert (restart.repeated, restart.skipped, restart.moved) == ((), (), 0)
            assert positions_of(two).into.tolist() == [44, 48, 52]
        else:
            assert restart.repeated == () and "start=" in (restart.reason or "")


def test_one_object_serves_many_calls(tmp_path, make_hook):
    hook, judge = make_hook(tmp_path), make_hook(tmp_path, kind="eval", log_dir=tmp_path / "eval")
    for last in (10, 20, 25):
        train(tmp_path, [hook], last, restore="everything")
        train(tmp_path / "other", [judge], 5)
    found = read_recording(str(tmp_path))
    train_rows = [item.columns["step"].tolist() for item in found if item.attempt.kind == "train"]
    assert train_rows == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]
    assert all(restart.moved == 0 for restart in restarts_of(found))
    assert [item.num_rows for item in found if item.attempt.kind == "eval"] == [5, 5, 5]
    assert not any(item.problems for item in found)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda hook: pickle.loads(pickle.dumps(hook))]
)
def test_copies_begin_anew(tmp_path, make_hook, copied):
    hook = make_hook(tmp_path)
    train(tmp_path, [hook], 5)
    train(tmp_path, [copied(hook)], 8, restore="everything")
    assert [item.num_rows for item in read_recording(str(tmp_path))] == [5, 3]


def test_a_session_that_is_recovered_is_another_attempt(tmp_path, make_hook):
    rows = train(tmp_path, [make_hook(tmp_path)], 15, abort_at=13)
    one, two = read_recording(str(tmp_path))
    steps = [step for step, _ in rows]
    # Restored from the checkpoint of step 10 by the session itself.
    # Step 13 was made, although the program never got its result.
    assert one.columns["step"].tolist() == list(range(1, 14)) and steps[:12] == list(range(1, 13))
    assert two.columns["step"].tolist() == steps[12:] == [11, 12, 13, 14, 15]


def test_an_exception_in_the_training_loses_nothing(tmp_path, make_hook):
    hook = make_hook(tmp_path, flush_interval_s=60.0)
    train(tmp_path, [hook], 15, stop_at=12)
    # The next call, or the end of the program, closes what was left.
    train(tmp_path, [hook], 16, restore="everything")
    found = read_recording(str(tmp_path))
    assert found[0].columns["step"].tolist() == list(range(1, 13))


def test_rows_are_on_disk_during_a_pause(tmp_path, make_hook):
    seen = []

    def pause():
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and (not seen or seen[-1] < 5):
            seen.append(sum(item.num_rows for item in read_recording(str(tmp_path))))
            time.sleep(0.02)

    train(tmp_path, [make_hook(tmp_path)], 6, pauses={5: pause})
    assert seen[-1] == 5


def test_run_records_lie_beside_checkpoints(tmp_path, make_hook):
    train(tmp_path, [make_hook(tmp_path)], 12)
    train(tmp_path, [make_hook(tmp_path)], 15, restore="everything")
    one, two = read_recording(str(tmp_path))
    found = {}
    for path in tmp_path.glob("*.ckptscope.json"):
        record, problem = read_run_record(str(path).removesuffix(".ckptscope.json"))
        assert problem is None and record is not None
        found[record.step] = record.attempt, record.counted_batches, record.batch_size
        assert json.loads(path.read_text())["program"]["fed"] == "hook"
    first, second = one.attempt.id, two.attempt.id
    # Where a restored iterator stands only the reader can tell.
    assert found[5] == (first, 5, BATCH) and found[10] == (first, 10, BATCH)
    assert found[15] == (second, None, BATCH)
    assert two.attempt.parent == first and not two.attempt.parent_inferred
    assert [(saved.step, saved.sequence) for saved in one.checkpoints] == [
        (5, 5),
        (10, 10),
        (12, 12),
    ]


def test_what_goes_wrong_in_the_hook_stays_in_it(tmp_path, make_hook):
    (tmp_path / "logs").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="not fully recorded") as told:
        rows = train(tmp_path, [make_hook(tmp_path, log_dir=tmp_path / "logs")], 8)
    assert len(rows) == 8
    assert len([item for item in told if "not fully recorded" in str(item.message)]) == 1


def test_a_broken_hook_never_stops_a_session(tmp_path, make_hook, monkeypatch):
    from ckptscope.recording.portable import hook as module

    def broken(*args, **kwargs):
        raise RuntimeError("broken")

    for name in ("created", "before", "after", "pause", "close"):
        monkeypatch.setattr(module._Sessions, name, broken)
        with pytest.warns(RuntimeWarning, match="broken"):
            assert len(train(tmp_path / name, [make_hook(tmp_path / name)], 4)) == 4
    monkeypatch.setattr(module._Sessions, "__init__", broken)
    with pytest.warns(RuntimeWarning, match="broken"):
        assert len(train(tmp_path / "init", [make_hook(tmp_path / "init")], 4)) == 4


def test_the_old_import_path():
    from ckptscope.recording import estimator_hook, portable

    assert estimator_hook.DataPositionHook is portable.DataPositionHook
