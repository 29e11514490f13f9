"""Real processes of one service: those that answer, and those that only work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from test.support.service import ROOT, ServiceProcess, first_line, prefixed


class WebProcess(ServiceProcess):
    """`run.py serve` with the role web."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        super().__init__(folder, database_url=url, **{"role": "web", **settings})


class WorkerProcess:
    """`run.py worker`, with a home and a data folder of its own below `folder`; a context manager."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        """`settings`: NODEFERRY_ variables without their prefix, in small letters."""
        self._folder = folder
        words = {"allowed_git_schemes": "https,ssh,http", "node_map_url": "", "registry_url": ""}
        self._words: Mapping[str, str] = {**words, "database_url": url, **settings}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        home = self._folder / "worker-home"
        home.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, "HOME": str(home), **prefixed(self._words)}
        environ.pop("SSH_AUTH_SOCK", None)
        argv = [sys.executable, "run.py", "worker", "--data-dir", str(self._folder / "worker-data")]
        with (self._folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        line = first_line(self._process, 60.0)
        assert line.startswith("A worker on "), f"{line!r}\n{self.log[-3000:]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(signal.SIGTERM)

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return (self._folder / "worker.log").read_text("utf-8", "replace")

    def end(self, number: int) -> None:
        """Sends a signal that ends it, and waits for that."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
