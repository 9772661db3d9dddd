"""`setup.py` finds every `.pyx` below `ext/`, however deep, and builds it for speed or for finding faults."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import Cython.Build
import pytest
import setuptools

from tests.source_tree import ROOT, files, module_name

Built = dict[str, Any]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Built:
    """Collect the arguments that `setup.py` gives to setuptools and Cython; nothing is compiled."""
    arguments: Built = {}

    def cythonize(extensions: list[setuptools.Extension], **options: Any) -> list[setuptools.Extension]:
        arguments.update(options)
        return extensions

    monkeypatch.setattr(Cython.Build, "cythonize", cythonize)
    monkeypatch.setattr(setuptools, "setup", lambda **given: arguments.update(given))
    return arguments


def modules(built: Built) -> dict[str, setuptools.Extension]:
    runpy.run_path(str(ROOT / "setup.py"))
    return {extension.name: extension for extension in built["ext_modules"]}


def test_nested_sources_are_found(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (
        "ext/a.pyx",
        "ext/room/b.pyx",
        "ext/room/shelf/c.pyx",
        "ext/room/header.pxd",
        "other/d.pyx",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    monkeypatch.chdir(tmp_path)
    assert list(modules(built)) == ["ext.a", "ext.room.b", "ext.room.shelf.c"]


def test_every_source_of_the_repository_is_built(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert sorted(modules(built)) == sorted(map(module_name, files(".pyx", trees=("ext",))))


@pytest.mark.parametrize(("switch", "debug"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_one_variable_switches_the_checks_on(
    built: Built, monkeypatch: pytest.MonkeyPatch, switch: str | None, debug: bool
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TIDEMILL_DEBUG_BUILD", raising=False)
    if switch is not None:
        monkeypatch.setenv("TIDEMILL_DEBUG_BUILD", switch)
    for extension in modules(built).values():
        assert ("-fsanitize=address" in extension.extra_compile_args) == debug
        assert ("-fsanitize=address" in extension.extra_link_args) == debug
        assert ("-O2" in extension.extra_compile_args) == (not debug)
    assert built["compiler_directives"]["boundscheck"] is debug
    assert built["force"] is debug, "files translated without checks must be translated again"
    assert built["nthreads"] == built["options"]["build_ext"]["parallel"] > 0
