"""Processes of a stand-in's own: what logs in there sees no others, as on a machine of its own. Linux, as root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from app.standin.errors import StandInUnavailable

_FIRST = "echo; while :; do sleep 3600 & wait; done"
"""Process number 1 there: it waits for whoever has no parent any more."""


class OwnProcesses:
    """A namespace of processes with a /proc of its own; whoever is in it ends with it."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where its first process stands, by which it is found and ended."""
        if os.geteuid() != 0:
            raise StandInUnavailable("Only root can make a namespace of processes.")
        argv = ["unshare", "--pid", "--mount-proc", "--fork", "--kill-child", "sh", "-c", _FIRST]
        self._process = subprocess.Popen(
            argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        [first] = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("ascii").split()
        self.enter = ("nsenter", f"--target={first}", "--mount", "--pid", "--no-fork")
        """In front of a command line: it is still the caller's child, and its own children are in there."""

    def end(self) -> None:
        """It and all that is in it."""
        self._process.kill()
        self._process.communicate()
