"""A frame is read back as it was written, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StoreError
from engine.store import frame

COUNTS = st.integers(0, 2**32 - 1)
NUMBERS = st.integers(0, 2**64 - 1)


def framed(body: bytes = b"a\nb\n") -> bytes:
    return frame.encode(7, 1_000, version=1, count=2, previous=99, bodies=[body])


@given(NUMBERS, st.integers(-(2**63), 2**63 - 1), COUNTS, NUMBERS, st.lists(st.binary(max_size=50)))
def test_a_frame_is_read_back(seq: int, now_ms: int, count: int, previous: int, bodies: list[bytes]) -> None:
    value = frame.encode(seq, now_ms, version=3, count=count, previous=previous, bodies=bodies)
    assert frame.decode(value, seq) == frame.Frame(seq, now_ms, 3, count, previous, b"".join(bodies))


@given(st.integers(0, len(framed()) * 8 - 1))
def test_any_flipped_bit_is_noticed(bit: int) -> None:
    value = bytearray(framed())
    value[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreError) as refused:
        frame.decode(bytes(value), 7)
    assert refused.value.code == "corrupt"
    assert "frame 7" in refused.value.detail


@given(st.integers(0, len(framed()) - 1))
def test_a_frame_cut_short_is_noticed(length: int) -> None:
    with pytest.raises(StoreError):
        frame.decode(framed()[:length], 7)


def test_a_frame_under_another_seq_is_noticed() -> None:
    with pytest.raises(StoreError, match="says it is frame 7"):
        frame.decode(framed(), 8)


def test_a_frame_of_a_later_format_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(frame, "FORMAT", frame.FORMAT + 1)
        value = framed()
    with pytest.raises(StoreError, match="Start the release that wrote it") as refused:
        frame.decode(value, 7)
    assert refused.value.code == "format"
