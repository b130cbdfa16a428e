"""The state of an iterator, as TensorFlow writes it into a small bundle."""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from typing import Any, Callable

MAX_STATE_NBYTES = 1 << 20


def state_files(save: Callable[[str], object]) -> dict[str, str] | None:
    """The files of a small bundle that ``save(prefix)`` writes, in base64; None where they are
    large.
    """
    directory = tempfile.mkdtemp(prefix="ckptscope-")
    try:
        save(os.path.join(directory, "state"))
        found = {}
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), "rb") as file:
                found[name] = file.read(MAX_STATE_NBYTES)
        if sum(map(len, found.values())) >= MAX_STATE_NBYTES:
            return None
        return {name: base64.b64encode(data).decode() for name, data in found.items()}
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def save_eagerly(resource: Any, prefix: str) -> None:
    """Save the iterator of TensorFlow 2 that a resource is."""
    import tensorflow as tf

    try:
        # 1: hidden random generators are no reason to refuse; the counters are there all the same.
        state = tf.raw_ops.SerializeIterator(resource_handle=resource, external_state_policy=1)
    except TypeError:
        state = tf.raw_ops.SerializeIterator(resource_handle=resource)
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=["iterator"], shape_and_slices=[""], tensors=[state]
    )
