"""Flows over HTTP: what people do to them, and what they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from api.management import answers
from tests.api.api_engine import FLOW, Api, signed_up, with_api

WRONG = {**FLOW, "nodes": {**FLOW["nodes"], "pause": {"kind": "wait", "for": "three days", "next": "thanks"}}}
METRIC = "revenue_per_contact"
AB_FLOW: dict[str, Any] = {
    "id": "offer",
    "name": "Offer",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": "Signed Up"}, "next": "test"},
        "test": {
            "kind": "ab_test",
            "variants": [{"name": "plain", "share": 50, "control": True}, {"name": "gift", "share": 50}],
            "goal": {"event": "Order Completed", "within": "7d", "revenue": "order.total"},
            "metric": METRIC,
        },
    },
}


def ordered(contact: str, total: float) -> dict[str, Any]:
    return {
        "type": "track",
        "userId": contact,
        "event": "Order Completed",
        "properties": {"total": total},
    }


def test_a_created_flow_is_a_draft_with_an_etag_and_a_place(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        made = await api.post("/v1/flows", FLOW)
        assert made.status == 201
        assert made.headers["Location"] == "/v1/flows/welcome"
        assert made.headers["ETag"] == '"1"'
        draft = made.shaped(answers.Draft)
        assert (draft.flow, draft.status, draft.document, draft.problems) == ("welcome", "ready", FLOW, [])
        shown = (await api.get("/v1/flows/welcome")).shaped(answers.FlowDetail)
        assert (shown.status, shown.draft, shown.version, shown.active) == ("ready", True, None, None)

    with_api(tmp_path, body)


def test_a_flow_with_problems_is_kept_and_each_problem_has_its_place(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        draft = (await api.post("/v1/flows", WRONG)).shaped(answers.Draft)
        assert draft.status == "draft"
        assert [(problem.node, problem.pointer) for problem in draft.problems] == [
            ("pause", "/nodes/pause/for")
        ]
        refused = await api.post("/v1/flows/welcome/launch")
        assert refused.status == 422
        assert refused.problem.errors == draft.problems

    with_api(tmp_path, body)


def test_a_flow_may_be_written_as_yaml(tmp_path: Path) -> None:
    text = b"""
id: welcome
name: Welcome
folder: start
schedule: {end: 2027-01-01T00:00:00Z}
nodes:
  begin: {kind: launch, trigger: {event: Signed Up}}
