"""The guard: a small process that clears a stand-in away if the process that made it dies without doing so.

It waits on a pipe. `done` on it means that all is well; its end without that means that the maker was killed.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from app.standin import privsep
from app.standin.teardown import Leftovers, tear_down

_PROJECT = Path(__file__).resolve().parents[2]
# Neither site-packages nor the caller's Python variables: a guard starts in some 20 ms.
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from app.standin.guard import watch; watch()"
_DONE = b"done\n"


@dataclass
class Guard:
    """The maker's end of a running guard."""

    process: subprocess.Popen[bytes]

    @classmethod
    def post(cls, leftovers: Leftovers, privsep_lease: int | None) -> Guard:
        """Start a guard over `traces`; it shares the lease, so that the lock outlives the maker."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_PROJECT)],
            stdin=subprocess.PIPE,
            cwd="/",
            pass_fds=() if privsep_lease is None else (privsep_lease,),
            start_new_session=True,  # Ctrl-C in the maker's terminal is not for the guard
        )
        assert process.stdin is not None
        commands = {
            "root": str(leftovers.root),
            "port": leftovers.port,
            "keep_files": leftovers.keep_files,
            "lease": privsep_lease,
        }
        process.stdin.write(json.dumps(commands).encode() + b"\n")
        process.stdin.flush()
        return cls(process)

    def dismiss(self, timeout: float = 10.0) -> None:
        """Tell the guard that there is nothing left to do, and wait for its end."""
        try:
            self.process.communicate(_DONE, timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def watch() -> None:
    """The guard's life: wait for the pipe's end, then clear away unless told that it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    commands = json.loads(sys.stdin.buffer.readline())
    if sys.stdin.buffer.readline() == _DONE:
        return
    leftovers = Leftovers(Path(commands["root"]), commands["port"], commands["keep_files"])
    tear_down(leftovers)
    privsep.release(commands["lease"])
