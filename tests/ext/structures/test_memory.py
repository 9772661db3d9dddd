"""Objects in large pages are as they were put there, whoever touches the pages that come next."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import threading
from ext.structures.memory import give_back, touch_ahead, use_large_pages, wants_touch

used = use_large_pages()
assert used == use_large_pages()
kept, done = [], threading.Event()

def touch():
    while not done.is_set():
        touch_ahead()

toucher = threading.Thread(target=touch)
toucher.start()
for number in range(300_000):
    kept.append(b"%d" % number * (number % 40 + 1))
    if number % 3 == 0:
        kept[number // 2] = None
done.set()
toucher.join()
whole = {place: value for place, value in enumerate(kept) if value is not None}
assert all(value == b"%d" % place * (place % 40 + 1) for place, value in whole.items())
assert len(whole) == 200_000
kept.clear(), whole.clear()
give_back()
if used:
    touch_ahead()
    assert not wants_touch()
    more = [bytes(400) for _ in range(20_000)]
    assert wants_touch()
"""


def test_objects_are_kept_while_the_pages_ahead_are_touched() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, timeout=60)


KEEPING = """
import platform
import resource
from ext.structures.memory import give_back, keep_freed

SIZE, AT_ONCE = 1 << 20, 24

def faults_of_a_turn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffers = [b"x" * (SIZE + number) for number in range(AT_ONCE)]
    buffers.clear()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages = AT_ONCE * SIZE // resource.getpagesize()
if keep_freed():
    assert faults_of_a_turn() > pages / 2, "new memory is taken"
    assert max(faults_of_a_turn() for _ in range(5)) < pages / 10, "and kept"
    give_back()
    assert faults_of_a_turn() > pages / 2, "until it is given back"
else:
    assert platform.libc_ver()[0] != "glibc"
"""


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer has a malloc of its own"
)
def test_freed_buffers_are_kept_until_they_are_given_back() -> None:
    subprocess.run([sys.executable, "-c", KEEPING], check=True, timeout=60)
