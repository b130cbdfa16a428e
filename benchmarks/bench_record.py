"""The recorder: what a step costs in the loop, what a million steps take on disk, and how fast they
are read.

python benchmarks/bench_record.py           all figures, without TensorFlow
python benchmarks/bench_record.py --gate    exit 1 where a target is missed
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ckptscope.recording.model import Attempt, Start
from ckptscope.recording.reader import read_recording
from ckptscope.recording.recorder import Recorder, new_id

STEPS = 1_000_000
STEP_S, MOST_OVERHEAD = 0.005, 0.01
LOOP = 400


def recorder(directory: str) -> Recorder:
    attempt = Attempt(
        new_id(), time.time(), start=Start(0, 0, 0, 0, "fresh"), batch_size=32, epoch_size=50_000
    )
    return Recorder(directory, attempt)


def one_by_one(directory: str) -> list[float]:
    """Seconds that each of many calls takes."""
    found, took = recorder(directory), []
    for step in range(100_000):
        start = time.perf_counter()
        found.step(step)
        took.append(time.perf_counter() - start)
    found.close()
    return took


def busy(seconds: float) -> None:
    """A training step that takes the CPU for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def loop(record: Recorder | None) -> float:
    start = time.process_time()
    for step in range(LOOP):
        busy(STEP_S)
        if record is not None:
            record.step(step)
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gate", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        took = one_by_one(f"{directory}/calls")
        without, with_recorder = [], []
        for number in range(5):
            without.append(loop(None))
            with recorder(f"{directory}/loop{number}") as found:
                with_recorder.append(loop(found))
        start = time.process_time()
        with recorder(f"{directory}/million") as found:
            for step in range(STEPS):
                found.step(step)
        written = time.process_time() - start
        size = sum(
            path.stat().st_size for path in Path(f"{directory}/million").rglob("positions.*")
        )
        start = time.process_time()
        (read,) = read_recording(f"{directory}/million")
        reading = time.process_time() - start
        assert read.num_rows == STEPS
    overhead = statistics.median(b / a for a, b in zip(without, with_recorder, strict=True)) - 1
    checks = [
        ("median of one call, microseconds", statistics.median(took) * 1e6, 20.0),
        (f"overhead of a {STEP_S * 1e3:.0f} ms step, share", overhead, MOST_OVERHEAD),
        ("bytes for each step", size / STEPS, 4.0),
        (f"reading {STEPS:,} steps, CPU s", reading, 2.0),
    ]
    print(
        f"writing {STEPS:,} steps: {written:.2f} CPU s; 99.9 % of calls take less than "
        f"{sorted(took)[-100] * 1e6:.0f} us"
    )
    for name, value, limit in checks:
        print(f"  {name:<40} {value:>8.3f} <= {limit:<6g} {'met' if value <= limit else 'MISSED'}")
    return int(arguments.gate and any(value > limit for _, value, limit in checks))


if __name__ == "__main__":
    sys.exit(main())
