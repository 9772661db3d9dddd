"""Input lines as events: one pass over the bytes, JSON numbers, RFC 3339 instants.

Imports `ext.structures`, and errors and bounds of the engine. It knows Segment's message shapes, but no contact.
Begin with `event.pyx`, the input that the kernel takes. `line_reader.pyx` makes events of lines, `timed_events.pyx` for
virtual time.
"""
