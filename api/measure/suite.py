"""Everything of `tidemill bench`, in order: figures of this machine, each with what it means.

One engine serves nearly all of it, as one would in earnest, on the disk a folder is on. Streams are measured in
rounds that take turns, so that what else the machine does falls on all of them alike; figures are medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from statistics import median

import msgspec

from api.measure import disk, floor, waits, work
from api.measure.engine import Engine, MeasureError
from api.measure.requests import CONNECTIONS, Asked, ask
from api.measure.stream import Beside, send
from engine.model import Control
from engine.simulation.simulator import Simulator
from engine.wire import decode_lines

START_MS = 1_786_320_000_000
SIMULATED_MS = 30 * 24 * 3_600_000
SIMULATED_BLOCK = 3_500
"""Lines decoded at one go, about a megabyte."""
MEGABYTE = 1e6


class Size(msgspec.Struct, frozen=True):
    """How much is done. `events`: of each kind in each of `rounds`; `requests`: at most, within `load_s` seconds."""

    contacts: int
    events: int
    rounds: int
    requests: int
    load_s: float
    waits: int


FULL = Size(contacts=100_000, events=250_000, rounds=5, requests=150_000, load_s=8.0, waits=250_000)
QUICK = Size(contacts=20_000, events=60_000, rounds=3, requests=20_000, load_s=3.0, waits=30_000)


class Figure(msgspec.Struct, frozen=True):
    """One line of the answer. `target`: what the project aims at, on two cores; empty: nothing in particular."""

    id: str
    what: str
    value: float
    unit: str
    meaning: str
    target: str = ""


Step = tuple[str, Callable[[], Iterator[Figure]]]


class Suite:
    """The measurements in a folder, which is to be empty and on the disk in question."""

    def __init__(self, folder: Path, size: Size) -> None:
        self._folder = folder
        self._size = size
        self._engine: Engine | None = None
        self._rates: dict[str, float] = {}

    def steps(self) -> list[Step]:
        """What is to be done: a name to show, and the work, which yields its figures."""
        return [
            ("The disk", self._disk),
            ("Starting, and contacts", self._contacts),
            ("Streams of events", self._streams),
            ("Single requests", self._requests),
            ("Waits beside half of the load", self._lateness),
            ("Waits that end at once", self._burst),
            ("A power cut, and a clean restart", self._restart),
            ("Simulation", self._simulate),
        ]

    def close(self) -> None:
        """End the engine, if something went wrong before its time."""
        if self._engine is not None and self._engine.process.returncode is None:
            self._engine.kill()

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "the steps are in order"
        return self._engine

    def _disk(self) -> Iterator[Figure]:
        yield Figure(
            "commit",
            "a durable write to this disk",
            floor.commit_s(self._folder) * 1e3,
            "ms",
            "64 KiB appended and synced; no acknowledgement can be faster",
        )

    def _contacts(self) -> Iterator[Figure]:
        count = self._size.contacts
        self._engine = Engine(self._folder / "data", messages=True)
        before = self._engine.resident_bytes()
        sent = send(self._engine.stream, work.contacts(count))
        grown = self._engine.resident_bytes() - before
        yield Figure(
            "contacts",
            "contacts made known",
            sent.per_second,
            "a second",
            f"{count:,} of them, ten traits each, durable",
        )
        yield Figure(
            "memory",
            "memory for a contact",
            grown / count,
            "bytes",
            "resident, what the sending left behind included: more contacts, less each",
        )
        self._engine.launch(work.flow())

    def _streams(self) -> Iterator[Figure]:
        size, written, given = self._size, disk.settled_bytes(self._folder), 0
        seconds: dict[str, list[float]] = {"reference": [], "floor": [], "unasked": []}
        for turn in range(size.rounds):
            first = turn * size.events
            asked = work.events(size.events, contacts=size.contacts, first=first)
            unasked = work.events(size.events, contacts=size.contacts, first=first, name=work.VIEW, run="v")
            seconds["reference"].append(send(self.engine.stream, asked).seconds)
            seconds["floor"].append(floor.append(asked, self._folder / f"floor-{turn}"))
            seconds["unasked"].append(send(self.engine.stream, unasked).seconds)
            given += 2 * len(asked) + len(unasked)
        check_entered(self.engine.client.get("flows", "reference")["entered"], size.rounds * size.events)
        rates = self._rates = {name: size.events / median(took) for name, took in seconds.items()}
        yield Figure(
            "stream",
            "events that one in eight starts a run",
            rates["reference"],
            "a second",
            "over one NDJSON stream, each durable when acknowledged",
            "≥ 250,000",
        )
        yield Figure(
            "unasked", "events no flow asks for", rates["unasked"], "a second", "likewise", "≥ 600,000"
        )
        yield Figure(
            "floor",
            "the least a program could do",
            rates["floor"],
            "a second",
            "the same lines only parsed and appended durably, in the same run",
        )
        yield Figure(
            "ratio",
            "the first of these to the last",
            100 * rates["reference"] / rates["floor"],
            "%",
            "what is left of it for contacts, flows, runs and limits",
            "≥ 25",
        )
        if written is not None and (now := disk.settled_bytes(self._folder)) is not None:
            yield Figure(
                "written",
                "bytes written for a byte of input",
                (now - written) / given,
                "",
                "by all programs on this disk meanwhile, the least program's own among them",
                "≤ 2",
            )

    def _requests(self) -> Iterator[Figure]:
        first = self._ask(self._size.requests // 10, 0.0, run="f")
        count = min(self._size.requests, int(first.per_second * self._size.load_s))
        most = self._ask(count, 0.0, run="m")
        half = self._ask(count // 2, most.per_second / 2, run="h")
        yield Figure(
            "requests",
            "single events by HTTP",
            most.per_second,
            "a second",
            f"POST /v1/track over {CONNECTIONS} connections, answered once durable",
            "≥ 20,000",
        )
        yield Figure(
            "requests_p99",
            "an answer at half of that rate",
            half.p99_ms,
            "ms",
            f"99 of 100 come sooner; half of them within {half.p50_ms:.1f} ms",
            "≤ 20",
        )

    def _ask(self, count: int, rate: float, *, run: str) -> Asked:
        body = work.events(count, contacts=self._size.contacts, name=work.VIEW, run=run)
        with Beside() as beside:
            return beside.start(ask, self.engine.intake, body, rate=rate).result()

    def _lateness(self) -> Iterator[Figure]:
        self.engine.launch(waits.timed_flow())
        rate = self._rates["reference"] / 2
        count = int(rate * (self._size.load_s + waits.LEAD_S))
        load = work.events(count, contacts=self._size.contacts, run="l")
        late = waits.lateness(self.engine, load, rate=rate, waits=int(200 * self._size.load_s))
        yield Figure(
            "lateness",
            "a wait that ends, at half load",
            late.ran_p99_ms,
            "ms late",
            f"99 of 100 are less late; the soonest ended {late.earliest_ms:.0f} ms after its time",
            "≤ 20",
        )
        yield Figure(
            "handed_over",
            "its message in somebody's hands",
            late.handed_over_p99_ms,
            "ms late",
            "99 of 100 sooner; the step that sent it is durable by then",
        )
        assert self.engine.process.stderr is not None
        self.engine.stop()

    def _burst(self) -> Iterator[Figure]:
        with Engine(self._folder / "burst") as engine:
            many = waits.burst(
                engine, waits=self._size.waits, fill_rate=self._rates["reference"] / 3, rate=5_000
            )
            yield Figure(
                "burst",
                f"{many.waits:,} waits due at one instant",
                many.seconds,
                "s",
                "until each has run its step",
                "≤ 4 for 1,000,000",
            )
            yield Figure(
                "burst_acks",
                "an acknowledgement meanwhile",
                many.acks_p99_ms,
                "ms",
                "99 of 100 come sooner, at 5,000 events a second",
                "≤ 100",
            )
            engine.stop()

    def _restart(self) -> Iterator[Figure]:
        with Engine(self._folder / "data") as engine:
            found = engine.metrics()
            yield Figure(
                "start",
                "a start after a clean stop",
                engine.started_s,
                "s",
                f"{found['tidemill_contacts']:,.0f} contacts and {found['tidemill_waiting']:,.0f} waiting runs, "
                "until events are taken",
                "≤ 5 with 1,000,000 of each",
            )
            restoring_s = found["tidemill_recovery_seconds"]
            send(engine.stream, work.events(self._size.events, contacts=self._size.contacts, run="k"))
            engine.kill()
        with Engine(self._folder / "data") as engine:
            found = engine.metrics()
            yield Figure(
                "replay",
                "events replayed after a power cut",
                found["tidemill_recovery_inputs"] / (found["tidemill_recovery_seconds"] - restoring_s),
                "a second",
                "after the checkpoint is restored; nothing acknowledged is lost",
                "≥ 300,000",
            )
            engine.kill()

    def _simulate(self) -> Iterator[Figure]:
        count = self._size.events
        yield Figure(
            "simulate",
            "events in a simulation",
            count / simulate(count, contacts=self._size.contacts),
            "a second",
            "the reference flow over thirty virtual days, from lines to counts",
            "≥ 250,000",
        )


def simulate(count: int, *, contacts: int) -> float:
    """Seconds to decode `count` events, each of an instant of its own, and to play them through the flow.

    Lines are decoded by the megabyte, as those of a file are. Raises MeasureError when not about one in eight
    started a run.
    """
    simulator = Simulator(START_MS)
    known = [(START_MS, item) for item in decode_lines(work.contacts(contacts)).inputs]
    simulator.play([(START_MS, Control("launch", {"flow": work.flow()})), *known], START_MS)
    blocks = [
        work.events(min(SIMULATED_BLOCK, count - first), contacts=contacts, first=first)
        for first in range(0, count, SIMULATED_BLOCK)
    ]
    began_s = time.perf_counter()
    inputs = chain.from_iterable(decode_lines(block).inputs for block in blocks)
    timed = ((START_MS + 1 + number * SIMULATED_MS // count, item) for number, item in enumerate(inputs))
    simulator.play(timed, START_MS + SIMULATED_MS)
    simulator.stats()
    took_s = time.perf_counter() - began_s
    check_entered(simulator.kernel.flow("reference")["entered"], count)
    return took_s


def check_entered(entered: int, events: int) -> None:
    """A flow that took nobody would be fast. Raises MeasureError unless about one event in eight started a run."""
    if not 0.1 < entered / events < 0.15:
        raise MeasureError("not_the_work", f"{entered} of {events} events started a run, not one in eight.")
