"""Looking at an instance now: what opens connections besides an install's thread, each with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from app.domain.address import SshAddress
from app.domain.errors import CommandTimedOut, HostKeyMismatch
from app.domain.hostkeys import HostKey, HostKeyPins, same_fingerprint
from app.protocol import progress_json
from app.remote.connector import SshConnector
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.settings import Timeouts


class InstanceChecks:
    """Tests of instances, and the host keys that are trusted. Every method may be called from any thread."""

    def __init__(
        self, pins: HostKeyPins, connector_with: Callable[[Timeouts], SshConnector], timeouts: Timeouts
    ) -> None:
        """`connector_with`: a connector with these deadlines, on the same pins and keys."""
        self._pins = pins
        self._connector_with = connector_with
        self._timeouts = timeouts

    def test(
        self,
        address: SshAddress,
        ui_home: str | None = None,
        host_key_sha256: str | None = None,
        timeout: float = 30.0,
        *,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Connects, has the runner there, and probes, in `timeout` seconds in all. Nothing is installed. `cancel` ends
        the connecting.

        Raises RemoteError and RunnerError with the reason."""
        deadline = time.monotonic() + timeout
        timeouts = replace(self._timeouts, connect=min(timeout, self._timeouts.connect))
        with self._connector_with(timeouts).connect(address, host_key_sha256=host_key_sha256, cancel=cancel) as host:
            client = RunnerClient(host, pack_runner(), replace(timeouts, command=_left(deadline)))
            client.ensure_uploaded()
            probe = client.probe(ui_home, timeout=_left(deadline))
            ours = {"success": True, "endpoint": str(host.endpoint), "host_key": _key_json(host.host_key)}
            return {**probe.to_json(), **ours}  # nothing that an instance says stands in the place of what is known

    def host_keys(self) -> list[dict[str, Any]]:
        """Every pinned key, oldest first."""
        return [_key_json(key) for key in self._pins.all()]

    def scan(self, address: SshAddress) -> dict[str, Any]:
        """The key that the instance shows now; nothing is trusted or logged in to. Raises RemoteError."""
        return _key_json(self._connector_with(self._timeouts).scan_host_key(address))

    def accept(self, address: SshAddress, sha256: str) -> dict[str, Any]:
        """Pins the key that the instance shows now in place of the ones before, if it has this fingerprint.

        Raises HostKeyMismatch, RemoteError."""
        key = self._connector_with(self._timeouts).scan_host_key(address)
        if not same_fingerprint(key.sha256, sha256):
            message = f"{key.address} has the {key.key_type} key {key.sha256}, not {sha256}."
            raise HostKeyMismatch(message, field="sha256")
        accepted = replace(key, added_at=time.time(), source="accepted")
        self._pins.replace(accepted)
        return _key_json(accepted)

    def forget(self, host: str, port: int) -> int:
        """Unpins every key of this address; how many there were."""
        return self._pins.forget(host, port)


def _left(deadline: float) -> float:
    """Seconds to `deadline`. Raises CommandTimedOut when it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise CommandTimedOut("The instance did not answer all questions in time.")
    return left


def _key_json(key: HostKey) -> dict[str, Any]:
    """A key as the API shows it."""
    return {**asdict(key), "added_at": progress_json.iso(key.added_at) if key.added_at else None}
