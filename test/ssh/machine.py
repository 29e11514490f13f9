"""Homes, keys, agents and servers for playing a login with the real ssh(1) and with Nodeferry's own connector."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.domain.address import parse_address
from app.domain.errors import AppError
from app.remote.config_file import Local
from app.remote.connector import SshConnector
from app.settings import Timeouts
from app.standin.dropbear import unshared
from test.remote.conftest import Sshd, make_key
from test.support.memory_pins import MemoryPins
from test.support.ports import closed_port
from test.support.real_ssh import REAL_HOME

USER = pwd.getpwuid(os.geteuid()).pw_name
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_IN_ANOTHER_HOME = """
mount --bind "$1" "$2" || exit 99
[ ! -f "$1/ssh_config" ] || mount --bind "$1/ssh_config" "$3" || exit 99
shift 3
exec "$@"
"""
_SECONDS = 20


@dataclass
class Account:
    """A home with `~/.ssh` and the environment of whoever asks."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def ssh_dir(self) -> Path:
        return self.home / ".ssh"

    def write(self, name: str, text: str) -> Path:
        """A file below `~/.ssh`, for the user alone."""
        path = self.ssh_dir / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def keep(self, key: Path, name: str = "", *, public: bool = True) -> Path:
        """A copy of a key as `~/.ssh/name`."""
        target = self.ssh_dir / (name or key.name)
        for ending in ("", ".pub", "-cert.pub") if public else ("",):
            source = key.with_name(key.name + ending)
            if source.exists():
                shutil.copy(source, target.with_name(target.name + ending))
        return target

    def ssh(self, words: list[str]) -> subprocess.CompletedProcess[bytes]:
        """What ssh(1) says in this home."""
        base = ["ssh", "-n", "-o", "BatchMode=yes", "-o", "ConnectTimeout=8", *words]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home)} | self.environ
        command = [*unshared(), _IN_ANOTHER_HOME, "sh", str(self.home), str(REAL_HOME), str(SYSTEM_CONFIG), *base]
        return subprocess.run(command, capture_output=True, check=False, env=environ, timeout=_SECONDS, cwd="/")

    def connector(self) -> SshConnector:
        """Nodeferry's connector in this home."""
        system = self.home / "ssh_config"
        return SshConnector(
            MemoryPins(),
            Timeouts(connect=8.0, command=8.0),
            ssh_dir=self.ssh_dir,
            local=Local(self.home, USER, self.environ),
            system_config=system if system.exists() else SYSTEM_CONFIG,
        )

    def connect(self, text: str) -> str:
        """Empty when Nodeferry logs in with this address, else what it says."""
        try:
            self.connector().connect(parse_address(text)).close()
        except AppError as exc:
            return f"{exc.message} {exc.hint}"
        return ""


@dataclass
class Keys:
    """Keys that servers know and do not know, and what is made of them."""

    folder: Path

    def key(self, name: str, key_type: str = "ed25519", passphrase: str = "") -> Path:
        return make_key(self.folder / name, key_type, passphrase)

    def signed(self, name: str, authority: str, key_type: str = "ed25519", *options: str) -> Path:
        """A key with a certificate of `authority` beside it."""
        key = self.key(name, key_type)
        command = ["ssh-keygen", "-q", "-s", str(self.key(authority)), "-I", name, "-n", USER, *options]
        subprocess.run([*command, str(key.with_suffix(".pub"))], check=True, capture_output=True)
        return key

    def public(self, name: str) -> str:
        return (self.folder / f"{name}.pub").read_text()

    def converted(self, name: str, key_type: str, form: str) -> Path:
        """The key in another format: PEM or PKCS8."""
        key = self.key(name, key_type)
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-m", form, "-N", "", "-f", str(key)], check=True, capture_output=True
        )
        return key


@contextlib.contextmanager
def agent(*keys: Path, without: tuple[Path, ...] = ()) -> Iterator[Path]:
    """A running ssh-agent with these keys; its socket. `without`: public keys that are taken out again."""
    with tempfile.TemporaryDirectory(prefix="nf-", dir="/tmp") as folder:  # a socket's name must be short
        socket = Path(folder) / "s"
        with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                environ = os.environ | {"SSH_AUTH_SOCK": str(socket)}
                for key in keys:
                    subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environ)
                for key in without:
                    subprocess.run(["ssh-add", "-q", "-d", str(key)], check=True, env=environ, capture_output=True)
                yield socket
            finally:
                process.terminate()
                process.wait(10)


@contextlib.contextmanager
def server(folder: Path, authorized: list[str], *options: str, open_to_all: bool = False) -> Iterator[Sshd]:
    """A running sshd that accepts these public keys. `open_to_all`: the account has no password, and needs none; only
    root can have that."""
    folder.mkdir(parents=True)
    made = Sshd(folder, closed_port(), ["MaxStartups 300", *options])
    if open_to_all:
        (folder / "shadow").write_text(f"{USER}::19000:0:99999:7:::\n")
        made.options += ["PermitEmptyPasswords yes", "PasswordAuthentication yes"]
        mounted = 'mount --bind "$1" /etc/shadow && shift && exec "$@"'
        made.launcher = [*unshared(), mounted, "sh", str(folder / "shadow")]
    make_key(made.client_key)
    (folder / "authorized_keys").write_text("".join(authorized))
    try:
        yield made.start()
    finally:
        made.stop()
