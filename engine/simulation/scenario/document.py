"""Scenario files: flows, inputs at given instants, and the trace that is to come of them.

Strict on purpose: a test with a misspelt key would pass for the wrong reason. Every error names the file and
the place in it. Inputs that stand in files of their own are read as a stream (`engine.simulation.recorded_events`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import Refused, TidemillError
from engine.flow.source.source import load as load_source
from engine.model import TRACE_WORDS, Control, Input
from engine.simulation.recorded_events import RecordingError, Timed, blocks
from engine.wire import Rejection, control_of, decode_line, decode_lines
from ext.wire import instant
from ext.wire.timed_events import first_disorder, with_timestamps

KEYS = ("name", "source", "start", "flows", "input", "until", "only", "expect")
RECORD_KEYS = ("at", "flow", "version", "run", "contact", "node", "what", "detail")
ENVELOPE = (
    *("at", "type", "userId", "anonymousId", "messageId", "timestamp", "context", "integrations"),
    *("sentAt", "receivedAt", "originalTimestamp", "channel", "version"),
)
MESSAGES = {
    "track": ("event", "properties"),
    "identify": ("traits",),
    "alias": ("previousId",),
    "page": ("name", "category", "properties"),
    "screen": ("name", "category", "properties"),
    "group": ("groupId", "traits"),
}
OPERATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "launch": (("flow",), ()),
    "pause": (("flow",), ()),
    "resume": (("flow",), ()),
    "schedule": (("flow",), ("start", "end")),
    "add_codes": (("pool", "codes"), ()),
    "restart": (("until",), ()),
    "channels": (("channels",), ()),
    "schema": (("schema",), ()),
    "segment_add": (("segment", "contacts"), ()),
    "segment_remove": (("segment", "contacts"), ()),
    "set_contact": (("contact", "traits"), ()),
    "patch_contact": (("contact", "traits"), ()),
    "delete_contact": (("contact",), ()),
}
"""Control operations a scenario may hold: the keys each needs, and those it may have."""


class ScenarioError(TidemillError):
    """A scenario that cannot be run as it is written."""

    def __init__(self, place: str, detail: str, remedy: str = "") -> None:
        super().__init__("scenario", f"{place}: {detail}", remedy=remedy)


def is_scenario(raw: Any) -> bool:
    """Whether plain data is a scenario, right or wrong, rather than a flow: it has `flows`, and no `nodes`."""
    return isinstance(raw, dict) and "flows" in raw and "nodes" not in raw


def is_flow(raw: Any) -> bool:
    """Whether plain data is a flow, right or wrong, rather than a scenario: it has `nodes`, and no `flows`."""
    return isinstance(raw, dict) and "nodes" in raw and "flows" not in raw


class Scenario(msgspec.Struct, frozen=True):
    """A scenario as it was read. `inputs` is given `$file`s as they stand: `timed_inputs` opens them."""

    name: str
    place: str
    folder: Path
    start_ms: int
    until_ms: int
    flows: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    only: tuple[str, ...]
    expect: list[dict[str, Any]] | None

    def timed_inputs(self) -> Iterator[Timed]:
        """Yield every input with the instant at which it is received. Raises ScenarioError for one that is wrong."""
        last_ms = self.start_ms
        for number, raw in enumerate(self.inputs):
            place = f"{self.place}: input[{number}]"
            for part in self._file(raw, place) if "$file" in raw else (_inline(raw, place, self.folder),):
                wrong = first_disorder(part.timed, last_ms)
                if wrong >= 0:
                    raise _not_in_order(part, wrong, last_ms)
                yield from part.timed
                if part.timed:
                    last_ms = part.timed[-1][0]

    def _file(self, raw: dict[str, Any], place: str) -> Iterator[Part]:
        _known(raw, ("$file",), place)
        path = self.folder / str(raw["$file"])
        try:
            for first, data in blocks(path):
                yield from _block(data, first, path)
        except RecordingError as error:
            raise ScenarioError(place, error.detail, error.remedy) from error


class Part(msgspec.Struct, frozen=True):
    """Some inputs in a row and where they stand: lines of a file from `line` on, or (0) one input of the scenario."""

    place: str
    line: int
    timed: list[Timed]

    def place_of(self, number: int) -> str:
        return f"{self.place}:{self.line + number}" if self.line else self.place


def _not_in_order(part: Part, number: int, last_ms: int) -> ScenarioError:
    before = part.timed[number - 1][0] if number else last_ms
    return ScenarioError(
        part.place_of(number),
        f"is received at {instant.format(part.timed[number][0])}, but stands after {instant.format(before)}.",
        "Inputs stand in order of `at`, none before `start`.",
    )


def load(path: Path) -> Scenario:
    """Read a scenario from a YAML or JSON file. `$file`s are taken relative to its folder."""
    return parse(_load_document(path, str(path)), place=str(path), folder=path.parent)


def parse(raw: Any, *, place: str, folder: Path) -> Scenario:
    """Read a scenario from plain data; `place` is what errors call it."""
    if is_flow(raw):
        raise Refused("flow_not_scenario", f"{place}: is a flow, not a scenario.", named=place)
    document = _mapping(raw, place)
    _known(document, KEYS, place)
    for key in ("start", "until", "flows"):
        if key not in document:
            raise ScenarioError(place, f"has no `{key}`.")
    inputs = document.get("input", [])
    expect = document.get("expect")
    only = tuple(_list(document.get("only", list(TRACE_WORDS)), f"{place}: only"))
    for what in only:
        if what not in TRACE_WORDS:
            raise ScenarioError(
                f"{place}: only",
                f"`{what}` is no kind of trace record.",
                f"One of: {', '.join(TRACE_WORDS)}.",
            )
    scenario = Scenario(
        name=str(document.get("name", place)),
        place=place,
        folder=folder,
        start_ms=_instant(document["start"], f"{place}: start"),
        until_ms=_instant(document["until"], f"{place}: until"),
        flows=[
            _flow(flow, f"{place}: flows[{number}]", folder)
            for number, flow in enumerate(_list(document["flows"], f"{place}: flows"))
        ],
        inputs=[
            _mapping(item, f"{place}: input[{number}]")
            for number, item in enumerate(
                [inputs] if isinstance(inputs, dict) else _list(inputs, f"{place}: input")
            )
        ],
        only=only,
        expect=None if expect is None else _expected(expect, only, f"{place}: expect"),
    )
    if scenario.start_ms < 0:
        raise ScenarioError(f"{place}: start", "is before 1970, when the engine's time begins.")
    if scenario.until_ms < scenario.start_ms:
        raise ScenarioError(f"{place}: until", "is before `start`.")
    return scenario


def _expected(raw: Any, only: tuple[str, ...], place: str) -> list[dict[str, Any]]:
    records = []
    for number, item in enumerate(_list(raw, place)):
        where = f"{place}[{number}]"
        record = dict(_mapping(item, where))
        _known(record, RECORD_KEYS, where)
        if record.get("what", only[0] if only else None) not in only:
            raise ScenarioError(
                where, f"`what: {record['what']}` can never match.", f"One of: {', '.join(only)}."
            )
        if "at" in record:
            record["at"] = instant.format(_instant(record["at"], f"{where}.at"))
        if "detail" in record:
            _mapping(record["detail"], f"{where}.detail")
        records.append(record)
    return records


def _inline(raw: dict[str, Any], place: str, folder: Path) -> Part:
    """Read an input written in the scenario itself, and check it for unknown keys."""
    kind = raw.get("type")
    if "at" not in raw:
        raise ScenarioError(place, "has no `at`.", "Say when the engine receives it.")
    at_ms = _instant(raw["at"], f"{place}.at")
    if kind == "control":
        return Part(place, 0, [(at_ms, _operation(raw, place, folder))])
    if kind not in MESSAGES:
        known = ", ".join([*MESSAGES, "control"])
        raise ScenarioError(place, f"`type: {kind}` is not known.", f"One of: {known}.")
    _known(raw, (*ENVELOPE, *MESSAGES[kind]), place)
    return Part(place, 0, [(at_ms, _message(raw, at_ms, place))])


def _message(raw: dict[str, Any], at_ms: int, place: str) -> Input:
    """Read a message. An event happened when it was received, unless it says otherwise."""
    line = {key: value for key, value in raw.items() if key != "at"}
    line.setdefault("timestamp", instant.format(at_ms))
    taken = decode_line(msgspec.json.encode(line))
    if isinstance(taken, Rejection):
        raise ScenarioError(place, taken.detail)
    return taken


def _operation(raw: dict[str, Any], place: str, folder: Path) -> Control:
    op = raw.get("op")
    if op not in OPERATIONS:
        raise ScenarioError(place, f"`op: {op}` is not known.", f"One of: {', '.join(OPERATIONS)}.")
    needed, optional = OPERATIONS[op]
    _known(raw, ("at", "type", "op", *needed, *optional), place)
    for key in needed:
        if key not in raw:
            raise ScenarioError(place, f"`{op}` needs `{key}`.")
    line = {key: value for key, value in raw.items() if key != "at"}
    if op == "launch":
        line["flow"] = _flow(raw["flow"], f"{place}.flow", folder)
    if op == "restart":
        _instant(raw["until"], f"{place}.until")
    return control_of(line)


def _block(data: bytes, first: int, path: Path) -> Iterator[Part]:
    """Read a whole block at once if it holds plain messages only, else line by line."""
    plain = b'"at"' not in data and b'"control"' not in data and b"\n\n" not in data
    decoded = decode_lines(data) if plain else None
    if decoded is None or decoded.rejected:
        for number, line in enumerate(data.split(b"\n"), start=first):
            if line.strip():
                yield Part(str(path), number, [_one_line(line, f"{path}:{number}", path.parent)])
        return
    timed, missing = with_timestamps(decoded.inputs)
    if missing >= 0:
        raise ScenarioError(f"{path}:{first + missing}", "has neither `at` nor `timestamp`.")
    yield Part(str(path), first, timed)


def _one_line(line: bytes, place: str, folder: Path) -> Timed:
    try:
        raw = _mapping(msgspec.json.decode(line), place)
    except msgspec.DecodeError as error:
        raise ScenarioError(place, f"is not JSON: {error}.") from error
    if "at" not in raw and "timestamp" not in raw:
        raise ScenarioError(place, "has neither `at` nor `timestamp`.")
    at_ms = _instant(raw.get("at", raw.get("timestamp")), place)
    if raw.get("type") == "control":
        return at_ms, _operation(raw, place, folder)
    return at_ms, _message(raw, at_ms, place)


def _flow(raw: Any, place: str, folder: Path) -> dict[str, Any]:
    """Read a flow document as it stands, or from the file it names. The kernel decides whether it is valid."""
    flow = _mapping(raw, place)
    if "$file" not in flow:
        return flow
    _known(flow, ("$file",), place)
    return _mapping(_load_document(folder / str(flow["$file"]), place), f"{place} ({flow['$file']})")


def _load_document(path: Path, place: str) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScenarioError(place, f"cannot read {path}: {error.strerror}.") from error
    loaded = load_source(data, yaml=path.suffix != ".json")
    if loaded.problems:
        first = loaded.problems[0]
        raise ScenarioError(place, f"line {first.line}: {first.detail}")
    return loaded.raw


def _instant(value: Any, place: str) -> int:
    try:
        return instant.parse(value)
    except (ValueError, TypeError) as error:
        raise ScenarioError(
            place, f"`{value}` is not an instant.", "Write it as 2026-08-10T13:00:00Z."
        ) from error


def _known(raw: dict[str, Any], keys: Iterable[str], place: str) -> None:
    known = tuple(keys)
    for key in raw:
        if key not in known:
            raise ScenarioError(place, f"has an unknown key `{key}`.", f"Known here: {', '.join(known)}.")


def _mapping(raw: Any, place: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ScenarioError(place, f"is a mapping of keys to values, not {type(raw).__name__}.")
    return raw


def _list(raw: Any, place: str) -> list[Any]:
    if not isinstance(raw, list):
        raise ScenarioError(place, f"is a list, not {type(raw).__name__}.")
    return raw
