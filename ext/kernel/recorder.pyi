from typing import final

from engine.model import TraceRecord

@final
class Recorder:
    """The record of what an engine did."""

    def __new__(cls, key: bytes) -> Recorder: ...

    trace: list[TraceRecord] | None
    """Records of the batch; None: no trace is wanted."""

    @property
    def digest(self) -> int:
        """64 bits over all that happened up to the end of the last batch."""

    def end_batch(self, last_effect: int) -> int:
        """Fold in the number of the last effect: what a batch did and sent is in the digest from now on."""
