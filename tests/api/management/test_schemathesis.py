"""Requests made from the API's own description, right and wrong ones, against a real engine: none is a 500, and every
answer has a status that the description names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tests.api.command_line import ANYWHERE, EngineProcess, answer, serving, tidemill

ORDINARY, NIGHTLY = 4, 400
"""Requests for each operation and each way to make them."""
EVERYWHERE = {"405", "404", "408", "429", "431", "503"}
"""Statuses that any path may answer with."""


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: Any, value: Any) -> bytes:
    """A body of lines, whatever is generated for it."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else msgspec.json.encode(value)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("described")
    with serving("--data", "data", *ANYWHERE, folder=folder) as running:
        yield running


def ask_everything(engine: EngineProcess, examples: int) -> dict[str, set[int]]:
    """The statuses each operation answered with."""
    described = schemathesis.openapi.from_url(f"http://{engine.http}/openapi.json")
    met: dict[str, set[int]] = {}
    for found in described.get_all_operations():
        assert isinstance(found, Ok), "an operation that cannot be described"
        operation = found.ok()
        name = f"{operation.method.upper()} {operation.path}"
        raw = operation.definition.raw
        reads = "requestBody" in raw or any(one["in"] == "query" for one in raw["parameters"])
        for mode in (
            (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if reads else (GenerationMode.POSITIVE,)
        ):
            met.setdefault(name, set()).update(
                ask_one(operation, mode, examples, set(raw["responses"]), name)
            )
    return met


def ask_one(operation: Any, mode: Any, examples: int, known: set[str], name: str) -> set[int]:
    met: set[int] = set()
    session = requests.Session()

    @settings(
        max_examples=examples,
        derandomize=examples == ORDINARY,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        response = case.call(session=session, timeout=20)
        met.add(response.status_code)
        assert response.status_code < 500 or response.status_code == 503, (name, response.text)
        assert str(response.status_code) in known | EVERYWHERE, (name, response.status_code, response.text)

    with session:
        ask()
    return met


def check(engine: EngineProcess, examples: int) -> None:
    met = ask_everything(engine, examples)
    assert len(met) > 40
    assert sum(any(200 <= status < 300 for status in statuses) for statuses in met.values()) > 15
    listed = answer(tidemill("flows", "list", "--http", engine.http, "--json"))
    assert listed is not None
    code, errors = engine.stop()
    assert code == 0
    assert "Traceback" not in errors


def test_no_request_is_a_500(engine: EngineProcess) -> None:
    check(engine, ORDINARY)


@pytest.mark.nightly
def test_no_request_is_a_500_by_night(request: pytest.FixtureRequest, engine: EngineProcess) -> None:
    if "nightly" not in request.config.getoption("-m"):
        pytest.skip("the long form: -m nightly")
    check(engine, NIGHTLY)
