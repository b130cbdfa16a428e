"""``ckptscope diff`` on large checkpoints: against TensorFlow, and against the least that reading
and comparing costs.

    python benchmarks/bench_diff.py            all figures: minutes, 8 GB of disk, 17 GB of memory
    python benchmarks/bench_diff.py --small    200 MB on each side, without TensorFlow: under a
    minute python benchmarks/bench_diff.py --gate     exit 1 where a target is missed, 2 where the
    machine is too noisy

The pairs are written by make_pair.py into a temporary directory (TMPDIR chooses the disk). The
memory is for the page cache, and for TensorFlow's arrays. "The work alone" is what programs measure
of themselves, after their imports."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import (
    Command,
    Sample,
    ckptscope,
    has_tensorflow,
    is_quiet,
    measure,
    median,
    print_table,
    ratio,
)

HERE = Path(__file__).resolve().parent
ELEMENTS = 5_000_000  # of each tensor: 20 MB
LARGE, EQUAL, SMALL, TINY = 200, 50, 10, 1  # tensors
QUICK, FULL, VERIFIED, AGAIN = "diff -q", "diff", "diff -q --verify-data", " (again)"
LIMIT, EQUALITY, ALL, NO_REL = (
    "read and compare",
    "equality only",
    "all measures",
    "all measures but max_rel",
)
DICTS, LAZY = "TensorFlow, two dicts of arrays", "TensorFlow, one variable at a time"
# Targets: at least so much. Of TensorFlow's CPU or memory to ours, and of the CPU of the lesser
# work to the greater.
CPU_RATIO, RSS_RATIO, EQUAL_RATIO = 10.0, 50.0, 25.0
LIMIT_SHARE, ALL_SHARE, NO_REL_SHARE = 0.7, 0.4, 0.6

LOAD = """
import sys
import numpy, tensorflow as tf
a, b = (tf.train.load_checkpoint(path) for path in sys.argv[1:])
names = sorted(a.get_variable_to_shape_map())
"""
TF_DICTS = f"""{LOAD}
old, new = ({{name: reader.get_tensor(name) for name in names}} for reader in (a, b))
assert sum(not numpy.array_equal(old[name], new[name]) for name in names) == len(names)
"""
TF_LAZY = f"""{LOAD}
assert all(numpy.array_equal(a.get_tensor(name), b.get_tensor(name)) for name in names)
"""
TIMER = """
import json, time
class Timed:
    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
    def __exit__(self, *_):
        print(json.dumps({"cpu": time.process_time() - self.cpu, "wall": time.perf_counter() - self.wall}))
