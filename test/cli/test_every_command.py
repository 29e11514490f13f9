"""Each command of docs/cli.md: its help, and its example against a service, for a person and for a script."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from app.cli.entry import cli
from app.cli.program import RUN_FILE
from test.cli.scripted_service import Answer, Script, serving
from test.cli.stories import TASK_ID, ended
from test.support.terminal import on_a_terminal
from tools.cli_table import EXAMPLES, every_command

COMMANDS = dict(every_command())
FOR_PEOPLE = {"serve", "worker", "demo", "pyz"}
MOVED = {"database move"}
"""What needs a history and an empty PostgreSQL: test/storage/test_move.py."""
LOCAL = {"config show", "token new", "token list", "token revoke"}
KEY = {"name": "k", "key_type": "ed25519", "sha256": "SHA256:x", "path": "/p", "source": "s", "public_key": "ssh x"}
QUESTION = {"id": "q1", "code": "c", "text": "Which?", "answers": [{"answer": "keep", "label": "Keep"}], "answer": None}
STATE = {"state": "completed", "in_progress": False, "question": None, "error": None, "steps": []}
FLEET = {
    "fleet_id": TASK_ID,
    "in_progress": False,
    "total_instances": 1,
    "kinds": {"ready": 1},
    "needing": 0,
    "summary": {"kind": "ready", "tone": "good", "sentence": "1 machine: all ready"},
    "revision": 3,
    "instances": [],
    "page": {"total": 0, "offset": 0, "limit": 1, "next_offset": None},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "/fleet": {"fleets": [FLEET | {"created_at": "2026-01-01T00:00:00Z", "states": {"completed": 1}}]},
    f"/fleet/{TASK_ID}": FLEET,
    f"/fleet/{TASK_ID}/cancel": {"tasks": [], "left": {"task_not_cancellable": 1}},
    f"/fleet/{TASK_ID}/retry": {"tasks": [], "left": {}},
    "/ssh-keys": {"ssh_keys": [KEY], "ssh_key": {**KEY, "used": True}, "where_to_paste": []},
    "/host-keys": {"host_keys": [{"host": "h", "port": 22, "key_type": "ed25519", "sha256": "SHA256:x"}]},
    "/host-keys/accept": {},
    "/host-keys/ssh6.vast.ai:12345": {},
    "/workflow/start": {"workflow_id": TASK_ID},
    "/workflow/state": STATE,
    f"/tasks/{TASK_ID}/log": {"text": "one\ntwo\n", "next_offset": 8, "size": 8, "complete": True},
    f"/tasks/{TASK_ID}/audit": {"commands": [], "total": 0, "left_out": 0},
    f"/tasks/{TASK_ID}/lock": {"file_name": "x", "text": "#!/bin/bash\n", "line": "curl ADDRESS | bash", "told": []},
    f"/tasks/{TASK_ID}/skip": {"build": {"package": "flash-attn", "packs": []}},
    f"/tasks/{TASK_ID}/answer": {"question": QUESTION},
    f"/tasks/{TASK_ID}/retry": {"task_id": TASK_ID},
    f"/tasks/{TASK_ID}/repair": {"task_id": TASK_ID},
    f"/tasks/{TASK_ID}/wheels": {"wheels": []},
}


class Service(Script):
    """One that has an answer for each command."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        return (200, {"success": True, **ANSWERS[path]}) if path in ANSWERS else super().answer(method, path, body)


def words_of(command: str, folder: Path) -> list[str]:
    """The example's words, with an ID that there is and files that are there."""
    (folder / "my_nodes.csv").write_text("Name,RepoUrl,Subfolder,RequirementsFile\na,https://github.com/a/a,,\n")
    words = shlex.split(EXAMPLES[command])
    return [
        {
            "ID": TASK_ID,
            "my_nodes.csv": str(folder / "my_nodes.csv"),
            "wheels": str(folder / "wheels"),
            "start.sh": str(folder / "start.sh"),
        }.get(word, word)
        if number
        else word
        for number, word in enumerate(words)
    ]


def run_example(command: str, folder: Path, *more: str, polls: list[dict[str, Any]] | None = None) -> Result:
    """The example against a service that answers it."""
    environ = {"NODEFERRY_DATA_DIR": str(folder / "data"), "HOME": str(folder)}
    last = ended("all").progress
    asking = {**last, "questions": [QUESTION]} if command == "tasks answer" else last
    with serving(Service(polls or [asking])) as url:
        where = [] if command in LOCAL else ["--server", url]
        if command == "token revoke":
            CliRunner().invoke(cli, ["token", "new", "--name", "phone"], env=environ)
        if command == "token new":
            CliRunner().invoke(cli, ["token", "revoke", "phone"], env=environ)
        return CliRunner().invoke(cli, [*words_of(command, folder), *where, *more], env=environ)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_its_help_fits_80_columns_and_says_how_it_ends(command: str) -> None:
    """With the flags of every command, and an example in docs/cli.md."""
    done = CliRunner().invoke(cli, [*command.split(), "--help"], terminal_width=80)
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if len(line) > 80] == []
    assert "Exit status" in " ".join(done.output.split())
    assert ("--json" in done.output) == (command not in FOR_PEOPLE)
    assert EXAMPLES[command].startswith(command)


