"""Ctrl-C while an install is watched: on a terminal it asks, without one it only stops watching."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.cli.program import RUN_FILE
from test.cli.scripted_service import Script, serving
from test.cli.stories import TASK_ID, begun, ended
from test.support import terminal
from test.support.terminal import Terminal
from test.support.waiting import wait_until

COMMAND = [sys.executable, str(RUN_FILE), "install", "ssh -p 1 root@h", "--server"]


@contextmanager
def on_a_terminal(url: str) -> Iterator[Terminal]:
    """`install` on a pseudo-terminal."""
    with terminal.on_a_terminal([*COMMAND, url], os.environ) as opened:
        yield opened


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
    with serving(script) as url, on_a_terminal(url) as screen:
        screen.read_until("cloning")
        screen.process.send_signal(signal.SIGINT)
        screen.read_until("Stop the install on the instance (s), or only stop watching it (w)?")
        screen.type("s\n")
        screen.read_until("Stopped; 0 of 3 node packs are installed.")
        assert screen.process.wait(30) == 130
    assert f"/tasks/{TASK_ID}/cancel" in paths(script)


@pytest.mark.slow
def test_w_stops_only_the_watching_and_says_how_to_look_again() -> None:
    """The instance's install is not touched."""
    script = running()
    with serving(script) as url, on_a_terminal(url) as screen:
        screen.read_until("cloning")
        screen.process.send_signal(signal.SIGINT)
        screen.read_until("(w)?")
        screen.type("w\n")
        screen.read_until(f"tasks show {TASK_ID} --follow --server {url}")
        assert screen.process.wait(30) == 130
    assert f"/tasks/{TASK_ID}/cancel" not in paths(script)


@pytest.mark.slow
def test_ctrl_c_at_the_question_stops_only_the_watching() -> None:
    """Of two ends the one that can be undone."""
    script = running()
    with serving(script) as url, on_a_terminal(url) as screen:
        screen.read_until("cloning")
        screen.process.send_signal(signal.SIGINT)
        screen.read_until("(w)? [w]: ")
        wait_until(lambda: is_asleep(screen.process.pid), what="waiting for the answer")
        screen.process.send_signal(signal.SIGINT)
        screen.read_until("The install goes on.")
        assert screen.process.wait(30) == 130
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
        while b"downloading" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert b"The install goes on." in process.stdout.read()
        assert process.wait(30) == 130
    assert f"/tasks/{TASK_ID}/cancel" not in paths(script)
