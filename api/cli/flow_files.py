"""A directory of flows, one a file: what `tidemill flows apply` reads and `tidemill flows export` writes.

Flows are the `.yaml`, `.yml` and `.json` files at any depth; files and directories whose name begins with a dot are
not looked at, nor are tests (`*.test.yaml`). A flow is known by the id in its file, not by the file's name: files may
be named and sorted as people like. For that reason, and because a folder is any text, export makes no directories of
folders: a flow is written where it is already, and a new one to `<id>.yaml`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from api.cli.flow_yaml import is_same, to_json, to_yaml
from api.read_files import is_yaml, read_bytes
from engine.errors import Problem, TidemillError
from engine.flow.schema import Schema
from engine.flow.source.source import load, locate
from engine.flow.validate import check
from engine.limits import FLOW_DOCUMENT_BYTES_MAX

SUFFIXES = (".yaml", ".yml", ".json")
TEST = ".test"


class FlowFile(msgspec.Struct, frozen=True):
    """A file that holds a flow without problems."""

    flow: str
    path: Path
    document: dict[str, Any]


class InFile(msgspec.Struct, frozen=True):
    """Something wrong, or probably not meant, in a file."""

    file: str
    problem: Problem

    def __str__(self) -> str:
        place = f"{self.file}:{self.problem.line}" if self.problem.line else self.file
        return f"{place}: {self.problem.node or 'flow'}: {self.problem.detail}"

    def row(self) -> dict[str, Any]:
        """For programs."""
        return {"file": self.file, **msgspec.to_builtins(self.problem)}


class Folder(msgspec.Struct, frozen=True):
    """All flows below a directory, in the order of their ids, and all that is wrong with its files."""

    flows: list[FlowFile]
    problems: list[InFile]
    warnings: list[InFile]


def read_folder(directory: Path, schema: Schema) -> Folder:
    """Read and check every flow. Raises TidemillError where the directory, or a file, cannot be read."""
    folder = Folder([], [], [])
    by_id: dict[str, Path] = {}
    for path in paths(directory):
        file = str(path)
        loaded = load(read_bytes(path), yaml=is_yaml(path))
        checked = check(loaded.raw, schema)
        problems = list(loaded.problems or locate(checked.problems, loaded))
        flow = _id_of(loaded.raw)
        if flow in by_id:
            detail = f"The id {flow!r} is also that of {by_id[flow]}; a flow has one file."
            problems += locate([Problem("", "/id", "duplicate_id", detail)], loaded)
        elif flow:
            by_id[flow] = path
        if not problems and len(msgspec.json.encode(loaded.raw)) > FLOW_DOCUMENT_BYTES_MAX:
            detail = f"A flow has at most {FLOW_DOCUMENT_BYTES_MAX} bytes."
            problems.append(Problem("", "", "too_large", detail))
        folder.problems.extend(InFile(file, one) for one in sorted(problems, key=_line))
        if not loaded.problems:
            warnings = locate(checked.warnings, loaded)
            folder.warnings.extend(InFile(file, one) for one in sorted(warnings, key=_line))
        if not problems:
            folder.flows.append(FlowFile(flow, path, loaded.raw))
    folder.flows.sort(key=lambda one: one.flow)
    return folder


def paths(directory: Path) -> Iterator[Path]:
    """The files that are flows, in order of their names. Raises TidemillError where a directory cannot be read."""
    if not directory.is_dir():
        raise TidemillError("folder", f"{directory} is not a directory.", remedy="Check the name.")
    for where, directories, names in os.walk(directory, onerror=_unreadable):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            is_test = path.stem.endswith(TEST)
            if path.suffix.lower() in SUFFIXES and not is_test and not name.startswith("."):
                yield path


def _unreadable(error: OSError) -> None:
    raise TidemillError("folder", f"{error.filename} cannot be read: {error.strerror}.") from error


def _line(problem: Problem) -> int:
    return problem.line


def _id_of(raw: object) -> str:
    flow = raw.get("id") if isinstance(raw, dict) else None
    return flow if isinstance(flow, str) else ""


def write_flows(directory: Path, documents: dict[str, dict[str, Any]]) -> list[tuple[str, Path, bool]]:
    """Write each flow (by id) to its file, or a new one; (id, file, whether it was written), in order of ids.

    A file that says the same already is left as it is, comments and all. Raises TidemillError before anything is
    written if a file would be lost that is not that flow, or if two files hold it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        detail = f"{directory} cannot be made: {error.strerror}."
        raise TidemillError("folder", detail, remedy="Name another directory.") from error
    there: dict[str, tuple[Path, Any]] = {}
    for path in paths(directory):
        raw = load(read_bytes(path), yaml=is_yaml(path)).raw
        flow = _id_of(raw)
        if flow in documents and flow in there:
            detail = f"{there[flow][0]} and {path} both hold the flow {flow!r}."
            raise TidemillError("duplicate_id", detail, remedy="Remove one of them.")
        there[flow] = path, raw
    targets = {flow: there.get(flow, (directory / f"{flow}.yaml", None)) for flow in sorted(documents)}
    for flow, (path, raw) in targets.items():
        if raw is None and path.exists():
            detail = f"{path} is there and is not the flow {flow!r}."
            raise TidemillError("file_exists", detail, remedy="Rename it, or mend its id.")
    return [(flow, path, _write(path, raw, documents[flow])) for flow, (path, raw) in targets.items()]


def _write(path: Path, raw: object, document: dict[str, Any]) -> bool:
    if raw is not None and is_same(raw, document):
        return False
    text = to_yaml(document) if is_yaml(path) else to_json(document)
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise TidemillError("file", f"{path} cannot be written: {error.strerror}.") from error
    return True
