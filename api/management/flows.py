"""Flows over HTTP: drafts, launches, versions, figures.

Whatever changes a flow is one control operation, journaled like any other input; whatever reads one asks the
kernel. A draft's revision is its ETag, and `If-Match` is checked by the engine in the same step as the save, the
launch or the deletion, so that nothing can come between.

Warnings are not kept by the engine: they follow from the document's nodes and edges alone, so they are read
off it whenever a draft is shown, without compiling its expressions again.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from quart import Blueprint, Response, request
from quart_schema import tag_blueprint

from api.management import answers
from api.management.backtest import BacktestRequest, backtest
from api.management.openapi import operation, with_yaml
from api.management.request import (
    Cursor,
    Limit,
    answer,
    body,
    document,
    nothing,
    optional_body,
    query,
    service,
)
from api.management.simulation import SimulateRequest, simulate
from engine.errors import Problem, Refused
from engine.flow.tables.findings import Reader
from engine.flow.validate import DOCUMENT
from engine.limits import LIST_LIMIT_DEFAULT

flows = Blueprint("flows", __name__, url_prefix="/v1")
tag_blueprint(flows, ["flows"])

EXAMPLE = {
    "id": "welcome",
    "name": "Welcome",
    "nodes": {
        "start": {"kind": "launch", "trigger": {"event": "Signed Up"}, "next": "wait"},
        "wait": {"kind": "wait", "for": "3d", "next": "gift"},
        "gift": {"kind": "step", "actions": [{"points": {"add": 10}}]},
    },
}
FlowDocument = Annotated[
    dict[str, Any], msgspec.Meta(description="A flow as people write it.", examples=[EXAMPLE])
]
IF_MATCH = {"If-Match": "The ETag of the revision that is meant: refused with 412 if there is a newer one."}
SAVED = ("flow", "status", "revision", "saved_at", "problems", "warnings")
ETAG = {"ETag": "The revision of the draft."}
Status = Literal["draft", "ready", "launching", "active", "paused", "creating_draft"]


class FlowQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which flows."""

    folder: Annotated[str, msgspec.Meta(description="Only flows of this folder.")] | None = None
    brand: Annotated[str, msgspec.Meta(description="Only flows of this brand.")] | None = None
    tag: Annotated[str, msgspec.Meta(description="Only flows that carry this tag.")] | None = None
    status: Annotated[Status, msgspec.Meta(description="Only flows with this status.")] | None = None
    q: (
        Annotated[str, msgspec.Meta(description="Only flows with this in id, name or a tag, in any case.")]
        | None
    ) = None
    limit: Limit = LIST_LIMIT_DEFAULT
    cursor: Cursor | None = None


class StartQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From which version, and whether a draft that is there already goes."""

    version: (
        Annotated[int, msgspec.Meta(ge=1, description="The version to restore; left out: the active one.")]
        | None
    ) = None
    replace: Annotated[bool, msgspec.Meta(description="Replace the draft there is.")] = False


class RunsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs."""

    node: Annotated[str, msgspec.Meta(description="Only runs that wait at this node.")] | None = None
    state: Annotated[
        Literal["waiting"], msgspec.Meta(description="Runs of a flow are kept while they wait.")
    ] = "waiting"
    limit: Limit = LIST_LIMIT_DEFAULT
    cursor: Cursor | None = None


class NewSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when to when the flow takes events; null: without a bound. What is left out stays as it is."""

    start: answers.Instant | msgspec.UnsetType | None = msgspec.UNSET
    end: answers.Instant | msgspec.UnsetType | None = msgspec.UNSET


class DuplicateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the copy is called; left out: made from the original's."""

    id: str | None = None
    name: str | None = None


@flows.post("/flows")
@with_yaml(
    needs="flows", body=FlowDocument, answers={201: answers.Draft}, refusals=(409,), answer_headers=ETAG
)
async def create_flow() -> Response:
    """Create a flow.

    It begins as a draft, kept even with problems; the answer lists them, each with its place.
    """
    made = _warned(await service().control("create_flow", document=await document()))
    return answer(made, 201, {"Location": f"/v1/flows/{made['flow']}", **_etag(made)})


@flows.get("/flows")
@operation(needs="flows", query=FlowQuery, answers={200: answers.FlowList}, refusals=(422,))
async def list_flows() -> Response:
    """List flows, in the order of their ids."""
    asked = query(FlowQuery)
    after = asked.cursor or ""
    found = [flow for flow in service().kernel.flows() if flow["id"] > after and _is_meant(flow, asked)]
    page = found[: asked.limit]
    return answer({"flows": page, "cursor": page[-1]["id"] if len(found) > len(page) else None})


