"""The application's side of a channel that is pulled: takes messages from the outbox, and says that each arrived."""

from __future__ import annotations

from api.client.http import Client
from api.measure.engine import MeasureError
from engine.limits import LIST_LIMIT_MAX
from ext.wire import instant


class Mailbox:
    """`taken`: messages so far; `orders`: the numbers of their orders, added up. Raises MeasureError for one that comes
    twice."""

    def __init__(self, client: Client, wait_s: int) -> None:
        self.taken = self.orders = 0
        self._client = client
        self._wait_ms = wait_s * 1_000
        self._after = 0
        self._late_ms: list[float] = []

    def pull(self) -> None:
        """Take and answer everything there is."""
        while effects := self._client.get("outbox", limit=LIST_LIMIT_MAX)["effects"]:
            for effect in effects:
                if effect["seq"] <= self._after:
                    raise MeasureError("twice", f"Message {effect['id']} came again after its receipt.")
                self._after = effect["seq"]
                self.taken += 1
                self.orders += int(effect["message"]["subject"].removeprefix("o"))
                due_ms = instant.parse(effect["message"]["text"]) + self._wait_ms
                self._late_ms.append(instant.parse(effect["at"]) - due_ms)
            receipts = [{"effect": effect["id"], "status": "delivered"} for effect in effects]
            self._client.post("outbox", "receipts", body={"receipts": receipts})
            if len(effects) < LIST_LIMIT_MAX:
                return

    def late_ms(self) -> list[float]:
        """How late the steps ran whose messages were taken since this was asked last."""
        late_ms, self._late_ms = self._late_ms, []
        return late_ms
