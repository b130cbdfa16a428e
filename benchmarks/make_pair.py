"""Write two large V2 bundles of float32 variables:  python make_pair.py A B [--tensors 200]
[--elements 5000000] [--copy]

B holds A's values times 1.001, so that every variable differs; with ``--copy`` it is A's bytes and
checksums. One tensor at a time is in memory. Checksums are true, and TensorFlow reads the result.
"""

import argparse
import os
import shutil

import numpy
from make_bundle import FLOAT32, entry, field, message, write_table

FACTOR = numpy.float32(1.001)
SUFFIXES = (".data-00000-of-00001", ".index")


def write_pair(prefixes: tuple[str, str], tensors: int, elements: int) -> None:
    rng = numpy.random.default_rng(0)
    values = numpy.empty(elements, numpy.float32)
    header = field(1, 1) + message(3, field(1, 1))  # BundleHeaderProto: one shard, version 1
    tables = [[(b"", header)], [(b"", header)]]
    with (
        open(prefixes[0] + SUFFIXES[0], "wb") as first,
        open(prefixes[1] + SUFFIXES[0], "wb") as second,
    ):
        for number in range(tensors):
            rng.standard_normal(out=values, dtype=numpy.float32)
            for file, table in zip((first, second), tables, strict=True):
                data = values.tobytes()
                table.append(
                    (
                        b"model/layer_%04d/kernel" % number,
                        entry(FLOAT32, (elements,), file.tell(), data),
                    )
                )
                file.write(data)
                numpy.multiply(values, FACTOR, out=values)
        for file in (first, second):
            file.flush()
            os.fsync(file.fileno())  # else the system goes on writing while the benchmark runs
    for prefix, table in zip(prefixes, tables, strict=True):
        write_table(prefix + SUFFIXES[1], table)


def write_copies(prefixes: tuple[str, str], tensors: int, elements: int) -> None:
    write_pair(prefixes, tensors, elements)
    for suffix in SUFFIXES:
        shutil.copyfile(prefixes[0] + suffix, prefixes[1] + suffix)
    with open(prefixes[1] + SUFFIXES[0], "rb") as file:
        os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("a", help="prefix of the first bundle")
    parser.add_argument("b", help="prefix of the second bundle")
    parser.add_argument("--tensors", type=int, default=200)
    parser.add_argument(
        "--elements", type=int, default=5_000_000, help="of each tensor, 4 bytes each"
    )
    parser.add_argument("--copy", action="store_true", help="B is a copy of A")
    arguments = parser.parse_args()
    write = write_copies if arguments.copy else write_pair
    write((arguments.a, arguments.b), arguments.tensors, arguments.elements)


if __name__ == "__main__":
    main()