"""
READ_AND_COMPARE = f"""{TIMER}
import mmap, os, sys
import numpy
size, passes = 1 << 20, int(sys.argv[1])
first, second = (os.open(f"{{prefix}}.data-00000-of-00001", os.O_RDONLY) for prefix in sys.argv[2:])
into_a, into_b = mmap.mmap(-1, size), mmap.mmap(-1, size)
a, b = numpy.frombuffer(into_a, numpy.float32), numpy.frombuffer(into_b, numpy.float32)
same = 0
with Timed():
    for _ in range(passes):
        offset = 0
        while count := os.preadv(first, [into_a], offset):
            assert os.preadv(second, [into_b], offset) == count
            same += bool((a[: count // 4] == b[: count // 4]).all())
            offset += count
assert not same
"""
DIFF = f"""{TIMER}
import functools, sys
import ckptscope as cs
from ckptscope.comparison import measures
work, passes, tiny, (a, b) = sys.argv[1], int(sys.argv[2]), sys.argv[3:5], sys.argv[5:]
if work == {NO_REL!r}:
    measures.kernel_for = functools.partial(measures.kernel_for, relative=False)
def changes(a, b):
    return list(cs.diff(a, b, measured=work != {EQUALITY!r}))
changes(*tiny)  # imports
with Timed():
    for _ in range(passes):
        found = changes(a, b)
assert found and all(change.kind == "value" for change in found)
for stats in (change.stats for change in found):
    assert (stats.cosine is None) == (work == {EQUALITY!r}) and bool(stats.max_rel) == (work == {ALL!r}), stats
"""


def differing(*arguments: str) -> list[str]:
    """``ckptscope diff``, which has to answer "different" (exit status 1). The shell costs a
    millisecond.
    """
    return ["/bin/sh", "-c", '"$@"; test $? -eq 1', "sh", *ckptscope("diff", *arguments)]


def make_pair(directory: str, name: str, tensors: int, *options: str) -> tuple[str, str]:
    pair = f"{directory}/{name}-a.ckpt", f"{directory}/{name}-b.ckpt"
    free, needed = shutil.disk_usage(directory).free, 8 * ELEMENTS * tensors
    if free < needed * 1.05:
        sys.exit(f"{directory}: {needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free; set TMPDIR")
    numbers = ["--tensors", str(tensors), "--elements", str(ELEMENTS)]
    subprocess.run(
        [sys.executable, str(HERE / "make_pair.py"), *pair, *numbers, *options], check=True
    )
    return pair


def programs(pair: tuple[str, str], tiny: tuple[str, str], passes: int) -> list[Command]:
    """The work alone: the limit, and what ckptscope takes."""
    read = [sys.executable, "-c", READ_AND_COMPARE, str(passes), *pair]
    works = [
        Command(work, [sys.executable, "-c", DIFF, work, str(passes), *tiny, *pair])
        for work in (EQUALITY, ALL, NO_REL)
    ]
    return [Command(LIMIT, read), *works, Command(LIMIT + AGAIN, read)]


def settled(commands: list[Command], rounds: int) -> dict[str, list[Sample]]:
    """As ``measure``. What runs first after TensorFlow is slower by a tenth or more; here that
    is measured by nobody.
    """
    first = Command("settle", commands[0].arguments)
    samples = measure([first, *commands], rounds)
    del samples[first.name]
    return samples


def inner(samples: list[Sample]) -> list[Sample]:
    """What the program measured of itself, beside the memory of the process."""
    return [Sample(**json.loads(sample.tail), rss=sample.rss, tail="") for sample in samples]


Outcome = tuple[
    list[tuple[str, float, float]], bool
]  # names, values and limits of the checks; whether it was quiet


def changed_pair(
    directory: str, tensors: int, rounds: int, passes: int, whole: bool, tensorflow: bool
) -> Outcome:
    """Every variable differs."""
    tiny, pair = make_pair(directory, "tiny", TINY), make_pair(directory, "changed", tensors)
    title = f"{tensors} variables of 20 MB on each side, all different"
    work = {
        name: inner(found) for name, found in measure(programs(pair, tiny, passes), rounds).items()
    }
    print_table(f"{title}: the work alone{f', {passes} times' if passes > 1 else ''}", work, LIMIT)
    quiet = is_quiet(work, LIMIT, LIMIT + AGAIN)
    checks = [
        ("limit / equality only", ratio(work[LIMIT], work[EQUALITY]), LIMIT_SHARE),
        ("equality only / all measures", ratio(work[EQUALITY], work[ALL]), ALL_SHARE),
        ("equality only / all but max_rel", ratio(work[EQUALITY], work[NO_REL]), NO_REL_SHARE),
    ]
    if not whole:
        return checks, quiet
    commands = [
        Command(QUICK, differing(*pair, "-q")),
        Command(FULL, differing(*pair)),
        Command(VERIFIED, differing(*pair, "-q", "--verify-data")),
        Command(QUICK + AGAIN, differing(*pair, "-q")),
    ]
    if tensorflow:
        commands.append(Command(DICTS, [sys.executable, "-c", TF_DICTS, *pair]))
    samples = settled(commands, rounds)
    print_table(f"{title}: whole processes", samples, QUICK)
    quiet &= is_quiet(samples, QUICK, QUICK + AGAIN)
    for name in (QUICK, FULL) if tensorflow else ():
        checks.append(
            (f"TensorFlow's dicts / {name}: CPU", ratio(samples[DICTS], samples[name]), CPU_RATIO)
        )
        memory = median(samples[DICTS], "rss") / median(samples[name], "rss")
        checks.append((f"TensorFlow's dicts / {name}: memory", memory, RSS_RATIO))
    return checks, quiet


def equal_pair(directory: str, rounds: int) -> Outcome:
    """Checksums are equal: nothing is read."""
    pair = make_pair(directory, "equal", EQUAL, "--copy")
    commands = [
        Command(QUICK, ckptscope("diff", *pair, "-q")),
        Command(FULL, ckptscope("diff", *pair)),
        Command(QUICK + AGAIN, ckptscope("diff", *pair, "-q")),
        Command(LAZY, [sys.executable, "-c", TF_LAZY, *pair]),
    ]
    samples = settled(commands, rounds)
    print_table(
        f"{EQUAL} variables of 20 MB on each side, equal checksums: whole processes", samples, QUICK
    )
    quiet = is_quiet(samples, QUICK, QUICK + AGAIN)
    checks = [
        (
            f"TensorFlow lazily / {name}, equal: CPU",
            ratio(samples[LAZY], samples[name]),
            EQUAL_RATIO,
        )
        for name in (QUICK, FULL)
    ]
    return checks, quiet


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="200 MB on each side, the work alone")
    parser.add_argument("--no-tensorflow", action="store_true")
    parser.add_argument("--gate", action="store_true")
    arguments = parser.parse_args()
    tensorflow = has_tensorflow() and not arguments.no_tensorflow and not arguments.small
    tensors, passes = (SMALL, 10) if arguments.small else (LARGE, 1)
    with tempfile.TemporaryDirectory(prefix="ckptscope-bench-") as directory:
        checks, quiet = changed_pair(
            directory,
            tensors,
            arguments.rounds,
            passes,
            whole=not arguments.small,
            tensorflow=tensorflow,
        )
    if tensorflow:
        with tempfile.TemporaryDirectory(prefix="ckptscope-bench-") as directory:
            more, still = equal_pair(directory, arguments.rounds)
        checks, quiet = checks + more, quiet and still
    print("\ntargets")
    for name, value, limit in checks:
        print(f"  {name:<44} {value:>7.2f} >= {limit:<4g} {'met' if value >= limit else 'MISSED'}")
    if not arguments.gate:
        return 0
    return 2 if not quiet else int(any(value < limit for _, value, limit in checks))


if __name__ == "__main__":
    sys.exit(main())
