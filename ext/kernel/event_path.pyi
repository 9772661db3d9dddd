from ext.kernel.core import Core

def drain(core: Core) -> int:
    """Process the queued events that inputs, timers and actions gave rise to, first in, first out."""
