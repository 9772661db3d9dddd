"""A writer of the golden stores in the present formats: `python -m tests.golden.make`.

Run it once after a change of a format or of the kernel version. `stopped` has a base and a delta, `crashed` a tail of
the journal as well; `digests.json` has the digest of each state. Stores of former formats stay, and the test says
whether they open.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

import msgspec
import pytest

from engine.model import KERNEL_VERSION
from engine.service import running
from engine.store import checkpoint, frame, journal
from engine.store.verify import verify
from tests.store.helpers import run
from tests.store.live_store import at_rest, crash, crashing
from tests.store.secret_contact import fill, settings

FOLDER = Path(__file__).parent
DIGESTS = FOLDER / "digests.json"
NAMES = ("stopped", "crashed")


def name_of(store: str) -> str:
    """Return the name of a store together with the formats that it is written in."""
    formats = (journal.FORMAT, frame.FORMAT, checkpoint.FORMAT, KERNEL_VERSION)
    return f"{store}-journal{formats[0]}-frame{formats[1]}-checkpoint{formats[2]}-kernel{formats[3]}"


def write(data: Path, store: str) -> str:
    """Write one of NAMES into `data`. The digest of its state."""

    async def stopped() -> None:
        async with running(settings(data)) as service:
            await fill(service)

    async def crashed() -> None:
        async with running(settings(data)) as service:
            await fill(service)
            await at_rest(service)
            await crash(service, patch)

    if store == "stopped":
        run(stopped)
    else:
        with pytest.MonkeyPatch.context() as patch, crashing():
            run(crashed)
    found = verify(data)
    assert found.digest is not None, found.findings
    return found.digest


def main() -> None:
    digests = msgspec.json.decode(DIGESTS.read_bytes(), type=dict[str, str]) if DIGESTS.exists() else {}
    for store in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            digests[name_of(store)] = write(data, store)
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz") as archive:
                for part in ("journal", "checkpoints"):
                    archive.add(data / part / "data.mdb", f"{part}/data.mdb", filter=nobody)
            (FOLDER / f"{name_of(store)}.tar.gz").write_bytes(packed.getvalue())
    DIGESTS.write_bytes(msgspec.json.format(msgspec.json.encode(digests, order="sorted")) + b"\n")


def nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


if __name__ == "__main__":
    main()
