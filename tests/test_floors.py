"""Imports go down the floors only, and the two lowest stories of thought, `engine.flow` and `engine.kernel`,
touch no clock, no I/O, no randomness. Read from the source text, so that a lazy import counts as well."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = {
    "api": 7,
    "engine.service": 6,
    "engine.delivery": 5,
    "engine.ingest": 4,
    "engine.submission": 4,
    "engine.store.recover": 4,
    "engine.store.verify": 4,
    "engine.simulation": 4,
    "engine.store": 3,
    "engine.gc_tuning": 3,
    "engine.kernel": 2,
    "engine.ab_test": 2,
    "engine.flow": 1,
    "engine.wire": 0,
    "engine.model": 0,
    "engine.limits": 0,
    "engine.errors": 0,
    "engine.clock": 0,
    "ext": 0,
}

PURE = ("engine.flow", "engine.kernel", "ext")

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

IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+c?import[ \t]+([\w, \t*()]+)|c?import[ \t]+([\w., \t]+))",
    re.MULTILINE,
)


def modules() -> dict[str, Path]:
    """Dotted name -> file of everything under ext, engine and api."""
    found = {}
    for top in ("ext", "engine", "api"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".py", ".pyx", ".pxd", ".pyi"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found[name + ("" if path.suffix == ".py" else f"  ({path.suffix})")] = path
    return found


def floor_of(module: str) -> int | None:
    """The floor of the longest listed prefix; None for what is not ours."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (floor := FLOORS.get(".".join(parts[:length]))) is not None:
            return floor
    return None


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports or cimports, `from a import b` given as `a.b`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute, so that a reader sees the floor"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        return
    for match in IMPORT.finditer(text):
        if match[1]:
            yield from (
                f"{match[1]}.{name.split()[0]}" for name in match[2].strip("() ").split(",") if name.strip()
            )
        else:
            yield from (name.split()[0] for name in match[3].split(",") if name.strip())


ALL = modules()
PURE_FILES = {name: path for name, path in ALL.items() if name.startswith(PURE)}


def test_every_module_has_a_floor() -> None:
    stray = [name for name in ALL if floor_of(name.split()[0]) is None and name.split()[0] != "engine"]
    assert stray == [], "say in FLOORS where these belong"


@pytest.mark.parametrize("name", ALL)
def test_imports_go_down_only(name: str) -> None:
    own = floor_of(name.split()[0])
    if own is None:
        assert not list(imports(ALL[name])), "engine/__init__.py imports nothing"
        return
    upward = {imported for imported in imports(ALL[name]) if (floor_of(imported) or 0) > own}
    assert upward == set()


@pytest.mark.parametrize("name", PURE_FILES)
def test_the_pure_floors_import_no_clock_io_or_randomness(name: str) -> None:
    roots = {imported.split(".")[0] for imported in imports(PURE_FILES[name])}
    assert roots & IMPURE_MODULES == set()
    assert "engine.clock" not in {imported[: len("engine.clock")] for imported in imports(PURE_FILES[name])}


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
    text = re.sub(r'"""(?:.|\n)*?"""|#.*', "", PURE_FILES[name].read_text(encoding="utf-8"))
    called = set(re.findall(r"(?<![\w.])([a-z_]+)\(", text))
    assert called & IMPURE_NAMES == set()


def test_the_kernel_runs_where_there_is_no_trio_and_no_lmdb() -> None:
    code = (
        "import sys, engine.kernel; print(*sorted({'trio', 'lmdb', 'quart', 'hypercorn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
