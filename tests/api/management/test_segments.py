"""Segments and pools of codes over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.management import answers
from tests.api.api_engine import Api, with_api


def test_members_come_go_and_are_listed_in_order(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        for contact in ("c", "a", "b"):
            added = await api.put(f"/v1/segments/vip/members/{contact}")
            assert added.shaped(answers.Changed).changed == 1
        assert (await api.put("/v1/segments/vip/members/a")).body["changed"] == 0
        page = (await api.get("/v1/segments/vip/members?limit=2")).shaped(answers.Members)
        rest = (await api.get(f"/v1/segments/vip/members?limit=2&cursor={page.cursor}")).shaped(
            answers.Members
        )
        assert (page.members, rest.members, rest.cursor) == (["a", "b"], ["c"], None)
        assert (await api.get("/v1/contacts/a")).body["segments"] == ["vip"]
        assert (await api.delete("/v1/segments/vip/members/a")).body["changed"] == 1
        assert (await api.delete("/v1/segments/vip/members/a")).body["changed"] == 0
        assert (await api.delete("/v1/segments/vip/members/nobody")).body["changed"] == 0
        assert (await api.get("/v1/segments/vip/members")).body["members"] == ["b", "c"]

    with_api(tmp_path, body)


def test_a_segment_has_an_id(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        assert (await api.put("/v1/segments/Very%20Important/members/a")).problem.status == 422

    with_api(tmp_path, body)


def test_a_pool_counts_what_is_left(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        assert (await api.get("/v1/promo-pools")).shaped(answers.Pools).pools == []
        pool = (await api.post("/v1/promo-pools/spring/codes", {"codes": ["A", "B"]})).shaped(answers.Pool)
        assert (pool.id, pool.available, pool.issued) == ("spring", 2, 0)
        assert (await api.get("/v1/promo-pools")).shaped(answers.Pools).pools == [pool]

    with_api(tmp_path, body)


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [({"codes": []}, "/codes"), ({"codes": ["A", 1]}, "/codes/1"), ({"codes": "A"}, "/codes")],
)
def test_codes_that_are_none_are_refused_with_their_place(tmp_path: Path, sent: object, pointer: str) -> None:
    async def body(api: Api) -> None:
        refused = await api.post("/v1/promo-pools/spring/codes", sent)
        assert refused.status == 422
        assert [problem.pointer for problem in refused.problem.errors] == [pointer]
        assert (await api.get("/v1/promo-pools")).body == {"pools": []}

    with_api(tmp_path, body)
