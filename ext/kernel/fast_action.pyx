"""An action of a step, planned for `ext.kernel.steps`: what can be known beforehand is, and what cannot is for Python.

`engine.kernel.fast_actions` decides which actions these are; the rest become a `Deed` that says "ask".
"""

cimport cython

from msgspec.msgpack import encode as pack_value


@cython.final
cdef class Deed:
    """One action of one step. Made by `Deed`, it is one for Python; the functions below make those that are not."""

    def __cinit__(self, int32_t place, dict entry not None):
        self.place = place
        self.entry = entry
        self.code = ASK

    def send(
        self, str channel not None, dict message not None, str node not None, *, address, bint transactional, bint empty
    ):
        """Make the action that sends a message without templates. `address`: the trait it goes to. `empty`: the message is empty."""
        self.code = SEND
        self.channel = channel
        self.channel_key = channel.encode()
        self.address_key = None if address is None else address.encode()
        self.message = message
        self.transactional = transactional
        self.empty = empty
        self.suffix = f".{node}.{self.place}"
        return self

    def points(self, int64_t change):
        self.code = POINTS
        self.change = change
        return self

    def segment(self, tuple add not None, tuple remove not None):
        """Make the action that adds and removes segments: all different, at most 64."""
        assert len({*add, *remove}) == len(add) + len(remove) <= 64
        self.code = SEGMENT
        self.add = add
        self.remove = remove
        self.events = tuple(pack_value({"segment": segment}) for segment in (*add, *remove))
        return self

    def update(self, Edits edits not None):
        self.code = UPDATE
        self.edits = edits
        return self

    def emit(self, str name not None, bytes packed not None):
        """Make the action that emits an event with these properties, a packed map."""
        self.code = EMIT
        self.name = name
        self.packed = packed
        return self
