"""The rules of style that matter, as tests: a newcomer may rely on them in every file.

Openings of docstrings are held by `tests/test_docstrings.py`, imports by `tests/test_floors.py`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import limits, tuning
from tests.source_tree import ROOT, TREES, definitions, files, imports, module_name, name

FILE_LINES_MAX = {".py": 400, ".pyi": 400, ".pxd": 400, ".pyx": 700}
"""Bounds by suffix. Compiled files may be longer: a part that is split off needs another header."""
TEST_LINES_MAX = 700
"""The bound for tests and benchmarks, which hold tables of cases."""
FUNCTION_LINES_MAX = 70
SHARED_TYPE_NAMES: dict[str, str] = {}
"""Type names that two modules may share, each with the reason."""
SHARED_TYPE_NAMES_NOT_YET = """
    Checked Contact Deed Draft Entry Head Key Kind Lane Line ListOf MapOf Names Outbox
    Part Plan Report Sent Shape Slot Step Target Text Ticket Walk _Answer _Frame
"""
"""Type names that are being changed."""
TOUR_LINES_MAX = 150

TOP_LEVEL = {
    *("pyproject.toml", "setup.py", "README.md", "engine", "api", "ext", "bench", "tests"),
    *("LICENSE", "CHANGELOG.md"),
}

IMPORT_NAMES = {
    "hypercorn": "hypercorn",
    "quart-trio": "quart_trio",
    "quart-schema": "quart_schema",
    "swagger-ui-bundle": "swagger_ui_bundle",
    "cel-expr-python": "cel_expr_python",
    "protobuf": "google.protobuf",
    "google-re2": "re2",
    "python-liquid": "liquid",
    "pyyaml": "yaml",
    "prometheus-client": "prometheus_client",
}
"""Distribution -> name to import, where the two differ."""

FOR_OTHERS = {"typing-extensions"}
"""Distributions that a dependency needs and does not declare; no module here imports them."""

OUTSIDE = re.compile(
    "|".join(
        (
            r"(?<![\w.])/" + r"work/",
            r"\.\./" + r"shared\b",
            r"(?<![\w.])/opt/" + r"tm\b",
            r"\bcontract" + r"\.md\b",
            r"\b[Ii]ssue" + r" #?\d",
            r"\bbuilder" + r" [A-Z]\b",
        )
    )
)
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


SOURCES = [path for path in files(".py", ".pyx", ".pxd", ".pyi") if path.stat().st_size]
PYTHON = [path for path in SOURCES if path.suffix == ".py"]


@pytest.mark.parametrize("path", [path for path in SOURCES if path.suffix in (".py", ".pyx")], ids=name)
def test_a_file_begins_with_a_docstring(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    head = re.sub(r"\A(?:#.*\n|\s)*", "", text)
    assert head.startswith(('"""', 'r"""'))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_is_short(path: Path) -> None:
    of_tests = name(path).startswith(("tests/", "bench/"))
    most = TEST_LINES_MAX if of_tests else FILE_LINES_MAX[path.suffix]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


@pytest.mark.parametrize("path", [path for path in SOURCES if path.suffix != ".pyi"], ids=name)
def test_a_function_fits_a_screen(path: Path) -> None:
    functions = [found for found in definitions(path) if found.kind in ("function", "property")]
    long = {found.name: found.lines for found in functions if found.lines > FUNCTION_LINES_MAX}
    assert set(long) == set()


def type_names() -> dict[str, set[str]]:
    """Return the modules that define each type; a `.pyx` and its `.pxd` are one module."""
    modules: dict[str, set[str]] = {}
    for path in (path for path in SOURCES if path.suffix != ".pyi"):
        for found in definitions(path):
            if found.kind == "class" and found.is_top_level and found.name:
                modules.setdefault(found.name, set()).add(module_name(path))
    return modules


def test_a_type_has_a_name_of_its_own() -> None:
    shared = {type_name: places for type_name, places in type_names().items() if len(places) > 1}
    excused = {*SHARED_TYPE_NAMES, *SHARED_TYPE_NAMES_NOT_YET.split()}
    assert {
        type_name: sorted(places) for type_name, places in shared.items() if type_name not in excused
    } == {}
    assert set(SHARED_TYPE_NAMES) - set(shared) == set(), "a name that is no longer shared needs no excuse"


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_nothing_is_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            silent = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not silent, f"line {node.lineno}: say what becomes of the error"


CALLED_IN_ASSERTIONS = {
    *("all", "any", "isinstance", "len", "max", "min", "sum", "type"),  # of Python
    *("found", "keys", "locked", "sizeof", "_leads"),  # of ours, and of types: they only look
}
"""Functions that an assertion may call: they change nothing, so nothing is missing where assertions are skipped."""


def called_in_assertions(path: Path) -> set[str]:
    """Return the names of all that the assertions of a file call, the last part of each."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        asserted = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
        calls = [
            call
            for node in asserted
            for call in ast.walk(node.test)
            if isinstance(call, ast.Call | ast.Await)
        ]
        return {
            ast.unparse(call.func if isinstance(call, ast.Call) else call).split(".")[-1] for call in calls
        }
    return {
        name
        for line in re.findall(r"^[ \t]*assert (.*)$", text, re.M)
        for name in re.findall(r"(\w+)\(", line)
    }


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if not name(path).startswith(("tests/", "bench/"))], ids=name
)
def test_an_assertion_does_no_work(path: Path) -> None:
    if path.suffix in (".py", ".pyx", ".pxd"):
        assert called_in_assertions(path) - CALLED_IN_ASSERTIONS == set(), (
            "bind the result first, assert after"
        )


