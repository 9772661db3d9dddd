"""Operation of the engine over HTTP: health, readiness, metrics, problems, dead letters, the schema of events."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from quart import Blueprint, Response
from quart_schema import tag_blueprint

from api.management import answers
from api.management.metrics import registry_of
from api.management.openapi import operation, with_yaml
from api.management.request import answer, body, document, service
from engine.errors import Unavailable
from engine.limits import DEAD_LETTERS_MAX

operations = Blueprint("operations", __name__)
tag_blueprint(operations, ["operations"])

SchemaDocument = Annotated[
    dict[str, Any], msgspec.Meta(description="Which event carries which entity, traits and their types.")
]


@operations.get("/healthz")
@operation(needs="nothing", answers={200: answers.Health})
async def get_health() -> Response:
    """Confirm that the process answers."""
    return answer({"status": "ok"})


@operations.get("/readyz")
@operation(needs="nothing", answers={200: answers.Health}, refusals=(503,))
async def get_readiness() -> Response:
    """Confirm that the engine has recovered and takes input."""
    if not service().accepts_input:
        raise Unavailable("not_ready", "The engine takes no input: it is stopping, or its disk is full.")
    return answer({"status": "ok"})


@operations.get("/metrics")
@operation(needs="read", answers={200: "text/plain"})
async def get_metrics() -> Response:
    """Return all counts in the text format of Prometheus."""
    return Response(generate_latest(registry_of(service())), content_type=CONTENT_TYPE_LATEST)


@operations.get("/v1/monitoring/problems")
@operation(needs="read", answers={200: answers.Monitoring})
async def list_problems() -> Response:
    """List failed and undelivered steps, cut chains, and dead letters, the newest first."""
    kernel = service().kernel
    return answer({"problems": kernel.problems(), "dead_letters": kernel.dead_letters()})


DeadLetterIds = Annotated[
    list[str], msgspec.Meta(max_length=DEAD_LETTERS_MAX, description="Their ids; left out: all.")
]


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Choice of dead letters to retry."""

    effects: DeadLetterIds | None = None


@operations.post("/v1/monitoring/problems/retry")
@operation(needs="outbox", body=Retry, answers={200: answers.Accepted})
async def retry_dead_letters() -> Response:
    """Move dead letters back into the outbox, under the same ids."""
    choice = await body(Retry)
    effects = {} if choice.effects is None else {"effects": choice.effects}
    return answer(await service().control("retry", **effects))


@operations.get("/v1/schema")
@operation(needs="flows", answers={200: SchemaDocument})
async def get_schema() -> Response:
    """Show which events, traits and properties are declared."""
    return answer(service().kernel.schema())


@operations.put("/v1/schema")
@with_yaml(needs="flows", body=SchemaDocument, answers={200: SchemaDocument})
async def put_schema() -> Response:
    """Declare events, traits and properties; flows that are saved from now on are checked against it."""
    return answer(await service().control("schema", schema=await document()))
