"""The TensorBoard tab: what it adds to TensorBoard's start, how fast its routes answer, and what
its cache takes.

python benchmarks/bench_tab.py           all figures; a few minutes
python benchmarks/bench_tab.py --small   fewer rounds, smaller runs
python benchmarks/bench_tab.py --gate    exit 1 where a target is missed

TensorBoard is told that TensorFlow is not installed: importing it would take most of the time.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.recorder import Recorder, new_id

_READY = re.compile(rb"(http://\S+?)/? \(Press CTRL")
_RUN = (
    "import sys; sys.modules['tensorboard.compat.notf'] = type(sys)('notf'); from "
    "tensorboard.main import run_main; sys.argv[0] = 'tensorboard'; "
)
# Both variants list the plugins in the same way, one of them without this one.
_LISTED = (
    "import tensorboard.default as d; real = d.get_dynamic_plugins; d.get_dynamic_plugins = "
    "lambda: [p for p in real() if {} or 'ckptscope' not in p.__module__]; "
)
_WITH, _WITHOUT = _LISTED.format(True), _LISTED.format(False)
MOST_ADDED_S, MOST_OVERVIEW_S, MOST_SERIES_S, MOST_ACTIVE_S = 0.1, 0.3, 0.2, 0.001
CACHE_NBYTES = 64 << 20
ROUTES = "data/plugin/ckptscope/api/v1"


def record(directory: Path, steps: int, restarts: int) -> None:
    """A run of so many steps that starts its data over at every second restart."""
    each, parent = steps // (restarts + 1), None
    for number in range(restarts + 1):
        begin, last = (
            number * each,
            steps if number == restarts else (number + 1) * each + each // 50,
        )
        batches = 0 if number % 2 else begin
        start = Start(batches, batches * 32, batches * 32 // 50_000, batches * 32 % 50_000, "given")
        attempt = Attempt(
            new_id(),
            time.time(),
            start=start,
            batch_size=32,
            epoch_size=50_000,
            spans=True,
            order="fixed",
            parent=parent,
            restored_step=begin if number else None,
        )
        with Recorder(str(directory), attempt) as recorder:
            for step in range(begin + 1, last + 1):
                recorder.step(step)
        parent = attempt.id


@contextmanager
def tensorboard(logdir: Path, before: str = "") -> Iterator[tuple[str, float, int]]:
    """(URL, seconds until it served, process id) of a TensorBoard of its own."""
    environment = {
        key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
    }
    start = time.perf_counter()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{_RUN}{before}run_main()",
            "--logdir",
            str(logdir),
            "--port",
            "0",
            "--host",
            "localhost",
            "--load_fast",
            "false",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        told = b""
        while (ready := _READY.search(told)) is None:
            line = process.stdout.readline()
            if not line:
                sys.exit(f"TensorBoard did not start:\n{told.decode(errors='replace')}")
            told += line
        yield ready[1].decode(), time.perf_counter() - start, process.pid
    finally:
        process.kill()
        process.wait()


def ask(url: str) -> tuple[object, float]:
    """(answer, seconds)."""
    start = time.perf_counter()
    with urllib.request.urlopen(url, timeout=300) as response:
        body = response.read()
    return json.loads(body), time.perf_counter() - start


def settled(url: str) -> float:
    """Seconds until everything is read."""
    start = time.perf_counter()
    while ask(f"{url}/{ROUTES}/overview")[0]["scan"]["state"] == "running":
        time.sleep(0.05)
    return time.perf_counter() - start


def added_start(rounds: int) -> list[tuple[str, float, float]]:
    """What the plugin adds, wall and CPU: the fastest start with it less the fastest one without
    it, in turns.

    Single starts are often a fifth of a second slower than others of their kind; the fastest ones
    are alike."""
    found: dict[str, list[tuple[float, float]]] = {_WITH: [], _WITHOUT: []}
    with tempfile.TemporaryDirectory() as empty:
        for number in range(rounds + 1):
            for before in (_WITH, _WITHOUT) if number % 2 else (_WITHOUT, _WITH):
                with tensorboard(Path(empty), before) as (_, took, process):
                    found[before].append((took, cpu_s(process)))
    rows = []
    for index, name in enumerate(("wall", "CPU")):
        own, other = (
            [start[index] for start in found[kind][1:]] for kind in (_WITH, _WITHOUT)
        )  # the first warms caches
        median = statistics.median(one - two for one, two in zip(own, other, strict=True))
        print(
            f"  {name}: {min(own):.3f}..{max(own):.3f} s with the plugin, "
            f"{min(other):.3f}..{max(other):.3f} s without; median difference "
            f"{median:+.3f} s"
        )
        rows.append(
            (f"added start of TensorBoard, {name} s (fastest)", min(own) - min(other), MOST_ADDED_S)
        )
    return rows


def cpu_s(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_nbytes(process: int) -> int:
    """Resident memory now."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024  # type: ignore[index]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--gate", action="store_true")
    arguments = parser.parse_args()
    rounds, steps, many = (7, 50_000, 50) if arguments.small else (11, 300_000, 50)
    checks = added_start(rounds)
    with tempfile.TemporaryDirectory() as directory:
        logdir = Path(directory)
        record(logdir / "million", 1_000_000, 20)
        for number in range(many - 1):
            record(logdir / f"run{number:03d}", steps, 3)
        with tensorboard(logdir) as (url, _, process):
            print(
                f"  {many} runs, {(1_000_000 + (many - 1) * steps) / 1e6:.1f} million "
                f"steps: read in {settled(url):.2f} s"
            )
            before = resident_nbytes(process)
            overview = statistics.median(ask(f"{url}/{ROUTES}/overview")[1] for _ in range(rounds))
            checks.append((f"overview of {many} runs, warm, s", overview, MOST_OVERVIEW_S))
            ask(f"{url}/{ROUTES}/series?run=million")
            series = statistics.median(
                ask(f"{url}/{ROUTES}/series?run=million&reads=all")[1] for _ in range(rounds)
            )
            zoom = statistics.median(
                ask(f"{url}/{ROUTES}/series?run=million&from=500000&to=501000")[1]
                for _ in range(rounds)
            )
            checks += [
                ("series of 1,000,000 steps, s", series, MOST_SERIES_S),
                ("series of 1,000 steps of them, s", zoom, MOST_SERIES_S),
            ]
            for number in range(many - 1):
                for route in ("series", "coverage", "checkpoints"):
                    ask(f"{url}/{ROUTES}/{route}?run=run{number:03d}")
            cached = ask(f"{url}/{ROUTES}/health")[0]["memory_nbytes"]
            checks.append(
                ("cache after asking for every run, MB", cached / 1e6, CACHE_NBYTES / 1e6)
            )
            print(
                f"  resident memory: {before / 1e6:.0f} MB after the search, "
                f"{resident_nbytes(process) / 1e6:.0f} MB after asking for every run"
            )
    checks.append(("is_active(), s", active_s(), MOST_ACTIVE_S))
    for name, value, limit in checks:
        print(f"  {name:<44} {value:>9.4f} <= {limit:<7g} {'met' if value <= limit else 'MISSED'}")
    return int(arguments.gate and any(value > limit for _, value, limit in checks))


def active_s() -> float:
    """Mean time of one call, with nothing to find."""
    from tensorboard.plugins import base_plugin
    from tensorboard_plugin_ckptscope.loader import Loader

    with tempfile.TemporaryDirectory() as empty:
        plugin = Loader().load(base_plugin.TBContext(logdir=empty))
        assert plugin is not None
        start = time.perf_counter()
        for _ in range(1000):
            plugin.is_active()
        return (time.perf_counter() - start) / 1000


if __name__ == "__main__":
    sys.exit(main())
