"""A small OpenSSH sshd on loopback for each test that asks for one."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.domain.address import SshAddress, parse_address
from app.remote.connector import SshConnector
from app.settings import Timeouts
from test.support.memory_pins import MemoryPins
from test.support.ports import closed_port
from test.support.waiting import wait_until

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin:" + os.defpath)
TIMEOUTS = Timeouts(connect=10.0, command=10.0)


@dataclass
class Sshd:
    """One server with its own keys, HOME and configuration; started again on the same port."""

    folder: Path
    port: int
    options: list[str] = field(default_factory=list)
    key_types: tuple[str, ...] = ("ed25519",)
    process: subprocess.Popen[bytes] | None = None
    launcher: list[str] = field(default_factory=list)
    """What starts sshd in its own place."""

    @property
    def client_key(self) -> Path:
        return self.folder / "client_key"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")

    @property
    def address(self) -> SshAddress:
        return parse_address(f"ssh -p {self.port} -i {self.client_key} {getpass.getuser()}@127.0.0.1")

    def start(self) -> Sshd:
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        for key_type in self.key_types:
            make_key(self.folder / f"host_{key_type}", key_type)
        if not self.client_key.exists():
            make_key(self.client_key)
            shutil.copy(self.client_key.with_suffix(".pub"), self.folder / "authorized_keys")
        (self.folder / "config").write_text("\n".join(self._config()) + "\n")
        assert SSHD
        with (self.folder / "log").open("ab") as log:
            command = [*self.launcher, SSHD, "-D", "-e", "-f", str(self.folder / "config")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._listens, what="sshd listens")
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.kill_connections()
            self.process.terminate()
            self.process.wait(10)
            self.process = None
        for pid in _with_home(self.home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def change_host_key(self, *key_types: str) -> None:
        self.stop()
        for path in self.folder.glob("host_*"):
            path.unlink()
        self.key_types = key_types or self.key_types
        self.start()

    def fingerprint(self, key_type: str = "ed25519") -> str:
        command = ["ssh-keygen", "-lf", str(self.folder / f"host_{key_type}.pub")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]

    def host_key_line(self, name: str, key_type: str = "ed25519") -> str:
        words = (self.folder / f"host_{key_type}.pub").read_text().split()
        return f"{name} {words[0]} {words[1]}"

    def kill_connections(self) -> None:
        """SIGKILL to the server's end of every connection."""
        assert self.process is not None
        for pid in _descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze_connections(self) -> None:
        """SIGSTOP to the server's end of every connection."""
        assert self.process is not None
        for pid in _descendants(self.process.pid):
            os.kill(pid, signal.SIGSTOP)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def _config(self) -> list[str]:
        return [
            *self.options,
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            *[f"HostKey {self.folder}/host_{key_type}" for key_type in self.key_types],
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            f"PidFile {self.folder}/pid",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "LogLevel VERBOSE",
            f"SetEnv HOME={self.home}",
        ]


def make_key(path: Path, key_type: str = "ed25519", passphrase: str = "") -> Path:
    if not path.exists():
        size = ["-b", "2048"] if key_type == "rsa" else []
        command = ["ssh-keygen", "-q", "-t", key_type, *size, "-N", passphrase, "-C", "test", "-f", str(path)]
        subprocess.run(command, check=True)
    return path


def _descendants(pid: int) -> list[int]:
    """Parents first: an sshd that outlived its session's shell would tell the end of it."""
    children: list[int] = []
    with contextlib.suppress(OSError):  # it ends while we look
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += [int(child) for child in (thread / "children").read_text().split()]
    return [found for child in children for found in (child, *_descendants(child))]


def _with_home(home: Path) -> list[int]:
    """Commands that outlived their connection: only they have this HOME."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"HOME={home}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


@pytest.fixture(autouse=True)
def no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every thread of a test has ended soon after it; the caller's own agent is not asked."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    before = set(threading.enumerate())
    yield
    wait_until(lambda: set(threading.enumerate()) <= before, 15, f"threads end: {threading.enumerate()}")


MakeSshd = Callable[..., Sshd]
MakeConnector = Callable[..., SshConnector]


@pytest.fixture
def make_sshd(tmp_path: Path) -> Iterator[MakeSshd]:
    """Starts servers with more lines of configuration and other types of host keys."""
    if SSHD is None:
        pytest.skip("needs sshd (`make system-deps`)")
    servers: list[Sshd] = []

    def make(*options: str, key_types: tuple[str, ...] = ("ed25519",)) -> Sshd:
        folder = tmp_path / f"sshd{len(servers)}"
        folder.mkdir()
        servers.append(Sshd(folder, closed_port(), list(options), key_types))
        return servers[-1].start()

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def sshd(make_sshd: MakeSshd) -> Sshd:
    """One server with the usual configuration."""
    return make_sshd()


@pytest.fixture
def ssh_dir(tmp_path: Path) -> Path:
    """An empty `~/.ssh`."""
    folder = tmp_path / "dot_ssh"
    folder.mkdir()
    return folder


@pytest.fixture
def pins() -> MemoryPins:
    return MemoryPins()


@pytest.fixture
def make_connector(pins: MemoryPins, ssh_dir: Path) -> MakeConnector:
    """Connectors that share the pins and the empty `~/.ssh`."""

    def make(connect: float = 10.0, command: float = 10.0, key_files: tuple[str, ...] = ()) -> SshConnector:
        timeouts = Timeouts(connect=connect, command=command)
        return SshConnector(pins, timeouts, key_files=key_files, ssh_dir=ssh_dir, now=lambda: 1000.0)

    return make


@pytest.fixture
def connector(make_connector: MakeConnector) -> SshConnector:
    return make_connector()
