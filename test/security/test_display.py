"""What others wrote is shown on a terminal, never obeyed: by commands, the service's log, curl, the runner by hand."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.cli.program import RUN_FILE
from app.cli.server import logs
from app.protocol.events import Event, Warned, encode
from app.protocol.terminal_text import json_text, many_lines, one_line
from app.runner.standalone import command_line
from app.runner.standalone.progress_lines import lines_of, table
from app.storage.progress_files import ProgressFiles
from bench.hostile.evil import STEERING
from test.cli.scripted_service import Answer, Script, serving
from test.cli.stories import TASK_ID, begun, ended
from test.house.sources import sources
from test.support.terminal import on_a_terminal

_OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[AK]|\r\x1b\[2K|\r+\n|\r(?=$)")
"""What Rich draws with: colours, the cursor's line, and the line ends of a terminal."""
_KEPT = frozenset({"state", "status", "outcome", "task_id", "workflow_id", "next_offset", "kind"})


def poisoned(value: Any, name: str = "") -> Any:
    """A true answer whose every text steers a terminal too."""
    if isinstance(value, str) and name not in _KEPT:
        return f"{value}{STEERING}"
    if isinstance(value, Mapping):
        return {key: poisoned(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each, name) for each in value]
    return value


QUESTION = {
    "id": "q1",
    "code": "existing_pack",
    "text": "Which?",
    "hint": "Look.",
    "answers": [{"answer": "keep", "label": "Keep it"}, {"answer": "replace", "label": "Take the new one"}],
    "default": "keep",
    "answer": None,
    "facts": {"plan": [{"package": "a", "old": "1", "new": "2", "wanted_by": ["b"]}], "shown_sha256": "SHA256:x"},
}
BUILD = {"package": "b", "version": "1", "state": "running", "packs": ["A"], "detail": "[1/2]", "seconds": 1.0}
STEP = {
    "name": "install_custom_nodes",
    "label": "Install",
    "status": "running",
    "message": "m",
    "error": None,
    "seconds": 1.0,
    "tasks": [{"name": "t", "status": "running", "detail": "d", "sub_tasks": [{"name": "s", "status": "running"}]}],
}
KEY = {"name": "k", "key_type": "ed25519", "sha256": "SHA256:x", "path": "/p", "source": "s", "public_key": "ssh x"}
ANSWERS: dict[str, dict[str, Any]] = {
    "/ssh-keys": {
        "ssh_keys": [KEY],
        "ssh_key": {**KEY, "used": False},
        "where_to_paste": [{"provider": "p", "url": "https://x", "place": "here"}],
    },
    "/host-keys": {"host_keys": [{"host": "h", "port": 22, "key_type": "ed25519", "sha256": "SHA256:x"}]},
    "/workflow/start": {"workflow_id": TASK_ID},
    "/workflow/state": {
        "state": "failed",
        "in_progress": False,
        "question": None,
        "error": {"message": "m", "hint": "h"},
        "steps": [{**STEP, "status": "failed", "error": {"message": "bad"}}, STEP],
    },
    f"/tasks/{TASK_ID}/log": {"text": f"one{STEERING}\nover\runder\n", "next_offset": 9, "size": 9, "complete": True},
    f"/tasks/{TASK_ID}/skip": {"build": BUILD},
    f"/tasks/{TASK_ID}/retry": {"task_id": TASK_ID},
    f"/tasks/{TASK_ID}/repair": {"task_id": TASK_ID},
    f"/tasks/{TASK_ID}/wheels": {"wheels": [{"name": f"{STEERING}.whl", "bytes": 1, "sha256": "0" * 64}]},
}