@pytest.mark.parametrize("path", [*SOURCES, *files(".md", ".yaml")], ids=name)
def test_nothing_is_unfinished_and_nothing_outside_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert OUTSIDE.search(text) is None
    assert UNFINISHED.search(text) is None


@pytest.mark.parametrize(
    "path", [path for path in PYTHON if name(path).startswith(("tests/", "bench/"))], ids=name
)
def test_helpers_do_not_live_in_test_modules(path: Path) -> None:
    """A module that others import has a noun for a name: what pytest collects is imported by pytest alone."""
    imported = {part for whole in imports(path) for part in whole.split(".")[:-1]}
    assert [part for part in sorted(imported) if part.startswith("test_")] == []


def test_every_extension_has_a_stub_beside_it() -> None:
    assert [name(path) for path in files(".pyx") if not path.with_suffix(".pyi").exists()] == []


def bounds() -> dict[str, object]:
    """Return the bounds of `engine.limits` and the sizes and intervals of `engine.tuning`, by name."""
    return {
        name: value for module in (limits, tuning) for name, value in vars(module).items() if name.isupper()
    }


NUMBERS = [ROOT / "engine" / "limits.py", ROOT / "engine" / "tuning.py"]


def test_a_bound_stands_in_one_of_the_two_places() -> None:
    assert {name for name in vars(limits) if name.isupper()} & set(vars(tuning)) == set()


@pytest.mark.parametrize("path", NUMBERS, ids=name)
def test_what_a_number_is_for_stands_above_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if re.match(r"[A-Z].*#", line)] == []


def test_every_bound_is_a_positive_number() -> None:
    assert {key: v for key, v in bounds().items() if not (isinstance(v, int | float) and v > 0)} == {}


def test_every_bound_is_kept_somewhere() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if path not in NUMBERS)
    named = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
    assert set(bounds()) - named == set(), "a bound that no code reads is not enforced"


def dependencies() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"]]


@pytest.mark.parametrize("requirement", dependencies())
def test_every_dependency_has_a_reason_beside_it(requirement: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f'"{requirement}"')]
    assert re.search(r"#\s+\S.{5,}", line)


def test_every_dependency_is_used() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        needed = tomllib.load(file)["project"]["dependencies"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    unused = []
    for requirement in needed:
        distribution = re.split(r"[\[<>=~!; ]", requirement)[0]
        package = IMPORT_NAMES.get(distribution, distribution)
        if distribution in FOR_OTHERS:
            continue
        if not re.search(rf"(?:from|import) {re.escape(package)}\b|\"{re.escape(package)}[\"./]", text):
            unused.append(distribution)
    assert unused == []


def test_the_top_level_holds_the_named_things_only() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {entry for entry in top if not entry.startswith(".")} - TOP_LEVEL == set()


def test_build_products_are_not_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert [line for line in listed.stdout.splitlines() if re.search(r"\.(?:so|c|html|pyc)$", line)] == []


def test_the_workflow_runs_the_same_checks_on_every_python_that_is_named() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    versions = re.search(r"python: \[(.*)\]", text)
    assert versions is not None
    with (ROOT / "pyproject.toml").open("rb") as file:
        classifiers = tomllib.load(file)["project"]["classifiers"]
    named = [line.rsplit(" ", 1)[1] for line in classifiers if re.fullmatch(r".* :: Python :: 3\.\d+", line)]
    assert re.findall(r"[\d.]+", versions[1]) == named
    assert "- run: .ci/run\n" in text


def test_the_tour_is_short() -> None:
    assert len((ROOT / "engine" / "README.md").read_text(encoding="utf-8").splitlines()) <= TOUR_LINES_MAX


PATH_IN_PROSE = re.compile(
    r"`([\w.-]*(?:/[\w.-]+)*(?:/|\b\.(?:py|pyx|pxd|pyi|md|patch|ndjson\.gz)))`"  # in backticks
    r"|\]\(([^)#:]+)(?:#[^)]*)?\)",  # a link
)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def paths_named_in(readme: Path) -> Iterator[str]:
    """Yield the files and folders that a README names in backticks or links to, outside of code blocks."""
    for match in PATH_IN_PROSE.finditer(FENCE.sub("", readme.read_text(encoding="utf-8"))):
        yield match[1] or match[2]


def exists(path: str, readme: Path) -> bool:
    """Whether a path exists, seen from the README or from the root; a bare name of a file may stand anywhere."""
    if any((base / path).exists() for base in (readme.parent, ROOT)):
        return True
    return "/" not in path and any(found.exists() for tree in TREES for found in (ROOT / tree).rglob(path))


def test_a_missing_path_is_found(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(
        "`test_house.py`, `gone.py`, `tests/`, `tests/gone/`, [a](gone.md#part), `a word`\n```\n`x.py`\n```\n"
    )
    missing = [path for path in paths_named_in(readme) if not exists(path, readme)]
    assert missing == ["gone.py", "tests/gone/", "gone.md"]


READMES = [*files(".md"), *ROOT.glob("*.md"), *ROOT.glob(".github/*.md")]
ANCHOR = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("readme", READMES, ids=name)
def test_every_link_to_a_heading_leads_to_one(readme: Path) -> None:
    links = ANCHOR.findall(FENCE.sub("", readme.read_text(encoding="utf-8")))
    targets = {place: (readme.parent / place if place else readme) for place, _ in links}
    known = {place: anchors(path.read_text(encoding="utf-8")) for place, path in targets.items()}
    assert [f"{place}#{anchor}" for place, anchor in links if anchor not in known[place]] == []


@pytest.mark.parametrize("readme", READMES, ids=name)
def test_every_path_in_a_readme_exists(readme: Path) -> None:
    missing = [path for path in paths_named_in(readme) if not exists(path, readme)]
    assert missing == []
