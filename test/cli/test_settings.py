"""Settings: three places, later ones win, and what is wrong is named with what was probably meant."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.settings import InvalidSetting, Loaded, Settings, settings_from
from tools.settings_table import settings as settings_table


def read(folder: Path, text: str = "", **variables: str) -> Loaded:
    """What a file with `text` and these variables say."""
    file = folder / "nodeferry.toml"
    file.write_text(text)
    return Loaded.read({f"NODEFERRY_{name}": value for name, value in variables.items()}, file=file)


def test_later_places_win_and_each_is_remembered(tmp_path: Path) -> None:
    """The file, a variable, the command line."""
    file = tmp_path / "nodeferry.toml"
    file.write_text('port = 5001\nhost = "127.0.0.2"\nmax_running = 3\n')
    loaded = Loaded.read({"NODEFERRY_PORT": "5002", "NODEFERRY_HOST": "h"}, file=file, overrides={"host": "::1"})
    found = loaded.settings
    assert (found.port, found.host, found.max_running, found.max_waiting) == (5002, "::1", 3, 1000)
    assert loaded.origins == {"port": "NODEFERRY_PORT", "host": "the command line", "max_running": str(file)}


def test_a_setting_that_is_made_in_code_asks_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests and the demo build their own."""
    monkeypatch.setenv("NODEFERRY_PORT", "5002")
    monkeypatch.setenv("PORT", "5003")
    assert Settings().port == 5000


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PORT", "tcp://10.0.0.1:5000", "port is 'tcp://10.0.0.1:5000'; expected a whole number."),
        ("PORT", "70000", "port is '70000'; expected a number up to 65535."),
        ("WAIT_SECONDS", "-1", "wait_seconds is '-1'; expected a number from 0.0 on."),
        ("WAIT_SECONDS", "inf", "wait_seconds is 'inf'; expected a number from 0 on."),
        ("STATUS_LINKS", "maybe", "status_links is 'maybe'; expected true or false."),
        ("LOG_LEVEL", "verbose", "log_level is 'VERBOSE'; expected DEBUG, INFO, WARNING, ERROR or CRITICAL."),
    ],
)
def test_a_value_that_cannot_be_is_named_with_where_it_comes_from(
    tmp_path: Path, variable: str, value: str, said: str
) -> None:
    """And with what may stand there."""
    with pytest.raises(InvalidSetting) as refused:
        read(tmp_path, **{variable: value})
    assert (refused.value.message, refused.value.field) == (said, variable.lower())
    assert refused.value.hint == f"It comes from NODEFERRY_{variable}."


def test_a_misspelt_name_is_an_error_with_what_was_meant(tmp_path: Path) -> None:
    """A policy or a token must not silently do nothing; variables that others make are only named."""
    for name, meant in (("PROT", "PORT"), ("POLICY_SCRIPT", "POLICY_SCRIPTS"), ("TOKN", "TOKEN")):
        with pytest.raises(InvalidSetting, match=f"NODEFERRY_{name} is no setting") as refused:
            read(tmp_path, **{name: "x"})
        assert refused.value.hint == f"Did you mean NODEFERRY_{meant}?"
    with pytest.raises(InvalidSetting, match="Unknown setting 'prot' in .*nodeferry.toml") as refused:
        read(tmp_path, "prot = 1")
    assert refused.value.hint == "Did you mean port?"
    with pytest.raises(InvalidSetting) as refused:
        read(tmp_path, LOG_LEVEL="inof")
    assert refused.value.hint == "Did you mean INFO?"
    assert read(tmp_path, SERVICE_HOST="10.0.0.1", PORT_5000_TCP="x").unknown == (
        "NODEFERRY_PORT_5000_TCP",
        "NODEFERRY_SERVICE_HOST",
    )


def test_a_secret_that_cannot_be_is_not_repeated(tmp_path: Path) -> None:
    """It may be half right."""
    with pytest.raises(InvalidSetting) as refused:
        read(tmp_path, "token = ['hunter2hunter2']")
    assert "hunter2" not in str(refused.value.message) and "token is ***" in refused.value.message


def test_what_is_shown_is_a_file_again_and_says_where_each_value_comes_from(tmp_path: Path) -> None:
    """Lines for nodeferry.toml; with --json the same for a program."""
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "NODEFERRY_PORT": "5005", "NODEFERRY_ALLOWED_HOSTS": "a, b,"}
    (tmp_path / "nodeferry").mkdir()
    file = tmp_path / "nodeferry" / "nodeferry.toml"
    file.write_text("max_running = 4\n")
    printed = CliRunner().invoke(cli, ["config", "show"], env=environ).stdout
    assert f"# The file is {file}." in printed
    assert "port = 5005  # NODEFERRY_PORT" in printed and f"max_running = 4  # {file}" in printed
    (tmp_path / "again.toml").write_text(printed)
    assert tomllib.loads(printed)["allowed_hosts"] == ["a", "b"]
    assert settings_from({}, file=tmp_path / "again.toml").port == 5005
    data = json.loads(CliRunner().invoke(cli, ["config", "show", "--json"], env=environ).stdout)["data"]
    assert data["file"] == {"path": str(file), "is_there": True}
    port = next(each for each in data["settings"] if each["name"] == "port")
    assert port == {"name": "port", "variable": "NODEFERRY_PORT", "value": 5005, "origin": "NODEFERRY_PORT"}


def test_every_setting_says_what_it_means() -> None:
    """In its docstring, which is the documented table."""
    assert [name for name, field in Settings.model_fields.items() if len(field.description or "") < 15] == []
    assert all(f"`{name}`" in settings_table() for name in Settings.model_fields)
