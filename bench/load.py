"""Single-event requests to a running engine: the rate of its answers, and their delay.

    python -m bench.load 127.0.0.1:7701                       # each request after the last answer: the maximum
    python -m bench.load unix:intake.sock --rate 10000        # requests a second: the delays at that rate
    python -m bench.load 127.0.0.1:7701 --pid 4711            # and the CPU time of that process, in µs a request

The sender is `tidemill bench`'s (`api.measure.requests`), in a process of its own; it uses some 10 µs of CPU a request.
On a shared machine the CPU time of a request is the steadier figure.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import msgspec

from api.config import parse_address
from api.measure import work
from api.measure.requests import CONNECTIONS, ask


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("address", help="HOST:PORT or unix:PATH of the intake")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="requests a second; 0: as fast as answers come"
    )
    parser.add_argument("--event", default=work.VIEW)
    parser.add_argument("--pid", type=int, help="of the engine")
    given = parser.parse_args()
    body = work.events(given.count, contacts=100_000, first=0, name=given.event, run=f"{time.time_ns():x}-")
    before_s = cpu_s(given.pid) if given.pid else 0.0
    asked = ask(parse_address(given.address), body, connections=given.connections, rate=given.rate)
    found = {name: round(value, 3) for name, value in msgspec.structs.asdict(asked).items()}
    if given.pid:
        found["engine_us"] = round((cpu_s(given.pid) - before_s) / given.count * 1e6, 1)
    print(json.dumps(found))


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process has used with all its threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
