"""Stores that were written before: of the present formats they open as they were, others are refused
clearly, and so is a journal's tail of another kernel version."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import msgspec
import pytest

from engine.errors import StoreError
from engine.model import KERNEL_VERSION
from engine.service import running
from engine.store.verify import verify
from tests.golden.make import DIGESTS, FOLDER, NAMES, name_of, write
from tests.store.helpers import events, run
from tests.store.secret_contact import settings

PRESENT = {name_of(store) for store in NAMES}
EARLIER = "journal2-frame2-checkpoint2-kernel1"
STORES = sorted(FOLDER.glob("*-kernel*.tar.gz"))
JOURNEYS = FOLDER / "journeys-2dde685.tar.gz"


def unpacked(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder


def test_there_is_one_of_each_kind_in_the_present_formats() -> None:
    assert {f"{name}.tar.gz" for name in PRESENT} <= {path.name for path in STORES}, "run tests.golden.make"


def opens(name: str) -> bool:
    """Whether this kernel opens a store.

    One of another kernel version must have been stopped, for its tail is not replayed.
    """
    if name in PRESENT:
        return True
    formats, kernel = name.rsplit("-kernel")
    return formats == name_of("stopped").rsplit("-kernel")[0] and int(kernel) < KERNEL_VERSION


@pytest.mark.parametrize("archive", STORES, ids=lambda path: path.name)
def test_a_store_written_before_opens_as_it_was_or_is_refused_clearly(archive: Path, tmp_path: Path) -> None:
    name = archive.name.removesuffix(".tar.gz")
    found = verify(unpacked(archive, tmp_path / "data"))
    if opens(name):
        assert found.digest == msgspec.json.decode(DIGESTS.read_bytes(), type=dict[str, str])[name]
    else:
        assert {finding.code for finding in found.findings} <= {"format", "kernel_version"}
        assert found.findings


def test_a_store_of_an_earlier_kernel_that_was_stopped_goes_on(tmp_path: Path) -> None:
    data = unpacked(FOLDER / f"stopped-{EARLIER}.tar.gz", tmp_path / "data")
    before = verify(data)

    async def test() -> None:
        async with running(settings(data)) as service:
            await service.submit(events(3))

    run(test)
    after = verify(data)
    assert after.good
    assert (after.seq or 0) > (before.seq or 0) > 0


def test_a_store_of_an_earlier_kernel_that_crashed_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    data = unpacked(FOLDER / f"crashed-{EARLIER}.tar.gz", tmp_path / "data")
    files = sorted(data.rglob("data.mdb"))
    before = [path.read_bytes() for path in files]

    async def test() -> None:
        async with running(settings(data)):
            raise AssertionError("it started")

    with pytest.raises(StoreError, match=r"is of kernel version 1; this one is") as refused:
        run(test)
    assert refused.value.code == "kernel_version"
    assert refused.value.remedy == "Start a release with kernel version 1, stop it cleanly, then upgrade."
    assert [path.read_bytes() for path in files] == before


def test_a_store_with_journeys_of_every_kind_has_the_digest_of_the_release_that_wrote_it(
    tmp_path: Path,
) -> None:
    data = unpacked(JOURNEYS, tmp_path / "data")
    digest = msgspec.json.decode(DIGESTS.read_bytes(), type=dict[str, str])["journeys-2dde685"]
    assert verify(data).digest == digest

    async def test() -> None:
        async with running(settings(data)) as service:
            kernel = service.kernel
            assert kernel.digest().hex() == digest
            assert (kernel.counts()["contacts"], kernel.counts()["waiting"]) == (29, 44)
            assert {
                flow: kernel.stats(flow)["nodes"]["start"]["entered"] for flow in ("tested", "keyed")
            } == {
                "tested": 30,
                "keyed": 30,
            }
            report = kernel.report("tested", "test")
            assert sum(variant["orders"] for variant in report["variants"]) == 30
            assert kernel.contact("c2")["id"] == kernel.contact("c1")["id"] == "c1"
            await service.submit(events(3))

    run(test)
    assert verify(data).good


@pytest.mark.parametrize("form", ["earlier", "later"])
@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("engine.store.journal.FORMAT", "The journal has format"),
        ("engine.store.frame.FORMAT", "Journal frame .* has format"),
        ("engine.store.checkpoint.FORMAT", "The checkpoint has format"),
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
