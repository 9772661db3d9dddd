"""Backups and compaction over the API, and `tidemill verify` on what they leave."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from api.cli.main import main
from api.management import answers
from engine.store.verify import Verified
from tests.api.api_engine import Api, with_api

NO_FOLDERS = (
    "/",
    "//",
    ".",
    "..",
    "/..",
    "\0",
    "/\0",
    "/tmp\0/copy",
    "/" + "x" * 300,
    "/" + "x/" * 3_000,
    "/dev/null/copy",
    "/proc/copy",
)
"""Nothing can be made there; each is refused, and the engine goes on."""

FLAGS_AT = 10
"""Where in a page of LMDB it says what kind of page it is."""


def test_a_backup_is_written_and_verified(tmp_path: Path) -> None:
    copy = tmp_path / "copy"

    async def body(api: Api) -> None:
        assert (await api.ask("PUT", "/v1/contacts/ann", {"traits": {"city": "Oslo"}})).status == 200
        made = await api.ask("POST", "/v1/store/backup", {"folder": str(copy)})
        assert made.status == 200
        assert made.shaped(answers.BackedUp).folder == str(copy)
        for taken in (str(copy), "relative", str(tmp_path / "none" / "copy"), *NO_FOLDERS):
            refused = await api.ask("POST", "/v1/store/backup", {"folder": taken})
            assert (refused.status, refused.problem.code) == (422, "backup_folder"), taken

    with_api(tmp_path / "data", body)
    done = CliRunner().invoke(main, ["verify", str(copy), "--json"])
    assert done.exit_code == 0
    assert msgspec.json.decode(done.stdout, type=Verified).contacts == 1


def test_no_backup_is_written_into_the_data_directory(tmp_path: Path) -> None:
    data, link = tmp_path / "data", tmp_path / "link"
    data.mkdir()
    link.symlink_to(data)

    async def body(api: Api) -> None:
        before = sorted(data.rglob("*"))
        for folder in (
            data / "copy",
            data / "journal" / "rewritten-x",
            data / "journal" / ".." / "copy",
            tmp_path / "link" / "copy",
            tmp_path / "link" / "journal" / "copy",
        ):
            refused = await api.ask("POST", "/v1/store/backup", {"folder": str(folder)})
            assert (refused.status, refused.problem.code) == (422, "backup_folder"), folder
            assert "is in the data directory" in refused.problem.detail
        assert sorted(data.rglob("*")) == before
        beside = await api.ask("POST", "/v1/store/backup", {"folder": str(tmp_path / "data-copy")})
        assert beside.status == 200

    with_api(data, body)


def test_what_a_crash_left_of_a_backup_is_named(tmp_path: Path) -> None:
    left = tmp_path / "copy.partial"
    left.mkdir()

    async def body(api: Api) -> None:
        refused = await api.ask("POST", "/v1/store/backup", {"folder": str(tmp_path / "copy")})
        assert (refused.status, refused.problem.code) == (422, "backup_folder")
        assert f"{left} is there" in refused.problem.detail
        assert "remove it and try again" in refused.problem.detail
        assert left.is_dir()
        left.rmdir()
        assert (await api.ask("POST", "/v1/store/backup", {"folder": str(tmp_path / "copy")})).status == 200

    with_api(tmp_path / "data", body)


@pytest.mark.parametrize("name", ["journal", "checkpoints"])
def test_a_store_that_is_damaged_is_no_fault_of_the_copy_and_ends_the_engine(
    tmp_path: Path, name: str
) -> None:
    async def body(api: Api) -> None:
        await api.ask("PUT", "/v1/contacts/ann", {"traits": {"city": "Oslo"}})
        assert (await api.ask("POST", "/v1/store/compact")).status == 200
        await api.ask("PUT", "/v1/contacts/bob", {"traits": {"city": "Oslo"}})
        file = tmp_path / "data" / name / "data.mdb"
        whole = file.read_bytes()
        with file.open("r+b") as opened:
            for page in range(2, len(whole) // 4096):
                opened.seek(page * 4096 + FLAGS_AT)
                opened.write(b"\0\0")
        answered = await api.ask("POST", "/v1/store/backup", {"folder": str(tmp_path / "copy")})
        with file.open("r+b") as opened:
            opened.write(whole)
        assert (answered.status, answered.problem.code) == (500, "corrupt")
        assert f"at {file.parent} cannot be read" in answered.problem.detail
        assert [getattr(bug, "code", bug) for bug in api.bugs] == ["corrupt"]
        api.bugs.clear()

    with_api(tmp_path / "data", body)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_what_is_wrong_is_said_by_verify_with_exit_code_1(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        assert (await api.ask("PUT", "/v1/contacts/ann", {"traits": {"city": "Oslo"}})).status == 200

    with_api(tmp_path / "data", body)
    file = tmp_path / "data" / "journal" / "data.mdb"
    damaged = bytearray(file.read_bytes())
    damaged[4096 + 16] ^= 1
    file.write_bytes(damaged)
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "data")])
    assert done.exit_code == 1
    assert "corrupt: Page 1 of the journal" in done.stdout


def test_a_directory_without_a_store_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert done.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_compaction_on_request_erases_who_was_deleted(tmp_path: Path) -> None:
    async def body(api: Api) -> None:
        await api.ask("PUT", "/v1/contacts/ann-of-oslo", {"traits": {}})
        assert (await api.ask("DELETE", "/v1/contacts/ann-of-oslo")).status == 204
        assert api.service.statistics()["checkpoint"]["owes_erasure"]
        assert (await api.ask("POST", "/v1/store/compact")).status == 200
        assert not api.service.statistics()["checkpoint"]["owes_erasure"]

    with_api(tmp_path / "data", body)
    found = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("data.mdb"))
    assert b"ann-of-oslo" not in found
