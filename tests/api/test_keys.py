"""Keys: what is kept of them, who is told what, and that nobody is let in by one that is gone."""

from __future__ import annotations

import base64
import hmac
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio

from api import keyfile
from api.client.http import key_of
from api.intake import connections
from api.intake.http_listener import Intake
from api.intake.stream_listener import Stream
from api.keyfile import FILE, KeyFileError, add_key, read_keys, remove_key, watch
from api.keys import Key, Keys, Scope, new_secret, sha256_of
from engine.limits import KEYS_MAX
from tests.api.command_line import ROOT, answer, tidemill
from tests.api.fakes import FakeEngine
from tests.api.intake_client import request
from tests.api.intake_client import serving as intake_serving


def key(name: str, *scopes: Scope, secret: str = "") -> Key:
    return Key(name, scopes, sha256_of((secret or name).encode()))


def create(data: Path, name: str, *scopes: str) -> str:
    """A key made on the command line; its secret."""
    options = [part for scope in scopes for part in ("--scope", scope)]
    made = tidemill("keys", "create", name, *options, "--data", data)
    assert made.exit_code == 0, made.stderr
    return made.stdout.strip()


def test_a_secret_is_long_random_and_recognisable() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        assert secret.startswith("tm_")
        assert len(base64.urlsafe_b64decode(secret[3:] + "=")) == 32


def test_a_key_is_found_by_its_secret_and_by_nothing_near_it() -> None:
    held = Keys(["configured"], [key("a", "read"), key("b", "events", "flows")])
    assert (held.find(b"a"), held.find(b"b")) == (key("a", "read"), key("b", "events", "flows"))
    for near in (b"", b"A", b"a ", b"aa", b"\xff", sha256_of(b"a").encode(), b"write_keys"):
        assert held.find(near) is None
    assert held.allows(b"configured", "events")
    assert held.allows(b"b", "flows")
    assert not held.allows(b"a", "flows")


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def compare(given: str, kept: str) -> bool:
        compared.append(kept)
        return given == kept

    monkeypatch.setattr(hmac, "compare_digest", compare)
    held = Keys(["w"], [key("a", "read"), key("b", "read")])
    for secret in (b"w", b"a", b"b", b"none"):
        compared.clear()
        held.find(secret)
        assert len(compared) == 3, "the first match ends nothing"


@pytest.mark.parametrize(
    ("held", "management", "events"),
    [
        (Keys(), False, False),
        (Keys([""]), False, False),
        (Keys(["w"]), False, True),
        (Keys([], [key("a", "read")]), True, False),
        (Keys([], [key("a", "events")]), True, True),
    ],
)
def test_which_doors_ask_for_a_key(held: Keys, management: bool, events: bool) -> None:
    assert (held.guard_management, held.guard_events) == (management, events)


def test_the_file_is_its_owners_alone_and_holds_no_secret(tmp_path: Path) -> None:
    data = tmp_path / "data"
    old = os.umask(0)
    try:
        secret = create(data, "ops", "flows", "read")
    finally:
        os.umask(old)
    file = data / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert [one.name for one in data.iterdir()] == [FILE]
    text = file.read_text()
    assert secret not in text
    assert secret[3:] not in text
    [kept] = read_keys(data)
    assert (kept.name, kept.scopes, kept.sha256) == ("ops", ("flows", "read"), sha256_of(secret.encode()))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_engine(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1234)
    create(tmp_path, "ops", "read")
    assert (tmp_path / FILE).stat().st_uid == 1234


def test_keys_are_listed_without_secrets_and_revoked(tmp_path: Path) -> None:
    secrets = [create(tmp_path, "one", "read"), create(tmp_path, "two", "outbox", "contacts")]
    listed = tidemill("keys", "list", "--data", tmp_path)
    assert "contacts, outbox" in listed.stdout
    rows = answer(tidemill("keys", "list", "--data", tmp_path, "--json"))
    assert isinstance(rows, dict)
    assert [(row["name"], row["scopes"]) for row in rows["keys"]] == [
        ("one", ["read"]),
        ("two", ["contacts", "outbox"]),
    ]
    assert not any(secret in listed.stdout + str(rows) for secret in secrets)
    revoked = tidemill("keys", "revoke", "one", "--data", tmp_path)
    assert (revoked.exit_code, revoked.stdout) == (0, "one is revoked.\n")
    assert [one.name for one in read_keys(tmp_path)] == ["two"]
    assert "last key" in tidemill("keys", "revoke", "two", "--data", tmp_path).stderr


