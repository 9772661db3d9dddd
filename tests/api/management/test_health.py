"""Health, metrics, monitoring, the schema, and how the API refuses, fails and guards itself."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from api.keys import Keys
from api.management import answers
from api.management.events import PATHS
from engine import limits
from tests.api.api_engine import FLOW, Api, engine, signed_up, with_api


def test_a_running_engine_is_healthy_and_ready(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        for path in ("/healthz", "/readyz"):
            assert (await api.get(path)).shaped(answers.Health).status == "ok"
            assert (await api.ask("HEAD", path)).status == 200

    with_api(tmp_path, body)


def test_an_engine_that_takes_no_input_is_not_ready_and_says_when_to_ask_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with engine(tmp_path) as service:
            api = Api(service)
        refused = await api.get("/readyz")
        assert (refused.status, refused.problem.code) == (503, "not_ready")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await api.get("/healthz")).status == 200
        assert (await api.put("/v1/contacts/c1", {"traits": {}})).problem.status == 503
        assert api.bugs == []

    trio.run(main)


def samples(text: bytes) -> dict[tuple[str, str], float]:
    """Every sample by name and flow."""
    return {
        (sample.name, sample.labels.get("flow", "")): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_metrics_show_what_the_engine_counts(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.launch(FLOW)
        await api.send(signed_up("a"), signed_up("b"))
        answer = await api.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        seen = samples(answer.body)
        assert seen["tidemill_contacts", ""] == 2
        assert seen["tidemill_waiting", ""] == 2
        assert seen["tidemill_flow_entered_total", "welcome"] == 2
        assert seen["tidemill_flow_waiting", "welcome"] == 2
        assert seen["tidemill_flows_without_series", ""] == 0
        assert seen["tidemill_accepts_input", ""] == 1
        assert seen["tidemill_ingest_batches_total", ""] == seen["tidemill_journal_commits_seconds_count", ""]
        await api.send(signed_up("a"))
        again = samples((await api.get("/metrics")).body)
        assert again["tidemill_events_total", ""] == seen["tidemill_events_total", ""] + 1

    with_api(tmp_path, body)


def test_only_so_many_flows_have_series_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.management.metrics.METRICS_FLOWS_MAX", 2)

    async def body(api: Api) -> None:
        for number in range(5):
            await api.post("/v1/flows", {**FLOW, "id": f"f{number}"})
        seen = samples((await api.get("/metrics")).body)
        assert [flow for name, flow in seen if name == "tidemill_flow_waiting"] == ["f0", "f1"]
        assert seen["tidemill_flows_without_series", ""] == 3

    with_api(tmp_path, body)


def test_the_schema_is_shown_and_replaced_and_checks_flows_from_then_on(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        before = await api.get("/v1/schema")
        assert before.status == 200
        wrong = await api.put("/v1/schema", {"events": 7})
        assert wrong.status == 422
        assert wrong.problem.errors
        assert (await api.get("/v1/schema")).body == before.body
        same = await api.put("/v1/schema", before.body)
        assert same.body == before.body

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/flows/", 404, "not_found"),
        ("GET", "/v1//flows", 404, "not_found"),
        ("GET", "/docs/../app.py", 404, "not_found"),
        ("GET", "/docs/index.html", 404, "not_found"),
        ("PATCH", "/v1/flows", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/flows", 405, "method_not_allowed"),
        ("TRACE", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_document(
    tmp_path: Path, method: str, path: str, status: int, code: str
) -> None:
    async def body(api: Api) -> None:
        refused = await api.ask(method, path)
        assert (refused.status, refused.problem.code) == (status, code)
        assert (status == 405) == ("Allow" in refused.headers)

    with_api(tmp_path, body)


def test_a_fault_of_ours_is_a_500_without_internals_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with engine(tmp_path) as service:
            api = Api(service)
            fault = AssertionError("secret state")
            monkeypatch.setattr(service, "outbox", lambda *_: (_ for _ in ()).throw(fault))
            failed = await api.get("/v1/outbox")
            assert (failed.status, failed.problem.code) == (500, "internal")
            assert "secret" not in str(failed.body)
            assert api.bugs == [fault]

    trio.run(main)


LOOPBACK = ("127.0.0.1", 40_000)


@pytest.mark.parametrize(
    ("peer", "headers", "code"),
    [
        (LOOPBACK, {"Host": "localhost:7700"}, None),
        (LOOPBACK, {"Host": "127.0.0.1:7700"}, None),
        (LOOPBACK, {"Host": "[::1]:7700"}, None),
        (("::1", 40_000), {"Host": "localhost"}, None),
        (("::ffff:127.0.0.1", 40_000), {"Host": "localhost"}, None),
        (LOOPBACK, {"Host": "tidemill.internal:7700"}, None),
        (LOOPBACK, {"Host": "localhost:7700", "Origin": "http://localhost:7700"}, None),
        (None, {"Host": "anything"}, None),
        (("192.168.1.9", 40_000), {"Host": "localhost"}, "not_local"),
        (("::ffff:10.0.0.1", 40_000), {"Host": "localhost"}, "not_local"),
        (LOOPBACK, {"Host": "evil.example"}, "unknown_host"),
        (LOOPBACK, {"Host": "localhost.evil.example"}, "unknown_host"),
        (LOOPBACK, {"Host": "evil.example@127.0.0.1"}, None),
        (LOOPBACK, {"Host": ""}, "unknown_host"),
        (LOOPBACK, {"Host": "[::1"}, "unknown_host"),
        (LOOPBACK, {"Host": "localhost:7700", "Origin": "https://evil.example"}, "foreign_origin"),
        (LOOPBACK, {"Host": "localhost:7700", "Origin": "null"}, "foreign_origin"),
        (LOOPBACK, {"Host": "localhost:7700", "Origin": "http://localhost:3000"}, "foreign_origin"),
    ],
)
def test_without_a_key_this_machine_is_served_and_no_web_page(
    tmp_path: Path, peer: tuple[str, int] | None, headers: dict[str, str], code: str | None
) -> None:
    async def body(api: Api) -> None:
        for path in ("/v1/flows", "/metrics", "/openapi.json", "/v1/nothing"):
            answer = await api.get(path, headers=headers, peer=peer)
            if code is None:
                assert answer.status in (200, 404)
            else:
                assert (answer.status, answer.problem.code) == (403, code)

    with_api(tmp_path, body, names=frozenset({"tidemill.internal"}))


def test_events_are_taken_here_too(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.launch(FLOW)
        event = {"userId": "a", "event": "Signed Up"}
        assert (await api.post("/v1/track", event)).body == {"success": True}
        batch = {"batch": [{"type": "identify", "userId": "a", "traits": {"first": "Ada"}}]}
        assert (await api.post("/v1/batch", batch)).body == {"success": True}
        lines = b'{"type":"track","userId":"b","event":"Signed Up"}\nnonsense\n'
        packed = await api.post("/v1/events", data=gzip.compress(lines), headers={"Content-Encoding": "gzip"})
        assert packed.body["accepted"] == 1
        assert [wrong["line"] for wrong in packed.body["rejected"]] == [1]
        assert (await api.post("/v1/track", {"event": "x"})).status == 400
        assert (await api.get("/v1/contacts/a")).body["traits"] == {"first": "Ada"}
        assert (await api.get("/v1/flows/welcome")).body["entered"] == 2
        for path in PATHS:
            assert (await api.get(path)).status == 405

    with_api(tmp_path, body)


def test_with_a_write_key_events_come_from_anywhere_and_nothing_else_does(tmp_path: Path) -> None:
    away = {"peer": ("192.168.1.9", 40_000)}
    key = {"Authorization": "Basic c2VjcmV0Og=="}

    async def body(api: Api) -> None:
        event = {"userId": "a", "event": "Signed Up"}
        assert (await api.post("/v1/track", event, headers=key, **away)).status == 200
        assert (
            await api.post("/v1/track", event, headers={"Authorization": "Basic eDo="}, **away)
        ).status == 401
        assert (await api.get("/v1/contacts/a", headers=key, **away)).problem.status == 403

    with_api(tmp_path, body, keys=Keys(["secret"]))


def test_the_bounds_of_a_body_leave_room_for_the_journal_line() -> None:
    assert limits.FLOW_DOCUMENT_BYTES_MAX < limits.CONTROL_BYTES_MAX < limits.EVENTS_BODY_BYTES_MAX
