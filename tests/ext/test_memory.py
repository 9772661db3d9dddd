"""Objects in large pages are as they were put there, whoever touches the pages that come next."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import threading
from ext.memory import give_back, touch_ahead, use_large_pages, wants_touch

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
