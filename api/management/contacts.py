"""Contacts over HTTP: who they are, which flows they travel, and why.

A contact's id is any text of up to 256 bytes, slashes included: write it percent-encoded (`a%2Fb`).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from quart import Blueprint, Response
from quart_schema import tag_blueprint

from api.management import answers
from api.management.openapi import operation
from api.management.request import answer, body, nothing, query, service

contacts = Blueprint("contacts", __name__, url_prefix="/v1")
tag_blueprint(contacts, ["contacts"])


class Traits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known about a contact."""

    traits: dict[str, Any]


class WhyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which flow is asked about."""

    flow: Annotated[str, msgspec.Meta(description="The id of the flow.")]


@contacts.get("/contacts/<name:contact>")
@operation(needs="contacts", answers={200: answers.Contact}, refusals=(404,))
async def get_contact(contact: str) -> Response:
    """Show a contact: traits, segments, points, events, launches."""
    return answer(service().kernel.contact(contact))


@contacts.put("/contacts/<name:contact>")
@operation(needs="contacts", body=Traits, answers={200: answers.Contact})
async def put_contact(contact: str) -> Response:
    """Create a contact, or replace all traits of one that is there."""
    wanted = await body(Traits)
    return answer(await service().control("set_contact", contact=contact, traits=wanted.traits))


@contacts.patch("/contacts/<name:contact>")
@operation(needs="contacts", body=Traits, answers={200: answers.Contact})
async def patch_contact(contact: str) -> Response:
    """Set the traits that are given, keep the others; null takes a trait away. Creates a contact."""
    wanted = await body(Traits)
    return answer(await service().control("patch_contact", contact=contact, traits=wanted.traits))


@contacts.delete("/contacts/<name:contact>")
@operation(needs="contacts", answers={204: None}, refusals=(404,))
async def delete_contact(contact: str) -> Response:
    """Delete a contact: its runs end, its data goes, counts stay as they are."""
    await service().control("delete_contact", contact=contact)
    return nothing()


@contacts.get("/contacts/<name:contact>/runs")
@operation(needs="contacts", answers={200: answers.ContactRuns}, refusals=(404,))
async def list_contact_runs(contact: str) -> Response:
    """List the flows a contact is in, and the last ones it left."""
    return answer({"runs": service().kernel.contact_runs(contact)})


@contacts.get("/contacts/<name:contact>/why")
@operation(needs="contacts", query=WhyQuery, answers={200: answers.Why}, refusals=(404, 422))
async def explain_contact(contact: str) -> Response:
    """Say why a contact is, or is not, in a flow."""
    return answer(service().kernel.why(contact, query(WhyQuery).flow))
