"""`tidemill serve`, `demo` and `version`: the commands that are, or describe, the engine itself."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from api.terminal.terminal import print_json, settings_of

DEMO_CONTACTS_MAX = 1_000_000


@click.command("serve")
@click.option("--data", metavar="DIR", help="The data directory. Default ./tidemill-data.")
@click.option("--http", metavar="ADDRESS", multiple=True, help="Management API. Default 127.0.0.1:7700.")
@click.option("--intake", metavar="ADDRESS", multiple=True, help="Events by HTTP. Default 127.0.0.1:7701.")
@click.option("--stream", metavar="ADDRESS", multiple=True, help="NDJSON streams. Default 127.0.0.1:7702.")
@click.option("--certfile", metavar="FILE", help="Certificate (PEM): the management API speaks TLS on TCP.")
@click.option("--keyfile", metavar="FILE", help="The private key of the certificate (PEM).")
@click.pass_context
def serve_command(ctx: click.Context, /, **flags: Any) -> None:
    """Run the engine until SIGTERM or SIGINT, which stop it cleanly.

    An ADDRESS is HOST:PORT (port 0: any free one) or unix:PATH; give an option several times to listen in
    several places.
    """
    from api.serve import serve

    serve(settings_of(ctx, **flags))


@click.command("demo")
@click.option("--contacts", type=click.IntRange(2, DEMO_CONTACTS_MAX), default=2_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same shop.")
@click.option("--serve", "keep", is_flag=True, help="Leave the engine up afterwards and print its address.")
@click.option("--http", metavar="ADDRESS", default="127.0.0.1:7700", show_default=True, help="For --serve.")
def demo_command(contacts: int, seed: int, keep: bool, http: str) -> None:
    """A shop in a box: a real engine on a temporary directory, months of customers in seconds.

    Launches the sample flows, plays simulated customers through them and prints where everybody went.
    """
    from api.config import parse_address
    from api.demo.demo import demo

    demo(contacts=contacts, seed=seed, http=parse_address(http, "--http") if keep else None)


@click.command("version")
@click.option("--json", "as_json", is_flag=True)
def version_command(as_json: bool) -> None:
    """Print the version."""
    facts = {
        "version": version("tidemill"),
        "python": platform.python_version(),
        "machine": f"{sys.platform} {platform.machine()}",
        "installed": str(Path(__file__).parents[3]),
    }
    if as_json:
        print_json(facts)
    else:
        click.echo(f"tidemill {facts['version']} (Python {facts['python']}, {facts['machine']})")
