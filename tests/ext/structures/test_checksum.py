"""The store's checksum: what it is, and what it finds for certain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ext.structures.checksum import checksum, sealed
from tests.reference import checksum as slow

WORDS = st.integers(0, 2**64 - 1)


@given(st.binary(max_size=200), WORDS)
def test_it_is_what_its_twin_says(data: bytes, seed: int) -> None:
    assert checksum(data, seed) == slow.checksum(data, seed)


@given(st.binary(min_size=1, max_size=200), st.data())
def test_any_damage_within_one_word_is_found(data: bytes, draw: st.DataObject) -> None:
    word = draw.draw(st.integers(0, (len(data) - 1) // 8)) * 8
    size = min(8, len(data) - word)
    damaged = draw.draw(
        st.binary(min_size=size, max_size=size).filter(lambda b: b != data[word : word + size])
    )
    assert checksum(data[:word] + damaged + data[word + size :]) != checksum(data)


def test_two_flipped_bits_are_found_wherever_they_are() -> None:
    data = bytes(range(96))
    sums = {checksum(data)}
    places = [1 << bit for bit in range(len(data) * 8)]
    whole = int.from_bytes(data)
    for number, one in enumerate(places):
        for other in places[number::7]:
            sums.add(checksum((whole ^ one ^ other).to_bytes(len(data))))
    pairs = sum(len(places[number + 7 :: 7]) for number in range(len(places)))
    assert len(sums) == 1 + pairs


@given(st.binary(max_size=40), st.lists(st.binary(max_size=40), max_size=4))
def test_a_head_and_bodies_are_sealed_as_one(head: bytes, bodies: list[bytes]) -> None:
    body = b"".join(bodies)
    assert sealed(head, bodies) == head + checksum(body, checksum(head)).to_bytes(8) + body
