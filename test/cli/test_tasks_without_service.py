"""`tasks` without a running service: what gives work to one does the work itself, and stays until it is done."""

from __future__ import annotations

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
from test.cli.test_install_for_real import environment

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, as sshd wants it."""
    with tempfile.TemporaryDirectory(prefix="nf-tasks-") as path:
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


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command to its end, on the same data folder each time."""
    command = [sys.executable, str(RUN_FILE), *words, "--data-dir", str(folder / "service")]
    return subprocess.run(
        command,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_a_retry_is_worked_on(folder: Path, server: GitServer, instance: StandIn) -> None:
    """The pack that failed is there when the command ends, with the exit status of an install."""
    where = ["--ui-home", str(instance.ui_home), "--wait-seconds", "5"]
    words = ["ssh", "-p", str(instance.port), "-i", str(instance.client_key), f"{instance.user}@127.0.0.1"]
    first = run(folder, "install", *words, "--url", f"{server.url}/owner/Late", *where)
    assert first.returncode == 1, first.stderr
    task_id = first.stdout.partition("Task ")[2].split()[0]
    make_pack(server, "owner", "Late", PackSource())
    again = run(folder, "tasks", "retry", task_id[:8])
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.splitlines()[0].endswith(f"retries {task_id}")
    assert "No service is running" in again.stderr and "Late: Ready" in again.stdout
    assert (instance.custom_nodes / "Late" / "__init__.py").is_file()
    assert running_service(folder / "service") is None


def test_a_cancel_reaches_the_instance(folder: Path, server: GitServer, instance: StandIn) -> None:
    """An install whose watcher is gone goes on; `list` says that nobody follows it, and `cancel` stays to its end."""
    pack = make_pack(server, "owner", "Slow", PackSource(payload_bytes=3_000_000))
    server.set_rule("owner/Slow", RepoRule(bytes_per_second=60_000))
    command = [sys.executable, str(RUN_FILE), "install", instance.ssh_command, "--url", pack.url]
    command += ["--ui-home", str(instance.ui_home), "--data-dir", str(folder / "service")]
    with subprocess.Popen(
        command, env=environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("Task "))
        assert any("Slow: downloading" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(30) == 130
    task_id = line.split()[1]
    listed = run(folder, "tasks", "list")
    assert task_id in listed.stdout and f"tasks show {task_id} --follow" in listed.stderr
    cancelled = run(folder, "tasks", "cancel", task_id[:6])
    assert cancelled.returncode == 0, cancelled.stderr
    assert cancelled.stdout.splitlines()[0] == f"{task_id} is cancelling"
    assert "stopped" in cancelled.stdout.splitlines()[-1].lower()
    assert "cancelled" in run(folder, "tasks", "list").stdout
    assert not (instance.custom_nodes / "Slow").exists()
