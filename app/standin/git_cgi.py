"""Running `git http-backend` for one request and reading its answer as it comes.

Protocol: git-http-backend(1) and RFC 3875.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.standin.errors import StandInUnavailable

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class CgiRequest:
    """What http-backend wants to know; `body` is not compressed."""

    folder: Path
    method: str
    path: str
    query: str
    body: bytes
    content_type: str
    protocol: str

    def environment(self) -> dict[str, str]:
        """The CGI variables, and nothing of ours: the user's git configuration is not the server's."""
        return {
            "PATH": os.defpath,
            "HOME": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.protocol,
            "REQUEST_METHOD": self.method,
            "PATH_INFO": self.path,
            "QUERY_STRING": self.query,
            "CONTENT_TYPE": self.content_type,
            "CONTENT_LENGTH": str(len(self.body)),
            "REMOTE_ADDR": "127.0.0.1",
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }


@dataclass(frozen=True, slots=True)
class CgiAnswer:
    """The answer: its head at once, its body while git makes it."""

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


@contextmanager
def answer_of(request: CgiRequest) -> Iterator[CgiAnswer]:
    """Run http-backend; it and its children end with the block, also when the body was not read."""
    with tempfile.TemporaryFile() as body:  # not a pipe: git may answer while it still reads
        body.write(request.body)
        body.seek(0)
        process = subprocess.Popen(
            [git_program(), "http-backend"],
            stdin=body,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=request.environment(),
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            headers: dict[str, str] = {}
            while (line := process.stdout.readline().strip()) != b"":
                name, _, value = line.decode("latin-1").partition(":")
                headers[name] = value.strip()
            status = headers.pop("Status", "200" if headers else "500")
            chunks = iter(functools.partial(process.stdout.read1, _CHUNK), b"")  # type: ignore[attr-defined]  # Popen's is buffered
            yield CgiAnswer(int(status.split()[0]), headers, chunks)
        finally:
            process.stdout.close()
            try:
                process.wait(0.5)  # it has said all, or sees that nobody reads
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@functools.cache
def git_program() -> str:
    """The path of git. Raises StandInUnavailable."""
    found = shutil.which("git")
    if found is None:
        raise StandInUnavailable("There is no git on this machine.")
    return found
