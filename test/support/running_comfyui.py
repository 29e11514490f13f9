"""A ComfyUI that runs on a stand-in, as somebody started it there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from app.runner.machine.comfyui_processes import running_comfyuis
from app.standin.instance import StandIn
from test.support.waiting import wait_until


def pids(standin: StandIn) -> list[int]:
    """Of the ComfyUIs that run there."""
    return [process.pid for process in running_comfyuis() if process.folder == standin.ui_home.resolve()]


def answers(url: str) -> bool:
    """Whether a ComfyUI answers at this address."""
    try:
        return requests.get(url + "system_stats", timeout=5).ok
    except requests.RequestException:
        return False


@contextmanager
def running_comfyui(standin: StandIn) -> Iterator[int]:
    """Its port, for the block; whatever runs there afterwards is ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    argv = ["venv/bin/python", "main.py", "--cpu", "--port", str(number)]
    first = subprocess.Popen(argv, cwd=standin.ui_home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{number}/"), 30, "ComfyUI answers")
        yield number
    finally:
        for pid in pids(standin):
            os.kill(pid, signal.SIGKILL)
        first.wait(10)
