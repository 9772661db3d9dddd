"""Outbox over HTTP, for an application that delivers messages by itself.

The application reads pending messages (`GET /v1/outbox?after=`), delivers them, and reports a receipt for each. A
request that starts before a message without a receipt returns the message again, always under the same id. So deliver
at least once, and use the id to discard repeats. Only durable messages are returned.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from quart import Blueprint, Response
from quart_schema import tag_blueprint

from api.management import answers
from api.management.openapi import operation
from api.management.request import Limit, answer, body, query, service
from engine.limits import LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX
from engine.model import Effect, ReceiptStatus
from ext.wire import instant

outbox = Blueprint("outbox", __name__, url_prefix="/v1")
tag_blueprint(outbox, ["outbox"])


class OutboxQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Position in the outbox."""

    after: Annotated[int, msgspec.Meta(ge=0, description="Only effects with a `seq` beyond this.")] = 0
    limit: Limit = LIST_LIMIT_DEFAULT


class ReceiptEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Receipt of one effect (rule 18)."""

    effect: Annotated[str, msgspec.Meta(description="The effect's id.")]
    status: ReceiptStatus
    detail: str = ""


class Receipts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Receipts of some effects."""

    receipts: Annotated[list[ReceiptEntry], msgspec.Meta(min_length=1, max_length=LIST_LIMIT_MAX)]


@outbox.get("/outbox")
@operation(needs="outbox", query=OutboxQuery, answers={200: answers.Outbox}, refusals=(422,))
async def list_effects() -> Response:
    """List messages that have no receipt yet, the oldest first."""
    position = query(OutboxQuery)
    effects = service().outbox(position.after, position.limit)
    after = effects[-1].seq if effects else position.after
    return answer({"effects": [_entry(effect) for effect in effects], "after": after})


@outbox.post("/outbox/receipts")
@operation(needs="outbox", body=Receipts, answers={200: answers.Accepted})
async def add_receipts() -> Response:
    """Report receipts of messages; a second receipt of a message changes nothing."""
    receipts = msgspec.to_builtins((await body(Receipts)).receipts)
    return answer(await service().control("receipts", receipts=receipts))


def _entry(effect: Effect) -> answers.EffectEntry:
    fields = {name: getattr(effect, name) for name in effect.__struct_fields__}
    return answers.EffectEntry(**fields | {"at": instant.format(effect.at)})
