"""Take the picture of the TensorBoard tab for the README: a real run, a real TensorBoard, a real
browser.

python docs/tab.py            # writes docs/tab.png and docs/tab-dark.png
python docs/tab.py --check    # does the same into a temporary directory; exits 1 if the tab does
not get ready

The run is that of examples/preempted.py. Needs Chromium and its driver (Debian: chromium,
chromium-driver)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = {"light": "tab.png", "dark": "tab-dark.png"}
SIZE = (1400, 1000)
PATIENCE_S = 90
_READY = re.compile(r"(http://\S+?)/? \(Press CTRL")
_READY_STATE = "return document.documentElement.dataset.state === 'ready'"
_DETAILS = (
    "return !document.getElementById('details').matches('[aria-busy=true], [aria-busy=true] "
    "*') && document.querySelector('#details pre, #details code') !== null"
)


def train(directory: Path) -> None:
    """The example's run, below ``directory``."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    example = str(ROOT / "examples" / "preempted.py")
    done = subprocess.run(
        [sys.executable, example, str(directory)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        sys.exit(done.stderr[-2000:])


@contextmanager
def tensorboard(directory: Path) -> Iterator[str]:
    """URL of a TensorBoard that is started in the run's directory."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tensorboard.main",
            "--logdir",
            str(directory),
            "--port",
            "0",
            "--host",
            "localhost",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            ready = _READY.search(line)
            if ready is not None:
                yield ready[1]
                return
        sys.exit("TensorBoard did not start")
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium with a new profile."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for flag in (
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{flag}")
        driver = webdriver.Chrome(
            service=Service(shutil.which("chromedriver") or ""), options=options
        )
        try:
            yield driver
        finally:
            driver.quit()


def take(driver: Any, url: str, theme: str, path: Path) -> None:
    """One picture: the run as a whole, with a checkpoint chosen."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support import expected_conditions
    from selenium.webdriver.support.ui import WebDriverWait

    driver.set_window_size(*SIZE)
    driver.get(url)
    driver.execute_script(
        "localStorage.setItem('_tb_global_settings', arguments[0])", json.dumps({"theme": theme})
    )
    driver.get("about:blank")
    driver.get(f"{url}/#ckptscope")
    waiting = WebDriverWait(driver, PATIENCE_S)
    frame = (By.CSS_SELECTOR, "iframe[src*='name=ckptscope']")
    waiting.until(expected_conditions.frame_to_be_available_and_switch_to_it(frame))
    waiting.until(lambda found: found.execute_script(_READY_STATE))
    driver.execute_script("document.getElementById('plot').focus()")
    row = next(
        row
        for row in driver.find_elements(By.CSS_SELECTOR, "#checkpoints tbody tr")
        if row.text.startswith("250")
    )
    driver.execute_script("arguments[0].click(); document.activeElement.blur()", row)
    waiting.until(lambda found: found.execute_script(_DETAILS))
    waiting.until(lambda found: found.execute_script(_READY_STATE))
    driver.switch_to.default_content()
    driver.save_screenshot(str(path))


def main() -> int:
    """Write the pictures, or see that they can be taken."""
    # The picture shows the path of a checkpoint.
    with tempfile.TemporaryDirectory(prefix="logs-") as scratch:
        logs = Path(scratch)
        into = logs if "--check" in sys.argv else ROOT / "docs"
        train(logs)
        with tensorboard(logs) as url, browser() as driver:
            for theme, name in PICTURES.items():
                take(driver, url, theme, into / name)
                print(f"{name}: {(into / name).stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
