"""Read the repository's own source, Python and Cython alike, for the tests of its rules (floors, house).

Python is parsed with `ast`; Cython has no such parser here, so its files are read with regular expressions, after
comments and docstrings are blanked where they would mislead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

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


class Definition(NamedTuple):
    """A module, class, property or function with the place where it is defined.

    `opening` is the first line of its docstring, "" without one; `lines` counts its whole text.
    """

    kind: Literal["module", "class", "property", "function"]
    name: str
    line: int
    lines: int
    opening: str
    is_top_level: bool = True


def definitions(path: Path) -> list[Definition]:
    """Return everything that a file defines, nested definitions included, in the order of the text."""
    text = path.read_text(encoding="utf-8")
    found = python_definitions(text) if path.suffix in (".py", ".pyi") else cython_definitions(text)
    return sorted(found, key=lambda definition: definition.line)


def python_definitions(text: str) -> Iterator[Definition]:
    """Yield the definitions of a Python file."""
    tree = ast.parse(text)
    top = set(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module):
            yield Definition("module", "", 1, text.count("\n"), opening_of(ast.get_docstring(node)))
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = " ".join(map(ast.unparse, node.decorator_list))
            is_property = re.search(r"property\b|\.setter\b", decorators) is not None
            kind: Literal["class", "property", "function"] = (
                "class" if isinstance(node, ast.ClassDef) else "property" if is_property else "function"
            )
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            yield Definition(
                kind, node.name, node.lineno, lines, opening_of(ast.get_docstring(node)), node in top
            )


HEADER = re.compile(r"(?P<indent>[ \t]*)(?:async[ \t]+)?(?P<words>(?:cpdef|cdef|def|class|ctypedef)\b[^(:]*)")
TYPE_WORDS = {"class", "struct", "union", "enum"}


def cython_definitions(text: str) -> Iterator[Definition]:
    """Yield the definitions of a Cython file that have a body; prototypes and variables have none."""
    lines = text.splitlines()
    if match := re.match(r'(?:#[^\n]*\n|\s)*r?"""([^\n]*)', text):
        yield Definition("module", "", 1, len(lines), opening_of(match[1]))
    number = 0
    while number < len(lines):
        match = HEADER.match(lines[number])
        body = end_of_header(lines, number) if match else None
        if match is None or body is None:
            number += 1
            continue
        words = match["words"].split()
        type_words = [at for at, word in enumerate(words) if word in TYPE_WORDS]
        is_type = bool(type_words)
        if not is_type and "(" not in lines[number]:  # `cdef extern from`, `cdef:`
            number += 1
            continue
        is_property = number > 0 and lines[number - 1].strip() == "@property"
        yield Definition(
            "class" if is_type else "property" if is_property else "function",
            "".join(words[type_words[-1] + 1 :][:1]) if is_type else words[-1].strip("*&"),
            number + 1,
            end_of_body(lines, body, len(match["indent"])) - number,
            opening_of(docstring_at(lines, body)),
            not match["indent"],
        )
        number = body


def end_of_header(lines: list[str], start: int) -> int | None:
    """Return the number of the line after a header that ends in a colon, or None where it ends without one."""
    depth = 0
    for number in range(start, len(lines)):
        line = lines[number].split("#")[0].rstrip()
        depth += sum(line.count(sign) for sign in "([{") - sum(line.count(sign) for sign in ")]}")
        if depth == 0:
            return number + 1 if line.endswith(":") else None
    return None


def end_of_body(lines: list[str], body: int, indent: int) -> int:
    """Return the number of the line after a body: the next one that is not blank and not indented further."""
    end = body
    for number in range(body, len(lines)):
        line = lines[number]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        if line.strip():
            end = number + 1
    return end


def docstring_at(lines: list[str], body: int) -> str:
    """Return the first line of the docstring that a body begins with, or ""."""
    for line in lines[body:]:
        if line.strip():
            match = re.match(r'[ \t]*r?"""(.*)', line)
            return match[1] if match else ""
    return ""


def opening_of(docstring: str | None) -> str:
    """Return the first line of a docstring without its quotes, or ""."""
    return (docstring or "").strip().partition("\n")[0].replace('"""', "").strip()
