"""Each command that ran on an instance has a line: when, what, where, as whom, why, and how it ended."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.protocol.audit import MAX_BYTES, RUNNER, AuditLines, read_commands, told_argv
from app.runner.process import audit
from app.runner.process.children import Children, Limits
from app.runner.process.errors import RunCancelled
from app.standin.git_cgi import git_program
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.options.conftest import World
from test.support.package_index import PackageIndex
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until

TASK = "550e8400-e29b-41d4-a716-446655440000"
WAITS = "import pathlib, signal\npathlib.Path('began').touch()\nsignal.pause()\n"
_WRAPPER = """#!/bin/sh
case $(tr '\\0' ' ' </proc/$PPID/cmdline) in
  *.pyz*) {{ printf %s {name}; printf '\\001%s' "$@"; echo; }} >>{notes} ;;
esac
exec {program} "$@"
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where programs on the instance note each start by the runner."""
    return tmp_path_factory.mktemp("seen") / "notes"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, venv_cache: Path, uv_program: Path, seen: Path) -> Iterator[World]:
    """An instance whose git and uv note each start."""
    folder = tmp_path_factory.mktemp("audit")
    programs = folder / "bin"
    programs.mkdir()
    for name, program in (("git", git_program()), ("uv", str(uv_program))):
        (programs / name).write_text(_WRAPPER.format(name=name, notes=seen, program=program))
        (programs / name).chmod(0o755)
    with ExitStack() as opened:
        git = opened.enter_context(GitServer(folder / "git"))
        index = opened.enter_context(PackageIndex(folder / "index"))
        environ = {**os.environ, "UV_DEFAULT_INDEX": index.url, "PIP_CONFIG_FILE": os.devnull}
        how: dict[str, Any] = {"git_base_url": git.url, "environ": environ, "venv_cache": venv_cache, "with_pip": False}
        bashrc = f'export PATH="{programs}:$PATH"\n'
        standin = opened.enter_context(StandIn(folder / "standin", bashrc=bashrc, **how))
        service = opened.enter_context(ServiceProcess(folder, retry_seconds="0.2"))
        yield World(service, standin, git, index)


def commands_of(world: World, task_id: str) -> list[Json]:
    found = world.service.get(f"/tasks/{task_id}/audit", limit=5000)
    assert (found["success"], found["left_out"]) == (True, 0), found
    commands: list[Json] = found["commands"]
    return commands


def runs(argv: list[str]) -> list[str]:
    """A command as a wrapper sees it."""
    words = argv[3:] if argv[0].endswith("/nice") else argv
    return [os.path.basename(words[0]), *words[1:]]


def test_every_command_of_an_install_has_a_line(world: World, seen: Path) -> None:
    """What git and uv saw themselves, the pack's script, and the service's own over SSH."""
    world.index.wheel("audited-tool", "1.0")
    pack = make_pack(world.git, "owner", "audited", requirements="audited-tool\n", install_py="print('hello')\n")
    seen.unlink(missing_ok=True)
    task_id = world.start(pack)
    assert world.service.ended(task_id)["outcome"] == "all"
    wait_until(lambda: world.service.get(f"/tasks/{task_id}/audit")["complete"], timeout=20)
    commands = commands_of(world, task_id)
    saw = sorted(line.split("\x01") for line in seen.read_text().splitlines())
    told = sorted(runs(each["argv"]) for each in commands if each["by"] == "runner")
    assert [each for each in told if each[0] in ("git", "uv")] == [told_argv(each) for each in saw]
    assert {each["task_id"] for each in commands} == {task_id}
    assert all(each["ended"] and each["at"].endswith("Z") and each["user"] for each in commands), commands
    script = next(each for each in commands if each["argv"][-1] == "install.py")
    assert (script["status"], script["ended"]) == (0, "exited")
    assert script["why"] == "install script, for audited"
    assert script["cwd"] == str(world.standin.custom_nodes / "audited")
    whys = [each["why"] for each in commands if each["by"] == "service"]
    assert [why for why in whys if "run" in why] == [
        "look for Python and the runner",
        "upload the runner",
        "start the run, or find it",
        "follow the run",
    ]
    file = next(world.standin.home.glob(f".local/state/nodeferry/**/{task_id}/audit.log"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    printed = CliRunner().invoke(cli, ["tasks", "audit", task_id, "--server", world.service.url])
    assert (printed.exit_code, len(printed.output.splitlines())) == (0, len(commands)), printed.output
    assert ": install script, for audited: " in printed.output and "install.py: exited 0 after" in printed.output
    assert {"git clone, for audited", "resolve packages"} <= {each["why"] for each in commands}


FORGES = """
import glob, json, os, select
logs = glob.glob(os.path.expanduser("~/.local/state/nodeferry/**/audit.log"), recursive=True)
log = max(logs, key=os.path.getmtime)
lines = open(log).read()
forged = "".join(json.dumps({"n": number, "argv": ["harmless"]}) + chr(10) for number in range(1, 100))
HOW
select.select([], [], [], 1.5)
"""
FORGERIES = {
    "adds": "open(log, 'a').write(forged)",
    "removes": "os.truncate(log, 10)",
    "replaces": "os.unlink(log); open(log, 'w').write(forged + lines)",
    "edits": "open(log, 'r+').write(lines.replace('install.py', 'harmless.p'))",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_what_a_script_does_to_the_log_is_told_and_put_back(world: World, how: str) -> None:
    """Also where the service had it already."""
    pack = make_pack(world.git, "owner", f"forger-{how}", install_py=FORGES.replace("HOW", FORGERIES[how]))
    task_id = world.start(pack)
    end = world.service.ended(task_id)
    wait_until(lambda: world.service.get(f"/tasks/{task_id}/audit")["complete"], timeout=20)
    told = [each["argv"] for each in commands_of(world, task_id) if each["by"] == "runner"]
    assert ["harmless"] not in told
    assert [argv[-1] for argv in told].count("install.py") == 1
    assert "audit.log" in next(each["message"] for each in end["warnings"] if each["code"] == "own_files_changed")


def test_a_cancelled_command_is_said_to_be(world: World) -> None:
    pack = make_pack(world.git, "owner", "waits", install_py=WAITS)
    task_id = world.start(pack)
    wait_until((world.standin.custom_nodes / "waits" / "began").exists, timeout=60)
    world.service.post(f"/tasks/{task_id}/cancel", {})
    world.service.ended(task_id)
    wait_until(lambda: world.service.get(f"/tasks/{task_id}/audit")["complete"], timeout=20)
    script = next(each for each in commands_of(world, task_id) if each["argv"][-1] == "install.py")
    assert (script["ended"], script["status"]) == ("cancelled", None)


def test_a_killed_runner_leaves_what_it_ran(world: World) -> None:
    """How its last command ended nobody knows; what the service did then is there."""
    pack = make_pack(world.git, "owner", "killed", install_py=WAITS)
    task_id = world.start(pack)
    wait_until((world.standin.custom_nodes / "killed" / "began").exists, timeout=60)
    runner = next(world.standin.home.glob(f".local/state/nodeferry/**/{task_id}/journal.ndjson"))
    first = json.loads(runner.read_text().splitlines()[0])
    os.kill(int(first["pid"]), signal.SIGKILL)
    assert world.service.ended(task_id)["error"]["code"] == "runner_lost"
    commands = commands_of(world, task_id)
    script = next(each for each in commands if each["argv"][-1] == "install.py")
    assert (script["ended"], script["status"], script["seconds"]) == (None, None, None)
    assert "end what a killed run has left" in [each["why"] for each in commands]


# -- the log by itself -------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """This process's log."""
    audit.open_log(tmp_path / "audit.log", TASK)
    yield tmp_path / "audit.log"
    audit.close_log()


