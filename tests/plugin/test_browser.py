"""The tab in a real browser, of a real TensorBoard process: what it shows is what the command line prints."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from ckptscope.recording.model import Attempt
from ckptscope.recording.recorder import Recorder, new_id
from tests import samples
from tests.plugin.browser import FRAME, UNKNOWN, Page, chromium, printed, shown, signed
from tests.plugin.made_runs import (
    HTML,
    MILLION,
    RESTARTS,
    corrupted,
    evaluated,
    many_files,
    marked_up,
    million,
    preempted,
)
from tests.plugin.servers import WITHOUT_TENSORFLOW, Server, tensorboard
from tests.runs.made import FRESH, record

SAMPLES = ["manager_run_221", "estimator_plain_215", "estimator_hook_reused_115", "manager_run_lost_221"]
POSITION = {
    "class": "class", "step": "step", "epoch": "epoch", "examples_into_epoch": "examples into it", "examples_consumed": "examples",
    "batches_consumed": "batches", "batch_size": "batch size", "epoch_size": "epoch size",
}  # fmt: skip
WORDS = {"exact": "● exact", "approximate": "◆ approximate", "impossible": "✖ cannot resume", None: "□ unknown"}
PAPER = {"light": "#FFFFFF", "dark": "#303030"}
# Finding the package fails, as it does where it is not installed.
WITHOUT_PLOTLY = (
    "import sys, importlib.abc\n"
    "class Blocked(importlib.abc.MetaPathFinder):\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.partition('.')[0] == 'plotly': raise ModuleNotFoundError(name)\n"
    "sys.meta_path.insert(0, Blocked())\n" + WITHOUT_TENSORFLOW
)


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser):
    """The browser; what the console says of our files fails the test."""
    browser.driver.set_window_size(1400, 1000)
    yield browser
    assert browser.errors() == []


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Path:
    """Real checkpoints, a recording with restarts, one with a damaged file, and names that are markup."""
    directory = tmp_path_factory.mktemp("browser") / "logs"
    for name in SAMPLES:
        samples.copy(name, directory)
    preempted(directory / "preempted")
    corrupted(directory / "corrupt")
    marked_up(directory / HTML)
    return directory


@pytest.fixture(scope="module")
def server(logs):
    with tensorboard(logs.parent / "log", "--logdir", str(logs)) as running:
        running.settled()
        yield running


@pytest.fixture(scope="module")
def special(tmp_path_factory):
    """Many files, more of them, an evaluation, and a run of one checkpoint."""
    directory = tmp_path_factory.mktemp("special")
    for name, count in (("seventy", 70), ("many", 2500)):
        many_files(directory / "logs" / name, count)
    evaluated(directory / "logs" / "evaluated")
    keep_only(samples.copy("manager_run_221", directory / "logs"), "ckpt-8")
    with tensorboard(directory / "log", "--logdir", str(directory / "logs")) as running:
        running.settled()
        yield running


def keep_only(run: Path, name: str) -> None:
    for path in run.glob("ckpt-*"):
        if not path.name.startswith(f"{name}."):
            path.unlink()


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    directory = tmp_path_factory.mktemp("million")
    million(directory / "logs" / "long")
    with tensorboard(directory / "log", "--logdir", str(directory / "logs")) as running:
        running.settled()
        yield running


# Where it runs


@pytest.mark.parametrize(("fast", "theme"), [("true", "light"), ("false", "dark")])
def test_both_loading_modes_and_themes(page, logs, tmp_path, fast, theme):
    with tensorboard(tmp_path / "log", "--logdir", str(logs), "--load_fast", fast) as running:
        running.settled()
        assert running.api("health")["loading"] == ("fast" if fast == "true" else "slow")
        page.open(running, theme=theme, run="preempted", reads="all")
        assert shows_the_answers(page, running, "preempted", "all")
        assert page.js("return document.documentElement.dataset.theme") == theme
        assert page.layout("paper_bgcolor") == PAPER[theme]
        assert rgb(page.js("return getComputedStyle(document.body).backgroundColor")) == PAPER[theme]


def shows_the_answers(page: Page, running: Server, run: str, reads: str = "effective") -> bool:
    """Lines, marks and tables are those of the routes."""
    series = running.api(f"series?run={run}&reads={reads}&n=2000")
    rows = running.api(f"checkpoints?run={run}")
    drawn = [(line["meta"]["attempt"], line["meta"]["part"], line["customdata"], line["y"]) for line in page.lines()]
    assert drawn == [(line["attempt"], line["part"], line["step"], line["y"]) for line in series["lines"]]
    assert page.trace("restarts")["customdata"] == [restart["number"] for restart in series["restarts"]]
    assert [row["text"] for row in page.table("restarts")] == [restart["text"] for restart in rows["restarts"]]
    assert [row["step"] for row in page.table("checkpoints")] == [shown(row["step"]) for row in rows["history"]]
    return len(drawn) > 1


def rgb(colour: str) -> str:
    return "#" + "".join(f"{int(part):02X}" for part in re.findall(r"\d+", colour)[:3])


def test_the_theme_changes_while_it_is_open(page, server):
    page.open(server, run="preempted")
    before = {line["line"]["color"] for line in page.lines()} | {page.trace("exact")["marker"]["color"]}
    page.theme("dark")
    page.wait(lambda: page.layout("paper_bgcolor") == PAPER["dark"], "a dark plot")
    after = {line["line"]["color"] for line in page.lines()} | {page.trace("exact")["marker"]["color"]}
    assert before.isdisjoint(after) and len(before) == len(after)
    page.theme("light")
    page.wait(lambda: page.layout("paper_bgcolor") == PAPER["light"], "a light plot")


def test_path_prefix(page, logs, tmp_path):
    with tensorboard(tmp_path / "log", "--logdir", str(logs), "--path_prefix", "/foo/bar") as running:
        running.settled()
        page.open(running, run="preempted")
        assert shows_the_answers(page, running, "preempted")
        assert len(page.lines()) == 3


def test_several_log_directories(page, logs, tmp_path):
    with tensorboard(tmp_path / "log", "--logdir_spec", f"a:{logs / 'preempted'},b:{logs / SAMPLES[0]}") as running:
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
    assert [compared(row) for row in page.table("checkpoints")] == [expected_row(row) for row in history]
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
    record = UNKNOWN if following is None else f"{Path(following['file']).name} @ {shown(following['record_index'])}"
    return {
        "step": shown(position["step"]), "verdict": WORDS[row["verdict"]], "examples": known(position, own, "examples_consumed"),
        "epoch": known(position, own, "epoch"), "file": record + ("*" if following and is_own else ""),
    }  # fmt: skip


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
        read = source["record_index"] if source["record_index"] is not None else source["elements_read"]
        assert facts[Path(source["file"]).name if source["file"] else source["op"]] == f"{shown(read)} read"
    reasons = page.texts("#details .reasons li")
    for reason in set(position["reasons"].values()):
        assert sum(reason in text for text in reasons) == 1
    found = page.texts("#details ul.findings > li > code")
    assert sorted(found) == sorted(item["code"] for item in [*resume["findings"], *resume["conditions"]])
    said = "\n".join(page.texts("#details ul.findings > li"))
    assert all(finding["message"] in said and (finding["remedy"] or "") in said for finding in resume["findings"])
    assert stages_shown(page) == [line for iterator in answer["iterators"] for line in stage_lines(iterator["stages"])]
    file = page.facts("File")
    assert (file["path"], file["variables"], file["written by"]) == (
        checkpoint["path"], shown(checkpoint["num_variables"]), checkpoint["producer"],
    )  # fmt: skip
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
    return ", ".join(f"{part['from']:,}..{part['to'] - 1:,} of epoch {part['epoch']}" for part in found)


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
            (f"{stage['title']}{unknown}{held}", {key: shown(value) for key, value in stage["fields"].items()})
        )
        lines.extend(stage_lines(stage["inputs"]))
    return lines


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("manager_run_221", 0, 2), ("manager_run_221", 2, 1), ("estimator_hook_reused_115", 1, 2)],
)
def test_a_comparison_is_that_of_the_command_line(page, server, logs, name, first, second):
    history = printed("inspect", logs / name, "--all")["history"]
    summary = printed("diff", history[min(first, second)]["path"], history[max(first, second)]["path"])["summary"]
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
            signed(summary[key]) if summary[key] is not None else reasons.get(key.removesuffix("_delta"), UNKNOWN)
        )
    assert between["steps"] == signed(summary["step_delta"]) != UNKNOWN
    alarms = [f"{alarm['code']} {alarm['text']}" for alarm in summary["alarms"]]
    # Those of the comparison come first; those of the checkpoint itself are in the folded part.
    assert page.texts("#details .body > ul.alarms li") == alarms
    assert page.texts("#details .head > .headline .verdict") == [WORDS[verdict] for verdict in summary["verdicts"]]
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
        assert page.js("return document.querySelectorAll('#plot .scatterlayer .trace').length") >= RESTARTS
        said = " ".join([*page.js("return document.getElementById('plot').layout.annotations.map((one) => one.text)"),
                         *page.texts("#restarts td")])  # fmt: skip
        bands = long.api("series?run=long")["bands"]
        assert {band["kind"] for band in bands} == {"repeated", "skipped"}
        assert all(band["label"].split(" ")[1] in said for band in bands)
        for restart, row, text in zip(answer["restarts"], rows, marks["text"], strict=True):
            assert row["repeated"].lstrip("↺ ") == shown(restart["num_repeated"])
            assert row["skipped"].lstrip("⇥ ") == shown(restart["num_skipped"])
            assert restart["label"] in text
        said = page.texts("#status > div > span")
        assert f"{RESTARTS + 1} attempts, {RESTARTS} restarts" in said and f"{MILLION + RESTARTS * 500:,} steps" in said
        assert page.errors() == []
    assert took < 10


def test_a_damaged_file_is_told_and_the_rest_is_shown(page, server, logs):
    page.open(server, run="corrupt")
    (warning,) = [text for text in page.texts("#notices .warning") if "at byte" in text]
    assert re.search(r"events\.out\.tfevents\.\S+.* at byte [\d,]+", warning)
    assert page.one("#notices .warning").is_displayed()
    assert [line["meta"]["attempt"] for line in page.lines()] == [
        line["attempt"] for line in server.api("series?run=corrupt")["lines"]
    ]
    assert max(page.lines()[-1]["customdata"]) == 11
    assert "2 attempts" in page.text("#status")


def test_names_are_text(page, server):
    page.open(server, run=HTML, reads="all")
    assert page.one("select#run").get_attribute("value") == HTML
    answer = server.api(f"checkpoints?run={page.js('return encodeURIComponent(arguments[0])', HTML)}")
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
                "Plotly.Fx.hover(document.getElementById('plot'), [{curveNumber: arguments[0], pointNumber: 0}])", curve
            )
            hovered += page.wait(lambda: page.texts("#plot .hoverlayer text"), "the hover text")
    assert any("<b>" in text for text in hovered)
    # Compared with another run, run names are in the plot, too.
    page.open(server, run=HTML, **{"with": "preempted"})
    page.js("Plotly.Fx.hover(document.getElementById('plot'), [{curveNumber: 0, pointNumber: 1}])")
    assert any(HTML in text for text in page.wait(lambda: page.texts("#plot .hoverlayer text"), "the hover text"))
    assert HTML in page.texts("#legend span") and HTML in page.texts("#checkpoints td")
    assert page.js("return document.querySelectorAll('img, body b i, [onerror], [onmouseover]').length") == 0
    assert page.js("return [document.title, parent.document.title]") == ["Data position", "TensorBoard"]


def test_two_hundred_runs(page, tmp_path):
    for number in range(200):
        record(tmp_path / "logs" / f"exp-{number:03}", range(1, 5), saves=[2], batch_size=number + 1)
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as running:
        running.settled()
        page.open(running, run="exp-007", **{"with": ",".join(f"exp-{number:03}" for number in range(10, 16))})
        assert len(page.texts("select#run option")) == 200
        page.one("#compare summary").click()
        page.wait(lambda: len(page.all("#compare li")) == 199, "the list")
        page.one("#compare input[type=search]").send_keys("exp-01")
        assert sorted(page.texts("#compare li .name")) == [f"exp-{number:03}" for number in range(10, 20)]
        for number in range(16, 20):
            page.click(f"[data-key='with exp-{number:03}']")
        assert "8 drawn, 3 more chosen than can be drawn (at most 8)" in page.text("#compare .panel > p")
        page.wait(lambda: len({line["meta"]["run"] for line in page.lines()}) == 8, "eight runs")
        assert {line["meta"]["run"] for line in page.lines()} == {
            "exp-007",
            *(f"exp-{number:03}" for number in range(10, 17)),
        }
        assert {row["run"] for row in page.table("checkpoints")} == {line["meta"]["run"] for line in page.lines()}
        for line in page.lines():
            assert line["y"][-1] == 4 * (int(line["meta"]["run"][-3:]) + 1)
        page.press("#compare input[type=search]", "\ue00c")
        page.wait(lambda: not page.one("#compare .panel").is_displayed(), "the list to close")
        assert page.text("#compare summary") == "compared with 10 runs ▾" or "compared with 10 runs" in page.text(
            "#compare summary"
        )


# What there may be nothing of


def test_an_empty_log_directory(page, tmp_path):
    (tmp_path / "logs").mkdir()
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as running:
        running.settled()
        page.open(running, state="empty")
        assert "import ckptscope as cs\nwith cs.record(LOGDIR" in page.text("pre")
        assert str(tmp_path / "logs") in page.text("body") and "checkpoints found\n0" in page.text("body")
        # What comes later shows up by itself or by TensorBoard's button.
        record(tmp_path / "logs" / "new", range(1, 6))
        reload_until(page, lambda: page.js("return document.documentElement.dataset.state") == "ready")
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


def test_zoom_asks_for_every_step(page, long):
    page.open(long)
    assert len(page.lines()[5]["customdata"]) < 2000
    begin = 5 * 48_000 + 20_000
    page.js("Plotly.relayout(document.getElementById('plot'), {'xaxis.range': arguments[0]})", [begin, begin + 100])
    page.wait(lambda: set(range(begin, begin + 101)) <= set(page.lines()[5]["customdata"]), "every step")
    page.settled()
    assert f"p.ckptscope.x0={begin}&p.ckptscope.x1={begin + 100}" in page.hash()
    assert page.layout("xaxis.range") == pytest.approx([begin, begin + 100])
    # The rest is still there, and all of it is shown again by the button.
    assert max(step for line in page.lines() for step in line["customdata"]) == MILLION
    page.click("[aria-label='Show all']")
    assert "x0" not in page.hash() and page.layout("xaxis.range")[1] > MILLION


def test_drag_and_double_click(page, server):
    from selenium.webdriver.common.action_chains import ActionChains

    page.open(server, run="preempted")
    whole = page.layout("xaxis.range")
    plot = page.one("#plot .nsewdrag")
    ActionChains(page.driver, 50).move_to_element_with_offset(plot, -200, 40).click_and_hold().move_by_offset(
        100, 0
    ).move_by_offset(200, 5).release().perform()
    page.wait(lambda: page.layout("xaxis.range") != whole, "the zoom")
    page.settled()
    low, high = page.layout("xaxis.range")
    assert whole[0] < low < high < whole[1] and high - low < (whole[1] - whole[0]) * 0.6
    ActionChains(page.driver, 50).move_to_element_with_offset(
        page.one("#plot .nsewdrag"), 10, 90
    ).double_click().perform()
    page.wait(lambda: page.layout("xaxis.range") == whole, "all of it")
    assert "x0" not in page.hash()


def test_a_click_chooses_a_step_or_a_checkpoint(page, server):
    from selenium.webdriver.common.action_chains import ActionChains

    page.open(server, run="manager_run_221")
    mark = page.all("#plot .scatterlayer .trace path.point")[1]
    ActionChains(page.driver, 50).move_to_element(mark).click().perform()
    page.wait(lambda: page.chosen() == ["8"], "the checkpoint")
    page.open(server, run="preempted", sel=f"{server.api('series?run=preempted')['lines'][0]['attempt']}:7")
    assert "Step 7, attempt 1" in page.text("#details h3")
    assert page.facts("Position")["examples"] == "28"


def test_a_restart_is_brought_into_view(page, server):
    page.open(server, run="preempted")
    band = server.api("series?run=preempted")["bands"][0]
    page.press("#restarts tbody tr", "\n")
    page.wait(lambda: "x0" in page.hash(), "the zoom")
    low, high = page.layout("xaxis.range")
    assert low < band["from"] < band["to"] < high < page.layout("xaxis.rangeslider.range")[1] * 1.1


def test_another_tab_and_back(page, server):
    page.open(server, run="preempted", x0=10, x1=30)
    page.row(1).click()
    page.settled()
    look = "const box = document.getElementById('plot'); return [box.clientWidth, box.clientHeight, box.layout.width, box.layout.height, box.layout.xaxis.range]"
    before, chosen, told = page.js(look), page.chosen(), page.text("#details")
    address = page.hash()
    page.driver.switch_to.default_content()
    page.one("plugin-selector mat-select").click()
    page.wait(lambda: [one for one in page.all("mat-option") if "images" in one.text.lower()], "the list of tabs")[
        0
    ].click()
    page.wait(lambda: not page.one(FRAME).is_displayed(), "the other tab")
    page.driver.switch_to.frame(page.one(FRAME))
    count = "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/overview')).length"
    times = page.js(count)
    page.driver.switch_to.default_content()
    page.one("[data-plugin-id=ckptscope]").click()
    page.wait(lambda: page.one(FRAME).is_displayed(), "the tab")
    page.enter()
    # Back in front, it asks for what is new; then nothing else will change.
    page.wait(lambda: page.js(count) > times, "fresh numbers")
    page.settled()
    assert page.js(look) == before
    assert (page.chosen(), page.text("#details"), page.hash()) == (chosen, told, address)


def test_keyboard(page, server):
    from selenium.webdriver.common.keys import Keys

    page.open(server, run="manager_run_221")
    page.press("#plot", Keys.ARROW_RIGHT)
    assert page.chosen() == ["4"]
    page.press("#plot", Keys.ARROW_RIGHT)
    assert page.chosen() == ["8"]
    page.press("#plot", Keys.END)
    assert page.chosen() == ["12"]
    page.press("#plot", Keys.HOME)
    assert page.chosen() == ["4"]
    page.press("#plot", Keys.ARROW_LEFT)
    assert page.chosen() == ["4"]
    whole = page.layout("xaxis.range")
    page.press("#plot", "+")
    low, high = page.layout("xaxis.range")
    assert high - low == pytest.approx((whole[1] - whole[0]) / 2)
    page.press("#plot", "-")
    assert page.layout("xaxis.range") == pytest.approx(whole)
    page.press("#checkpoints tbody tr:nth-child(3)", Keys.ENTER)
    assert page.chosen() == ["12"] and "ckpt-12" in page.text("#details h3")
    assert page.js("return document.activeElement.cells[0].textContent") == "12"
    # C keeps the one that is chosen, and the next one is compared with it.
    page.press("#plot", "c", Keys.ARROW_LEFT)
    page.wait(lambda: "ckpt-8 → ckpt-12" in page.text("#details h3"), "the comparison")
    assert page.facts("Between them")["steps"] == "+4"
    page.press("#plot", Keys.ESCAPE)
    assert page.chosen() == [] and "Choose a checkpoint" in page.text("#details")


def test_focus_is_seen_wherever_it_goes(page, server):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.open(server, run="preempted")
    page.one("select#run").send_keys("")
    seen = []
    for _ in range(40):
        ActionChains(page.driver, 0).send_keys(Keys.TAB).perform()
        seen.append(
            page.js("""
            const one = document.activeElement;
            const style = getComputedStyle(one);
            return [one.tagName, one.id, one.closest('section') ? one.closest('section').id : '', style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];""")
        )
    assert all(is_seen for *_, is_seen in seen), seen
    assert "plot" in [identity for _, identity, *_ in seen]
    assert {"restarts", "checkpoints"} <= {section for *_, section, _ in seen}


def test_links(page, server):
    rows = server.api("checkpoints?run=manager_run_221")["history"]
    keys = {"run": "manager_run_221", "sel": rows[0]["id"], "vs": rows[2]["id"], "y": "epoch", "x0": "5", "x1": "11"}
    page.open(server, **keys)
    for _ in range(2):
        assert page.one("select#run").get_attribute("value") == "manager_run_221"
        assert page.one("select#y").get_attribute("value") == "epoch"
        assert "ckpt-4 → ckpt-12" in page.text("#details h3")
        assert page.layout("xaxis.range") == pytest.approx([5, 11])
        assert page.all("#notices .warning") == []
        assert asked(page.hash()) == keys
        page.driver.refresh()
        page.enter()
    page.open(server, run="gone", sel="feed", vs="beef", y="volume", x0="3", x1="x", **{"with": "none,preempted"})
    (notice,) = page.texts("#notices .warning")
    for key in ("run=gone", "1 run to compare", "sel=feed", "y=volume", "x0=3", "x1=x"):
        assert key in notice
    assert page.table("checkpoints")
    page.click("#notices button[aria-label='Close this note']")
    assert page.all("#notices .warning") == [] or "ignored" not in page.text("#notices")


def test_a_link_to_a_run_that_is_not_found_yet(page, server):
    """The first two answers are as if the search were under way: the link is not given up."""
    begin = """
        let left = 2;
        const real = window.fetch;
        window.fetch = async (url, ...more) => {
          const answer = await real(url, ...more);
          if (!String(url).endsWith('/overview') || left === 0) return answer;
          left -= 1;
          const told = await answer.json();
          const runs = told.runs.filter((run) => run.name !== 'preempted');
          return new Response(JSON.stringify({...told, runs, scan: {...told.scan, state: 'running', text: null}}));
        };"""
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": begin})
    try:
        page.open(server, run="preempted")
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
    assert page.one("select#run").get_attribute("value") == "preempted"
    assert page.all("#notices .warning") == [] and len(page.table("restarts")) == 2


def asked(address: str) -> dict[str, str]:
    return dict(
        part.removeprefix("p.ckptscope.").split("=", 1) for part in address.lstrip("#").split("&") if "=" in part
    )


def test_the_address_follows_what_is_chosen(page, server):
    rows = server.api("checkpoints?run=manager_run_221")["history"]
    page.open(server, run="manager_run_221")
    page.row(0).click()
    page.settled()
    page.compare(1)
    page.select("x", "time")
    assert asked(page.hash()) == {"run": "manager_run_221", "sel": rows[0]["id"], "vs": rows[1]["id"], "x": "time"}
    # A link that is pasted into the open page is followed.
    with page.outside():
        page.js(
            "location.hash = arguments[0]", f"#ckptscope&p.ckptscope.run=preempted&p.ckptscope.sel={rows[0]['id']}x"
        )
    page.wait(lambda: page.one("select#run").get_attribute("value") == "preempted", "the run")


@pytest.mark.parametrize("allowed", ["both", "old", "none"])
def test_copying(page, server, allowed):
    """By the clipboard, where a frame may use it; the old way, or by hand, where not."""
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.open(server, run="manager_run_221")
    page.js("navigator.clipboard.writeText('before')")
    if allowed != "both":
        page.js(
            "navigator.clipboard.write = navigator.clipboard.writeText = () => Promise.reject(new Error('refused'))"
        )
    if allowed == "none":
        page.js("document.execCommand = () => false")
    page.row(0).click()
    page.settled()
    for selector, text in (("#details > .title button", page.js("return parent.location.href")),
                           (".commands button", page.texts(".commands pre")[0])):  # fmt: skip
        page.one(selector).click()
        if allowed == "none":
            page.wait(
                lambda text=text: (
                    page.js("return getSelection().toString() || document.activeElement.value || ''") == text
                ),
                "the text",
            )
            assert "Ctrl" in page.texts(selector)[0]
        else:
            page.wait(lambda selector=selector: page.texts(selector)[0] == "copied", "the answer")
            copied = page.driver.execute_async_script(
                "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
            )
            assert copied == text


def test_saving_the_picture(page, server, tmp_path):
    page.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.open(server, run="preempted")
    page.one("#plot-tools [aria-label='Save the picture']").click()
    saved = tmp_path / "data-position.svg"
    page.wait(saved.exists, "the file")
    assert saved.read_text().startswith("<svg") and "repeated" in saved.read_text()


def reload_until(page: Page, done: Any) -> None:
    """TensorBoard's own button, as often as its servers need to see new files."""

    def look() -> bool:
        with page.outside():
            page.one(".reload-button").click()
        deadline = time.monotonic() + 2
        while not (found := done()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    page.wait(look, "what was written")
    page.settled()


def test_the_reload_button(page, tmp_path):
    run = tmp_path / "logs" / "run"
    attempt = Attempt(new_id(), time.time(), start=FRESH, batch_size=4, epoch_size=40, spans=True, order="fixed")
    with Recorder(str(run), attempt, flush_interval_s=0.02) as recorder:
        for step in range(1, 11):
            recorder.step(step)
        with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as running:
            running.settled()
            page.open(running)
            # The page asks by itself every ten seconds, too; not in this test.
            page.js("""
                for (let timer = 1; timer < 10000; timer += 1) clearTimeout(timer);
                const real = window.setTimeout;
                window.setTimeout = (work, wait) => (wait >= 10000 ? 0 : real(work, wait));""")
            assert page.lines()[0]["customdata"][-1] == 10
            page.js("window.here = true; document.getElementById('left').scrollTop = 30")
            for step in range(11, 31):
                recorder.step(step)
            reload_until(page, lambda: page.lines()[0]["customdata"][-1] == 30)
            assert page.one("select#run").get_attribute("value") == "run" and "30 steps" in page.text("#status")
            assert page.js("return [window.here, document.getElementById('left').scrollTop]") == [True, 30]


# What changes while it is looked at, or is not there yet


def test_a_checkpoint_that_is_deleted(page, tmp_path):
    run = samples.copy("manager_run_221", tmp_path / "logs")
    with tensorboard(tmp_path / "log", "--logdir", str(tmp_path / "logs")) as running:
        running.settled()
        page.open(running)
        page.row(0).click()
        page.settled()
        assert "sel" in asked(page.hash())
        for path in run.glob("ckpt-4.*"):
            path.unlink()
        reload_until(page, lambda: "not here any more" in page.text("#notices"))
        assert "ckpt-4 is not here any more." in page.text("#notices")
        assert "sel" not in asked(page.hash()) and page.chosen() == []
        assert [row["step"] for row in page.table("checkpoints")] == ["8", "12"]
        page.click("#notices button[aria-label='Close this note']")
        assert "not here any more" not in page.text("#notices")


SEARCHING = """
    window.asked = [];
    const real = window.fetch;
    window.fetch = async (url, ...more) => {
      if (!String(url).includes('/checkpoints')) return real(url, ...more);
      window.asked.push(document.getElementById('status').textContent);
      if (window.asked.length > NUMBER) return real(url, ...more);
      return new Response(JSON.stringify({code: 503, message: 'not found yet', hint: null}), {status: 503});
    };
    const wait = window.setTimeout;
    window.setTimeout = (work, time) => wait(work, time === 2000 ? 50 : time);"""


@pytest.mark.parametrize(("refusals", "state", "count"), [(3, "ready", 4), (99, "error", 11)])
def test_what_is_not_found_yet_is_asked_for_again(page, server, refusals, state, count):
    script = SEARCHING.replace("NUMBER", str(refusals))
    made = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        page.open(server, run="preempted", state=state)
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)
    told = page.js("return window.asked")
    assert len(told) == count and set(told[1:]) == {"searching for runs …"} and "searching" not in page.text("#status")
    assert len(page.table("restarts")) == (2 if state == "ready" else 0)
    assert ("not found yet" in page.text("#notices")) == (state == "error")


