"""Settings of all tests, and the refusal to test compiled parts that are out of date."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.build_check import refusal

settings.register_profile("no clock", deadline=None)  # a busy machine is no failure
settings.load_profile("no clock")


def pytest_configure() -> None:
    """Stop before the first import of a compiled part that is missing or older than its source."""
    if reason := refusal():
        pytest.exit(reason, returncode=pytest.ExitCode.USAGE_ERROR)
