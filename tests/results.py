"""Run the long forms of tests and write their outcomes into `tests/RESULTS.md`.

`python -m tests.results` lists the runs; `python -m tests.results lives mutants` executes two of them, replaces their
rows and exits 1 where one fails. A row states command, commit, date and outcome. The other rows stay as they are.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("RESULTS.md")

HEAD = """# The last results

Written by `python -m tests.results NAME…`; [README.md](README.md) says which promise each run supports.

| command | commit | date | outcome |
|---|---|---|---|
"""

RUNS = {
    "ordinary": "python -m pytest",
    "lives": "python -m tests.sim --from 0 --to 2000",
    "lives-long": "python -m pytest tests/sim/test_sim.py -m nightly",
    "mutants": "python -m pytest tests/sim/test_mutants.py -m nightly",
    "kills": "python -m pytest tests/store/test_kill_cycles.py -m nightly",
    "images": "python -m pytest tests/store/test_crash_images.py",
    "flips": "python -m pytest tests/store/test_vault.py -m nightly",
    "reference": "python -m pytest tests/kernel/test_against_reference.py -m nightly",
    "fuzz": "python -m pytest tests/test_fuzz.py -m nightly",
    "api": "python -m pytest tests/api/management/test_schemathesis.py -m nightly",
}
"""Name -> command. "python" stands for the interpreter that executes this module."""

SUMMARY = re.compile(r"\d+ (?:passed|failed|error|lives)\b")


def rows(text: str) -> dict[str, str]:
    """Return the rows of the table by the command in their first cell."""
    return {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)` \|.*\|$", text, re.MULTILINE)}


def page(table: dict[str, str]) -> str:
    """Return the whole file: the head and the rows, in the order in which they were first written."""
    return HEAD + "".join(row + "\n" for row in table.values())


def row(command: str, commit: str, day: datetime.date, outcome: str) -> str:
    """Return one row of the table."""
    return f"| `{command}` | {commit} | {day.isoformat()} | {outcome.replace('|', '/')} |"


def summary(output: str, code: int) -> str:
    """Return the last line that counts tests or lives; for a run without one, its exit code."""
    lines = [line.strip(" =") for line in output.splitlines() if SUMMARY.search(line)]
    text = lines[-1] if lines else "no summary"
    return text if code == 0 else f"FAILED (exit {code}): {text}"


def commit() -> str:
    """Return the short hash of the checked-out commit, marked where files other than the results differ from it."""
    changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{FILE.relative_to(ROOT)}")
    return git("rev-parse", "--short=7", "HEAD") + (" with changes" if changes else "")


def git(*arguments: str) -> str:
    """Return the output of a git command at the root of the repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def execute(command: str) -> tuple[str, int]:
    """Execute a command from the root of the repository. Return its outcome and its exit code."""
    words = [sys.executable if word == "python" else word for word in command.split()]
    begun = time.monotonic()
    done = subprocess.run(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        print(done.stdout)
    minutes, seconds = divmod(round(time.monotonic() - begun), 60)
    return f"{summary(done.stdout, done.returncode)}; {minutes} min {seconds} s", done.returncode


def main() -> int:
    """Execute the named runs and write the file after each; list all runs where none is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.results", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in RUNS]:
        parser.error(f"no such run: {', '.join(unknown)}; there are {', '.join(RUNS)}")
    if not names:
        print("\n".join(f"{name:<11} {command}" for name, command in RUNS.items()))
    failed = False
    for name in names:
        command, at = RUNS[name], commit()
        outcome, code = execute(command)
        failed = failed or code != 0
        table = rows(FILE.read_text(encoding="utf-8"))
        table[command] = row(command, at, datetime.datetime.now(datetime.UTC).date(), outcome)
        FILE.write_text(page(table), encoding="utf-8")
        print(table[command])
    return failed


if __name__ == "__main__":
    sys.exit(main())
