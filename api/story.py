"""What one customer of the demo lived through, told from the shop's diary and the engine's trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from api.shop import Deed
from engine.flow.zone import ms_to_local, zone
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


def story(name: str, timezone: str, diary: Sequence[Deed], records: Iterable[TraceRecord]) -> Table:
    """Both in one order of time, in the customer's own time of day: what she does, what the flows do."""
    lines = [(deed.ms, 0, name, Text(deed.words, style="bold")) for deed in diary]
    lines += [(ms, 1, record.flow, told(record, timezone)) for ms, record in logical(diary, records)]
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column()
    last = ""
    for ms, rank, who, what in sorted(lines, key=lambda line: line[:2]):
        stamp = _stamp(ms, timezone)
        made.add_row(stamp if stamp != last else "", Text(who, style="cyan" if rank else "bold"), what)
        last = stamp
    return made


def logical(diary: Sequence[Deed], records: Iterable[TraceRecord]) -> Iterator[tuple[int, TraceRecord]]:
    """Each record at its run's logical time (rule 2): from the event it entered by to the ends of its waits.

    The demo's engine hears of an hour's events at the end of that hour, which would only confuse a reader.
    """
    times: dict[int, int] = {}
    for record in records:
        if record.what in ("entered", "refused"):
            heard = [
                deed.ms for deed in diary if deed.event == record.detail.get("event") and deed.ms <= record.at
            ]
            times[record.run] = heard[-1] if heard else record.at
        ms = times.get(record.run, record.at)
        yield ms, record
        if record.what == "waiting":
            times[record.run] = int(record.detail["until"])


def _stamp(ms: int, timezone: str) -> str:
    day, minute, _ = ms_to_local(zone(timezone), ms)
    return f"{day:%a %d %b} {minute // 60:02}:{minute % 60:02}"


def told(record: TraceRecord, timezone: str) -> Text:
    """One trace record as a sentence without its subject."""
    detail = record.detail
    match record.what:
        case "entered":
            return Text(f"enters on {detail.get('event', 'a schedule')}", style="green")
        case "refused":
            return Text(f"is not let in: {detail.get('reason')}", style="yellow")
        case "waiting":
            return Text(f"{record.node}: waits until {_stamp(detail['until'], timezone)}")
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
