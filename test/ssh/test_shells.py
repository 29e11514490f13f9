"""Accounts with other login shells than bash, with talkative ones, and machines with a Dropbear server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.standin.dropbear import DropbearServer
from app.standin.errors import StandInUnavailable
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, make_pack
from test.api.client import Api, content, service_in
from test.conftest import StandInFactory
from test.remote.conftest import make_key

pytestmark = pytest.mark.sshd
_TALK = {
    "bash": (".bashrc", "echo 'Welcome to the machine'; printf '\\033[1mmotd\\033[0m no line break'"),
    "dash": (".profile", "echo x"),
    "zsh": (".zshenv", "echo 'Welcome'; setopt nomatch"),
    "tcsh": (".tcshrc", "echo 'Welcome to tcsh'; alias ls 'ls -F'; set backslash_quote"),
    "fish": (".config/fish/config.fish", "echo 'Welcome to fish, the friendly interactive shell'"),
}


@pytest.mark.slow
def test_the_login_shell_does_not_matter(
    standin: StandIn, git_server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each shell, with a start-up file that prints: the machine is looked at, the runner is sent and answers."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    missing = [shell for shell in _TALK if shutil.which(shell) is None]
    with service_in(tmp_path / "service", allowed_git_schemes=("http", "https")) as api:
        for shell, (name, text) in _TALK.items():
            if shell in missing:
                continue
            (standin.home / name).parent.mkdir(parents=True, exist_ok=True)
            (standin.home / name).write_text(text + "\n")
            standin.use_shell(Path(str(shutil.which(shell))))
            shutil.rmtree(standin.home / ".local", ignore_errors=True)  # so that the runner is sent each time
            _looked_at(api, standin.ssh_command, standin.ui_home)
        _installed(api, standin, make_pack(git_server, "Owner", "ComfyUI-Pack"))
    if missing:
        pytest.skip(f"played all but {', '.join(missing)} (`make system-deps`)")


def _looked_at(api: Api, ssh_command: str, ui_home: Path) -> None:
    found = content(api.post("/ssh/test", {"ssh_connection": ssh_command, "ui_home": str(ui_home)}))
    assert found["success"] is True, found
    assert found["ui_home"] == str(ui_home)


def _installed(api: Api, standin: StandIn, pack: Pack) -> None:
    """A whole run under tcsh."""
    standin.use_shell(Path(shutil.which("tcsh") or "/bin/sh"))
    nodes = [{"name": pack.name, "repo_url": f"https://github.com/Owner/{pack.name}"}]
    task_id = api.start(standin.ssh_command, ui_home=str(standin.ui_home), manifest={"nodes": nodes})
    ended = api.ended(task_id)["progress"]
    assert ended["outcome"] == "all", ended
    assert (standin.custom_nodes / pack.name / "__init__.py").is_file()


def test_a_dropbear_server_will_do(
    standin_factory: StandInFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows no `rsa-sha2-512` and has no SFTP: keys of each kind log in, and the runner answers."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    try:
        server = DropbearServer(tmp_path / "dropbear", tmp_path / "dropbear-home")
    except StandInUnavailable as exc:
        pytest.skip(f"{exc} (`make system-deps`)")
    standin = standin_factory()
    with server, service_in(tmp_path / "service") as api:
        _looked_at(api, server.ssh_command, standin.ui_home)
        for kind in ("rsa", "ecdsa"):
            key = make_key(tmp_path / kind, kind)
            server.authorize(key)
            _looked_at(api, server.ssh_command.replace(str(server.client_key), str(key)), standin.ui_home)
