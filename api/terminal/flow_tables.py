"""A flow's figures as a table a newcomer understands: what each node is for, who came, where they went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from api.terminal.terminal import thousands

OUTCOMES = {
    "entered": "green",
    "refused": "yellow",
    "executed": "green",
    "not_sent": "yellow",
    "failed": "red",
    "expired": "yellow",
    "true": "green",
    "false": "cyan",
    "passed": "green",
    "over": "yellow",
    "completed": "dim",
    "no_date": "yellow",
    "limit_reached": "yellow",
    "stopped": "yellow",
    "removed": "yellow",
    "exited": "yellow",
    "deleted": "yellow",
}
"""The outcomes in the order in which they are shown, with their colour."""

HIDDEN = {"arrived", "waiting", "branch", "condition", "left", "branches"}
"""`arrived` and `waiting` have columns; the rest repeats what is shown by branch, result or reason."""

PHRASE_CHARS_MAX = 60


def flow_table(stats: Mapping[str, Any], document: Mapping[str, Any]) -> Table:
    """Return rows per node in the order of `document`. `stats` is what `GET /v1/flows/{id}/stats` answers."""
    nodes = document.get("nodes") or {}
    figures = stats["nodes"]
    order = [*nodes, *(node for node in figures if node not in nodes)]
    name = document.get("name")
    title = f"{stats['flow']}, version {stats['version']}" + (f": {name}" if name else "")
    made = Table(title=Text(title, style="bold"), title_justify="left", box=None, pad_edge=False)
    made.add_column("node", header_style="dim", no_wrap=True)
    made.add_column("what it does", header_style="dim", overflow="fold")
    made.add_column("arrived", justify="right", header_style="dim", no_wrap=True)
    made.add_column("waiting", justify="right", header_style="dim", no_wrap=True)
    made.add_column("what happened there", header_style="dim")
    for node in order:
        counts = figures.get(node, {})
        made.add_row(
            Text(node),
            Text(phrase(nodes[node]) if node in nodes else "in an earlier version"),
            thousands(counts.get("arrived", 0)),
            Text(thousands(counts["waiting"]), style="cyan") if counts.get("waiting") else "",
            _outcomes(counts),
        )
    return made


def _outcomes(counts: Mapping[str, Any]) -> Text:
    """Return `executed 312, expired 4`: only what happened at all, in one order everywhere."""
    shown = Text()
    figures = {**counts.get("branches", {}), **{key: counts.get(key, 0) for key in OUTCOMES}}
    figures |= {key: count for key, count in counts.items() if key not in HIDDEN}
    for key, count in figures.items():
        if count:
            shown.append(", " if shown else "", style="dim")
            shown.append(f"{key.replace('_', ' ')} {thousands(count)}", style=OUTCOMES.get(key, ""))
    return shown


def phrase(node: Mapping[str, Any]) -> str:
    """Return what a node of a document does, in a few words."""
    words = _PHRASES.get(str(node.get("kind")), lambda _: str(node.get("kind")))(node)
    return words if len(words) <= PHRASE_CHARS_MAX else words[: PHRASE_CHARS_MAX - 1] + "…"


def _launch(node: Mapping[str, Any]) -> str:
    trigger = node.get("trigger") or {}
    if "event" in trigger:
        words = f"on {_events(trigger)}"
    else:
        schedule = trigger.get("schedule") or {}
        days = " ".join(str(day) for day in schedule.get("days", []))
        words = " ".join(
            filter(None, ("every", str(schedule.get("every")), days, "at", str(schedule.get("at"))))
        )
    return f"{words} if {node['where']}" if node.get("where") else words


def _events(trigger: Mapping[str, Any]) -> str:
    names = trigger.get("event", [])
    return names if isinstance(names, str) else " or ".join(names)


def _step(node: Mapping[str, Any]) -> str:
    does = ", ".join(action_phrase(action) for action in node.get("actions", []))
    return f"{node['title']}: {does}" if node.get("title") else does


def action_phrase(action: Mapping[str, Any]) -> str:
    """Return what an action of a document does, in a few words."""
    if "send" in action:
        return f"send {str(action['send']).replace('_', ' ')}"
    if "issue_promo_code" in action:
        return f"issue a code of {action['issue_promo_code'].get('pool')}"
    if "points" in action:
        return f"points {action['points'].get('add')}"
    if "emit" in action:
        return f"emit {action['emit'].get('event')}"
    if "segment" in action:
        changes = action["segment"]
        added = [f"segment {name}" for name in changes.get("add", [])]
        return ", ".join(added + [f"out of segment {name}" for name in changes.get("remove", [])])
    return "update customer"


def _wait(node: Mapping[str, Any]) -> str:
    words = []
    if "until_event" in node:
        words.append("wait for " + _events(node["until_event"]))
    if "for" in node:
        words.append(f"at most {node['for']}" if words else f"wait {node['for']}")
    if "until" in node:
        until = node["until"]
        words.append(
            " ".join(filter(None, ("wait until", until.get("date"), until.get("offset"), until.get("at"))))
        )
    if "window" in node:
        windows = node["window"] if isinstance(node["window"], list) else [node["window"]]
        opening = " or ".join(_window(window) for window in windows)
        words.append(f"leave {opening}" if words else f"wait for {opening}")
    return ", ".join(words)


def _window(window: Mapping[str, Any]) -> str:
    days = window.get("days") or []
    hours = f"{window.get('from')}–{window.get('to')}"
    if len(days) in (0, 7):
        return f"daily {hours}"
    return f"{' '.join(days)} {hours}" if len(days) < 4 else f"{days[0]}–{days[-1]} {hours}"


def _condition(node: Mapping[str, Any]) -> str:
    return f"is {node.get('when')}?"


def _shares(node: Mapping[str, Any]) -> str:
    branches = node.get("branches") or node.get("variants") or []
    shares = ", ".join(f"{branch.get('name')} {branch.get('share')} %" for branch in branches)
    return f"{'A/B test' if 'variants' in node else 'split'}: {shares}"


def _limit(node: Mapping[str, Any]) -> str:
    return f"at most {node.get('max')}" + (f" per {node['per']}" if node.get("per") else "")


_PHRASES = {
    "launch": _launch,
    "step": _step,
    "wait": _wait,
    "condition": _condition,
    "split": _shares,
    "ab_test": _shares,
    "limit": _limit,
}
