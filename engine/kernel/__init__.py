"""Run time: batches in, outcomes out. Pure: no clock, no I/O, no randomness."""

from engine.kernel.kernel import Kernel
from engine.kernel.snapshot import Snapshot

__all__ = ["Kernel", "Snapshot"]
