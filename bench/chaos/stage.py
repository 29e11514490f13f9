"""Where a run is played: an instance and a service of their own, each on a small disk, and one manifest for all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from app.protocol.events import Event, RunStarted, decode
from app.standin.git_rules import MISSING, RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.service import ServiceProcess

INSTANCE_DISK = "64m"
SERVICE_DISK = "96m"
_PIECES = (1 << 20, 1 << 12, 1)
_SCRIPT = "import threading\nthreading.Event().wait(0.3)\nopen('made.txt', 'w').write('once')\n"
_CLOCK = '[ -f "$HOME/.clock" ] && . "$HOME/.clock"\n'


class Disk:
    """A folder on a small file system of its own, which can be filled. Without root it is a plain folder."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        self.is_small = os.geteuid() == 0
        self._size = size
        self._filler = folder / "filler"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        if self.is_small:
            _command("mount", "-t", "tmpfs", "-o", f"size={self._size}", "nodeferry-chaos", str(self.folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.is_small:
            _command("umount", "-l", str(self.folder))

    @contextmanager
    def full(self) -> Iterator[None]:
        """No byte is left for the block."""
        if not self.is_small:
            raise AssertionError("a folder that others use is not to be filled")
        try:
            with self._filler.open("wb", buffering=0) as file:
                for size in _PIECES:
                    _write_until_full(file.fileno(), bytes(size))
            yield
        finally:
            self._filler.unlink(missing_ok=True)


class Stage:
    """An instance and a service, for one run after the other. A context manager, for one thread."""

    def __init__(self, folder: Path, git: GitServer, manifest: dict[str, Any], database_url: str = "") -> None:
        """`database_url`: of an empty PostgreSQL; else the service has SQLite."""
        self._url = database_url
        self.manifest = manifest
        self.instance_disk = Disk(folder / "instance", INSTANCE_DISK)
        self.service_disk = Disk(folder / "service", SERVICE_DISK)
        self.standin = StandIn(
            self.instance_disk.folder / "machine",
            git_base_url=git.url,
            with_pip=False,
            environ=os.environ,
            bashrc=_CLOCK,
        )
        self._stack = ExitStack()
        self._service: ServiceProcess | None = None
        self.restarts = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.instance_disk)
            stack.enter_context(self.service_disk)
            stack.enter_context(self.standin)
            self._service = stack.enter_context(self._new_service())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def service(self) -> ServiceProcess:
        """The service."""
        assert self._service is not None
        return self._service

    def _new_service(self) -> ServiceProcess:
        folder = self.service_disk.folder
        return ServiceProcess(folder, database_url=self._url) if self._url else ServiceProcess(folder)

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """A connection of another program to the service's database, which commits each statement."""
        url = self._url or f"sqlite:///{self.service.data_dir / 'nodeferry.db'}"
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection

    def state_of(self, task_id: str) -> Path:
        """The runner's folder of a task."""
        return self.standin.home / ".local/state/nodeferry" / task_id

    def journal(self, task_id: str) -> tuple[list[Event], int]:
        """The whole lines of a task's journal, and their bytes; none where it never began."""
        try:
            raw = (self.state_of(task_id) / "journal.ndjson").read_bytes()
        except FileNotFoundError:
            return [], 0
        whole = raw[: raw.rfind(b"\n") + 1]
        return [decode(line) for line in whole.split(b"\n")[:-1]], len(whole)

    def runner(self, task_id: str) -> int | None:
        """The runner's pid; None before it is there, and after its end."""
        events, _ = self.journal(task_id)
        pid = events[0].body.pid if events and isinstance(events[0].body, RunStarted) else None
        words = _words(pid) if pid else []
        return pid if task_id in words and "start" in words else None

    def clear(self, *task_ids: str) -> None:
        """The instance as before its first run."""
        for path in self.standin.custom_nodes.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        for task_id in task_ids:
            shutil.rmtree(self.state_of(task_id), ignore_errors=True)
            Path(f"/tmp/custom_nodes_progress_{task_id}.json").unlink(missing_ok=True)


def make_manifest(git: GitServer, seconds: float = 2.5) -> dict[str, Any]:
    """Three small packs, one with an install.py, one whose clone takes `seconds`, one that is missing. No packages."""
    heavy = make_pack(git, "chaos", "heavy", payload_bytes=int(400_000 * seconds))
    git.set_rule("chaos/heavy", RepoRule(bytes_per_second=400_000))
    urls = [heavy.url, make_pack(git, "chaos", "light").url, make_pack(git, "chaos", "plain", payload_bytes=50_000).url]
    urls.append(make_pack(git, "chaos", "scripted", install_py=_SCRIPT).url)
    git.set_rule("chaos/gone", MISSING)
    return {"urls": [*urls, f"{git.url}/chaos/gone"]}


def _write_until_full(descriptor: int, piece: bytes) -> None:
    try:
        while os.write(descriptor, piece):
            continue
    except OSError:  # ENOSPC
        return


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def _command(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=30)
