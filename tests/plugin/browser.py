"""A real Chromium at the tab of a real TensorBoard, or at the file of a report."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.command import subprocess_of
from tests.plugin.servers import Server

LIMIT_S = 60.0
SIZE = (1400, 1000)
UNKNOWN = "\N{EN DASH}"
FRAME = 'iframe[src*="name=ckptscope"]'
_NAMES = {"browser": ("chromium", "chromium-browser", "google-chrome"), "driver": ("chromedriver",)}
_FLAGS = tuple(
    """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
    """.split()
)
_SETTLED = """
    const details = document.getElementById('details');
    return ['ready', 'empty', 'error'].includes(document.documentElement.dataset.state) &&
      !(details && details.hasAttribute('aria-busy')) && document.documentElement.dataset.state;"""
_TABLE = """
    const table = document.querySelector(`#${arguments[0]} table.rows`);
    const keys = [...table.tHead.rows[0].cells].map((cell) => {
      const button = cell.querySelector('button');
      return button ? button.dataset.key.replace('sort ', '') : cell.textContent;
    });
    const rows = [...table.tBodies[0].rows].filter((row) => !row.classList.contains('none'));
    return rows.map((row) => Object.fromEntries([...row.cells].map((cell, i) => [keys[i], cell.textContent.trim()])));"""
_FACTS = """
    const part = [...document.querySelectorAll('#details section')].find((one) =>
      one.querySelector('h4') && one.querySelector('h4').textContent === arguments[0]);
    if (!part) return null;
    const rows = [...part.querySelectorAll('table.facts tr')].map((row) => [row.cells[0].textContent, row.cells[1].textContent]);
    const terms = [...part.querySelectorAll('dl.facts dt')].map((term) => [term.textContent, term.nextElementSibling.textContent]);
    return [...rows, ...terms];"""
_PLOT = """
    const plot = document.getElementById('plot');
    const plain = (value) => (value === undefined ? null : ArrayBuffer.isView(value) ? [...value] : value);
    return plot.data.map((trace) => Object.fromEntries(
      ['name', 'x', 'y', 'customdata', 'meta', 'text', 'visible', 'line', 'marker'].map((key) => [key, plain(trace[key])])));"""


def executable(kind: str) -> str:
    """Where the browser or its driver is; tests are skipped without one, but not where they
    must run.
    """
    found = next((path for name in _NAMES[kind] if (path := shutil.which(name))), None)
    if found is not None:
        return found
    reason = f"no {' or '.join(_NAMES[kind])} is installed"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def chromium(*flags: str) -> Iterator[Page]:
    """A browser with a profile of its own."""
    binary, path = executable("browser"), executable("driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in (
            *_FLAGS,
            *flags,
            f"--user-data-dir={profile}",
            "--window-size={},{}".format(*SIZE),
        ):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(path))
        try:
            yield Page(driver, Path(profile))
        finally:
            driver.quit()


class Page:
    """What a test does with the page and reads from it; within the tab's frame unless it says
    otherwise.
    """

    def __init__(self, driver: Any, profile: Path) -> None:
        self.driver, self.profile = driver, profile

    # Where it is

    def open(
        self, server: Server, *, theme: str = "light", state: str = "ready", **keys: Any
    ) -> None:
        """The tab, freshly loaded, by a link with these keys."""
        self.driver.switch_to.default_content()
        # A page of the same origin: the theme is stored before TensorBoard reads it, and the next
        # address is loaded anew.
        self.driver.get(f"{server.url}data/plugin/ckptscope/api/v1/health")
        self.js(
            "localStorage.setItem('_tb_global_settings', arguments[0])",
            json.dumps({"theme": theme}),
        )
        self.driver.get(
            f"{server.url}#ckptscope{''.join(f'&p.ckptscope.{key}={quote(str(value), safe=str())}' for key, value in keys.items())}"
        )
        self.enter(state)

    def enter(self, state: str = "ready") -> None:
        """Go into the frame, and wait until it has reached a state."""
        self.driver.switch_to.default_content()
        self.driver.switch_to.frame(self.wait(lambda: self.all(FRAME), "the tab's frame")[0])
        assert self.settled() == state, self.text("body")

    @contextmanager
    def outside(self) -> Iterator[None]:
        """In TensorBoard's own page."""
        self.driver.switch_to.default_content()
        yield
        self.driver.switch_to.frame(self.driver.find_element("css selector", FRAME))

    def settled(self) -> str:
        """The state, when nothing is under way."""
        return self.wait(lambda: self.js(_SETTLED), "the page")

    def hash(self) -> str:
        """Of the address that can be copied."""
        return self.js("return parent.location.hash")

    # What it shows

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, found: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
        """What ``found`` returns, as soon as that is true."""
        deadline = time.monotonic() + limit_s
        while not (value := found()):
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"waited {limit_s:g} s for {what}; on the page:\n{self.text('body')}"
                )
            time.sleep(0.02)
        return value

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """Text that is visible."""
        return self.js("return document.querySelector(arguments[0]).innerText", selector)

    def texts(self, selector: str) -> list[str]:
        """Text of each, folded or not."""
        return self.js(
            "return [...document.querySelectorAll(arguments[0])].map((one) => "
            "one.textContent.trim())",
            selector,
        )

    def table(self, section: str) -> list[dict[str, str]]:
        """Rows of the table of checkpoints or restarts, by the columns' keys."""
        return self.js(_TABLE, section)

    def facts(self, title: str) -> dict[str, str] | None:
        """Labels and values of a section of the details."""
        found = self.js(_FACTS, title)
        return None if found is None else dict(found)

    def plot(self) -> list[dict[str, Any]]:
        """Traces of the chart."""
        return self.js(_PLOT)

    def trace(self, name: str) -> dict[str, Any]:
        return next(trace for trace in self.plot() if trace["name"] == name)

    def lines(self) -> list[dict[str, Any]]:
        return [trace for trace in self.plot() if (trace["meta"] or {}).get("kind") == "line"]

    def layout(self, path: str) -> Any:
        return self.js(f"return document.getElementById('plot').layout.{path}")

    def chosen(self) -> list[str]:
        """Steps of the rows that are chosen."""
        return self.texts("#checkpoints tr[aria-current=true] td:first-child")

    # What a user does

    def click(self, selector: str) -> None:
        self.one(selector).click()
        self.settled()

    def press(self, selector: str, *keys: str) -> None:
        """Keys at an element; the page is at rest after each."""
        for key in keys:
            self.one(selector).send_keys(key)
            self.settled()

    def select(self, key: str, value: str) -> None:
        """One of the choices at the top."""
        from selenium.webdriver.support.ui import Select

        Select(self.one(f"select#{key}")).select_by_value(value)
        self.settled()

    def row(self, at: int) -> Any:
        return self.all("#checkpoints tbody tr")[at]

    def compare(self, at: int) -> None:
        """By the button of a row."""
        self.row(at).find_element("css selector", "td:last-child button").click()
        self.settled()

    def theme(self, name: str) -> None:
        """By TensorBoard's own menu."""
        with self.outside():
            self.one("app-header-dark-mode-toggle button").click()
            self.wait(lambda: self.all(f".mat-mdc-menu-panel button[title*='{name}']"), "the menu")[
                0
            ].click()
        self.wait(
            lambda: self.js("return document.documentElement.dataset.theme") == name,
            f"the {name} theme",
        )
        self.settled()

    def errors(self) -> list[str]:
        """What the console says of our own pages, since it was asked last."""
        found = [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [
            entry["message"]
            for entry in found
            if "ckptscope" in entry["message"] or "file://" in entry["message"]
        ]


def shown(value: Any) -> str:
    """A value as the page spells it."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        value = float(f"{value:.4g}")
        value = int(value) if value.is_integer() else value
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def signed(value: Any) -> str:
    return ("+" if isinstance(value, int | float) and value > 0 else "") + shown(value)


def printed(*arguments: object) -> Any:
    """The object that the command line prints, in a process of its own."""
    done = subprocess_of(*arguments, "--json")
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def shows_the_answers(page: Page, running: Server, run: str, reads: str = "effective") -> bool:
    """Lines, marks and tables are those of the routes."""
    series = running.api(f"series?run={run}&reads={reads}&n=2000")
    rows = running.api(f"checkpoints?run={run}")
    drawn = [
        (line["meta"]["attempt"], line["meta"]["part"], line["customdata"], line["y"])
        for line in page.lines()
    ]
    assert drawn == [
        (line["attempt"], line["part"], line["step"], line["y"]) for line in series["lines"]
    ]
    assert page.trace("restarts")["customdata"] == [
        restart["number"] for restart in series["restarts"]
    ]
    assert [row["text"] for row in page.table("restarts")] == [
        restart["text"] for restart in rows["restarts"]
    ]
    assert [row["step"] for row in page.table("checkpoints")] == [
        shown(row["step"]) for row in rows["history"]
    ]
    return len(drawn) > 1


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
