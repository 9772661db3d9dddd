"""`tidemill demo`: a shop in a box. The real engine on a temporary directory, with time that jumps.

Everything runs as in `tidemill serve`: the service with its journal and checkpoints on disk, the kernel, the
outbox. Only the clock is ours: it stands still, and is set from one half hour in which something happens to the
next, so that waits of days pass in seconds and nothing in the engine knows of it. The shop delivers by itself, as an
application may: it pulls the messages of each half hour and sends the receipts along with the next.

Rejected: a clock that merely runs fast (a second of the disk would be days of the shop, and no two demos alike),
smaller steps (each is a durable commit; a slow disk takes 5 ms for one), and a demo on the simulator
(a newcomer should see the engine that he will run).
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import trio
from rich.console import Console

from api.config import Address, Settings
from api.demo.shop import DAY_MS, SLOT_MS, Shop
from api.demo.story import Storyteller, Traces
from api.process import run
from api.serve import SIGNALS, Stop, open_ways_in
from api.terminal.flow_tables import flow_table
from api.terminal.terminal import console, progress, thousands
from engine.clock import SystemClock
from engine.delivery.channels import DEFAULT_NAMES, Outbox
from engine.flow.source.source import load
from engine.kernel import Kernel
from engine.limits import LIST_LIMIT_MAX
from engine.model import Batch, Outcome
from engine.service import Service, ServiceConfig, running
from engine.wire import decode_lines

DAYS = 90
KEY_BYTES = 16
CODES_PER_CUSTOMER = 5
"""Promo codes in each pool the flows draw from; nobody goes away empty-handed."""


class Timelapse:
    """Stands still until set, and runs like any clock from where it stood once released."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._released_s: float | None = None

    def now_ms(self) -> int:
        if self._released_s is None:
            return self._now_ms
        return self._now_ms + int((time.monotonic() - self._released_s) * 1000)

    def set(self, now_ms: int) -> None:
        assert self._released_s is None, "a released clock goes by itself"
        self._now_ms = max(self._now_ms, now_ms)

    def release(self) -> None:
        self._released_s = time.monotonic()


class ToldKernel(Kernel):
    """The kernel, with somebody listening to its trace."""

    def __init__(self, traces: Traces, key: bytes) -> None:
        super().__init__(trace=True, key=key)
        self._traces = traces

    def apply(self, batch: Batch) -> Outcome:
        outcome = super().apply(batch)
        self._traces.keep(outcome.trace)
        return outcome


def demo(*, contacts: int, seed: int, http: Address | None) -> None:
    """Play the shop and print where everybody went. With `http`, stay up there until a signal."""
    logging.basicConfig(level=logging.WARNING)
    end_ms = SystemClock().now_ms() // SLOT_MS * SLOT_MS
    with tempfile.TemporaryDirectory(prefix="tidemill-demo-") as folder:
        box = Box(Path(folder), contacts=contacts, seed=seed, end_ms=end_ms, out=console())
        run(partial(box.run, http))


def samples() -> Iterator[dict[str, Any]]:
    """The documents of the sample flows that come with the engine."""
    folder = files("engine.flow").joinpath("samples")
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml") and ".test." not in file.name:
            yield load(file.read_bytes(), yaml=True).demand()


def pools_of(document: dict[str, Any]) -> list[str]:
    """The pools of promo codes that a flow draws from."""
    actions = [action for node in document["nodes"].values() for action in node.get("actions", [])]
    return sorted({action["issue_promo_code"]["pool"] for action in actions if "issue_promo_code" in action})