def test_no_example_is_of_a_command_that_there_is_not() -> None:
    """The table is made of both."""
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - FOR_PEOPLE - MOVED))
def test_its_example_works_and_is_one_document_for_a_script(command: str, tmp_path: Path) -> None:
    """The same four fields, whatever the command; for a person the same without."""
    shown = run_example(command, tmp_path)
    assert shown.exit_code == 0, shown.output
    done = run_example(command, tmp_path, "--json")
    document = json.loads(done.stdout)
    assert list(document) == ["ok", "exit_status", "data", "error"]
    assert (document["ok"], document["exit_status"], document["error"]) == (True, 0, None), done.output


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["tasks", "list", "--bogus", "--json"], 2, "usage"),
        (["no-such-command", "--json"], 2, "usage"),
        (["install", "--json"], 2, "usage"),
        (["tasks", "list", "--server", "http://127.0.0.1:9", "--json"], 1, "service_unreachable"),
        (["token", "revoke", "nobody", "--json"], 1, "refused"),
    ],
)
def test_a_failure_is_the_same_document(words: list[str], status: int, code: str, tmp_path: Path) -> None:
    """A script that parses stdout never meets anything else, and a wrong flag is no exception."""
    done = CliRunner().invoke(cli, words, env={"NODEFERRY_DATA_DIR": str(tmp_path / "data")})
    document = json.loads(done.stdout)
    assert (done.exit_code, document["exit_status"], document["ok"]) == (status, status, False)
    assert list(document["error"]) == ["code", "message", "hint", "field"]
    assert document["error"]["code"] == code and document["error"]["message"]


@pytest.mark.parametrize("command", ["install", "tasks show --follow"])
@pytest.mark.parametrize(
    ("outcome", "require", "status"),
    [
        ("all", None, 0),
        ("all", "all", 0),
        ("partial", None, 3),
        ("partial", "any", 0),
        ("partial", "all", 1),
        ("none", "any", 1),
        ("cancelled", "any", 130),
    ],
)
def test_what_is_required_decides_the_exit_status(
    command: str, outcome: str, require: str | None, status: int, tmp_path: Path
) -> None:
    """For scripts that know only good and bad; the same for who started an install and who watches it."""
    name, *follow = command.split(" --")
    more = [f"--{word}" for word in follow] + (["--require", require] if require else [])
    done = run_example(name, tmp_path, "--json", *more, polls=[ended(outcome).progress])
    document = json.loads(done.stdout)
    assert (done.exit_code, document["exit_status"], document["ok"]) == (status, status, status == 0)
    assert (document["error"] is None) == (status == 0)


def test_quiet_is_silent_but_for_what_went_wrong(tmp_path: Path) -> None:
    """A list is what was asked for; a run that ended badly says its sentence."""
    good = run_example("install", tmp_path, "--quiet")
    assert (good.exit_code, good.output) == (0, "")
    bad = run_example("install", tmp_path, "-q", polls=[ended("partial").progress])
    assert (bad.exit_code, bad.stdout) == (3, "")
    assert len(bad.stderr.splitlines()) == 1
    assert TASK_ID in run_example("tasks list", tmp_path, "--quiet").stdout


def test_the_version_is_one_line() -> None:
    """And no command has to be named for it."""
    done = CliRunner().invoke(cli, ["--version"])
    assert (done.exit_code, done.output) == (0, "nodeferry 0.1.0\n")


def test_no_color_takes_the_colours_away(tmp_path: Path) -> None:
    """On a terminal too; what is drawn stays."""
    with serving(Service([ended("partial").progress])) as url:
        argv = [sys.executable, str(RUN_FILE), "tasks", "show", TASK_ID, "--server", url]
        environ = {**os.environ, "HOME": str(tmp_path), "NO_COLOR": "1"}
        with on_a_terminal(argv, environ) as terminal:
            terminal.read_until("node packs are installed")
            text = terminal.text
    assert "Alpha" in text and "\x1b[3" not in text and "\x1b[9" not in text


def test_outside_its_environment_it_says_how_to_start(tmp_path: Path) -> None:
    """No traceback: the packages are not there, and the command that works is."""
    done = subprocess.run(
        [sys.executable, "-S", str(RUN_FILE), "tasks", "list"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        timeout=30,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("Nodeferry does not start: the package ")
    assert done.stderr.rstrip().endswith("run.py tasks list")


def test_every_command_is_a_click_command() -> None:
    """Groups hold others and have no flags of their own."""
    assert not [name for name, command in COMMANDS.items() if isinstance(command, click.Group)]
