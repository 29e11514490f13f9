"""Logging in to a stand-in with the system's ssh, as a user would."""

from __future__ import annotations

import shlex
import subprocess

from app.standin.instance import StandIn

_OPTIONS = (
    "-F",
    "/dev/null",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "BatchMode=yes",
)


def ssh_arguments(standin: StandIn, command: str) -> list[str]:
    """The words of a command line that runs `command` there, the user's own configuration left out."""
    return [*shlex.split(standin.ssh_command), *_OPTIONS, "-o", "LogLevel=ERROR", command]


def run_there(standin: StandIn, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a shell command on the stand-in."""
    return subprocess.run(
        ssh_arguments(standin, command),
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
