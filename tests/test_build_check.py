"""A compiled part that is missing or older than anything it is compiled from is found, and named."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from tests.build_check import fault_of, refusal, sources_of

SUFFIX = EXTENSION_SUFFIXES[0]
FILES = {
    "ext/__init__.py": "",
    "ext/low/table.pxd": "cdef int size()",
    "ext/low/table.pyx": '"""A table."""',
    "ext/high/words.pxd": "from ext.low cimport table",
    "ext/high/walk.pyx": "from ext.high.words cimport (\n    word,\n)",
    f"ext/low/table{SUFFIX}": "",
    f"ext/high/walk{SUFFIX}": "",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree of two compiled modules, of which `walk` reads `table.pxd` through another header."""
    for place, text in FILES.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_000, 2_000 if path.name.endswith(SUFFIX) else 1_000))
    spec = importlib.machinery.ModuleSpec("ext", None, origin=str(tmp_path / "ext/__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    return tmp_path


def touch(path: Path, time: int) -> None:
    os.utime(path, (time, time))


def test_headers_are_followed_through_headers(tree: Path) -> None:
    names = {source.name: sorted(file.name for file in files) for source, files in sources_of(tree).items()}
    assert names == {
        "table.pyx": ["table.pxd", "table.pyx"],
        "walk.pyx": ["table.pxd", "walk.pyx", "words.pxd"],
    }


def test_a_build_newer_than_its_source_may_be_tested(tree: Path) -> None:
    assert refusal(tree) is None


def test_of_the_same_instant_is_not_older(tree: Path) -> None:
    touch(tree / "ext/low/table.pyx", 2_000)
    assert refusal(tree) is None


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ("ext/high/walk.pyx", f"walk{SUFFIX} is older than walk.pyx;"),
        ("ext/low/table.pxd", f"walk{SUFFIX} is older than table.pxd (and 1 more);"),
    ],
)
def test_an_older_build_is_named_with_the_remedy(tree: Path, changed: str, sentence: str) -> None:
    touch(tree / changed, 3_000)
    reason = refusal(tree)
    assert reason is not None
    assert sentence in reason
    assert reason.endswith("setup.py build_ext --inplace")


def test_a_missing_build_is_named(tree: Path) -> None:
    (tree / f"ext/low/table{SUFFIX}").unlink()
    assert fault_of(tree / "ext/low/table.pyx", {tree / "ext/low/table.pyx"}) == "table.pyx is not compiled"
    assert "table.pyx is not compiled" in (refusal(tree) or "")


def test_an_installed_package_elsewhere_is_not_examined(tree: Path, tmp_path: Path) -> None:
    (tree / f"ext/low/table{SUFFIX}").unlink()
    assert refusal(tmp_path / "elsewhere") is None
