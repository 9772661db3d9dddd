"""The command line by itself: help, versions, errors in one line, documents, scenarios, expressions."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from api.cli.main import COMMANDS
from tests.api.command_line import ROOT, answer, tidemill

FLOW = """\
id: hello
name: Hello
nodes:
  start: {kind: launch, trigger: {event: Signed Up}, next: greet}
  greet: {kind: step, actions: [{segment: {add: [greeted]}}]}
"""
SCENARIO = """\
name: who signs up is greeted
start: 2026-08-01T00:00:00Z
flows: [{$file: hello.yaml}]
input:
  - {at: 2026-08-01T09:00:00Z, type: track, userId: ann, event: Signed Up}
until: 2026-08-02T00:00:00Z
only: [executed]
expect:
  - {contact: ann, node: greet, what: executed}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.yaml").write_text(FLOW)
    (tmp_path / "hello.test.yaml").write_text(SCENARIO)
    return tmp_path


def test_help_names_every_command_in_order() -> None:
    shown = tidemill("--help").stdout.partition("Commands:")[2]
    assert re.findall(r"^  ([a-z]+) ", shown, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = tidemill(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: tidemill {command}")


def test_the_version_is_that_of_the_distribution() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', text, re.MULTILINE)
    assert version is not None
    assert tidemill("version").stdout.startswith(f"tidemill {version[1]} (Python 3.")
    assert answer(tidemill("version", "--json"))["version"] == version[1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 2, "tidemill: No such command 'nonsense'. See `tidemill --help`."),
        (["check"], 2, "tidemill check: Missing argument 'FLOW…'. See `tidemill check --help`."),
        (["version", "--loud"], 2, "tidemill version: No such option '--loud'."),
        (["eval"], 2, "tidemill eval: Missing argument 'EXPR'."),
        (["eval", "true", "--lines"], 2, "--lines takes its expressions and contexts from stdin."),
        (["check", "absent.yaml"], 1, "tidemill: absent.yaml cannot be read: No such file or directory."),
        (["--config", "absent.toml", "flows", "list"], 1, "tidemill: absent.toml cannot be read"),
        (["serve", "--http", "7700"], 1, "tidemill: http: '7700' is not an address. Write HOST:PORT"),
        (
            ["flows", "list", "--http", "unix:absent.sock"],
            1,
            "tidemill: No engine answers at unix:absent.sock",
        ),
        (
            ["import", str(ROOT / "README.md"), "--stream", "unix:absent.sock"],
            1,
            "Start one with `tidemill serve`",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line_with_a_remedy(arguments: list[str], code: int, says: str) -> None:
    result = tidemill(*arguments)
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert result.stdout == ""


# check, schema


def test_a_sound_flow_is_ready_to_launch(folder: Path) -> None:
    result = tidemill("check", folder / "hello.yaml")
    assert (result.exit_code, result.stdout) == (0, f"{folder}/hello.yaml: ready to launch.\n")


def test_each_problem_has_file_line_and_node(folder: Path) -> None:
    path = folder / "broken.yaml"
    path.write_text(FLOW.replace("next: greet", "next: nowhere").replace("segment:", "sgment:"))
    result = tidemill("check", path, folder / "hello.yaml")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{path}:4: start: ")
    assert any(line.startswith(f"{path}:5: greet: ") for line in lines)
    assert lines[-1] == f"{folder}/hello.yaml: ready to launch."


def test_problems_can_be_read_by_a_program(folder: Path) -> None:
    path = folder / "broken.yaml"
    path.write_text(FLOW.replace("next: greet", "next: nowhere"))
    result = tidemill("check", "--json", path)
    assert result.exit_code == 1
    problems = msgspec.json.decode(result.stdout)["problems"]
    assert (problems[0]["node"], problems[0]["pointer"], problems[0]["line"]) == (
        "start",
        "/nodes/start/next",
        4,
    )


def test_a_warning_is_said_and_is_no_problem(folder: Path) -> None:
    path = folder / "hello.yaml"
    path.write_text(FLOW + "  lonely: {kind: wait, for: 1d}\n")
    result = tidemill("check", path)
    assert result.exit_code == 0
    assert re.match(rf"{re.escape(str(path))}:6: lonely: warning: ", result.stdout)
    assert result.stdout.endswith("ready to launch.\n")


BARE_SCENARIO = "start: 2026-08-01T00:00:00Z\nflows: [{$file: hello.yaml}]\nuntil: 2026-08-02T00:00:00Z\n"


def test_a_scenario_given_to_check_is_called_one(folder: Path) -> None:
    path = folder / "hello.test.yaml"
    path.write_text(BARE_SCENARIO)
    result = tidemill("check", path, folder / "hello.yaml")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{path}:1: This is a scenario, not a flow. Run it with `tidemill test {path}`.",
        f"{folder}/hello.yaml: ready to launch.",
    ]
    (problem,) = msgspec.json.decode(tidemill("check", "--json", path).stdout)["problems"]
    assert problem["code"] == "scenario"
    path.write_text("flows: []\nexpect: nothing\n")
    assert "This is a scenario, not a flow." in tidemill("check", path).stdout, "a wrong one is one as well"


def test_a_flow_given_to_test_is_called_one(folder: Path) -> None:
    path = folder / "hello.yaml"
    result = tidemill("test", path)
    assert result.exit_code == 1
    assert f"{path}: is a flow, not a scenario. Check it with `tidemill check {path}`." in result.stdout
    result = tidemill("simulate", path)
    assert result.stderr == (
        f"tidemill: {path}: is a flow, not a scenario. Check it with `tidemill check {path}`.\n"
    )


def test_a_text_that_is_no_document_has_its_line(folder: Path) -> None:
    (folder / "broken.yaml").write_text("id: [hello\nname: x\n")
    result = tidemill("check", folder / "broken.yaml")
    assert result.exit_code == 1
    assert re.match(rf"{re.escape(str(folder))}/broken\.yaml:\d+: flow: ", result.stdout)


def test_a_schema_makes_a_misspelt_field_a_problem(folder: Path) -> None:
    (folder / "schema.yaml").write_text("traits: {first_name: string}\n")
    path = folder / "hello.yaml"
    path.write_text(FLOW.replace("next: greet}", "where: customer.frist_name == 'Ann', next: greet}"))
    assert tidemill("check", path).exit_code == 0
    result = tidemill("check", "--schema", folder / "schema.yaml", path)
    assert result.exit_code == 1
    assert "frist_name" in result.stdout


def test_the_schema_for_editors_is_a_json_schema() -> None:
    schema = msgspec.json.decode(tidemill("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")


# test, simulate


def test_a_scenario_that_holds_passes(folder: Path) -> None:
    result = tidemill("test", folder / "hello.test.yaml")
    assert result.exit_code == 0
    assert result.stdout == f"pass  {folder}/hello.test.yaml: who signs up is greeted\n"


def test_a_scenario_that_does_not_hold_shows_both_sides_and_the_others_still_run(folder: Path) -> None:
    path = folder / "wrong.test.yaml"
    path.write_text(SCENARIO.replace("node: greet", "node: gret"))
    (folder / "unreadable.yaml").write_text("start: soon\n")
    result = tidemill("test", path, folder / "unreadable.yaml", folder / "hello.test.yaml")
    assert result.exit_code == 1
    assert re.search(r"^ +- .*ann.*gret ", result.stdout, re.MULTILINE)
    assert re.search(r"^ +\+ .*ann.*greet ", result.stdout, re.MULTILINE)
    assert result.stdout.endswith("1 passed, 2 failed.\n")


def test_a_verdict_can_be_read_by_a_program(folder: Path) -> None:
    verdict = answer(tidemill("test", "--json", folder / "hello.test.yaml"))
    assert verdict["passed"] is True


def test_a_simulation_prints_its_trace_or_its_counts(folder: Path) -> None:
    lines = tidemill("simulate", folder / "hello.test.yaml").stdout.splitlines()
    trace = [msgspec.json.decode(line) for line in lines]
    assert [(record["what"], record["at"]) for record in trace] == [
        ("entered", "2026-08-01T09:00:00Z"),
        ("executed", "2026-08-01T09:00:00Z"),
        ("left", "2026-08-01T09:00:00Z"),
    ]
    stats = answer(tidemill("simulate", "--stats", folder / "hello.test.yaml"))
    assert stats["flow"] == "hello"
    assert stats["nodes"]["greet"]["executed"] == 1


# eval


@pytest.mark.parametrize(
    ("expression", "context", "value"),
    [
        ("1 + 1", "{}", 2),
        ("customer.age >= 18", '{"customer": {"age": 20}}', True),
        ("names.filter(n, n.startsWith('A'))", '{"names": ["Ann", "Bob"]}', ["Ann"]),
    ],
)
def test_a_condition_is_evaluated_on_a_context(
    tmp_path: Path, expression: str, context: str, value: object
) -> None:
    (tmp_path / "context.json").write_text(context)
    assert answer(tidemill("eval", expression, "--context", tmp_path / "context.json")) == value
    assert answer(tidemill("eval", expression, "--context", "-", stdin=context)) == value


def test_an_error_in_a_condition_has_its_place() -> None:
    result = tidemill("eval", "1 +")
    assert result.exit_code == 1
    assert re.match(r"tidemill: line 1, column \d+: ", result.stderr)
    result = tidemill("eval", "--json", "1 / 0")
    assert result.exit_code == 1
    assert msgspec.json.decode(result.stdout)["error"]["detail"]


def test_lines_are_answered_one_by_one_and_a_bad_one_ends_nothing() -> None:
    lines = [
        '{"expr": "a + b", "context": {"a": 1, "b": 2}}',
        "nonsense",
        '{"expr": "a +", "context": {"a": 1}}',
        '{"expr": "a.b", "context": {"a": {}}}',
        '{"expr": 7}',
        "[]",
        "",
        '{"expr": "true"}',
    ]
    result = tidemill("eval", "--lines", stdin="\n".join(lines) + "\n")
    assert result.exit_code == 0
    answers = [msgspec.json.decode(line) for line in result.stdout.splitlines()]
    assert [list(one) for one in answers] == [["value"], *[["error"]] * 5, ["value"]]
    assert (answers[0]["value"], answers[-1]["value"]) == (3, True)
    assert answers[2]["error"]["line"] == 1
