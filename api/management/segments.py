"""Segments and pools of promo codes over HTTP: the sets that flows read and change."""

from __future__ import annotations

from typing import Annotated

import msgspec
from quart import Blueprint, Response
from quart_schema import tag_blueprint

from api.management import answers
from api.management.openapi import operation
from api.management.request import PageQuery, answer, body, query, service

segments = Blueprint("segments", __name__, url_prefix="/v1")
tag_blueprint(segments, ["segments"])


class Codes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Codes to be issued, each once, in this order."""

    codes: Annotated[list[str], msgspec.Meta(min_length=1)]


@segments.get("/segments/<segment>/members")
@operation(needs="contacts", query=PageQuery, answers={200: answers.Members}, refusals=(404, 422))
async def list_members(segment: str) -> Response:
    """List the contacts of a segment, in the order of their ids."""
    page = query(PageQuery)
    return answer(service().kernel.segment_members(segment, limit=page.limit, cursor=page.cursor))


@segments.put("/segments/<segment>/members/<name:contact>")
@operation(needs="contacts", answers={200: answers.Changed}, refusals=(404, 422))
async def add_member(segment: str, contact: str) -> Response:
    """Add a contact to a segment; 0 changed means it was a member already."""
    return answer(await service().control("segment_add", segment=segment, contacts=[contact]))


@segments.delete("/segments/<segment>/members/<name:contact>")
@operation(needs="contacts", answers={200: answers.Changed}, refusals=(404, 422))
async def remove_member(segment: str, contact: str) -> Response:
    """Remove a contact from a segment; 0 changed means it was not a member."""
    return answer(await service().control("segment_remove", segment=segment, contacts=[contact]))


@segments.get("/promo-pools")
@operation(needs="contacts", answers={200: answers.Pools})
async def list_pools() -> Response:
    """List the pools of promo codes: how many are left, how many were issued."""
    return answer({"pools": service().kernel.pools()})


@segments.post("/promo-pools/<pool>/codes")
@operation(needs="contacts", body=Codes, answers={200: answers.Pool})
async def add_codes(pool: str) -> Response:
    """Add codes at the end of a pool, which is created if need be."""
    codes = (await body(Codes)).codes
    return answer(await service().control("add_codes", pool=pool, codes=codes))
