"""The command line against a running engine: serve and stop, flows, contacts, import, all over real sockets."""

from __future__ import annotations

import gzip
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.api.command_line import ANYWHERE, ROOT, TIDEMILL, EngineProcess, answer, serving, tidemill

FLOW = """\
id: hello
name: Hello
nodes:
  start: {kind: launch, trigger: {event: Signed Up}, next: greet}
  greet:
    kind: step
    actions: [{send: email, message: {subject: "Hello, {{ customer.first_name }}", text: Hi}}]
    next: wait
  wait: {kind: wait, for: 30d, next: thank}
  thank: {kind: step, actions: [{segment: {add: [thanked]}}]}
"""
EVENTS = [
    {
        "type": "identify",
        "userId": "ann",
        "messageId": "1",
        "traits": {"first_name": "Ann", "email": "a@b.c"},
    },
    {"type": "track", "userId": "ann", "messageId": "2", "event": "Signed Up"},
    {"type": "track", "userId": "bob", "messageId": "3", "event": "Signed Up"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shop")
    (made / "hello.yaml").write_text(FLOW)
    (made / "broken.yaml").write_text(
        FLOW.replace("id: hello", "id: broken").replace("next: wait", "next: wat")
    )
    (made / "events.ndjson").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in EVENTS))
    return made


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[EngineProcess]:
    with serving("--data", folder / "data", *ANYWHERE, folder=folder) as running:
        yield running
        code, errors = running.stop()
        assert code == 0, errors


def entered(engine: EngineProcess, flow: str) -> int:
    """Return the number of runs that entered at the flow's launch node."""
    found = answer(tidemill("flows", "stats", flow, "--json", "--http", engine.http))
    assert isinstance(found, dict)
    return int(found["nodes"]["start"]["entered"])


def test_a_flow_is_created_launched_fed_and_asked_about(engine: EngineProcess, folder: Path) -> None:
    at = ("--http", engine.http)
    created = tidemill("flows", "create", folder / "hello.yaml", *at)
    assert created.stdout == "hello is ready. Launch it with: tidemill flows launch hello\n", created.stderr
    assert tidemill("flows", "launch", "hello", *at).stdout == "hello is active, version 1.\n"

    sent = tidemill("import", folder / "events.ndjson", "--stream", engine.stream)
    assert sent.exit_code == 0, sent.stderr
    assert re.search(r"durable +3\n", sent.stdout)

    (listed,) = answer(tidemill("flows", "list", "--json", *at))
    assert (listed["id"], listed["status"], listed["waiting"], listed["entered"]) == ("hello", "active", 2, 2)
    assert re.search(r"hello +Hello +main +active +1 +2 +2", tidemill("flows", "list", *at).stdout)
    assert re.search(r"status +active", tidemill("flows", "show", "hello", *at).stdout)

    stats = tidemill("flows", "stats", "hello", *at).stdout
    assert re.search(r"start +on Signed Up +2 +entered 2", stats)
    assert re.search(r"greet +send email +2 +executed 1, not sent 1", stats)
    assert re.search(r"wait +wait 30d +2 +2", stats)

    shown = tidemill("contacts", "show", "ann", *at).stdout
    assert re.search(r"trait first_name +Ann", shown)
    assert re.search(r"hello +1 +wait +waiting", shown)
    told = tidemill("contacts", "why", "ann", "hello", *at)
    assert told.exit_code == 0, told.stderr
    why = answer(tidemill("contacts", "why", "ann", "hello", "--json", *at))
    assert why["in_flow"] is True
    assert why["detail"] in " ".join(told.stdout.split())


def test_a_flow_with_problems_is_kept_as_a_draft_and_says_them(engine: EngineProcess, folder: Path) -> None:
    result = tidemill("flows", "create", folder / "broken.yaml", "--launch", "--http", engine.http)
    assert result.exit_code == 1
    assert re.search(r"^greet: .*wat", result.stderr)
    assert "Mend them with `tidemill check" in result.stderr
    launched = tidemill("flows", "launch", "broken", "--http", engine.http)
    assert launched.exit_code == 1
    assert "wat" in launched.stderr


