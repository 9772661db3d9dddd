"""What one customer of the demo lived through, told from the shop's diary and the engine's trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.flow.zone import zone
from engine.model import TraceRecord

STORY_LINES_MIN, STORY_LINES_MAX = 12, 30
REASONS = {
    "completed": "reaches the end",
    "no_date": "ends: there is no date to wait for",
    "limit_reached": "ends: the limit is reached",
    "stopped": "ends: the flow was paused",
    "removed": "ends: removed by a new version",
    "deleted": "ends: the contact was deleted",
}


class Traces:
    """The trace records of every contact, kept as the kernel makes them."""

    def __init__(self) -> None:
        self.of: dict[str, list[TraceRecord]] = defaultdict(list)

    def keep(self, records: Iterable[TraceRecord]) -> None:
        for record in records:
            self.of[record.contact].append(record)

    def most_telling(self, diary_lines: Mapping[str, int]) -> str | None:
        """The contact whose story shows most: most flows, then most kinds of outcomes, neither short nor long."""
        best: tuple[int, int, int, str] | None = None
        for contact, records in self.of.items():
            length = len(records) + diary_lines.get(contact, 0)
            fits = STORY_LINES_MIN <= length <= STORY_LINES_MAX
            entered = {record.flow for record in records if record.what == "entered"}
            kinds = {(record.what, str(record.detail.get("result", ""))) for record in records}
            score = (int(fits), len(entered), len(kinds), contact)
            best = max(best, score) if best else score
        return best[3] if best else None


def story(
    name: str, timezone: str, diary: Iterable[tuple[int, str]], records: Iterable[TraceRecord]
) -> Table:
    """Both in one order of time, in the customer's own time of day: what she does, what the flows do."""
    place = zone(timezone)
    lines = [(ms, 0, name, Text(deed, style="bold")) for ms, deed in diary]
    lines += [(record.at, 1, record.flow, told(record, timezone)) for record in records]
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column()
    last = ""
    for ms, rank, who, what in sorted(lines, key=lambda line: line[:2]):
        stamp = datetime.fromtimestamp(ms / 1000, place).strftime("%a %d %b %H:%M")
        made.add_row(stamp if stamp != last else "", Text(who, style="cyan" if rank else "bold"), what)
        last = stamp
    return made


def told(record: TraceRecord, timezone: str) -> Text:
    """One trace record as a sentence without its subject."""
    detail = record.detail
    match record.what:
        case "entered":
            return Text(f"enters on {detail.get('event', 'a schedule')}", style="green")
        case "refused":
            return Text(f"is not let in: {detail.get('reason')}", style="yellow")
        case "waiting":
            until = datetime.fromtimestamp(detail["until"] / 1000, zone(timezone)).strftime("%a %d %b %H:%M")
            return Text(f"{record.node}: waits until {until}")
        case "condition":
            reason = f" ({detail['error']})" if detail.get("error") else ""
            return Text(f"{record.node}: {'yes' if detail.get('result') else 'no'}{reason}")
        case "branch":
            return Text(f"{record.node}: drawn to {detail.get('name')}")
        case "left":
            return Text(REASONS.get(str(detail.get("reason")), str(detail.get("reason"))), style="dim")
        case "executed":
            return Text(f"{record.node}: {_actions(detail)}", style="green")
        case what:
            return Text(f"{record.node}: {what.replace('_', ' ')}: {_actions(detail)}", style="yellow")


def _actions(detail: Mapping[str, Any]) -> str:
    return ", ".join(_action(action) for action in detail.get("actions", []))


def _action(action: Mapping[str, Any]) -> str:
    verb = str(action["action"]).replace("_", " ")
    words = f"{verb} {action['channel'].replace('_', ' ')}" if action.get("channel") else verb
    return f"{words} ({action['error']})" if action.get("error") else words