"""

    async def body(api: Api) -> None:
        made = await api.post("/v1/flows", data=text, headers={"Content-Type": "application/yaml"})
        assert made.status == 201
        assert made.body["problems"] == []
        wrong = await api.post("/v1/flows", data=b"a: [", headers={"Content-Type": "application/yaml"})
        assert (wrong.status, wrong.problem.code) == (400, "not_yaml")
        assert wrong.problem.errors[0].line == 2

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("data", "media", "status", "code"),
    [
        (b'{"id": ', "application/json", 400, "not_json"),
        (b'{"id": "\xff"}', "application/json", 400, "not_json"),
        (b'{"id": ' + b"[" * 100_000, "application/json", 400, "not_json"),
        (b"id=welcome", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b" " * (9 * 1024 * 1024), "application/json", 413, "too_large"),
        (b" " * (3 * 1024 * 1024), "application/json", 413, "too_large"),
        (b"{}", "application/json", 422, "invalid_flow"),
        (b'{"id": "welcome", "max": 99999999999999999999}', "application/json", 422, "invalid"),
        (b"{id: welcome, max: 99999999999999999999}", "application/yaml", 422, "invalid"),
        (b"[1]", "application/json", 422, "invalid"),
    ],
)
def test_a_body_that_is_no_flow_is_refused(
    tmp_path: Path, data: bytes, media: str, status: int, code: str
) -> None:
    async def body(api: Api) -> None:
        refused = await api.post("/v1/flows", data=data, headers={"Content-Type": media})
        assert (refused.status, refused.problem.code) == (status, code)

    with_api(tmp_path, body)


def test_an_id_that_is_taken_is_in_conflict(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        assert (await api.post("/v1/flows", FLOW)).problem.status == 409

    with_api(tmp_path, body)


def test_the_list_is_filtered_and_cut_into_pages(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        for number in range(5):
            await api.post(
                "/v1/flows", {**FLOW, "id": f"f{number}", "brand": "even" if number % 2 == 0 else "odd"}
            )
        await api.post("/v1/flows/f2/launch")
        seen: list[str] = []
        path = "/v1/flows?limit=2"
        while True:
            page = (await api.get(path)).shaped(answers.FlowList)
            seen += [flow.id for flow in page.flows]
            if page.cursor is None:
                break
            path = f"/v1/flows?limit=2&cursor={page.cursor}"
        assert seen == ["f0", "f1", "f2", "f3", "f4"]
        assert await ids(api, "brand=even") == ["f0", "f2", "f4"]
        assert await ids(api, "status=active") == ["f2"]
        assert await ids(api, "folder=start&brand=odd&status=ready") == ["f1", "f3"]
        assert await ids(api, "folder=elsewhere") == []

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tag=Spring", ["cart", "hello"]),
        ("tag=spring", []),
        ("tag=Spring&tag", None),
        ("q=SPRING", ["cart", "hello"]),
        ("q=ello", ["hello", "yellow"]),
        ("q=HELLO%20again", ["hello"]),
        ("q=stra%C3%9Fe", ["cart"]),
        ("q=nothing", []),
        ("q=spring&tag=late&folder=b", ["hello"]),
        ("q=l&limit=1&cursor=hello", ["yellow"]),
        ("status=launching", []),
    ],
)
def test_flows_are_found_by_tag_and_by_words(tmp_path: Path, query: str, found: list[str] | None) -> None:
    flows = [
        {**FLOW, "id": "cart", "name": "STRASSE", "folder": "a", "tags": ["Spring"]},
        {**FLOW, "id": "hello", "name": "Hello again", "folder": "b", "tags": ["Spring", "late"]},
        {**FLOW, "id": "yellow", "name": "Third", "folder": "b", "tags": "not a list"},
    ]

    async def body(api: Api) -> None:
        for flow in flows:
            await api.post("/v1/flows", flow)
        if found is None:
            assert (await api.get(f"/v1/flows?{query}")).problem.status == 422
        else:
            assert await ids(api, query) == found

    with_api(tmp_path, body)


def test_a_draft_says_what_is_probably_not_meant(tmp_path: Path) -> None:
    lonely = {**FLOW, "nodes": {**FLOW["nodes"], "lonely": {"kind": "wait", "for": "1d"}}}

    async def body(api: Api) -> None:
        made = (await api.post("/v1/flows", FLOW)).shaped(answers.Draft)
        assert made.warnings == []
        saved = (await api.put("/v1/flows/welcome/draft", lonely)).shaped(answers.Saved)
        assert (saved.status, saved.problems) == ("ready", [])
        assert [(warning.node, warning.code) for warning in saved.warnings] == [("lonely", "unreachable")]
        shown = (await api.get("/v1/flows/welcome/draft")).shaped(answers.Draft)
        assert shown.warnings == saved.warnings
        assert (await api.post("/v1/flows/welcome/launch")).status == 200

    with_api(tmp_path, body)


async def ids(api: Api, query: str) -> list[str]:
    return [flow["id"] for flow in (await api.get(f"/v1/flows?{query}")).body["flows"]]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=many", "/limit"),
        ("status=asleep", "/status"),
        ("colour=red", ""),
        ("limit=1&limit=2", "/limit"),
    ],
)
def test_a_query_nobody_understands_is_refused_with_its_place(
    tmp_path: Path, query: str, pointer: str
) -> None:
    async def body(api: Api) -> None:
        refused = await api.get(f"/v1/flows?{query}")
        assert refused.status == 422
        assert [problem.pointer for problem in refused.problem.errors] == [pointer]

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/flows/none"),
        ("DELETE", "/v1/flows/none"),
        ("GET", "/v1/flows/none/draft"),
        ("POST", "/v1/flows/none/draft"),
        ("DELETE", "/v1/flows/none/draft"),
        ("GET", "/v1/flows/none/impact"),
        ("POST", "/v1/flows/none/launch"),
        ("POST", "/v1/flows/none/pause"),
        ("POST", "/v1/flows/none/resume"),
        ("POST", "/v1/flows/none/duplicate"),
        ("GET", "/v1/flows/none/versions"),
        ("GET", "/v1/flows/none/versions/1"),
        ("GET", "/v1/flows/none/stats"),
        ("GET", "/v1/flows/none/report/test"),
        ("GET", "/v1/flows/none/runs"),
    ],
)
def test_a_flow_nobody_knows_is_not_found(tmp_path: Path, method: str, path: str) -> None:
    async def body(api: Api) -> None:
        assert (await api.ask(method, path)).problem.status == 404

    with_api(tmp_path, body)


def test_a_save_based_on_an_old_revision_is_refused(tmp_path: Path) -> None:
    path = "/v1/flows/welcome/draft"

    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        first = await api.get(path)
        saved = await api.put(path, {**FLOW, "name": "A"}, headers={"If-Match": first.headers["ETag"]})
        assert saved.status == 200
        assert saved.headers["ETag"] == f'"{saved.shaped(answers.Saved).revision}"' != first.headers["ETag"]
        for tag in (first.headers["ETag"], '"none"', '"1", "2"'):
            stale = await api.put(path, {**FLOW, "name": "B"}, headers={"If-Match": tag})
            assert stale.problem.status == 412
        assert (await api.get(path)).body["document"]["name"] == "A"
        assert (await api.put(path, {**FLOW, "name": "C"}, headers={"If-Match": "*"})).status == 200
        assert (await api.put(path, {**FLOW, "name": "D"})).status == 200
        launch = "/v1/flows/welcome/launch"
        for method, where in (("DELETE", path), ("POST", launch)):
            for tag in (first.headers["ETag"], '"none"'):
                refused = await api.ask(method, where, headers={"If-Match": tag})
                assert (refused.problem.status, refused.problem.code) == (412, "stale_revision")
        latest = {"If-Match": (await api.get(path)).headers["ETag"]}
        assert (await api.post(launch, headers=latest)).status == 200
        started = await api.post(path)
        assert (await api.delete(path, headers={"If-Match": started.headers["ETag"]})).status == 204
        assert (await api.delete(path, headers={"If-Match": "*"})).problem.status == 404

    with_api(tmp_path, body)


def test_a_launch_and_a_save_that_meet_leave_nothing_unseen(tmp_path: Path) -> None:
    """Both mean the revision they read: whichever the engine takes first, the other is refused."""

    async def body(api: Api) -> None:
        made = await api.post("/v1/flows", FLOW)
        seen = {"If-Match": made.headers["ETag"]}
        replies: dict[str, int] = {}

        async def save() -> None:
            changed = {**FLOW, "name": "B"}
            replies["save"] = (await api.put("/v1/flows/welcome/draft", changed, headers=seen)).status

        async def launch() -> None:
            replies["launch"] = (await api.post("/v1/flows/welcome/launch", headers=seen)).status

        async with trio.open_nursery() as nursery:
            nursery.start_soon(save)
            nursery.start_soon(launch)
        assert replies in ({"save": 200, "launch": 412}, {"save": 409, "launch": 200})
        active = (await api.get("/v1/flows/welcome")).body["active"]
        assert active == (FLOW if replies["launch"] == 200 else None)

    with_api(tmp_path, body)


def test_a_launched_flow_counts_and_shows_its_runs(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        launched = (await api.post("/v1/flows/welcome/launch")).shaped(answers.Launched)
        assert (launched.version, launched.status, launched.removed.total) == (1, "active", 0)
        await api.send(signed_up("a"), signed_up("b"), signed_up("c"))
        stats = (await api.get("/v1/flows/welcome/stats")).shaped(answers.Stats)
        assert stats.nodes["hello"]["arrived"] == 3
        assert stats.nodes["pause"]["waiting"] == 3
        page = (await api.get("/v1/flows/welcome/runs?node=pause&limit=2")).shaped(answers.Runs)
        rest = (await api.get(f"/v1/flows/welcome/runs?limit=2&cursor={page.cursor}")).shaped(answers.Runs)
        assert [run.contact for run in page.runs + rest.runs] == ["a", "b", "c"]
        assert rest.cursor is None
        assert (await api.get("/v1/flows/welcome/runs?node=hello")).body["runs"] == []
        shown = (await api.get("/v1/flows/welcome")).shaped(answers.FlowDetail)
        assert (shown.status, shown.entered, shown.waiting, shown.active) == ("active", 3, 3, FLOW)

    with_api(tmp_path, body)


def test_a_new_version_is_previewed_launched_and_kept_in_the_history(tmp_path: Path) -> None:
    nodes: dict[str, Any] = {**FLOW["nodes"], "begin": {**FLOW["nodes"]["begin"], "next": "hello"}}
    nodes["hello"] = {key: value for key, value in nodes["hello"].items() if key != "next"}
    shorter = {**FLOW, "nodes": {key: nodes[key] for key in ("begin", "hello")}}

    async def body(api: Api) -> None:
        await api.launch(FLOW)
        await api.send(signed_up("a"), signed_up("b"))
        assert (await api.post("/v1/flows/welcome/draft")).status == 201
        assert (await api.post("/v1/flows/welcome/draft")).problem.status == 409
        assert (await api.post("/v1/flows/welcome/draft?replace=true")).status == 201
        assert (await api.put("/v1/flows/welcome/draft", shorter)).status == 200
        impact = (await api.get("/v1/flows/welcome/impact")).shaped(answers.Impact)
        assert (impact.version, impact.removed.nodes, impact.removed.contacts) == (
            2,
            {"pause": 2},
            ["a", "b"],
        )
        launched = (await api.post("/v1/flows/welcome/launch")).shaped(answers.Launched)
        assert (launched.stay, launched.removed) == (impact.stay, impact.removed)
        versions = (await api.get("/v1/flows/welcome/versions")).shaped(answers.Versions).versions
        assert [version.version for version in versions] == [1, 2]
        assert versions[0].stopped_at == versions[1].launched_at
        first = (await api.get("/v1/flows/welcome/versions/1")).shaped(answers.VersionDetail)
        assert first.document == FLOW
        assert (await api.get("/v1/flows/welcome/versions/3")).problem.status == 404

    with_api(tmp_path, body)


def test_an_old_version_is_restored_as_a_draft(tmp_path: Path) -> None:
    path = "/v1/flows/welcome/draft"

    async def body(api: Api) -> None:
        await api.launch(FLOW)
        await api.post(path)
        await api.put(path, {**FLOW, "name": "Second"})
        await api.post("/v1/flows/welcome/launch")
        restored = await api.post(f"{path}?version=1")
        assert restored.status == 201
        assert restored.shaped(answers.Draft).document == FLOW
        assert restored.headers["ETag"] == f'"{restored.body["revision"]}"'
        assert (await api.post(f"{path}?version=2")).problem.code == "draft_exists"
        again = await api.post(f"{path}?version=2&replace=true")
        assert again.body["document"]["name"] == "Second"
        assert (await api.post(f"{path}?version=3&replace=true")).problem.code == "no_such_version"
        assert (await api.post(f"{path}?version=0")).problem.status == 422
        assert (await api.get(path)).body == again.body
        await api.post(f"{path}?version=1&replace=true")
        launched = (await api.post("/v1/flows/welcome/launch")).shaped(answers.Launched)
        assert launched.version == 3
        assert (await api.get("/v1/flows/welcome")).body["active"] == FLOW

    with_api(tmp_path, body)


def test_an_ab_test_is_reported_on(tmp_path: Path) -> None:
    """Figures of two dozen contacts, counted by hand; what they mean is the report's own matter."""

    async def body(api: Api) -> None:
        await api.launch(AB_FLOW)
        empty = (await api.get("/v1/flows/offer/report/test")).shaped(answers.Report)
        assert (empty.started_at, empty.contacts, empty.winner) == (None, 0, None)
        people = [f"c{number}" for number in range(24)]
        await api.send(*(signed_up(contact) for contact in people))
        await api.send(*(ordered(contact, 10.5) for contact in people[:6] + people[:2]))
        report = (await api.get("/v1/flows/offer/report/test")).shaped(answers.Report)
        assert (report.flow, report.node, report.metric, report.contacts) == ("offer", "test", METRIC, 24)
        assert [(one.name, one.control, one.share) for one in report.variants] == [
            ("plain", True, 50),
            ("gift", False, 50),
        ]
        assert sum(one.conversions for one in report.variants) == 6
        assert sum(one.orders for one in report.variants) == 8
        assert sum(one.revenue or 0 for one in report.variants) == 84
        for one in report.variants:
            assert one.metrics.conversion_rate.value == one.conversions / one.contacts
        assert report.variants[0].metrics.conversion_rate.lift is None
        assert report.reason.startswith("No winner yet: 0 of at least 7 days have passed")
        for node in ("start", "none"):
            missing = await api.get(f"/v1/flows/offer/report/{node}")
            assert (missing.problem.status, missing.problem.code) == (404, "no_such_test")

    with_api(tmp_path, body)


