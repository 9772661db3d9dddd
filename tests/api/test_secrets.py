"""A real engine with keys and TLS: commands need a key, and no secret is found anywhere.

The search covers its log, its files, its answers and the output of the commands.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
import trustme

from tests.api.api_engine import FLOW
from tests.api.command_line import ANYWHERE, TIDEMILL, serving
from tests.store.secret_contact import records

WRITE_KEY = "a-write-key-of-segment"
WRONG = "tm_" + "wrong" * 8 + "_secret"


def command(folder: Path, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TIDEMILL, *(str(argument) for argument in arguments)],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place with settings, a certificate for `localhost` and the authority that signed it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    (tmp_path / "tidemill.toml").write_text(
        f'certfile = "cert.pem"\nkeyfile = "cert.pem"\nwrite_keys = ["{WRITE_KEY}"]\n'
        f'http = ["localhost:0", "unix:{tmp_path}/http.sock"]\n'
    )
    (tmp_path / "flow.yaml").write_bytes(msgspec.json.encode(FLOW))
    (tmp_path / "lines").write_text('{"type":"track","userId":"a","event":"Signed Up"}\n')
    return tmp_path


def ask(address: str, folder: Path, method: str, path: str, body: bytes = b"", **headers: str) -> str:
    """One request by TLS; all that came back."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    connection = http.client.HTTPSConnection(address.removeprefix("https://"), timeout=10, context=context)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        assert response.status < 500
        return f"{response.headers}{response.read().decode()}"
    finally:
        connection.close()


def test_no_secret_is_found_anywhere(folder: Path) -> None:
    heard: list[str] = []

    def run(*arguments: object, **environ: str) -> int:
        done = command(folder, *arguments, SSL_CERT_FILE=str(folder / "ca.pem"), **environ)
        heard.append(done.stdout + done.stderr)
        return done.returncode

    with serving("--data", "data", *ANYWHERE[2:], folder=folder) as engine:
        https = f"https://localhost:{engine.addresses['http'].rpartition(':')[2]}"
        assert engine.addresses["http"].startswith("https://")
        ops = command(folder, "keys", "create", "ops", "--scope", "flows", "--data", "data").stdout.strip()
        app = command(folder, "keys", "create", "app", "--scope", "events", "--data", "data").stdout.strip()
        (folder / "ops.key").write_text(ops + "\n")
        for _ in iter(lambda: run("flows", "list", "--http", https), 1):
            time.sleep(0.1)  # until the engine has seen that there are keys
        assert "tidemill keys create" in heard[-1]

        assert run("flows", "list", "--http", https, TIDEMILL_KEY=ops) == 0
        assert run("flows", "create", "flow.yaml", "--launch", "--http", https, "--key-from", "ops.key") == 0
        assert run("flows", "list", "--http", f"unix:{folder}/http.sock") == 0
        for wrong in (WRONG, app, "tm_\N{SNOWMAN}"):
            assert run("flows", "list", "--http", https, TIDEMILL_KEY=wrong) == 1
        for key, code in ((app, 0), (WRITE_KEY, 0), (WRONG, 1), (ops, 1)):
            assert run("import", "lines", "--stream", engine.stream, TIDEMILL_KEY=key) == code
        heard += try_everything(https, folder, (ops, app, WRITE_KEY, WRONG))
        assert run("flows", "stats", "welcome", "--http", https, TIDEMILL_KEY=ops) == 0
        code, errors = engine.stop()
    assert code == 0
    heard.append(errors)
    files = [path for path in (folder / "data").rglob("*") if path.is_file()]
    assert {"keys.json", "lock"} < {path.name for path in files}
    kept = records(folder / "data")
    assert b"welcome" in kept
    for secret in (ops, app, WRITE_KEY, WRONG):
        for form in (secret, secret.removeprefix("tm_"), base64.b64encode(f"{secret}:".encode()).decode()):
            assert [text for text in heard if form in text] == []
            assert [path.name for path in files if form.encode() in path.read_bytes()] == []
            assert form.encode() not in kept


def try_everything(https: str, folder: Path, secrets: tuple[str, ...]) -> list[str]:
    """All secrets in all places they could be put in; what was answered."""
    heard = []
    for secret in secrets:
        basic = "Basic " + base64.b64encode(f"{secret}:".encode()).decode()
        for authorization in (f"Bearer {secret}", basic, f"Token {secret}"):
            for method, path, body in (
                ("GET", "/v1/flows", b""),
                ("GET", "/v1/outbox", b""),
                ("POST", "/v1/track", b'{"userId":"a","event":"Signed Up"}'),
                ("POST", "/v1/batch", b"{"),
                ("PUT", "/v1/flows/welcome/draft", b"{"),
            ):
                heard.append(ask(https, folder, method, path, body, Authorization=authorization))
        event = msgspec.json.encode({"userId": "a", "event": "A", "writeKey": secret})
        heard.append(ask(https, folder, "POST", "/v1/track", event))
    return heard
