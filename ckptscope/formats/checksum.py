"""Masked CRC-32C as TensorFlow and LevelDB store it.

Sources: tensorflow/core/lib/hash/crc32c.h (Mask), tensor_bundle.cc (what is fed for strings and
variants)."""

from __future__ import annotations

import google_crc32c

_MASK_DELTA = 0xA282EAD8


def mask(crc: int) -> int:
    """Rotate right by 15 bits and add a constant, so that checksums of checksummed data stay
    independent.
    """
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Masked CRC-32C of ``data``."""
    return mask(google_crc32c.value(data))


class RunningChecksum:
    """CRC-32C fed in pieces."""

    def __init__(self) -> None:
        self._crc = 0

    def feed(self, data: bytes) -> None:
        """Take more bytes in."""
        self._crc = google_crc32c.extend(self._crc, data)

    @property
    def masked(self) -> int:
        """Masked checksum of all bytes so far."""
        return mask(self._crc)
