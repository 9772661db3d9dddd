"""The channel `outbox`: nothing is pushed, the application pulls.

Effects of a channel mapped to it stay in the kernel's outbox, are read by `GET /v1/outbox?after=` in order of
their seq, and leave it when a receipt for them comes.
"""

from __future__ import annotations


class Outbox:
    """Marks a channel as pulled by the application."""
