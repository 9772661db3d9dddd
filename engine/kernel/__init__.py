"""Run time of the engine: batches in, outcomes out. Pure: no clock, no I/O, no randomness.

Imports `engine.flow`, `engine.ab_test` and `ext.kernel`, the compiled half that handles every event. This half holds
the rare operations: lives of flows, actions with templates, dates, snapshots, queries.
Begin with `kernel.py`, whose `Kernel` is the way in for other rooms, then `operations.py` and `callbacks.py`.
"""

from engine.kernel.kernel import Kernel
from engine.kernel.snapshot import Snapshot

__all__ = ["Kernel", "Snapshot"]
