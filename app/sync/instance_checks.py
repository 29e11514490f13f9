"""Looking at an instance now: what opens connections besides an install's thread, each with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from app.domain.address import SshAddress
from app.domain.errors import AppError, AuthenticationFailed, CommandTimedOut, HostKeyMismatch, RunnerError
from app.domain.hostkeys import HostKey, HostKeyPins, same_fingerprint
from app.protocol import progress_json
from app.remote.connector import SshConnector
from app.remote.deadline import Deadline
from app.remote.packer import pack_runner
from app.remote.runner_client import RunnerClient
from app.remote.web_text import Open, Stream, read_text
from app.settings import Timeouts

READ_SECONDS = 20.0
"""For reading a text of the web through an instance, connecting included."""


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
        patience: float | None = None,
        asks_first: bool = False,
    ) -> dict[str, Any]:
        """Connects, has the runner there, and probes, in `timeout` seconds in all. Nothing is installed. `cancel` ends
        the connecting, and so do `patience` seconds without a greeting; `asks_first`: the key of a
        new machine is not trusted by itself (HostKeyUnknown).

        Raises RemoteError and RunnerError with the reason."""
        deadline = time.monotonic() + timeout
        timeouts = replace(self._timeouts, connect=min(timeout, self._timeouts.connect))
        connector = self._connector_with(timeouts)
        connector = connector.asking_first() if asks_first else connector
        with connector.connect(address, host_key_sha256=host_key_sha256, cancel=cancel, patience=patience) as host:
            client = RunnerClient(host, pack_runner(), replace(timeouts, command=_left(deadline)))
            client.ensure_uploaded()
            probe = client.probe(ui_home, timeout=_left(deadline))
            ours = {"success": True, "endpoint": str(host.endpoint), "host_key": key_json(host.host_key)}
            return {**probe.to_json(), **ours}  # nothing that an instance says stands in the place of what is known

    def read_web(self, address: SshAddress, url: str) -> bytes:
        """A small text of the web, read through an instance that is trusted already. Raises RemoteError."""
        deadline = time.monotonic() + READ_SECONDS
        with self.web_through(address) as open_stream:
            return read_text(url, _left(deadline), open_stream)

    @contextmanager
    def web_through(self, address: SshAddress) -> Iterator[Open]:
        """The network of an instance that is trusted already, over one connection. Raises RemoteError."""
        timeouts = replace(self._timeouts, connect=min(READ_SECONDS, self._timeouts.connect))
        with self._connector_with(timeouts).asking_first().connect(address) as host:

            def open_tunnel(name: str, port: int, left: Deadline) -> Stream:
                return host.open_tunnel(name, port, left.remaining)

            yield open_tunnel

    def host_keys(self) -> list[dict[str, Any]]:
        """Every pinned key, oldest first."""
        return [key_json(key) for key in self._pins.all()]

    def scan(self, address: SshAddress) -> dict[str, Any]:
        """The key that the instance shows now, which is neither trusted nor logged in to. A jump host on the way is:
        trusted at first sight. Raises RemoteError."""
        return key_json(self._connector_with(self._timeouts).scan_host_key(address))

    def accept(self, address: SshAddress, sha256: str) -> dict[str, Any]:
        """Pins the key that the instance shows now in place of the ones before, if it has this fingerprint; or the key
        of a jump host on the way, which stands before the instance's.

        Raises HostKeyMismatch, RemoteError."""
        key = self._shown_with(address, sha256)
        if not same_fingerprint(key.sha256, sha256):
            message = f"{key.address} has the {key.key_type} key {key.sha256}, not {sha256}."
            hint = "Nothing was trusted. Test the connection again, and look at the key that is there now."
            raise HostKeyMismatch(message, hint=hint, field="sha256")
        accepted = replace(key, added_at=time.time(), source="accepted")
        self._pins.replace(accepted)
        return key_json(accepted)

    def _shown_with(self, address: SshAddress, sha256: str) -> HostKey:
        try:
            return self._connector_with(self._timeouts).asking_first().scan_host_key(address)
        except HostKeyMismatch as met:  # a jump host that is new, or has another key than before
            if met.presented is None or not same_fingerprint(met.presented.sha256, sha256):
                raise
            return met.presented

    def forget(self, host: str, port: int) -> int:
        """Unpins every key of this address; how many there were."""
        return self._pins.forget(host, port)


def shown_by(error: AppError) -> dict[str, Any]:
    """What a person needs for the decision that a failed test asks for: the key that was shown and those before it,
    the SSH keys that could not be tried, or the ComfyUIs that there are."""
    if isinstance(error, HostKeyMismatch) and error.presented:
        known = [key_json(key) for key in error.known]
        return {
            "host_key": key_json(error.presented),
            "known_host_keys": known,
            "is_jump_host": error.is_jump_host,
        }
    if isinstance(error, AuthenticationFailed):
        return {"unusable_keys": list(error.unusable)}
    homes = error.ui_homes if isinstance(error, RunnerError) else ()
    return {"ui_homes": [asdict(home) for home in homes]} if homes else {}


def _left(deadline: float) -> float:
    """Seconds to `deadline`. Raises CommandTimedOut when it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise CommandTimedOut("The instance did not answer all questions in time.")
    return left


def key_json(key: HostKey) -> dict[str, Any]:
    """A key as the API shows it."""
    return {**asdict(key), "added_at": progress_json.iso(key.added_at) if key.added_at else None}
