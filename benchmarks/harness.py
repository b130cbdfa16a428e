"""Whole processes measured in interleaved rounds: CPU, wall clock and peak memory of each command.

The commands take turns (A B C, A B C, …), so that what the machine does besides falls on all of
them alike, and a ratio is the median of the ratios of single rounds. The parent must stay small: on
Linux the peak memory of a child starts at what its parent had when it was made, so inputs are
generated in processes of their own."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

NOISE_LIMITS = (0.90, 1.10)


@dataclass(frozen=True)
class Command:
    name: str
    arguments: Sequence[str]


@dataclass(frozen=True)
class Sample:
    cpu: float  # seconds, user and system
    wall: float
    rss: float  # MB
    tail: str  # end of the output


def environment() -> dict[str, str]:
    """Children may write .pyc files, run one thread and draw no colours; otherwise as here."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def ckptscope(*arguments: str) -> list[str]:
    """The installed command beside this interpreter, else the module."""
    script = Path(sys.executable).with_name("ckptscope")
    return [
        *([str(script)] if script.exists() else [sys.executable, "-m", "ckptscope"]),
        *arguments,
    ]


def run(command: Command) -> Sample:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command.arguments, stdout=output, stderr=errors, env=environment()
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command.name}: exit status {process.returncode}\n{_tail(errors)}")
        scale = 1e6 if sys.platform == "darwin" else 1e6 / 1024
        return Sample(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / scale, _tail(output))


def _tail(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
    return file.read().decode(errors="replace")


def measure(commands: Sequence[Command], rounds: int) -> dict[str, list[Sample]]:
    """One warm-up run of each (it writes the .pyc files and fills the page cache), then the
    rounds.
    """
    for command in commands:
        run(command)
    samples: dict[str, list[Sample]] = {command.name: [] for command in commands}
    for _ in range(rounds):
        for command in commands:
            samples[command.name].append(run(command))
    return samples


def median(samples: Sequence[Sample], field: str) -> float:
    return statistics.median(getattr(sample, field) for sample in samples)


def ratio(samples: Sequence[Sample], reference: Sequence[Sample]) -> float:
    """Median over the rounds of the ratio of CPU times."""
    return statistics.median(
        own.cpu / other.cpu for own, other in zip(samples, reference, strict=True)
    )


def print_table(title: str, samples: dict[str, list[Sample]], reference: str) -> None:
    rounds = len(samples[reference])
    print(f"\n{title} ({rounds} rounds, medians)")
    print(f"  {'command':<44} {'CPU s':>7} {'min..max':>13} {'wall s':>7} {'MB':>6} {'ratio':>6}")
    for name, found in samples.items():
        cpus = [sample.cpu for sample in found]
        spread = f"{min(cpus):.2f}..{max(cpus):.2f}"
        print(
            f"  {name:<44} {median(found, 'cpu'):>7.3f} {spread:>13} {median(found, 'wall'):>7.3f} "
            f"{median(found, 'rss'):>6.0f} {ratio(found, samples[reference]):>6.2f}"
        )
    print(f"  (ratio: CPU against {reference!r}, median of the rounds)")


def is_quiet(samples: dict[str, list[Sample]], first: str, again: str) -> bool:
    """The noise control: the same command against itself."""
    value = ratio(samples[again], samples[first])
    quiet = NOISE_LIMITS[0] <= value <= NOISE_LIMITS[1]
    print(
        "  noise control, A against A: "
        f"{value:.3f}{'' if quiet else '  TOO NOISY: this run proves nothing'}"
    )
    return quiet


def has_tensorflow() -> bool:
    from importlib.util import find_spec

    return find_spec("tensorflow") is not None
