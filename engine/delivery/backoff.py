"""The patience of deliveries: when an effect is tried again, when it is given up, when a destination is left in peace.

The pauses of an effect grow from DELIVERY_BACKOFF_S, doubled each time, to DELIVERY_BACKOFF_S_MAX; each is shortened by
chance, by up to a half, so that what failed together does not come back together; and none is shorter than what the
other side asked for (`Retry-After`, at most DELIVERY_RETRY_AFTER_S_MAX). It is given up with an attempt that fails
DELIVERY_GIVE_UP_S or longer after the first, but not before DELIVERY_ATTEMPTS_MIN of them.

A destination is where a channel's effects go: all to the same, or each to the host that it names. After
DELIVERY_FAILURES_MAX failures in a row, by whichever effects, it is taken to be down: then there is one attempt at a
time, by one of the effects after the other, with pauses from DELIVERY_BACKOFF_S to DELIVERY_PAUSE_S_MAX between them.
The first that succeeds ends that: all the others are due, but for those that were asked to wait longer.

So many of the effects that go to a destination are held in memory, fewer if it is down. Those beyond are passed over:
they stay in the outbox, and are read again from the first of them when there is place for as many as are held.
"""

from __future__ import annotations

import math
from collections import deque
from random import Random

from engine import limits
from engine.delivery.channels import TryLater
from engine.model import Effect


class Attempts:
    """An effect that is on its way to a destination, and what was tried; times are of trio's clock."""

    def __init__(self, effect: Effect, to: Destination) -> None:
        self.effect = effect
        self.to = to
        self.failed = 0
        self.first_s = self.failed_s = 0.0
        self._asked_until_s = 0.0

    def fail(self, begun_s: float, now_s: float, asked_s: float) -> None:
        """An attempt that began then has failed now."""
        self._asked_until_s = now_s + asked_s
        self.first_s = self.first_s if self.failed else begun_s
        self.failed_s = now_s
        self.failed += 1

    @property
    def are_over(self) -> bool:
        """Whether the last attempt was the last."""
        lasted_s = self.failed_s - self.first_s
        return self.failed >= limits.DELIVERY_ATTEMPTS_MIN and lasted_s >= limits.DELIVERY_GIVE_UP_S

    @property
    def pause_s(self) -> float:
        """The longest pause before the next one."""
        return min(limits.DELIVERY_BACKOFF_S * 2.0 ** min(self.failed - 1, 64), limits.DELIVERY_BACKOFF_S_MAX)

    def soonest_s(self, now_s: float) -> float:
        """When to try again if all is well: now, or when the pause that was asked for is over."""
        return max(now_s, self._asked_until_s)

    def told(self, error: Exception) -> str:
        """How often and why, for the receipt."""
        hours = (self.failed_s - self.first_s) / 3600
        return f"Gave up after {self.failed} attempts in {hours:.1f} hours: {error}"


class Destination:
    """What is known of one; `waiting` are effects that wait for it to be up again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.effects = 0
        """Those that go here and are held by the lane, until they are settled: it is forgotten with the last."""
        self.passed_seq: float = math.inf
        """The smallest seq of those that were passed over."""
        self.under_way = 0
        self.waiting: deque[Attempts] = deque()
        self.is_down = self.is_listed = False
        self.next_s = 0.0
        """While it is down: not before."""
        self.since_s = 0.0
        """The first of the failures in a row."""
        self._failures = 0
        self._pause_s = 0.0

    @property
    def has_place(self) -> bool:
        """Whether one more effect may be held."""
        return self.effects < self._most

    @property
    def has_much_place(self) -> bool:
        """Whether to read again what was passed over; not for each place by itself, the outbox may be long."""
        return 2 * self.effects <= self._most

    @property
    def _most(self) -> int:
        return limits.DELIVERY_HELD_DOWN_MAX if self.is_down else limits.DELIVERY_HELD_MAX

    def may_be_tried(self, now_s: float) -> bool:
        return not self.is_down or (not self.under_way and now_s >= self.next_s)

    def fail(self, now_s: float, asked_s: float, chance: Random) -> bool:
        """An attempt has failed, one that is still counted as under way. Whether it is taken to be down by that."""
        self._failures += 1
        if self._failures == 1:
            self.since_s = now_s
        if self._failures < limits.DELIVERY_FAILURES_MAX:
            return False
        begins = not self.is_down
        if begins:
            self.is_down, self._pause_s = True, limits.DELIVERY_BACKOFF_S
        self.next_s = max(self.next_s, now_s + spread(self._pause_s, asked_s, chance))
        if self.under_way == 1:  # several were under way when it went down: one pause for all of them
            self._pause_s = min(2 * self._pause_s, limits.DELIVERY_PAUSE_S_MAX)
        return begins

    def succeed(self) -> bool:
        """It answers. Whether it was taken to be down until now."""
        ends, self.is_down, self._failures, self.next_s = self.is_down, False, 0, 0.0
        return ends


def spread(pause_s: float, asked_s: float, chance: Random) -> float:
    """Between the half of a pause and all of it, but no less than what was asked for."""
    return max(pause_s * (1 + chance.random()) / 2, asked_s)


def asked_s(error: Exception) -> float:
    """The pause that the other side asked for, within reason; 0: it did not."""
    after_s = error.after_s if isinstance(error, TryLater) else None
    return 0.0 if after_s is None else min(after_s, limits.DELIVERY_RETRY_AFTER_S_MAX)
