"""Read the repository's own source, Python and Cython alike, for the tests of its rules (floors, house).

Python is parsed with `ast`; Cython has no such parser here, so its files are read with regular expressions, after
comments and docstrings are blanked where they would mislead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = ("ext", "engine", "api")
"""The packages that are installed."""
TREES = (*PROGRAM, "bench", "tests")
SUFFIXES = (".py", ".pyi", ".pyx", ".pxd")

IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+c?import[ \t]+(\([^)]*\)|[^\n]*)|c?import[ \t]+([^\n]+))",
    re.MULTILINE,
)
PROSE = re.compile(r'"""(?:.|\n)*?"""|#[^\n]*')


def files(*suffixes: str, trees: tuple[str, ...] = TREES) -> list[Path]:
    """Return the project's own files with these suffixes, sorted, without what a build leaves behind."""
    paths = (path for tree in trees for path in (ROOT / tree).rglob("*") if path.suffix in suffixes)
    return sorted(path for path in paths if "__pycache__" not in path.parts)


def name(path: Path) -> str:
    """Return the path as written from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """Return the dotted name of the module whose source this is; a package is its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def code_of(path: Path) -> str:
    """Return a Cython file without comments and docstrings, line for line."""
    return PROSE.sub(lambda match: "\n" * match[0].count("\n"), path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Yield every name a file imports or cimports, wherever the statement stands; `from a import b` is `a.b`."""
    if path.suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name(path)}: imports are absolute, so that a reader sees the room"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        return
    for match in IMPORT.finditer(code_of(path)):
        package, names, plain = match.groups()
        for item in (names or plain).strip("()").split(","):
            if words := item.split():
                yield f"{package}.{words[0]}" if package else words[0]


class Modules:
    """The modules of the installed packages and what they import of each other.

    The files of one module (`.pyx`, `.pxd`, `.pyi`) count as one; a lazy import counts like any other.
    """

    def __init__(self, trees: tuple[str, ...] = PROGRAM) -> None:
        self.files: dict[str, list[Path]] = {}
        for path in files(*SUFFIXES, trees=trees):
            self.files.setdefault(module_name(path), []).append(path)
        self.imports = {
            module: {
                target
                for path in paths
                for imported in imports(path)
                if (target := self.resolve(imported)) and target != module
            }
            for module, paths in self.files.items()
        }

    def resolve(self, imported: str) -> str:
        """Return the module that holds an imported name, or "" where it is not one of these packages."""
        while imported and imported not in self.files:
            imported = imported.rpartition(".")[0]
        return imported


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return, for every node on a circle, one shortest circle, each once and beginning with its least node."""
    shortest = {}
    for start in sorted(arrows):
        came_from: dict[str, str] = {}
        layer = [start]
        while layer and start not in came_from:
            following = []
            for node in layer:
                for target in sorted(arrows.get(node, ())):
                    if target not in came_from:
                        came_from[target] = node
                        following.append(target)
            layer = following
        if start not in came_from:
            continue
        circle = [start]
        while (node := came_from[circle[-1]]) != start:
            circle.append(node)
        circle.reverse()
        first = circle.index(min(circle))
        circle = circle[first:] + circle[:first]
        shortest[tuple(circle)] = [*circle, circle[0]]
    return list(shortest.values())
