"""`tidemill backup`, `compact`, `verify`, and the restore as the README tells it, by those who run an engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import msgspec
import pytest

from engine.store.verify import Verified
from tests.api.command_line import ANYWHERE, ROOT, TIDEMILL, EngineProcess, serving

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
COMMAND_S = 60


class TerminalShop:
    """A data directory, the engine on it, and somebody at a terminal, with the key if there are keys."""

    def __init__(self, folder: Path, *, keyed: bool) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.key = ""
        if keyed:
            made = self.run(
                "keys", "create", "ops", *self.scopes("store", "contacts", "events", "flows"), key=""
            )
            (self.key,) = [word for word in made.stdout.split() if word.startswith("tm_")]

    def scopes(self, *names: str) -> list[str]:
        given = [word for name in names for word in ("--scope", name)]
        return [*given, "--data", str(self.data)]

    def run(self, *arguments: object, key: str | None = None) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TIDEMILL_KEY": self.key if key is None else key}
        return subprocess.run(
            [*TIDEMILL, *map(str, arguments)],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )

    def done(self, *arguments: object) -> str:
        """Return the output of a command that succeeded and wrote no error."""
        ran = self.run(*arguments)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    def refused(self, *arguments: object, key: str | None = None) -> str:
        """The one line of a command that did not go well."""
        ran = self.run(*arguments, key=key)
        assert (ran.returncode, ran.stdout) == (1, ""), ran
        assert ran.stderr.startswith("tidemill: "), ran.stderr
        assert ran.stderr.count("\n") == 1, ran.stderr
        return ran.stderr

    def send(self, engine: EngineProcess, *contacts: str) -> None:
        lines = [
            {"type": "track", "userId": one, "event": "Seen", "messageId": f"seen-{one}"} for one in contacts
        ]
        path = self.folder / "events.ndjson"
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        assert "durable" in self.done("import", path, "--stream", engine.stream)

    def delete(self, engine: EngineProcess, contact: str) -> None:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with closing(HTTPConnection(engine.http, timeout=COMMAND_S)) as connection:
            connection.request("DELETE", f"/v1/contacts/{contact}", headers=headers)
            assert connection.getresponse().status == 204

    def verified(self, data: Path) -> Verified:
        found = msgspec.json.decode(self.done("verify", data, "--json"), type=Verified)
        assert found.findings == []
        return found

    def knows(self, engine: EngineProcess, contact: str) -> bool:
        return self.run("contacts", "show", contact, "--http", engine.http).returncode == 0


@pytest.fixture(params=[False, True], ids=["without keys", "with keys"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> TerminalShop:
    return TerminalShop(tmp_path, keyed=request.param)


def serve(shop: TerminalShop) -> Iterator[EngineProcess]:
    with serving("--data", shop.data, *ANYWHERE, folder=shop.folder) as engine:
        yield engine
        code, errors = engine.stop()
        assert code == 0, errors
        assert "Traceback" not in errors


@pytest.fixture
def engine(shop: TerminalShop) -> Iterator[EngineProcess]:
    yield from serve(shop)


def test_a_backup_is_taken_verified_and_restored_as_the_readme_says(shop: TerminalShop) -> None:
    backup = shop.folder / "monday"
    for engine in serve(shop):
        shop.send(engine, "ann", "bob")
        told = shop.done("backup", backup, "--http", engine.http)
        assert told.startswith(f"{backup} holds the state after batch ")
        shop.send(engine, "cleo")
    whole = shop.verified(backup)
    assert f"after batch {whole.seq}." in told
    assert whole.contacts == 2
    assert shop.verified(shop.data).contacts == 3

    aside = shop.data.rename(shop.folder / "aside")
    subprocess.run(["cp", "-r", backup, shop.data], check=True)
    shop.data.chmod(0o700)
    if shop.key:
        shutil.copy2(aside / "keys.json", shop.data)
    for engine in serve(shop):
        assert [shop.knows(engine, one) for one in ("ann", "bob", "cleo")] == [True, True, False]
    restored = shop.verified(shop.data)
    assert (restored.seq, restored.digest) == (whole.seq, whole.digest)
    for engine in serve(shop):
        shop.send(engine, "ann", "bob", "cleo")
    assert shop.verified(shop.data).contacts == 3


def test_compaction_leaves_nothing_of_who_was_deleted_and_the_state_as_it_was(shop: TerminalShop) -> None:
    contact = "erica-of-xyzzy"
    before, after = shop.folder / "before", shop.folder / "after"
    for engine in serve(shop):
        shop.send(engine, "ann", contact)
        shop.delete(engine, contact)
        shop.done("backup", before, "--http", engine.http)
        assert shop.done("compact", "--http", engine.http).startswith("Nothing is left")
        shop.done("backup", after, "--http", engine.http)
        assert all(contact.encode() not in path.read_bytes() for path in files(shop.data))
    assert any(contact.encode() in path.read_bytes() for path in files(before))
    assert all(contact.encode() not in path.read_bytes() for path in files(after))
    assert shop.verified(before).digest == shop.verified(after).digest == shop.verified(shop.data).digest


def files(data: Path) -> list[Path]:
    return list(data.rglob("data.mdb"))


def test_what_cannot_be_backed_up_is_said_in_one_line_and_the_engine_goes_on(
    shop: TerminalShop, engine: EngineProcess
) -> None:
    at = ("--http", engine.http)
    taken, none, closed = shop.folder / "taken", shop.folder / "none" / "copy", shop.folder / "closed"
    taken.mkdir()
    dangling = shop.folder / "dangling"
    dangling.symlink_to(shop.folder / "nowhere")
    for folder in (taken, none, dangling):
        assert f"{folder} is none." in shop.refused("backup", folder, *at)
    assert "cannot be made" in shop.refused("backup", "/proc/tidemill-copy", *at)
    closed.mkdir(mode=0o500)
    if os.geteuid() != 0:
        assert "Permission denied" in shop.refused("backup", closed / "copy", *at)
    assert list(shop.folder.rglob("*.partial")) == []
    assert "No engine answers" in shop.refused("backup", shop.folder / "copy", "--http", "127.0.0.1:1")
    assert "No engine answers" in shop.refused("compact", "--http", "127.0.0.1:1")
    usage = shop.run("backup")
    assert (usage.returncode, usage.stderr.count("\n")) == (2, 1)
    shop.send(engine, "still-here")
    assert shop.knows(engine, "still-here")


def test_a_store_is_copied_and_compacted_with_a_key_for_it_only(tmp_path: Path) -> None:
    shop = TerminalShop(tmp_path, keyed=True)
    other = shop.run("keys", "create", "app", *shop.scopes("events"))
    (weak,) = [word for word in other.stdout.split() if word.startswith("tm_")]
    for engine in serve(shop):
        for key in ("", weak):
            for command in (("backup", shop.folder / "copy"), ("compact",)):
                assert "key" in shop.refused(*command, "--http", engine.http, key=key).lower()
    assert not (shop.folder / "copy").exists()


def test_verify_says_what_it_cannot_read(shop: TerminalShop, engine: EngineProcess) -> None:
    running = shop.run("verify", shop.data)
    assert running.returncode == 1
    assert f"in use by process {engine.process.pid}" in running.stdout + running.stderr
    nothing = shop.run("verify", shop.folder / "nothing")
    assert nothing.returncode == 1
    assert not (shop.folder / "nothing").exists()
    for told in (running, nothing):
        assert "Traceback" not in told.stderr


def can_mount() -> bool:
    """Whether a process may have a small disk of its own."""
    if shutil.which(NAMESPACE[0]) is None:
        return False
    tried = subprocess.run(
        [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/tmp"], capture_output=True, check=False
    )
    return tried.returncode == 0


needs_a_disk = pytest.mark.skipif(not can_mount(), reason="no file system may be mounted here")


@needs_a_disk
def test_a_full_disk_at_the_target_is_named_and_the_engine_goes_on(tmp_path: Path) -> None:
    shop = TerminalShop(tmp_path, keyed=False)
    small = tmp_path / "small"
    small.mkdir()
    mounted = f'mount -t tmpfs -o size=64k none {small} && exec "$@"'
    launcher = [*NAMESPACE, "sh", "-c", mounted, "sh"]
    with serving("--data", shop.data, *ANYWHERE, folder=tmp_path, launcher=launcher) as engine:
        shop.send(engine, *(f"c{n}-{os.urandom(100).hex()}" for n in range(2_000)))
        told = shop.refused("backup", small / "copy", "--http", engine.http)
        assert f"There is no room for the copy in {small}/copy.partial" in told
        shop.send(engine, "still-here")
        assert shop.knows(engine, "still-here")
        began = time.monotonic()
        shop.done("backup", tmp_path / "elsewhere", "--http", engine.http)
        assert time.monotonic() - began < COMMAND_S
        code, errors = engine.stop()
        assert code == 0, errors
    assert shop.verified(tmp_path / "elsewhere").contacts == 2_001


@needs_a_disk
def test_a_real_disk_that_is_full_stops_intake_and_not_the_engine(tmp_path: Path) -> None:
    shop = TerminalShop(tmp_path, keyed=False)
    shop.data.mkdir()
    mounted = f'mount -t tmpfs -o size=2m none {shop.data} && exec "$@"'
    launcher = [*NAMESPACE, "sh", "-c", mounted, "sh"]
    with serving("--data", shop.data, *ANYWHERE, folder=tmp_path, launcher=launcher) as engine:
        filler = Path(f"/proc/{engine.process.pid}/root{shop.data}/filler")
        shop.send(engine, "first")
        filler.write_bytes(bytes(1_200_000))
        sent, statuses = 0, set[int]()
        while 503 not in statuses and sent < 200:
            statuses.add(track(engine, f"c{sent}", os.urandom(12_000).hex()))
            sent += 1
        assert statuses == {200, 0, 503}
        filler.unlink()
        began = time.monotonic()
        while track(engine, f"c{sent}", "") != 200:
            assert time.monotonic() - began < COMMAND_S
            time.sleep(0.2)
        assert shop.knows(engine, f"c{sent - 2}"), "what waited is there"
        code, errors = engine.stop()
        assert code == 0, errors


def track(engine: EngineProcess, contact: str, padding: str) -> int:
    """The status that one event gets; 0: it is in the batch that waits for room."""
    line = {"userId": contact, "event": "Seen", "messageId": contact, "properties": {"padding": padding}}
    with closing(HTTPConnection(engine.http, timeout=3)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/track", msgspec.json.encode(line), headers)
        try:
            return connection.getresponse().status
        except TimeoutError:
            return 0
