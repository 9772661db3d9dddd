"""The README is copy-paste-true: its first flow is run as it stands, only on ports that are free."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

from api.config import OutboxSettings, load_settings
from tests.api.command_line import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def tour() -> str:
    """All commands of the first flow, in order."""
    section = README.partition("<!-- tested:")[2].partition("\n## ")[0]
    return "\n".join(blocks("sh", section))


def free_address() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


def test_the_first_flow_works_as_it_is_written(tmp_path: Path) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    script = commands / "tidemill"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                      "from api.cli.main import main\nmain()\n")  # fmt: skip
    script.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    environ["PATH"] = f"{commands}:{environ['PATH']}"
    for name in ("HTTP", "INTAKE", "STREAM"):
        environ[f"TIDEMILL_{name}"] = free_address()
    done = subprocess.run(
        ["bash", "-euc", f"{tour()}\nwait || true"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "welcome.yaml: ready to launch." in done.stdout
    assert "pass  welcome.test.yaml: who does not buy gets a gift" in done.stdout
    assert "welcome is active, version 1." in done.stdout
    assert re.search(r"durable +5\n", done.stdout)
    assert re.search(r"bought .* 2 +true 1, false 1 *\n", done.stdout)
    assert "Welcome, Ann!" in done.stderr
    assert "A gift for you" in done.stderr


def test_the_settings_shown_are_settings(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    file = tmp_path / "tidemill.toml"
    file.write_text(text)
    settings = load_settings(file=file)
    assert isinstance(settings.channels["email"], OutboxSettings)
    for variable, key in re.findall(r"^(\w+) = .*# (TIDEMILL_\w+)", text, re.MULTILINE):
        assert key == f"TIDEMILL_{variable.upper()}"
    assert set(tomllib.loads(text)) == set(settings.__struct_fields__)


def test_there_are_two_commands_one_for_the_demo_and_one_for_the_tests() -> None:
    section = README.partition("## Two commands")[2].partition("\n## ")[0]
    demo, tests = blocks("sh", section)
    assert demo.strip().endswith("tidemill demo")
    assert tests.strip().endswith("python -m pytest")
    assert "'.[test]'" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_file_named_is_there() -> None:
    for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
