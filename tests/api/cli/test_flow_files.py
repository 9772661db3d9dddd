"""Flows that live in files: exported, changed, shown as a difference, applied; over a real engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from api.cli.flow_yaml import to_yaml
from api.client.http import Client
from api.config import parse_address
from tests.api.command_line import ANYWHERE, EngineProcess, answer, serving, tidemill

FLOW = """\
# people who sign up are greeted
id: {id}
name: Hello
nodes:
  start: {{kind: launch, trigger: {{event: Signed Up}}, next: greet}}
  greet: {{kind: step, actions: [{{segment: {{add: [greeted]}}}}], next: wait}}
  wait: {{kind: wait, for: 30d, next: thank}}   # a month
  thank: {{kind: step, actions: [{{points: {{add: 5}}}}]}}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("engine")
    with serving("--data", folder / "data", *ANYWHERE, folder=folder) as running:
        yield running


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[Client]:
    """Return a client of an engine without flows; flows that a test leaves behind are deleted."""
    found = Client(parse_address(engine.http, "--http"))
    yield found
    for flow in found.rows("flows"):
        if flow["version"] is not None:
            found.post("flows", flow["id"], "pause")
        found._ask("DELETE", ("flows", flow["id"]), {})


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """Two flows, one in a directory of its own, beside files that are none."""
    made = tmp_path / "flows"
    (made / "later").mkdir(parents=True)
    (made / ".git").mkdir()
    (made / "hello.yaml").write_text(FLOW.format(id="hello"))
    (made / "later" / "other.yml").write_text(FLOW.format(id="bye"))
    (made / "hello.test.yaml").write_text("name: a test\n")
    (made / ".git" / "ours.yaml").write_text("none\n")
    (made / ".hidden.yaml").write_text("none\n")
    (made / "README.md").write_text("none\n")
    return made


def apply(engine: EngineProcess, flows: Path, *options: str, stdin: str | None = None) -> Result:
    return tidemill("flows", "apply", flows, *options, "--http", engine.http, stdin=stdin)


def export(engine: EngineProcess, flows: Path, *options: str) -> Result:
    return tidemill("flows", "export", flows, *options, "--http", engine.http)


def statuses(client: Client) -> dict[str, tuple[str, int | None, bool]]:
    return {row["id"]: (row["status"], row["version"], row["draft"]) for row in client.rows("flows")}


def send(client: Client, *contacts: str) -> None:
    for contact in contacts:
        client.post("track", body={"userId": contact, "event": "Signed Up"})


def test_new_flows_are_launched_and_a_second_time_nothing_is_done(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    result = apply(engine, flows, "--yes")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"bye: new ({flows}/later/other.yml).",
        f"hello: new ({flows}/hello.yaml).",
        "bye is active, version 1.",
        "hello is active, version 1.",
    ]
    assert statuses(client) == {"bye": ("active", 1, False), "hello": ("active", 1, False)}
    again = apply(engine, flows)
    assert (again.exit_code, again.stdout) == (0, "Unchanged: bye, hello.\nNothing to do.\n")
    assert statuses(client)["hello"] == ("active", 1, False)


def test_a_dry_run_shows_the_difference_and_who_would_go_and_changes_nothing(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    apply(engine, flows, "--yes")
    client.post("flows", body={"id": "aside", "name": "Aside", "nodes": {}})
    send(client, "ann", "bob")
    step = "wait: {kind: step, actions: [{points: {add: 1}}],"
    text = FLOW.format(id="hello").replace("wait: {kind: wait, for: 30d,", step)
    (flows / "hello.yaml").write_text(text)
    before = statuses(client)
    shown = apply(engine, flows, "--dry-run")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        f"hello: changed ({flows}/hello.yaml). Waiting runs: 0 stay, 2 removed (2 at wait).",
        "--- hello, version 1",
        f"+++ {flows}/hello.yaml",
        "@@ -14,8 +14,10 @@",
        "             - greeted",
        "     next: wait",
        "   wait:",
        "-    kind: wait",
        "-    for: 30d",
        "+    kind: step",
        "+    actions:",
        "+      - points:",
        "+          add: 1",
        "     next: thank",
        "   thank:",
        "     kind: step",
        "Unchanged: bye.",
        "Only in the engine, left alone: aside.",
        "Dry run: nothing was changed.",
    ]
    assert statuses(client) == before
    done = apply(engine, flows, "--yes").stdout.splitlines()[-1]
    assert done == "hello is active, version 2. Waiting runs: 0 stay, 2 removed (2 at wait)."
    assert statuses(client) == {**before, "hello": ("active", 2, False)}


