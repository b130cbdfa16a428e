"""The tab in a real browser, looked at and listened to: contrast, roles, widths, labels."""

from __future__ import annotations

import re

import pytest

from tests.plugin.browser import shows_the_answers
from tests.plugin.made_runs import HTML

PAPER = {"light": "#FFFFFF", "dark": "#303030"}


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
            CONTRAST,
            ".verdict, .legend-item, #checkpoints td, #checkpoints td *:not(.mark), "
            "#status span:not(.mark)",
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
    assert announced == "0 checkpoints on disk, 6 gone3 attempts, 2 restarts"
    assert "newest record" in page.text("#status .rest") and "60 steps" not in announced
    # Nothing is announced by fresh numbers that are the old ones.
    page.js("""
        window.changes = 0;
        const look = new MutationObserver((found) => { window.changes += found.length; });
        for (const one of document.querySelectorAll('[role=status], [aria-live]')) look.observe(one, {subtree: true, childList: true, characterData: true});""")
    count = (
        "return performance.getEntriesByType('resource').filter((one) => "
        "one.name.endsWith('/overview')).length"
    )
    times = page.js(count)
    with page.outside():
        page.one(".reload-button").click()
    page.wait(lambda: page.js(count) > times, "fresh numbers")
    page.settled()
    assert page.js("return window.changes") == 0
    # Of the details, what was chosen and its verdict.
    assert page.js(
        "return [...document.querySelectorAll('[aria-live]')].map((one) => one.className)"
    ) == ["head"]
    page.row(0).click()
    page.settled()
    assert page.js(
        "return [...document.querySelector('#details .head').children].map((one) => one.tagName)"
    ) == [
        "H3",
        "P",
    ]
    assert page.js("return window.changes") > 0
    # A row is chosen by the button of its step.
    labels = page.js(
        "return [...document.querySelectorAll('#checkpoints button.choose')].map((one) => "
        "one.ariaLabel)"
    )
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
    assert page.texts("#checkpoints .footnotes p") == [
        "† counted by the recorder; the checkpoint itself does not tell"
    ]
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
    (told,) = [
        line
        for line in special.api("series?run=evaluated&reads=all")["lines"]
        if line["part"] == "eval"
    ]
    kept = next(line for line in page.lines() if line["meta"]["part"] == "kept")
    assert line["line"]["width"] < kept["line"]["width"] and line["line"]["dash"] == "1px,4px"
    assert told["label"] in page.texts("#legend span")
    assert all(
        "evaluation: not part of the weights" in text and "lost" not in text
        for text in line["text"]
    )
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
            "return [document.scrollingElement.scrollWidth, innerWidth, "
            "document.getElementById('plot').layout.width]"
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
                assert (
                    right <= box[0] or box[2] <= left or bottom <= box[1] + 2 or box[3] <= top + 2
                ), (text, other)


def test_effective_and_all(page, server):
    page.open(server, run="preempted")
    assert {line["meta"]["part"] for line in page.lines()} == {"kept"}
    hint = page.text("#reads-hint")
    assert "lost" in hint and "lost" in page.one("select#reads").get_attribute("title")
    page.select("reads", "all")
    assert {line["meta"]["part"] for line in page.lines()} == {"kept", "lost"}
    assert shows_the_answers(page, server, "preempted", "all")
    assert page.text("#reads-hint") != hint
