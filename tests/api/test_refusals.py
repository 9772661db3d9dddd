"""Errors of the engine at the edge: every code has its status, and the engine's sentences name no way in."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.cli.main import COMMANDS
from api.refusals import REMEDIES, STATUS_OF_CODE, http_sentence, status_of, terminal_sentence
from engine import errors
from engine.errors import Conflict, NotFound, Refused, StoreError, TidemillError, Unavailable

ROOT = Path(__file__).parents[2]

CLASSES: dict[str, type[TidemillError]] = {
    "Conflict": Conflict,
    "NotFound": NotFound,
    "Refused": Refused,
    "StoreError": StoreError,
    "Unavailable": Unavailable,
}

STATUSES: dict[int, tuple[str, ...]] = {
    400: ("invalid_cursor", "not_yaml"),
    404: ("no_draft", "no_such_contact", "no_such_flow", "no_such_test", "no_such_version"),
    409: (
        *("draft_exists", "flow_active", "flow_exists", "no_draft", "not_launched", "too_many_flows"),
        "too_many_versions",
    ),
    412: ("stale_revision",),
    413: ("too_large",),
    415: ("unsupported_media_type",),
    422: (
        *(
            "backup_folder",
            "document",
            "flow_has_problems",
            "flow_not_scenario",
            "id_changed",
            "invalid",
            "invalid_argument",
        ),
        *("invalid_code", "invalid_contact", "invalid_flow", "invalid_instant", "invalid_pool"),
        *("invalid_receipt", "invalid_schedule", "invalid_schema", "invalid_segment", "no_events"),
        *("no_such_operation", "pool_full", "too_deep", "too_early", "too_long", "traits_too_large"),
    ),
    429: ("slow_down",),
    503: ("backup_failed", "backup_full", "not_ready", "outbox_full", "store_full"),
}
"""Status -> the codes that are answered with it: a contract with clients. A new code belongs here as well."""

NOT_LITERAL = {
    ("engine/ingest.py", "Refused"): "the codes of rejected lines",
    ("engine/simulation/simulator.py", "Refused"): "the code of the answer that it repeats",
    ("engine/submission.py", "Unavailable"): "`store_full`, or one of the codes of a stop",
}
"""Places that raise an error whose code is no literal, and where the code comes from."""


def raised(*trees: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield `(file, class, code)` of each error made in the sources of these trees; None: the code is no literal."""
    for path in sorted(path for tree in trees for path in (ROOT / tree).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES:
                code = node.args[0] if node.args else None
                literal = (
                    code.value if isinstance(code, ast.Constant) and isinstance(code.value, str) else None
                )
                yield str(path.relative_to(ROOT)), node.func.id, literal


def made(kind: str, code: str) -> TidemillError:
    return CLASSES[kind](code, "It is so.")


def test_the_table_of_classes_is_whole() -> None:
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, TidemillError) and value is not TidemillError
    }
    assert found == set(CLASSES)


def test_every_code_is_answered_with_the_status_that_clients_know() -> None:
    statuses: defaultdict[int, set[str]] = defaultdict(set)
    for _, kind, code in raised("engine", "api/management", "api/intake"):
        if code is not None and kind != "StoreError":
            statuses[status_of(made(kind, code))].add(code)
    assert {status: sorted(codes) for status, codes in statuses.items()} == {
        status: sorted(codes) for status, codes in STATUSES.items()
    }


def test_an_error_of_the_store_is_answered_with_500() -> None:
    codes = [code for _, kind, code in raised("engine") if kind == "StoreError" and code is not None]
    assert {status_of(StoreError(code, "It is so.")) for code in codes} == {500}


def test_a_code_that_is_no_literal_comes_from_a_place_that_is_known() -> None:
    places = {(file, kind) for file, kind, code in raised("engine") if code is None}
    assert places <= set(NOT_LITERAL), "name the code, or say in NOT_LITERAL where it comes from"


def test_the_table_of_codes_has_no_code_that_is_never_raised() -> None:
    codes = {code for _, _, code in raised("engine", "api")}
    assert set(STATUS_OF_CODE) | set(REMEDIES) <= codes


WAYS_IN = re.compile(
    rf"/v1\b|\btidemill (?:{'|'.join(COMMANDS)})\b|(?<!\w)--[a-z]+|\b(?:GET|POST|PUT|DELETE) /|\bHTTP/? ?\d{{3}}"
)
"""Paths, commands and options: only the edge knows them."""


def sentences(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts in a source, docstrings not included, each with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def test_the_engine_names_no_path_command_or_option() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in sorted((ROOT / "engine").rglob("*.py"))
        for line, text in sentences(path)
        if WAYS_IN.search(text)
    ]
    assert found == [], "words of a way in belong into `api.refusals`"


def test_the_engine_gives_no_error_a_status() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "engine").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "status"
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, int)
    ]
    assert found == [], "statuses belong into `api.refusals`"


def test_the_first_class_that_fits_decides_and_a_code_overrides_it() -> None:
    assert status_of(NotFound("x", "It is gone.")) == 404
    assert status_of(Refused("x", "It is wrong.")) == 422
    assert status_of(Refused("stale_revision", "It was changed.")) == 412
    assert status_of(TidemillError("x", "It is so.")) == 400


@pytest.mark.parametrize(
    ("error", "http", "terminal"),
    [
        (
            NotFound("no_such_flow", "There is no flow 'f'.", named="f"),
            "There is no flow 'f'. List them with GET /v1/flows.",
            "There is no flow 'f'. List them with `tidemill flows list`.",
        ),
        (
            Conflict("no_draft", "The flow 'f' has no draft.", named="f"),
            "The flow 'f' has no draft. Start one with POST /v1/flows/f/draft.",
            "The flow 'f' has no draft. Start one with `tidemill flows restore f VERSION`.",
        ),
        (
            Conflict("draft_exists", "The flow 'f' has a draft already.", named="f"),
            "The flow 'f' has a draft already. Repeat with replace=true to start over.",
            "The flow 'f' has a draft already. Say --replace to throw its draft away.",
        ),
        (
            Conflict("no_draft", "The flow 'f' has no draft to launch.", remedy="Start one.", named="f"),
            "The flow 'f' has no draft to launch. Start one.",
            "The flow 'f' has no draft to launch. Start one.",
        ),
        (Refused("invalid", "It is wrong."), "It is wrong.", "It is wrong."),
    ],
)
def test_a_remedy_is_said_in_the_words_of_the_reader(error: TidemillError, http: str, terminal: str) -> None:
    assert http_sentence(error) == http
    assert terminal_sentence(error.code, http) == terminal
