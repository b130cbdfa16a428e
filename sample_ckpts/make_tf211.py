# /// script
# requires-python = ">=3.8,<3.11"
# dependencies = ["tensorflow-cpu==2.11.1", "numpy<2"]
# ///
"""Makes the samples of TensorFlow 2.11 and measures their truth.

In an environment with that release, after `make_data.py`:

    python sample_ckpts/make_tf211.py
"""

import _common
import tensorflow as tf
from _common import BATCH_SIZE, Loop, sample, shuffled_dataset


@sample("full_211", "Everything saved, as in full_221 but by TensorFlow 2.11.")
def full(run):
    loop = Loop(shuffled_dataset())
    loop.train(run, loop.full_checkpoint())


def parse_line(line):
    """A line is an id and four features."""
    words = tf.strings.split(line)
    return {
        "id": tf.strings.to_number(words[0], tf.int64),
        "x": tf.ensure_shape(tf.strings.to_number(words[1:]), [4]),
    }


@sample("textline_211", "Two text files read line by line; the iterator is saved.")
def textline(run):
    lines = tf.data.TextLineDataset(["data/lines-0.txt", "data/lines-1.txt"])
    loop = Loop(lines.map(parse_line).batch(BATCH_SIZE).repeat())
    loop.train(run, loop.full_checkpoint())


if __name__ == "__main__":
    _common.main()