class Liar(Script):
    """A service whose every answer is right in form and steers in its texts."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        status, found = (200, ANSWERS[path]) if path in ANSWERS else super().answer(method, path, body)
        answer: dict[str, Any] = poisoned(found)
        return status, answer


def story(*, asks: bool = False) -> dict[str, Any]:
    """A run in which everything has a text."""
    shown = begun().node("Alpha", "cloning").progress
    return {**shown, "builds": [BUILD], "questions": [QUESTION] if asks else []}


def wholly_read(terminal: Any) -> str:
    """All that a program writes to its terminal, to its end."""
    text = b""
    try:
        while piece := os.read(terminal.fd, 65536):
            text += piece
    except OSError:  # the other end is closed
        pass
    terminal.process.wait(10)
    return text.decode("utf-8", "replace")


def assert_harmless(text: str) -> None:
    """Nothing is left that a terminal would obey, once its own drawing is taken away."""
    for line in _OURS.sub("\n", text).split("\n"):
        assert line.isprintable() or not line.strip("\t").strip(), repr(line)


COMMANDS: dict[str, list[str]] = {
    "tasks list": ["tasks", "list"],
    "tasks show": ["tasks", "show", TASK_ID],
    "tasks show --follow": ["tasks", "show", TASK_ID, "--follow"],
    "tasks show --json": ["tasks", "show", TASK_ID, "--json"],
    "tasks log": ["tasks", "log", TASK_ID],
    "tasks cancel": ["tasks", "cancel", TASK_ID],
    "tasks skip": ["tasks", "skip", TASK_ID, "b"],
    "tasks answer": ["tasks", "answer", TASK_ID],
    "tasks answer WORD": ["tasks", "answer", TASK_ID, f"no{STEERING}".replace("\0", "")],
    "tasks retry": ["tasks", "retry", TASK_ID],
    "wheels list": ["wheels", "list", TASK_ID],
    "wheels export": ["wheels", "export", TASK_ID, "/proc/nowhere/\x1b[2J"],
    "key list": ["key", "list"],
    "key new": ["key", "new"],
    "hostkeys list": ["hostkeys", "list"],
    "a refusal": ["hostkeys", "accept", "ssh root@h", "SHA256:x"],
    "install": ["install", "ssh root@h"],
    "workflow": ["workflow", "ssh root@h"],
    "a wrong flag": ["tasks", "list", "--\x1b[2J"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_hands_a_terminal_what_others_wrote(command: str, tmp_path: Path) -> None:
    """On a real pseudo-terminal, drawn live, as tables, lines, logs and errors: no sequence, control or mark of
    direction of an answer arrives there."""
    asks = command == "tasks answer"
    script = Liar([story(asks=asks), ended("partial").progress])
    environ = {**os.environ, "HOME": str(tmp_path)}
    with serving(script) as url:
        argv = [sys.executable, str(RUN_FILE), *COMMANDS[command], "--server", url]
        with on_a_terminal(argv, environ) as terminal:
            text = wholly_read(terminal)
    assert "Traceback" not in text, text
    assert text.strip(), "it said nothing"
    assert_harmless(text)


def test_a_log_keeps_its_bytes_in_a_file_and_is_readable_in_a_pipe(tmp_path: Path) -> None:
    """`tasks log > file` is the log; `tasks log | less` ends on a terminal."""
    raw = str(ANSWERS[f"/tasks/{TASK_ID}/log"]["text"])
    with serving(_Plain([story()])) as url, (tmp_path / "log").open("w+b") as file:
        command = [sys.executable, str(RUN_FILE), "tasks", "log", TASK_ID, "--server", url]
        subprocess.run(command, stdout=file, check=True, timeout=30)
        piped = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=30)
    assert (tmp_path / "log").read_bytes() == raw.encode()
    assert_harmless(piped.stdout.decode())
    assert "over\nunder\n" in piped.stdout.decode(), "nothing is hidden below a line that was drawn again"


class _Plain(Script):
    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        return 200, ANSWERS[path]


@pytest.mark.parametrize(
    "evil",
    [
        "\x1b[2J",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b]8;;http://evil.invalid\x1b\\x\x1b]8;;\x1b\\",
        "\x9b31m",
        "\x00",
        "\x7f",
        "\x08",
        "\u202e",
        "\u2066",
        "\u200f",
        "\u2028",
        "\U000e0041",
        "\ufeff",
        "\ud800",
    ],
    ids=ascii,
)
def test_whatever_steers_is_gone_from_one_line_from_logs_and_from_json(evil: str) -> None:
    """ANSI, OSC 52, OSC 8, C1, NUL, DEL, bidirectional marks, line separators, tags."""
    text = f"a{evil}b"
    assert one_line(text).isprintable() and one_line(text)[0] + one_line(text)[-1] == "ab"
    assert many_lines(text).isprintable()
    raw = json_text({"x": text})
    assert raw.isascii() and raw.isprintable() and json.loads(raw) == {"x": text}


def test_lines_tabs_and_letters_of_all_scripts_stay_and_a_line_that_is_drawn_again_hides_nothing() -> None:
    assert many_lines("a\tb\r\nüñ中ع\x1b[31m!\x1b[0m\n") == "a\tb\nüñ中ع!\n"
    assert many_lines("rm -rf /\rall is well\n") == "rm -rf /\nall is well\n"
    assert one_line("two\nlines\u00a0here") == "two lines here"


@pytest.fixture
def root_log() -> Iterator[None]:
    """The root logger, as it was before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_of_the_services_log_is_one_line_of_ascii_or_letters(
    form: str, root_log: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also in a traceback and in what is logged beside the message."""
    logs.configure("INFO", form=form)
    try:
        raise ValueError(STEERING)
    except ValueError:
        logging.getLogger("app.x").exception("said %s", STEERING, extra={"more": f"\x7f{STEERING}"})
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.rstrip("\n").isprintable()


def test_a_progress_file_can_be_looked_at_with_cat(tmp_path: Path) -> None:
    ProgressFiles(tmp_path).write(TASK_ID, {"message": STEERING + "\x7f"})
    text = (tmp_path / f"{TASK_ID}.json").read_text("utf-8")
    assert text.isascii() and text.isprintable()


def test_the_standalone_runner_prints_what_packs_say_and_obeys_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of events, the last table, and a list that cannot be."""
    story = begun([f"Al{STEERING}pha"])
    event = Event(Warned(STEERING, STEERING, STEERING), 99, story.now, story.now)
    for text in [*lines_of(event, story.snapshot, story.snapshot), *table(story.progress)]:
        assert text.isprintable(), repr(text)
    with pytest.raises(SystemExit):
        command_line.request_of(["--csv", "/nowhere/\x1b[2J"])
    assert_harmless(capsys.readouterr().err)
    assert encode(event).isascii()


def test_nothing_in_the_command_line_prints_past_the_two_functions_that_clean() -> None:
    """`say` and `console_on` have every way to a terminal; a command that prints by itself would be a hole."""
    owners = ("app/cli/view/say.py", "app/cli/view/console.py")
    banned = re.compile(r"\bclick\.s?echo\(|(?<![\w.])print\(|(?<!\w)Console\(|sys\.std(?:out|err)\.write\(")
    found = [
        f"{source.path}: {match[0]}"
        for source in sources("app/cli")
        if source.path not in owners
        for match in banned.finditer(source.text)
    ]
    assert not found
