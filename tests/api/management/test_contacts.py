"""Contacts over HTTP: who they are, where they are, and why."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from api.management import answers
from api.management.app import decoded_path
from tests.api.api_engine import FLOW, Api, signed_up, with_api


def test_a_contact_is_made_changed_and_deleted(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        made = await api.put("/v1/contacts/c1", {"traits": {"first": "Ada", "age": 36}})
        assert made.shaped(answers.Contact).traits == {"first": "Ada", "age": 36}
        patched = await api.patch("/v1/contacts/c1", {"traits": {"age": None, "city": "London"}})
        assert patched.body["traits"] == {"first": "Ada", "city": "London"}
        replaced = await api.put("/v1/contacts/c1", {"traits": {"city": "Paris"}})
        assert replaced.body["traits"] == {"city": "Paris"}
        assert (await api.get("/v1/contacts/c1")).body == replaced.body
        assert (await api.delete("/v1/contacts/c1")).status == 204
        assert (await api.get("/v1/contacts/c1")).problem.status == 404
        assert (await api.delete("/v1/contacts/c1")).problem.status == 404

    with_api(tmp_path, body)


@pytest.mark.parametrize("contact", ["a/b", "50%", "%2F", "a%2fb", "ü", "a b", "a?b#c", "x" * 256])
def test_any_text_is_an_id_when_it_is_percent_encoded(tmp_path: Path, contact: str) -> None:
    async def body(api: Api) -> None:
        path = f"/v1/contacts/{quote(contact, safe='')}"
        scoped = decoded_path(path.encode())
        assert scoped.count("/") == 3
        made = await api.service.control("set_contact", contact=contact, traits={"n": 1})
        shown = await api.get(path)
        assert shown.body == made
        assert (await api.get(f"{path}/runs")).body == {"runs": []}

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({}, ""),
        ({"traits": []}, "/traits"),
        ({"traits": {}, "trait": {}}, ""),
        ([], ""),
        ({"traits": {"a/b": [1, {"n": 1 << 70}]}}, "/traits/a~1b/1/n"),
        ({"traits": {"n": -(1 << 63) - 1}}, "/traits/n"),
    ],
)
def test_traits_of_a_wrong_shape_are_refused_with_their_place(
    tmp_path: Path, sent: object, pointer: str
) -> None:
    async def body(api: Api) -> None:
        refused = await api.put("/v1/contacts/c1", sent)
        assert refused.status == 422
        assert [problem.pointer for problem in refused.problem.errors] == [pointer]
        assert (await api.get("/v1/contacts/c1")).status == 404

    with_api(tmp_path, body)


def test_traits_beyond_the_bound_and_ids_too_long_are_refused(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        large = await api.put("/v1/contacts/c1", {"traits": {"much": "x" * 70_000}})
        assert large.problem.status == 422
        assert (await api.put(f"/v1/contacts/{'x' * 257}", {"traits": {}})).problem.status == 422

    with_api(tmp_path, body)


def test_a_contact_shows_its_runs_and_why(tmp_path: Path) -> None:
    once = {**FLOW, "frequency": {"mode": "once"}}

    async def body(api: Api) -> None:
        await api.launch(once)
        await api.put("/v1/contacts/c1", {"traits": {"email": "c1@example.com"}})
        await api.send(signed_up("c1"))
        (run,) = (await api.get("/v1/contacts/c1/runs")).shaped(answers.ContactRuns).runs
        assert (run.flow, run.node, run.state) == ("welcome", "pause", "waiting")
        why = (await api.get("/v1/contacts/c1/why?flow=welcome")).shaped(answers.Why)
        assert (why.in_flow, why.may_enter, why.reason) == (True, False, "frequency")
        assert why.detail
        shown = (await api.get("/v1/contacts/c1")).shaped(answers.Contact)
        assert shown.events["Signed Up"].count == 1
        assert shown.frequency["welcome"]["launches"] == 1
        assert (await api.get("/v1/contacts/c1/why")).problem.status == 422
        assert (await api.get("/v1/contacts/c1/why?flow=none")).problem.status == 404
        assert (await api.get("/v1/contacts/none/why?flow=welcome")).problem.status == 404
        assert (await api.get("/v1/contacts/none/runs")).problem.status == 404

    with_api(tmp_path, body)