def read(log: Path) -> list[Json]:
    return read_commands(log.read_bytes(), TASK, RUNNER)[0]


def test_a_command_that_never_started_has_a_line(log: Path, tmp_path: Path) -> None:
    children = Children(TASK, tmp_path / "groups", threading.Event())
    with pytest.raises(OSError):
        children.run(["/nowhere/program", "x"], cwd=tmp_path)
    (command,) = read(log)
    assert (command["ended"], command["status"]) == ("did not run: No such file or directory", None)


def test_how_a_command_ended_is_told(log: Path, tmp_path: Path) -> None:
    """By itself, by a signal, by a limit, by a cancel."""
    cancelled = threading.Event()
    children = Children(TASK, tmp_path / "groups", cancelled)
    children.run(["sh", "-c", "exit 7"], cwd=tmp_path)
    children.run(["sh", "-c", "kill -9 $$"], cwd=tmp_path)
    children.run(["sh", "-c", "read x </dev/tty || tail -f /dev/null"], cwd=tmp_path, limits=Limits(total=0.2))
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(RunCancelled):
        children.run(["tail", "-f", "/dev/null"], cwd=tmp_path)
    ends = [(each["ended"], each["status"]) for each in read(log)]
    assert ends == [("exited", 7), ("signal 9", None), ("ended: its limit (total) was over", None), ("cancelled", None)]


