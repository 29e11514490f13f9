"""What the command line shows at 80 columns, recorded on a real terminal: `python -m tools.cli_recording`.

Writes docs/cli-recording.md. The service is a real one; the machine that it installs on is played.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from test.support.screen import Screen
from test.support.service import ROOT
from test.support.stage import Scenario, Stage, scenario
from test.support.stage.machine import Machine
from test.support.terminal import on_a_terminal

PLACE = ROOT / "docs" / "cli-recording.md"
COLUMNS, ROWS = 80, 24
_PORT, _ID = "31822", "550e8400-e29b-41d4-a716-446655440000"
_PERCENT = re.compile(r"(\d+) %(?:\x1b\[[0-9;]*m)*  (?:\x1b\[[0-9;]*m)*\d\d:\d\d")
_HEAD = """# The command line, recorded

What a terminal of 80 columns and 24 lines shows, made with `python -m tools.cli_recording`: a real service and a real
terminal; the machine that is installed on is played. Each block is what stands on the screen at that moment. While an
install goes on its picture is drawn in place, and is gone at the end; the table stays.
"""


@dataclass(slots=True)
class Recorder:
    """Runs commands on a terminal, and keeps what stands there."""

    stage: Stage
    folder: Path
    lines: list[str] = field(default_factory=list)

    def chapter(self, title: str, said: str) -> None:
        """A new part of the recording."""
        self.lines += ["", f"## {title}", "", said]

    def command(self, words: Sequence[str], *steps: tuple[str, str, str]) -> None:
        """Runs a command to its end. `steps`: a caption, what is waited for, and what is typed then."""
        self.lines += ["", "```console", f"$ run.py {' '.join(words)}", "```"]
        argv = [sys.executable, str(ROOT / "run.py"), *map(self._real, words), "--server", self.stage.url]
        environ = os.environ  # noqa: TID251 - for a program of its own
        with on_a_terminal(argv, environ, columns=COLUMNS, lines=ROWS) as terminal:
            for caption, wanted, typed in steps:
                terminal.read_while(_until(wanted), 180.0, wanted)
                self._frame(caption, Screen(COLUMNS, ROWS).feed(terminal.text), ROWS)
                terminal.type(typed)
            terminal.read_to_end(180)
            status = terminal.process.wait(30)
        self._frame(f"At the end, exit status {status}:", Screen(COLUMNS, ROWS).feed(terminal.text))

    def _real(self, text: str) -> str:
        return text.strip("'\"").replace(_PORT, str(self._port)).replace("packs.json", str(self.folder / "packs.json"))

    def _frame(self, caption: str, screen: Screen, rows: int = 0) -> None:
        """`rows`: how many are seen; 0: the scrollback too."""
        text = "\n".join(screen.text[-rows:]).replace(str(self._port), _PORT)
        text = re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", _ID, text)
        self.lines += ["", caption, "", "```text", *text.splitlines(), "```"]

    @property
    def _port(self) -> int:
        return self.stage.machine("ssh6.vast.ai").server.port


def _until(wanted: str) -> Callable[[str], bool]:
    """Whether something is still to come: a text, or `40 %` of the bar."""
    percent = int(wanted[:-2]) if wanted.endswith(" %") else None
    if percent is None:
        return lambda text: wanted not in text
    return lambda text: max(map(int, _PERCENT.findall(text)), default=0) < percent


def main() -> None:
    """All chapters, into the file."""
    with tempfile.TemporaryDirectory(prefix="nf-rec-") as folder, Stage(Path(folder)) as stage:
        recorder, machine = Recorder(stage, Path(folder)), stage.machine("ssh6.vast.ai")
        for part in (_install, _tasks, _plan, _workflow):
            part(recorder, machine)
        PLACE.write_text("\n".join([_HEAD.rstrip(), *recorder.lines, ""]), "utf-8")
    Console().print(f"{PLACE.name}: {len(recorder.lines)} lines")


def _prepare(recorder: Recorder, machine: Machine, played: Scenario) -> list[str]:
    """The next run is this one; the words that ask for it."""
    (recorder.folder / "packs.json").write_text(json.dumps(played.manifest()), "utf-8")
    machine.prepare(played, 1.0)
    return [f'"ssh -p {_PORT} root@ssh6.vast.ai"', "--nodes", "packs.json"]


def _install(recorder: Recorder, machine: Machine) -> None:
    recorder.chapter("install", "20 node packs, of which one has no repository, and one cannot be loaded by ComfyUI.")
    words = _prepare(recorder, machine, scenario(20, failed=2))
    recorder.command(
        ["install", *words],
        ("While it downloads:", "30 %", ""),
        ("While it installs:", "60 %", ""),
        ("While it checks:", "95 %", ""),
    )


def _tasks(recorder: Recorder, _machine: Machine) -> None:
    recorder.chapter("tasks", "What has been installed, and how it went.")
    recorder.command(["tasks", "list"])


def _plan(recorder: Recorder, machine: Machine) -> None:
    recorder.chapter("install --plan-only", "What would be done, and nothing else.")
    words = _prepare(recorder, machine, scenario(6, plan_only=True, kept=2))
    recorder.command(["install", *words, "--plan-only"])


def _workflow(recorder: Recorder, machine: Machine) -> None:
    recorder.chapter(
        "workflow", "It tests the connection first. Another machine has the address now, and a question stands at once."
    )
    machine.change_key()
    words = _prepare(recorder, machine, scenario(8, problem=1))
    recorder.command(
        ["workflow", *words],
        ("It asks:", "Your answer [stop]: ", "1\n"),
        ("Then it goes on:", "40 %", ""),
    )


if __name__ == "__main__":
    main()
