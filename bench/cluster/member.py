"""One process of a cluster: a web process or a worker, with a folder of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.cli.program import own_command
from app.settings import caller_environment

START_SECONDS = 60.0
CLOSE_SECONDS = 10.0
LAST_LINES = 6
_OURS = ("HOME", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
_UP = re.compile("^(Nodeferry on |A worker on )", re.MULTILINE)
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


class MemberEnded(Exception):
    """A process of the cluster is not there any more, or has never come up; the text says which, and its last lines."""


class Member:
    """`nodeferry serve` or `nodeferry worker` on a shared database. For one thread."""

    def __init__(
        self, name: str, role: str, folder: Path, home: Path, settings: Mapping[str, str], *, within: Sequence[str] = ()
    ) -> None:
        """`home`: where its SSH keys are, the same for all; `settings`: variables without their NODEFERRY_; `within`:
        the words before its command, which run it somewhere else."""
        self.name = name
        self.role = role
        self.url = ""
        self.log = folder / "log"
        self._folder = folder
        self._within = within
        self._environment = caller_environment(_OURS) | {"HOME": str(home)}
        self._environment |= {f"NODEFERRY_{key}": value for key, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of its process, which has been started."""
        assert self._process is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How the process ended; None while it runs, or before it was started."""
        return None if self._process is None else self._process.poll()

    def start(self, port: int = 0) -> None:
        """Starts it; `ready` waits for it. `port`: of its HTTP."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = "worker" if self.role == "worker" else "serve"
        with self.log.open("ab") as log:
            # a session of its own: Ctrl-C in the terminal is for the cluster, which ends its parts in order
            self._process = subprocess.Popen(
                [*self._within, *own_command(), command, "--port", str(port), "--data-dir", str(self._folder / "data")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def ready(self) -> None:
        """Waits until it has said where it answers. Raises MemberEnded."""
        assert self._process is not None and self._process.stdout is not None
        deadline, said = time.monotonic() + START_SECONDS, ""
        while not _UP.search(said):
            left = deadline - time.monotonic()
            came = left > 0 and select.select([self._process.stdout], [], [], left)[0]
            piece = os.read(self._process.stdout.fileno(), 4096) if came else b""
            if not piece:
                raise MemberEnded(f"{self.name} did not start.\n{self.last_lines()}")
            said += piece.decode("utf-8", "replace")
        found = _URL.search(said)
        self.url = found[0] if found else ""

    def check(self) -> None:
        """Raises MemberEnded where it has ended."""
        if self.status is not None:
            raise MemberEnded(f"{self.name} has ended (exit status {self.status}).\n{self.last_lines()}")

    def kill(self) -> None:
        """As a power cut would. `start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def terminate(self) -> None:
        """Asks it to end; `wait` waits for that."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)  # one that a person has stopped hears nothing else
            self._process.terminate()

    def wait(self) -> None:
        """Until it has ended, by force where it takes too long."""
        if self._process is None:
            return
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def last_lines(self) -> str:
        """What it said last."""
        try:
            lines = self.log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
        except FileNotFoundError:
            return ""
        return "\n".join(f"  {line}" for line in lines)

    def _reap(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        self._process.wait(CLOSE_SECONDS)
        self._process.stdout.close()
