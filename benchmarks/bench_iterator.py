"""Time to get the position out of a big iterator state, against TensorFlow restoring it.

    python benchmarks/bench_iterator.py [--elements 100000] [--nbytes 256]

The state (a full shuffle buffer) is made by TensorFlow once and kept in the temporary directory.
The outer table has whole processes; the inner one the work alone, imports and building the dataset
left out."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Command, Sample, ckptscope, has_tensorflow, is_quiet, measure, print_table

DATASET = """
import json, sys, time
import numpy, tensorflow as tf
path, elements, nbytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = tf.data.Dataset.range(4 * elements).map(lambda i: tf.cast(tf.random.stateless_uniform([nbytes], [i, 0], maxval=256, dtype=tf.int32), tf.uint8))
iterator = iter(data.shuffle(elements, seed=1).batch(32))
checkpoint = tf.train.Checkpoint(iterator=iterator, step=tf.Variable(0, dtype=tf.int64), w=tf.Variable([0.0]))
"""
SAVE = """
for _ in range(10):
    next(iterator)
checkpoint.step.assign(10)
checkpoint.write(path)
"""
RESTORE = """
start, cpu = time.perf_counter(), time.process_time()
checkpoint.read(path).assert_existing_objects_matched()
print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - start}))
"""
INSPECT = """
import json, sys, time
import ckptscope
ckptscope.inspect
start, cpu = time.perf_counter(), time.process_time()
position = ckptscope.inspect(sys.argv[1]).resume.position
assert (position.batches_consumed, position.batch_size) == (10, 32), position
print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - start}))
"""


def inner(samples: list[Sample]) -> list[Sample]:
    """What the program measured of itself (its last line), beside the memory of the process."""
    return [
        Sample(**json.loads(sample.tail.strip().splitlines()[-1]), rss=sample.rss, tail="")
        for sample in samples
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--elements", type=int, default=100_000)
    parser.add_argument("--nbytes", type=int, default=256, help="of each element")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    directory = Path(tempfile.gettempdir()) / "ckptscope-bench"
    directory.mkdir(exist_ok=True)
    prefix = str(directory / f"shuffle-{arguments.elements}x{arguments.nbytes}")
    numbers = [str(arguments.elements), str(arguments.nbytes)]
    if not Path(f"{prefix}.index").exists():
        if not has_tensorflow():
            sys.exit("TensorFlow is needed to make the state")
        subprocess.run([sys.executable, "-c", DATASET + SAVE, prefix, *numbers], check=True)
    megabytes = Path(f"{prefix}.data-00000-of-00001").stat().st_size / 1e6
    print(
        f"shuffle buffer of {arguments.elements:,} elements of {arguments.nbytes} bytes: "
        f"{megabytes:.1f} MB"
    )
    whole, alone = "inspect --json, whole process", "ckptscope.inspect"
    commands = [
        Command(whole, ckptscope("inspect", prefix, "--json")),
        Command(alone, [sys.executable, "-c", INSPECT, prefix]),
        Command(f"{whole} (again)", ckptscope("inspect", prefix, "--json")),
    ]
    if has_tensorflow():
        commands.append(
            Command(
                "TensorFlow restore", [sys.executable, "-c", DATASET + RESTORE, prefix, *numbers]
            )
        )
    samples = measure(commands, arguments.rounds)
    print_table("whole processes", samples, whole)
    is_quiet(samples, whole, f"{whole} (again)")
    programs = {
        name: inner(found)
        for name, found in samples.items()
        if name in (alone, "TensorFlow restore")
    }
    print_table("the work alone", programs, alone)
    return 0


if __name__ == "__main__":
    sys.exit(main())
