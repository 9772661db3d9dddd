"""Python that skips assertions (`python -O`): no assertion does work that would be skipped, and the engine refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60
"""Ingest that loses count of its batches waits for ever."""

CONTACT_TABLE = """
from ext.kernel.contact_table import ContactTable
from ext.kernel.contact import Contact

table, contact = ContactTable(bytes(16)), Contact("ann", 0)
table.lead("ann", contact)
table.forget("ann", contact)
print(table.get("ann"), len(table))
"""

RUN_TABLE = """
from ext.kernel.run import Run
from ext.kernel.run_table import RunTable

table, run = RunTable(), Run(7)
table.add(run)
table.remove(run)
print(table.get(7), len(table))
"""

INGEST = """
import trio

from tests.store.helpers import events
from tests.test_ingest import bench

async def main():
    async with bench(held=False) as b:
        for number in range(8):
            await b.ingest.submit(events(1, first=number))
        print(b.ingest.durable_seq, b.ingest.statistics()["batches_ahead"])

trio.run(main)
"""

ENGINE = """
import tempfile
from pathlib import Path

import trio

from engine.errors import TidemillError
from engine.service import ServiceConfig, running

async def main():
    async with running(ServiceConfig(data=Path(tempfile.mkdtemp()) / "data")):
        print("running")

try:
    trio.run(main)
except TidemillError as error:
    print(error.code)
"""

COMMAND = "from api.cli.main import main; main()"


def optimized(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python that skips assertions."""
    return subprocess.run(
        [sys.executable, "-O", "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize(
    ("program", "printed"),
    [(CONTACT_TABLE, "None 0"), (RUN_TABLE, "None 0"), (INGEST, "8 0")],
    ids=["contact table", "run table", "ingest"],
)
def test_what_is_done_is_done_without_assertions(program: str, printed: str) -> None:
    done = optimized(program)
    assert (done.stdout.strip(), done.stderr) == (printed, "")


def test_the_engine_refuses_to_run_without_assertions() -> None:
    assert optimized(ENGINE).stdout.strip() == "assertions_off"


@pytest.mark.parametrize("arguments", [["serve"], ["version"], ["flows", "list"]], ids=" ".join)
def test_a_command_refuses_in_one_line(arguments: list[str]) -> None:
    done = optimized(COMMAND, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "tidemill: Python skips assertions here (-O or PYTHONOPTIMIZE), and tidemill stops on a failed one to protect "
        "its data. Start it without -O and unset PYTHONOPTIMIZE.\n"
    )
