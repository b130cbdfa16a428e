"""Real TensorBoard processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_READY = re.compile(r"(http://\S+:(\d+)\S*) \(Press CTRL")
START_S = 90.0
# TensorBoard imports TensorFlow where it is installed, which takes half a minute; it is told that
# there is none.
WITHOUT_TENSORFLOW = (
    "import sys; sys.modules['tensorboard.compat.notf'] = type(sys)('notf'); from "
    "tensorboard.main import run_main; sys.argv[0] = 'tensorboard'; run_main()"
)
WITH_TENSORFLOW = (
    "import sys; from tensorboard.main import run_main; sys.argv[0] = 'tensorboard'; run_main()"
)


class Server:
    """A running TensorBoard; ``url`` ends with a slash."""

    def __init__(self, url: str, port: int, log: Path) -> None:
        self.url, self.port, self.log = url, port, log

    def request(
        self, path: str, *, method: str = "GET", host: str | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        asked = urllib.request.Request(
            self.url + path, method=method, headers={"Host": host} if host else {}
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def api(self, route: str) -> Any:
        status, _, body = self.request(f"data/plugin/ckptscope/api/v1/{route}")
        assert status == 200, body
        return json.loads(body)

    def settled(self) -> Any:
        """The overview when everything is read."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self.api("overview")
            if found["scan"]["state"] != "running":
                return found
            time.sleep(0.1)
        raise AssertionError(found["scan"])


@contextmanager
def tensorboard(
    log: Path, *arguments: str, code: str = WITHOUT_TENSORFLOW, cwd: Path | None = None
) -> Iterator[Server]:
    """TensorBoard on a port of its own, stopped at the end."""
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                code,
                "--port",
                "0",
                "--host",
                "localhost",
                "--reload_interval",
                "1",
                *arguments,
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"},
        )
    try:
        deadline = time.monotonic() + START_S
        while (ready := _READY.search(log.read_text(errors="replace"))) is None:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(
                errors="replace"
            )
            time.sleep(0.05)
        yield Server(ready[1].rstrip("/") + "/", int(ready[2]), log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
