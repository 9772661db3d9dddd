"""What one customer of the demo lived through, told from the shop's diary and the engine's trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from api.demo.shop import Customer, Deed
from api.terminal.flow_tables import action_phrase
from engine.flow.zone import ms_to_local, zone
from engine.model import TraceRecord

STORY_LINES_MIN, STORY_LINES_MAX = 12, 30
REASONS = {
    "completed": "reaches the end",
    "no_date": "ends: there is no date to wait for",
    "limit_reached": "ends: the limit is reached",
    "stopped": "ends: the flow was paused",
    "removed": "ends: removed by a new version",
    "exited": "ends: left as the flow's exit says",
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


class Storyteller:
    """Tells of one customer, in the customer's own time of day: what she does, what the flows do.

    `documents` are the flows by id, `mail` the headings of the messages by (run, node, channel).
    """

    def __init__(
        self,
        customer: Customer,
        documents: Mapping[str, Mapping[str, Any]],
        mail: Mapping[tuple[int, str, str], str],
    ) -> None:
        self._customer = customer
        self._documents = documents
        self._mail = mail

    def tell(self, diary: Iterable[Deed], records: Iterable[TraceRecord]) -> Table:
        """The diary and the records in one order of time."""
        name = self._customer.name
        lines = [(deed.ms, 0, name, Text(deed.words, style="bold")) for deed in diary]
        lines += [(record.at, 1, record.flow, self.told(record)) for record in records]
        made = Table(box=None, pad_edge=False, show_header=False)
        made.add_column(style="dim", no_wrap=True)
        made.add_column(no_wrap=True)
        made.add_column()
        last = ""
        for ms, rank, who, what in sorted(lines, key=lambda line: line[:2]):
            stamp = self._stamp(ms)
            made.add_row(stamp if stamp != last else "", Text(who, style="cyan" if rank else "bold"), what)
            last = stamp
        return made

    def told(self, record: TraceRecord) -> Text:
        """One trace record as a sentence without its subject."""
        detail = record.detail
        match record.what:
            case "entered":
                return Text(f"enters on {detail.get('event', 'its schedule')}", style="green")
            case "refused":
                until = f" until {self._stamp(detail['until'])}" if detail.get("until") else ""
                return Text(f"is not let in: {detail['reason'].replace('_', ' ')}{until}", style="yellow")
            case "waiting":
                until = f" until {self._stamp(detail['until'])}" if detail.get("until") else ""
                return Text(f"{record.node}: waits{until}")
            case "condition":
                reason = f" ({detail['error']})" if detail.get("error") else ""
                return Text(f"{record.node}: {'yes' if detail['result'] else 'no'}{reason}")
            case "branch":
                return Text(f"{record.node}: drawn to {detail['name']}")
            case "left":
                return Text(REASONS.get(detail["reason"], detail["reason"]), style="dim")
            case "executed":
                return Text(f"{record.node}: {self._actions(record)}", style="green")
            case "passed" | "over":
                return Text(f"{record.node}: {record.what}")
            case what:
                return Text(
                    f"{record.node}: {what.replace('_', ' ')}: {self._actions(record)}", style="yellow"
                )

    def _actions(self, record: TraceRecord) -> str:
        """What the document says each action does, the heading of its message, and why it was not done."""
        written = self._node(record).get("actions", [])
        words = []
        for action, outcome in zip(written, record.detail.get("actions", []), strict=False):
            heading = self._mail.get((record.run, record.node, outcome.get("channel", "")))
            said = f"{action_phrase(action)} “{heading}”" if heading else action_phrase(action)
            words.append(f"{said} ({outcome['error']})" if outcome.get("error") else said)
        return ", ".join(words)

    def _node(self, record: TraceRecord) -> Mapping[str, Any]:
        node = self._documents.get(record.flow, {}).get("nodes", {}).get(record.node, {})
        assert isinstance(node, Mapping)
        return node

    def _stamp(self, ms: int) -> str:
        day, minute, _ = ms_to_local(zone(self._customer.zone), ms)
        return f"{day:%a %d %b} {minute // 60:02}:{minute % 60:02}"
