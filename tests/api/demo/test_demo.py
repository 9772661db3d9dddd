"""The demo: the real engine, a shop's months in seconds, and an end that a newcomer understands."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from api.demo.demo import samples
from api.demo.shop import DAY_MS, SLOT_MS, Shop
from engine.model import Effect
from engine.wire import decode_lines
from tests.api.command_line import ROOT, TIDEMILL, tidemill

START_MS = 1_780_000_000_000


def shop(seed: int) -> Shop:
    return Shop(contacts=30, seed=seed, start_ms=START_MS, end_ms=START_MS + 60 * DAY_MS)


def test_the_same_seed_is_the_same_shop() -> None:
    end_ms = START_MS + 60 * DAY_MS
    assert shop(1).take(end_ms) == shop(1).take(end_ms)
    assert shop(1).take(end_ms) != shop(2).take(end_ms)


def test_what_the_shop_says_is_taken_by_the_engine_in_order_of_time() -> None:
    told = shop(1)
    last_ms = START_MS
    while (next_ms := told.next_ms()) is not None:
        assert next_ms >= last_ms
        last_ms = next_ms
        decoded = decode_lines(told.take(last_ms))
        assert not decoded.rejected
        assert {event.timestamp_ms for event in decoded.inputs} <= {last_ms}  # type: ignore[union-attr]
        assert last_ms % SLOT_MS == 0


def test_messages_bring_customers_back() -> None:
    def orders(read: bool) -> int:
        told, end_ms = shop(1), START_MS + 60 * DAY_MS
        lines = told.take(START_MS + 45 * DAY_MS)
        if read:
            for customer in told.customers:
                at_ms = START_MS + 45 * DAY_MS
                told.receive(Effect(1, "e", at_ms, customer.id, "f", 1, 1, "n", "email", "a", {}))
        return (lines + told.take(end_ms)).count(b"Order Completed")

    assert orders(read=True) > orders(read=False)


def test_the_demo_tells_where_everybody_went() -> None:
    result = tidemill("demo", "--contacts", 40, "--seed", 7)
    assert result.exit_code == 0, result.stderr
    assert re.search(r"90 days of a shop in \d+\.\d s: 40 customers", result.stdout)
    for document in samples():
        assert f"{document['id']}, version 1: {document['name']}" in result.stdout
    assert "The story of " in result.stdout
    assert "tidemill demo --serve" in result.stdout


def test_the_demo_can_be_left_running_and_looked_at(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*TIDEMILL, "demo", "--contacts", "10", "--serve", "--http", "127.0.0.1:0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = next(found[1] for line in process.stdout if (found := re.match(r"http +(\S+)", line)))
        with urllib.request.urlopen(f"{address}/v1/flows") as response:
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors
    finally:
        process.kill()
        process.communicate()


def test_every_sample_flow_comes_with_the_demo() -> None:
    assert {document["id"] for document in samples()} >= {"abandoned-cart", "win-back"}


@pytest.mark.parametrize("contacts", [0, 10_000_000])
def test_a_shop_has_a_bounded_number_of_customers(contacts: int) -> None:
    assert tidemill("demo", "--contacts", contacts).exit_code == 2
