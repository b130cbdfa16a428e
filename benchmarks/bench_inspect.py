"""``ckptscope inspect`` as a whole process: against importing NumPy, and against TensorFlow's own
inspector.

    python benchmarks/bench_inspect.py            all figures (some minutes where TensorFlow is
    installed) python benchmarks/bench_inspect.py --gate     exit 1 where a target is missed, 2
    where the machine is too noisy

Its checkpoints are written by make_bundle.py, without TensorFlow; the small one is
sample_ckpts/full_221."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import (
    Command,
    ckptscope,
    has_tensorflow,
    is_quiet,
    measure,
    median,
    print_table,
    ratio,
)

HERE = Path(__file__).resolve().parent
SMALL = HERE.parent / "sample_ckpts" / "full_221"
SIZES = (20, 1_000, 100_000)
NUMPY = "import numpy"
# Targets.
SMALL_RATIO, LARGE_CPU, LARGE_RSS = 2.0, 2.0, 250.0


def inspections(path: str, label: str) -> list[Command]:
    return [
        Command(f"inspect {label} --json", ckptscope("inspect", path, "--json")),
        Command(f"inspect {label}", ckptscope("inspect", path)),
    ]


def tensorflow(path: str, label: str) -> Command:
    module = "tensorflow.python.tools.inspect_checkpoint"
    return Command(
        f"TensorFlow inspect_checkpoint {label}",
        [sys.executable, "-m", module, "--file_name", path],
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--large-rounds", type=int, default=5, help="for 100,000 variables")
    parser.add_argument("--tensorflow-rounds", type=int, default=3)
    parser.add_argument("--no-tensorflow", action="store_true")
    parser.add_argument("--gate", action="store_true")
    arguments = parser.parse_args()
    numpy = [sys.executable, "-c", "import numpy"]
    with tempfile.TemporaryDirectory() as directory:
        prefixes = {}
        for size in SIZES:
            prefixes[size] = f"{directory}/model.ckpt-{size}"
            subprocess.run(
                [sys.executable, str(HERE / "make_bundle.py"), prefixes[size], str(size)],
                check=True,
            )
        again = f"{NUMPY} (again)"
        commands = [
            Command(NUMPY, numpy),
            *inspections(str(SMALL), "full_221"),
            Command(again, numpy),
        ]
        commands += [Command("ckptscope --version", ckptscope("--version"))]
        for size in SIZES[:-1]:
            commands += inspections(prefixes[size], f"{size:,}")
        small = measure(commands, arguments.rounds)
        print_table("small checkpoints", small, NUMPY)
        quiet = is_quiet(small, NUMPY, again)
        large = measure(
            [Command(NUMPY, numpy), *inspections(prefixes[SIZES[-1]], "100,000")],
            arguments.large_rounds,
        )
        print_table("100,000 variables", large, NUMPY)
        if has_tensorflow() and not arguments.no_tensorflow:
            pairs = [(str(SMALL / "ckpt-1"), "full_221"), (prefixes[SIZES[-1]], "100,000")]
            for path, label in pairs:
                ours = inspections(path, label)[1]
                print_table(
                    "against TensorFlow",
                    measure([ours, tensorflow(path, label)], arguments.tensorflow_rounds),
                    ours.name,
                )
    checks = [
        (f"small, {form}: CPU / import numpy", ratio(small[name], small[NUMPY]), SMALL_RATIO)
        for form, name in (("JSON", "inspect full_221 --json"), ("table", "inspect full_221"))
    ]
    for form, name in (("JSON", "inspect 100,000 --json"), ("table", "inspect 100,000")):
        # Seconds, not a ratio of pairs: the fastest round is the one least disturbed by others on
        # the machine.
        checks.append(
            (
                f"100,000, {form}: CPU s, fastest",
                min(sample.cpu for sample in large[name]),
                LARGE_CPU,
            )
        )
        checks.append((f"100,000, {form}: MB", median(large[name], "rss"), LARGE_RSS))
    print("\ntargets")
    for name, value, limit in checks:
        print(f"  {name:<34} {value:>7.2f} <= {limit:<6g} {'met' if value <= limit else 'MISSED'}")
    if not arguments.gate:
        return 0
    return 2 if not quiet else int(any(value > limit for _, value, limit in checks))


if __name__ == "__main__":
    sys.exit(main())
