"""A host and a port as one text: `host:port`, an IPv6 address in brackets."""

from __future__ import annotations


def bracketed(host: str) -> str:
    """`host` as URLs and `Host` headers have it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def join_host_port(host: str, port: int) -> str:
    """`host:port` or `[address]:port`."""
    return f"{bracketed(host)}:{port}"


def split_host_port(text: str) -> tuple[str, int]:
    """The host and the port of `host:port` or `[address]:port`. Raises ValueError for anything else."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535
    if not host or not host.isprintable() or not is_port:
        raise ValueError("not HOST:PORT")
    return host, int(port)
