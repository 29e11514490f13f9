"""Connecting to an instance: TCP, host key, login, each within one deadline."""

from __future__ import annotations

import copy
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain.address import MAX_JUMPS, SshAddress, parse_hop
from app.domain.errors import AuthenticationFailed, ConnectFailed, HostKeyMismatch
from app.domain.hostkeys import HostKey, HostKeyPins, same_fingerprint
from app.remote import ssh_config
from app.remote.config_file import Local
from app.remote.deadline import Deadline
from app.remote.gate import Gate
from app.remote.host import CommandAudit, RemoteHost
from app.remote.keys import collect_keys
from app.remote.login import log_in
from app.remote.pace import LOOK, Meter
from app.remote.ssh_config import Endpoint
from app.remote.tcp import has_spoken, open_socket
from app.remote.transport import ConnectionDropped, NoCommonKeyType, ServiceTransport, SshSocket, handshake
from app.remote.trust import KEY_TYPE_FAMILIES, HostKeyTrust
from app.settings import Timeouts

_FIRST_BACK_OFF_SECONDS = 0.1
_MAX_BACK_OFF_SECONDS = 2.0
_GATE = Gate()
_SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True)
class _Route:
    """How to get a socket to an endpoint: directly, or through the instance `via`."""

    endpoint: Endpoint
    via: RemoteHost | None
    meter: Meter
    asks_first: bool = False
    """Whether a key that is met for the first time is not trusted without a person."""

    def open(self, deadline: Deadline) -> SshSocket:
        if self.via is None:
            return open_socket(self.endpoint.host, self.endpoint.port, deadline)
        return self.via.open_tunnel(self.endpoint.host, self.endpoint.port, deadline.remaining)

    def close(self) -> None:
        if self.via is not None:
            self.via.close()


