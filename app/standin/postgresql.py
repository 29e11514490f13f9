"""A PostgreSQL of its own: Debian's programs, in a folder of their own, on a port of its own, on loopback.

PostgreSQL refuses to run as root. For root it therefore runs as the user `postgres`, which its package brings; for
anybody else as that user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from app.standin.errors import StandInError, StandInUnavailable
from app.standin.processes import end_all, processes_below
from app.standin.waiting import wait_until

USER = "postgres"
"""As whom it runs for root."""
_FOLDERS = "/usr/lib/postgresql"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_FAST_AND_UNSAFE = ("-c", "fsync=off", "-c", "full_page_writes=off")


def programs() -> Path | None:
    """The folder of the newest PostgreSQL here; None where there is none."""
    newest = sorted(Path(_FOLDERS).glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    if newest:
        return newest[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgreSQL:
    """One server; a context manager. Its folder goes with it. For one thread."""

    def __init__(self, *, durable: bool = True, max_connections: int = 200) -> None:
        """`durable`: whether what was committed outlives the machine; a killed server loses nothing either way."""
        found = programs()
        if found is None:
            raise StandInUnavailable("There is no PostgreSQL here. `make system-deps` installs Debian's.")
        self._programs = found
        self.folder = Path(tempfile.mkdtemp(prefix="nodeferry-pg-"))
        self._durable = durable
        self._max_connections = max_connections
        self.port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PostgreSQL:
        try:
            if os.geteuid() == 0:
                user = pwd.getpwnam(USER)
                os.chown(self.folder, user.pw_uid, user.pw_gid)
            # C: the order of texts is then the same everywhere, and initdb takes no time to look for others.
            words = ("--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-U", USER)
            self._run("initdb", "-D", str(self._data), *words)
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        finally:
            self._remove()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int | None:
        """Of the server, while it runs."""
        return None if self._server is None else self._server.pid

    @property
    def ended(self) -> int | None:
        """The exit status of a server that has ended by itself."""
        return None if self._server is None else self._server.poll()

    def url(self, database: str = "postgres") -> str:
        """For SQLAlchemy, and for NODEFERRY_DATABASE_URL."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template0") -> str:
        """Makes an empty database, or a copy of one that nobody is connected to; its address."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-T", template, database)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Removes a database, whoever is connected to it."""
        self._run("dropdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "--force", "--if-exists", database)

    def sql(self, *statements: str) -> None:
        """Has it do these, as its owner, each in a transaction of its own. Raises StandInError."""
        words = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        self._run("psql", *words, *(word for each in statements for word in ("-c", each)))

    def start(self) -> None:
        """Runs the server, on the same port and folder as before; returns when it answers. Raises StandInError."""
        more = () if self._durable else _FAST_AND_UNSAFE
        argv = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        argv += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        argv += ["-c", f"max_connections={self._max_connections}", *more]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*self._as_user(), *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if not wait_until(self._answers, _START_SECONDS):
            raise StandInError(f"PostgreSQL does not answer:\n{(self.folder / 'log').read_text('utf-8')[-2000:]}")

    def kill(self) -> None:
        """Ends the server as a power cut would: SIGKILL for all of its processes. `start` brings it back."""
        if self._server is not None:
            self._server.kill()
            self._server.wait(_STOP_SECONDS)
            # Each connection's process is a group of its own; while one lives, no other server begins on the folder.
            end_all(lambda: processes_below(self.folder))
            self._server = None

    def stop(self) -> None:
        """Ends the server in order, and its connections with it."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT)  # its "fast" shutdown
        try:
            self._server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._server = None

    def _answers(self) -> bool:
        if self._server is not None and self._server.poll() is not None:
            return False
        argv = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(argv, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def _run(self, program: str, *words: str) -> None:
        argv = [*self._as_user(), str(self._programs / program), *words]
        done = subprocess.run(
            argv, check=False, capture_output=True, stdin=subprocess.DEVNULL, cwd="/", timeout=_START_SECONDS
        )
        if done.returncode != 0:
            raise StandInError(f"{program}: {done.stderr.decode('utf-8', 'replace')[-2000:]}")

    def _as_user(self) -> Sequence[str]:
        words = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "--reset-env", "--")
        return words if os.geteuid() == 0 else ()

    def _remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
