"""A real service, an SSH server that lies to it, and what a user asks of the service meanwhile."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.factory import Service, build_service
from app.settings import Settings
from app.sync.background_tasks import BackgroundTaskManager
from test.api.client import Api, content
from test.support.database import put_database
from test.support.hostile_sshd import Hostile, Play
from test.support.waiting import wait_until

PACKS = {"nodes": [{"name": "one", "repo_url": "https://github.com/o/one"}]}
CANCEL_SECONDS = 5.0


@dataclass
class HostileBench:
    """A service, and how to reach the servers that lie to it."""

    service: Service
    api: Api
    key: Path
    opened: ExitStack

    def server(self, **plays: Play) -> Hostile:
        """A server that answers these commands so."""
        return self.opened.enter_context(Hostile(dict(plays)))

    def address(self, server: Hostile) -> str:
        """The SSH command for it."""
        return f"ssh -p {server.port} -i {self.key} root@127.0.0.1"

    def start(self, server: Hostile, **fields: Any) -> str:
        """Starts an install; its task_id."""
        options = {"wait_seconds": 0, **fields.pop("options", {})}
        return self.api.start(self.address(server), manifest=PACKS, options=options, **fields)

    def test(self, server: Hostile, **fields: Any) -> dict[str, Any]:
        """POST /ssh/test."""
        return content(self.api.post("/ssh/test", {"ssh_connection": self.address(server), **fields}))

    def until(self, task_id: str, **values: Any) -> None:
        """Waits until the progress has these values."""
        wait_until(lambda: values.items() <= self.api.progress(task_id).items(), 20, f"{values}")

    def ended(self, task_id: str, timeout: float = 30.0) -> dict[str, Any]:
        """The progress of the ended task."""
        assert self.service.installs.wait(task_id, timeout), self.api.progress(task_id)
        return self.api.progress(task_id)

    def cancelled_in_time(self, *task_ids: str) -> list[dict[str, Any]]:
        """Cancels all at once; each has ended in five seconds. Their last progresses."""

        def cancel(task_id: str) -> float:
            asked = time.monotonic()
            self.service.installs.cancel(task_id)
            self.service.installs.wait(task_id, 2 * CANCEL_SECONDS)
            return time.monotonic() - asked

        with ThreadPoolExecutor(len(task_ids)) as threads:
            seconds = list(threads.map(cancel, task_ids))
        ends = [self.ended(task_id, 0) for task_id in task_ids]
        assert all(end["state"] == "cancelled" for end in ends), ends
        assert max(seconds) < CANCEL_SECONDS, seconds
        return ends


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[HostileBench]:
    """A service with a data folder and a key of its own; its settings may be given as an indirect parameter."""
    settings = Settings(data_dir=tmp_path / "data", **getattr(request, "param", {}))
    put_database(settings.data_dir)
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with ExitStack() as opened:
        service = build_service(settings, background=BackgroundTaskManager())
        opened.callback(service.close)
        yield HostileBench(service, Api(service.app), key, opened)
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("task-")], 30, "threads are gone")
