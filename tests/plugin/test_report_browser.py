"""The file of ``ckptscope report`` in a real browser that has no network: it shows what the tab
shows.
"""

from __future__ import annotations

import pytest

from tests import samples
from tests.command import subprocess_of
from tests.plugin.browser import Page, chromium, printed, signed
from tests.plugin.conftest import Tab
from tests.plugin.made_runs import HTML, many_files, marked_up, preempted

THEMES = {"light": "#FFFFFF", "dark": "#303030"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(directory of the runs, file of the report)."""
    directory = tmp_path_factory.mktemp("report")
    samples.copy("manager_run_221", directory / "logs")
    samples.copy("manager_run_lost_221", directory / "logs")
    many_files(directory / "logs" / "seventy", 70)
    preempted(directory / "logs" / "preempted")
    marked_up(directory / "logs" / HTML)
    done = subprocess_of("report", directory / "logs", "-o", directory / "report.html")
    assert done.returncode == 0, done.stderr
    return directory / "logs", directory / "report.html"


@pytest.fixture(scope="module")
def answers(made):
    tab = Tab(made[0])
    tab.settled()
    return tab


@pytest.fixture(scope="module")
def browser():
    with chromium("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9") as page:
        page.driver.execute_cdp_cmd("Network.enable", {})
        page.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        yield page


@pytest.fixture
def page(browser):
    yield browser
    fetched = browser.js("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []
    assert browser.errors() == []


def show(page: Page, file, hash: str = "", theme: str = "light") -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": theme}]},
    )
    page.driver.get("about:blank")
    page.driver.get(f"{file.as_uri()}#{hash}")
    assert page.settled() == "ready"


@pytest.mark.parametrize("theme", THEMES)
def test_the_same_as_in_the_tab(page, made, answers, theme):
    show(page, made[1], "run=preempted", theme)
    assert page.layout("paper_bgcolor") == THEMES[theme]
    for reads in ("all", "effective"):
        page.select("reads", reads)
        series = answers.api("series", run="preempted", reads=reads)
        drawn = [(line["meta"]["part"], line["customdata"], line["y"]) for line in page.lines()]
        assert (
            drawn == [(line["part"], line["step"], line["y"]) for line in series["lines"]]
            and len(drawn) > 2
        )
        restarts = page.trace("restarts")
        assert (
            restarts["customdata"]
            == [restart["number"] for restart in series["restarts"]]
            == [2, 3]
        )
        assert (restarts["x"], restarts["y"]) == tuple(
            [restart[axis] for restart in series["restarts"]] for axis in ("x", "y")
        )
    for run in ("preempted", "manager_run_lost_221"):
        page.select("run", run)
        told = answers.api("checkpoints", run=run)
        assert [(row["step"], row["why"]) for row in page.table("checkpoints")] == [
            (str(row["step"]), row["why"] or ("" if row["verdict"] == "exact" else row["headline"]))
            for row in told["history"]
        ]
        assert [row["text"] for row in page.table("restarts")] == [
            restart["text"] for restart in told["restarts"]
        ]


def test_details_and_comparisons(page, made):
    run = made[0] / "manager_run_221"
    show(page, made[1], "run=manager_run_221")
    rows = printed("inspect", run, "--all")["history"]
    page.row(0).click()
    page.settled()
    assert page.text("#details .headline") == rows[0]["headline"]
    assert page.facts("Position")["examples"] == str(rows[0]["position"]["examples_consumed"])
    page.compare(1)
    summary = printed("diff", rows[0]["path"], rows[1]["path"])["summary"]
    between = page.facts("Between them")
    assert (between["steps"], between["examples"]) == (
        signed(summary["step_delta"]),
        signed(summary["examples_delta"]),
    )
    page.compare(2)
    assert "only in the interactive tab" in page.text("#details")
    assert page.facts("Between them") is None


def test_files_that_are_not_in_the_report(page, made):
    show(page, made[1], "run=seventy")
    assert len(page.all("table.coverage tbody tr")) == 60 and page.all("#coverage button") == []
    assert page.texts("#coverage .more") == ["60 of 70 files; the rest is in the interactive tab"]


def test_a_link_into_the_file(page, made, answers):
    row = answers.api("checkpoints", run="manager_run_221")["history"][1]
    show(page, made[1], f"run=manager_run_221&sel={row['id']}&y=epoch&x0=5&x1=11")
    assert page.chosen() == ["8"] and "ckpt-8" in page.text("#details h3")
    assert page.one("select#y").get_attribute("value") == "epoch"
    assert page.layout("xaxis.range") == pytest.approx([5, 11])


def test_names_are_text(page, made):
    show(page, made[1], "reads=all")
    page.select("run", HTML)
    page.row(1).click()
    page.settled()
    assert "<b onmouseover" in page.text("#details h3")
    assert page.js("return document.querySelectorAll('img, [onerror], [onmouseover]').length") == 0
    assert page.js("return document.title") == "Data position: logs"


def test_the_theme_changes_while_it_is_open(page, made):
    show(page, made[1], "run=preempted")
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    page.wait(lambda: page.layout("paper_bgcolor") == THEMES["dark"], "a dark plot")


def test_saving_the_picture(page, made, tmp_path):
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    show(page, made[1], "run=preempted")
    page.one("#plot-tools [aria-label='Save the picture']").click()
    page.wait((tmp_path / "data-position.svg").exists, "the file")