# How it looks and sounds


CONTRAST = """
    const parts = (colour) => {
      const [red, green, blue, alpha = 1] = colour.match(/[0-9.]+/g).map(Number);
      return {rgb: [red, green, blue], alpha};
    };
    const light = (rgb) => rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (one) => {
      const found = parts(getComputedStyle(one).backgroundColor);
      return found.alpha === 1 || !one.parentElement ? found.rgb : behind(one.parentElement);
    };
    const ratio = (one) => {
      const [low, high] = [light(parts(getComputedStyle(one).color).rgb), light(behind(one))].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    return [...document.querySelectorAll(arguments[0])].filter((one) => one.getClientRects().length)
      .map((one) => [one.textContent, ratio(one), getComputedStyle(one).color]);"""


@pytest.mark.parametrize("theme", PAPER)
def test_words_are_readable(page, server, theme):
    page.open(server, theme=theme, run="estimator_hook_reused_115")
    for at in range(len(page.table("checkpoints"))):
        page.row(at).click()
        page.settled()
        page.compare((at + 1) % len(page.table("checkpoints")))
        (mate,) = page.texts("#checkpoints tr.vs td:first-child")
        assert page.chosen() not in ([], [mate])
        marks = page.js(CONTRAST, ".verdict > .mark")
        words = page.js(
            CONTRAST, ".verdict, .legend-item, #checkpoints td, #checkpoints td *:not(.mark), #status span:not(.mark)"
        )
        assert len(words) > 50 and len(marks) > 5
        assert [found for found in words if found[1] < 4.5] == []
        assert [found for found in marks if found[1] < 3] == []
        # The word is text; the mark has a colour.
        text = page.js("return getComputedStyle(document.body).color")
        assert {colour for *_, colour in page.js(CONTRAST, ".verdict")} == {text}
        assert text not in {colour for *_, colour in marks}


