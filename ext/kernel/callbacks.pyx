"""Questions that the compiled kernel asks of Python: what is rare, or needs dates, zones and documents.

`engine.kernel.callbacks` answers them. Nothing in `ext` imports it, so the arrow between the two points down.
"""


cdef class Callbacks:
    """Base class of the kernel's callbacks. Each method is called on the path of an event, between two of its steps."""

    def act(self, run, node, place):
        """Carry out the action at `place` of a step; return the number of its outcome and its entry in the trace."""
        raise NotImplementedError

    def identify(self, contact, packed):
        """Apply traits from outside (rule 7), given as a MessagePack map."""
        raise NotImplementedError

    def alias(self, contact, previous):
        """Join the contact of the id `previous` into `contact` (rule 30)."""
        raise NotImplementedError

    def date_of(self, run, node, view):
        """Return the end of a dynamic wait in ms UTC, or None if it has no date (rule 5)."""
        raise NotImplementedError

    def opening(self, contact, flow, windows, ms):
        """Return the first instant >= `ms` inside one of the windows, in ms UTC (rule 4)."""
        raise NotImplementedError

    def key_of(self, plan, view):
        """Return the value of `run_key` as text, or None if it has none."""
        raise NotImplementedError

    def worth_of(self, plan, view):
        """Return the revenue of a goal event in hundredths of the currency (rule 22)."""
        raise NotImplementedError

    def available(self, pool):
        """Count the promo codes left in a pool."""
        raise NotImplementedError

    def cut(self, contact, event):
        """Record that a chain of events was cut (rule 19)."""
        raise NotImplementedError
