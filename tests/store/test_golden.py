"""Stores that were written before: of the present formats they open as they were, others are refused clearly."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import msgspec
import pytest

from engine.verify import verify
from tests.golden.make import DIGESTS, FOLDER, NAMES, name_of, write

PRESENT = {name_of(store) for store in NAMES}
STORES = sorted(FOLDER.glob("*.tar.gz"))


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder


def test_there_is_one_of_each_kind_in_the_present_formats() -> None:
    assert {f"{name}.tar.gz" for name in PRESENT} <= {path.name for path in STORES}, "run tests.golden.make"


@pytest.mark.parametrize("archive", STORES, ids=lambda path: path.name)
def test_a_store_written_before_opens_as_it_was_or_is_refused_clearly(archive: Path, tmp_path: Path) -> None:
    name = archive.name.removesuffix(".tar.gz")
    found = verify(unpacked(archive, tmp_path / "data"))
    if name in PRESENT:
        assert found.digest == msgspec.json.decode(DIGESTS.read_bytes(), type=dict[str, str])[name]
    else:
        assert {finding.code for finding in found.findings} <= {"format", "kernel_version"}
        assert found.findings


@pytest.mark.parametrize("form", ["earlier", "later"])
@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("engine.journal.FORMAT", "The journal has format"),
        ("engine.frame.FORMAT", "Journal frame .* has format"),
        ("engine.checkpoint.FORMAT", "The checkpoint has format"),
    ],
)
def test_an_unknown_format_is_refused_with_what_to_do(
    where: str, sentence: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, 1 if form == "earlier" else 99)
        write(tmp_path / "data", "crashed")
    first, *_ = verify(tmp_path / "data").findings
    assert first.code == "format"
    assert re.search(sentence, first.detail)
    assert "this release reads format" in first.detail
