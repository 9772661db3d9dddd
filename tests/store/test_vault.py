"""A flipped bit in any page is found and named, or is where nothing is kept; a backup taken under load is whole."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

import lmdb
import msgspec
import pytest
import trio

from engine.errors import Refused, StoreError, Unavailable
from engine.service import Service, running
from engine.store import directory, environment
from engine.store.verify import Verified, verify
from engine.wire import decode_lines
from tests.store.helpers import events, line, run
from tests.store.live_store import at_rest, crash, crashing
from tests.store.secret_contact import fill, settings

PAGE_BYTES = 4096
BITS_A_PAGE = 16
STARTS = 10
FILES = ("journal/data.mdb", "checkpoints/data.mdb")
PLACE = re.compile(r"[Pp]age \d+|[Ff]rame \d+|[Pp]iece \d+|manifest|own record")
"""Every finding says where."""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a base, deltas and a tail."""

    async def test() -> None:
        async with running(settings(tmp_path / "kept")) as service:
            await fill(service)
            for n in range(24):
                await service.submit(events(2, first=2 * n, contacts=40, padding=1_000 * (n % 4)))
                if n in (16, 17):
                    service._checkpointer._needs_base = n == 16
                    await service._checkpointer.make()
            await at_rest(service)
            await crash(service, monkeypatch)

    with crashing():
        run(test)
    monkeypatch.undo()
    return tmp_path / "kept"


