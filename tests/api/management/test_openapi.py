"""The API's own description: complete, consistent, and readable without any outside host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from api.intake.segment_api import ROUTES
from api.management import openapi
from api.management.events import PATHS
from tests.api.api_engine import Api, with_api

METHODS = {"get", "put", "post", "delete", "patch"}
OUTSIDE = re.compile(r"https?://|src=\"//|@import")


def described(tmp_path: Path) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def body(api: Api) -> None:
        found.append((await api.get("/openapi.json")).body)

    with_api(tmp_path, body)
    return found[0]


def operations(whole: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(ref := value.get("$ref"), str):
            yield ref
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


def test_every_route_is_described(tmp_path: Path) -> None:
    whole = described(tmp_path)
    assert whole["openapi"].startswith("3.1.")
    named = {(method.upper(), path) for path, method, _ in operations(whole)}
    routes: set[tuple[str, str]] = set()

    async def body(api: Api) -> None:
        for rule in api.app.url_map.iter_rules():
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            routes.update(
                (method, path) for method in rule.methods or () if method not in ("HEAD", "OPTIONS")
            )

    with_api(tmp_path / "again", body)
    hidden = {path for _, path in routes - named}
    aliases = {path for path in PATHS if path.rsplit("/", 1)[1] != ROUTES[path].kind}
    assert named <= routes
    assert {path for path in hidden if not path.startswith("/docs")} == {"/", "/openapi.json"} | aliases


def test_every_operation_says_what_it_is_takes_and_answers(tmp_path: Path) -> None:
    whole = described(tmp_path)
    tags = {tag["name"] for tag in whole["tags"]}
    ids = []
    for path, method, operation in operations(whole):
        assert method in METHODS
        assert operation["summary"].endswith(".")
        assert len(operation["tags"]) == 1
        assert set(operation["tags"]) <= tags
        ids.append(operation["operationId"])
        given = {(one["in"], one["name"]) for one in operation["parameters"]}
        assert len(given) == len(operation["parameters"])
        assert {name for where, name in given if where == "path"} == set(re.findall(r"{(.+?)}", path))
        statuses = set(operation["responses"])
        assert any(status.startswith("2") for status in statuses)
        assert "403" in statuses
        assert all(answer["description"] for answer in operation["responses"].values())
        assert ("requestBody" in operation) <= (method in ("put", "post", "patch"))
        if "requestBody" in operation and operation["tags"] != ["intake"]:
            assert {"400", "413", "415", "422"} <= statuses
    assert len(ids) == len(set(ids))


def test_every_schema_that_is_referred_to_is_there_and_none_is_idle(tmp_path: Path) -> None:
    whole = described(tmp_path)
    referred = {ref.removeprefix("#/components/schemas/") for ref in refs(whole)}
    assert referred == set(whole["components"]["schemas"])


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    assert described(tmp_path)["info"]["version"] == version("tidemill")


def test_the_page_asks_no_other_host(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        front = await api.get("/")
        assert (front.status, front.headers["Location"]) == (302, "docs")
        page = await api.get("/docs")
        assert page.status == 200
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        text = page.body.decode()
        assert OUTSIDE.search(text) is None
        files = re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
        assert {"docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/start.js"} <= set(files)
        for name in files:
            assert (await api.get(f"/{name}")).status == 200
        start = (await api.get("/docs/start.js")).body.decode()
        assert OUTSIDE.search(start) is None
        assert '"docs/openapi.json"' in start

    with_api(tmp_path, body)


def test_the_page_is_given_the_dialect_its_files_know(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        older = (await api.get("/docs/openapi.json")).body
        newer = (await api.get("/openapi.json")).body
        assert older["openapi"] == "3.0.3"
        document = older["paths"]["/v1/flows"]["post"]["requestBody"]["content"]["application/json"]
        assert (await api.post("/v1/flows", document["schema"]["example"])).body["problems"] == []
        assert older["paths"].keys() == newer["paths"].keys()
        assert '"null"' not in str(older).replace("'", '"')

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"nullable": True, "type": "string"}),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"nullable": True, "anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ),
        ({"const": "ok"}, {"enum": ["ok"]}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
        ({"type": "object", "required": []}, {"type": "object"}),
        ({"items": {"const": 1}}, {"items": {"enum": [1]}}),
    ],
)
def test_a_schema_is_written_as_openapi_3_0(newer: dict[str, Any], older: dict[str, Any]) -> None:
    whole = openapi.as_openapi_3_0({"openapi": "3.1.0", "schema": newer})
    assert whole == {"openapi": "3.0.3", "schema": older}
