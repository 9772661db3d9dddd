"""Images of the real files after a crash at every place: between any two file calls of LMDB, and within each.

A process is run with `file_calls.h` loaded before the C library, which writes down every call that LMDB makes on its
two data files. From that log each state the files can be in after a crash is rebuilt and recovered:

- killed: all calls up to here have happened, none after (the page cache outlives the process);
- power lost: what was written and not synced since is gone, or each 512-byte sector of it is there or not.

Each image must recover to the digest of one of the two neighbouring batches, and never to less than was acknowledged.
(Before the very first acknowledgement the files may be torn while they are made; such a start is refused.)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from engine.errors import StoreError
from engine.kernel import Kernel
from engine.store import environment
from engine.store.recover import recover
from tests.sim.disk import File
from tests.store.recorded import HEAD
from tests.store.sidecar_process import opened

SHIM = Path(__file__).with_name("file_calls.h")
FILES = {b"j": "journal", b"c": "checkpoints"}
TORN_PER_PLACE = 3

needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None,
    reason="the file calls are recorded on Linux, with cc",
)


class FileCall(msgspec.Struct, frozen=True):
    """One record of the log; see file_calls.h. A mark (M) has the acknowledged seq as its offset."""

    kind: bytes
    file: str
    offset: int
    data: bytes


class RecordedLife(msgspec.Struct):
    calls: list[FileCall]
    digests: dict[int, str]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> RecordedLife:
    folder = tmp_path_factory.mktemp("recorded")
    shim, log = folder / "file_calls.so", folder / "log"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-x", "c", "-o", shim, SHIM, "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.recorded", folder / "data"],
        env={**os.environ, "LD_PRELOAD": str(shim), "FILE_CALLS_LOG": str(log)},
        check=True,
        capture_output=True,
        text=True,
    )
    digests = {int(seq): digest for seq, digest in json.loads(done.stdout).items()}
    return RecordedLife(list(read(log.read_bytes())), digests)


def read(log: bytes) -> Iterator[FileCall]:
    at = 0
    while at < len(log):
        kind, file, offset, length = HEAD.unpack_from(log, at)
        at += HEAD.size
        yield FileCall(kind, FILES.get(file, ""), offset, log[at : at + length])
        at += length


class FileImages:
    """The files as the calls make them, one call after the other."""

    def __init__(self, folder: Path) -> None:
        self.files = {name: File() for name in FILES.values()}
        self.acknowledged = 0
        self._folder = folder

    def happen(self, call: FileCall) -> None:
        if call.kind == b"M":
            self.acknowledged = call.offset
            return
        file = self.files[call.file]
        if call.kind in (b"W", b"D"):
            file.put(call.offset, call.data)
        if call.kind == b"T":
            file.sync()
            file.put(len(file.content), bytes(max(0, call.offset - len(file.content))))
        if call.kind in (b"S", b"D"):
            file.sync()

    def image(self, chance: Random | None) -> None:
        """Write the files as a kill (None) or a loss of power leaves them."""
        for name, file in self.files.items():
            left = file.copy()
            if chance is not None:
                left.lose_power(chance)
            folder = self._folder / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "data.mdb").write_bytes(left.content)

    def recovered(self) -> tuple[int, str] | str:
        """Seq and digest that a start comes to, or the code by which it is refused."""
        try:
            with opened(self._folder) as (journal, checkpoints):
                kernel = Kernel(key=journal.key)
                recover(kernel, journal, checkpoints)
        except StoreError as error:
            return error.code
        return kernel.seq, kernel.digest().hex()


@needs_compiler
def test_each_place_a_crash_can_strike_leaves_one_of_two_neighbours(
    life: RecordedLife, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "sync_names", lambda path: None)
    places, chance, images = FileImages(tmp_path), Random(1), 0
    digests = {0: Kernel().digest().hex(), **life.digests}
    for number, call in enumerate(life.calls):
        variants: list[Random | None] = [chance] * TORN_PER_PLACE if call.kind in (b"W", b"D") else []
        if call.kind == b"D":  # it may strike within the write
            places.files[call.file].put(call.offset, call.data)
            images += check(places, variants, digests, f"within call {number} ({call.kind!r} {call.file})")
            places.files[call.file].unsynced.pop()
            variants = []
        places.happen(call)
        images += check(
            places, [None, *variants], digests, f"after call {number} ({call.kind!r} {call.file})"
        )
    assert images > 400
    assert places.acknowledged == max(life.digests)


def check(places: FileImages, variants: list[Random | None], digests: dict[int, str], where: str) -> int:
    for chance in variants:
        places.image(chance)
        found = places.recovered()
        if found == "unusable" and not places.acknowledged:
            continue  # a new file that is torn: nothing was acknowledged, nothing is lost
        assert not isinstance(found, str), f"{where}: {found}"
        seq, digest = found
        assert digest == digests[seq] or not seq, where
        assert places.acknowledged <= seq <= places.acknowledged + 1, where
    return len(variants)


@needs_compiler
def test_a_commit_is_data_then_sync_then_a_durable_meta_page(life: RecordedLife) -> None:
    """The images rely on this order, and `skip the sync` would break it."""
    kinds = Counter(call.kind for call in life.calls)
    assert kinds[b"S"] >= kinds[b"D"] - 2 > 30
    assert kinds[b"Y"] == 0
    for name in FILES.values():
        unsynced = 0
        for call in life.calls:
            if call.file == name and call.kind == b"D":
                assert unsynced == 0, "a meta page is written when what it refers to is durable"
            elif call.file == name:
                unsynced = 0 if call.kind == b"S" else unsynced + (call.kind == b"W")
