"""Expression and template bombs: bounded time, bounded memory, and the same outcome when the batches come again."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import Refused
from engine.kernel import Kernel
from engine.model import Batch, Control, Outcome
from engine.wire import decode_lines
from tests.kernel.bombs import EXPRESSIONS, TEMPLATES
from tests.kernel.kernel_bench import START, flow

BATCH_S_MAX = 0.2
"""Of CPU, for one batch with one bomb in it: to check it, or to carry it out once."""
MEMORY_BYTES_MAX = 128 * 1024 * 1024

TRAITS = {
    "vip": True,
    "list": list(range(2_000)),
    "text": "a" * 20_000,
}
ANGLES = {"angles": "<" * 20_000}
EVENT = {
    "type": "track",
    "userId": "c",
    "event": "Go",
    "properties": {"words": ["(a*)*" * 40, "a{1000}{1000}", "(", "a" * 1_000] * 20},
}


def conditional(expression: str) -> dict[str, Any]:
    nodes = {
        "go": {"kind": "launch", "trigger": {"event": "Go"}, "next": "if"},
        "if": {"kind": "condition", "when": expression, "then": "yes", "else": "no"},
        "yes": {"kind": "step", "actions": [{"segment": {"add": ["yes"]}}]},
        "no": {"kind": "step", "actions": [{"segment": {"add": ["no"]}}]},
    }
    return flow(nodes)


def templated(template: str) -> dict[str, Any]:
    nodes = {
        "go": {"kind": "launch", "trigger": {"event": "Go"}, "next": "say"},
        "say": {
            "kind": "step",
            "actions": [
                {"send": "webhook", "message": {"body": template}},
                {"update_customer": {"set": {"said": template}}},
                {"segment": {"add": ["said"]}},
            ],
        },
    }
    return flow(nodes)


BOMBS = [
    *(pytest.param(conditional(text), id=f"expression: {name}") for name, text in EXPRESSIONS.items()),
    *(pytest.param(templated(text), id=f"template: {name}") for name, text in TEMPLATES.items()),
]


def line(message: dict[str, Any]) -> Any:
    decoded = decode_lines(msgspec.json.encode(message))
    assert not decoded.rejected
    return decoded.inputs[0]


def play(document: dict[str, Any]) -> tuple[Kernel, list[Outcome], list[float]]:
    """The bomb is launched, the contact known, and the event comes; with the CPU each batch took."""
    kernel = Kernel(trace=True, key=bytes(range(16)))
    outcomes, took = [], []
    for given in (
        Control("launch", {"flow": document}),
        line({"type": "identify", "userId": "c", "traits": TRAITS}),
        line({"type": "identify", "userId": "c", "traits": ANGLES}),
        line(EVENT),
        line(EVENT),
    ):
        begun = time.thread_time()
        outcomes.append(kernel.apply(Batch(kernel.seq + 1, START + kernel.seq, [given])))
        took.append(time.thread_time() - begun)
    return kernel, outcomes, took


def told(outcomes: list[Outcome]) -> list[Any]:
    """All that outcomes say, to be compared."""
    return [
        (
            outcome.effects,
            outcome.trace,
            [
                (answer.code, answer.problems) if isinstance(answer, Refused) else answer
                for answer in outcome.answers
            ],
        )
        for outcome in outcomes
    ]


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Build all that is built once for all flows, so that no bomb is charged for it."""
    play(conditional("customer.vip"))
    play(templated("{{ customer.vip }}"))


def test_there_are_enough_of_each() -> None:
    assert len(EXPRESSIONS) >= 40
    assert len(TEMPLATES) >= 40


def peak_bytes(*, anew: bool = False) -> int:
    """The most memory that this process had: from now on where Linux begins to count `anew`, else ever."""
    forget = Path("/proc/self/clear_refs")
    if not forget.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if anew:
        forget.write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_the_peak_of_memory_is_seen() -> None:
    """After a higher one, too."""
    bytearray(3 * MEMORY_BYTES_MAX)
    before = peak_bytes(anew=True)
    bytearray(2 * MEMORY_BYTES_MAX)
    assert peak_bytes() - before > MEMORY_BYTES_MAX or not Path("/proc/self/clear_refs").exists()


@pytest.mark.parametrize("document", BOMBS)
def test_a_bomb_ends_in_time_and_in_the_same_way_again(document: dict[str, Any]) -> None:
    before = peak_bytes(anew=True)
    first, outcomes, took = play(document)
    again, same, took_again = play(document)
    assert max(map(min, zip(took, took_again, strict=True))) < BATCH_S_MAX
    assert peak_bytes() - before < MEMORY_BYTES_MAX
    assert told(outcomes) == told(same)
    assert first.outcome_digest == again.outcome_digest
    assert first.digest() == again.digest()

    launched = outcomes[0].answers[0]
    if isinstance(launched, Refused):
        assert launched.problems, "a refusal says what is wrong and where"
        assert not outcomes[3].trace
    else:
        ended = outcomes[3].trace[-1]
        assert (ended.what, ended.detail["reason"]) == ("left", "completed"), "one bad node stops no run"
