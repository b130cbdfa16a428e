"""The routes give the library's objects, and refuse everything else."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import ckptscope as cs
from ckptscope.inspection import StageInfo
from ckptscope.render.jsonable import history_to_jsonable, inspection_to_jsonable
from ckptscope.render.run_json import moment_to_jsonable
from ckptscope.runs.moment import moment_of
from ckptscope.runs.places import search
from ckptscope.runs.reading import read_all
from tests import samples
from tests.command import ROOT
from tests.plugin.conftest import MOUNT
from tests.runs.made import FRESH, at, record, restarted
from tests.test_output import validator

GOLDEN = ROOT / "tests" / "plugin" / "golden_history.json"
ROW_EXTRAS = {
    "id",
    "name",
    "source",
    "step",
    "attempt",
    "attempt_number",
    "saved_s",
    "why",
    "fix",
    "command",
    "recorded",
    "counted",
}
ATTEMPT_EXTRAS = {"number", "label"}
RESTART_EXTRAS = {"number", "parent_number", "num_repeated_kept", "repeat_steps", "label", "text"}


@pytest.fixture
def logdir(tmp_path) -> Path:
    """One run of real checkpoints with a recording that starts its data over, and one recorded
    run.
    """
    run = samples.copy("manager_run_lost_221", tmp_path)
    record(run, range(1, 11), saves=[4, 8])
    record(
        run,
        range(9, 13),
        restored_from=str(run / "ckpt-8"),
        restored_step=8,
        saves=[12],
        start=FRESH,
    )
    restarted(tmp_path / "other", 20, 23, 25, at(100))
    return tmp_path


def named(overview, name):
    return next(run for run in overview["runs"] if run["name"] == name)


def test_one_golden_file_for_the_command_line_and_the_tab(tab, in_samples, call):
    """``inspect DIR --all --json`` and the route ``checkpoints`` are the same object, but for
    what the tab adds.
    """
    printed = json.loads(call("inspect", "manager_run_lost_221", "--all", "--json").out)
    golden = json.loads(GOLDEN.read_text())
    assert printed == golden
    asked = tab(".")
    asked.settled()
    answer = asked.api("checkpoints", run="manager_run_lost_221")
    told = [
        {key: value for key, value in row.items() if key not in ROW_EXTRAS}
        for row in answer["history"]
    ]
    assert relative(told) == golden["history"]
    validator("history").validate(answer)


def relative(rows):
    """Paths as seen from the samples' directory."""
    return json.loads(json.dumps(rows).replace(f"{samples.ROOT}/", ""))


def test_the_history_is_that_of_the_library(tab, logdir):
    asked = tab(logdir)
    asked.settled()
    for name in ("manager_run_lost_221", "other"):
        answer, library = (
            asked.api("checkpoints", run=name),
            history_to_jsonable(cs.history(str(logdir / name))),
        )
        on_disk = [row for row in answer["history"] if row["source"] != "recorded"]
        assert [
            {key: value for key, value in row.items() if key not in ROW_EXTRAS} for row in on_disk
        ] == library["history"]
        for key, extras in (("attempts", ATTEMPT_EXTRAS), ("restarts", RESTART_EXTRAS)):
            assert [
                {k: v for k, v in item.items() if k not in extras} for item in answer[key]
            ] == library[key]
            assert all(extras <= item.keys() for item in answer[key])
        assert all(row.keys() >= ROW_EXTRAS for row in answer["history"])


def test_details_are_what_inspect_says(tab, logdir):
    asked = tab(logdir)
    asked.settled()
    for row in asked.api("checkpoints", run="manager_run_lost_221")["history"]:
        expected = inspection_to_jsonable(cs.inspect(row["path"]))
        assert asked.api("inspect", id=row["id"]) == expected
        assert asked.api("inspect", id=row["id"], variables="false") == {
            **expected,
            "variables": None,
        }
        validator("inspect").validate(expected)
        # The numbers of the table are those of the checkpoint itself.
        assert (
            row["verdict"] == expected["resume"]["verdict"]
            and row["position"] == expected["resume"]["position"]
        )


def test_differences_are_what_diff_says(tab, logdir):
    asked = tab(logdir)
    asked.settled()
    rows = asked.api("checkpoints", run="manager_run_lost_221")["history"]
    answer = asked.api("diff", a=rows[1]["id"], b=rows[2]["id"])
    assert answer == json.loads(cs.diff(rows[1]["path"], rows[2]["path"]).to_json())
    validator("diff").validate(answer)


