"""Debian's PgBouncer before a PostgreSQL of the tests, on loopback and in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.standin.postgresql import USER, PostgreSQL
from test.support.waiting import wait_until

_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
logfile = {folder}/log
"""
SIZES = {"session": 90, "transaction": 12}
"""Of sessions as many as all processes have connections: one more would wait for ever."""


@contextmanager
def pooler(server: PostgreSQL, port: int, mode: str) -> Iterator[None]:
    """One that gives its clients a connection of `server` for each session or transaction. Skips without it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("There is no pgbouncer here; `make test-deps` installs Debian's.")
    with tempfile.TemporaryDirectory(prefix="nf-pooler-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(server=server.port, user=USER, port=port, mode=mode, size=SIZES[mode], folder=folder),
            "utf-8",
        )
        as_user = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups") if os.geteuid() == 0 else ()
        process = subprocess.Popen([*as_user, program, "-q", str(configuration)], stdin=subprocess.DEVNULL)
        try:
            wait_until(lambda: _answers(port), 20, "PgBouncer answers")
            yield
        finally:
            process.terminate()
            process.wait(20)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
