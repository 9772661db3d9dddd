"""The process around an engine: which error is shown."""

from __future__ import annotations

from api.process import first_error
from engine.errors import StoreError, TidemillError


def test_an_error_that_can_be_mended_is_taken_out_of_its_groups() -> None:
    wanted = StoreError("locked", "It is locked.")
    assert first_error(ExceptionGroup("", [ExceptionGroup("", [wanted])])) is wanted
    for alone in (KeyboardInterrupt(), SystemExit(1), BrokenPipeError()):
        assert first_error(BaseExceptionGroup("", [alone])) is alone


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    group = ExceptionGroup("", [TidemillError("code", "detail"), AssertionError("ours")])
    assert first_error(group) is group
