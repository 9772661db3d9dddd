"""A compaction leaves no byte of a deleted contact in the files, whatever crashes meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from engine import tuning
from engine.errors import Refused, Unavailable
from engine.service import Service, running
from engine.store import environment
from engine.store.checkpoint import Checkpoints
from engine.store.compression import LENGTH_BYTES
from engine.store.environment import Environment, StoreFull
from engine.wire import decode_lines
from tests.store.helpers import line, run, until
from tests.store.live_store import at_rest, crash, crashing, recovered
from tests.store.secret_contact import KEPT, SECRETS, about, bytes_left, fill, settings, values_left


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compressed, so that a search of the files finds everything."""
    monkeypatch.setattr(tuning, "JOURNAL_COMPRESSED_FROM_BYTES", 1 << 30)
    monkeypatch.setattr(
        "engine.store.checkpoint.compress", lambda data: len(data).to_bytes(LENGTH_BYTES) + bytes(data)
    )


async def search(look: Callable[[], list[str]]) -> list[str]:
    return await trio.to_thread.run_sync(look)


@pytest.mark.usefixtures("plain")
def test_nothing_is_left_in_any_byte_of_the_files(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(settings(tmp_path)) as service:
            await fill(service)
            assert set(await search(lambda: bytes_left(tmp_path))) == set(SECRETS)
            await service.control("delete_contact", contact=SECRETS["alias"])
            await service._checkpointer.make()
            assert await search(lambda: bytes_left(tmp_path)), "a checkpoint alone erases nothing"
            assert service.statistics()["checkpoint"]["owes_erasure"]
            await service.compact()
            assert not service.statistics()["checkpoint"]["owes_erasure"]
            assert await search(lambda: bytes_left(tmp_path)) == []
            await service.submit(decode_lines(line("c1", message="after")))
            seen.append(service.kernel.digest())
        assert bytes_left(tmp_path) == []

    seen: list[bytes] = []
    run(test)
    with recovered(tmp_path) as kernel:
        assert kernel.digest() == seen[0]
        with pytest.raises(Refused):
            kernel.contact(SECRETS["id"])
        assert kernel.contact("otto")["traits"] == {"city": KEPT}


def test_nothing_is_left_in_any_compressed_record(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(settings(tmp_path)) as service:
            await fill(service)
            await service.control("delete_contact", contact=SECRETS["id"])
            await service.compact()

    run(test)
    assert values_left(tmp_path) == []


@pytest.mark.usefixtures("plain")
def test_who_was_never_there_is_not_remembered_for_being_asked_about(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(settings(tmp_path)) as service:
            await service.submit(decode_lines(about("otto", type="identify", traits={"city": KEPT})))
            with pytest.raises(Refused):
                await service.control("delete_contact", contact=SECRETS["id"])
            assert await search(lambda: bytes_left(tmp_path)) == ["id"]
            await service.compact()
            assert await search(lambda: bytes_left(tmp_path)) == []

    run(test)


def test_an_erasure_is_made_by_itself_after_its_time(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(settings(tmp_path, erase_s=0.0)) as service:
            await fill(service)
            assert service.statistics()["checkpoint"]["compacted"] == 0
            await service.control("delete_contact", contact=SECRETS["id"])
            await until(lambda: service.statistics()["checkpoint"]["compacted"] == 1)

    run(test)
    assert values_left(tmp_path) == []


@pytest.mark.parametrize("clean", [True, False], ids=["after a clean stop", "after a crash"])
def test_an_erasure_that_is_owed_is_made_after_the_next_start(
    tmp_path: Path, clean: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def delete() -> None:
        async with running(settings(tmp_path)) as service:
            await fill(service)
            await service.control("delete_contact", contact=SECRETS["id"])
            if not clean:
                await crash(service, monkeypatch)

    async def again() -> None:
        async with running(settings(tmp_path)) as service:
            await until(lambda: service.statistics()["checkpoint"]["compacted"] == 1)

    if clean:
        run(delete)
    else:
        with crashing():
            run(delete)
        monkeypatch.undo()
    run(again)
    assert values_left(tmp_path) == []
    with closing(Checkpoints(tmp_path / "checkpoints")) as checkpoints:
        assert checkpoints.manifest is not None
        assert not checkpoints.manifest.owed


@pytest.mark.usefixtures("plain")
def test_a_crash_between_any_two_writes_leaves_a_whole_store_that_still_owes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, images = tmp_path / "data", tmp_path / "images"
    digests: list[bytes] = []

    def image() -> None:
        shutil.copytree(data, images / f"{len(list(images.iterdir())):03}")

    def before(patch: pytest.MonkeyPatch, name: str) -> None:
        real = getattr(environment, name)

        def told(*args: Any) -> Any:
            image()
            return real(*args)

        patch.setattr(environment, name, told)

    async def test() -> None:
        async with running(settings(data)) as service:
            await fill(service)
            await service.control("delete_contact", contact=SECRETS["id"])
            await at_rest(service)
            digests.append(service.kernel.digest())
            images.mkdir()
            write, replace = Environment.write, os.replace

            async def told(self: Environment, fill: Any, **how: Any) -> Any:
                image()
                return await write(self, fill, **how)

            def told_replace(*args: Any) -> None:
                image()
                replace(*args)

            with monkeypatch.context() as patch:
                patch.setattr(Environment, "write", told)
                patch.setattr(os, "replace", told_replace)
                before(patch, "_put_rows")
                before(patch, "sync_names")
                await service.compact()
            image()

    run(test)
    taken = sorted(images.iterdir())
    assert len(taken) > 15
    for number, path in enumerate(taken):
        with recovered(path) as kernel:
            assert kernel.digest() == digests[0]
        if number % 3 == 0 or path == taken[-1]:
            run(partial(erased_after_start, path))


async def erased_after_start(data: Path) -> None:
    async with running(settings(data)) as service:
        await until(lambda: not service.statistics()["checkpoint"]["owes_erasure"])
        assert await search(lambda: bytes_left(data)) == []


def test_no_room_for_it_changes_nothing_and_it_is_owed_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_room(self: Environment) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreFull(self.name)

    async def test() -> None:
        async with running(settings(tmp_path)) as service:
            await fill(service)
            await service.control("delete_contact", contact=SECRETS["id"])
            with monkeypatch.context() as patch:
                patch.setattr(Environment, "rewrite", no_room)
                with pytest.raises(Unavailable, match="free some disk space"):
                    await service.compact()
            assert service.statistics()["checkpoint"]["owes_erasure"]
            await service.submit(decode_lines(line("c1", message="after")))
            await service.compact()

    run(test)
    assert values_left(tmp_path) == []


def test_events_go_on_while_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are appended to the journal between the slices that are copied, and none is lost."""
    monkeypatch.setattr(tuning, "STORE_COPY_BYTES", 2_000)
    sent: list[bytes] = []
    seen: list[bytes] = []

    async def keep_sending(service: Service, until: trio.CancelScope) -> None:
        with until:
            while True:
                one = line(f"c{len(sent) % 7}", message=f"live{len(sent)}", number=len(sent))
                with trio.CancelScope(shield=True):
                    await service.submit(decode_lines(one))
                sent.append(one)
                await trio.lowlevel.checkpoint()

    async def test() -> None:
        async with running(settings(tmp_path)) as service:
            await fill(service)
            async with trio.open_nursery() as nursery:
                until = trio.CancelScope()
                nursery.start_soon(keep_sending, service, until)
                for n in range(3):
                    await service.control("delete_contact", contact=f"c{n}")
                    await service.compact()
                until.cancel()
            await at_rest(service)
            seen.append(service.kernel.digest())
            await crash(service, monkeypatch)

    with crashing():
        run(test)
    assert len(sent) > 20
    with recovered(tmp_path) as kernel:
        assert kernel.digest() == seen[0]
