"""Find compiled parts that are missing or older than their source, so that no test runs yesterday's code."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from tests.source_tree import ROOT, imports

REMEDY = f"{sys.executable} setup.py build_ext --inplace"


def sources_of(root: Path) -> dict[Path, set[Path]]:
    """Return each `.pyx` below `root/ext` with all files it is compiled from: itself and every header it reaches."""
    paths = [*(root / "ext").rglob("*.pyx"), *(root / "ext").rglob("*.pxd")]
    direct = {path: {path, path.with_suffix(".pxd")} | headers(path, root) for path in paths}
    reached = {path: {file for file in files if file in direct} for path, files in direct.items()}
    for path, files in reached.items():
        pending = files - {path}
        while pending:
            more = reached[pending.pop()] - files
            files |= more
            pending |= more
    return {path: files for path, files in reached.items() if path.suffix == ".pyx"}


def headers(path: Path, root: Path) -> set[Path]:
    """Return the `.pxd` files that a file's cimports may name; not all of them need exist."""
    places = set()
    for imported in imports(path):
        parts = imported.split(".")
        places |= {root.joinpath(*parts[:length]).with_suffix(".pxd") for length in range(2, len(parts) + 1)}
    return places


def fault_of(source: Path, files: set[Path]) -> str | None:
    """Return what is wrong with the compiled form of one `.pyx`, or None where it is up to date."""
    compiled = next(
        (path for suffix in EXTENSION_SUFFIXES if (path := source.with_suffix(suffix)).exists()), None
    )
    if compiled is None:
        return f"{source.name} is not compiled"
    newest = max(files, key=lambda path: path.stat().st_mtime_ns)
    if compiled.stat().st_mtime_ns < newest.stat().st_mtime_ns:
        return f"{compiled.name} is older than {newest.name}"
    return None


def refusal(root: Path = ROOT) -> str | None:
    """Return one sentence that says why tests must not run, with the command that helps; None if they may.

    An installed package that is imported from elsewhere (a wheel) was compiled as a whole and is not examined.
    """
    spec = importlib.util.find_spec("ext")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != (root / "ext").resolve():
        return None
    faults = [
        fault for source, files in sorted(sources_of(root).items()) if (fault := fault_of(source, files))
    ]
    if not faults:
        return None
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"The compiled parts are out of date: {faults[0]}{more}; build them with: {REMEDY}"
