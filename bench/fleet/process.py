"""The played fleet's process, as a bench or a test uses it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.fleet.script import Play

ROOT = Path(__file__).parents[2]
_END_SECONDS = 10.0


class FleetProcess:
    """A context manager. Its questions may be asked from any thread."""

    def __init__(self, play: Play, *, key: Path | None = None, port: int = 0, net: str = "") -> None:
        """`key`: the public key that gets in; `port`: at each address, 0: a free one; `net`: the first half of the
        addresses, where they are not on loopback."""
        self.play = play
        self.port = port
        self.addresses: list[str] = []
        self._key = key
        self._net = net
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        words = [f"--{name}={value}" for name, value in asdict(self.play).items()]
        words += [f"--port={self.port}", *([f"--key={self._key}"] if self._key else [])]
        words += [f"--net={self._net}"] if self._net else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.fleet", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        first = self._read()
        self.port, self.addresses = first["port"], first["addresses"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        try:
            self._process.communicate(timeout=_END_SECONDS)  # the end of its input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def command(self, number: int) -> str:
        """The SSH command for an instance."""
        return f"ssh -p {self.port} root@{self.addresses[number]}"

    def gauge(self) -> dict[str, Any]:
        """How much it has done and has taken."""
        return self._ask({"ask": "gauge"})

    def truths(self) -> list[dict[str, Any]]:
        """What there is to know of each instance; what its first task has to end as, once that is over."""
        found: list[dict[str, Any]] = self._ask({"ask": "truths"})["truths"]
        return found

    def spans(self) -> list[tuple[int, float, float | None]]:
        """Of each run: on which instance, when it began, and when it ended, by time.monotonic; None while it runs."""
        return [(number, first, last) for number, first, last in self._ask({"ask": "spans"})["spans"]]

    def written(self, numbers: list[int]) -> dict[int, list[float]]:
        """When each event of these instances' first runs was written, by time.monotonic."""
        found = self._ask({"ask": "written", "numbers": numbers})["written"]
        return {int(number): moments for number, moments in found.items()}

    def logs(self, numbers: list[int]) -> dict[int, str]:
        """The run.log of these instances' first runs."""
        found = self._ask({"ask": "logs", "numbers": numbers})["logs"]
        return {int(number): log for number, log in found.items()}

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None and self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the played fleet has ended"
        found: dict[str, Any] = json.loads(line)
        return found
