"""A git server over HTTP on loopback: real git behind it, and rules for how each repository behaves.

Repositories are folders `owner/name.git`, asked for as `/owner/name` or `/owner/name.git`, as GitHub has it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from app.standin.git_http import LoopbackServer
from app.standin.git_rules import GitRequest, Ledger, RepoRule

_JOIN_SECONDS = 10.0
_POLL_SECONDS = 0.05


class GitServer:
    """Serves a folder of bare repositories; a context manager. Methods may be called from any thread."""

    def __init__(self, folder: Path, *, latency_seconds: float = 0.0) -> None:
        """`folder`: of the repositories, made if missing, never removed; `latency_seconds`: before every answer.

        The port is bound at once; answers come after `start`.
        """
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ledger = Ledger()
        self._server = LoopbackServer(self.folder, self._ledger, latency_seconds)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="git-server", daemon=True
        )

    def __enter__(self) -> GitServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and wait for what was being served. Idempotent."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(_JOIN_SECONDS)
        self._server.cut_connections()
        self._server.server_close()

    def path_of(self, owner: str, name: str) -> Path:
        """Where a repository is, or would be."""
        return self.folder / owner / f"{name}.git"

    def set_rule(self, repo: str, rule: RepoRule) -> None:
        """How `owner/name` is served from now on."""
        self._ledger.set_rule(repo, rule)

    def set_latency(self, seconds: float) -> None:
        """So long before every answer, from the next one on."""
        self._server.latency_seconds = seconds

    def requests(self, repo: str | None = None) -> list[GitRequest]:
        """What was answered so far, in the order of the ends; of `owner/name` if given."""
        return [request for request in self._ledger.requests() if repo in (None, request.repo)]

    @property
    def peak_packs(self) -> int:
        """How many packs were being sent at the same time, at most."""
        return self._ledger.peak
