"""Effects of an event on waiting runs, for the reference: `exit_when`, `until_event`, `run_key`."""

from __future__ import annotations

import re
from typing import Any

from tests.reference.conditions import EvaluationFailed
from tests.reference.part import ReferencePart, Run


class AwaitedEvents(ReferencePart):
    """Events that end waits: `exit_when`, `until_event`, `run_key`."""

    def listen(self, event: dict[str, Any]) -> None:
        """Offer an event to the contact's waiting runs, in order of their ids.

        `exit_when` ends a run, `until_event` its wait.
        """
        for run in sorted(self.runs, key=lambda run: run["id"]):
            if run["contact"] != event["contact"] or run["due"] is None or run not in self.runs:
                continue
            if event["timestamp"] < run["event"]["timestamp"]:
                continue
            flow = self.flows[run["flow"]]
            leave = flow["document"].get("exit_when")
            if leave is not None and self.matches(run, leave, event):
                self.end(run, "exited")
                continue
            awaited = flow["nodes"][run["node"]].get("until_event")
            if awaited is not None and not run["awaited"] and self.matches(run, awaited, event):
                run["awaited"] = True
                run["due"] = max(run["logical"], event["timestamp"])
                self.leave_by_event(run, event["depth"])

    def leave_by_event(self, run: Run, depth: int) -> None:
        """Take a run on. Decided: logical time is that of the event, but not before the run arrived at the wait."""
        flow = self.flows[run["flow"]]
        if not self.running(flow):
            if flow["document"].get("when_paused", "leave") == "hold":
                run["held"] = True
            else:
                self.end(run, "stopped")
            return
        run["logical"], run["due"] = run["due"], None
        run["depth"], run["held"], run["awaited"] = depth, False, False
        self.advance(run, flow["nodes"][run["node"]].get("next"))

    def matches(self, run: Run, match: Any, event: dict[str, Any]) -> bool:
        """Whether an event fits a match and the run's key, and the `where` of the match holds."""
        names, where = parts(match)
        flow = self.flows[run["flow"]]
        if names and event["name"] not in names:
            return False
        if "run_key" in flow["nodes"][flow["launch_node"]] and self.key_of(flow, event) != run["key"]:
            return False
        return where is None or self.evaluator.test(where, self.variables(run["contact"], event))[0]

    def matches_on_arrival(self, run: Run, match: Any) -> bool:
        """Whether a match holds on arrival at a wait.

        Decided: by history alone, so never for a condition on the properties of an event.
        """
        names, where = parts(match)
        flow = self.flows[run["flow"]]
        about_event = where is not None and re.search(r"\b(event|order|session|product)\b", where)
        if about_event or (names and "run_key" in flow["nodes"][flow["launch_node"]]):
            return False
        events = self.contacts[run["contact"]]["events"]
        since = run["event"]["timestamp"]
        latest = {name: max(at for at, _ in events[name]) for name in names if events.get(name)}
        own = run["event"]["name"]
        if names and not any(at > since or (at == since and name != own) for name, at in latest.items()):
            return False
        return where is None or self.evaluator.test(where, self.variables(run["contact"], run["event"]))[0]

    def key_of(self, flow: dict[str, Any], event: dict[str, Any]) -> str | None:
        """Return the run key of an event, or None: texts and whole numbers are keys."""
        text = flow["nodes"][flow["launch_node"]]["run_key"]
        try:
            value = self.evaluator.value(text, self.variables(event["contact"], event))
        except EvaluationFailed:
            return None
        return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def parts(match: Any) -> tuple[tuple[str, ...], str | None]:
    """Return the event names of a match (empty: any) and its condition, of an expression or of `{event, where}`."""
    if isinstance(match, str):
        return (), match
    names = match.get("event", ())
    return (names,) if isinstance(names, str) else tuple(names), match.get("where")
