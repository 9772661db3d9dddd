"""The report of an A/B test for people: what was counted, what it says, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from api.terminal.terminal import thousands
from engine.model import AB_METRICS

UNKNOWN = "–"


def report_tables(report: Mapping[str, Any]) -> Group:
    """Return the tables of a report: `report` is what `GET /v1/flows/{id}/report/{node}` answers."""
    title = f"{report['flow']}, A/B test {report['node']}"
    about = "nobody came yet"
    if report["started_at"] is not None:
        people = f"{thousands(report['contacts'])} contact{'' if report['contacts'] == 1 else 's'}"
        about = f"{people} in {report['days']:g} days, since {report['started_at']}"
    return Group(
        Text(title, style="bold"),
        Text(about, style="dim"),
        Text(""),
        _counts(report),
        Text(""),
        _metrics(report),
        Text(""),
        _sample_ratio(report["sample_ratio"]),
        _verdict(report),
    )


def _table(*columns: str, left: int) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim")
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if place < left else "right", no_wrap=True)
    return made


def _counts(report: Mapping[str, Any]) -> Table:
    made = _table("variant", "share", "contacts", "conversions", "orders", "revenue", left=1)
    for one in report["variants"]:
        revenue = UNKNOWN if one["revenue"] is None else f"{one['revenue']:,.2f}"
        counts = (thousands(one[key]) for key in ("contacts", "conversions", "orders"))
        made.add_row(_name(one), f"{one['share']:g} %", *counts, revenue)
    return made


def _name(variant: Mapping[str, Any]) -> Text:
    name = Text(variant["name"])
    return name.append(" (control)", style="dim") if variant["control"] else name


def _metrics(report: Mapping[str, Any]) -> Table:
    interval = f"{report['confidence'] * 100:g} % interval"
    made = _table("metric", "variant", "value", "lift", interval, "p", left=2)
    for metric in AB_METRICS:
        title = Text(metric.replace("_", " "))
        if metric == report["metric"]:
            title.append(" (decides)", style="dim")
        for one in report["variants"]:
            made.add_row(title, _name(one), *_figures(metric, one["metrics"][metric]))
            title = Text("")
    return made


def _figures(metric: str, figures: Mapping[str, Any]) -> tuple[str | Text, ...]:
    value, lift, interval, p_value = (figures[key] for key in ("value", "lift", "interval", "p_value"))
    shown = UNKNOWN
    if value is not None:
        shown = f"{value:.2%}" if metric == "conversion_rate" else f"{value:,.2f}"
    if lift is None:
        return shown, "", "", ""
    if interval is None:
        return shown, f"{lift:+.1%}", UNKNOWN, UNKNOWN
    style = "" if not figures["significant"] else "green" if lift > 0 else "red"
    span = Text(f"{interval[0]:+.1%} to {interval[1]:+.1%}", style=style)
    return shown, Text(f"{lift:+.1%}", style=style), span, "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _sample_ratio(found: Mapping[str, Any]) -> Text:
    if found["p_value"] is None:
        return Text("Too few contacts to hold them against the shares.", style="dim")
    if found["mismatch"]:
        sentence = (
            f"The contacts do not fit the shares (p = {found['p_value']:.2g}): do not trust the figures."
        )
        return Text(sentence, style="red")
    return Text(f"The contacts fit the shares (p = {found['p_value']:.2g}).", style="dim")


def _verdict(report: Mapping[str, Any]) -> Text:
    if report["winner"] is None:
        return Text(report["reason"])
    return Text(f"Winner: {report['winner']}. ", style="bold green").append(report["reason"], style="default")
