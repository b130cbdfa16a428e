"""The report: one file, nothing fetched, the same objects as the tab's."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from ckptscope.errors import CheckpointNotFoundError
from ckptscope.render import report_html as rendering
from ckptscope.render.page_files import bundled, page_files
from ckptscope.render.report_html import answer_key, report_html
from ckptscope.report import MAX_RUNS, make_report
from tests import samples
from tests.plugin.conftest import Tab
from tests.runs.made import at, record, restarted

_DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+)", re.MULTILINE
)


def answers_of(html: str) -> dict:
    return json.loads(re.search(r'id="answers">(.*?)</script>', html, re.DOTALL)[1])["answers"]


@pytest.fixture
def logdir(tmp_path) -> Path:
    run = samples.copy("manager_run_lost_221", tmp_path / "logs")
    record(run, range(1, 13), saves=[4, 8, 12])
    restarted(tmp_path / "logs" / "other", 20, 23, 25, at(100))
    return tmp_path / "logs"


def test_its_answers_are_those_of_the_routes(logdir):
    answers = answers_of(make_report(str(logdir)).html)
    tab = Tab(logdir)
    overview = tab.settled()
    # The same runs; only when they were looked at differs.
    assert answers["overview"]["runs"] == overview["runs"]
    asked = 0
    for run in overview["runs"]:
        name = run["name"]
        assert answers[answer_key("checkpoints", run=name)] == tab.api("checkpoints", run=name)
        for reads in ("effective", "all"):
            assert answers[answer_key("coverage", run=name, reads=reads)] == tab.api(
                "coverage", run=name, reads=reads
            )
            for y in ("examples", "epoch", "record"):
                for x in ("step", "time"):
                    parameters = {"run": name, "y": y, "x": x, "reads": reads}
                    assert answers[answer_key("series", **parameters)] == tab.api(
                        "series", n=1500, **parameters
                    )
        rows = [row for row in tab.api("checkpoints", run=name)["history"] if row["id"]]
        for row in rows:
            assert answers[answer_key("inspect", id=row["id"], variables=False)] == tab.api(
                "inspect", id=row["id"], variables="false"
            )
            if row["attempt"]:
                parameters = {"run": name, "attempt": row["attempt"], "step": row["step"]}
                assert answers[answer_key("state", **parameters)] == tab.api("state", **parameters)
            asked += 1
        for a, b in pairwise(rows):
            assert answers[answer_key("diff", a=a["id"], b=b["id"])] == tab.api(
                "diff", a=a["id"], b=b["id"]
            )
    assert asked == 3


def test_it_stands_alone(logdir):
    html = make_report(str(logdir)).html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert (
        policy.startswith("default-src 'none'")
        and "http" not in policy
        and "unsafe-eval" not in policy
    )
    assert not re.search(
        r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)=", html.split("<script", 1)[0]
    )
    assert (
        len(
            re.findall(
                r"<script[ >]",
                re.sub(r"<script>.*?</script>", "<script></script>", html, flags=re.DOTALL),
            )
        )
        == 3
    )


def test_names_cannot_break_out(tmp_path):
    evil = tmp_path / "</script><script>alert(1)</script>" / "x"
    record(evil, range(1, 4))
    html = make_report(str(tmp_path)).html
    assert "<script>alert(1)" not in html
    (run,) = answers_of(html)["overview"]["runs"]
    assert run["name"] == "</script><script>alert(1)</script>/x"


def test_the_title_is_escaped():
    assert "<title>a&lt;b&gt;</title>" in report_html({}, "a<b>")


def test_without_plotly(logdir, monkeypatch):
    monkeypatch.setattr(rendering, "chart_path", lambda: None)
    assert len(make_report(str(logdir)).html) < 1_000_000


def test_runs_are_bounded(tmp_path):
    for number in range(MAX_RUNS + 3):
        record(tmp_path / f"run{number:02d}", range(1, 3))
    report = make_report(str(tmp_path))
    overview = answers_of(report.html)["overview"]
    assert (report.num_runs, len(overview["runs"])) == (MAX_RUNS, MAX_RUNS)
    assert overview["notes"] == ["3 older runs are not in this report."]


def test_damage_is_in_the_report(tmp_path):
    run = samples.copy("manager_run_221", tmp_path)
    (run / "ckpt-8.index").write_bytes(b"nothing")
    answers = answers_of(make_report(str(tmp_path)).html)
    rows = answers[answer_key("checkpoints", run=run.name)]["history"]
    assert [row.get("error") is None for row in rows].count(False) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "nowhere", "does not exist"),
        (lambda path: path, "holds neither a checkpoint nor a recording"),
        (lambda path: _file(path), "is no directory"),
    ],
)
def test_nothing_to_report(tmp_path, call, make, message):
    with pytest.raises(CheckpointNotFoundError, match=message):
        make_report(str(make(tmp_path)))
    result = call("report", make(tmp_path), "-o", tmp_path / "x.html")
    assert (result.status, result.out) == (2, "") and message in result.err
    assert not (tmp_path / "x.html").exists()


def _file(path: Path) -> Path:
    (path / "file").write_text("x")
    return path / "file"


def test_the_command(logdir, tmp_path, call):
    path = tmp_path / "report.html"
    assert call("report", logdir, "-o", path).status == 0
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert call("report", logdir).out.startswith("<!doctype html>")
    unwritable = call("report", logdir, "-o", tmp_path / "no" / "such" / "place.html")
    assert unwritable.status == 2 and "place.html" in unwritable.err


def test_modules_can_be_joined():
    """What ``bundled`` relies on: import lines that it knows, and no name twice."""
    files = {name: text for name, text in page_files().items() if name.endswith(".js")}
    known = re.compile(r"^import \{[\w, ]+\} from '\./[\w-]+\.js';$")
    names: dict[str, str] = {}
    for file, text in files.items():
        for line in text.splitlines():
            assert not line.startswith("import") or known.match(line), (file, line)
            assert not re.match(r"export (?:default|\{|\*)", line), (file, line)
            assert (
                "import.meta" not in line
                and "innerHTML" not in line
                and not re.match(r"\s*await ", line[:1])
            ), (
                file,
                line,
            )
        for name in _DECLARED.findall(text):
            assert name not in names, f"{name} is in {file} and {names[name]}"
            names[name] = file
    joined = bundled(files, ("app.js", "api.js", "page.js"))
    assert not re.search(r"^(?:import|export)\b", joined, re.MULTILINE)
    assert set(names) <= set(_DECLARED.findall(joined)), "a module that nothing imports"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "overview"),
        ({"run": "a b/ü"}, "overview?run=a%20b%2F%C3%BC"),
        ({"y": 1, "b": True}, "overview?b=true&y=1"),
        ({"q": "!'()*-._~&="}, "overview?q=!'()*-._~%26%3D"),
    ],
)
def test_keys_are_spelled_as_the_page_spells_them(parameters, expected):
    assert answer_key("overview", **parameters) == expected


def test_numbers_that_json_cannot_hold_are_null():
    """A damaged recording may have any time."""
    odd = {"a": [1.5, float("nan")], "b": {"c": float("inf")}}
    assert answers_of(report_html(odd, "x")) == {"a": [1.5, None], "b": {"c": None}}