def test_what_a_screen_reader_is_told(page, server):
    page.open(server, run="preempted")
    page.js("document.querySelector('#status [role=status]').remembered = true")
    (announced,) = page.texts("[role=status]")
    assert announced == "6 checkpoints3 attempts, 2 restarts"
    assert "newest record" in page.text("#status .rest") and "60 steps" not in announced
    # Nothing is announced by fresh numbers that are the old ones.
    page.js("""
        window.changes = 0;
        const look = new MutationObserver((found) => { window.changes += found.length; });
        for (const one of document.querySelectorAll('[role=status], [aria-live]')) look.observe(one, {subtree: true, childList: true, characterData: true});""")
    count = "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/overview')).length"
    times = page.js(count)
    with page.outside():
        page.one(".reload-button").click()
    page.wait(lambda: page.js(count) > times, "fresh numbers")
    page.settled()
    assert page.js("return window.changes") == 0
    # Of the details, what was chosen and its verdict.
    assert page.js("return [...document.querySelectorAll('[aria-live]')].map((one) => one.className)") == ["head"]
    page.row(0).click()
    page.settled()
    assert page.js("return [...document.querySelector('#details .head').children].map((one) => one.tagName)") == [
        "H3",
        "P",
    ]
    assert page.js("return window.changes") > 0
    # A row is chosen by the button of its step.
    labels = page.js("return [...document.querySelectorAll('#checkpoints button.choose')].map((one) => one.ariaLabel)")
    assert labels == [f"step {step}, unknown" for step in (10, 20, 30, 40, 50, 60)]
    page.press("#checkpoints tbody tr:nth-child(3) button.choose", "\n")
    assert page.chosen() == ["30"] and page.js("return document.activeElement.textContent") == "30"
    page.press("#checkpoints tbody tr:nth-child(3) button.choose", "\ue015")
    assert page.js("return document.activeElement.ariaLabel") == "step 40, unknown"
    assert page.all("[aria-selected]") == [] and len(page.all("tr[aria-current=true]")) == 1
    # Marks of the table of files are words, too.
    assert page.all("table.coverage [aria-label]") == []
    words = page.texts("table.coverage td .offscreen")
    statuses = {cell["status"] for cell in server.api("coverage?run=preempted")["cells"]}
    assert len(set(words)) == len(statuses) > 1 and ", read again" in words


