"""`tidemill flows report` and `restore`: which variant is better, and back to a version that was."""

from __future__ import annotations

import click

from api.cli.commands.asking import engine_options
from api.client.http import Client, EngineError
from api.terminal.report_tables import report_tables
from api.terminal.terminal import console, print_json


@click.command("report")
@click.argument("flow")
@click.argument("node", required=False)
@engine_options
def report(client: Client, flow: str, node: str | None, as_json: bool) -> None:
    """What the A/B test NODE of FLOW has shown so far; without NODE, every A/B test of the flow.

    The intervals hold however often you look. With --json, one line per test.
    """
    nodes = [node] if node else _tests(client, flow)
    found = [client.get("flows", flow, "report", one) for one in nodes]
    for place, one in enumerate(found):
        if as_json:
            print_json(one)
            continue
        if place:
            click.echo()
        console().print(report_tables(one))


def _tests(client: Client, flow: str) -> list[str]:
    """The A/B tests of the active version, in the order of the document."""
    nodes = (client.get("flows", flow)["active"] or {}).get("nodes", {})
    tests = [id for id, node in nodes.items() if node["kind"] == "ab_test"]
    if not tests:
        raise EngineError("no_such_test", f"The flow {flow!r} runs no A/B test.")
    return tests


@click.command("restore")
@click.argument("flow")
@click.argument("version", type=click.IntRange(1))
@click.option("--replace", is_flag=True, help="Replace the draft there is.")
@engine_options
def restore(client: Client, flow: str, version: int, replace: bool, as_json: bool) -> None:
    """Make VERSION of FLOW its draft; launching that brings it back as a new version."""
    draft = client.post("flows", flow, "draft", version=version, replace="true" if replace else None)
    if as_json:
        print_json(draft)
        return
    click.echo(
        f"Version {version} of {flow} is its draft ({draft['status']}). "
        f"Launch it with: tidemill flows launch {flow}"
    )