def test_no_secret_is_in_it(log: Path, tmp_path: Path) -> None:
    children = Children(TASK, tmp_path / "groups", threading.Event())
    secrets = ["https://user:s3cr3t-pass@host/x", "hf_s3cr3t0123456789abcdef", "Authorization: Bearer s3cr3t-bearer"]
    children.run(["true", *secrets], cwd=tmp_path, environ={"TOKEN": "s3cr3t-environ"})
    for flags in (["--set-civitai-api-token"], ["--user"], ["sshpass", "-p"]):  # a secret in an argument of its own
        children.run(["true", *flags, "me:s3cr3t-flag1", "x"], cwd=tmp_path, environ={})
    text = log.read_text()
    assert "s3cr3t" not in text and "host/x" in text, text


def test_a_hundred_thousand_commands_are_bounded(log: Path) -> None:
    """The first ones are kept, and how many are not."""
    for number in range(100_000):
        audit.begin(["git", "fetch", str(number), "x" * 1000], "/somewhere").end(0)
    audit.close_log()
    commands, left_out = read_commands(log.read_bytes(), TASK, RUNNER)
    assert log.stat().st_size < MAX_BYTES + 400_000
    assert len(commands) + left_out == 100_000 and len(commands) > 1000
    assert all(each["ended"] == "exited" for each in commands)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xfe\n[]\n1\n{}\n",
        b'{"n": true, "argv": []}\n{"n": -1, "argv": []}\n{"n": 1e400, "argv": []}',
        b'{"n": 1, "argv": {"a": 1}, "at": NaN, "cwd": ["x"], "user": "\\u202e\\u001b]52;c;eA==\\u0007"}\n' * 2,
        b"[" * 100_000,
        b'{"n": 1, "argv": ["' + b"x" * 1_000_000 + b'"]}\n{"n": 1, "ended": 5, "status": 1e999, "seconds": "x"}',
    ],
    ids=["noise", "numbers", "types", "nesting", "long"],
)
def test_an_instance_that_lies_in_its_log_harms_nobody(raw: bytes) -> None:
    commands, _ = read_commands(raw, TASK, RUNNER)
    text = json.dumps(commands, allow_nan=False)
    assert len(text) < 5000 and "\\u001b" not in text and "\\u202e" not in text
    assert {each["by"] for each in commands} <= {RUNNER}


def test_a_service_that_is_started_again_goes_on_counting() -> None:
    before = AuditLines(TASK, "service")
    _, line = before.begin(["a"], at=0.0, cwd="~", user="root", why="one")
    after = AuditLines(TASK, "service", len(line or b""))
    _, second = after.begin(["b"], at=0.0, cwd="~", user="root", why="two")
    commands, _ = read_commands((line or b"") + (second or b""), TASK, "service")
    assert [each["argv"] for each in commands] == [["a"], ["b"]]
