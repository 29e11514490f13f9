"""Ctrl-C while an install is watched: on a terminal it asks, without one it only stops watching."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.cli.program import RUN_FILE
from test.cli.scripted_service import Script, serving
from test.cli.stories import TASK_ID, begun, ended
from test.support.waiting import wait_until

COMMAND = [sys.executable, str(RUN_FILE), "install", "ssh -p 1 root@h", "--server"]


@dataclass
class Terminal:
    """A process with its three descriptors on a pseudo-terminal, and what it wrote."""

    process: subprocess.Popen[bytes]
    fd: int
    text: str = ""

    def read_until(self, wanted: str, seconds: float = 15.0) -> None:
        """Read on until `wanted` has been written."""
        deadline = time.monotonic() + seconds
        while wanted not in self.text:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{wanted!r} not within {seconds} s in {self.text!r}"
            self.text += os.read(self.fd, 65536).decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.fd, keys.encode())


@contextmanager
def on_a_terminal(url: str) -> Iterator[Terminal]:
    """`install` on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    command = [*COMMAND, url]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
    os.close(ours)


def is_asleep(pid: int) -> bool:
    """Whether the process waits for something, see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "S"


def running() -> Script:
    """An install that goes on until it is cancelled."""
    return Script([begun().node("Alpha", "cloning").progress], after_cancel=[ended("cancelled").progress])


def paths(script: Script) -> list[str]:
    """What the service was asked for."""
    return [path for _method, path, _body, _authorization in script.seen]


def test_s_stops_the_install_on_the_instance_and_waits_for_its_end() -> None:
    """The exit status is that of an interrupted install."""
    script = running()
    with serving(script) as url, on_a_terminal(url) as terminal:
        terminal.read_until("cloning")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until("Stop the install on the instance (s), or only stop watching it (w)?")
        terminal.type("s\n")
        terminal.read_until("Cancelled; 0 of 3 node packs are installed.")
        assert terminal.process.wait(30) == 130
    assert f"/tasks/{TASK_ID}/cancel" in paths(script)


@pytest.mark.slow
def test_w_stops_only_the_watching_and_says_how_to_look_again() -> None:
    """The instance's install is not touched."""
    script = running()
    with serving(script) as url, on_a_terminal(url) as terminal:
        terminal.read_until("cloning")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until("(w)?")
        terminal.type("w\n")
        terminal.read_until(f"tasks show {TASK_ID} --follow --server {url}")
        assert terminal.process.wait(30) == 130
    assert f"/tasks/{TASK_ID}/cancel" not in paths(script)


@pytest.mark.slow
def test_ctrl_c_at_the_question_stops_only_the_watching() -> None:
    """Of two ends the one that can be undone."""
    script = running()
    with serving(script) as url, on_a_terminal(url) as terminal:
        terminal.read_until("cloning")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until("(w)? [w]: ")
        wait_until(lambda: is_asleep(terminal.process.pid), what="waiting for the answer")
        terminal.process.send_signal(signal.SIGINT)
        terminal.read_until("The install goes on.")
        assert terminal.process.wait(30) == 130
    assert f"/tasks/{TASK_ID}/cancel" not in paths(script)


@pytest.mark.slow
def test_without_a_terminal_nobody_is_asked() -> None:
    """A script that is interrupted leaves the install running."""
    script = running()
    command = [*COMMAND]
    with (
        serving(script) as url,
        subprocess.Popen([*command, url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        while b"cloning" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert b"The install goes on." in process.stdout.read()
        assert process.wait(30) == 130
    assert f"/tasks/{TASK_ID}/cancel" not in paths(script)
