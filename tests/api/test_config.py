"""Settings: flags over variables over the file, and one sentence for whatever is wrong in any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.config import Address, ConfigError, Settings, load_settings, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7700", Address(host="127.0.0.1", port=7700)),
        ("localhost:0", Address(host="localhost", port=0)),
        ("[::1]:7700", Address(host="::1", port=7700)),
        ("unix:/run/tidemill/http.sock", Address(path="/run/tidemill/http.sock")),
        ("unix:relative.sock", Address(path="relative.sock")),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7700", "not an address"),
        (":7700", "not an address"),
        ("::1:7700", "not an address"),
        ("localhost:http", "not a port"),
        ("localhost:65536", "not a port"),
        ("localhost:", "not a port"),
        ("unix:", "names no path"),
        ("unix:/" + "a" * 107, "at most 107 bytes"),
    ],
)
def test_a_wrong_address_is_named_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse_address(text, "http")
    assert str(caught.value).startswith("http: ")
    assert caught.value.remedy


def test_without_anything_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings() == Settings()


def test_flags_beat_variables_and_variables_beat_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tidemill.toml"
    file.write_text(
        'data = "file"\nhttp = ["localhost:1"]\nintake = ["localhost:2"]\nstream = ["localhost:3"]\n'
    )
    environ = {"TIDEMILL_INTAKE": "localhost:20, unix:/tmp/i", "TIDEMILL_STREAM": "localhost:30"}
    settings = load_settings({"stream": ["localhost:300"], "http": ()}, file=file, environ=environ)
    assert settings.data == "file"
    assert settings.http == ("localhost:1",)
    assert settings.intake == ("localhost:20", "unix:/tmp/i")
    assert settings.stream == ("localhost:300",)


def test_a_file_here_is_found_and_one_named_by_a_variable_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.toml").write_text('data = "here"\n')
    (tmp_path / "other.toml").write_text('data = "other"\n')
    assert load_settings().data == "here"
    assert load_settings(environ={"TIDEMILL_CONFIG": "other.toml"}).data == "other"


def test_variables_of_container_platforms_are_left_alone() -> None:
    assert load_settings(environ={"TIDEMILL_PORT": "tcp://10.0.0.1:7700"}, file=None).data


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dta = 'x'", "unknown field `dta`"),
        ("http = 'localhost:1'", r"\$\.http"),
        ("http = [1]", r"\$\.http"),
        ("data = ", "is not TOML"),
        ("[channels.email]\nkind = 'pigeon'", r"'pigeon'.*\$\.channels"),
        ("http = ['nowhere']", "http: 'nowhere' is not an address"),
    ],
)
def test_a_wrong_file_is_one_sentence_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "tidemill.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_settings(file=file)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml cannot be read"):
        load_settings(file=tmp_path / "absent.toml")