# What the recorder knows more than the checkpoint


def test_numbers_that_the_recorder_counted(page, server):
    page.open(server, run="preempted")
    rows = server.api("checkpoints?run=preempted")["history"]
    assert [(row["examples"], row["epoch"]) for row in page.table("checkpoints")] == [
        (f"{row['counted']['examples']}†", f"{row['counted']['epoch']}†") for row in rows
    ]
    assert page.texts("#checkpoints .footnotes p") == ["† counted by the recorder; the checkpoint itself does not tell"]
    page.row(1).click()
    page.settled()
    assert page.facts("Position")["examples"] == f"{rows[1]['counted']['examples']}†"
    # The hover tells what a mark is drawn at.
    for y, words in (
        ("examples", "{:,} examples"),
        ("epoch", "epoch {:g}"),
        ("record", "{:,} examples into the epoch"),
    ):
        page.select("y", y)
        trace = page.trace("unknown")
        assert len(trace["text"]) == 6
        for text, value in zip(trace["text"], trace["y"], strict=True):
            assert text.endswith(f"<br>{words.format(value)}"), y


def test_an_evaluation_is_no_part_of_the_weights(page, special):
    page.open(special, run="evaluated", reads="all")
    (line,) = [line for line in page.lines() if line["meta"]["part"] == "eval"]
    (told,) = [line for line in special.api("series?run=evaluated&reads=all")["lines"] if line["part"] == "eval"]
    kept = next(line for line in page.lines() if line["meta"]["part"] == "kept")
    assert line["line"]["width"] < kept["line"]["width"] and line["line"]["dash"] == "1px,4px"
    assert told["label"] in page.texts("#legend span")
    assert all("evaluation: not part of the weights" in text and "lost" not in text for text in line["text"])
    page.open(special, run="evaluated", reads="all", sel=f"{told['attempt']}:7")
    assert "evaluation: not part of the weights" in page.text("#details .headline")
    assert "lost" not in page.text("#details .headline")