class Box:
    """The shop, the engine, and what is told of them at the end. `end_ms`: when the demo's time ends, ms UTC."""

    def __init__(self, data: Path, *, contacts: int, seed: int, end_ms: int, out: Console) -> None:
        self._data = data
        self._end_ms = end_ms
        self._out = out
        start_ms = end_ms - DAYS * DAY_MS
        self._key = (seed % 2 ** (8 * KEY_BYTES)).to_bytes(KEY_BYTES)
        self._clock = Timelapse(start_ms)
        self._shop = Shop(contacts=contacts, seed=seed, start_ms=start_ms + SLOT_MS, end_ms=end_ms)
        self._receipts: list[dict[str, str]] = []
        self._pulled = 0
        self._mail: dict[tuple[int, str, str], str] = {}
        self._traces = Traces()
        self._took_s = 0.0

    async def run(self, http: Address | None) -> None:
        """The whole demo. Raises TidemillError where the directory or the address cannot be used."""
        config = ServiceConfig(
            data=self._data,
            clock=self._clock,
            channels=dict.fromkeys(DEFAULT_NAMES, Outbox()),
            kernel=lambda _: ToldKernel(self._traces, self._key),
        )
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async with trio.open_nursery() as nursery:
                stop = Stop(nursery.cancel_scope.cancel)
                nursery.start_soon(stop.watch, signals)
                async with running(config) as service:
                    await self.play(service)
                    self.tell(service)
                    stop.is_recovering = False
                    if http is not None:
                        self._clock.release()
                        settings = Settings(http=(str(http),), intake=(), stream=())
                        await open_ways_in(service, settings, self._out.print, stop.wanted)
                nursery.cancel_scope.cancel()
        if stop.is_recovering:
            raise KeyboardInterrupt

    async def play(self, service: Service) -> None:
        """Launch the samples, then let `DAYS` days of the shop happen."""
        began = time.perf_counter()
        count = CODES_PER_CUSTOMER * len(self._shop.customers)
        for document in samples():
            for pool in pools_of(document):
                codes = [f"{pool.upper()}-{number:05}" for number in range(1, count + 1)]
                await service.control("add_codes", pool=pool, codes=codes)
            await service.control("launch", flow=document)
        start_ms = self._clock.now_ms()
        with progress("{task.fields[note]}") as bar:
            task = bar.add_task("", total=DAYS, note="")
            while (at_ms := self._next_step(service)) is not None:
                await self._step(service, at_ms)
                days = (at_ms - start_ms) / DAY_MS
                bar.update(
                    task, completed=days, description=f"Day {int(days)} of {DAYS}", note=self._note(service)
                )
            bar.update(task, completed=DAYS, description=f"{DAYS} days")
        self._took_s = time.perf_counter() - began

    def _next_step(self, service: Service) -> int | None:
        """The next half hour in which something happens; None: nothing before the end."""
        wanted = [ms for ms in (self._shop.next_ms(), service.kernel.next_due_ms()) if ms is not None]
        if not wanted:
            return None
        at_ms = max(-(-min(wanted) // SLOT_MS) * SLOT_MS, self._clock.now_ms())
        return at_ms if at_ms <= self._end_ms else None

    async def _step(self, service: Service, at_ms: int) -> None:
        """Let what happens at `at_ms` reach the engine, durably, and its messages reach the customers."""
        self._clock.set(at_ms)
        receipts, self._receipts = self._receipts, []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(service.control, "receipts", receipts=receipts))
            nursery.start_soon(service.submit, decode_lines(self._shop.take(at_ms)))
        while effects := service.outbox(after=self._pulled, limit=LIST_LIMIT_MAX):
            self._pulled = effects[-1].seq
            for effect in effects:
                self._shop.receive(effect)
                heading = effect.message.get("subject") or effect.message.get("title") or ""
                self._mail[effect.run, effect.node, effect.channel] = str(heading)
                self._receipts.append({"effect": effect.id, "status": "delivered"})

    def _note(self, service: Service) -> str:
        counts = service.kernel.counts()
        return (
            f"{thousands(counts['events'])} events, {thousands(counts['waiting'])} waiting, "
            f"{thousands(counts['effects'])} messages"
        )

    # What is told at the end

    def tell(self, service: Service) -> None:
        """Tables per flow, the story of one customer, and where to go from here."""
        counts, out = service.kernel.counts(), self._out
        out.print(
            f"\n{DAYS} days of a shop in {self._took_s:.1f} s: {thousands(counts['contacts'])} customers, "
            f"{thousands(counts['events'])} events, {thousands(counts['effects'])} messages. Each was on disk before "
            "it counted.\nA table is a flow, a row one of its nodes: how many came there, how many wait there now, and "
            "what became of the others.\n"
        )
        documents: dict[str, dict[str, Any]] = {}
        for flow in service.kernel.flows():
            documents[flow["id"]] = service.kernel.flow(flow["id"])["active"] or {}
            out.print(flow_table(service.kernel.stats(flow["id"]), documents[flow["id"]]))
            out.print()
        self._tell_story(documents)
        out.print(
            "\nNext: a flow of your own in five minutes, in README.md. Or look around in this shop, left running:\n"
            "  tidemill demo --serve\n"
        )

    def _tell_story(self, documents: dict[str, dict[str, Any]]) -> None:
        chosen = self._traces.most_telling({who: len(deeds) for who, deeds in self._shop.diary.items()})
        if chosen is None:
            return
        customer = next(customer for customer in self._shop.customers if customer.id == chosen)
        title = f"The story of {customer.name}, {chosen}, in the time of {customer.zone}"
        teller = Storyteller(customer, documents, self._mail)
        self._out.print(f"[bold]{title}[/]\n")
        self._out.print(teller.tell(self._shop.diary[chosen], self._traces.of[chosen]))
