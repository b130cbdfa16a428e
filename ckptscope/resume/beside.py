"""What lies beside a checkpoint: iterators of other hosts, weights in another format.

T5X and CLU write the input pipeline of each host as a bundle ``train_ds-000-of-002`` beside arrays
of their own format (t5x/checkpoints.py, clu/checkpoint.py)."""

from __future__ import annotations

import os
import re

from ckptscope.checkpoint.discover import Location

_HOST = re.compile(r"^(?P<base>.+)-(?P<host>\d{2,5})-of-(?P<hosts>\d{2,5})$")
_WEIGHT_FILES = re.compile(
    r"(\.msgpack|\.safetensors|\.flax|\.npz|\.zarr|\.weights\.h5|\.h5|\.keras)$|^(checkpoint|state)"
    r"\.(json|msgpack)$|^(flax|msgpack)|^manifest\.ocdbt$"
)
# Arrays that tensorstore writes lie in directories with one of these.
_ARRAY_FILES = (".zarray", "zarr.json", "manifest.ocdbt")
_MOST_NAMES = 10_000


def other_hosts(location: Location) -> tuple[str, ...]:
    """Names of the same iterator's checkpoints of all hosts, this one included; empty if it is
    the only one.
    """
    name = os.path.basename(location.prefix)
    match = _HOST.match(name)
    if match is None or int(match["hosts"]) < 2:
        return ()
    total = int(match["hosts"])
    digits = len(match["host"])
    return tuple(
        f"{match['base']}-{host:0{digits}}-of-{match['hosts']}" for host in range(min(total, 1000))
    )


def is_here(location: Location, name: str) -> bool:
    """Whether the checkpoint of another host is in the same directory."""
    directory = os.path.dirname(location.prefix) or "."
    return os.path.isfile(os.path.join(directory, f"{name}.index"))


def weights_elsewhere(location: Location) -> str | None:
    """A file or directory beside that holds arrays in another format; None if there is none."""
    directory = os.path.dirname(location.prefix) or "."
    try:
        names = sorted(os.listdir(directory))[:_MOST_NAMES]
    except OSError:
        return None
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isdir(path):
            if any(os.path.exists(os.path.join(path, inner)) for inner in _ARRAY_FILES):
                return name
        elif _WEIGHT_FILES.search(name):
            return name
    return None