def test_the_preview_is_what_the_launch_answers(engine: EngineProcess, client: Client, flows: Path) -> None:
    apply(engine, flows, "--yes")
    send(client, "ann", "bob", "eve")
    (flows / "hello.yaml").write_text((flows / "hello.yaml").read_text().replace("30d", "31d"))
    (flows / "later" / "other.yml").write_text(
        FLOW.format(id="bye").replace("wait:", "month:").replace("next: wait", "next: month")
    )
    account: Any = answer(apply(engine, flows, "--yes", "--json"))
    assert account["applied"] is True
    for change, moved in zip(account["flows"], [(0, 3), (3, 0)], strict=True):
        assert change["state"] == "changed"
        assert (change["impact"]["stay"]["total"], change["impact"]["removed"]["total"]) == moved
        assert change["impact"]["stay"] == change["result"]["stay"]
        assert change["impact"]["removed"]["nodes"] == change["result"]["removed"]["nodes"]


def test_nothing_is_done_without_consent(engine: EngineProcess, client: Client, flows: Path) -> None:
    for stdin in ("n\n", "\n", ""):
        result = apply(engine, flows, stdin=stdin)
        assert result.exit_code == 1
        assert "Launch 2 flows? [y/N]: " in result.stderr
        assert result.stderr.endswith(
            "Nothing was changed. --yes does it without asking, --dry-run only looks.\n"
        )
    assert statuses(client) == {}
    assert apply(engine, flows, "--json").exit_code == 2
    assert apply(engine, flows, stdin="y\n").exit_code == 0
    assert set(statuses(client)) == {"bye", "hello"}


def test_with_one_problem_nothing_is_applied_and_all_problems_are_told(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    (flows / "wrong.yaml").write_text(FLOW.format(id="wrong").replace("next: wait", "next: wat"))
    (flows / "torn.json").write_text('{"id": "torn"')
    (flows / "twice.yaml").write_text("\n" + FLOW.format(id="hello"))
    result = apply(engine, flows, "--yes")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        f"{flows}/torn.json:1",
        f"{flows}/twice.yaml:3",
        f"{flows}/wrong.yaml:6",
    ]
    assert lines[1].endswith(f"flow: The id 'hello' is also that of {flows}/hello.yaml; a flow has one file.")
    assert ": greet: There is no node 'wat'." in lines[2]
    assert result.stderr == f"tidemill: Nothing was changed: there are problems in 3 files below {flows}.\n"
    told = apply(engine, flows, "--yes", "--json")
    assert told.exit_code == 1
    account = msgspec.json.decode(told.stdout)
    assert [(one["file"], one["line"]) for one in account["problems"]] == [
        (f"{flows}/torn.json", 1),
        (f"{flows}/twice.yaml", 3),
        (f"{flows}/wrong.yaml", 6),
    ]
    assert account["applied"] is False
    assert statuses(client) == {}


