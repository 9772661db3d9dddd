"""The checksum of the store, said slowly: four lanes, a word of 8 bytes each in turn."""

from __future__ import annotations

WORD = 1 << 64
ONE, OTHER = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F
BEGINNINGS = (0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def checksum(data: bytes, seed: int = 0) -> int:
    lanes = [seed ^ beginning for beginning in BEGINNINGS]
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data) // 8 * 8, 8)]
    whole = len(data) // 32 * 4
    for place, word in enumerate(words):
        lane = place % 4 if place < whole else 0
        lanes[lane] = turn(lanes[lane], word)
    lanes[1] = turn(lanes[1], int.from_bytes(data[len(words) * 8 :], "little"))
    rotated = [rotate(lane, by) for lane, by in zip(lanes, (0, 7, 12, 18), strict=True)]
    found = (sum(rotated) + len(data)) % WORD
    found = (found ^ found >> 33) * OTHER % WORD
    found = (found ^ found >> 29) * ONE % WORD
    return found ^ found >> 32


def turn(lane: int, word: int) -> int:
    lane = (lane ^ word) * ONE % WORD
    return (lane ^ lane >> 29) * OTHER % WORD


def rotate(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) % WORD
