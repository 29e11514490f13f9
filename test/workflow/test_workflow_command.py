"""`run.py workflow`: the same task list in a terminal."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.manager_copies import put_disabled
from test.support.service import ROOT, Json, ServiceProcess
from test.support.terminal import on_a_terminal

pytestmark = [pytest.mark.sshd, pytest.mark.slow]


def _run(service: ServiceProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "run.py", "workflow", *arguments, "--server", service.url]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)


def test_it_works(service: ServiceProcess, standin: StandIn, manifest: Json) -> None:
    """Lines for each step and pack, the missing one's reason, and 3 for a partial end."""
    urls = [word for url in manifest["urls"] for word in ("--url", url)]
    ended = _run(service, standin.ssh_command, "--ui-home", str(standin.ui_home), *urls)
    assert ended.returncode == 3, ended.stderr
    texts = [line.partition("%  ")[2] for line in ended.stdout.splitlines() if "%  " in line]
    assert any(text.startswith("Connect: success") for text in texts)
    times = [line.partition(" ")[0] for line in ended.stdout.splitlines() if "%  " in line]
    assert times == sorted(times)
    assert "light: Ready" in texts
    assert any(text.startswith("gone: Failed: ") for text in texts)
    assert len(texts) == len(set(texts)), sorted(texts)
    assert next(line for line in ended.stdout.splitlines() if line.startswith("light ")).split()[1] == "Ready"
    assert ended.stdout.rstrip().endswith("2 of 3 node packs ready, 1 failed.")


def test_with_json_the_last_state_is_on_stdout(service: ServiceProcess, standin: StandIn) -> None:
    """And nothing else; what cannot be reached is 1."""
    standin.stop_sshd()
    ended = _run(service, standin.ssh_command, "--wait-seconds", "0", "--json")
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    assert document["data"]["error"]["code"] == document["error"]["code"] == "connect_failed"


def test_a_question_is_answered_by_the_command_that_it_names(
    service: ServiceProcess, standin: StandIn, git_server: GitServer
) -> None:
    """A script is told how, and `workflow resume` takes it; each line is written once, however long it asks."""
    pack = make_pack(git_server, "o", "disabled")
    put_disabled(standin.custom_nodes, "disabled")
    words = ["--url", pack.url, "--ui-home", str(standin.ui_home), "--no-verify", "--ask", "ask"]
    argv = [sys.executable, "run.py", "workflow", standin.ssh_command, *words, "--server", service.url]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        said: list[str] = []
        while not said or not said[-1].startswith("Answer with: "):
            said.append(asking.stdout.readline())
            assert said[-1], said
        again = shlex.split(said[-1].partition(" run.py ")[2])
        assert again[:2] == ["workflow", "resume"] and "--answer" in again
        resumed = subprocess.run(
            [sys.executable, "run.py", *(word.replace("=keep", "=install") for word in again)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        said += asking.stdout.readlines()
        assert (resumed.returncode, asking.wait(30)) == (0, 0), resumed.stdout + resumed.stderr + "".join(said)
    texts = [line.partition("%  ")[2] for line in said if "%  " in line]
    assert len(texts) == len(set(texts))
    assert sum("Answer with: " in line for line in said) == 1
    assert said[-1] == resumed.stdout.splitlines(keepends=True)[-1] == "The node pack is ready.\n"


def test_a_person_answers_at_the_terminal(service: ServiceProcess, standin: StandIn) -> None:
    """The plan is shown first; Enter stops, and the outcome is said."""
    words = ["--url", "http://127.0.0.1:9/o/x", "--ui-home", str(standin.ui_home), "--review-plan", "always"]
    argv = [sys.executable, str(ROOT / "run.py"), "workflow", standin.ssh_command, *words, "--server", service.url]
    with on_a_terminal(argv, os.environ, columns=80) as screen:
        screen.read_until("Your answer [stop]: ", 60)
        assert "stop: Stop the workflow [default]" in screen.text
        screen.type("\n")
        screen.read_to_end()
        assert screen.process.wait(30) == 130
    assert "Stopped before anything was changed." in screen.text


def test_the_help_offers_nothing_that_is_refused(service: ServiceProcess) -> None:
    """What is for `install` alone is not in the list."""
    offered = _run(service, "--help").stdout
    assert "--review-plan" in offered and "resume" in offered
    assert [flag for flag in ("--plan-only", "--build-for-plan", "--require") if flag in offered] == []


def test_an_option_that_is_not_for_workflows_is_refused(service: ServiceProcess) -> None:
    """With what to do instead."""
    ended = _run(service, "root@127.0.0.1", "--plan-only")
    assert (ended.returncode, "--review-plan" in ended.stderr) == (1, True)