class SshConnector:
    """Opens connections to instances. One per service; every method may be called from any thread."""

    def __init__(
        self,
        pins: HostKeyPins,
        timeouts: Timeouts,
        *,
        key_files: tuple[str, ...] = (),
        ssh_dir: Path | None = None,
        now: Callable[[], float] = time.time,
        local: Local | None = None,
        system_config: Path | None = None,
        audit: Callable[[str | None], CommandAudit] | None = None,
        on_host: str = "",
        gate: Gate | None = None,
    ) -> None:
        """`key_files`: private keys to try besides the user's; `ssh_dir`: the user's `~/.ssh`; `now`: Unix seconds;
        `local`: who asks; `system_config`: read after the user's (default: the machine's, without an `ssh_dir`);
        `audit`: what notes the commands of a task's connection; `on_host`: this machine's name, which refused logins
        then say: another one of the same service may have other keys; `gate`: how many greet at once (default: the
        process's)."""
        self._on_host = on_host
        self._audit = audit
        self._gate = gate or _GATE
        self.asks_first = False
        self._timeouts = timeouts
        self._key_files = key_files
        self._ssh_dir = ssh_dir or Path.home() / ".ssh"
        self._local = local or ssh_config.this_user()
        self._system_config = system_config or (ssh_config.SYSTEM_CONFIG if ssh_dir is None else None)
        files = [self._ssh_dir / "known_hosts", self._ssh_dir / "known_hosts2"]
        self._trust = HostKeyTrust(pins, (*files, *([] if ssh_dir else [_SYSTEM_KNOWN_HOSTS])), now)

    def asking_first(self, asks: bool = True) -> SshConnector:
        """The same, but a person decides about the key of an instance or jump host that is met for the first time:
        `connect` raises HostKeyUnknown. Not `asks`: the same."""
        asking = copy.copy(self)
        asking.asks_first = asks
        return asking

    def resolve(self, address: SshAddress) -> Endpoint:
        """Where `address` leads after `~/.ssh/config`. Raises RemoteError when that file cannot be used."""
        return ssh_config.resolve(address, self._ssh_dir, self._local, self._system_config)

    def connect(
        self,
        address: SshAddress,
        *,
        host_key_sha256: str | None = None,
        cancel: threading.Event | None = None,
        patience: float | None = None,
        meter: Meter | None = None,
        task_id: str | None = None,
    ) -> RemoteHost:
        """A logged-in connection, within `timeouts.connect` as a whole, dropped greetings being retried.

        `host_key_sha256`: the only fingerprint to accept; `patience`: within how many of these seconds the instance has
        to greet (default: all of them); `meter`: how fast and how much is read (default: as much as
        a few questions need); `task_id`: what the commands are for. Raises ConnectFailed (code `cancelled` soon after
        `cancel` is set), AuthenticationFailed, HostKeyMismatch, RemoteError.
        """
        endpoint = self.resolve(address)
        deadline = Deadline(self._timeouts.connect, str(endpoint), cancel, patience)
        try:
            host = self._connect(endpoint, host_key_sha256, deadline, 0, meter or Meter(LOOK))
        except AuthenticationFailed as exc:
            if self._on_host:
                exc.message += f" This was tried on the host {self._on_host}."
            raise
        host.audit = self._audit(task_id) if self._audit else None
        return host

    def scan_host_key(self, address: SshAddress) -> HostKey:
        """The host key that the instance shows now, without logging in to it and without pinning it.

        A known type of key is asked for first. Raises RemoteError; a jump host is logged in to.
        """
        endpoint = self.resolve(address)
        deadline = Deadline(self._timeouts.connect, str(endpoint))
        route = self._route(endpoint, deadline, 0, Meter(LOOK))
        try:
            transport = self._greet(route, deadline, self._trust.preferred_types(endpoint))
            try:
                return self._trust.shown_by(transport, endpoint, source="scan")
            finally:
                transport.close()
        finally:
            route.close()

    def _connect(
        self, endpoint: Endpoint, sha256: str | None, deadline: Deadline, depth: int, meter: Meter
    ) -> RemoteHost:
        route = self._route(endpoint, deadline, depth, meter)
        try:
            transport, host_key = self._verified(route, sha256, deadline.greeting)
            try:
                ring = collect_keys(route.endpoint, self._key_files, self._ssh_dir, deadline)
            except BaseException:
                transport.close()
                raise
            with closing(ring):
                transport = log_in(
                    transport, lambda: self._verified(route, sha256, deadline)[0], route.endpoint, ring, deadline
                )
            return RemoteHost(transport, endpoint, host_key, self._timeouts, via=route.via)
        except BaseException:
            route.close()
            raise

    def _route(self, endpoint: Endpoint, deadline: Deadline, depth: int, meter: Meter) -> _Route:
        """`meter`: of the connection. One that goes through a jump host is read at the jump host's pace as well."""
        if not endpoint.jump:
            return _Route(endpoint, None, meter, self.asks_first)
        if depth >= MAX_JUMPS:
            raise ConnectFailed(
                f"More than {MAX_JUMPS} jump hosts stand between here and {endpoint}.", code="too_many_jumps"
            )
        before, _, last = endpoint.jump.rpartition(",")
        hop = self.resolve(replace(parse_hop(last), jump=before or None))
        try:
            via = self._connect(hop, None, deadline, depth + 1, Meter(meter.pace))
        except HostKeyMismatch as error:
            error.is_jump_host = True
            raise
        return _Route(endpoint, via, meter, self.asks_first)

    def _verified(self, route: _Route, sha256: str | None, deadline: Deadline) -> tuple[ServiceTransport, HostKey]:
        """Opens a connection and checks its host key. Nothing about the user has been sent yet."""
        if sha256 is not None:
            return self._verified_by_sha256(route, sha256, deadline)
        transport = self._greet(route, deadline, self._trust.preferred_types(route.endpoint))
        try:
            presented = self._trust.shown_by(transport, route.endpoint)
            self._trust.check(route.endpoint, presented, asks_first=route.asks_first)
        except BaseException:
            transport.close()
            raise
        return transport, presented

    def _verified_by_sha256(self, route: _Route, sha256: str, deadline: Deadline) -> tuple[ServiceTransport, HostKey]:
        """Asks for one key type after another until the server presents the fingerprint: it shows one a connection."""
        seen: list[HostKey] = []
        for key_types in ((), *KEY_TYPE_FAMILIES):
            try:
                transport = self._greet(route, deadline, key_types)
            except NoCommonKeyType:
                if not seen:
                    raise
                continue
            presented = self._trust.shown_by(transport, route.endpoint)
            seen = [key for key in seen if key != presented] + [presented]
            if same_fingerprint(presented.sha256, sha256):
                self._trust.check_sha256(seen, sha256)
                return transport, presented
            transport.close()
        self._trust.check_sha256(seen, sha256)
        raise AssertionError("check_sha256 raises when no key matches")

    def _greet(self, route: _Route, deadline: Deadline, key_types: tuple[str, ...]) -> ServiceTransport:
        """Makes the SSH handshake, and repeats it when the server drops the connection (its MaxStartups)."""
        back_off = _FIRST_BACK_OFF_SECONDS
        while True:
            sock = route.open(deadline)
            try:
                with self._turn(sock, deadline):
                    return handshake(sock, str(route.endpoint), deadline, key_types, meter=route.meter)
            except ConnectionDropped as exc:
                if deadline.remaining < _FIRST_BACK_OFF_SECONDS:
                    raise
                dropped = exc
            pause = min(back_off * random.uniform(0.5, 1.0), deadline.remaining / 2)  # noqa: S311 - no secret
            deadline.pause(pause, dropped.message)
            back_off = min(2 * back_off, _MAX_BACK_OFF_SECONDS)

    @contextmanager
    def _turn(self, sock: SshSocket, deadline: Deadline) -> Iterator[None]:
        """For the block, this greeting is one of few at once. One with whom nobody speaks waits for nobody, nor does
        anybody wait for it: it costs nothing."""
        try:
            speaks = not isinstance(sock, socket.socket) or has_spoken(sock, deadline)
            with self._gate.passing(deadline, "SSH greeting") if speaks else nullcontext():
                yield
        except BaseException:
            sock.close()
            raise
