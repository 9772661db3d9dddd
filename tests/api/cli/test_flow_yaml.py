"""Flows as text for git: the same document gives the same text, and the text the same document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cli.flow_yaml import in_order, is_same, to_json, to_yaml
from engine.flow.source.source import load
from engine.flow.tables.containers import Record
from engine.flow.tables.flow import NODES
from engine.flow.validate import DOCUMENT
from tests.api.command_line import ROOT
from tests.flow.documents import whole

SAMPLES = sorted(
    path
    for path in (ROOT / "engine" / "flow" / "samples").glob("*.yaml")
    if not path.name.endswith(".test.yaml")
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    st.sampled_from(" \t\n\r-:#'\"|>{}[]&*!%@,?~.0179eExonyf\x00\x85\u2028\ufeff😀"), max_size=12
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def read(text: str, *, yaml: bool = True) -> Any:
    loaded = load(text.encode(), yaml=yaml)
    assert not loaded.problems, (loaded.problems, text)
    return loaded.raw


@given(st.dictionaries(texts, json_values, max_size=5))
def test_any_document_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    text = to_yaml(document)
    back = read(text)
    assert is_same(back, document), text
    assert to_yaml(back) == text
    assert is_same(read(to_json(document), yaml=False), document)


@given(st.data())
def test_the_order_in_which_keys_were_written_does_not_matter(data: st.DataObject) -> None:
    document = shuffled(whole(), data, DOCUMENT)
    assert is_same(document, whole())
    assert to_yaml(document) == to_yaml(whole())


def shuffled(raw: Any, data: st.DataObject, record: Record) -> Any:
    """The document with the keys of the flow and of each node in another order, the nodes in theirs."""
    keys = data.draw(st.permutations(list(raw)))
    nodes = raw.get("nodes") if record is DOCUMENT else None
    if nodes is not None:
        raw = {**raw, "nodes": {id: shuffled(node, data, NODES[node["kind"]]) for id, node in nodes.items()}}
    return {key: raw[key] for key in keys}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_flow_of_a_file_keeps_its_meaning(path: Path) -> None:
    document = read(path.read_text(encoding="utf-8"))
    assert is_same(read(to_yaml(document)), document)


@pytest.mark.parametrize(
    "text",
    [
        *("08", "1e3", "0o7", "0x1F", "1.", ".5", "-1", "20:00", "08:00", "2026-12-01", "1_0"),
        *("yes", "on", "true", "null", "~", "", "-.inf", ".NaN", "=", "<<", "- a", "a: b", "a #b"),
        *("'", '"', "!x", "&x", "*x", "%x", "@x"),
    ],
)
def test_text_stays_text_for_every_reader_of_yaml(text: str) -> None:
    dumped = to_yaml({"name": text})
    assert read(dumped) == {"name": text}
    assert dumped.startswith(("name: '", 'name: "')), "other programs read YAML 1.1"


def test_it_reads_as_people_write_it() -> None:
    document = {
        "nodes": {
            "hello": {
                "next": "bye",
                "actions": [
                    {"message": {"html": "<p>Hi</p>\n<p>there</p>\n", "a": {}}, "send": "email"},
                    {"segment": {"remove": ["x"], "add": []}},
                ],
                "kind": "step",
            },
            "bye": {
                "for": "1d",
                "kind": "wait",
                "window": {"to": "20:00", "from": "08:00", "days": ["mon"]},
            },
        },
        "colour": "red",
        "exit_when": {"where": "true", "event": "Order Completed"},
        "name": "Crème brûlée, " + "long " * 40 + "name",
        "id": "hello",
    }
    assert to_yaml(document) == (
        "id: hello\n"
        f"name: {document['name']}\n"
        "exit_when:\n"
        "  event: Order Completed\n"
        "  where: 'true'\n"
        "nodes:\n"
        "  hello:\n"
        "    kind: step\n"
        "    actions:\n"
        "      - send: email\n"
        "        message:\n"
        "          html: |\n"
        "            <p>Hi</p>\n"
        "            <p>there</p>\n"
        "          a: {}\n"
        "      - segment:\n"
        "          add: []\n"
        "          remove:\n"
        "            - x\n"
        "    next: bye\n"
        "  bye:\n"
        "    kind: wait\n"
        "    for: 1d\n"
        "    window:\n"
        "      days:\n"
        "        - mon\n"
        "      from: '08:00'\n"
        "      to: '20:00'\n"
        "colour: red\n"
    )


def test_one_value_changed_is_one_line_changed() -> None:
    document = whole()
    before = to_yaml(document).splitlines()
    document["nodes"]["wait"]["for"] = "4d"
    after = to_yaml(document).splitlines()
    assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [("    for: 3d", "    for: 4d")]


@pytest.mark.parametrize("wrong", [None, [], "text", {"kind": 7}, {"kind": "none"}, {"kind": []}])
def test_a_draft_may_hold_anything(wrong: Any) -> None:
    document = {"nodes": {"a": wrong}, "frequency": wrong, "exit_when": wrong, "tags": wrong, "id": "a"}
    assert is_same(in_order(document), document)
    assert is_same(read(to_yaml(document)), document)
    document = {"nodes": wrong, "id": "a"}
    assert is_same(read(to_yaml(document)), document)
    step = {"kind": "step", "actions": [wrong, {"send": wrong}, {"update_customer": wrong}]}
    assert is_same(read(to_yaml({"nodes": {"a": step}})), {"nodes": {"a": step}})


def test_values_of_different_types_are_not_the_same() -> None:
    assert not is_same({"a": 1}, {"a": True})
    assert not is_same({"a": 1}, {"a": 1.0})
    assert not is_same({"a": [1, 2]}, {"a": [2, 1]})
    assert is_same({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})


def test_the_json_form_is_in_the_same_order() -> None:
    text = to_json(whole())
    assert list(msgspec.json.decode(text)) == list(in_order(whole()))
    assert text.startswith('{\n  "id": "whole",\n  "name"')