def test_who_creates_a_key_is_told_what_changes(tmp_path: Path) -> None:
    first = tidemill("keys", "create", "a", "--scope", "read", "--data", tmp_path)
    assert "management API asks every TCP peer" in first.stderr
    assert "intake" not in first.stderr
    second = tidemill("keys", "create", "b", "--scope", "events", "--data", tmp_path)
    assert "intake and stream ask for a key" in second.stderr
    assert "management" not in second.stderr
    made = answer(tidemill("keys", "create", "c", "--scope", "read", "--data", tmp_path, "--json"))
    assert isinstance(made, dict)
    assert made["secret"].startswith("tm_")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("create", "a"), 2, "--scope"),
        (("create", "a", "--scope", "everything"), 2, "everything"),
        (("create", "Not A Name", "--scope", "read"), 2, "no name"),
        (("create", "taken", "--scope", "read"), 1, "already"),
        (("revoke", "nobody"), 1, "There is no key nobody. There are: taken."),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    create(tmp_path, "taken", "read")
    done = tidemill("keys", *arguments, "--data", tmp_path)
    assert done.exit_code == code
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_two_commands_at_once_lose_no_key(tmp_path: Path) -> None:
    names = [f"k{n}" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add_key(tmp_path, key(name, "read")), names))
    assert sorted(one.name for one in read_keys(tmp_path)) == sorted(names)


def test_there_are_only_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEYS_MAX > 3
    monkeypatch.setattr(keyfile, "KEYS_MAX", 3)
    for n in range(3):
        add_key(tmp_path, key(f"k{n}", "read"))
    with pytest.raises(KeyFileError, match="3 keys already"):
        add_key(tmp_path, key("k3", "read"))


def test_a_write_that_fails_leaves_the_keys_there_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_key(tmp_path, key("a", "read"))
    before = (tmp_path / FILE).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        remove_key(tmp_path, "a")
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (b'{"keys":[]}', 0o640, "others than its owner"),
        (b'{"keys":[]}', 0o604, "others than its owner"),
        (b"{", 0o600, "not a file of keys"),
        (b"\xff", 0o600, "not a file of keys"),
        (b'{"keys":[{"name":"a","scopes":["everything"],"sha256":""}]}', 0o600, "not a file of keys"),
        (b'{"keys":[{"name":"a","scopes":["read"],"sha256":"","admin":true}]}', 0o600, "not a file of keys"),
        (b" " * 2_000_000, 0o600, "too large"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, content: bytes, mode: int, says: str) -> None:
    (tmp_path / FILE).write_bytes(content)
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(KeyFileError, match=says):
        read_keys(tmp_path)


def test_a_running_engine_takes_what_changes_and_keeps_what_it_has_when_the_file_is_damaged(
    tmp_path: Path,
) -> None:
    held = Keys()
    told: list[bool] = []
    held.on_change.append(lambda: told.append(held.guard_management))

    async def until(count: int) -> None:
        with trio.fail_after(5):
            for _ in iter(lambda: len(told) < count, False):
                await trio.sleep(0.005)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: watch(tmp_path, held, every_s=0.01))
            await until(1)
            add_key(tmp_path, key("a", "flows"))
            await until(2)
            assert held.allows(b"a", "flows")
            add_key(tmp_path, key("b", "read"))
            await until(3)
            (tmp_path / FILE).write_bytes(b"damaged")
            await trio.sleep(0.05)
            assert held.allows(b"a", "flows")
            (tmp_path / FILE).unlink()
            await until(4)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert told == [False, True, True, False]


BODY = b'{"userId":"a","event":"A"}'


