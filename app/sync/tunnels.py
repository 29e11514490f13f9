"""Tunnels to the ComfyUIs of instances: a port here for each, opened when asked for and closed when nobody uses it.

A tunnel is opened in a thread: no request waits for an instance. Its URL is a secret, and stands in no log.
"""

from __future__ import annotations

import itertools
import logging
import threading
from dataclasses import dataclass, replace
from typing import Any

from app.domain.errors import AppError, RemoteError, TaskError
from app.domain.host_port import bracketed
from app.domain.request import Request
from app.domain.stored_request import read_request
from app.protocol.reasons import for_people
from app.remote.connector import SshConnector
from app.remote.forward import Forward
from app.remote.gateway.access import Access, hosts_for
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Settings
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.service import Installs

_log = logging.getLogger(__name__)
_WHY = {
    "stopped": "It was closed.",
    "connection_lost": "The connection to the instance was lost.",
    "not_used": "It was closed because nobody used it.",
    "flooded": "It was closed because the instance sent more than was asked for.",
}
MAX_TUNNELS = 16
"""At the same time. Each has threads and descriptors of its own."""


class ComfyUiNotRunning(RemoteError):
    """ComfyUI is not running on the instance."""

    code = "comfyui_not_running"


class TooManyTunnels(TaskError):
    """Too many tunnels to ComfyUIs are open."""

    code = "too_many_tunnels"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """How a tunnel stands: `opening`, `open` (with its address), `closed` or `failed` (both with a reason)."""

    state: str
    access: Access | None = None
    reason: str = ""
    error: dict[str, str] | None = None

    def to_json(self, page_host: str) -> dict[str, Any]:
        """As the API shows it. `page_host`: the name by which the service was asked."""
        error = for_people(self.error) if self.error else None
        url = self.access.url(page_host) if self.access else None
        return {"state": self.state, "url": url, "reason": self.reason or None, "error": error}


class Tunnels:
    """The tunnels of one service, by the task whose instance they lead to. Any thread may call every method."""

    def __init__(
        self, installs: Installs, connector: SshConnector, background: BackgroundTaskManager, settings: Settings
    ) -> None:
        self._installs = installs
        self._connector = connector
        self._background = background
        self._timeouts = settings.timeouts
        self._names = frozenset(bracketed(name.lower()) for name in settings.allowed_hosts)
        self._lock = threading.Lock()
        self._tunnels: dict[str, Tunnel] = {}
        self._stops: dict[str, threading.Event] = {}
        self._threads: dict[str, str] = {}
        self._hosts: dict[str, set[str]] = {}
        self._numbers = itertools.count(1)

    def open(self, task_id: str, page_host: str = "127.0.0.1") -> Tunnel:
        """Opens the tunnel unless it is open or being opened; how it stands now. A page at `page_host` may lead to it.

        Raises TaskNotFound, TooManyTunnels."""
        record, status = self._installs.look(task_id)
        request = read_request(record.request)
        home = status.snapshot.probe.get("ui_home") or request.ui_home  # where the run found it
        with self._lock:
            if task_id in self._stops:
                self._hosts[task_id] |= set(hosts_for(page_host))
                return self._tunnels[task_id]
            if len(self._stops) >= MAX_TUNNELS:
                raise TooManyTunnels
            tunnel = self._tunnels[task_id] = Tunnel("opening")
            stop = self._stops[task_id] = threading.Event()
            self._hosts[task_id] = hosts = set(hosts_for(page_host))
            # A number for each: the thread before may have let go of the tunnel and not have ended.
            self._threads[task_id] = thread = f"tunnel-{task_id}-{next(self._numbers)}"
        try:
            self._background.start_task(thread, self._keep, task_id, request, home, hosts, stop)
        except RuntimeError:  # the system gives no more threads
            with self._lock:
                del self._stops[task_id], self._tunnels[task_id]
            raise
        return tunnel

    def look(self, task_id: str) -> Tunnel:
        """How the tunnel stands; closed where there is none. Raises TaskNotFound."""
        self._installs.look(task_id)
        with self._lock:
            return self._tunnels.get(task_id, Tunnel("closed"))

    def close(self, task_id: str) -> Tunnel:
        """Closes the tunnel; how it stands now. Raises TaskNotFound."""
        with self._lock:
            stop, thread = self._stops.get(task_id), self._threads.get(task_id, "")
        if stop is not None:
            stop.set()
            self._background.wait(thread, 2.0)
        return self.look(task_id)

    def close_all(self) -> None:
        """Closes every tunnel, without waiting."""
        with self._lock:
            for stop in self._stops.values():
                stop.set()

    def _keep(
        self, task_id: str, request: Request, ui_home: str | None, hosts: set[str], stop: threading.Event
    ) -> None:
        """A tunnel's thread, from the connection to its end."""
        tunnel = Tunnel("closed", reason=_WHY["stopped"])
        try:
            tunnel = self._serve(task_id, request, ui_home, hosts, stop)
        except AppError as error:
            tunnel = Tunnel("failed", error=error.to_json())
        except OSError as exc:
            message = f"No port could be opened on the service's machine: {exc}."
            tunnel = Tunnel("failed", error={"code": "no_port", "message": message, "hint": ""})
        finally:
            with self._lock:
                self._tunnels[task_id] = tunnel
                del self._stops[task_id]

    def _serve(
        self, task_id: str, request: Request, ui_home: str | None, hosts: set[str], stop: threading.Event
    ) -> Tunnel:
        expected = request.options.host_key_sha256
        with self._connector.connect(request.address, host_key_sha256=expected, cancel=stop) as host:
            client = RunnerClient(host, pack_runner(), replace(self._timeouts))
            client.ensure_uploaded()
            found = client.probe(ui_home, request.venv_path)
            port = found.get("comfyui_port")
            if not isinstance(port, int):
                raise ComfyUiNotRunning
            forward = Forward(host, port, names=self._names, hosts=hosts)
            _log.info("task %s: port %d of the instance is at port %d here", task_id, port, forward.access.port)
            with self._lock:
                self._tunnels[task_id] = Tunnel("open", forward.access)
            return Tunnel("closed", reason=_WHY[forward.serve(stop)])
