"""Files that people name on the command line: flows, contexts, schemas."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from engine.errors import Problem, TidemillError
from engine.flow.schema import Schema, parse_schema
from engine.flow.source.source import load, locate


def read_bytes(path: Path) -> bytes:
    """Read a file's bytes (`-`: stdin). Raises TidemillError if it cannot be read."""
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        detail = f"{path} cannot be read: {error.strerror}."
        raise TidemillError("file", detail, remedy="Check the name.") from error


def is_yaml(path: Path) -> bool:
    """Whether a document is read as YAML: everything but `.json`, which YAML's readers would take as well."""
    return path.suffix.lower() != ".json"


def read_document(path: Path) -> Any:
    """Read the plain data of a YAML or JSON file. Raises TidemillError with the file, the line and what is wrong."""
    loaded = load(read_bytes(path), yaml=is_yaml(path))
    if loaded.problems:
        raise _unusable(path, loaded.problems[0])
    return loaded.raw


def read_schema(path: Path) -> Schema:
    """Read a `schema.yaml`. Raises TidemillError with the file, the line and what is wrong."""
    loaded = load(read_bytes(path), yaml=is_yaml(path))
    if loaded.problems:
        raise _unusable(path, loaded.problems[0])
    schema, problems = parse_schema(loaded.raw)
    if schema is None:
        raise _unusable(path, locate(problems, loaded)[0])
    return schema


def _unusable(path: Path, problem: Problem) -> TidemillError:
    place = f"{path}:{problem.line}" if problem.line else str(path)
    return TidemillError("document", f"{place}: {problem.detail}", problems=(problem,))
