# /// script
# requires-python = ">=3.8,<3.11"
# dependencies = ["tensorflow-cpu==2.8.4", "numpy<2", "protobuf<3.20"]
# ///
"""Makes the sample of TensorFlow 2.8 and measures its truth.

In an environment with that release, after `make_data.py`:

    python sample_ckpts/make_tf28.py
"""

import _common
from _common import Loop, sample, shuffled_dataset


@sample("full_28", "Everything saved, as in full_221 but by TensorFlow 2.8.")
def full(run):
    loop = Loop(shuffled_dataset())
    loop.train(run, loop.full_checkpoint())


if __name__ == "__main__":
    _common.main()