def basic(secret: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{secret}:".encode()).decode()


def test_a_key_for_events_is_a_write_key_until_it_is_revoked() -> None:
    held = Keys([], [key("app", "events", secret="s3"), key("ops", "flows", "read", secret="no")])

    async def main() -> None:
        async with intake_serving(FakeEngine(), keys=held) as (_, connect):
            client = await connect()
            for _ in range(3):  # the head is familiar from the second time on
                assert (await client.post("/v1/track", BODY, basic("s3")))[0] == 200
            assert (await client.post("/v1/track", BODY, "Authorization: Bearer s3"))[0] == 200
            for wrong in (basic("no"), "Authorization: Bearer no", basic("")):
                status, found = await client.post("/v1/track", BODY, wrong)
                assert (status, found["code"]) == (401, "invalid_write_key")
            in_body = b'{"userId":"a","event":"A","writeKey":"s3"}'
            assert (await client.post("/v1/track", in_body))[0] == 200
            held.replace([key("other", "events")])
            assert (await client.post("/v1/track", BODY, basic("s3")))[0] == 401
            assert (await client.post("/v1/track", BODY, basic("other")))[0] == 200

    trio.run(main)


def test_the_first_key_for_events_closes_connections_that_were_open_without() -> None:
    held = Keys()

    async def main() -> None:
        async with intake_serving(FakeEngine(), keys=held) as (_, connect):
            client = await connect()
            for _ in range(2):
                assert (await client.post("/v1/track", BODY))[0] == 200
            held.replace([key("app", "events")])
            assert (await client.post("/v1/track", BODY))[0] == 401

    trio.run(main)


@pytest.mark.parametrize(
    ("before", "greeting", "after", "stays"),
    [
        ([key("a", "events")], b'{"writeKey":"a"}\n', [key("a", "events"), key("b", "read")], True),
        ([key("a", "events"), key("b", "events")], b'{"writeKey":"a"}\n', [key("b", "events")], False),
        ([key("a", "events")], b'{"writeKey":"a"}\n', [key("a", "read"), key("b", "events")], False),
        ([], b"", [key("a", "events")], False),
        ([key("a", "events")], b'{"writeKey":"a"}\n', [], True),  # it is local
    ],
)
def test_a_stream_ends_with_the_key_it_was_let_in_by(
    before: list[Key], greeting: bytes, after: list[Key], stays: bool
) -> None:
    held = Keys([], before)
    line = b'{"type":"track","userId":"a","event":"A"}\n'

    async def main() -> None:
        stream = Stream(FakeEngine().enqueue, keys=held)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.serve, listeners)
            peer = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
            async with peer:
                await peer.send_all(greeting + line)
                assert await peer.receive_some() == b'{"ack":1}\n'
                held.replace(after)
                with trio.fail_after(5):
                    if stays:
                        await peer.send_all(line)
                        assert await peer.receive_some() == b'{"ack":2}\n'
                    else:
                        assert await peer.receive_some() == b""
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_stream_of_another_machine_ends_when_no_key_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "is_local", lambda _: False)
    held = Keys([], [key("a", "events")])

    async def main() -> None:
        stream = Stream(FakeEngine().enqueue, keys=held)
        intake = Intake(FakeEngine().enqueue, keys=held)
        async with trio.open_nursery() as nursery:
            for door in (stream, intake):
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                nursery.start_soon(door.serve, listeners)
                peer = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
                async with peer:
                    held.replace([key("a", "events")])  # whoever is being asked for a key is not cut off
                    if door is stream:
                        await peer.send_all(b'{"writeKey":"a"}\n{"type":"track","userId":"a","event":"A"}\n')
                        assert await peer.receive_some() == b'{"ack":1}\n'
                        held.replace([])
                        assert await peer.receive_some() == b""
                    else:
                        held.replace([])
                        await peer.send_all(request("/v1/track", BODY))
                        assert b" 403 " in await peer.receive_some()
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_no_key_is_seen_in_the_list_of_processes(tmp_path: Path) -> None:
    """No option takes a key: it comes from a file or the environment."""
    for command in (("flows", "list"), ("import",), ("contacts", "show")):
        text = tidemill(*command, "--help").stdout
        assert "--key-from FILE" in text
        assert "--key " not in text


def test_the_key_is_shown_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("tm_abc\nsecond line\n")
    assert key_of(file, {"TIDEMILL_KEY": "other"}) == "tm_abc"
    assert key_of(None, {"TIDEMILL_KEY": " tm_x\n"}) == "tm_x"
    assert key_of(None, {}) == ""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from api.cli.main import main; main()",
            "flows",
            "list",
            "--key-from",
            "absent",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "key cannot be read from absent" in done.stderr


def test_a_key_with_odd_characters_is_refused_without_being_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_KEY", "se\ncret")
    done = tidemill("flows", "list", "--http", "127.0.0.1:1")
    assert done.exit_code == 1
    assert "none of ours" in done.stderr
    assert "cret" not in done.stderr
