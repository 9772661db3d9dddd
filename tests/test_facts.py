"""Facts stand in one place: no other source spells out the names of a set that `engine.model` lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from engine import model
from engine.kernel.actions import ADDRESS_TRAIT

ROOT = Path(__file__).parents[1]
HOME = "engine/model.py"

FACTS: dict[str, frozenset[str]] = {
    name: frozenset(getattr(model, name))
    for name in (
        *("CHANNELS", "ENGINE_TRAITS", "NODE_KINDS", "LAUNCH_MODES", "TRACE_WORDS", "END_REASONS"),
        *("AB_METRICS", "RECEIPT_STATUSES"),
    )
}

TRANSLATIONS = {
    ("api/demo/story.py", "END_REASONS"): "a phrase for each reason",
    ("api/terminal/flow_tables.py", "NODE_KINDS"): "a function for each kind, which draws it",
    ("engine/flow/tables/flow.py", "NODE_KINDS"): "the keys of each kind",
    ("engine/flow/tables/flow.py", "LAUNCH_MODES"): "the choices in the order of the documentation",
}
"""Sources that give something to each name of a fact, and what."""

SOURCES = sorted(
    path
    for tree in ("engine", "ext", "api")
    for path in (ROOT / tree).rglob("*")
    if path.suffix in (".py", ".pyx", ".pxd") and str(path.relative_to(ROOT)) != HOME
)
GROUP = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]")
TEXT = re.compile(r"""(?<!\w)["']([^"'\n]*)["']""")


def texts_of(nodes: Iterable[ast.expr | None]) -> frozenset[str]:
    """Return the texts among these expressions, and those of a group that is unpacked among them."""
    texts: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple | ast.List | ast.Set):
            texts |= texts_of(node.value.elts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    return frozenset(texts)


def groups_in_python(text: str) -> Iterator[tuple[int, frozenset[str]]]:
    """Yield `(line, names)` of each tuple, list, set, `Literal[…]`, call, and dict whose keys are all the names of a
    fact."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            yield node.lineno, texts_of(node.elts)
        elif isinstance(node, ast.Dict):
            if (names := texts_of(node.keys)) in FACTS.values():
                yield node.lineno, names
        elif isinstance(node, ast.Call):
            yield node.lineno, texts_of(node.args)


def groups_in_cython(text: str) -> Iterator[tuple[int, frozenset[str]]]:
    """Yield the same of each bracket that holds no other."""
    for match in GROUP.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, frozenset(TEXT.findall(match[0]))


def repeated(path: Path, text: str) -> list[str]:
    """Return what is wrong with a source, a line for each set of names that it spells out again."""
    groups = groups_in_python if path.suffix == ".py" else groups_in_cython
    return [
        f"{path}:{line} spells out {fact}: import it from engine.model"
        for line, names in groups(text)
        for fact, whole in FACTS.items()
        if whole <= names and (str(path), fact) not in TRANSLATIONS
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_fact_is_spelled_out_in_one_place(path: Path) -> None:
    assert repeated(path.relative_to(ROOT), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", 'X = {"segments", "points"}'),
        ("a.py", 'X = (*("every_time", "once"), "periodically")'),
        ("a.py", 'X: Literal["delivered", "bounced", "failed"]'),
        ("a.py", 'X = {"points": 1, "segments": 2}'),
        ("a.pyx", 'cdef tuple X = (\n    "points", "segments",\n)'),
    ],
)
def test_a_second_spelling_is_found(name: str, text: str) -> None:
    (complaint,) = repeated(Path(name), text)
    assert "import it from engine.model" in complaint


def test_every_translation_is_still_there() -> None:
    left = set(TRANSLATIONS)
    for path in SOURCES:
        groups = groups_in_python if path.suffix == ".py" else groups_in_cython
        spelled = [names for _, names in groups(path.read_text(encoding="utf-8"))]
        left -= {
            (str(path.relative_to(ROOT)), fact)
            for fact, whole in FACTS.items()
            if any(whole <= names for names in spelled)
        }
    assert left == set()


def test_an_address_is_looked_for_in_channels_that_exist() -> None:
    assert set(ADDRESS_TRAIT) <= set(model.CHANNELS)


def test_compiled_code_compares_the_same_names() -> None:
    text = (ROOT / "ext/maps/trait_names.pxd").read_text(encoding="utf-8")
    compared = re.findall(r'size == (\d+) and memcmp\(key, b"(\w+)", (\d+)\)', text)
    assert {name for _, name, _ in compared} == model.STANDING_TRAITS
    assert {(int(size), int(bytes)) for size, _, bytes in compared} == {
        (len(name), len(name)) for _, name, _ in compared
    }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_compiled_code_compares_them_in_one_place(path: Path) -> None:
    compared = re.findall(
        r'memcmp\([^)]*b"(?:segments|points|subscriptions)"', path.read_text(encoding="utf-8")
    )
    assert compared == [] or path.name == "trait_names.pxd", "use ext/maps/trait_names.pxd"


@pytest.mark.parametrize(
    ("first", "prefix", "fact"),
    [
        ("ENTERED", "", model.TRACE_WORDS),
        ("COMPLETED", "", model.END_REASONS),
        ("KIND_LAUNCH", "KIND_", model.NODE_KINDS),
        ("MODE_EVERY_TIME", "MODE_", model.LAUNCH_MODES),
    ],
)
def test_compiled_code_numbers_the_names_in_the_same_order(
    first: str, prefix: str, fact: tuple[str, ...]
) -> None:
    text = (ROOT / "ext/kernel/flow.pxd").read_text(encoding="utf-8")
    (members,) = re.findall(rf"cdef enum:\n\s+({first}\b[\w, \n]*?)\n\n", text)
    named = [member.strip() for member in members.split(",")]
    assert [member for member in named if not member.endswith("_END")] == [
        prefix + name.upper() for name in fact
    ]