@flows.get("/flows/<flow>")
@operation(needs="flows", answers={200: answers.FlowDetail}, refusals=(404,))
async def get_flow(flow: str) -> Response:
    """Show a flow: status, active version, draft, dates, counts."""
    return answer(service().kernel.flow(flow))


@flows.delete("/flows/<flow>")
@operation(needs="flows", answers={204: None}, refusals=(404, 409))
async def delete_flow(flow: str) -> Response:
    """Delete a flow that is not active, and end its runs."""
    await service().control("delete_flow", flow=flow)
    return nothing()


@flows.get("/flows/<flow>/draft")
@operation(needs="flows", answers={200: answers.Draft}, refusals=(404,), answer_headers=ETAG)
async def get_draft(flow: str) -> Response:
    """Show the draft, with its problems."""
    draft = _warned(service().kernel.draft(flow))
    return answer(draft, headers=_etag(draft))


@flows.put("/flows/<flow>/draft")
@with_yaml(
    needs="flows",
    body=FlowDocument,
    answers={200: answers.Saved},
    refusals=(404, 409, 412),
    request_headers=IF_MATCH,
    answer_headers=ETAG,
)
async def save_draft(flow: str) -> Response:
    """Save the draft.

    Every save is kept, problems or not; the answer lists all problems at once. The running version is not
    touched.
    """
    raw = await document()
    draft = _warned(await service().control("save_draft", flow=flow, document=raw, revision=_expected()))
    return answer({key: draft[key] for key in SAVED}, headers=_etag(draft))


@flows.post("/flows/<flow>/draft")
@operation(
    needs="flows",
    query=StartQuery,
    answers={201: answers.Draft},
    refusals=(404, 409, 422),
    answer_headers=ETAG,
)
async def start_draft(flow: str) -> Response:
    """Start a draft of a launched flow, from its active version or from an old one.

    Launching the draft of an old version restores it, as a version with a number of its own.
    """
    asked = query(StartQuery)
    draft = _warned(
        await service().control("start_draft", flow=flow, replace=asked.replace, version=asked.version)
    )
    return answer(draft, 201, _etag(draft))


@flows.delete("/flows/<flow>/draft")
@operation(needs="flows", answers={204: None}, refusals=(404, 412), request_headers=IF_MATCH)
async def delete_draft(flow: str) -> Response:
    """Throw the draft away.

    The running version is not touched; a flow that was never launched goes with its draft.
    """
    await service().control("delete_draft", flow=flow, revision=_expected())
    return nothing()


@flows.get("/flows/<flow>/impact")
@operation(needs="flows", answers={200: answers.Impact}, refusals=(404, 409, 422))
async def preview_launch(flow: str) -> Response:
    """Say what launching the draft would do to the runs that wait."""
    return answer(service().kernel.impact(flow))


@flows.post("/flows/<flow>/launch")
@operation(
    needs="flows", answers={200: answers.Launched}, refusals=(404, 409, 412, 422), request_headers=IF_MATCH
)
async def launch_flow(flow: str) -> Response:
    """Launch the draft: it becomes the active version at once, the one before goes to the history."""
    return answer(await service().control("launch", flow=flow, revision=_expected()))


@flows.post("/flows/<flow>/pause")
@operation(needs="flows", answers={200: answers.FlowDetail}, refusals=(404, 409))
async def pause_flow(flow: str) -> Response:
    """Pause: nobody enters, and a wait that ends meanwhile ends the run (or holds it, as the flow says)."""
    return answer(await service().control("pause", flow=flow))


@flows.post("/flows/<flow>/resume")
@operation(needs="flows", answers={200: answers.FlowDetail}, refusals=(404, 409))
async def resume_flow(flow: str) -> Response:
    """Resume a paused flow."""
    return answer(await service().control("resume", flow=flow))


@flows.put("/flows/<flow>/schedule")
@operation(needs="flows", body=NewSchedule, answers={200: answers.FlowDetail}, refusals=(404, 409))
async def schedule_flow(flow: str) -> Response:
    """Set from when to when the active version takes events."""
    wanted = await body(NewSchedule)
    return answer(await service().control("schedule", flow=flow, **msgspec.to_builtins(wanted)))