def test_a_draft_reports_on_nothing(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.post("/v1/flows", AB_FLOW)
        assert (await api.get("/v1/flows/offer/report/test")).problem.code == "no_such_test"

    with_api(tmp_path, body)


def test_a_flow_is_paused_resumed_scheduled_and_deleted(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.launch(FLOW)
        paused = (await api.post("/v1/flows/welcome/pause")).shaped(answers.FlowDetail)
        assert (paused.status, paused.reason) == ("paused", "manual")
        assert (await api.post("/v1/flows/welcome/resume")).body["status"] == "active"
        end = "2000-01-01T00:00:00Z"
        ended = (await api.put("/v1/flows/welcome/schedule", {"end": end})).shaped(answers.FlowDetail)
        assert (ended.status, ended.reason, ended.schedule) == (
            "paused",
            "schedule_end",
            {"start": None, "end": end},
        )
        assert (await api.put("/v1/flows/welcome/schedule", {"end": "soon"})).problem.status == 422
        assert (await api.put("/v1/flows/welcome/schedule", {"end": None})).body["status"] == "active"
        assert (await api.delete("/v1/flows/welcome")).problem.status == 409
        await api.post("/v1/flows/welcome/pause")
        deleted = await api.delete("/v1/flows/welcome")
        assert (deleted.status, deleted.body) == (204, b"")
        assert (await api.get("/v1/flows/welcome")).problem.status == 404

    with_api(tmp_path, body)


def test_a_copy_is_a_draft_of_its_own(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.launch(FLOW)
        made = await api.post("/v1/flows/welcome/duplicate")
        assert made.status == 201
        copy = made.shaped(answers.Draft)
        assert made.headers["Location"] == f"/v1/flows/{copy.flow}"
        assert copy.flow != "welcome"
        named = await api.post("/v1/flows/welcome/duplicate", {"id": "greet", "name": "Greet"})
        assert (named.body["flow"], named.body["document"]["name"]) == ("greet", "Greet")
        assert (await api.post("/v1/flows/welcome/duplicate", {"id": "greet"})).problem.status == 409

    with_api(tmp_path, body)


def test_a_draft_is_thrown_away(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.launch(FLOW)
        await api.post("/v1/flows/welcome/draft")
        assert (await api.delete("/v1/flows/welcome/draft")).status == 204
        assert (await api.get("/v1/flows/welcome/draft")).problem.status == 404
        assert (await api.get("/v1/flows/welcome")).body["status"] == "active"

    with_api(tmp_path, body)


def test_a_simulation_shows_what_would_happen_and_touches_nothing(tmp_path: Path) -> None:
    wanted = {
        "start": "2026-08-10T00:00:00Z",
        "until": "2026-08-20T00:00:00Z",
        "input": [
            {"at": "2026-08-10T12:00:00Z", "type": "identify", "userId": "a", "traits": {"email": "a@b.c"}},
            {"at": "2026-08-10T12:00:00Z", **signed_up("a")},
        ],
    }

    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        shown = (await api.post("/v1/flows/welcome/simulate", wanted)).shaped(answers.Simulated)
        assert [(record["at"], record["node"], record["what"]) for record in shown.trace] == [
            ("2026-08-10T12:00:00Z", "begin", "entered"),
            ("2026-08-10T12:00:00Z", "hello", "executed"),
            ("2026-08-10T12:00:00Z", "pause", "waiting"),
            ("2026-08-13T12:00:00Z", "thanks", "executed"),
            ("2026-08-13T12:00:00Z", "thanks", "left"),
        ]
        assert shown.stats.nodes["thanks"]["executed"] == 1
        assert not shown.truncated
        assert (await api.get("/v1/contacts/a")).status == 404
        assert (await api.get("/v1/flows/welcome")).body["status"] == "ready"
        never = await api.post("/v1/flows/welcome/simulate", {**wanted, "version": "active"})
        assert never.problem.status == 409

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        ({"$file": "/etc/hostname"}, "/input/0"),
        (
            {"at": "2026-08-10T12:00:00Z", "type": "control", "op": "launch", "flow": {"$file": "x"}},
            "/input/0",
        ),
        ({"at": "never", **signed_up("a")}, None),
        ({"at": "2026-08-10T12:00:00Z", "type": "dance"}, None),
    ],
)
def test_a_simulation_takes_no_files_and_says_what_it_cannot_read(
    tmp_path: Path, item: dict[str, Any], pointer: str | None
) -> None:
    wanted = {"start": "2026-08-10T00:00:00Z", "until": "2026-08-20T00:00:00Z", "input": [item]}

    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        refused = await api.post("/v1/flows/welcome/simulate", wanted)
        assert refused.problem.status == 422
        if pointer is not None:
            assert [problem.pointer for problem in refused.problem.errors] == [pointer]

    with_api(tmp_path, body)


def test_a_simulation_does_not_begin_before_time_does(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.post("/v1/flows", FLOW)
        wanted = {"start": "1127-11-30T12:11:05Z", "until": "2026-08-20T00:00:00Z"}
        refused = await api.post("/v1/flows/welcome/simulate", wanted)
        assert (refused.status, refused.problem.errors[0].pointer) == (422, "/start")

    with_api(tmp_path, body)
