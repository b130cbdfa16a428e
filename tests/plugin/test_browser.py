"""The tab in a real browser, of a real TensorBoard process: what it shows is what the command
line prints.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.plugin.browser import (
    UNKNOWN,
    Page,
    chromium,
    printed,
    reload_until,
    shown,
    shows_the_answers,
    signed,
)
from tests.plugin.made_runs import HTML, MILLION, RESTARTS, SAMPLES
from tests.plugin.servers import WITHOUT_TENSORFLOW, tensorboard
from tests.runs.made import record

POSITION = {
    "class": "class",
    "step": "step",
    "epoch": "epoch",
    "examples_into_epoch": "examples into it",
    "examples_consumed": "examples",
    "batches_consumed": "batches",
    "batch_size": "batch size",
    "epoch_size": "epoch size",
}
WORDS = {
    "exact": "● exact",
    "approximate": "◆ approximate",
    "impossible": "✖ cannot resume",
    None: "□ unknown",
}
PAPER = {"light": "#FFFFFF", "dark": "#303030"}
# Finding the package fails, as it does where it is not installed.
WITHOUT_PLOTLY = (
    "import sys, importlib.abc\n"
    "class Blocked(importlib.abc.MetaPathFinder):\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.partition('.')[0] == 'plotly': raise ModuleNotFoundError(name)\n"
    "sys.meta_path.insert(0, Blocked())\n" + WITHOUT_TENSORFLOW
)


@pytest.mark.parametrize(("fast", "theme"), [("true", "light"), ("false", "dark")])
def test_both_loading_modes_and_themes(page, logs, tmp_path, fast, theme):
    with tensorboard(tmp_path / "log", "--logdir", str(logs), "--load_fast", fast) as running:
        running.settled()
        assert running.api("health")["loading"] == ("fast" if fast == "true" else "slow")
        page.open(running, theme=theme, run="preempted", reads="all")
        assert shows_the_answers(page, running, "preempted", "all")
        assert page.js("return document.documentElement.dataset.theme") == theme
        assert page.layout("paper_bgcolor") == PAPER[theme]
        assert (
            rgb(page.js("return getComputedStyle(document.body).backgroundColor")) == PAPER[theme]
        )


def rgb(colour: str) -> str:
    return "#" + "".join(f"{int(part):02X}" for part in re.findall(r"\d+", colour)[:3])


def test_the_theme_changes_while_it_is_open(page, server):
    page.open(server, run="preempted")
    before = {line["line"]["color"] for line in page.lines()} | {
        page.trace("exact")["marker"]["color"]
    }
    page.theme("dark")
    page.wait(lambda: page.layout("paper_bgcolor") == PAPER["dark"], "a dark plot")
    after = {line["line"]["color"] for line in page.lines()} | {
        page.trace("exact")["marker"]["color"]
    }
    assert before.isdisjoint(after) and len(before) == len(after)
    page.theme("light")
    page.wait(lambda: page.layout("paper_bgcolor") == PAPER["light"], "a light plot")


def test_path_prefix(page, logs, tmp_path):
    with tensorboard(
        tmp_path / "log", "--logdir", str(logs), "--path_prefix", "/foo/bar"
    ) as running:
        running.settled()
        page.open(running, run="preempted")
        assert shows_the_answers(page, running, "preempted")
        assert len(page.lines()) == 3


def test_several_log_directories(page, logs, tmp_path):
    with tensorboard(
        tmp_path / "log", "--logdir_spec", f"a:{logs / 'preempted'},b:{logs / SAMPLES[0]}"
    ) as running:
        running.settled()
        page.open(running, run="b")
        assert sorted(page.texts("select#run option")) == ["a", "b"]
        assert [row["step"] for row in page.table("checkpoints")] == ["4", "8", "12"]
        page.select("run", "a")
        assert shows_the_answers(page, running, "a")


# What it shows


@pytest.mark.parametrize("name", SAMPLES)
def test_every_number_is_that_of_the_command_line(page, server, logs, name):
    page.open(server, run=name)
    history = printed("inspect", logs / name, "--all")["history"]
    assert [compared(row) for row in page.table("checkpoints")] == [
        expected_row(row) for row in history
    ]
    has_own = any("*" in text for row in page.table("checkpoints") for text in row.values())
    assert [text[0] for text in page.texts("#checkpoints .footnotes p")] == ["*"] * has_own
    assert has_own == (name == "manager_run_lost_221")
    for at, row in enumerate(history):
        page.row(at).click()
        page.settled()
        assert page.chosen() == [shown(row["position"]["step"])]
        assert_details(page, printed("inspect", row["path"]), row["iterator_position"] or {})


def compared(row: dict[str, str]) -> dict[str, str]:
    return {key: row[key] for key in ("step", "verdict", "examples", "epoch", "file")}


def expected_row(row: dict[str, Any]) -> dict[str, str]:
    position, own = row["position"], row["iterator_position"] or {}
    following, is_own = position["next_record"], False
    if following is None:
        following, is_own = own.get("next_record"), True
    record = (
        UNKNOWN
        if following is None
        else f"{Path(following['file']).name} @ {shown(following['record_index'])}"
    )
    return {
        "step": shown(position["step"]),
        "verdict": WORDS[row["verdict"]],
        "examples": known(position, own, "examples_consumed"),
        "epoch": known(position, own, "epoch"),
        "file": record + ("*" if following and is_own else ""),
    }


def known(position: dict[str, Any], own: dict[str, Any], key: str) -> str:
    """The run's number, or the iterator's own with a star."""
    if position[key] is None and own.get(key) is not None:
        return shown(own[key]) + "*"
    return shown(position[key])


def assert_details(page: Page, answer: dict[str, Any], own: dict[str, Any]) -> None:
    resume, checkpoint = answer["resume"], answer["checkpoint"]
    assert page.text("#details .headline") == resume["headline"]
    position, facts = resume["position"], page.facts("Position")
    assert {key: facts[label] for key, label in POSITION.items()} == {
        key: known(position, own, key) for key in POSITION
    }
    for source in position["sources"]:
        read = (
            source["record_index"]
            if source["record_index"] is not None
            else source["elements_read"]
        )
        assert (
            facts[Path(source["file"]).name if source["file"] else source["op"]]
            == f"{shown(read)} read"
        )
    reasons = page.texts("#details .reasons li")
    for reason in set(position["reasons"].values()):
        assert sum(reason in text for text in reasons) == 1
    found = page.texts("#details ul.findings > li > code")
    assert sorted(found) == sorted(
        item["code"] for item in [*resume["findings"], *resume["conditions"]]
    )
    said = "\n".join(page.texts("#details ul.findings > li"))
    assert all(
        finding["message"] in said and (finding["remedy"] or "") in said
        for finding in resume["findings"]
    )
    assert stages_shown(page) == [
        line for iterator in answer["iterators"] for line in stage_lines(iterator["stages"])
    ]
    file = page.facts("File")
    assert (file["path"], file["variables"], file["written by"]) == (
        checkpoint["path"],
        shown(checkpoint["num_variables"]),
        checkpoint["producer"],
    )
    loss = page.facts("If it is resumed") or {}
    assert loss == {
        label: f"examples {ranges(resume['loss'][key])}"
        for key, label in (("repeated_elements", "read again"), ("skipped_elements", "never read"))
        if resume["loss"] and resume["loss"][key]
    }


def ranges(found: Any) -> str:
    """As the command line writes them: both ends are in."""
    if isinstance(found[0], int):
        return f"{found[0]:,}..{found[1] - 1:,}"
    return ", ".join(
        f"{part['from']:,}..{part['to'] - 1:,} of epoch {part['epoch']}" for part in found
    )


def stages_shown(page: Page) -> list[tuple[str, dict[str, str]]]:
    found = page.js("""
        return [...document.querySelectorAll('#details ul.stages > li')].map((item) => {
          const stage = item.firstElementChild;
          const head = stage.tagName === 'DETAILS' ? stage.firstElementChild : stage;
          return [head.textContent, [...stage.querySelectorAll('tr')].map((row) => [...row.cells].map((cell) => cell.textContent))];
        });""")
    return [(head, dict(fields)) for head, fields in found]


def stage_lines(stages: list[dict[str, Any]]) -> list[tuple[str, dict[str, str]]]:
    lines = []
    for stage in stages:
        held = "" if stage["held_elements"] is None else f" holds {shown(stage['held_elements'])}"
        unknown = "" if stage["known"] else " not known"
        lines.append(
            (
                f"{stage['title']}{unknown}{held}",
                {key: shown(value) for key, value in stage["fields"].items()},
            )
        )
        lines.extend(stage_lines(stage["inputs"]))
    return lines


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("manager_run_221", 0, 2), ("manager_run_221", 2, 1), ("estimator_hook_reused_115", 1, 2)],
)
def test_a_comparison_is_that_of_the_command_line(page, server, logs, name, first, second):
    history = printed("inspect", logs / name, "--all")["history"]
    summary = printed(
        "diff", history[min(first, second)]["path"], history[max(first, second)]["path"]
    )["summary"]
    page.open(server, run=name)
    page.row(first).click()
    page.settled()
    page.compare(second)
    between, reasons = page.facts("Between them"), summary["reasons"]
    for label, key in (
        ("steps", "step_delta"),
        ("batches", "batches_delta"),
        ("examples", "examples_delta"),
        ("epochs", "epochs_delta"),
    ):
        assert between[label] == (
            signed(summary[key])
            if summary[key] is not None
            else reasons.get(key.removesuffix("_delta"), UNKNOWN)
        )
    assert between["steps"] == signed(summary["step_delta"]) != UNKNOWN
    alarms = [f"{alarm['code']} {alarm['text']}" for alarm in summary["alarms"]]
    # Those of the comparison come first; those of the checkpoint itself are in the folded part.
    assert page.texts("#details .body > ul.alarms li") == alarms
    assert page.texts("#details .head > .headline .verdict") == [
        WORDS[verdict] for verdict in summary["verdicts"]
    ]
    page.click("[data-key='stop comparing']")
    assert page.facts("Between them") is None and page.facts("Position")["step"] == page.chosen()[0]


def test_a_million_steps_and_twenty_restarts_in_ten_seconds(long):
    answer = long.api("checkpoints?run=long")
    with chromium() as page:
        begun = time.monotonic()
        page.driver.get(f"{long.url}#ckptscope")
        page.enter()
        took = time.monotonic() - begun
        print(f"painted in {took:.1f} s")
        assert shows_the_answers(page, long, "long")
        marks, rows = page.trace("restarts"), page.table("restarts")
        assert marks["customdata"] == list(range(2, RESTARTS + 2))
        assert (
            page.js("return document.querySelectorAll('#plot .scatterlayer .trace').length")
            >= RESTARTS
        )
        said = " ".join(
            [
                *page.js(
                    "return document.getElementById('plot').layout.annotations.map((one) "
                    "=> one.text)"
                ),
                *page.texts("#restarts td"),
            ]
        )
        bands = long.api("series?run=long")["bands"]
        assert {band["kind"] for band in bands} == {"repeated", "skipped"}
        assert all(band["label"].split(" ")[1] in said for band in bands)
        for restart, row, text in zip(answer["restarts"], rows, marks["text"], strict=True):
            assert row["repeated"].lstrip("↺ ") == shown(restart["num_repeated"])
            assert row["skipped"].lstrip("⇥ ") == shown(restart["num_skipped"])
            assert restart["label"] in text
        said = page.texts("#status > div > span")
        assert (
            f"{RESTARTS + 1} attempts, {RESTARTS} restarts" in said
            and f"{MILLION + RESTARTS * 500:,} steps" in said
        )
        assert page.errors() == []
    assert took < 10


def test_a_damaged_file_is_told_and_the_rest_is_shown(page, server, logs):
    page.open(server, run="corrupt")
    (warning,) = [text for text in page.texts("#notices .warning") if "at byte" in text]
    assert re.search(r"positions\.\S+.* at byte [\d,]+", warning)
    assert page.one("#notices .warning").is_displayed()
    assert [line["meta"]["attempt"] for line in page.lines()] == [
        line["attempt"] for line in server.api("series?run=corrupt")["lines"]
    ]
    assert max(page.lines()[-1]["customdata"]) == 11
    assert "2 attempts" in page.text("#status")


def test_names_are_text(page, server):
    page.open(server, run=HTML, reads="all")
    assert page.one("select#run").get_attribute("value") == HTML
    answer = server.api(
        f"checkpoints?run={page.js('return encodeURIComponent(arguments[0])', HTML)}"
    )
    names = [row["name"] for row in answer["history"]]
    assert sum("<" in name for name in names) == len(names) >= 3
    for at in range(len(names)):
        page.row(at).click()
        page.settled()
        assert "<" in page.text("#details h3")
    page.driver.execute_script("document.getElementById('plot').scrollIntoView()")
    hovered = []
    for curve, trace in enumerate(page.plot()):
        if trace["x"] and trace["visible"] is not False:
            page.js(
                "Plotly.Fx.hover(document.getElementById('plot'), [{curveNumber: "
                "arguments[0], pointNumber: 0}])",
                curve,
            )
            hovered += page.wait(lambda: page.texts("#plot .hoverlayer text"), "the hover text")
    assert any("<b>" in text for text in hovered)
    # Compared with another run, run names are in the plot, too.
    page.open(server, run=HTML, **{"with": "preempted"})
    page.js("Plotly.Fx.hover(document.getElementById('plot'), [{curveNumber: 0, pointNumber: 1}])")
    assert any(
        HTML in text
        for text in page.wait(lambda: page.texts("#plot .hoverlayer text"), "the hover text")
    )
    assert HTML in page.texts("#legend span") and HTML in page.texts("#checkpoints td")
    assert (
        page.js(
            "return document.querySelectorAll('img, body b i, [onerror], [onmouseover]').length"
        )
        == 0
    )
    assert page.js("return [document.title, parent.document.title]") == [
        "Data position",
        "TensorBoard",
    ]


def test_two_hundred_runs(page, tmp_path):
    for number in range(200):
        record(
            tmp_path / "logs" / f"exp-{number:03}", range(1, 5), saves=[2], batch_size=number + 1
        )
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as running:
        running.settled()
        page.open(
            running,
            run="exp-007",
            **{"with": ",".join(f"exp-{number:03}" for number in range(10, 16))},
        )
        assert len(page.texts("select#run option")) == 200
        page.one("#compare summary").click()
        page.wait(lambda: len(page.all("#compare li")) == 199, "the list")
        page.one("#compare input[type=search]").send_keys("exp-01")
        assert sorted(page.texts("#compare li .name")) == [
            f"exp-{number:03}" for number in range(10, 20)
        ]
        for number in range(16, 20):
            page.click(f"[data-key='with exp-{number:03}']")
        assert "8 drawn, 3 more chosen than can be drawn (at most 8)" in page.text(
            "#compare .panel > p"
        )
        page.wait(lambda: len({line["meta"]["run"] for line in page.lines()}) == 8, "eight runs")
        assert {line["meta"]["run"] for line in page.lines()} == {
            "exp-007",
            *(f"exp-{number:03}" for number in range(10, 17)),
        }
        assert {row["run"] for row in page.table("checkpoints")} == {
            line["meta"]["run"] for line in page.lines()
        }
        for line in page.lines():
            assert line["y"][-1] == 4 * (int(line["meta"]["run"][-3:]) + 1)
        page.press("#compare input[type=search]", "\ue00c")
        page.wait(lambda: not page.one("#compare .panel").is_displayed(), "the list to close")
        assert page.text(
            "#compare summary"
        ) == "compared with 10 runs ▾" or "compared with 10 runs" in page.text("#compare summary")


# What there may be nothing of


def test_an_empty_log_directory(page, tmp_path):
    (tmp_path / "logs").mkdir()
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as running:
        running.settled()
        page.open(running, state="empty")
        assert "import ckptscope as cs\nwith cs.record(LOGDIR" in page.text("pre")
        assert str(tmp_path / "logs") in page.text("body") and "checkpoints found\n0" in page.text(
            "body"
        )
        # What comes later shows up by itself or by TensorBoard's button.
        record(tmp_path / "logs" / "new", range(1, 6))
        reload_until(
            page, lambda: page.js("return document.documentElement.dataset.state") == "ready"
        )
        assert "5 steps" in page.text("#status")


def test_checkpoints_without_any_event_file(page, tmp_path):
    run = samples.copy("manager_run_221", tmp_path)
    with tensorboard(tmp_path / "log", "--logdir", str(run)) as running:
        running.settled()
        # Nothing else is there: TensorBoard shows this tab without being asked.
        page.driver.switch_to.default_content()
        page.driver.get(running.url)
        page.enter()
        assert [row["step"] for row in page.table("checkpoints")] == ["4", "8", "12"]
        assert page.trace("exact")["y"] == [16, 32, 48] and page.lines() == []
        assert "No recording in this run" in page.text("#notices")
        page.row(1).click()
        page.settled()
        assert page.facts("Position")["examples"] == "32"


def test_without_the_chart_library(page, server, logs, tmp_path):
    with tensorboard(tmp_path / "log", "--logdir", str(logs), code=WITHOUT_PLOTLY) as running:
        running.settled()
        assert running.api("health")["plotly"] is None
        page.open(running, run="manager_run_221")
        assert "pip install plotly" in page.text("#plot")
        assert [row["examples"] for row in page.table("checkpoints")] == ["16", "32", "48"]
        page.row(2).click()
        page.settled()
        assert page.facts("Position")["examples"] == "48"
        page.select("run", "preempted")
        assert len(page.table("restarts")) == 2 and page.all("table.coverage")


# What can be done with it
