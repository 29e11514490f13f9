"""A cluster that is up: its parts, and how they are ended."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.standin.postgresql import PostgreSQL
from bench.cluster.member import Member, MemberEnded
from bench.fleet.process import FleetProcess
from bench.fleet.script import Play

_DATABASE = "nodeferry"


class PortTaken(Exception):
    """Somebody else listens on a port that the cluster was to have."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a cluster is made of. `port`: of the first web process, the others follow; 0: any free ones."""

    web: int = 2
    workers: int = 2
    port: int = 0
    fleet: Play = field(default_factory=Play)


class Cluster:
    """A context manager; at its end nothing is left: no process, no folder, no port. For one thread."""

    def __init__(self, wanted: Wanted, say: Callable[[str], None] = lambda _line: None, **settings: str) -> None:
        """`say`: called with a line for each part that is up; `settings`: of all members, in small letters without
        their NODEFERRY_."""
        self._wanted = wanted
        self._say = say
        self._settings = {name.upper(): value for name, value in settings.items()}
        self._opened = ExitStack()
        self.web: list[Member] = []
        self.workers: list[Member] = []

    def __enter__(self) -> Self:
        """Raises PortTaken, MemberEnded, StandInError."""
        try:
            self._start()
        except BaseException:
            self._opened.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    @property
    def members(self) -> list[Member]:
        """All processes of Nodeferry."""
        return [*self.web, *self.workers]

    def request(self, number: int = 0) -> dict[str, Any]:
        """The body of a start on one of the fleet's instances."""
        node = {"name": "ComfyUI-Example", "repo_url": "https://github.com/example/ComfyUI-Example"}
        return {"ssh_connection": self.fleet.command(number), "manifest": {"nodes": [node]}}

    def check(self) -> None:
        """Raises MemberEnded where PostgreSQL has ended, or all members of a kind."""
        for kind in (self.web, self.workers):
            if kind and all(member.status is not None for member in kind):
                kind[0].check()
        if self.postgresql.ended is not None:
            raise MemberEnded(f"PostgreSQL has ended (exit status {self.postgresql.ended}).")

    def _start(self) -> None:
        ports = [self._wanted.port + place if self._wanted.port else 0 for place in range(self._wanted.web)]
        for port in filter(None, ports):
            _check_free(port)
        self.folder = Path(tempfile.mkdtemp(prefix="nodeferry-cluster-"))
        self._opened.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.postgresql = self._opened.enter_context(PostgreSQL())
        self.database_url = self.postgresql.create(_DATABASE)
        self._say(f"PostgreSQL, process {self.postgresql.pid}, on port {self.postgresql.port}")
        key = _key_in(self.folder / "home")
        self.fleet = self._opened.enter_context(FleetProcess(self._wanted.fleet, key=key))
        self._say(f"a played fleet of {len(self.fleet.addresses)} instances, process {self.fleet.pid}")
        self._opened.enter_context(self._ended_together())
        self.web = [self._member(f"web-{number + 1}", "web") for number in range(self._wanted.web)]
        self.workers = [self._member(f"worker-{number + 1}", "worker") for number in range(self._wanted.workers)]
        for member, port in zip(self.members, [*ports, *[0] * len(self.workers)], strict=True):
            member.start(port)
        for member in self.members:
            member.ready()
            self._say(f"{member.name}, process {member.pid}, {member.url}")

    def _member(self, name: str, role: str) -> Member:
        settings = {
            "DATABASE_URL": self.database_url,
            "ROLE": role,
            "LOG_FORMAT": "json",
            "NODE_MAP_URL": "",
            "REGISTRY_URL": "",
            **self._settings,
        }
        return Member(name, role, self.folder / name, self.folder / "home", settings)

    @contextmanager
    def _ended_together(self) -> Iterator[None]:
        try:
            yield
        finally:
            for member in self.members:
                member.terminate()
            for member in self.members:
                member.wait()


def _key_in(home: Path) -> Path:
    """The public half of a key that all members log in with."""
    folder = home / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    key = folder / "id_ed25519"
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nodeferry cluster", "-f", str(key)]
    subprocess.run(argv, check=True, capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
    return key.with_suffix(".pub")


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise PortTaken(f"Port {port} of 127.0.0.1 is taken.") from exc
