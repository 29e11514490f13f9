"""The socket that the service listens on: bound before anything else starts, so that a taken port is known at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from app.cli.errors import CliError
from app.domain.host_port import join_host_port
from app.settings import DEFAULT_PORT

PORTS_TO_TRY = 20


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
    return f"http://{join_host_port({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}"  # noqa: S104


def outer_url_of(listener: socket.socket) -> str:
    """Where other machines most likely reach the socket."""
    host, port = listener.getsockname()[:2]
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        return url_of(listener)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(("192.0.2.1", 9))  # sends nothing: only asks which address a packet would have
            return f"http://{join_host_port(asking.getsockname()[0], port)}"
    except OSError:
        return local_url_of(listener)


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
