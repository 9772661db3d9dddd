"""Random cases for the kernel and its slow twin: valid flows of every kind of node, and inputs that provoke them.

A case is made from its seed alone. Small flows are the rule, since there the rules meet most often; now and then
one has up to 150 nodes. Instants are drawn so that things coincide: gaps of nothing, of a millisecond, of whole
hours and days, around the days on which clocks change.
"""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from tests.reference import local_time

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CONTACTS = ("c1", "c2", "c3", "c4")
OUTSIDE = ("Session Ended", "Order Completed", "Cart Viewed")
INSIDE = ("Ping", "Contact Created", "Contact Updated", "Segment Entered", "Segment Left")
INSIDE_TOO = ("Subscription Changed", "Points Changed", "Page Viewed")
ZONES = ("UTC", "Europe/London", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
STARTS = ("2026-03-26T22:00:00Z", "2026-10-22T12:00:00Z", "2026-03-06T00:00:00Z", "2028-02-27T09:00:00Z")
DURATIONS = ("1s", "90s", "30m", "1h", "1h30m", "6h", "1d", "1d12h", "2d", "3d", "1w")
GAPS_MS = (0, 0, 0, 1, 1000, 1_800_000, HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, DAY_MS, 3 * DAY_MS)
DATES = (
    "2026-03-29",
    "2026-03-30",
    "2026-10-25",
    "2026-11-01",
    "2028-02-29",
    "2026-03-08",
    "2026-02-30",
    "2026-W28-5",
)
CONDITIONS = (
    'customer.count("Order Completed") >= 2',
    'customer.count("Order Completed", duration("24h")) > 0',
    'customer.count("Ping") == 0 || customer.points > 3',
    'customer.city == "York"',
    'customer.city == "York" && customer.visits > 1',
    'customer.city == "York" || customer.points >= 5',
    '!(customer.city == "York")',
    "has(customer.city)",
    "has(customer.city) && customer.city.startsWith('Y')",
    'customer.in_segment("gold")',
    '"gold" in customer.segments',
    "size(customer.segments) < 2",
    'customer.last("Order Completed") > now - duration("36h")',
    'customer.sum("Order Completed", "total") > 50.0',
    'customer.sum("Order Completed", "total", duration("48h")) <= 30.0',
    'promo.available("spring") > 0',
    "event.properties.total > 20.0",
    "event.properties.total == 10",
    'event.timestamp + duration("1h") >= now',
    'event.name == "Order Completed"',
    'event.properties.items.exists(item, item == "a")',
    'customer.subscriptions.email == "subscribed"',
    "customer.visits > 1.5 ? customer.points > 0 : true",
    "now > timestamp('2026-03-29T01:00:00Z')",
)
WHENCE = (
    "customer.due",
    "event.properties.due",
    'event.timestamp + duration("36h")',
    'customer.last("Order Completed")',
    "timestamp(event.properties.due)",
    "now",
    "customer.city",
)
MATCHES: tuple[Any, ...] = (
    {"event": "Cart Viewed"},
    {"event": ["Order Completed", "Ping"]},
    {"event": "Order Completed", "where": "event.properties.total == 10"},
    {"event": "Session Ended", "where": "customer.points > 0"},
    {"event": "Contact Updated"},
    'customer.city == "York"',
)
CHANNELS = ("email", "sms", "mobile_push", "web_push", "webhook")
TEXTS = (
    "Hello",
    "{{ customer.city }}",
    "{{ codes.code }}",
    "{{ event.properties.amount }}",
    "",
    "{{ customer.visits }}",
)


class Case(msgspec.Struct):
    """One random life of an engine."""

    seed: int
    flows: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    start: str
    until: str


def case(seed: int) -> Case:
    """Return the case of a seed, the same on every machine."""
    random = Random(seed)
    start = random.choice(STARTS)
    flows = [flow(random, f"f{number}") for number in range(random.choice((1, 1, 2, 2, 3)))]
    lines, last_ms = inputs(random, flows, local_time.instant(start))
    until_ms = last_ms + random.choice((HOUR_MS, DAY_MS, 20 * DAY_MS))
    return Case(seed, flows, lines, start, local_time.write(until_ms))


# ---- flows


def flow(random: Random, name: str) -> dict[str, Any]:
    """Return a valid flow: every edge leads onward, every node is reached."""
    size = random.choice((1, 2, 3, 3, 4, 4, 5, 6, 8, 10, 12, 16, 30))
    if random.random() < 0.02:
        size = random.choice((60, 149))
    names = [f"n{number}" for number in range(1, size + 1)]
    nodes: dict[str, dict[str, Any]] = {"start": launch(random, edge(random, names, 0))}
    for number, node in enumerate(names, start=1):
        nodes[node] = body(random, node, names, number)
    nodes = reached(nodes)
    if not any("issue_promo_code" in action for spec in nodes.values() for action in spec.get("actions", ())):
        without_codes(nodes)
    if random.random() < 0.12:
        nodes = without_event(nodes)
        nodes["start"]["trigger"] = {"schedule": occurrences(random)}
    elif random.random() < 0.08:
        nodes["start"]["run_key"] = "event.properties.amount"
    document: dict[str, Any] = {"id": name, "name": name, "nodes": nodes}
    if random.random() < 0.12:
        document["exit_when"] = random.choice(MATCHES)
    if random.random() < 0.7:
        document["timezone"] = random.choice(ZONES)
    if random.random() < 0.5:
        document["frequency"] = frequency(random)
    if random.random() < 0.2:
        document["when_paused"] = random.choice(("leave", "hold"))
    if random.random() < 0.1:
        side = random.choice(("start", "end"))
        begin_ms = local_time.instant(random.choice(STARTS[:2]))
        document["schedule"] = {side: local_time.write(begin_ms + random.randrange(12) * 12 * HOUR_MS)}
    return document


def without_codes(nodes: dict[str, dict[str, Any]]) -> None:
    """Remove from templates the codes that no step issues."""
    for spec in nodes.values():
        for action in spec.get("actions", ()):
            for part, text in action.get("message", {}).items():
                if text == "{{ codes.code }}":
                    action["message"][part] = "Hello"


def occurrences(random: Random) -> dict[str, Any]:
    """Return a scheduled launch (rule 11)."""
    at = random.choice(("09:00", "01:30", "02:30", "00:00"))
    match random.choice(("day", "week", "month")):
        case "week":
            return {"every": "week", "days": random.choice((["mon"], ["sun", "thu"])), "at": at}
        case "month":
            return {"every": "month", "days": random.choice(([1, 15], [29, 31], ["last"])), "at": at}
        case _:
            return {"every": "day", "at": at}


def without_event(value: Any, key: str = "") -> Any:
    """Return a value without mentions of `event`, which a scheduled launch does not have."""
    if isinstance(value, dict):
        return {name: without_event(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [without_event(item, key) for item in value]
    if not isinstance(value, str) or "event." not in value:
        return value
    instead: dict[str, Any] = {
        "when": "has(customer.city)",
        "where": "customer.points < 9",
        "date": "customer.due",
    }
    return instead.get(key, 1 if key == "add" else "Hello")


def edge(random: Random, names: list[str], after: int) -> str | None:
    """Return a node further on, mostly the next one; sometimes None, which ends the run."""
    ahead = names[after:]
    if not ahead or (after and random.random() < 0.1):
        return None
    return ahead[0] if random.random() < 0.7 else random.choice(ahead[:6])


def reached(nodes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the nodes that some path from the launch node reaches."""
    ahead, found = ["start"], {"start"}
    while ahead:
        for target in targets(nodes[ahead.pop()]):
            if target not in found:
                found.add(target)
                ahead.append(target)
    return {name: spec for name, spec in nodes.items() if name in found}


def targets(spec: dict[str, Any]) -> list[str]:
    branches = [*spec.get("branches", ()), *spec.get("variants", ())]
    edges = [spec.get(key) for key in ("next", "then", "else", "over", "missing")]
    return [target for target in [*edges, *(branch.get("next") for branch in branches)] if target]


def launch(random: Random, onward: str | None) -> dict[str, Any]:
    if random.random() < 0.7:
        events = random.sample(OUTSIDE, random.choice((1, 1, 2, 3)))
    else:
        events = random.sample((*OUTSIDE, *INSIDE, *INSIDE_TOO), random.choice((1, 2, 3)))
    spec: dict[str, Any] = {"kind": "launch", "trigger": {"event": events if len(events) > 1 else events[0]}}
    if random.random() < 0.3:
        spec["where"] = random.choice(CONDITIONS)
    return with_edges(spec, next=onward)


def body(random: Random, name: str, names: list[str], number: int) -> dict[str, Any]:
    """Return a node of any kind but launch; `name` is `names[number - 1]`."""
    onward = edge(random, names, number)
    match random.choice(
        ("step",) * 8 + ("wait",) * 6 + ("condition",) * 3 + ("split", "ab_test", "limit", "limit")
    ):
        case "step":
            return with_edges(step(random), next=onward)
        case "wait":
            other = edge(random, names, number)
            return with_edges(wait(random), **{"next": onward, "missing": other, "else": other})
        case "condition":
            spec = {"kind": "condition", "when": random.choice(CONDITIONS)}
            return with_edges(spec, **{"then": onward, "else": edge(random, names, number)})
        case "split":
            return {"kind": "split", "branches": shares(random, names, number)}
        case "ab_test":
            variants = shares(random, names, number)
            variants[0]["control"] = True
            goal = {"event": "Order Completed", "within": "7d", "revenue": "order.total"}
            return {"kind": "ab_test", "variants": variants, "goal": goal}
        case _:
            limit = {"kind": "limit", "max": random.randint(1, 4)}
            per = (None, "1h", "1d", "3d")[sum(name.encode()) % 4]  # the same in every version of the flow
            return with_edges(limit, per=per, next=onward, over=edge(random, names, number))


def with_edges(spec: dict[str, Any], **keys: str | None) -> dict[str, Any]:
    """Add to `spec` the keys that are not None and that such a node has."""
    for key, value in keys.items():
        needs = {"missing": "until", "else": "until_event" if spec.get("kind") == "wait" else "kind"}.get(key)
        if value is not None and (needs is None or needs in spec):
            spec[key] = value
    return spec


def shares(random: Random, names: list[str], number: int) -> list[dict[str, Any]]:
    cut = random.choice((50, 33.33, 1, 99.99, 10.5))
    branches: list[dict[str, Any]] = [
        with_edges({"name": "a", "share": cut}, next=edge(random, names, number)),
        with_edges({"name": "b", "share": round(100 - cut, 2)}, next=edge(random, names, number)),
    ]
    if cut < 50 and random.random() < 0.5:
        branches[1]["share"] = round(100 - 2 * cut, 2)
        branches.append(with_edges({"name": "c", "share": cut}, next=edge(random, names, number)))
    return branches


def wait(random: Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"kind": "wait"}
    how = random.choice(("for", "for", "until", "window"))
    if random.random() < 0.1:
        match = random.choice(MATCHES)
        match = {"where": match} if isinstance(match, str) else match
        return spec | {"until_event": match, "for": random.choice(DURATIONS[3:])}
    if how == "for":
        spec["for"] = random.choice(DURATIONS)
    elif how == "until":
        spec["until"] = {"date": random.choice(WHENCE)}
        if random.random() < 0.4:
            spec["until"]["offset"] = random.choice(("-2d", "1d", "-90s", "36h"))
        if random.random() < 0.4:
            spec["until"]["at"] = random.choice(("00:00", "10:00", "01:30", "02:30", "23:59"))
    if how == "window" or random.random() < 0.3:
        windows = [window(random) for _ in range(random.choice((1, 1, 2)))]
        spec["window"] = windows if len(windows) > 1 or random.random() < 0.2 else windows[0]
    return spec


def window(random: Random) -> dict[str, Any]:
    opens, closes = random.choice(
        (("08:00", "20:00"), ("22:00", "06:00"), ("01:30", "02:30"), ("01:10", "01:50"), ("12:00", "12:01"))
    )
    spec: dict[str, Any] = {"from": opens, "to": closes}
    if random.random() < 0.4:
        spec["days"] = sorted(
            random.sample(local_time.DAYS, random.choice((1, 2, 5))), key=local_time.DAYS.index
        )
    return spec


def frequency(random: Random) -> dict[str, Any]:
    mode = random.choice(("once", "every_time", "periodically", "periodically"))
    rule: dict[str, Any] = {"mode": mode}
    if mode == "periodically":
        rule["every"] = random.choice(DURATIONS[4:])
    if mode != "once" and random.random() < 0.4:
        rule["max"] = random.randint(1, 3)
    return rule


def step(random: Random) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "kind": "step",
        "actions": [action(random) for _ in range(random.choice((1, 1, 2, 3)))],
    }
    if random.random() < 0.5:
        spec["relevance"] = random.choice(("none", "1h", "6h", "2d"))
    return spec


def action(random: Random) -> dict[str, Any]:
    match random.randrange(10):
        case 0 | 1 | 2:
            message = {part: random.choice(TEXTS) for part in random.sample(("subject", "text", "html"), 2)}
            sent: dict[str, Any] = {"send": random.choice(CHANNELS), "message": message}
            if random.random() < 0.2:
                message["transactional"] = True  # type: ignore[assignment]
            return sent
        case 3:
            return {"issue_promo_code": {"pool": random.choice(("spring", "summer")), "as": "code"}}
        case 4:
            return {"points": {"add": random.choice((1, 5, -3, "{{ event.properties.amount }}"))}}
        case 5:
            return {
                "update_customer": random.choice(
                    (
                        {"set": {"city": "York"}, "increment": {"visits": 1}},
                        {"set": {"greeting": "Hello {{ customer.city }}"}, "unset": ["city"]},
                        {"increment": {"visits": 2, "city": 1}},
                        {"set": {"subscriptions": {"email": "unsubscribed"}}},
                        {"unset": ["due", "timezone"]},
                    )
                )
            }
        case 6:
            return {
                "emit": {
                    "event": "Ping",
                    "properties": {"amount": "{{ event.properties.amount }}", "total": 10},
                }
            }
        case 7:
            return {"emit": {"event": random.choice(("Order Completed", "Ping"))}}
        case _:
            change: dict[str, Any] = {
                "add": random.sample(("gold", "silver", "bronze"), random.choice((1, 2)))
            }
            if random.random() < 0.4:
                change = {random.choice(("add", "remove")): ["gold"], "remove": ["copper"]}
            return {"segment": change}


# ---- inputs


def inputs(random: Random, flows: list[dict[str, Any]], start_ms: int) -> tuple[list[dict[str, Any]], int]:
    """Return lines in order of `at`, and the instant of the last."""
    now_ms = start_ms
    lines: list[dict[str, Any]] = [
        {
            "at": local_time.write(now_ms),
            "type": "control",
            "op": "add_codes",
            "pool": "spring",
            "codes": ["A", "B", "C"],
        }
    ]
    paused: set[str] = set()
    whole = random.random() < 0.6  # many things on the hour, or the gaps of a busy minute
    for _ in range(random.choice((3, 6, 10, 20, 40))):
        now_ms += random.choice(GAPS_MS[3:] if whole else GAPS_MS[:8])
        kind = random.random()
        if kind < 0.72:
            line = track(random, now_ms)
        elif kind < 0.86:
            line = {"type": "identify", "userId": random.choice(CONTACTS), "traits": traits(random)}
        elif kind < 0.88:
            one, other = random.sample((*CONTACTS, "c5"), 2)
            line = {"type": "alias", "userId": one, "previousId": other}
        else:
            line = operation(random, flows, paused, now_ms)
        lines.append({"at": local_time.write(now_ms), **line})
    return lines, now_ms


def track(random: Random, now_ms: int) -> dict[str, Any]:
    line: dict[str, Any] = {
        "type": "track",
        "userId": random.choice(CONTACTS),
        "event": random.choice(OUTSIDE),
    }
    if random.random() < 0.08:
        line = {"type": random.choice(("page", "screen")), "userId": random.choice(CONTACTS)}
    if random.random() < 0.35:
        late_ms = random.choice((-DAY_MS, 1, HOUR_MS, DAY_MS, 5 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS + 1))
        line["timestamp"] = local_time.write(now_ms - late_ms)
    if random.random() < 0.3:
        line["messageId"] = f"m{random.randrange(6)}"
    choices: dict[str, tuple[Any, ...]] = {
        "total": (10, 20.5, 55.0, "many"),
        "amount": (1, 4, "big"),
        "due": (*DATES, "2026-03-29T00:30:00Z", "2026-10-25T02:15:00+02:00", 7, None),
        "items": (["a", "b"], [], ["b"]),
    }
    line["properties"] = {
        name: random.choice(values) for name, values in choices.items() if random.random() < 0.6
    }
    return line


def traits(random: Random) -> dict[str, Any]:
    choices: dict[str, tuple[Any, ...]] = {
        "email": ("a@example.com", None),
        "phone": ("+441234", None),
        "push_tokens": (["t"],),
        "city": ("York", "Leeds", None),
        "visits": (1, 2.5, "x", None),
        "due": (*DATES, None),
        "timezone": (*ZONES, "Nowhere/Else", None),
        "subscriptions": (
            {"email": "subscribed"},
            {"email": "unconfirmed", "sms": "subscribed"},
            {"webhook": "unsubscribed"},
            None,
        ),
        "points": (3,),
    }
    names = random.sample(list(choices), random.choice((0, 1, 2, 4)))
    return {name: random.choice(choices[name]) for name in names}


def operation(random: Random, flows: list[dict[str, Any]], paused: set[str], now_ms: int) -> dict[str, Any]:
    """Return a control operation that the engine accepts."""
    name = random.choice(flows)["id"]
    line: dict[str, Any] = {"type": "control"}
    match random.randrange(6):
        case 0 | 1 if name in paused:
            paused.discard(name)
            return line | {"op": "resume", "flow": name}
        case 0 | 1:
            paused.add(name)
            return line | {"op": "pause", "flow": name}
        case 2:
            gap_ms = random.choice((1000, HOUR_MS, DAY_MS, 4 * DAY_MS))
            return line | {"op": "restart", "until": local_time.write(now_ms + gap_ms)}
        case 3:
            end = random.choice(
                (None, local_time.write(now_ms + random.choice((HOUR_MS, DAY_MS, 4 * DAY_MS))))
            )
            return line | {"op": "schedule", "flow": name, "start": None, "end": end}
        case 4:
            return line | {"op": "add_codes", "pool": "summer", "codes": [f"S{now_ms}", f"T{now_ms}"]}
        case _:
            paused.discard(name)
            return line | {"op": "launch", "flow": flow(random, name)}
