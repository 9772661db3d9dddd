"""The numbers that keys have in memory show nowhere: engines that numbered them in another order, or not at all, say
the same of the same batches, byte for byte, and restore each other's snapshots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.tuning import KEYS_NUMBERED_MAX

PROGRAM = r"""
import hashlib, json, random, sys

before, into, out_of = sys.argv[1:]
from ext.maps.key_numbers import number_of, numbered

KEYS = ["city", "score", "total", "email", "subscriptions", "a", "é", "products", *("k" * n for n in (31, 32, 64, 65))]
if before == "reversed":
    for key in reversed(KEYS):
        number_of(key)
elif before == "late":
    for n in range(200):
        number_of(f"key {n}")
elif before == "full":
    for n in range(KEYS_MAX * 3):
        number_of(f"key {n}")

from engine.kernel import Kernel
from engine.kernel.snapshot import digest
from engine.model import Batch, Control
from engine.wire import decode_lines

nodes = {
    "start": {"kind": "launch", "trigger": {"event": "X"}, "where": "event.properties.total >= 1", "next": "step"},
    "step": {
        "kind": "step",
        "actions": [
            {"send": "webhook", "message": {"city": "{{ customer.city }}", "all": "{{ event.properties | json }}"}},
            {"update_customer": {"set": {"last": {"city": "Rome", "k" * 65: 1}}, "increment": {"score": 1}}},
            {"emit": {"event": "Y", "properties": {"total": 1, "city": {"a": 2}}}},
        ],
        "next": "wait",
    },
    "wait": {"kind": "wait", "for": "1h", "next": "again"},
    "again": {"kind": "condition", "when": "customer.exists(k, k == 'city') && customer.score > 1", "then": "second"},
    "second": {"kind": "step", "actions": [{"send": "email", "message": {"body": "{{ customer.city }}"}}]},
}
chance = random.Random(7)


def value(depth):
    kind = chance.randrange(7 if depth else 5)
    if kind > 4:
        return {key: value(depth - 1) for key in chance.sample(KEYS, chance.randrange(5))} if kind == 5 else [value(0)]
    return [chance.randrange(100), chance.random(), "word", True, chance.choice(KEYS)][kind]


def line(n):
    some = {key: value(3) for key in chance.sample(KEYS, chance.randrange(len(KEYS)))}
    if n % 3:
        some["total"] = chance.randrange(4)
    if n % 7 == 1:
        some |= {f"{'more' * (n % 3)} {more}": more for more in range(chance.choice([58, 70]))}
    some["z"] = n
    body = json.dumps(some, ensure_ascii=n % 2 == 0)
    if n % 5 == 1:  # a key again after an object that has it too; escapes that make a text much shorter
        body = '{"city": {"city": 1, "a": 2}, "city": [3], "note": "' + "\\u00e9" * 6 + '", ' + body[1:]
    kind = '"type": "identify", "traits"' if n % 4 == 0 else '"type": "track", "event": "X", "properties"'
    return f'{{"userId": "c{chance.randrange(40)}", {kind}: {body}}}'


kernel, now = Kernel(key=bytes(range(16)), trace=True), 1_786_320_000_000
told = []


def apply(inputs, ms=1000):
    global now
    now += ms
    outcome = kernel.apply(Batch(kernel.seq + 1, now, inputs))
    told.extend(repr((outcome.answers, outcome.effects, outcome.trace)).splitlines())


def played(turns):
    for turn in turns:
        apply(decode_lines("\n".join(line(n) for n in range(50)).encode()).inputs, 600_000)
    return {"told": hashlib.sha256("\n".join(told).encode()).hexdigest(), "state": digest(kernel._state).hex()}


document = {"id": "f", "name": "f", "nodes": nodes}
apply([Control("channels", {"channels": ["webhook", "email"]}), Control("launch", {"flow": document})])
said = [played(range(10))]
snapshot = kernel.snapshot(full=True)
parts = []
while (part := snapshot.part(100)) is not None:
    parts.append(part)
said.append(hashlib.sha256(b"".join(parts)).hexdigest())
with open(out_of, "wb") as file:
    for part in parts:
        file.write(len(part).to_bytes(4, "big") + part)
if into != "-":
    with open(into, "rb") as file:
        parts = []
        while size := file.read(4):
            parts.append(file.read(int.from_bytes(size, "big")))
    kernel = Kernel(key=bytes(range(16)), trace=True)
    kernel.restore(parts)
    said.append(digest(kernel._state).hex())
    assert said[-1] == said[0]["state"]
said.append(played(range(10)))
assert "\n".join(told).count("Effect(") > 100
print(json.dumps({"said": [one for one in said if one != said[0]["state"]], "numbers": numbered()[:3]}))
""".replace("KEYS_MAX", str(KEYS_NUMBERED_MAX))


def told(before: str, into: Path | None, out_of: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, before, "-" if into is None else str(into), str(out_of)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("before", ["reversed", "late", "full"])
def test_numbers_show_nowhere(before: str, tmp_path: Path) -> None:
    plain = told("nothing", None, tmp_path / "plain")
    other = told(before, tmp_path / "plain", tmp_path / "other")
    back = told("nothing", tmp_path / "other", tmp_path / "back")
    assert plain["numbers"] == back["numbers"] != other["numbers"]
    assert plain["said"] == other["said"] == back["said"]
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "other").read_bytes()
