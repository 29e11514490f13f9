"""Tunnels to the ComfyUIs of instances: a port here for each, opened when asked for and closed when nobody uses it.

A tunnel is opened in a thread: no request waits for an instance.
"""

from __future__ import annotations

import itertools
import logging
import threading
from dataclasses import dataclass, replace
from typing import Any

from app.domain import asked_for
from app.domain.errors import AppError, RemoteError
from app.domain.request import Request
from app.domain.stored_request import read_request
from app.protocol.reasons import for_people
from app.remote.connector import SshConnector
from app.remote.forward import Forward
from app.remote.pace import Meter
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Timeouts
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.service import Installs

_log = logging.getLogger(__name__)
_WHY = {
    "stopped": "It was closed.",
    "connection_lost": "The connection to the instance was lost.",
    "not_used": "It was closed because nobody used it.",
}


class ComfyUiNotRunning(RemoteError):
    """ComfyUI is not running on the instance."""

    code = "comfyui_not_running"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """How a tunnel stands: `opening`, `open` (with its URL), `closed` or `failed` (both with a reason)."""

    state: str
    url: str | None = None
    reason: str = ""
    error: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        error = for_people(self.error) if self.error else None
        return {"state": self.state, "url": self.url, "reason": self.reason or None, "error": error}


class Tunnels:
    """The tunnels of one service, by the task whose instance they lead to. Any thread may call every method."""

    def __init__(
        self, installs: Installs, connector: SshConnector, background: BackgroundTaskManager, timeouts: Timeouts
    ) -> None:
        self._installs = installs
        self._connector = connector
        self._background = background
        self._timeouts = timeouts
        self._lock = threading.Lock()
        self._tunnels: dict[str, Tunnel] = {}
        self._stops: dict[str, threading.Event] = {}
        self._threads: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def open(self, task_id: str) -> Tunnel:
        """Opens the tunnel unless it is open or being opened; how it stands now. Raises TaskNotFound."""
        record, status = self._installs.look(task_id)
        request = read_request(record.request)
        home = asked_for.home(status.snapshot.probe.get("ui_home"), request.ui_home)  # where the run found it
        with self._lock:
            if task_id in self._stops:
                return self._tunnels[task_id]
            tunnel = self._tunnels[task_id] = Tunnel("opening")
            stop = self._stops[task_id] = threading.Event()
            # A number for each: the thread before may have let go of the tunnel and not have ended.
            self._threads[task_id] = thread = f"tunnel-{task_id}-{next(self._numbers)}"
        try:
            self._background.start_task(thread, self._keep, task_id, request, home, stop)
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

    def _keep(self, task_id: str, request: Request, ui_home: str | None, stop: threading.Event) -> None:
        """A tunnel's thread, from the connection to its end."""
        tunnel = Tunnel("closed", reason=_WHY["stopped"])
        try:
            tunnel = self._serve(task_id, request, ui_home, stop)
        except AppError as error:
            tunnel = Tunnel("failed", error=error.to_json())
        except OSError as exc:
            message = f"No port could be opened on the service's machine: {exc}."
            tunnel = Tunnel("failed", error={"code": "no_port", "message": message, "hint": ""})
        finally:
            with self._lock:
                self._tunnels[task_id] = tunnel
                del self._stops[task_id]

    def _serve(self, task_id: str, request: Request, ui_home: str | None, stop: threading.Event) -> Tunnel:
        expected = request.options.host_key_sha256
        with self._connector.connect(request.address, host_key_sha256=expected, cancel=stop, meter=Meter()) as host:
            client = RunnerClient(host, pack_runner(), replace(self._timeouts))
            client.ensure_uploaded()
            port = client.probe(ui_home, request.venv_path).comfyui_port
            if port is None:
                raise ComfyUiNotRunning
            forward = Forward(host, port)
            _log.info("task %s: port %d of the instance is at %s", task_id, port, forward.url)
            with self._lock:
                self._tunnels[task_id] = Tunnel("open", forward.url)
            return Tunnel("closed", reason=_WHY[forward.serve(stop)])
