"""Counts of CDNOW's customers, made without the engine: a first order of 50 or more, 30 days, a second one?"""

import gzip
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path


def counts(path: str | Path, until: datetime) -> dict[str, int]:
    """Return how many customers entered, wait, are thanked and are asked."""
    first: dict[str, tuple[datetime, float]] = {}
    second: dict[str, datetime] = {}
    with gzip.open(path) as lines:
        for line in map(json.loads, lines):
            when, who = datetime.fromisoformat(line["timestamp"]), line["userId"]
            if when <= until and who not in first:
                first[who] = when, line["properties"]["total"]
            elif when <= until:
                second.setdefault(who, when)
    entered = {who: when + timedelta(days=30) for who, (when, total) in first.items() if total >= 50}
    over = {who: end for who, end in entered.items() if end <= until}
    thanked = sum(who in second and second[who] < end for who, end in over.items())  # at the end is too late
    waiting = len(entered) - len(over)
    return {"entered": len(entered), "waiting": waiting, "thank": thanked, "ask": len(over) - thanked}


if __name__ == "__main__":
    print(counts(sys.argv[1], datetime.fromisoformat(sys.argv[2])))
