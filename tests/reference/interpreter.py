"""The rules of the engine as plainly as they can be said: the slow twin that the kernel is compared with.

Written from the rules alone. Everything is a dict or a list, every search is over everything, local times
come from `zoneinfo`, conditions from Google's evaluator. Flow documents are taken as people write them (known
to be valid already), input lines as they stand in a scenario, and the answer is the list of trace records,
instants as text. Where the rules leave a choice, it stands here once, in a comment beginning "Decided".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from tests.reference import draws, local_time
from tests.reference.actions import ReferenceActions
from tests.reference.awaited_events import AwaitedEvents
from tests.reference.conditions import EvaluationFailed, Evaluator
from tests.reference.contacts import EVENTS_PER_NAME_MAX, ReferenceContacts
from tests.reference.part import Document, Happened, Run

EVENT_AGE_MS_MAX = 7 * 24 * 3600 * 1000
OCCURRENCE_AGE_MS_MAX = 24 * 3600 * 1000
KEPT_AS = {"page": "Page Viewed", "screen": "Screen Viewed", "group": "Group Joined"}


def play(
    flows: Iterable[Document],
    lines: Iterable[dict[str, Any]],
    start: str,
    until: str,
    key: bytes = bytes(16),
    events_max: int = 1_000_000,
) -> list[Happened]:
    """Play flows and lines from `start` to `until`, timers due at `until` included. Return the trace as dicts.

    Raises TooMuch after `events_max` events: flows that launch each other can multiply for 16 generations.
    """
    engine = ReferenceEngine(local_time.instant(start), key)
    engine.events_left = events_max
    for document in flows:
        engine.launch(document)
    for line in lines:
        if local_time.instant(line["at"]) > local_time.instant(until):
            break
        at = max(
            local_time.instant(line["at"]), engine.now
        )  # an engine that is down receives when it is up again
        engine.fire(at)
        engine.now = at
        engine.take(line)
    engine.fire(local_time.instant(until))
    return engine.trace


class CaseTooLarge(Exception):
    """A case with more events than `events_max`."""


class ReferenceEngine(ReferenceContacts, AwaitedEvents, ReferenceActions):
    """One engine: `now` is the virtual time, `trace` its records so far."""

    def __init__(self, start_ms: int, key: bytes) -> None:
        self.now = start_ms
        self.events_left = 0
        self.key = key
        self.trace: list[Happened] = []
        self.flows: dict[str, dict[str, Any]] = {}
        self.contacts: dict[str, dict[str, Any]] = {}
        self.runs: list[Run] = []  # those still on their way
        self.runs_begun = 0
        self.gates: dict[tuple[str, str], dict[str, Any]] = {}  # frequency, by flow and contact (rule 15)
        self.passages: dict[tuple[str, str], list[int]] = {}  # of limits, by flow and node (rule 23)
        self.assigned: dict[tuple[str, str, str], str] = {}  # A/B: by flow, node and contact (rule 21)
        self.pools: dict[str, list[str]] = {}
        self.seen: set[str] = set()  # message ids (rule 8)
        self.other_names: dict[str, str] = {}  # contact ids given up by an alias
        self.queue: deque[dict[str, Any]] = deque()  # events of the engine's own, waiting their turn
        self.asked = ""  # the contact an expression is about
        self.evaluator = Evaluator(self)

    # ---- inputs

    def take(self, line: dict[str, Any]) -> None:
        """Receive one input line now."""
        kind = line["type"]
        if kind == "control":
            self.operate(line)
        else:
            message = line.get("messageId")
            if message and message in self.seen:
                return
            if message:
                self.seen.add(message)
            contact = self.name_of(line.get("userId") or line["anonymousId"])
            if kind == "alias":
                self.alias(contact, line["previousId"])
            elif kind == "identify":
                self.touch(contact, depth=0)
                self.change_traits(contact, line.get("traits") or {}, depth=0)
            else:
                body = line.get("traits" if kind == "group" else "properties") or {}
                stamp = line.get("timestamp") or line["at"]
                self.touch(contact, depth=0)
                self.happen(
                    {
                        "name": KEPT_AS.get(kind) or line["event"],
                        "contact": contact,
                        "timestamp": min(local_time.instant(stamp), self.now),  # rule 1
                        "properties": body,
                        "depth": 0,
                        "kept": True,
                    }
                )
        self.drain()

    def operate(self, line: dict[str, Any]) -> None:
        """Carry out one of the control operations that a scenario may hold."""
        op = line["op"]
        if op == "launch":
            self.launch(line["flow"])
        elif op == "pause":
            flow = self.flows[line["flow"]]
            if flow["paused_at"] is None:
                flow["paused_at"] = self.now
        elif op == "resume":
            self.flows[line["flow"]]["paused_at"] = None
            self.release(line["flow"])
        elif op == "schedule":
            flow = self.flows[line["flow"]]
            for side in ("start", "end"):
                if side in line:
                    flow[side] = None if line[side] is None else local_time.instant(line[side])
            self.release(line["flow"])
        elif op == "add_codes":
            self.pools.setdefault(line["pool"], []).extend(line["codes"])
        elif op == "restart":
            self.now = max(self.now, local_time.instant(line["until"]))
        else:
            raise AssertionError(f"the reference knows no operation {op!r}")

    def name_of(self, contact: str) -> str:
        return self.other_names.get(contact, contact)

    # ---- entering

    def happen(self, event: dict[str, Any]) -> None:
        """Apply one event (rule 7): the contact first, then the triggers, flows in order of id."""
        self.events_left -= 1
        if self.events_left < 0:
            raise CaseTooLarge
        contact = event["contact"]
        if contact not in self.contacts:
            self.touch(contact, event["depth"])
        if event["kept"]:
            history = self.contacts[contact]["events"].setdefault(event["name"], [])
            history.append((event["timestamp"], event["properties"]))
            history.sort(key=lambda item: item[0])
            del history[:-EVENTS_PER_NAME_MAX]
        self.listen(event)
        for name in sorted(self.flows):
            self.try_flow(self.flows[name], event)

    def try_flow(self, flow: dict[str, Any], event: dict[str, Any]) -> None:
        """Check whether an event enters a flow, in this order: running, trigger, where, age, start, frequency."""
        wanted = flow["nodes"][flow["launch_node"]]["trigger"].get("event", ())
        if self.running(flow) and event["name"] in ([wanted] if isinstance(wanted, str) else wanted):
            self.try_entering(flow, event)

    def try_entering(self, flow: dict[str, Any], event: dict[str, Any]) -> None:
        contact = event["contact"]
        start, launch = flow["launch_node"], flow["nodes"][flow["launch_node"]]
        if "where" in launch:
            holds, _ = self.evaluator.test(launch["where"], self.variables(contact, event))
            if not holds:
                return
        refusal: dict[str, Any] | None = None
        if self.now - event["timestamp"] > EVENT_AGE_MS_MAX:
            refusal = {"reason": "too_old"}
        elif flow["start"] is not None and event["timestamp"] < flow["start"]:
            refusal = {"reason": "schedule"}
        else:
            refusal = self.refused_by_frequency(flow, contact)
        key = None
        if refusal is None and "run_key" in launch:
            key = self.key_of(flow, event)
            beside = [run for run in self.runs if run["flow"] == flow["id"] and run["contact"] == contact]
            if key is None or key in [run["key"] for run in beside]:
                refusal = {"reason": "run_key"}
        if refusal is not None:
            self.record(flow, 0, contact, start, "refused", refusal)
            return
        self.runs_begun += 1
        run = {
            "id": self.runs_begun,
            "flow": flow["id"],
            "contact": contact,
            "event": event,
            "logical": event["timestamp"],  # rule 2
            "depth": event["depth"],
            "codes": {},
            "counted": False,
            "node": start,
            "due": None,
            "held": False,
            "key": key,
            "awaited": False,
        }
        self.runs.append(run)
        by_event = event["name"] is not None
        detail = {"event": event["name"]} if by_event else {"schedule": local_time.write(event["timestamp"])}
        self.record(flow, run["id"], contact, start, "entered", detail)
        self.advance(run, launch.get("next"))

    def running(self, flow: dict[str, Any]) -> bool:
        return flow["paused_at"] is None and (flow["end"] is None or self.now < flow["end"])

    def refused_by_frequency(self, flow: dict[str, Any], contact: str) -> dict[str, Any] | None:
        """Return the refusal by frequency (rules 12 to 15) or None; `until` only where the period alone decides."""
        rule = flow["document"].get("frequency") or {"mode": "every_time"}
        mode = rule.get("mode", "every_time")
        gate = self.gates.get((flow["id"], contact), {"launches": 0, "last": None, "once": False})
        refused = {"reason": "frequency"}
        if gate["once"] or (mode == "once" and gate["launches"]):
            return refused
        if "max" in rule and gate["launches"] >= rule["max"]:
            return refused
        if mode != "every_time" or "max" in rule:
            for run in self.runs:
                if run["flow"] == flow["id"] and run["contact"] == contact and not run["counted"]:
                    return refused  # rule 14: it holds a reservation
        if mode == "periodically" and gate["last"] is not None:
            opens = gate["last"] + local_time.duration(rule["every"])
            if self.now < opens:
                return refused | {"until": local_time.write(opens)}
        return None

    # ---- on the way

    def advance(self, run: Run, node: str | None) -> None:
        """Take a run on from a node to the next wait that is not over, or to its end."""
        flow = self.flows[run["flow"]]
        while node is not None:
            run["node"] = node
            spec = flow["nodes"][node]
            match spec["kind"]:
                case "step":
                    self.do_step(flow, run, spec)
                    node = spec.get("next")
                case "condition":
                    variables = self.variables(run["contact"], run["event"])
                    result, error = self.evaluator.test(spec["when"], variables)
                    detail = {"result": result} | ({"error": error} if error is not None else {})
                    self.record_run(run, "condition", detail)
                    node = spec.get("then" if result else "else")
                case "split" | "ab_test":
                    branch = self.choose(run, spec)
                    self.record_run(run, "branch", {"name": branch["name"]})
                    node = branch.get("next")
                case "limit":
                    passed, count = self.pass_limit(run, spec)
                    self.record_run(run, "passed" if passed else "over", {"count": count})
                    if not passed and "over" not in spec:
                        self.end(run, "limit_reached")
                        return
                    node = spec.get("next" if passed else "over")
                case "wait":
                    end = self.end_of_wait(run, spec)
                    if end is None:
                        if "missing" not in spec:
                            self.end(run, "no_date")
                            return
                        node = spec["missing"]
                        continue
                    self.record_run(run, "waiting", {"until": local_time.write(end)})
                    if "until_event" in spec and self.matches_on_arrival(run, spec["until_event"]):
                        node = spec.get("next")
                        continue
                    if end > self.now:
                        run["due"] = end
                        return
                    run["logical"] = end
                    node = spec.get("else" if "until_event" in spec else "next")
                case kind:
                    raise AssertionError(f"no node is a {kind!r}")
        self.end(run, "completed")

    def end_of_wait(self, run: Run, spec: dict[str, Any]) -> int | None:
        """Return the end of a wait (rules 2, 4 and 5), or None without a date."""
        zone = self.zone_of(run)
        end: int | None = run["logical"]
        if "for" in spec:
            end = run["logical"] + local_time.duration(spec["for"])
        elif "until" in spec:
            until = spec["until"]
            try:
                value = self.evaluator.value(until["date"], self.variables(run["contact"], run["event"]))
            except EvaluationFailed:
                return None
            end = local_time.date_of(
                value, zone, until.get("at"), local_time.duration(until.get("offset", "0s"))
            )
            if end is None:
                return None
        assert end is not None
        if "window" in spec:
            end = local_time.leaving(windows_of(spec), zone, max(end, self.now))
        return end

    def zone_of(self, run: Run) -> Any:
        traits = self.contacts[run["contact"]]["traits"]
        return local_time.zone_of(
            traits.get("timezone"), self.flows[run["flow"]]["document"].get("timezone", "UTC")
        )

    def choose(self, run: Run, spec: dict[str, Any]) -> dict[str, Any]:
        """Draw a branch (rule 21): a split draws by run, an A/B test once by contact."""
        branches: list[dict[str, Any]] = spec["branches"] if spec["kind"] == "split" else spec["variants"]
        salt = draws.salt(self.key, run["flow"], run["node"])
        shares = [round(branch["share"] * 100) for branch in branches]
        if spec["kind"] == "split":
            return branches[draws.draw(salt, run["id"].to_bytes(8, "little"), shares)]
        place = (run["flow"], run["node"], run["contact"])
        for branch in branches:
            if self.assigned.get(place) == branch["name"]:
                return branch
        branch = branches[draws.draw(salt, run["contact"].encode(), shares)]
        self.assigned[place] = branch["name"]
        return branch

    def pass_limit(self, run: Run, spec: dict[str, Any]) -> tuple[bool, int]:
        """Return whether a run passes a limit (rule 23), and the passages then in the window."""
        passages = self.passages.setdefault((run["flow"], run["node"]), [])
        since = self.now - local_time.duration(spec["per"]) if "per" in spec else None
        count = sum(1 for at in passages if since is None or at > since)
        if count >= spec["max"]:
            return False, count
        passages.append(self.now)
        return True, count + 1

    # ---- waits that end

    def fire(self, until: int) -> None:
        """End every wait that is over by `until`, in the order (due, run id), and make every scheduled launch.

        Decided: at one instant waits come first, then launches in the order (occurrence, flow id).
        """
        while True:
            waiting = [run for run in self.runs if run["due"] is not None and not run["held"]]
            run = min(waiting, key=lambda run: (run["due"], run["id"]), default=None)
            rounds = [(when, name) for name, flow in self.flows.items() if (when := self.next_round(flow))]
            dues = [run["due"]] if run else []
            dues += [when for when, _ in rounds]
            if not dues or max(min(dues), self.now) > until:
                break
            self.now = max(min(dues), self.now)
            if run and run["due"] <= self.now:
                self.wake(run)
                self.drain()
            else:
                when, name = min(rounds)
                self.occur(self.flows[name], when)

    def wake(self, run: Run) -> None:
        """End the wait of a run: it leaves, is stopped, or is held (rule 28)."""
        flow, due = self.flows[run["flow"]], run["due"]
        if run["awaited"]:
            self.leave_by_event(run, depth=0)
            return
        stops = [instant for instant in (flow["paused_at"], flow["end"]) if instant is not None]
        if not self.running(flow) and any(due >= instant for instant in stops):
            if flow["document"].get("when_paused", "leave") == "hold":
                run["held"] = True
            else:
                self.end(run, "stopped")
            return
        run["held"] = False
        spec = flow["nodes"][run["node"]]
        if due < self.now and "window" in spec:
            opens = local_time.leaving(windows_of(spec), self.zone_of(run), self.now)
            if opens > self.now:  # rule 4: it is late, and outside every window
                run["due"] = opens
                self.record_run(run, "waiting", {"until": local_time.write(opens)})
                return
        run["due"] = None
        run["logical"] = due  # rule 2: not when the machine got to it
        run["depth"] = 0
        self.advance(run, spec.get("else" if "until_event" in spec else "next"))

    def release(self, flow: str) -> None:
        """Take held runs on if the flow runs again. Decided: a flow resumed after its end does not run."""
        if not self.running(self.flows[flow]):
            return
        held = [run for run in self.runs if run["flow"] == flow and run["held"]]
        for run in sorted(held, key=lambda run: (run["due"], run["id"])):
            self.wake(run)
            self.drain()

    # ---- scheduled launches

    def next_round(self, flow: dict[str, Any]) -> int | None:
        """Return the next occurrence of a scheduled launch, none twice (rule 11)."""
        rule = flow["nodes"][flow["launch_node"]]["trigger"].get("schedule")
        if rule is None:
            return None
        zone = local_time.zone_of(flow["document"].get("timezone", "UTC"))
        return local_time.occurrence(rule, zone, max(flow["since"], (flow["occurred"] or 0) + 1))

    def occur(self, flow: dict[str, Any], when: int) -> None:
        """Enter all contacts for whom `where` holds, unless it is a day late or the flow did not run then.

        Decided: nor where the flow has ended since, while the engine was down: no entries after the end.
        """
        flow["occurred"] = when
        stops = [instant for instant in (flow["paused_at"], flow["end"]) if instant is not None]
        early = flow["start"] is not None and when < flow["start"]
        if (
            early
            or not self.running(flow)
            or any(when >= instant for instant in stops)
            or self.now - when >= OCCURRENCE_AGE_MS_MAX
        ):
            return
        for contact in sorted(self.contacts, key=str.encode):
            event: dict[str, Any] = {
                "name": None,
                "contact": contact,
                "timestamp": when,
                "properties": {},
                "depth": 0,
            }
            self.try_entering(flow, event)
            self.drain()

    # ---- versions

    def launch(self, document: Document) -> None:
        """Launch a first version, or a new one in place of the old (rules 25 to 28)."""
        name = document["id"]
        old = self.flows.get(name)
        nodes = document["nodes"]
        schedule = document.get("schedule") or {}
        self.flows[name] = {
            "id": name,
            "document": document,
            "version": old["version"] + 1 if old else 1,
            "nodes": nodes,
            "launch_node": next(node for node, spec in nodes.items() if spec["kind"] == "launch"),
            "paused_at": None,
            "start": local_time.instant(schedule["start"]) if "start" in schedule else None,
            "end": local_time.instant(schedule["end"]) if "end" in schedule else None,
            "since": self.now,
            "occurred": old["occurred"] if old else None,
        }
        for run in [run for run in self.runs if run["flow"] == name]:
            if nodes.get(run["node"], {}).get("kind") != "wait":
                self.end(run, "removed")
        self.release(name)

    # ---- steps

    def do_step(self, flow: dict[str, Any], run: Run, spec: dict[str, Any]) -> None:
        relevance = spec.get("relevance", "24h")
        if relevance != "none" and self.now > run["logical"] + local_time.duration(relevance):  # rule 3
            self.record_run(run, "expired", {})
            return
        actions = [self.act(run, action) for action in spec["actions"]]
        outcomes = [action["outcome"] for action in actions]
        what = next(which for which in ("executed", "not_sent", "failed") if which in outcomes)  # rule 12
        self.record_run(run, what, {"actions": actions})
        if what == "failed":
            return
        gate = self.gates.setdefault(
            (run["flow"], run["contact"]), {"launches": 0, "last": None, "once": False}
        )
        gate["last"] = self.now
        gate["launches"] += not run["counted"]  # rule 13
        gate["once"] |= (flow["document"].get("frequency") or {}).get("mode") == "once"
        run["counted"] = True

    def act(self, run: Run, action: dict[str, Any]) -> dict[str, Any]:
        """Carry out one action. Return its part of the trace."""
        kind = next(
            kind
            for kind in ("send", "issue_promo_code", "points", "update_customer", "segment", "emit")
            if kind in action
        )
        outcome, error = getattr(self, f"act_{kind}")(run, action)
        done = {"action": kind, "outcome": outcome}
        if kind == "send":
            done["channel"] = action["send"]
        if error is not None:
            done["error"] = error
        return done

    # ---- the trace

    def record(
        self, flow: dict[str, Any], run: int, contact: str, node: str, what: str, detail: dict[str, Any]
    ) -> None:
        self.trace.append(
            {
                "at": local_time.write(self.now),
                "flow": flow["id"],
                "version": flow["version"],
                "run": run,
                "contact": contact,
                "node": node,
                "what": what,
                "detail": detail,
            }
        )

    def record_run(self, run: Run, what: str, detail: dict[str, Any]) -> None:
        self.record(self.flows[run["flow"]], run["id"], run["contact"], run["node"], what, detail)

    def end(self, run: Run, reason: str) -> None:
        self.record_run(run, "left", {"reason": reason})
        self.runs.remove(run)


def windows_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    windows = spec["window"]
    return windows if isinstance(windows, list) else [windows]