def test_a_flow_is_paused_resumed_duplicated_and_has_versions(engine: EngineProcess, folder: Path) -> None:
    at = ("--http", engine.http)
    path = folder / "second.yaml"
    path.write_text(FLOW.replace("id: hello", "id: second"))
    assert tidemill("flows", "create", path, "--launch", *at).stdout == "second is active, version 1.\n"
    assert tidemill("flows", "pause", "second", *at).stdout.startswith("second is paused")
    assert tidemill("flows", "resume", "second", *at).stdout == "second is active.\n"
    copy = tidemill("flows", "duplicate", "second", "--id", "third", "--name", "Third", *at)
    assert copy.stdout == "third is ready.\n", copy.stderr
    assert re.search(r"^ +1 +\d{4}-", tidemill("flows", "versions", "second", *at).stdout, re.MULTILINE)
    missing = tidemill("flows", "show", "nowhere", *at)
    assert missing.exit_code == 1
    assert missing.stderr.count("\n") == 1


def test_lines_that_are_refused_are_named_and_the_rest_is_in(engine: EngineProcess, folder: Path) -> None:
    path = folder / "mixed.ndjson.gz"
    good = msgspec.json.encode({"type": "track", "userId": "eve", "messageId": "9", "event": "Seen"})
    path.write_bytes(gzip.compress(b"\n".join([good, b"nonsense", b"{}", good])))
    result = tidemill("import", path, "--stream", engine.stream)
    assert result.exit_code == 1
    assert re.search(r"durable +2\n *refused +2\n", result.stdout)
    assert re.search(r"^line 1: not_json: ", result.stderr, re.MULTILINE)
    account = msgspec.json.decode(tidemill("import", path, "--json", "--stream", engine.stream).stdout)
    assert (account["durable"], account["rejected"], account["connections"]) == (2, 2, 1)


def test_after_a_clean_stop_everything_is_there_again(folder: Path) -> None:
    arguments = ("--data", folder / "again", *ANYWHERE)
    with serving(*arguments, folder=folder) as first:
        tidemill("flows", "create", folder / "hello.yaml", "--launch", "--http", first.http)
        tidemill("import", folder / "events.ndjson", "--stream", first.stream)
        assert first.stop(signal.SIGINT)[0] == 0
    with serving(*arguments, folder=folder) as second:
        assert entered(second, "hello") == 2
        tidemill("import", folder / "events.ndjson", "--stream", second.stream)
        assert entered(second, "hello") == 2, "the same messages again change nothing"


def test_killed_and_started_again_nothing_acknowledged_is_missing(folder: Path) -> None:
    arguments = ("--data", folder / "killed", *ANYWHERE)
    with serving(*arguments, folder=folder) as first:
        tidemill("flows", "create", folder / "hello.yaml", "--launch", "--http", first.http)
        tidemill("import", folder / "events.ndjson", "--stream", first.stream)
        assert first.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    with serving(*arguments, folder=folder) as second:
        assert entered(second, "hello") == 2


def test_everything_works_over_unix_sockets_with_settings_from_variables_and_file(folder: Path) -> None:
    (folder / "tidemill.toml").write_text('http = ["unix:http.sock"]\nintake = ["unix:intake.sock"]\n')
    try:
        with serving(folder=folder, TIDEMILL_DATA="unix-data", TIDEMILL_STREAM="unix:stream.sock") as engine:
            assert engine.addresses["http"] == "unix:http.sock"
            assert answer(tidemill("flows", "list", "--json", "--http", f"unix:{folder}/http.sock")) == []
            sent = tidemill("import", folder / "events.ndjson", "--stream", f"unix:{folder}/stream.sock")
            assert sent.exit_code == 0, sent.stderr
            assert engine.stop()[0] == 0
    finally:
        (folder / "tidemill.toml").unlink()
    assert (folder / "unix-data").is_dir()
    assert not (folder / "http.sock").exists()


