"""The socket that the service listens on: bound before anything else starts, so that a taken port is known at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from app.cli.errors import CliError
from app.cli.server.own_addresses import own_addresses
from app.domain.access import is_loopback
from app.domain.host_port import join_host_port
from app.settings import DEFAULT_PORT

PORTS_TO_TRY = 20
ANSWER_SECONDS = 0.5
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


def bind(host: str, port: int, *, explicit: bool, say: Callable[[str], None]) -> socket.socket:
    """A bound TCP socket. A taken `port` is an error when `explicit`, else `say` names it and the next is tried."""
    ports = [port] if explicit or port == 0 else range(port, port + PORTS_TO_TRY)
    for candidate in ports:
        try:
            found = _bound(host, candidate)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise CliError(
                    f"The service cannot listen on {host}, port {candidate}: {exc.strerror or exc}."
                ) from exc
            continue
        if candidate != port:
            say(f"Port {port} is in use; using {candidate}.")
        return found
    what = f"Port {port} is in use." if len(ports) == 1 else f"Ports {ports[0]} to {ports[-1]} are in use."
    raise CliError(what, hint="Choose a free one with --port, or let --port 0 choose.")


def url_of(listener: socket.socket) -> str:
    """http://HOST:PORT of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{join_host_port(host, port)}"


def local_url_of(listener: socket.socket) -> str:
    """Where this machine reaches the socket: a wildcard is no address to go to."""
    host, port = listener.getsockname()[:2]
    return f"http://{join_host_port(_WILDCARDS.get(host, host), port)}"


def outer_urls_of(listener: socket.socket) -> list[str]:
    """Where other machines reach the socket, the likeliest first; none for a socket of loopback. The socket listens:
    each address is asked whether it answers."""
    host, port = listener.getsockname()[:2]
    if host not in _WILDCARDS:
        return [] if is_loopback(host) else [url_of(listener)]
    return [f"http://{join_host_port(address, port)}" for address in own_addresses() if _answers(address, port)]


def is_default(port: int) -> bool:
    """Whether nobody asked for this port."""
    return port == DEFAULT_PORT


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        return found
    except OSError:
        found.close()
        raise


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), ANSWER_SECONDS):
            return True
    except OSError:
        return False
