"""The process of the hostile instances: `python -m bench.hostile.server RECORDED`.

It is told on its input which tasks there are, a line of JSON each: `{"open": {a script}}` is answered with the port at
which that task's instance listens, `{"close": number}` ends one and is answered with the moment of its last connection,
and whether it has confirmed a cancel. It ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import paramiko

from bench.hostile import below
from bench.hostile.instance import Instance
from bench.hostile.journal import Journal
from bench.hostile.pace import Pace
from bench.hostile.script import Script
from bench.hostile.ssh import Connection

MOST_CONNECTIONS = 40
"""Of one task at a time; what comes besides is closed."""


class Machine:
    """A task's instance: a listener, and a thread for each connection."""

    def __init__(self, script: Script, recorded: list[bytes]) -> None:
        self._script = script
        self._instance = Instance(script, Journal(script, recorded))
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.5)
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.port: int = self._listener.getsockname()[1]
        self.connected_at = 0.0
        """The moment of the last connection, by the clock of all processes of this machine."""
        threading.Thread(target=self._accept, name=f"machine-{script.number}", daemon=True).start()

    @property
    def confirmed(self) -> bool:
        """Whether it has said that it has a cancel."""
        return self._instance.confirmed

    def close(self) -> None:
        """No connection is taken any more, and those that there are end."""
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        number = 0
        while not self._closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connected_at = time.monotonic()
            if not self._places.acquire(blocking=False):
                sock.close()
                continue
            threading.Thread(target=self._serve, args=(sock, number), name="connection", daemon=True).start()
            number += 1

    def _serve(self, sock: socket.socket, number: int) -> None:
        pace = Pace(self._closing)
        lies = self._script.lies(number)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException, ValueError, AttributeError), sock:
            try:
                if lies and self._script.level == "below":
                    below.play(sock, self._script, pace)
                else:
                    before = number < self._script.at
                    Connection(self._script, self._instance, pace, lies=lies, before=before).play(sock)
            finally:
                pace.end()
                self._places.release()


def main() -> int:
    """Until the input ends."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    threading.stack_size(512 * 1024)
    recorded = [line + b"\n" for line in Path(sys.argv[1]).read_bytes().split(b"\n") if line]
    machines: dict[int, Machine] = {}
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if "open" in asked:
            script = Script(**asked["open"])
            machines[script.number] = Machine(script, recorded)
            print(json.dumps({"port": machines[script.number].port}), flush=True)
        else:
            machine = machines.pop(asked["close"])
            machine.close()
            print(json.dumps({"connected_at": machine.connected_at, "confirmed": machine.confirmed}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
