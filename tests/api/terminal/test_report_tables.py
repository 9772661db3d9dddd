"""The report of an A/B test as people read it."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console

from api.management import answers
from api.terminal.report_tables import report_tables
from engine.ab_test.report import VariantTotals, report

DAY_MS = 24 * 3600 * 1000


def made(*variants: VariantTotals, days: int = 10, metric: str = "conversion_rate") -> dict[str, Any]:
    """A report as the API answers it."""
    found = report(variants, metric=metric, confidence=0.95, started_ms=0, now_ms=days * DAY_MS)
    whole = {"flow": "offer", "node": "test", **found}
    answered = msgspec.json.encode(whole)
    assert msgspec.json.encode(msgspec.json.decode(answered, type=answers.Report), order="sorted") == (
        msgspec.json.encode(whole, order="sorted")
    )
    return whole


def variant(name: str, contacts: int, conversions: int, *, control: bool = False) -> VariantTotals:
    """Each conversion is one order of 20.00."""
    revenue, squares = conversions * 2_000, conversions * 2_000**2
    orders = conversions
    return VariantTotals(
        name,
        5_000,
        control,
        contacts,
        conversions,
        orders,
        revenue,
        orders_sq=orders,
        revenue_sq=squares,
        orders_revenue=revenue,
    )


def lines(whole: dict[str, Any]) -> list[list[str]]:
    """The words of each line, two spaces or more between them."""
    console = Console(width=140, highlight=False)
    with console.capture() as captured:
        console.print(report_tables(whole))
    found = [line.strip() for line in captured.get().splitlines()]
    return [[word.strip() for word in line.split("  ") if word.strip()] for line in found if line]


def test_a_report_has_counts_metrics_and_a_verdict() -> None:
    shown = lines(made(variant("plain", 10_000, 500, control=True), variant("gift", 10_050, 900)))
    assert shown[:6] == [
        ["offer, A/B test test"],
        ["20,050 contacts in 10 days, since 1970-01-01T00:00:00Z"],
        ["variant", "share", "contacts", "conversions", "orders", "revenue"],
        ["plain (control)", "50 %", "10,000", "500", "500", "10,000.00"],
        ["gift", "50 %", "10,050", "900", "900", "18,000.00"],
        ["metric", "variant", "value", "lift", "95 % interval", "p"],
    ]
    assert shown[6] == ["conversion rate (decides)", "plain (control)", "5.00%"]
    name, value, lift, interval, p_value = shown[7]
    assert (name, value, lift, p_value) == ("gift", "8.96%", "+79.1%", "< 0.001")
    assert interval.startswith("+")
    assert " to +" in interval
    assert shown[8][0] == "average order value"
    assert shown[9] == ["gift", "20.00", "+0.0%", "–", "–"], "orders that never vary have no interval"
    assert shown[10][0] == "revenue per contact"
    assert shown[12] == ["The contacts fit the shares (p = 0.72)."]
    assert shown[13][0].startswith("Winner: gift. The conversion rate of gift is better than that of plain")


def test_what_cannot_be_said_is_not_said() -> None:
    nobody = lines(
        {**made(variant("plain", 0, 0, control=True), variant("gift", 0, 0), days=0), "started_at": None}
    )
    assert nobody[1] == ["nobody came yet"]
    assert ["gift", "–"] in nobody
    assert ["Too few contacts to hold them against the shares."] in nobody
    assert nobody[-1][0].startswith("No winner yet: ")
    few = lines(made(variant("plain", 100, 5, control=True), variant("gift", 100, 6)))
    assert ["gift", "6.00%", "+20.0%", "–", "–"] in few


def test_contacts_that_do_not_fit_the_shares_are_flagged() -> None:
    shown = lines(made(variant("plain", 10_000, 500, control=True), variant("gift", 9_000, 900)))
    assert shown[-2][0].startswith("The contacts do not fit the shares (p = ")
    assert shown[-2][0].endswith("do not trust the figures.")
    assert shown[-1][0].startswith("No winner yet: the contacts do not fit")


def test_names_are_text_and_not_markup() -> None:
    whole = made(variant("[red]", 10, 1, control=True), variant("gift", 10, 1))
    assert any(line[0] == "[red] (control)" for line in lines(whole))