def test_overview(tab, logdir):
    found = tab(logdir).settled()
    assert found["logdir"] == str(logdir) and found["scan"]["state"] == "done"
    other = named(found, "other")
    assert (
        other["num_attempts"],
        other["num_steps"],
        other["num_skipped"],
        other["num_repeated"],
    ) == (2, 28, 20, 0)
    assert other["restarts"][0]["label"] == "⇥ 20 skipped"
    assert named(found, "manager_run_lost_221")["verdicts"]["exact"] == 3
    assert [run["newest_s"] for run in found["runs"]] == sorted(
        (run["newest_s"] for run in found["runs"]), reverse=True
    )


def test_series_coverage_and_state(tab, logdir):
    asked = tab(logdir)
    asked.settled()
    series = asked.api("series", run="other", y="epoch", x="step", reads="all")
    assert [line["part"] for line in series["lines"]] == ["kept", "lost", "kept"]
    assert series["lines"][0]["y"][:3] == [0, 0.1, 0.2]
    # Three lost steps had read some of what the restart went past.
    band = {"kind": "skipped", "restart": 2, "axis": "y", "to": 2.5, "x_from": 20, "x_to": 25}
    assert series["bands"] == [{**band, "from": 2.3, "label": "⇥ 8 not read"}]
    kept = asked.api("series", run="other", y="epoch")
    assert kept["bands"] == [{**band, "from": 2.0, "label": "⇥ 20 not read"}]
    zoomed = asked.api("series", run="other", **{"from": 3, "to": 5, "n": 10})
    assert {3, 4, 5} <= set(zoomed["lines"][0]["step"])
    table = asked.api("coverage", run="other", reads="effective")
    assert [(cell["epoch"], cell["status"], cell["num_unread"]) for cell in table["cells"]] == [
        (0, "once", 0),
        (1, "once", 0),
        (2, "skipped", 20),
    ]
    attempt = series["lines"][0]["attempt"]
    state = asked.api("state", run="other", attempt=attempt, step=22)
    assert (
        state["step"],
        state["position"]["examples"],
        state["is_effective"],
        state["stages"],
    ) == (22, 88, False, [])
    run = "manager_run_lost_221"
    first = asked.api("checkpoints", run=run)["attempts"][0]["id"]
    state = asked.api("state", run=run, attempt=first, step=6)
    assert (state["checkpoint"]["name"], state["checkpoint"]["steps_before"]) == ("ckpt-4", 2)
    inspected = asked.api("inspect", id=state["checkpoint"]["id"])
    assert state["stages"] == inspected["iterators"][0]["stages"]
    # Nothing is told of buffers but at the very step of a checkpoint, by each stage in its unit.
    assert state["held_elements"] is None


def test_what_is_held_is_that_of_the_step(tmp_path):
    record(tmp_path, range(1, 10), saves=[8], held=0)
    (run,) = read_all(search(str(tmp_path)))
    (attempt,) = run.history.attempts
    stage = StageInfo("a", "Prefetch", "prefetch", True, {}, 2, 0, ())
    above = StageInfo("b", "ShuffleDatasetV3", "shuffle", True, {}, 19, 0, (stage,))
    (saved,) = run.checkpoints
    for step, stages, held in (
        (8, [stage], 2),
        (8, [above], None),
        (8, [], None),
        (9, [stage], None),
    ):
        moment = replace(moment_of(run, attempt.attempt.id, step), checkpoint=saved)
        assert moment_to_jsonable("run", moment, stages)["held_elements"] == held


BAD = [
    ("series", {}, 400),
    ("series", {"run": "nope"}, 404),
    ("series", {"run": "other", "y": "weights"}, 400),
    ("series", {"run": "other", "x": "<script>"}, 400),
    ("series", {"run": "other", "n": "1e99"}, 200),
    ("series", {"run": "other", "n": "nan"}, 400),
    ("series", {"run": "other", "n": "0"}, 400),
    ("series", {"run": "other", "from": "5", "to": "4"}, 400),
    ("series", {"run": "other", "from": "inf"}, 400),
    ("series", {"run": "../other"}, 404),
    ("series", {"run": "other/../other"}, 404),
    ("coverage", {"run": "other", "limit": "x"}, 400),
    ("coverage", {"run": "other", "reads": "some"}, 400),
    ("checkpoints", {"run": "/etc"}, 404),
    ("inspect", {}, 400),
    ("inspect", {"id": "/etc/passwd"}, 404),
    ("inspect", {"id": "../other/ckpt-20"}, 404),
    ("diff", {"a": "x"}, 404),
    ("state", {"run": "other"}, 400),
    ("state", {"run": "other", "attempt": "x", "step": "5"}, 404),
    ("state", {"run": "other", "attempt": "x", "step": "-5"}, 400),
    ("state", {"run": "other", "attempt": "x", "step": "5.5"}, 400),
]


