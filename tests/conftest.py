"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no clock", deadline=None)  # a machine that is busy with other things is no failure
settings.load_profile("no clock")
