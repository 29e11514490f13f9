"""Tunnels to the ComfyUIs of instances: a port here for each, opened when asked for and closed when nobody uses it.

A tunnel is opened in a thread: no request waits for an instance. Its URL is a secret, and stands in no log.
"""

from __future__ import annotations

import itertools
import logging
import threading
from dataclasses import dataclass, replace
from typing import Any

from app.domain import asked_for
from app.domain.errors import AppError, RemoteError, TooManyTunnels
from app.domain.host_port import bracketed
from app.domain.limits import MAX_CLOSED_TUNNELS, MAX_TUNNELS
from app.domain.request import Request
from app.domain.stored_request import read_request
from app.protocol.reasons import for_people
from app.remote.connector import SshConnector
from app.remote.forward import Forward
from app.remote.gateway.access import Access, hosts_for
from app.remote.pace import Meter
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Settings
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.capacity import Capacity, Kind, Place, ServiceBusy
from app.sync.installs.service import Installs

_log = logging.getLogger(__name__)
_WHY = {
    "stopped": "It was closed.",
    "connection_lost": "The connection to the instance was lost.",
    "not_used": "It was closed because nobody used it.",
    "flooded": "It was closed because the instance sent more than was asked for.",
}


class ComfyUiNotRunning(RemoteError):
    """ComfyUI is not running on the instance."""

    code = "comfyui_not_running"


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


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a tunnel's thread works with. `hosts`: the names that a page may lead to it from; `place`: held until the
    tunnel is open."""

    request: Request
    ui_home: str | None
    hosts: set[str]
    place: Place
    thread: str
    stop: threading.Event


class Tunnels:
    """The tunnels of one service, by the task whose instance they lead to. Any thread may call every method."""

    def __init__(
        self,
        installs: Installs,
        connector: SshConnector,
        background: BackgroundTaskManager,
        settings: Settings,
        capacity: Capacity,
    ) -> None:
        self._installs = installs
        self._connector = connector
        self._background = background
        self._timeouts = settings.timeouts
        self._names = frozenset(bracketed(name.lower()) for name in settings.allowed_hosts)
        self._capacity = capacity
        self._lock = threading.Lock()
        self._tunnels: dict[str, Tunnel] = {}
        self._kept: dict[str, _Kept] = {}
        self._numbers = itertools.count(1)

    def open(self, task_id: str, page_host: str = "127.0.0.1") -> Tunnel:
        """Opens the tunnel unless it is open or being opened; how it stands now. A page at `page_host` may lead to it.

        Raises TaskNotFound, TooManyTunnels, ServiceBusy."""
        record, status = self._installs.look(task_id)
        request = read_request(record.request)
        home = asked_for.home(status.snapshot.probe.get("ui_home"), request.ui_home)  # where the run found it
        with self._lock:
            if task_id in self._kept:
                self._kept[task_id].hosts.update(hosts_for(page_host))
                return self._tunnels[task_id]
            if len(self._kept) >= MAX_TUNNELS:
                raise TooManyTunnels
            place = self._capacity.acquire(Kind.INSTANCES)
            if place is None:
                raise ServiceBusy
            # A number for each: the thread before may have let go of the tunnel and not have ended.
            thread = f"tunnel-{task_id}-{next(self._numbers)}"
            kept = _Kept(request, home, set(hosts_for(page_host)), place, thread, threading.Event())
            self._kept[task_id] = kept
            tunnel = self._tunnels[task_id] = Tunnel("opening")
        try:
            self._background.start_task(thread, self._keep, task_id, kept)
        except RuntimeError:  # the system gives no more threads
            place.release()
            with self._lock:
                del self._kept[task_id], self._tunnels[task_id]
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
            kept = self._kept.get(task_id)
        if kept is not None:
            kept.stop.set()
            self._background.wait(kept.thread, 2.0)
        return self.look(task_id)

    def close_all(self) -> None:
        """Closes every tunnel, without waiting."""
        with self._lock:
            for kept in self._kept.values():
                kept.stop.set()

    def _keep(self, task_id: str, kept: _Kept) -> None:
        """A tunnel's thread, from the connection to its end."""
        tunnel = Tunnel("closed", reason=_WHY["stopped"])
        try:
            tunnel = self._serve(task_id, kept)
        except AppError as error:
            tunnel = Tunnel("failed", error=error.to_json())
        except OSError as exc:
            message = f"No port could be opened on the service's machine: {exc}."
            tunnel = Tunnel("failed", error={"code": "no_port", "message": message, "hint": ""})
        finally:
            kept.place.release()
            with self._lock:
                del self._kept[task_id], self._tunnels[task_id]
                self._tunnels[task_id] = tunnel
                closed = [each for each in self._tunnels if each not in self._kept]
                for each in closed[:-MAX_CLOSED_TUNNELS]:
                    del self._tunnels[each]

    def _serve(self, task_id: str, kept: _Kept) -> Tunnel:
        request, expected = kept.request, kept.request.options.host_key_sha256
        with self._connector.asking_first(request.options.first_contact == "ask").connect(
            request.address, host_key_sha256=expected, cancel=kept.stop, meter=Meter(), task_id=task_id
        ) as host:
            client = RunnerClient(host, pack_runner(), replace(self._timeouts))
            client.ensure_uploaded()
            port = client.probe(kept.ui_home, request.venv_path).comfyui_port
            if port is None:
                raise ComfyUiNotRunning
            forward = Forward(host, port, names=self._names, hosts=kept.hosts)
            _log.info("task %s: port %d of the instance is at port %d here", task_id, port, forward.access.port)
            with self._lock:
                self._tunnels[task_id] = Tunnel("open", forward.access)
            kept.place.release()
            return Tunnel("closed", reason=_WHY[forward.serve(kept.stop)])
