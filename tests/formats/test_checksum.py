import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ckptscope.formats.checksum import RunningChecksum, mask, masked_crc32c

# RFC 3720, B.4; and the check value of CRC-32C.
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"123456789", 0xE3069283),
    (b"", 0),
]


@pytest.mark.parametrize(("data", "crc"), VECTORS)
def test_known_vectors(data, crc):
    assert google_crc32c.value(data) == crc
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert masked_crc32c(data) == mask(crc) == (rotated + 0xA282EAD8) % 2**32


def test_mask_literals():
    assert mask(0) == 0xA282EAD8
    assert (
        masked_crc32c(b"123456789") == 0xC78AB0E5
    )  # (0xE3069283 rotated: 0x250DC60D) + 0xA282EAD8


@given(st.integers(0, 2**32 - 1))
def test_mask_can_be_undone(crc):
    rotated = (mask(crc) - 0xA282EAD8) % 2**32
    assert ((rotated << 15) | (rotated >> 17)) % 2**32 == crc


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_pieces_equal_the_whole(pieces):
    running = RunningChecksum()
    for piece in pieces:
        running.feed(piece)
    assert running.masked == masked_crc32c(b"".join(pieces))
