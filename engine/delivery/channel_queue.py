"""A lane: one channel's way out of the outbox.

Effects are begun in the order of their seq, at most `channel.workers` at once. One that could not be delivered is set
aside until its next attempt, and others go on; `engine.delivery.backoff` says when that is, and when a destination is
taken to be down, which sets aside all that go there. What is new, what was passed over, what is due again, and
destinations that are to be tried again take turns, so none of them holds up another.

Effects are read from the outbox a page at a time, when they are wanted. What its destination has no place for is passed
over, and read again later by a second reading, behind the first. DELIVERY_ASIDE_MAX are set aside at most: then none is
begun for the first time until some of them are settled. So memory is bounded, and the rest stays in the outbox. Nothing
is lost: what was read and waits for a receipt is held, or its destination knows that it, or one before it, was passed
over, or the second reading is still before it.

Attempts are remembered by the process only: after a restart each effect without a receipt is new.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random

import trio

from engine import limits
from engine.delivery.backoff import Attempts, Destination, asked_s, spread
from engine.delivery.channels import Channel, Forked, TryLater
from engine.model import RECEIPT_STATUSES, Effect, Receipt

log = logging.getLogger("tidemill.delivery")


class Reading:
    """Through the outbox, in order: what follows `after` was not read, what is `ready` was not begun."""

    def __init__(self) -> None:
        self.after = 0
        self.ready: deque[Attempts] = deque()


class Lane:
    """Delivers the effects of `names`. `page(after)`: durable effects with a larger seq, of any name, in order;
    `pending`: whether one still waits for a receipt; `settle` takes the receipt."""

    def __init__(
        self,
        channel: Channel,
        names: frozenset[str],
        *,
        page: Callable[[int], list[Effect]],
        pending: Callable[[Effect], bool],
        settle: Callable[[Effect, Receipt], Awaitable[None]],
        chance: Random,
    ) -> None:
        self.channel = channel
        self.names = names
        self.attempts_failed = self.gave_up = 0
        self._page = page
        self._pending = pending
        self._settle = settle
        self._chance = chance
        self._new, self._again = Reading(), Reading()
        """`_again` reads what was passed over, as far as `_new` has come."""
        self._held: set[int] = set()
        """The seqs of all effects here that are not settled."""
        self._destinations: dict[str, Destination] = {}
        self._aside: list[tuple[float, int, Attempts]] = []
        """A heap of (when it is due, seq, effect)."""
        self._waiting = 0
        """Effects that wait for destinations that are down."""
        self._down: list[tuple[float, int, Destination]] = []
        """A heap of (when it is to be tried, a number of its own, destination)."""
        self._numbered = self._turn = self._under_way = 0
        self._changed = trio.Event()
        self._stopping = False

    @property
    def set_aside(self) -> int:
        """Effects that wait for another attempt."""
        return len(self._aside) + self._waiting

    @property
    def destinations_down(self) -> int:
        return sum(one.is_down for one in self._destinations.values())

    def wake(self) -> None:
        """There may be durable effects that were not seen yet."""
        self._changed.set()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Deliver until `stop`; returns when what was under way has ended."""
        async with trio.open_nursery() as nursery:
            while not self._stopping:
                self._changed = changed = trio.Event()
                came = self._read()
                now_s = trio.current_time()
                one = self._taken(now_s) if self._under_way < self.channel.workers else None
                if one is not None and self._may_begin(one, now_s):
                    self._under_way += 1
                    one.to.under_way += 1
                    nursery.start_soon(self._attempt, one)
                elif came or one is not None:
                    await trio.lowlevel.checkpoint()
                else:
                    with trio.move_on_at(self._next_s()):
                        await changed.wait()

    def _read(self) -> bool:
        """Have the next effects ready, if there is place for them. Whether there was a page."""
        came = self._read_page(self._new)
        if self._again.after < self._new.after:
            came |= self._read_page(self._again)
        return came

    def _read_page(self, reading: Reading) -> bool:
        if reading.ready or not self._has_place():
            return False
        page = self._page(reading.after)
        reading.after = page[-1].seq if page else self._new.after
        for effect in page:
            if effect.channel in self.names and effect.seq not in self._held:
                self._hold(reading, effect)
        return bool(page)

    def _has_place(self) -> bool:
        """Whether one more could be set aside, if it had to be."""
        return self.set_aside + self._under_way < limits.DELIVERY_ASIDE_MAX

    def _hold(self, reading: Reading, effect: Effect) -> None:
        """Have it ready, or pass it over."""
        name = self.channel.destination(effect) if isinstance(self.channel, Forked) else ""
        to = self._destinations.get(name)
        if to is None:
            to = self._destinations[name] = Destination(name)
        if to.has_place:
            to.effects += 1
            self._held.add(effect.seq)
            reading.ready.append(Attempts(effect, to))
        else:
            to.passed_seq = min(to.passed_seq, effect.seq)

    def _forget(self, one: Attempts) -> None:
        """It is settled, or nobody wants it any more."""
        to = one.to
        to.effects -= 1
        self._held.remove(one.effect.seq)
        if to.passed_seq < math.inf and to.has_much_place:
            self._again.after = min(self._again.after, int(to.passed_seq) - 1)
            to.passed_seq = math.inf
        if not to.effects:
            del self._destinations[to.name]

    def _taken(self, now_s: float) -> Attempts | None:
        """The next one that may be tried now, by turns of where it comes from."""
        for _ in range(4):
            self._turn = (self._turn + 1) % 4
            reading = self._new if self._turn == 0 else self._again
            if self._turn in {0, 3} and reading.ready and self._has_place():
                return reading.ready.popleft()
            if self._turn == 1 and self._aside and self._aside[0][0] <= now_s:
                return heapq.heappop(self._aside)[2]
            if self._turn == 2 and self._down and self._down[0][0] <= now_s:
                to = heapq.heappop(self._down)[2]
                to.is_listed = False
                if to.waiting and to.may_be_tried(now_s):
                    self._waiting -= 1
                    return to.waiting.popleft()
                self._list(to)
        return None

    def _may_begin(self, one: Attempts, now_s: float) -> bool:
        """Whether the effect is to be tried now; else it waits, or is forgotten."""
        to = one.to
        if self._pending(one.effect) and to.may_be_tried(now_s):
            return True
        if self._pending(one.effect):
            to.waiting.append(one)
            self._waiting += 1
        else:
            self._forget(one)
        self._list(to)
        return False

    def _list(self, to: Destination) -> None:
        """See to it that a destination is tried again, if it is down, once for all that wait for it."""
        if to.is_down and to.waiting and not to.under_way and not to.is_listed:
            self._numbered += 1
            to.is_listed = True
            heapq.heappush(self._down, (to.next_s, self._numbered, to))

    def _next_s(self) -> float:
        """When to look again, where nothing happens before."""
        if self._under_way >= self.channel.workers:
            return math.inf
        return min(heap[0][0] if heap else math.inf for heap in (self._aside, self._down))

    async def _attempt(self, one: Attempts) -> None:
        effect, begun_s = one.effect, trio.current_time()
        try:
            answer = _checked(await self.channel.deliver(effect))
            if answer.status != "failed":  # that may have been said without asking anybody
                self._succeeded(one.to)
            receipt: Receipt | None = answer
        except (TryLater, OSError) as error:
            receipt = self._failed(one, begun_s, error)
        except Exception as error:
            # One message a channel cannot handle must not stop the others, nor come back at every start.
            log.exception("Channel %s failed with effect %s.", effect.channel, effect.id)
            self._fail(one.to, error)
            receipt = Receipt(effect.id, "failed", f"{type(error).__name__}: {error}")
        if receipt is not None:
            await self._settle(effect, receipt)
        self._under_way -= 1
        one.to.under_way -= 1
        if receipt is not None:
            self._forget(one)
        self._list(one.to)
        self._changed.set()

    def _failed(self, one: Attempts, begun_s: float, error: Exception) -> Receipt | None:
        """Set it aside, or give it up: then the receipt."""
        now_s, wanted_s = trio.current_time(), asked_s(error)
        one.fail(begun_s, now_s, wanted_s)
        self._fail(one.to, error)
        if one.are_over:
            self.gave_up += 1
            return Receipt(one.effect.id, "failed", one.told(error))
        if one.to.is_down:
            one.to.waiting.append(one)
            self._waiting += 1
        else:
            due_s = now_s + spread(one.pause_s, wanted_s, self._chance)
            heapq.heappush(self._aside, (due_s, one.effect.seq, one))
        return None

    def _fail(self, to: Destination, error: Exception) -> None:
        self.attempts_failed += 1
        if to.fail(trio.current_time(), asked_s(error), self._chance):
            log.warning("%s: taken to be down, after failures in a row: %s", self._named(to), error)

    def _succeeded(self, to: Destination) -> None:
        """It answers: where it was down, all that go there, and failed since, are due as soon as they may be."""
        if not to.succeed():
            return
        now_s = trio.current_time()
        log.warning("%s: up again, after %.0f s.", self._named(to), now_s - to.since_s)
        self._aside = [
            (one.soonest_s(now_s) if one.to is to and one.failed_s >= to.since_s else due_s, seq, one)
            for due_s, seq, one in self._aside
        ]
        self._aside += [(one.soonest_s(now_s), one.effect.seq, one) for one in to.waiting]
        self._waiting -= len(to.waiting)
        to.waiting.clear()
        heapq.heapify(self._aside)

    def _named(self, to: Destination) -> str:
        """For the log: the channels and, where they go to several, where to."""
        names = ", ".join(sorted(self.names))
        return f"{names} to {to.name}" if to.name else names


def _checked(receipt: object) -> Receipt:
    """What a channel gave back. Raises TypeError, as for any mistake of the channel's."""
    if not isinstance(receipt, Receipt):
        raise TypeError(f"the channel returned {type(receipt).__name__} instead of a Receipt")
    if receipt.status not in RECEIPT_STATUSES:
        raise TypeError(
            f"the channel returned a Receipt whose status is none of {', '.join(RECEIPT_STATUSES)}"
        )
    return receipt