def test_one_checkpoint_has_room(page, special):
    page.open(special, run="manager_run_221")
    assert page.trace("exact")["x"] == [8] and page.trace("exact")["y"] == [32]
    for axis, value in (("xaxis", 8), ("yaxis", 32)):
        low, high = page.layout(f"{axis}.range")
        assert low <= value - 1 and value + 1 <= high and page.layout(f"{axis}.dtick") == 1
    ticks = page.texts("#plot .xtick text, #plot .ytick text")
    assert len(ticks) >= 4 and all(re.fullmatch(r"\d+", tick) for tick in ticks)


def test_many_files(page, special):
    page.open(special, run="seventy")
    assert len(page.all("table.coverage tbody tr")) == 60
    assert page.texts("#coverage button") == ["show all 70 files"]
    page.click("#coverage button")
    assert len(page.all("table.coverage tbody tr")) == 70
    assert page.all("#coverage button") == [] and page.all("#coverage .more") == []
    page.select("run", "many")
    assert page.texts("#coverage button") == ["show 2,000 of 2,500 files"]
    page.click("#coverage button")
    assert len(page.all("table.coverage tbody tr")) == 2000 and page.all("#coverage button") == []
    assert page.texts("#coverage .more") == ["2,000 of 2,500 files are shown"]


