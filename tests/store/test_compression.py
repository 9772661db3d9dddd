"""Compressed bytes come back unchanged; damaged ones come back different or not at all, never at unbounded length."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.compression import LENGTH_BYTES, compress, decompress, length

MAX = 1 << 20
SOME = b'{"event": "Order Completed", "properties": {"total": 12.5}}' * 100


@given(st.one_of(st.binary(max_size=5_000), st.text(max_size=5_000).map(str.encode)))
def test_it_comes_back(data: bytes) -> None:
    packed = compress(data)
    assert len(packed) <= len(data) + LENGTH_BYTES
    assert length(packed) == len(data)
    assert decompress(packed, bytes_max=MAX) == data


def test_what_repeats_itself_gets_short_and_what_does_not_stays() -> None:
    noise = Random(1).randbytes(10_000)
    assert len(compress(SOME)) < len(SOME) // 20
    assert compress(noise)[LENGTH_BYTES:] == noise


@given(st.integers(0, 8 * len(compress(SOME)) - 1))
def test_a_flipped_bit_gives_no_more_than_is_allowed(bit: int) -> None:
    packed = bytearray(compress(SOME))
    packed[bit // 8] ^= 1 << bit % 8
    try:
        data = decompress(bytes(packed), bytes_max=MAX)
    except ValueError:
        return
    assert len(data) == length(bytes(packed)) <= MAX


@pytest.mark.parametrize(
    "packed",
    [b"", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\1ab", compress(SOME)[:-1], (MAX + 1).to_bytes(4) + b"x"],
)
def test_what_was_never_compressed_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError):
        decompress(packed, bytes_max=MAX)


def test_more_than_is_allowed_is_refused() -> None:
    with pytest.raises(ValueError):
        decompress(compress(SOME), bytes_max=len(SOME) - 1)
