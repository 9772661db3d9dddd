"""Helpers of the fuzz tests: the time that an example may take, and texts that are nearly right."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

CPU_S_MAX = 0.1
T = TypeVar("T")


def in_time(call: Callable[[], T]) -> T:
    """Return the result of a call that takes less than CPU_S_MAX of this thread's time.

    A second attempt is allowed: the first may build what is built once for all.
    """
    for _ in range(2):
        begun = time.thread_time()
        result = call()
        took = time.thread_time() - begun
        if took < CPU_S_MAX:
            return result
    raise AssertionError(f"it takes {took:.3f} s")


def nearly(*parts: str, most: int = 12) -> st.SearchStrategy[str]:
    """Return texts of parts of a language in any order, with arbitrary text in between."""
    return st.lists(st.sampled_from(parts) | st.text(max_size=4), max_size=most).map("".join)


def mangled(*good: bytes) -> st.SearchStrategy[bytes]:
    """Return good inputs with some bytes exchanged, removed, doubled or inserted."""

    def mangle(whole: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
        for at, length, put in edits:
            start = at % (len(whole) + 1)
            whole = whole[:start] + put + whole[start + length :]
        return whole

    edit = st.tuples(st.integers(0, 1 << 16), st.integers(0, 8), st.binary(max_size=6))
    return st.builds(mangle, st.sampled_from(good), st.lists(edit, max_size=4))