def test_a_second_engine_on_the_same_directory_is_refused_in_one_line(
    engine: EngineProcess, folder: Path
) -> None:
    with (
        pytest.raises(AssertionError, match="tidemill: ") as caught,
        serving("--data", folder / "data", *ANYWHERE, folder=folder),
    ):
        raise RuntimeError("it started")
    assert "Traceback" not in str(caught.value)


def test_the_schema_of_the_data_directory_is_taken_at_the_start(folder: Path) -> None:
    data = folder / "with-schema"
    data.mkdir(mode=0o700)
    (data / "schema.yaml").write_text("traits: {first_name: string}\n")
    path = folder / "misspelt.yaml"
    path.write_text(FLOW.replace("next: greet}", "where: customer.frist_name == 'Ann', next: greet}"))
    with serving("--data", data, *ANYWHERE, folder=folder) as engine:
        result = tidemill("flows", "create", path, "--http", engine.http)
        assert "frist_name" in result.stderr


def test_a_log_line_tells_each_message(folder: Path) -> None:
    with serving("--data", folder / "told", *ANYWHERE, folder=folder) as engine:
        tidemill("flows", "create", folder / "hello.yaml", "--launch", "--http", engine.http)
        tidemill("import", folder / "events.ndjson", "--stream", engine.stream)
        deadline = time.monotonic() + 5
        while answer(tidemill("contacts", "show", "ann", "--json", "--http", engine.http)) is None:
            assert time.monotonic() < deadline
        _, errors = engine.stop()
    assert 'email to a@b.c: {"subject":"Hello, Ann","text":"Hi"}' in errors


def test_a_refusal_names_commands_and_not_paths(engine: EngineProcess) -> None:
    refused = tidemill("flows", "show", "absent", "--http", engine.http)
    assert refused.exit_code == 1
    assert refused.stderr == "tidemill: There is no flow 'absent'. List them with `tidemill flows list`.\n"


def test_lines_come_from_standard_input_too_packed_or_not(engine: EngineProcess) -> None:
    lines = b"".join(
        msgspec.json.encode({"type": "track", "userId": "pipe", "messageId": f"pipe-{n}", "event": "Piped"})
        + b"\n"
        for n in range(3)
    )
    before = entered_events(engine)
    result = tidemill("import", "-", "--json", "--stream", engine.stream, stdin=lines + b"nonsense")
    account = msgspec.json.decode(result.stdout)
    assert (account["durable"], account["rejected"], result.exit_code) == (3, 1, 1)
    result = tidemill("import", "-", "--stream", engine.stream, stdin=gzip.compress(lines))
    assert result.exit_code == 0, result.stderr
    assert re.search(r"durable +3\n *refused +0\n", result.stdout)
    assert entered_events(engine) == before + 3, "those of the second time had been seen"


def entered_events(engine: EngineProcess) -> int:
    """Return how many events the engine has counted."""
    with urllib.request.urlopen(f"http://{engine.http}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return int(re.search(r"^tidemill_events_total (\d+)", text, re.MULTILINE)[1])  # type: ignore[index]


def test_lines_that_are_still_being_written_arrive_one_by_one(engine: EngineProcess) -> None:
    """A program that writes into the import need not end before its lines are durable."""
    before = entered_events(engine)
    with subprocess.Popen(
        [*TIDEMILL, "import", "-", "--stream", engine.stream],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    ) as sender:
        assert sender.stdin is not None
        for n in range(3):
            line = {"type": "track", "userId": "live", "messageId": f"live-{n}", "event": "Live"}
            sender.stdin.write(msgspec.json.encode(line) + b"\n")
            sender.stdin.flush()
            deadline = time.monotonic() + 20
            while entered_events(engine) < before + n + 1:
                assert time.monotonic() < deadline, "the line is not in"
                time.sleep(0.02)
        sender.stdin.close()
        assert sender.wait(20) == 0
