# /// script
# requires-python = ">=3.10"
# dependencies = ["tensorflow-cpu==2.21.0"]
# ///
"""Writes `data/`: the small files that some samples read.

Three TFRecord files with 15, 13 and 12 examples, one gzip-compressed TFRecord
file and two text files with all 40, and a dataset written by `Dataset.save`.

    python sample_ckpts/make_data.py
"""

import shutil

import _common
import tensorflow as tf

DATA = _common.HERE / "data"


def record(number):
    """Example `number` as a serialized tf.train.Example."""
    features = _common.features_of([number])[0]
    return tf.train.Example(features=tf.train.Features(feature={
        "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=features)),
    })).SerializeToString()


def write_records(name, numbers, compression=""):
    with tf.io.TFRecordWriter(str(DATA / name), compression) as writer:
        for number in numbers:
            writer.write(record(number))


def write_text(name, numbers):
    """One example a line: its id and its features, in words of different length."""
    lines = []
    for number in numbers:
        features = " ".join("%.6g" % value for value in _common.features_of([number])[0])
        lines.append("%d %s\n" % (number, features))
    (DATA / name).write_text("".join(lines))


def main():
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    write_records("a-00000.tfrecord", range(0, 15))
    write_records("a-00001.tfrecord", range(15, 28))
    write_records("a-00002.tfrecord", range(28, 40))
    write_records("b.tfrecord.gz", range(40), "GZIP")
    write_text("lines-0.txt", range(0, 22))
    write_text("lines-1.txt", range(22, 40))
    _common.examples().save(str(DATA / "saved_dataset"))


if __name__ == "__main__":
    main()
