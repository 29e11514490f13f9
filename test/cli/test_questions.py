"""A run's questions on the command line, with a real service and a real instance."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.program import RUN_FILE
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, make_pack
from test.support.manager_copies import put_disabled, put_registry_copy
from test.support.service import ServiceProcess
from test.support.terminal import on_a_terminal

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A running service with an empty data folder."""
    with ServiceProcess(tmp_path) as running:
        yield running


@pytest.fixture
def packs(git_server: GitServer, standin: StandIn) -> list[Pack]:
    """Two packs: Manager has one from the registry, and has disabled the other."""
    made = [make_pack(git_server, "o", name) for name in ("copied", "disabled")]
    put_registry_copy(standin.custom_nodes, "copied")
    put_disabled(standin.custom_nodes, "disabled")
    return made


def command(service: ServiceProcess, *words: str) -> list[str]:
    return [sys.executable, str(RUN_FILE), *words, "--server", service.url]


def install(service: ServiceProcess, standin: StandIn, packs: list[Pack], *words: str) -> list[str]:
    """The command that installs the packs."""
    urls = [word for pack in packs for word in ("--url", pack.url)]
    where = ["--ui-home", str(standin.ui_home), "--no-verify"]
    return command(service, "install", standin.ssh_command, *urls, *where, *words)


def said(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)


def test_a_terminal_asks_and_another_one_may_be_faster(
    service: ServiceProcess, standin: StandIn, packs: list[Pack]
) -> None:
    """The first question is answered where it is asked, after a slip; the second one by `tasks answer`."""
    with on_a_terminal(install(service, standin, packs), os.environ) as screen:
        screen.read_until("Your answer [keep]: ", 60)
        assert "2  replace: Replace by the repository" in screen.text
        [task] = service.get("/tasks")["tasks"]
        screen.type("burn\n")
        screen.read_until("Answer with one of: keep, replace.")
        screen.type("2\n")
        screen.read_until("install_disabled_packs" if "install_disabled_packs" in screen.text else "2  install:", 30)
        listed = said(command(service, "tasks", "answer", task["task_id"]))
        assert "Question q2 (install_disabled_packs):" in listed.stdout
        wrong = said(command(service, "tasks", "answer", task["task_id"], "burn"))
        assert (wrong.returncode, "Answers: keep, install." in wrong.stderr) == (1, True)
        assert said(command(service, "tasks", "answer", task["task_id"], "install")).returncode == 0
        screen.read_until("It was decided meanwhile.", 30)
        screen.read_until("2 of 2 node packs are installed", 60)
        assert screen.process.wait(30) == 0
    assert "The install asks nothing." in said(command(service, "tasks", "answer", task["task_id"])).stdout


def test_a_script_answers_beforehand_and_is_told_what_it_left_open(
    service: ServiceProcess, standin: StandIn, packs: list[Pack]
) -> None:
    """`--answer` names the question by its code; for the other one it says the command."""
    words = install(service, standin, packs, "--answer", "replace_registry_copies=replace")
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("Answer with: "))
        [task_id] = [task["task_id"] for task in service.get("/tasks")["tasks"]]
        assert line.rstrip().endswith(f"tasks answer {task_id} ANSWER --question q2")
        assert said(command(service, "tasks", "answer", task_id, "keep", "--question", "q2")).returncode == 0
        rest = process.stdout.read()
        assert process.wait(60) == 3, rest
    assert "copied: Ready" in rest
    assert "pack_disabled" in rest
    refused = said(install(service, standin, packs, "--answer", "nonsense"))
    assert (refused.returncode, "expected CODE=ANSWER" in refused.stderr) == (1, True)
