"""The SSH keys that the service logs in with: listed without a private part, made without touching a file."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.standin.instance import StandIn
from test.api.client import Api, content, service_in
from test.api.test_docs import examples, section
from test.remote.conftest import make_key
from test.ssh.machine import agent


def _keys(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content(api.get("/ssh-keys"))["ssh_keys"]
    return found


def test_there_is_none_and_then_one(api: Api, tmp_path: Path) -> None:
    """The file is OpenSSH's, for the user alone; making it again touches nothing."""
    assert _keys(api) == []
    answer = api.post("/ssh-keys")
    made = content(answer)["ssh_key"]
    assert answer.status_code == 201
    key = tmp_path / ".ssh" / "id_ed25519"
    assert (made["path"], made["used"], made["source"]) == (str(key), True, "file")
    assert (key.parent.stat().st_mode & 0o777, key.stat().st_mode & 0o777) == (0o700, 0o600)
    said = subprocess.run(["ssh-keygen", "-yf", key], check=True, capture_output=True, text=True).stdout.split()
    assert made["public_key"].split()[:2] == said[:2]
    before = key.read_bytes()
    again = api.post("/ssh-keys", {"name": "id_ed25519"})
    assert (again.status_code, content(again)["error"], key.read_bytes()) == (409, "key_exists", before)
    [listed] = _keys(api)
    assert {**listed, "public_key": ""} == {**made, "public_key": ""}
    assert set(examples(section("POST /ssh-keys"))[0]["ssh_key"]) == set(made)
    assert set(examples(section("GET /ssh-keys"))[0]["ssh_keys"][0]) == set(listed)


@pytest.mark.parametrize("left", ["id_ed25519", "id_ed25519.pub"])
def test_a_half_of_a_key_is_never_overwritten(api: Api, tmp_path: Path, left: str) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / left).write_text("mine")
    assert content(api.post("/ssh-keys"))["error"] == "key_exists"
    assert [(path.name, path.read_text()) for path in (tmp_path / ".ssh").iterdir()] == [(left, "mine")]


def test_a_link_is_not_followed(api: Api, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").symlink_to(tmp_path / "elsewhere")
    assert content(api.post("/ssh-keys"))["error"] == "key_exists"
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / ".ssh" / "id_ed25519.pub").exists()


def test_a_folder_that_cannot_be_made_is_named(api: Api, tmp_path: Path) -> None:
    (tmp_path / ".ssh").write_text("a file")
    refused = content(api.post("/ssh-keys"))
    assert refused["error"] in ("key_not_made", "key_exists")
    assert str(tmp_path / ".ssh") in refused["message"]


@pytest.mark.parametrize(
    "name", ["", "../x", "config", "id_a/b", "id_a.pub", "id_", "known_hosts", "id_x-cert", "id_\n"]
)
def test_a_name_that_no_key_has_is_refused(idle: Api, name: str) -> None:
    refused = idle.post("/ssh-keys", {"name": name})
    assert (refused.status_code, content(refused)["field"]) == (400, "name")


def test_a_page_of_another_site_makes_none(idle: Api) -> None:
    assert idle.post("/ssh-keys", None, Origin="https://evil.example").status_code == 403


def test_keys_of_files_and_agent_are_listed_without_their_private_part(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked ones too; a key that is in both comes once; what is no key is not there."""
    folder = tmp_path / ".ssh"
    folder.mkdir()
    rsa, locked = make_key(folder / "id_rsa", "rsa"), make_key(folder / "mine", passphrase="secret")
    locked.with_suffix(".pub").rename(folder / "only.pub")
    (folder / "broken.pub").write_text("ssh-ed25519 AAAA")
    other = make_key(tmp_path / "other")
    with agent(rsa, other) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        text = api.get("/ssh-keys").text
        found = {key["name"]: key for key in _keys(api)}
    assert {name: (key["source"], key["used"]) for name, key in found.items()} == {
        "id_rsa": ("file", True),
        "only": ("public", False),
        "test": ("agent", True),
    }
    assert "PRIVATE" not in text
    said = subprocess.run(["ssh-keygen", "-lf", rsa], check=True, capture_output=True, text=True).stdout
    assert found["id_rsa"]["sha256"] in said


def test_the_command_line_lists_and_makes(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "SSH_AUTH_SOCK": None}
    data = ["--data-dir", str(tmp_path / "data")]
    assert "key new" in CliRunner().invoke(cli, ["key", "list", *data], env=environ).output
    made = CliRunner().invoke(cli, ["key", "new", *data], env=environ)
    assert made.exit_code == 0, made.output
    assert (tmp_path / ".ssh" / "id_ed25519").is_file()
    assert "vast.ai" in made.output
    line = (tmp_path / ".ssh" / "id_ed25519.pub").read_text().split()[1]
    assert line in made.output
    assert line in CliRunner().invoke(cli, ["key", "list", *data], env=environ).output
    again = CliRunner().invoke(cli, ["key", "new", *data], env=environ)
    assert again.exit_code != 0
    assert "not touched" in again.output


@pytest.mark.sshd
def test_without_a_key_the_error_names_it_and_the_new_key_logs_in(
    standin: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From "no key" to a connection: what a user does who has never had one."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    asked = {"ssh_connection": standin.address, "ui_home": str(standin.ui_home)}
    with service_in(tmp_path / "service") as api:
        failed = content(api.post("/ssh/test", asked))
        assert failed["error"] == "no_ssh_key"
        assert failed["unusable_keys"] == []
        named = content(api.post("/ssh/test", {**asked, "ssh_connection": f"{standin.address} -i ~/.ssh/none"}))
        assert named["unusable_keys"] == ["~/.ssh/none: no such file"]
        assert "key new" in failed["hint"]
        line = content(api.post("/ssh-keys"))["ssh_key"]["public_key"]
        assert content(api.post("/ssh/test", asked))["error"] == "authentication_failed"
        with (standin.sshd_log.parent / "authorized_keys").open("a") as authorized:
            authorized.write(line + "\n")
        assert content(api.post("/ssh/test", asked))["success"] is True