def test_the_files_are_checked_by_the_schema_of_the_engine(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    text = FLOW.format(id="hello").replace("next: greet}", "where: customer.vpi, next: greet}")
    (flows / "hello.yaml").write_text(text)
    assert apply(engine, flows, "--dry-run").exit_code == 0
    before = client.get("schema")
    try:
        client.put("schema", body={"traits": {"vip": "bool"}})
        refused = apply(engine, flows, "--dry-run")
        assert refused.exit_code == 1
        assert re.search(r"hello\.yaml:5: start: .*vpi", refused.stdout)
    finally:
        client.put("schema", body=before)


def test_a_warning_is_told_and_hinders_nothing(engine: EngineProcess, client: Client, flows: Path) -> None:
    (flows / "hello.yaml").write_text(FLOW.format(id="hello") + "  lonely: {kind: wait, for: 1d}\n")
    result = apply(engine, flows, "--yes")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{flows}/hello.yaml:9: lonely: warning: Nothing leads to this node.")
    assert statuses(client)["hello"] == ("active", 1, False)


@pytest.mark.parametrize(
    ("directory", "says"),
    [
        ("flows/.git", "There is no flow below"),
        ("none", "is not a directory"),
        ("flows/README.md", "is not a directory"),
    ],
)
def test_a_directory_without_flows_is_a_mistake(
    engine: EngineProcess, client: Client, flows: Path, directory: str, says: str
) -> None:
    (flows / ".git" / "ours.yaml").unlink()
    result = apply(engine, flows.parent / directory, "--yes")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert says in result.stderr


def test_drafts_are_saved_and_later_launched(engine: EngineProcess, client: Client, flows: Path) -> None:
    assert apply(engine, flows, "--yes", "--draft-only").stdout.endswith("hello is saved as a draft.\n")
    assert statuses(client) == {"bye": ("ready", None, True), "hello": ("ready", None, True)}
    assert apply(engine, flows, "--draft-only").stdout == "Unchanged: bye, hello.\nNothing to do.\n"
    launched = apply(engine, flows, "--yes")
    assert launched.stdout.startswith(f"bye: never launched ({flows}/later/other.yml).\n")
    assert statuses(client) == {"bye": ("active", 1, False), "hello": ("active", 1, False)}
    (flows / "hello.yaml").write_text(FLOW.format(id="hello").replace("30d", "7d"))
    saved = apply(engine, flows, "--yes", "--draft-only")
    assert "-    for: 30d\n+    for: 7d\n" in saved.stdout
    assert statuses(client)["hello"] == ("active", 1, True)
    (flows / "hello.yaml").write_text(FLOW.format(id="hello").replace("30d", "8d"))
    again = apply(engine, flows, "--yes", "--draft-only").stdout
    assert "--- hello, draft\n" in again
    assert "-    for: 7d\n+    for: 8d\n" in again
    assert apply(engine, flows, "--yes").exit_code == 0, "the draft says what the file says"
    assert statuses(client)["hello"] == ("active", 2, False)
    assert client.get("flows", "hello")["active"]["nodes"]["wait"]["for"] == "8d"


def test_somebodys_draft_is_not_lost_unseen(engine: EngineProcess, client: Client, flows: Path) -> None:
    apply(engine, flows, "--yes")
    draft = client.post("flows", "hello", "draft")
    client.put("flows", "hello", "draft", body={**draft["document"], "name": "By hand"})
    assert apply(engine, flows).stdout.endswith("Nothing to do.\n"), "what runs is what the file says"
    (flows / "hello.yaml").write_text(FLOW.format(id="hello").replace("30d", "7d"))
    (flows / "later" / "other.yml").write_text(FLOW.format(id="bye").replace("30d", "7d"))
    for options in (["--yes"], ["--dry-run"], ["--yes", "--json"]):
        refused = apply(engine, flows, *options)
        assert refused.exit_code == 1
        assert re.search(r"somebody is editing hello \(saved .*Z\), .* say --replace\.\n$", refused.stderr)
    assert statuses(client) == {"bye": ("active", 1, False), "hello": ("active", 1, True)}
    assert client.get("flows", "hello", "draft")["document"]["name"] == "By hand"
    replaced = apply(engine, flows, "--yes", "--replace")
    assert re.search(
        r"^hello: changed .* It has a draft, saved .*Z, that gives way\.$", replaced.stdout, re.MULTILINE
    )
    assert statuses(client) == {"bye": ("active", 2, False), "hello": ("active", 2, False)}


def test_a_draft_saved_between_the_look_and_the_launch_is_not_launched(
    engine: EngineProcess, client: Client, flows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the question is open somebody else saves: what was shown is not what would be launched."""
    apply(engine, flows, "--yes", "--draft-only")

    def meanwhile(*_: object, **__: object) -> bool:
        document = client.get("flows", "hello", "draft")["document"]
        client.put("flows", "hello", "draft", body={**document, "name": "By hand"})
        return True

    monkeypatch.setattr("click.confirm", meanwhile)
    refused = apply(engine, flows)
    assert refused.exit_code == 1
    assert "tidemill: hello: The draft was saved by somebody else meanwhile" in refused.stderr
    assert refused.stderr.endswith("apply again to go on.\n")
    assert statuses(client) == {"bye": ("active", 1, False), "hello": ("ready", None, True)}


def test_launching_over_a_paused_flow_is_said_to_let_it_run(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    apply(engine, flows, "--yes")
    client.post("flows", "hello", "pause")
    (flows / "hello.yaml").write_text(FLOW.format(id="hello").replace("30d", "7d"))
    result = apply(engine, flows, "--yes")
    assert "hello: changed" in result.stdout
    assert "It is paused; launching it lets it run.\n" in result.stdout
    assert statuses(client)["hello"] == ("active", 2, False)


# Export


def test_what_is_exported_is_applied_as_it_is(engine: EngineProcess, client: Client, flows: Path) -> None:
    apply(engine, flows, "--yes")
    copies = flows.parent / "new" / "copies"
    written = export(engine, copies)
    assert written.stdout.splitlines() == [
        f"bye: written to {copies}/bye.yaml",
        f"hello: written to {copies}/hello.yaml",
    ]
    assert (copies / "hello.yaml").read_text() == to_yaml(client.get("flows", "hello")["active"])
    assert apply(engine, copies).stdout == "Unchanged: bye, hello.\nNothing to do.\n"


def test_a_flow_is_exported_to_the_file_that_holds_it_and_only_if_it_differs(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    apply(engine, flows, "--yes")
    (flows / "hello.yaml").rename(flows / "hello.json")
    document = client.get("flows", "hello")["active"]
    (flows / "hello.json").write_text(json.dumps({**document, "name": "Old"}))
    rows = answer(export(engine, flows, "--json"))
    assert rows == [
        {"flow": "bye", "file": f"{flows}/later/other.yml", "written": False},
        {"flow": "hello", "file": f"{flows}/hello.json", "written": True},
    ]
    assert (flows / "later" / "other.yml").read_text() == FLOW.format(id="bye"), "comments and all"
    assert json.loads((flows / "hello.json").read_text()) == document
    assert export(engine, flows, "bye").stdout == f"bye: unchanged in {flows}/later/other.yml\n"


def test_a_draft_is_exported_where_nothing_runs_or_it_is_asked_for(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    apply(engine, flows, "--yes")
    client.post("flows", body={"id": "aside", "name": "Aside", "nodes": {"a": {"kind": "nap"}}})
    draft = client.post("flows", "hello", "draft")
    client.put("flows", "hello", "draft", body={**draft["document"], "name": "Next"})
    copies = flows.parent / "copies"
    assert export(engine, copies).exit_code == 0
    assert (copies / "aside.yaml").read_text() == "id: aside\nname: Aside\nnodes:\n  a:\n    kind: nap\n"
    assert "name: Hello\n" in (copies / "hello.yaml").read_text()
    assert export(engine, copies, "hello", "--drafts").stdout == f"hello: written to {copies}/hello.yaml\n"
    assert "name: Next\n" in (copies / "hello.yaml").read_text()


def test_no_file_is_overwritten_that_is_something_else(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    apply(engine, flows, "--yes")
    copies = flows.parent / "copies"
    copies.mkdir()
    (copies / "hello.yaml").write_text("id: somebody-else\n")
    refused = export(engine, copies)
    assert refused.exit_code == 1
    assert f"{copies}/hello.yaml is there and is not the flow 'hello'." in refused.stderr
    assert not (copies / "bye.yaml").exists()
    (copies / "hello.yaml").write_text("id: hello\n")
    (copies / "again.yml").write_text("id: hello\n")
    assert "both hold the flow 'hello'" in export(engine, copies).stderr
    assert export(engine, copies, "bye").exit_code == 0, "only what is written has to be clear"
    assert export(engine, copies, "none").exit_code == 1
    assert "is not a directory" not in export(engine, copies / "hello.yaml").stdout
    assert "cannot be made" in export(engine, copies / "hello.yaml").stderr


# List, restore, report


def test_flows_are_listed_by_tag_and_words(engine: EngineProcess, client: Client, flows: Path) -> None:
    (flows / "hello.yaml").write_text(FLOW.format(id="hello") + "tags: [Spring]\nbrand: acme\n")
    apply(engine, flows, "--yes")

    def listed(*options: str) -> list[str]:
        rows: Any = answer(tidemill("flows", "list", "--json", "--http", engine.http, *options))
        return [row["id"] for row in rows]

    assert listed("--tag", "Spring") == listed("--brand", "acme") == listed("-q", "SPRI") == ["hello"]
    assert listed("--search", "hel", "--status", "active") == ["bye", "hello"], "both are named Hello"
    none = tidemill("flows", "list", "--tag", "none", "--http", engine.http)
    assert none.stdout == "No such flows.\n"


def test_a_version_is_restored_from_the_terminal(engine: EngineProcess, client: Client, flows: Path) -> None:
    at = ("--http", engine.http)
    apply(engine, flows, "--yes")
    (flows / "hello.yaml").write_text(FLOW.format(id="hello").replace("30d", "7d"))
    apply(engine, flows, "--yes")
    restored = tidemill("flows", "restore", "hello", "1", *at)
    assert restored.stdout == (
        "Version 1 of hello is its draft (ready). Launch it with: tidemill flows launch hello\n"
    )
    refused = tidemill("flows", "restore", "hello", "2", *at)
    assert refused.exit_code == 1
    assert refused.stderr.endswith("Say --replace to throw its draft away.\n")
    draft: Any = answer(tidemill("flows", "restore", "hello", "2", "--replace", "--json", *at))
    assert draft["document"]["nodes"]["wait"]["for"] == "7d"
    assert "has no version 9" in tidemill("flows", "restore", "hello", "9", "--replace", *at).stderr
    assert tidemill("flows", "restore", "hello", "first", *at).exit_code == 2


def test_a_report_is_shown_for_each_test_of_a_flow(
    engine: EngineProcess, client: Client, flows: Path
) -> None:
    at = ("--http", engine.http)
    test = (
        "kind: ab_test, variants: [{name: plain, share: 50, control: true}, {name: gift, share: 50%s}],"
        " goal: {event: Bought, within: 7d}"
    )
    (flows / "hello.yaml").write_text(
        "id: hello\nname: Hello\nnodes:\n"
        "  start: {kind: launch, trigger: {event: Signed Up}, next: second}\n"
        f"  second: {{{test % ', next: first'}}}\n"
        f"  first: {{{test % ''}}}\n"
    )
    apply(engine, flows, "--yes")
    send(client, "ann")
    both = tidemill("flows", "report", "hello", *at)
    assert both.exit_code == 0, both.stderr
    assert re.findall(r"^hello, A/B test (\w+) *$", both.stdout, re.MULTILINE) == ["second", "first"]
    rows = [
        msgspec.json.decode(line)
        for line in tidemill("flows", "report", "hello", "--json", *at).stdout.splitlines()
    ]
    assert [(row["node"], row["contacts"] <= 1) for row in rows] == [("second", True), ("first", True)]
    assert rows[0]["contacts"] == 1
    one = tidemill("flows", "report", "hello", "second", *at).stdout
    assert re.search(r"^1 contact in 0 days, since 20", one, re.MULTILINE)
    assert "runs no A/B test" in tidemill("flows", "report", "bye", *at).stderr
    assert "runs no A/B test 'start'" in tidemill("flows", "report", "hello", "start", *at).stderr
