"""The tab in a real browser, used: zoom, clicks, keys, links, copying, reloading."""

from __future__ import annotations

import time

import pytest

from ckptscope.recording.model import Attempt
from ckptscope.recording.recorder import Recorder, new_id
from tests import samples
from tests.plugin.browser import FRAME, reload_until
from tests.plugin.made_runs import MILLION
from tests.plugin.servers import tensorboard
from tests.runs.made import FRESH


def test_zoom_asks_for_every_step(page, long):
    page.open(long)
    assert len(page.lines()[5]["customdata"]) < 2000
    begin = 5 * 48_000 + 20_000
    page.js(
        "Plotly.relayout(document.getElementById('plot'), {'xaxis.range': arguments[0]})",
        [begin, begin + 100],
    )
    page.wait(
        lambda: set(range(begin, begin + 101)) <= set(page.lines()[5]["customdata"]), "every step"
    )
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
    ActionChains(page.driver, 50).move_to_element_with_offset(
        plot, -200, 40
    ).click_and_hold().move_by_offset(100, 0).move_by_offset(200, 5).release().perform()
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
    page.open(
        server,
        run="preempted",
        sel=f"{server.api('series?run=preempted')['lines'][0]['attempt']}:7",
    )
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
    look = (
        "const box = document.getElementById('plot'); return [box.clientWidth, "
        "box.clientHeight, box.layout.width, box.layout.height, box.layout.xaxis.range]"
    )
    before, chosen, told = page.js(look), page.chosen(), page.text("#details")
    address = page.hash()
    page.driver.switch_to.default_content()
    page.one("plugin-selector mat-select").click()
    page.wait(
        lambda: [one for one in page.all("mat-option") if "images" in one.text.lower()],
        "the list of tabs",
    )[0].click()
    page.wait(lambda: not page.one(FRAME).is_displayed(), "the other tab")
    page.driver.switch_to.frame(page.one(FRAME))
    count = (
        "return performance.getEntriesByType('resource').filter((one) => "
        "one.name.endsWith('/overview')).length"
    )
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
    keys = {
        "run": "manager_run_221",
        "sel": rows[0]["id"],
        "vs": rows[2]["id"],
        "y": "epoch",
        "x0": "5",
        "x1": "11",
    }
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
    page.open(
        server,
        run="gone",
        sel="feed",
        vs="beef",
        y="volume",
        x0="3",
        x1="x",
        **{"with": "none,preempted"},
    )
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
        part.removeprefix("p.ckptscope.").split("=", 1)
        for part in address.lstrip("#").split("&")
        if "=" in part
    )


def test_the_address_follows_what_is_chosen(page, server):
    rows = server.api("checkpoints?run=manager_run_221")["history"]
    page.open(server, run="manager_run_221")
    page.row(0).click()
    page.settled()
    page.compare(1)
    page.select("x", "time")
    assert asked(page.hash()) == {
        "run": "manager_run_221",
        "sel": rows[0]["id"],
        "vs": rows[1]["id"],
        "x": "time",
    }
    # A link that is pasted into the open page is followed.
    with page.outside():
        page.js(
            "location.hash = arguments[0]",
            f"#ckptscope&p.ckptscope.run=preempted&p.ckptscope.sel={rows[0]['id']}x",
        )
    page.wait(lambda: page.one("select#run").get_attribute("value") == "preempted", "the run")


@pytest.mark.parametrize("allowed", ["both", "old", "none"])
def test_copying(page, server, allowed):
    """By the clipboard, where a frame may use it; the old way, or by hand, where not."""
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    page.open(server, run="manager_run_221")
    page.js("navigator.clipboard.writeText('before')")
    if allowed != "both":
        page.js(
            "navigator.clipboard.write = navigator.clipboard.writeText = () => "
            "Promise.reject(new Error('refused'))"
        )
    if allowed == "none":
        page.js("document.execCommand = () => false")
    page.row(0).click()
    page.settled()
    for selector, text in (
        ("#details > .title button", page.js("return parent.location.href")),
        (".commands button", page.texts(".commands pre")[0]),
    ):
        page.one(selector).click()
        if allowed == "none":
            page.wait(
                lambda text=text: (
                    page.js(
                        "return getSelection().toString() || document.activeElement.value || ''"
                    )
                    == text
                ),
                "the text",
            )
            assert "Ctrl" in page.texts(selector)[0]
        else:
            page.wait(lambda selector=selector: page.texts(selector)[0] == "copied", "the answer")
            copied = page.driver.execute_async_script(
                "navigator.clipboard.readText().then(arguments[0], (error) => "
                "arguments[0](String(error)))"
            )
            assert copied == text


def test_saving_the_picture(page, server, tmp_path):
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    page.open(server, run="preempted")
    page.one("#plot-tools [aria-label='Save the picture']").click()
    saved = tmp_path / "data-position.svg"
    page.wait(saved.exists, "the file")
    assert saved.read_text().startswith("<svg") and "repeated" in saved.read_text()


def test_the_reload_button(page, tmp_path):
    run = tmp_path / "logs" / "run"
    attempt = Attempt(
        new_id(), time.time(), start=FRESH, batch_size=4, epoch_size=40, spans=True, order="fixed"
    )
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
            assert page.one("select#run").get_attribute(
                "value"
            ) == "run" and "30 steps" in page.text("#status")
            assert page.js("return [window.here, document.getElementById('left').scrollTop]") == [
                True,
                30,
            ]


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
    assert (
        len(told) == count
        and set(told[1:]) == {"searching for runs …"}
        and "searching" not in page.text("#status")
    )
    assert len(page.table("restarts")) == (2 if state == "ready" else 0)
    assert ("not found yet" in page.text("#notices")) == (state == "error")


# How it looks and sounds