def test_narrow_pages_do_not_scroll_sideways(page, server):
    page.driver.set_window_size(800, 900)
    page.open(server, run="preempted")
    for run in ("preempted", "estimator_hook_reused_115", HTML):
        page.select("run", run)
        if rows := page.all("#checkpoints tbody tr"):
            rows[-1].click()
            page.settled()
        width, inner, plot = page.js(
            "return [document.scrollingElement.scrollWidth, innerWidth, document.getElementById('plot').layout.width]"
        )
        assert plot < width <= inner == 800


@pytest.mark.parametrize("width", [1400, 800])
def test_labels_do_not_touch(page, server, long, width):
    page.driver.set_window_size(width, 900)
    for running, run in ((server, "preempted"), (long, "long")):
        page.open(running, run=run)
        boxes = page.js("""
            return [...document.querySelectorAll('#plot .annotation-text')].map((one) => {
              const box = one.getBoundingClientRect();
              return [one.textContent, box.left, box.top, box.right, box.bottom];
            }).filter(([text]) => /^[^a-z]*(in place|\\d)/.test(text));""")
        assert len(boxes) >= 2
        for at, (text, left, top, right, bottom) in enumerate(boxes):
            for other, *box in boxes[:at]:
                assert right <= box[0] or box[2] <= left or bottom <= box[1] + 2 or box[3] <= top + 2, (text, other)


def test_effective_and_all(page, server):
    page.open(server, run="preempted")
    assert {line["meta"]["part"] for line in page.lines()} == {"kept"}
    hint = page.text("#reads-hint")
    assert "lost" in hint and "lost" in page.one("select#reads").get_attribute("title")
    page.select("reads", "all")
    assert {line["meta"]["part"] for line in page.lines()} == {"kept", "lost"}
    assert shows_the_answers(page, server, "preempted", "all")
    assert page.text("#reads-hint") != hint
