"""A soak: half of what this machine can do, for a long time, to see whether anything grows or gets slower.

"Flat" says something only of a system at rest, so everything that fills up to a bound is filled up first: the histories
of all contacts, and the message ids that are remembered. Then the flow is launched and the maximum measured, for some
seconds; then its half is sent at a steady pace, and beside it single requests, while the messages of the flow are
pulled and receipted. Runs end after a short wait, so that as many end as begin. What the first fifth of the time
brings, one minute at least, is warming up and is not judged: waits fill, and checkpoints write their first bases.

At the end everything is let come to rest and counted: runs, steps and messages must be those of the events sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from math import ceil
from pathlib import Path

from api.measure import journey, work
from api.measure.engine import Engine, MeasureError
from api.measure.footprint import Footprint, footprint
from api.measure.load import EACH, Interval, Load, Order
from api.measure.mailbox import Mailbox
from api.measure.record import REQUEST_CONNECTIONS, Check, Plan, Report, Sample, verdicts
from api.measure.requests import Asked, ask
from api.measure.stream import Beside, quantile, send
from engine.errors import TidemillError
from engine.limits import HISTORY_EVENTS_PER_NAME_MAX, RECENT_MESSAGES_MAX

CONTACTS_AT_ONCE = 20_000
MAXIMUM_S = 8.0
PULL_S = 0.5
REQUEST_RATE, REQUEST_CONTACTS = 100.0, 100
REQUEST_SHARE = 0.8
"""Of the time between two samples; then their connections are closed."""
VIEWS = -(-REQUEST_CONTACTS * HISTORY_EVENTS_PER_NAME_MAX // EACH) * EACH
REST_S = 60.0

Show = Callable[[str, float, Sample | None], None]
"""Told what is done, which share of it is done, and the newest sample."""


class Soak:
    """One soak, in a folder that is empty and on the disk in question."""

    def __init__(self, folder: Path, plan: Plan, show: Show) -> None:
        self._folder = folder
        self._plan = plan
        self._show = show
        self._next = 0
        """The number of the next event."""
        self._requests = 0
        self._asking: Future[Asked] | None = None
        self._samples: list[Sample] = []

    def run(self) -> Report:
        """From the start of an engine to its clean stop. Raises MeasureError for what goes wrong before the soak."""
        plan = self._plan
        with ExitStack() as stack:
            self._engine = stack.enter_context(Engine(self._folder / "data", settings=journey.SETTINGS))
            self._load = stack.enter_context(Load(self._engine.stream))
            self._beside = stack.enter_context(Beside())
            self._mailbox = Mailbox(self._engine.client, plan.wait_s)
            is_full = self._fill()
            launched = self._next
            self._engine.launch(journey.flow(plan.wait_s))
            maximum = None if plan.rate else self._maximum()
            rate = plan.rate or (maximum or 0.0) / 2
            checks, broken = list[Check](), ""
            try:
                self._hold(rate)
                self._come_to_rest()
                checks = self._checks(launched)
                self._engine.stop()
            except TidemillError as error:  # what was seen until then is worth having
                broken = str(error)
        found, unfit = verdicts(plan, self._samples, is_full=is_full)
        return Report(
            plan=plan,
            maximum=maximum,
            rate=rate,
            warm_s=plan.warm_s,
            broken=broken,
            unfit=unfit,
            samples=self._samples,
            verdicts=found,
            checks=checks,
        )

    def _fill(self) -> bool:
        """Make the contacts known, and fill what has a bound; no longer than the soak takes. Whether it is full."""
        contacts = self._plan.contacts
        for first in range(0, contacts, CONTACTS_AT_ONCE):
            send(self._engine.stream, work.contacts(min(CONTACTS_AT_ONCE, contacts - first), first))
        # Single requests come from few contacts, whose histories of that event are full at once.
        self._send("", Order(first=0, contacts=REQUEST_CONTACTS, count=VIEWS, name=work.VIEW, run="v"))
        count = ceil(max(contacts * HISTORY_EVENTS_PER_NAME_MAX, RECENT_MESSAGES_MAX) / EACH) * EACH
        order = Order(first=0, contacts=contacts, count=count, seconds=self._plan.seconds)
        self._next += sum(one.sent for one in self._send("Filling what has a bound", order))
        return self._next >= count

    def _maximum(self) -> float:
        """Events a second that are taken, with everything they start."""
        order = Order(
            first=self._next, contacts=self._plan.contacts, seconds=min(MAXIMUM_S, self._plan.seconds)
        )
        intervals = self._send("Measuring the maximum", order)
        self._next += sum(one.sent for one in intervals)
        return sum(one.acknowledged for one in intervals) / sum(one.seconds for one in intervals)

    def _send(self, what: str, order: Order) -> list[Interval]:
        """All of an order; messages are pulled meanwhile."""
        began_s, done, intervals = time.perf_counter(), 0, list[Interval]()
        self._load.start(order)
        for interval in self._load.intervals():
            done += interval.acknowledged
            intervals.append(interval)
            share = max(done / order.count, (time.perf_counter() - began_s) / order.seconds)
            if what:
                self._show(what, min(1.0, share), None)
            self._mailbox.pull()
        return intervals

    def _hold(self, rate: float) -> None:
        """The soak itself."""
        plan = self._plan
        order = Order(
            first=self._next,
            contacts=plan.contacts,
            rate=rate,
            seconds=plan.seconds,
            every_s=plan.sample_s,
        )
        self._mailbox.late_ms()
        before, at_s = self._footprint(), 0.0
        self._ask()
        self._load.start(order)
        while True:
            self._mailbox.pull()
            interval = self._load.interval(PULL_S)
            if interval is None:
                continue
            at_s += interval.seconds
            self._next += interval.sent
            if interval.last:
                break  # what was left, without a pace
            now = self._footprint()
            self._samples.append(self._sample(at_s, interval, before, now))
            self._show("Half of the maximum", min(1.0, at_s / plan.seconds), self._samples[-1])
            before = now
        if self._asking is not None:
            self._asking.result()

    def _footprint(self) -> Footprint:
        return footprint(self._engine.process.pid, self._engine.data)

    def _sample(self, at_s: float, interval: Interval, before: Footprint, now: Footprint) -> Sample:
        counts, late_ms = self._engine.metrics(), self._mailbox.late_ms()
        asked = self._ask()
        cpu_s = now.cpu_s - before.cpu_s
        engine_busy = cpu_s / interval.seconds
        all_busy = (now.machine_s - before.machine_s) / interval.seconds
        return Sample(
            at_s=at_s,
            sent=interval.sent / interval.seconds,
            acknowledged=interval.acknowledged / interval.seconds,
            p50_ms=interval.p50_ms,
            p99_ms=interval.p99_ms,
            worst_ms=interval.worst_ms,
            request_p99_ms=None if asked is None else asked.p99_ms,
            late_p99_ms=quantile(late_ms, 0.99) if late_ms else None,
            cpu_us=cpu_s * 1e6 / interval.acknowledged if interval.acknowledged else None,
            engine_busy=engine_busy,
            sender_busy=interval.busy,
            others_busy=max(0.0, all_busy - engine_busy - interval.busy),
            resident_bytes=now.resident_bytes,
            own_bytes=now.own_bytes,
            descriptors=now.descriptors,
            files=now.files,
            disk_bytes=now.disk_bytes,
            waiting=int(counts["tidemill_waiting"]),
            pending=int(counts["tidemill_effects_pending"]),
            checkpoints=int(counts["tidemill_checkpoint_made_total"]),
            deltas=int(counts["tidemill_checkpoint_deltas"]),
        )

    def _ask(self) -> Asked | None:
        """What the single requests came to, and the next ones; None while they are under way."""
        if self._asking is not None and not self._asking.done():
            return None
        asked = None if self._asking is None else self._asking.result()
        count = max(1, int(REQUEST_RATE * self._plan.sample_s * REQUEST_SHARE))
        body = work.events(count, contacts=REQUEST_CONTACTS, first=self._requests, name=work.VIEW, run="r")
        self._requests += count
        self._asking = self._beside.start(
            ask, self._engine.intake, body, connections=REQUEST_CONNECTIONS, rate=REQUEST_RATE
        )
        return asked

    def _come_to_rest(self) -> None:
        """Until no run waits and no message is on its way."""
        deadline_s = time.perf_counter() + self._plan.wait_s + REST_S
        while True:
            self._mailbox.pull()
            counts = self._engine.metrics()
            if not counts["tidemill_waiting"] and not counts["tidemill_effects_pending"]:
                return
            if time.perf_counter() > deadline_s:
                raise MeasureError(
                    "no_rest",
                    f"The engine did not come to rest: {counts['tidemill_waiting']:.0f} "
                    f"runs wait, {counts['tidemill_effects_pending']:.0f} messages have no receipt.",
                )
            self._show("Coming to rest", 1.0, None)
            time.sleep(PULL_S)

    def _checks(self, launched: int) -> list[Check]:
        """What was sent against what was counted; the flow knows of the events from number `launched` on."""
        contacts = self._plan.contacts
        due = journey.expected(launched, self._next, contacts=contacts)
        counts = self._engine.metrics()
        nodes = self._engine.client.get("flows", journey.FLOW, "stats")["nodes"]
        events = contacts + VIEWS + self._next + self._requests
        receipts = counts.get('tidemill_receipts_total{status="delivered"}', 0)
        return [
            Check("inputs taken", events, int(counts["tidemill_events_total"])),
            Check("message ids seen before", 0, int(counts["tidemill_duplicates_total"])),
            Check("contacts", contacts, int(counts["tidemill_contacts"])),
            Check("runs that began", due.entered, nodes["start"]["entered"]),
            Check("first steps", due.entered, nodes["first"]["executed"]),
            Check("waits that ended", due.entered, nodes["again"]["arrived"]),
            Check("second steps", due.second, nodes["second"]["executed"]),
            Check("steps with a message that is pulled", due.mailed, nodes["mail"]["executed"]),
            Check("messages pulled", due.mailed, self._mailbox.taken),
            Check("the numbers of their orders, added up", due.orders, self._mailbox.orders),
            Check("steps with a message that is logged", due.logged, nodes["call"]["executed"]),
            Check("receipts", due.mailed + due.logged, int(receipts)),
        ]
