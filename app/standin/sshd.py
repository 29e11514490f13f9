"""A real OpenSSH server on a free loopback port, with keys and a configuration of its own."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import pwd
import random
import re
import shutil
import socket
import subprocess
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.standin import processes
from app.standin.errors import StandInError, StandInUnavailable
from app.standin.sshd_config import SshdOptions, is_locked, sshd_config
from app.standin.waiting import wait_until

HOST = "127.0.0.1"
# Below what Linux gives to outgoing connections, so that a stopped sshd finds its port free again.
_PORTS = range(20_000, 32_000)
_SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin"
_START_SECONDS = 10.0


class SshServer:
    """One sshd over `folder` (made if missing). `start` and `stop` may follow each other; port and keys stay."""

    def __init__(self, folder: Path, *, set_env: Mapping[str, str], banner: str | None = None) -> None:
        """`set_env`: what every session gets; `banner`: shown before the login."""
        self.host = HOST
        self.port, held = hold_port()
        weakref.finalize(self, os.close, held)
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.client_key = folder / "client_key"
        self._folder = folder
        self._set_env = dict(set_env)
        self._banner = banner
        self.enter: Sequence[str] = ()
        """In front of the command line that starts it: where it runs."""
        self.login_shell: Path | None = None
        """What runs the commands from the next start on; None: the account's shell."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host_key_sha256(self) -> str:
        """The host key's fingerprint as ssh-keygen prints it: `SHA256:…`."""
        blob = base64.b64decode((self._folder / "host_key.pub").read_text("ascii").split()[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

    @property
    def log(self) -> Path:
        """What sshd says of itself."""
        return self._folder / "sshd.log"

    @property
    def running(self) -> bool:
        """Whether the listening process lives."""
        return self._process is not None and self._process.poll() is None

    def prepare(self) -> None:
        """Keys, banner: made once. Raises StandInUnavailable where OpenSSH is missing."""
        sshd_program()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("host_key", "client_key"):
            _make_key(self._folder / name)
        shutil.copy(self._folder / "client_key.pub", self._folder / "authorized_keys")
        if self._banner is not None:
            (self._folder / "banner").write_text(self._banner, "utf-8")

    def change_host_key(self) -> None:
        """What starts next shows another key."""
        for path in (self._folder / "host_key", self._folder / "host_key.pub"):
            path.unlink()
        _make_key(self._folder / "host_key")

    def start(self) -> None:
        """Listen; returns when connections are accepted. Raises StandInError with sshd's own words."""
        config = self._folder / "sshd_config"
        options = SshdOptions(
            port=self.port,
            host_key=self._folder / "host_key",
            authorized_keys=self._folder / "authorized_keys",
            set_env=self._set_env,
            banner=None if self._banner is None else self._folder / "banner",
            login_shell=self.login_shell,
            use_pam=os.geteuid() == 0 and is_locked(Path("/etc/shadow").read_text("utf-8"), self.user),
            version=openssh_version(),
        )
        config.write_text(sshd_config(options), "utf-8")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.enter, sshd_program(), "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                start_new_session=True,  # a Ctrl-C is for the caller, who then stops us in order
            )
        if not wait_until(lambda: self._answers() or not self.running, _START_SECONDS) or not self.running:
            self.stop()
            raise StandInError("sshd did not start: " + self.log.read_text("utf-8", "replace")[-500:].strip())

    def stop(self) -> None:
        """End the listener and cut every connection; what sessions had started in the background goes on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.kill_connections()

    def kill_connections(self) -> None:
        """Kill the server's side of every connection (as a proxy that dies does); the listener stays."""
        processes.end_all(lambda: processes.processes_at_port(self.port, listening=False))

    def connections(self) -> int:
        """How many connections are open."""
        return len(processes.processes_at_port(self.port, listening=False))

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0):
                return True
        except OSError:
            return False


@functools.cache
def sshd_program() -> str:
    """The absolute path of sshd (it refuses to run by another). Raises StandInUnavailable."""
    found = shutil.which("sshd", path=_SYSTEM_FOLDERS) or shutil.which("sshd")
    if found is None or not processes.PROC.joinpath("self").exists():
        raise StandInUnavailable("There is no sshd on this machine." if found is None else "")
    return os.path.realpath(found)


@functools.cache
def openssh_version() -> tuple[int, int]:
    """Major and minor version; (0, 0) when it does not say."""
    answer = subprocess.run(
        [sshd_program(), "-V"], capture_output=True, check=False, timeout=10, stdin=subprocess.DEVNULL
    )
    match = re.search(rb"OpenSSH_(\d+)\.(\d+)", answer.stderr + answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def hold_port() -> tuple[int, int]:
    """A loopback port that nobody listens on, and the descriptor that keeps it from others until it is closed. sshd can
    listen there all the same: it sets SO_REUSEADDR too."""
    chooser = random.SystemRandom()
    while True:
        port = chooser.choice(_PORTS)
        with socket.socket() as holder:
            try:
                holder.bind((HOST, port))
            except OSError:
                continue
            # Only now: a bind with SO_REUSEADDR would also succeed where another stand-in holds the port.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return port, holder.detach()


def _make_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nodeferry stand-in", "-f", str(path)]
    if not path.exists():
        subprocess.run(command, check=True, capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