def cases(data: Path, bits: int) -> list[tuple[str, int]]:
    """Return files and bits to flip; the first bytes of a page, which are LMDB's own, as often as the others."""
    chance = Random(1)
    found = []
    for name in FILES:
        for page in range((data / name).stat().st_size // PAGE_BYTES):
            for number in range(bits):
                most = (PAGE_BYTES if number % 2 else 160) * 8
                found.append((name, page * PAGE_BYTES * 8 + chance.randrange(most)))
    return found


def flipped(whole: bytes, bit: int) -> bytes:
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def judged(data: Path, bits: int) -> list[tuple[str, int, Verified]]:
    """Return the verdict of `verify` on each flip, made one by one in a process that LMDB may crash."""
    asked = [sys.executable, "-m", "tests.store.test_vault", str(data), str(bits)]
    done = subprocess.run(asked, capture_output=True, check=False)
    found = [msgspec.json.decode(row, type=tuple[str, int, Verified]) for row in done.stdout.splitlines()]
    assert done.returncode == 0, f"died after {found[-1:]}: {done.stderr.decode()[-2000:]}"
    return found


def judge(data: Path, bits: int) -> None:
    for name, bit in cases(data, bits):
        file = data / name
        whole = file.read_bytes()
        file.write_bytes(flipped(whole, bit))
        found = verify(data)
        file.write_bytes(whole)
        sys.stdout.write(msgspec.json.encode((name, bit, found)).decode() + "\n")


def swept(kept: Path, bits: int) -> None:
    undamaged = verify(kept)
    assert undamaged.good
    assert undamaged.frames > 3
    assert undamaged.pieces >= 2
    found = judged(kept, bits)
    assert len(found) == len(cases(kept, bits))
    refused = [one for _, _, one in found if not one.good]
    assert len(refused) > len(found) / 10
    for name, bit, one in found:
        if one.good:
            assert one.digest == undamaged.digest, f"bit {bit} of {name} changed what is served"
        else:
            assert all(finding.detail.endswith((".", "!")) for finding in one.findings)
            assert all(PLACE.search(finding.detail) for finding in one.findings), one.findings


def test_a_flipped_bit_is_named_or_changes_nothing(kept: Path) -> None:
    swept(kept, BITS_A_PAGE)


@pytest.mark.nightly
def test_a_flipped_bit_is_named_or_changes_nothing_in_all_pages_many_times(
    kept: Path, request: pytest.FixtureRequest
) -> None:
    if "nightly" not in request.config.getoption("-m"):
        pytest.skip("the long form: -m nightly")
    swept(kept, 200)


def test_a_start_refuses_what_verify_refuses(kept: Path) -> None:
    async def start() -> None:
        async with running(settings(kept)):
            raise AssertionError("it started")

    refused = [one for one in judged(kept, BITS_A_PAGE) if not one[2].good]
    assert len(refused) > STARTS
    for name, bit, found in Random(2).sample(refused, STARTS):
        whole = (kept / name).read_bytes()
        (kept / name).write_bytes(flipped(whole, bit))
        with pytest.raises(StoreError) as error:
            run(start)
        assert error.value.detail in {finding.detail for finding in found.findings}
        (kept / name).write_bytes(whole)


def test_a_backup_taken_under_load_holds_the_state_after_one_batch(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    digests: dict[int, bytes] = {}
    seqs: list[int] = []

    async def keep_sending(service: Service, until: trio.CancelScope) -> None:
        number = 0
        with until:
            while True:
                number += 1
                await service.submit(
                    decode_lines(line(f"c{number % 7}", message=f"live{number}", number=number))
                )

    async def test() -> None:
        async with running(settings(data)) as service:
            await fill(service)
            apply = service.kernel.apply

            def noted(batch: object) -> object:
                outcome = apply(batch)  # type: ignore[arg-type]
                digests[service.kernel.seq] = service.kernel.digest()
                return outcome

            service._ingest._kernel.apply = noted  # type: ignore[method-assign,assignment]
            async with trio.open_nursery() as nursery:
                until = trio.CancelScope()
                nursery.start_soon(keep_sending, service, until)
                await trio.sleep(0.2)
                seqs.append(await service.back_up(copy))
                await trio.sleep(0.1)
                until.cancel()
            assert service.kernel.seq > seqs[0]
            with pytest.raises(Refused, match="new directory"):
                await service.back_up(copy)

    run(test)
    found = verify(copy)
    assert (found.good, found.seq) == (True, seqs[0])
    assert found.digest == digests[seqs[0]].hex()
    shutil.rmtree(data)
    copy.rename(data)

    async def restored() -> None:
        async with running(settings(data)) as service:
            assert service.kernel.digest() == digests[seqs[0]]
            await service.submit(decode_lines(line("c1", message="after")))

    run(restored)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            lmdb.DiskError("no space"),
            "backup_full",
            "no room for the copy in {}.partial: free some disk space there",
        ),
        (OSError(errno.ENOSPC, "no space"), "backup_full", "no room for the copy in {}.partial"),
        (OSError(errno.EIO, "Input/output error"), "backup_failed", "the copy in {}.partial failed: "),
        (None, "", ""),
    ],
)
def test_what_a_failed_backup_left_is_removed_beside_the_loop_and_the_engine_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None, code: str, said: str
) -> None:
    """Without an error: it was cancelled."""
    copy, loop, removed = tmp_path / "copy", threading.get_ident(), list[int]()
    remove = shutil.rmtree

    def fail(env: object, rows: object) -> None:
        assert (tmp_path / "copy.partial").is_dir()
        if error is not None:
            raise error
        time.sleep(0.1)

    def noted(path: Path) -> None:
        removed.append(threading.get_ident())
        remove(path)

    monkeypatch.setattr(environment, "_put_rows", fail)
    monkeypatch.setattr(shutil, "rmtree", noted)

    async def test() -> None:
        async with running(settings(tmp_path / "data")) as service:
            await fill(service)
            if error is None:
                with trio.move_on_after(0.05):
                    await service.back_up(copy)
            else:
                with pytest.raises(Unavailable, match=said.format(copy)) as caught:
                    await service.back_up(copy)
                assert caught.value.code == code
            assert names_in(tmp_path) == ["data"]
            assert len(removed) == 1
            assert removed[0] != loop
            await service.submit(decode_lines(line("c1", message="after")))

    run(test)


@pytest.mark.parametrize(("where", "name"), [(environment, "_put_rows"), (Path, "rename")])
def test_what_cannot_be_removed_of_a_failed_backup_hides_nothing_and_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: object,
    name: str,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def keep(path: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    async def test() -> None:
        async with running(settings(tmp_path / "data")) as service:
            await fill(service)
            with monkeypatch.context() as patch:
                patch.setattr(where, name, fail)
                patch.setattr(shutil, "rmtree", keep)
                with pytest.raises(Unavailable, match="Input/output error"):
                    await service.back_up(tmp_path / "copy")
            assert names_in(tmp_path) == ["copy.partial", "data"]
            (told,) = [row.getMessage() for row in caplog.records if row.name == "tidemill.backup"]
            assert f"{tmp_path}/copy.partial" in told
            assert "Operation not permitted" in told
            await service.submit(decode_lines(line("c1", message="after")))

    run(test)


def test_an_error_that_is_not_of_the_rename_stays_what_it_is(tmp_path: Path) -> None:
    async def test() -> None:
        async with directory.growing(tmp_path / "copy", data=tmp_path / "data"):
            raise OSError(errno.EIO, "of the engine")

    with pytest.raises(OSError, match="of the engine"):
        run(test)
    assert names_in(tmp_path) == []


if __name__ == "__main__":
    judge(Path(sys.argv[1]), int(sys.argv[2]))
