"""A Dropbear server on loopback: the SSH server of small images. It reads the account's real home, so it gets mounts of
its own in which `home` lies there."""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from app.standin import processes
from app.standin.errors import StandInUnavailable
from app.standin.sshd import HOST, hold_port
from app.standin.waiting import wait_until

_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/usr/local/bin:/bin"
_START_SECONDS = 10.0
_SECONDS = 30.0
_MOUNTED = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'


class DropbearServer:
    """A context manager over `folder`, which is made. `port`, `user` and `client_key` are how to log in."""

    def __init__(self, folder: Path, home: Path) -> None:
        """`home`: what a session finds in the account's home folder. Raises StandInUnavailable."""
        account = pwd.getpwuid(os.geteuid())
        self.user = account.pw_name
        self.host = HOST
        self.port, self._held = hold_port()
        self.client_key = folder / "client_key"
        self._folder = folder
        self._home = home
        self._real_home = Path(account.pw_dir)
        self._programs = programs()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ssh_command(self) -> str:
        """A command line that logs in."""
        return f"ssh -p {self.port} -i {self.client_key} {self.user}@{self.host}"

    def __enter__(self) -> DropbearServer:
        self._folder.mkdir(mode=0o700, parents=True)
        dropbear, keygen = self._programs
        _run([keygen, "-t", "ed25519", "-f", str(self._folder / "host_key")])
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.client_key)])
        (self._home / ".ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.authorize(self.client_key)
        command = [dropbear, "-F", "-E", "-s", "-p", f"{HOST}:{self.port}", "-r", str(self._folder / "host_key")]
        command += ["-P", str(self._folder / "pid")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*unshared(), _MOUNTED, "sh", str(self._home), str(self._real_home), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        if not wait_until(lambda: bool(processes.processes_at_port(self.port, listening=True)), _START_SECONDS):
            self.__exit__()
            raise StandInUnavailable("Dropbear did not start: " + (self._folder / "log").read_text("utf-8", "replace"))
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        processes.end_all(lambda: processes.processes_at_port(self.port, listening=False))
        with contextlib.suppress(OSError):
            os.close(self._held)

    def authorize(self, key: Path) -> None:
        """Accepts this key too."""
        file = self._home / ".ssh" / "authorized_keys"
        with file.open("a") as lines:
            lines.write(key.with_name(key.name + ".pub").read_text())
        file.chmod(0o600)


@functools.cache
def programs() -> tuple[str, str]:
    """The server and its key maker. Raises StandInUnavailable where they, or mounts of one's own, cannot be had."""
    found = [shutil.which(name, path=_FOLDERS) for name in ("dropbear", "dropbearkey")]
    if found[0] is None or found[1] is None:
        raise StandInUnavailable("There is no dropbear on this machine.")
    if not unshared():
        raise StandInUnavailable("Nothing may be mounted here.")
    return found[0], found[1]


@functools.cache
def unshared() -> tuple[str, ...]:
    """The command that runs a line of sh with mounts of its own; empty where this machine does not allow it."""
    home = pwd.getpwuid(os.geteuid()).pw_dir
    for options in (("-m",), ("-U", "-r", "-m")):
        command = ("unshare", *options, "--", "sh", "-c")
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            tried = subprocess.run(
                [*command, 'mount --bind / "$1"', "sh", home], capture_output=True, check=False, timeout=_SECONDS
            )
            if tried.returncode == 0:
                return command
    return ()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