@flows.post("/flows/<flow>/duplicate")
@operation(
    needs="flows",
    body=DuplicateRequest,
    optional=True,
    answers={201: answers.Draft},
    refusals=(404, 409),
    answer_headers=ETAG,
)
async def duplicate_flow(flow: str) -> Response:
    """Copy a flow into a new draft, with a history and salts of its own."""
    wanted = await optional_body(DuplicateRequest)
    named = {key: value for key, value in (("id", wanted.id), ("name", wanted.name)) if value is not None}
    made = _warned(await service().control("duplicate_flow", flow=flow, **named))
    return answer(made, 201, {"Location": f"/v1/flows/{made['flow']}", **_etag(made)})


@flows.get("/flows/<flow>/versions")
@operation(needs="flows", answers={200: answers.Versions}, refusals=(404,))
async def list_versions(flow: str) -> Response:
    """List the versions that were launched, with their dates."""
    return answer({"versions": service().kernel.versions(flow)})


@flows.get("/flows/<flow>/versions/<int:number>")
@operation(needs="flows", answers={200: answers.VersionDetail}, refusals=(404,))
async def get_version(flow: str, number: int) -> Response:
    """Show one version with its document."""
    return answer(service().kernel.version(flow, number))


@flows.get("/flows/<flow>/stats")
@operation(needs="flows", answers={200: answers.Stats}, refusals=(404,))
async def get_stats(flow: str) -> Response:
    """Count, per node, who arrived, who waits, and what became of the others."""
    return answer(service().kernel.stats(flow))


@flows.get("/flows/<flow>/report/<node>")
@operation(needs="flows", answers={200: answers.Report}, refusals=(404,))
async def get_report(flow: str, node: str) -> Response:
    """Report on an A/B test of the active version.

    The intervals hold however often one looks (rule 22): there is no need to wait for an end fixed beforehand.
    """
    return answer(service().kernel.report(flow, node))


@flows.get("/flows/<flow>/runs")
@operation(needs="flows", query=RunsQuery, answers={200: answers.Runs}, refusals=(400, 404, 422))
async def list_runs(flow: str) -> Response:
    """List the runs that wait in a flow."""
    asked = query(RunsQuery)
    return answer(service().kernel.runs(flow, node=asked.node, limit=asked.limit, cursor=asked.cursor))


@flows.post("/flows/<flow>/simulate")
@operation(needs="flows", body=SimulateRequest, answers={200: answers.Simulated}, refusals=(404, 409))
async def simulate_flow(flow: str) -> Response:
    """Run a flow on a virtual clock over given inputs.

    Nothing of the running engine is touched or seen: the contacts are those that the inputs make, every
    channel takes all it is given, and no message leaves.
    """
    wanted = await body(SimulateRequest)
    return answer(await simulate(service().kernel, flow, wanted))


@flows.post("/flows/<flow>/backtest")
@operation(needs="flows", body=BacktestRequest, answers={200: answers.Stats}, refusals=(404, 409))
async def backtest_flow(flow: str) -> Response:
    """Run a flow over recorded events on a virtual clock, each received at its `timestamp`; answers with the counts.

    Nothing of the running engine is touched or seen. For more events than fit into a request there is
    `tidemill backtest`.
    """
    wanted = await body(BacktestRequest)
    return answer(await backtest(service().kernel, flow, wanted))


def _etag(draft: dict[str, Any]) -> dict[str, str]:
    return {"ETag": f'"{draft["revision"]}"'}


def _expected() -> int | None:
    """The revision that `If-Match` asks for; None: any, as with `*`, for what is asked needs a draft anyway."""
    wanted = request.headers.get("If-Match", "*").strip()
    if wanted == "*":
        return None
    text = wanted.removeprefix('"').removesuffix('"')
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused("stale_revision", "No revision of the draft is called that.")
    return int(text)


def _warned(draft: dict[str, Any]) -> dict[str, Any]:
    """The draft with what is probably not meant in it, though it may be launched."""
    reader = Reader()
    DOCUMENT.read(draft["document"], "", reader)
    warnings: list[Problem] = reader.warnings
    return {**draft, "warnings": warnings}


def _is_meant(flow: dict[str, Any], asked: FlowQuery) -> bool:
    wanted = {"folder": asked.folder, "brand": asked.brand, "status": asked.status}
    if any(value is not None and flow[key] != value for key, value in wanted.items()):
        return False
    if asked.tag is not None and asked.tag not in flow["tags"]:
        return False
    if asked.q is None:
        return True
    part = asked.q.casefold()
    return any(part in text.casefold() for text in (flow["id"], flow["name"], *flow["tags"]))
