"""The tests are worth something: each patch in `mutants/` breaks a promise, and the simulator or the crash images
must fail on it. One that no longer applies is a failure too: move it to where the promise is kept now.

By name: `python -m pytest tests/sim/test_mutants.py -m nightly`. Patches of `ext/` are compiled in the copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.patch"))
SEEDS = 1_500
"""Lives tried before a mutant counts as not caught; most are caught in the first ten."""
CATCHERS = {
    "simulator": ["-m", "tests.sim", "--from", "0", "--to", str(SEEDS), "--first"],
    "images": ["-m", "pytest", "-q", "-x", "tests/store/test_crash_images.py"],
}


def head_of(patch: Path) -> dict[str, str]:
    """Return the lines `Promise`, `Breaks` and `Caught by` at the head of a patch."""
    head = patch.read_text(encoding="utf-8").split("\n\n", 1)[0]
    return dict(line.split(": ", 1) for line in head.splitlines())


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        arguments, cwd=tree, env=environment, capture_output=True, text=True, timeout=1_800, check=False
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of all that the tests need, compiled parts and their sources included."""
    for name in ("api", "engine", "ext", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def apply_patch(tree: Path, patch: Path) -> None:
    """Apply a patch in a copy, and compile the parts of `ext/` that it touches."""
    done = run(tree, "git", "apply", "-C1", "--recount", str(patch))
    assert done.returncode == 0, f"{patch.name} does not apply any more: move it.\n{done.stderr}"
    lines = patch.read_text(encoding="utf-8").splitlines()
    touched = {line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/ext/")}
    if touched:
        for source in (tree / "ext").rglob("*.pyx"):
            if source.relative_to(tree).as_posix() not in touched:
                source.unlink()  # compiled already
        built = run(tree, sys.executable, "setup.py", "-q", "build_ext", "--inplace")
        assert built.returncode == 0, f"{patch.name} does not compile:\n{built.stderr[-2_000:]}"


def test_there_are_enough_and_each_has_its_head() -> None:
    assert len(MUTANTS) >= 10
    for patch in MUTANTS:
        assert set(head_of(patch)) == {"Promise", "Breaks", "Caught by"}, patch.name
        assert head_of(patch)["Caught by"] in CATCHERS, patch.name


@pytest.mark.parametrize("patch", MUTANTS, ids=lambda patch: patch.stem)
def test_it_still_applies(patch: Path) -> None:
    done = run(ROOT, "git", "apply", "--check", "-C1", "--recount", str(patch))
    assert done.returncode == 0, f"{patch.name} does not apply any more: move it.\n{done.stderr}"


@pytest.mark.nightly
@pytest.mark.parametrize("patch", MUTANTS, ids=lambda patch: patch.stem)
def test_it_is_caught(patch: Path, tree: Path, request: pytest.FixtureRequest) -> None:
    if "nightly" not in request.config.getoption("-m"):
        pytest.skip("the long form: -m nightly")
    apply_patch(tree, patch)
    done = run(tree, sys.executable, *CATCHERS[head_of(patch)["Caught by"]])
    assert done.returncode == 1, f"{patch.name} is not caught.\n{done.stdout[-2_000:]}"
    assert "FAILED" in done.stdout, (
        f"{patch.name} cannot be run.\n{done.stdout[-2_000:]}{done.stderr[-2_000:]}"
    )
