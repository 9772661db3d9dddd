"""Imports go down the floors only and never in a circle; the pure floors touch no clock, no I/O, no randomness.

Read from the source text, so that a lazy import counts as well. `python -m tests.floors` prints the floors.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.floors import FLOORS, PURE, picture, room_arrows, room_of, within
from tests.source_tree import ROOT, Modules, circles, code_of, imports

NOT_YET = {
    "engine.kernel.flow_snapshot → engine.kernel.state → engine.kernel.flow_snapshot": "state makes its snapshot",
}
"""Wrong arrows and circles that are being mended, each with its reason; one that is mended must leave this table."""

IMPURE_MODULES = {
    *("trio", "asyncio", "anyio", "threading", "multiprocessing", "concurrent", "subprocess", "signal"),
    *("lmdb", "sqlite3", "socket", "ssl", "select", "http", "urllib", "httptools", "quart", "hypercorn"),
    *("os", "io", "pathlib", "shutil", "tempfile", "glob", "logging"),
    *("time", "random", "secrets", "uuid"),
}
IMPURE_NAMES = {
    "open",
    "print",
    "input",
    "hash",
    "id",
    "getrandom",
    "rand",
    "srand",
    "clock_gettime",
    "gettimeofday",
}
CLOCK_METHODS = {"now", "utcnow", "today", "fromtimestamp", "astimezone"}

MODULES = Modules()
PURE_MODULES = {name: paths for name, paths in MODULES.files.items() if room_of(name) in PURE}
PURE_FILES = {
    (name if path.suffix == ".py" else f"{name} ({path.suffix})"): path
    for name, paths in PURE_MODULES.items()
    for path in paths
}
ABOVE_ALL = ("api", "engine", "ext")
"""The packages themselves, whose `__init__` imports nothing."""


def allowed(module: str, target: str) -> bool:
    """Whether the table lets a module import another."""
    room = room_of(module)
    return room is not None and (within(target, room) or any(within(target, entry) for entry in FLOORS[room]))


def written(circle: list[str]) -> str:
    return " → ".join(circle)


WRONG_ARROWS = sorted(
    f"{module} → {target}"
    for module, targets in MODULES.imports.items()
    for target in targets
    if not allowed(module, target)
)
MODULE_CIRCLES = sorted(map(written, circles(MODULES.imports)))
ROOM_CIRCLES = sorted(
    map(written, circles({room: set(arrows) for room, arrows in room_arrows(MODULES).items()})),
)


def test_every_module_has_a_room() -> None:
    strays = [name for name in MODULES.files if room_of(name) is None and name not in ABOVE_ALL]
    assert strays == [], "give it a room in tests/floors.py"


def test_every_room_exists() -> None:
    used = {room_of(name) for name in MODULES.files}
    assert [room for room in FLOORS if room not in used] == []


def test_the_table_names_rooms_below_only() -> None:
    order = list(FLOORS)
    for room, entries in FLOORS.items():
        for entry in entries:
            if entry in ABOVE_ALL:
                assert room == order[0], f"{room}: only the highest room may import a whole package"
                continue
            target = room_of(entry)
            assert target is not None, f"{room}: {entry} is in no room"
            assert order.index(target) > order.index(room), f"{room} stands below {target}"


def test_every_import_is_in_the_table() -> None:
    assert [arrow for arrow in WRONG_ARROWS if arrow not in NOT_YET] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert [circle for circle in MODULE_CIRCLES if circle not in NOT_YET] == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    assert [circle for circle in ROOM_CIRCLES if circle not in NOT_YET] == []


def test_excuses_have_a_cause() -> None:
    assert sorted(set(NOT_YET) - {*WRONG_ARROWS, *MODULE_CIRCLES, *ROOM_CIRCLES}) == []


def test_a_circle_is_reported_once_from_its_least_member() -> None:
    arrows = {"c": {"a"}, "a": {"b", "d"}, "b": {"c"}, "d": set(), "e": {"e2"}, "e2": {"e"}}
    assert list(map(written, circles(arrows))) == ["a → b → c → a", "e → e2 → e"]


def test_cimports_are_read_as_imports(tmp_path: Path) -> None:
    source = tmp_path / "example.pyx"
    source.write_text(
        '"""from ext.a import docstring"""\n'
        "from ext.b cimport one, two as second  # from ext.c cimport comment\n"
        "from ext.d cimport (\n    three,  # why\n    four,\n)\n"
        "cimport ext.e as short\n"
        "cdef int f():\n    from ext.g import lazy\n",
    )
    names = ["ext.b.one", "ext.b.two", "ext.d.three", "ext.d.four", "ext.e", "ext.g.lazy"]
    assert list(imports(source)) == names


def test_the_picture_shows_every_room_above_what_it_imports() -> None:
    text = picture(MODULES)
    print("\n" + text)
    lines = text.splitlines()[:-1]
    assert [line.split()[0] for line in lines] == list(FLOORS)
    for number, line in enumerate(lines):
        for target in re.findall(r"([\w.]+) \d+(?:,|$)", line):
            wrong = any(arrow.startswith(line.split()[0]) and f"→ {target}" in arrow for arrow in NOT_YET)
            assert wrong or list(FLOORS).index(target) > number


@pytest.mark.parametrize("room", PURE)
def test_pure_floors_import_pure_floors_only(room: str) -> None:
    assert set(room_arrows(MODULES)[room]) - set(PURE) == set()


@pytest.mark.parametrize("name", PURE_FILES)
def test_the_pure_floors_import_no_clock_io_or_randomness(name: str) -> None:
    assert {imported.split(".")[0] for imported in imports(PURE_FILES[name])} & IMPURE_MODULES == set()


@pytest.mark.parametrize("name", [name for name, path in PURE_FILES.items() if path.suffix == ".py"])
def test_the_pure_floors_call_nothing_that_differs_between_two_runs(name: str) -> None:
    tree = ast.parse(PURE_FILES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                assert called.id not in IMPURE_NAMES, f"line {node.lineno}: {called.id}()"
            elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                clock = (
                    called.value.id in ("datetime", "date") and called.attr in CLOCK_METHODS and not node.args
                )
                assert not clock, f"line {node.lineno}: reads the clock or the machine's zone"
        assert not _walks_a_set(node), f"line {getattr(node, 'lineno', 0)}: the order of a set is not ours"


def _walks_a_set(node: ast.AST) -> bool:
    """Whether a loop, or a call that keeps the order, goes over a set as it is written there."""
    if isinstance(node, ast.For | ast.comprehension):
        return _is_set(node.iter)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        return node.func.id in ("list", "tuple", "enumerate", "iter", "next") and _is_set(node.args[0])
    return False


def _is_set(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.Set | ast.SetComp) or (
        isinstance(called, ast.Name) and called.id in ("set", "frozenset")
    )


@pytest.mark.parametrize("name", [name for name, path in PURE_FILES.items() if path.suffix == ".pyx"])
def test_the_compiled_parts_call_nothing_that_differs_between_two_runs(name: str) -> None:
    called = set(re.findall(r"(?<![\w.])([a-z_]+)\(", code_of(PURE_FILES[name])))
    assert called & IMPURE_NAMES == set()


def test_the_kernel_runs_where_there_is_no_trio_and_no_lmdb() -> None:
    code = (
        "import sys, engine.kernel; print(*sorted({'trio', 'lmdb', 'quart', 'hypercorn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
