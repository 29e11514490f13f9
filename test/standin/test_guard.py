"""A stand-in goes too when the process that made it dies without stopping it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.standin.processes import processes_at_port, processes_below
from test.support.waiting import wait_until

pytestmark = pytest.mark.sshd

PROGRAM = """
import json, subprocess, sys, threading
from pathlib import Path
from test.standin.ssh_client import run_there
from app.standin.instance import StandIn

with StandIn(Path(sys.argv[1]), with_pip=False) as standin:
    run_there(standin, "nohup setsid sleep 600 >/dev/null 2>&1 </dev/null &")
    print(json.dumps({"port": standin.port}), flush=True)
    if sys.argv[2] == "raise":
        raise RuntimeError("on purpose")
    threading.Event().wait(60)
"""


@pytest.mark.parametrize("end", ["raise", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_when_the_caller_dies(tmp_path: Path, end: str) -> None:
    """By exception, Ctrl-C, TERM or KILL: sshd, a detached process and the folder are gone soon after."""
    root = tmp_path / "standin"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root), end], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as caller:
        assert caller.stdout is not None
        port = json.loads(caller.stdout.readline())["port"]
        if end != "raise":
            caller.send_signal(signal.Signals[end])
        caller.wait(30)
    wait_until(lambda: not root.exists(), timeout=30, what="its folder is gone")
    wait_until(lambda: not processes_below(root), what="what it had started has ended")
    assert not processes_at_port(port, listening=True)
