"""`install` on a real sshd, through a service that it starts for the time being."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.program import RUN_FILE
from app.cli.server.service_lock import running_service
from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import PackSource, make_pack

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as sshd wants it."""
    with tempfile.TemporaryDirectory(prefix="nf-install-") as path:
        yield Path(path)


@pytest.fixture
def server(folder: Path) -> Iterator[GitServer]:
    """A git server."""
    with GitServer(folder / "git") as server:
        yield server


@pytest.fixture
def instance(folder: Path) -> Iterator[StandIn]:
    """An instance."""
    with StandIn(folder / "instance", with_pip=False) as instance:
        yield instance


def command(*arguments: str) -> list[str]:
    """The program with arguments."""
    return [sys.executable, str(RUN_FILE), *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Of a user who has nothing."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("NODEFERRY_", "XDG_"))}
    (folder / "home").mkdir(exist_ok=True)
    return kept | {"HOME": str(folder / "home"), "NODEFERRY_ALLOWED_GIT_SCHEMES": "https,http"}


def test_it_works_without_a_service(folder: Path, server: GitServer, instance: StandIn) -> None:
    """A good pack and one that does not exist, as they are pasted: status 3, the pack is there, no service is left."""
    good = make_pack(server, "owner", "Good", PackSource())
    urls = ["--url", f"git clone {good.url}/tree/main", "--url", f'"{server.url}/owner/Gone",']
    where = ["--ui-home", str(instance.ui_home), "--data-dir", str(folder / "service"), "--wait-seconds", "0"]
    result = subprocess.run(
        command("install", instance.ssh_command, *urls, *where, "--json"),
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    nodes = {node["name"]: node for node in json.loads(result.stdout)["data"]["nodes"]}
    assert nodes["Good"]["commit"] == good.commit
    assert nodes["Gone"]["error"]["code"] == "repository_not_found"
    assert (instance.custom_nodes / "Good" / "__init__.py").is_file()
    assert running_service(folder / "service") is None


def test_an_interrupted_watcher_can_look_again(folder: Path, server: GitServer, instance: StandIn) -> None:
    """The install goes on on the instance; the next look, by another process, sees its end."""
    pack = make_pack(server, "owner", "Slow", PackSource(payload_bytes=3_000_000))
    server.set_rule("owner/Slow", RepoRule(bytes_per_second=600_000))
    where = ["--ui-home", str(instance.ui_home), "--data-dir", str(folder / "service")]
    with subprocess.Popen(
        command("install", instance.ssh_command, "--url", pack.url, *where),
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Task ")
        while "Slow: downloading" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(30) == 130
    look_again = shlex.split(rest.split("To look again: ")[1])
    assert look_again[:3] == ["python", "run.py", "tasks"]
    again = subprocess.run(
        command(*look_again[2:]),
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "node pack" in again.stdout.splitlines()[-1], again.stdout
