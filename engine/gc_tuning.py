"""Tuning of Python's collector of cyclic garbage for an engine that serves.

A full collection looks at every object that could be part of a cycle and at all that it refers to: with a million
contacts that takes a tenth of a second, during which nothing else happens, and by its own measure Python does it
every few seconds. The engine makes hardly any cycles (a test counts them), so nearly all of that is in vain:

- what is there when recovery is done, the state with it, is *frozen*: the collector does not look at it any more.
  What is frozen still goes when nobody refers to it; only a cycle among frozen objects would stay;
- what is younger is collected as before, in larger portions, and a full collection of it waits for ten million
  objects.

Rejected: turning the collector off (the libraries of the web layer do make cycles, with every broken connection),
freezing again and again as the state grows (each time would keep for ever the cycles that happen to be alive).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from engine.tuning import GARBAGE_MIDDLE_COLLECTIONS, GARBAGE_NEW_OBJECTS, GARBAGE_YOUNG_COLLECTIONS

THRESHOLDS = (GARBAGE_NEW_OBJECTS, GARBAGE_YOUNG_COLLECTIONS, GARBAGE_MIDDLE_COLLECTIONS)


@contextmanager
def off() -> Iterator[None]:
    """Switch collection off until the block ends.

    While a state of millions of objects, none of them a cycle, is built.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def spared() -> Iterator[None]:
    """Freeze the objects of the process and collect seldom, until the block ends."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
