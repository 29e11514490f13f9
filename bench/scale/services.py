"""The service that is measured: one process on SQLite, or several that share a PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from app.protocol.states import TERMINAL_TASK_STATES
from app.standin.postgresql import PostgreSQL
from bench.scale.gauges import family
from test.support.service import ROOT, ServiceProcess

_ENDED = ", ".join(f"'{state.value}'" for state in TERMINAL_TASK_STATES)
_UNFINISHED = f"SELECT count(*) FROM installs WHERE state NOT IN ({_ENDED})"
_LEFT_IN_QUEUE = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
_CONNECT_SECONDS = 30.0
_END_SECONDS = 120.0


class Services:
    """A context manager: a service with a home, a key and a database of its own below `folder`."""

    def __init__(self, folder: Path, engine: str, installs: int, roles: Sequence[str], tree: Path = ROOT) -> None:
        """`engine`: embedded or postgresql; `roles`: of its processes, with postgresql; `tree`: the checkout whose
        `run.py` it is."""
        self._folder = folder
        self._tree = tree
        self._engine = engine
        self._roles = list(roles) if engine == "postgresql" else ["all"]
        self._settings = {
            "max_running": str(max(32, installs)),
            "max_waiting": str(max(1000, 2 * installs)),
            "connect_timeout_seconds": f"{_CONNECT_SECONDS:g}",
            "reconnect_seconds": "120",
        }
        self._stack = ExitStack()
        self._processes: list[ServiceProcess] = []
        self.pids: list[int] = []
        """Of its own processes, while they run."""
        self._postgresql: PostgreSQL | None = None
        self._url = ""
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id_ed25519"], check=True)
        self.public_key = folder / "id_ed25519.pub"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            settings = {**self._settings, "ssh_key_files": str(self._folder / "id_ed25519")}
            if self._engine == "postgresql":
                self._postgresql = stack.enter_context(PostgreSQL())
                self._url = self._postgresql.create("scale")
                settings["database_url"] = self._url
            for number, role in enumerate(self._roles):
                words: dict[str, Any] = settings | ({"role": role} if self._engine == "postgresql" else {})
                process = ServiceProcess(self._folder / f"{number}", tree=self._tree, **words)
                self._processes.append(stack.enter_context(process))
            self._stack = stack.pop_all()
        self.pids = [process.pid for process in self._processes]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def urls(self) -> list[str]:
        """Where it answers."""
        return [each.url for each, role in zip(self._processes, self._roles, strict=True) if role != "worker"]

    def end(self, number: int) -> None:
        """Ends its processes by a signal, all at once, and waits for that."""
        pids, self.pids = self.pids, []
        for pid in pids:
            os.kill(pid, number)
        for process in self._processes:
            process.wait(_END_SECONDS)

    def start(self) -> None:
        """Starts them again, where they answered before."""
        for process in self._processes:
            process.start(urlsplit(process.url).port or 0)
        self.pids = [process.pid for process in self._processes]

    @property
    def database_pids(self) -> list[int]:
        """Of PostgreSQL's."""
        return family(self._postgresql.pid) if self._postgresql is not None and self._postgresql.pid else []

    def left(self) -> dict[str, int]:
        """What nobody should find once all installs have ended: rows and files."""
        files = [path for path in self._files() if path.suffix == ".tmp"]
        if not self._url:
            path = self._processes[0].data_dir / "nodeferry.db"
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                return {"unfinished": database.execute(_UNFINISHED).fetchone()[0], "files": len(files)}
        import psycopg

        with psycopg.connect(self._url.replace("+psycopg", "")) as connection:
            rows = {"unfinished": connection.execute(_UNFINISHED).fetchone()}
            if connection.execute("SELECT to_regclass('procrastinate_jobs')").fetchone() != (None,):
                rows["jobs"] = connection.execute(_LEFT_IN_QUEUE).fetchone()
            return {name: int(row[0]) if row else 0 for name, row in rows.items()} | {"files": len(files)}

    def faults(self) -> list[str]:
        """What its own log says that it should not."""
        found = []
        for process in self._processes:
            if count := process.log.count("Traceback"):
                kept = self._folder.parent / f"service-{process.pid}.log"
                shutil.copy(process.home.parent / "service.log", kept)
                found.append(f"{count} tracebacks in the service's log")
        return found

    def _files(self) -> Iterator[Path]:
        for process in self._processes:
            yield from process.data_dir.rglob("*")