@pytest.mark.parametrize(("route", "parameters", "status"), BAD)
def test_bad_arguments(tab, logdir, route, parameters, status):
    response = tab(logdir).get(f"api/v1/{route}", **parameters)
    answer = json.loads(response.get_data())
    assert response.status_code == status, answer
    if status != 200:
        assert answer["code"] == status and answer["message"] and "hint" in answer


@pytest.mark.parametrize(
    "name",
    [
        "../plugin.py",
        "..%2fplugin.py",
        "%2e%2e/%2e%2e/etc/passwd",
        "nothing.js",
        "",
        "app.js/..",
        "//etc/passwd",
        "plugin.py",
        "../../index.js",
    ],
)
def test_only_files_of_the_page_are_served(tab, tmp_path, name):
    response = tab(tmp_path).client.get(f"{MOUNT}/static/{name}", headers={"Host": "localhost"})
    assert response.status_code == 404


def test_files_of_the_page(tab, tmp_path):
    asked = tab(tmp_path)
    for name in ("index.js", "static/app.js", "static/host.js", "static/style.css"):
        response = asked.get(name)
        assert response.status_code == 200 and len(response.get_data()) > 200
        assert response.content_type.startswith(
            "text/css" if name.endswith("css") else "text/javascript"
        )


def test_the_chart_library(tab, tmp_path):
    import plotly

    asked = tab(tmp_path)
    name = asked.api("health")["plotly"]
    assert name == f"plotly-{plotly.__version__}.js"
    response = asked.client.get(
        f"{MOUNT}/{name}", headers={"Host": "localhost", "Accept-Encoding": "gzip"}
    )
    assert response.status_code == 200 and response.headers["Content-Encoding"] == "gzip"
    assert "max-age=86400" in response.headers["Cache-Control"]
    plain = asked.client.get(f"{MOUNT}/{name}", headers={"Host": "localhost"})
    assert b"plotly.js" in plain.get_data()[:300]


def test_without_plotly_the_rest_works(tab, logdir, monkeypatch):
    from tensorboard_plugin_ckptscope import assets

    monkeypatch.setattr(assets, "chart_path", lambda: None)
    asked = tab(logdir)
    assert asked.api("health")["plotly"] is None
    assert asked.api("series", run="other")["num_steps"] == 28


def test_a_checkpoint_that_vanished_or_broke(tab, tmp_path):
    run = samples.copy("manager_run_221", tmp_path)
    asked = tab(tmp_path)
    asked.settled()
    rows = asked.api("checkpoints", run=run.name)["history"]
    for path in run.glob("ckpt-4.*"):
        path.unlink()
    assert asked.get("api/v1/inspect", id=rows[0]["id"]).status_code == 410
    (run / "ckpt-8.index").write_bytes(b"garbage")
    response = asked.get("api/v1/inspect", id=rows[1]["id"])
    assert response.status_code == 422 and "ckpt-8" in json.loads(response.get_data())["message"]


def test_a_fault_is_told_and_not_shown_as_a_traceback(tab, logdir, monkeypatch):
    from tensorboard_plugin_ckptscope import routes

    def broken(*_):
        raise ZeroDivisionError("nobody expects it")

    monkeypatch.setitem(routes.ROUTES, "coverage", broken)
    response = tab(logdir).get("api/v1/coverage", run="other")
    assert response.status_code == 500
    assert json.loads(response.get_data())["message"] == "ZeroDivisionError: nobody expects it"


def test_every_sample_can_be_shown(tab):
    """All routes answer for every run below the samples, damaged ones included."""
    asked = tab(samples.ROOT)
    overview = asked.settled()
    assert len(overview["runs"]) == len(list(read_all(search(str(samples.ROOT)))))
    for run in overview["runs"]:
        for route in ("series", "coverage", "checkpoints"):
            asked.api(route, run=run["name"])


def test_a_run_that_appears_and_vanishes(tab, tmp_path):
    asked = tab(tmp_path)
    assert asked.settled()["runs"] == []
    record(tmp_path / "late", range(1, 5))
    asked.plugin.store._last_scan_s = -1e9
    assert [run["name"] for run in asked.settled()["runs"]] == ["late"]
    shutil.rmtree(tmp_path / "late")
    asked.plugin.store._last_scan_s = -1e9
    assert asked.settled()["runs"] == []
    assert asked.get("api/v1/series", run="late").status_code == 404
