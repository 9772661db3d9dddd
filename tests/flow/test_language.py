"""The description of the language is true: its examples are valid, and it names every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine.flow.schema import BUILT_IN_EVENTS, DEFAULT, ENGINE_EVENTS, TYPES, parse_schema
from engine.flow.source.source import load
from engine.flow.tables.actions import ACTIONS
from engine.flow.tables.containers import Key, ListOf, Record
from engine.flow.tables.flow import NODES
from engine.flow.tables.shapes import Shape
from engine.flow.validate import DOCUMENT, check
from engine.simulation.scenario.document import parse as parse_scenario

FOLDER = Path(__file__).parents[2] / "engine" / "flow"
TEXT = (FOLDER / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
NOT_OF_A_FRAGMENT = {"dangling_edge", "unreachable", "no_launch", "several_launches"}


def keys_of(shape: Shape) -> set[str]:
    """Return the keys of a shape, and those of the shapes inside it."""
    if isinstance(shape, Record):
        inner: list[Key] = list(shape.keys.values())
        return set(shape.keys).union(*(keys_of(key.shape) for key in inner))
    return keys_of(shape.item) if isinstance(shape, ListOf) else set()


def documented(word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", TEXT) is not None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
def test_every_example_is_valid(block: str) -> None:
    raw: dict[str, Any] = load(block.encode(), yaml=True).demand()
    if "nodes" in raw:
        assert check(raw, DEFAULT).problems == ()
    elif "flows" in raw:
        assert parse_scenario(raw, place="README.md", folder=FOLDER / "samples").name == raw["name"]
    elif "traits" in raw:
        assert parse_schema(raw)[1] == ()
    else:
        found = check({"id": "f", "name": "f", "nodes": raw}, DEFAULT).problems
        assert [problem for problem in found if problem.code not in NOT_OF_A_FRAGMENT] == []


def test_every_key_of_the_language_is_in_the_text() -> None:
    known = keys_of(DOCUMENT).union(*(keys_of(record) for record in (*NODES.values(), *ACTIONS.values())))
    assert len(known) > 50
    assert [word for word in sorted(known | set(NODES) | set(ACTIONS)) if not documented(word)] == []


def test_every_event_and_type_the_engine_knows_is_in_the_text() -> None:
    words = {*ENGINE_EVENTS, *BUILT_IN_EVENTS, *TYPES}
    assert [word for word in sorted(words) if word not in TEXT] == []


def test_the_rules_are_all_there_once_and_in_order() -> None:
    rules = TEXT[TEXT.index("## The rules") : TEXT.index("## For contributors")]
    assert re.findall(r"^(\d+)\. ", rules, re.MULTILINE) == [str(number) for number in range(1, 31)]


def test_every_file_of_the_folder_is_listed() -> None:
    listed = TEXT[TEXT.index("## For contributors") :]
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py")}
    names = {name for name in files if not name.endswith("__init__.py")}
    assert [name for name in sorted(names) if f"`{name}`" not in listed] == []
