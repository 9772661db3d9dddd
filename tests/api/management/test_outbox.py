"""The outbox over HTTP: an application pulls messages and reports what became of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.management import answers
from tests.api.api_engine import FLOW, Api, signed_up, with_api


async def three_messages(api: Api) -> None:
    await api.launch(FLOW)
    for contact in ("a", "b", "c"):
        await api.put(
            f"/v1/contacts/{contact}", {"traits": {"email": f"{contact}@example.com", "first": "Ada"}}
        )
        await api.send(signed_up(contact))


def test_messages_are_pulled_in_pages_and_again_until_there_is_a_receipt(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await three_messages(api)
        page = (await api.get("/v1/outbox?limit=2")).shaped(answers.Outbox)
        rest = (await api.get(f"/v1/outbox?after={page.after}")).shaped(answers.Outbox)
        effects = page.effects + rest.effects
        assert [(effect.contact, effect.address) for effect in effects] == [
            ("a", "a@example.com"),
            ("b", "b@example.com"),
            ("c", "c@example.com"),
        ]
        assert effects[0].message["html"] == "Hello Ada"
        assert (await api.get(f"/v1/outbox?after={rest.after}")).body == {"effects": [], "after": rest.after}
        receipts = [
            {"effect": effects[0].id, "status": "delivered"},
            {"effect": effects[1].id, "status": "bounced", "detail": "no such mailbox"},
            {"effect": "never-sent", "status": "failed"},
        ]
        taken = (await api.post("/v1/outbox/receipts", {"receipts": receipts})).shaped(answers.Accepted)
        assert (taken.accepted, taken.unknown) == (2, ["never-sent"])
        left = (await api.get("/v1/outbox")).shaped(answers.Outbox)
        assert [effect.id for effect in left.effects] == [effects[2].id]
        problems = (await api.get("/v1/monitoring/problems")).shaped(answers.Monitoring).problems
        assert [(problem.contact, problem.detail) for problem in problems] == [("b", "no such mailbox")]

    with_api(tmp_path, body)


def test_what_was_given_up_is_listed_and_tried_again_under_the_same_id(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await three_messages(api)
        sent = (await api.get("/v1/outbox")).shaped(answers.Outbox)
        receipts = [{"effect": one.id, "status": "failed", "detail": "no route"} for one in sent.effects]
        await api.post("/v1/outbox/receipts", {"receipts": receipts})
        dead = (await api.get("/v1/monitoring/problems")).shaped(answers.Monitoring).dead_letters
        assert [(one.contact, one.channel, one.detail) for one in dead] == [
            (contact, "email", "no route") for contact in "cba"
        ]
        path = "/v1/monitoring/problems/retry"
        one = (await api.post(path, {"effects": [dead[0].effect, "other"]})).shaped(answers.Accepted)
        assert (one.accepted, one.unknown) == (1, ["other"])
        rest = (await api.post(path, {})).shaped(answers.Accepted)
        assert (rest.accepted, rest.unknown) == (2, [])
        again = (await api.get(f"/v1/outbox?after={sent.after}")).shaped(answers.Outbox)
        assert [(one.id, one.message) for one in again.effects] == [
            (sent.effects[place].id, sent.effects[place].message) for place in (2, 0, 1)
        ]
        assert (await api.get("/v1/monitoring/problems")).shaped(answers.Monitoring).dead_letters == []
        refused = await api.post(path, {"effects": "all"})
        assert (refused.status, refused.problem.errors[0].pointer) == (422, "/effects")

    with_api(tmp_path, body)


def test_a_message_keeps_its_id_over_a_restart(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    async def first(api: Api) -> None:
        await three_messages(api)
        seen.append([effect["id"] for effect in (await api.get("/v1/outbox")).body["effects"]])

    async def second(api: Api) -> None:
        seen.append([effect["id"] for effect in (await api.get("/v1/outbox")).body["effects"]])

    with_api(tmp_path, first)
    with_api(tmp_path, second)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 3


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"receipts": []}, "/receipts"),
        ({"receipts": [{"effect": "x", "status": "lost"}]}, "/receipts/0/status"),
        ({"receipts": [{"effect": "x"}]}, "/receipts/0"),
        ({"receipts": [{"effect": 7, "status": "failed"}]}, "/receipts/0/effect"),
    ],
)
def test_receipts_of_a_wrong_shape_are_refused_with_their_place(
    tmp_path: Path, sent: object, pointer: str
) -> None:
    async def body(api: Api) -> None:
        refused = await api.post("/v1/outbox/receipts", sent)
        assert refused.status == 422
        assert [problem.pointer for problem in refused.problem.errors] == [pointer]

    with_api(tmp_path, body)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0"])
def test_an_outbox_query_nobody_understands_is_refused(tmp_path: Path, query: str) -> None:
    async def body(api: Api) -> None:
        assert (await api.get(f"/v1/outbox?{query}")).problem.status == 422

    with_api(tmp_path, body)
