"""The story of a life, one line for each event, for the search for a cause."""

from __future__ import annotations

import msgspec
import trio.testing

from tests.sim.account import LifeAccount
from tests.sim.plan import LifePlan


class Story:
    """Lines in order of virtual time."""

    def __init__(self, of: LifePlan, clock: trio.testing.MockClock) -> None:
        self.lines = [f"seed {of.seed}: {msgspec.json.encode(_brief(of)).decode()}"]
        self.seed = of.seed
        self.compared = False
        self.ends: dict[str, int] = {}
        self._clock = clock

    def tell(self, who: str, what: str) -> None:
        self.lines.append(f"{self._clock.current_time():10.3f} s  {who:<12} {what}")

    def failed(self, error: BaseException) -> None:
        self.lines.append(
            f"{self._clock.current_time():10.3f} s  FAILED       {type(error).__name__}: {error}"
        )

    def conclude(self, account: LifeAccount) -> None:
        self.ends = {
            "batches": len(account.frames),
            "lines": len(account.durable_ids),
            "effects": len(account.effects),
            "records": len(account.trace),
            **account.met,
        }
        self.tell("account", f"agrees: {self.ends}, slow twin {'asked' if self.compared else 'not asked'}")


def _brief(of: LifePlan) -> dict[str, object]:
    plan = msgspec.to_builtins(of)
    return {**plan, "flows": [f"{flow['id']}: {len(flow['nodes'])} nodes" for flow in of.flows]}
