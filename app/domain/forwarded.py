"""What a proxy says of a request that it passes on: who asked, by which name, over what, below which path. Pure.

Believed only of a proxy that is trusted. Of a chain of them, the client is the rightmost address that is not one of
theirs: everything to the left of it anybody could have written.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.domain.errors import InvalidRequest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HEADERS = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
)
_MOST_HOPS = 32
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]%-]{1,260}")
_PAIR = re.compile(r"""\s*([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s";,]*)\s*""")
_OURS = (
    "docs",
    "fleet",
    "health",
    "host-keys",
    "instances",
    "ssh-keys",
    "manifests",
    "metrics",
    "notifications",
    "openapi.json",
    "runs",
    "session",
    "ssh",
    "status",
    "tasks",
    "templates",
    "ui",
    "workflow",
    "workflow-answers",
    "workflow-files",
    "workflow-proofs",
    "workflows",
)
"""Where our own routes begin: a path of a proxy that begins so could not be told from them."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What is believed of one request. `client`: an address. `host`: as the browser has it, "" where nobody said so.
    `scheme`: http or https, "" where nobody said so. `prefix`: the path that the proxy adds, without a slash at its
    end."""

    client: str
    host: str = ""
    scheme: str = ""
    prefix: str = ""


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of addresses and CIDRs. Raises InvalidRequest naming the one that is none."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text.strip("[]"), strict=False))
        except ValueError:
            raise InvalidRequest(
                f"trusted_proxies has {text[:80]!r}, which is neither an address nor a network.",
                hint="Write addresses (10.0.0.5) or networks (10.0.0.0/8), with commas between them.",
                field="trusted_proxies",
            ) from None
    return tuple(found)


def prefix_of(text: str) -> str:
    """A path that a proxy adds, as `/one/two`; "" for none. Raises InvalidRequest for what is no path, or could not be
    told from our own."""
    path = text.strip().rstrip("/")
    path = path if not path or path.startswith("/") else f"/{path}"
    if path and not is_prefix(path):
        raise InvalidRequest(
            f"path_prefix is {text[:80]!r}, which is no path.",
            hint="Write a path such as /nodeferry.",
            field="path_prefix",
        )
    if path.split("/")[1:2] and path.split("/")[1] in _OURS:
        raise InvalidRequest(
            f"path_prefix begins with /{path.split('/')[1]}, where Nodeferry's own pages begin.",
            hint="Choose another path at the proxy, such as /nodeferry.",
            field="path_prefix",
        )
    return path


def is_prefix(path: str) -> bool:
    """Whether this can be a path that a proxy adds: never another host's address."""
    return len(path) <= 200 and bool(_PREFIX.fullmatch(path)) and not {".", ".."} & set(path.split("/"))


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Whether this is the address of a proxy that is trusted."""
    found = _address(address) if trusted else None
    return found is not None and any(found in network for network in trusted if network.version == found.version)


def passed(peer: str, headers: Mapping[str, str], trusted: Sequence[Network]) -> Passed:
    """What is believed of a request that came from `peer`. `headers`: those of HEADERS that it has, by these names."""
    if not is_trusted(peer, trusted):
        return Passed(peer)
    # A proxy that writes X-Forwarded-* may pass on a Forwarded that the client wrote.
    if any(name.startswith("X-") for name in headers):
        hops = _listed(headers.get("X-Forwarded-For", ""))
        protos, hosts = (_listed(headers.get(f"X-Forwarded-{name}", "")) for name in ("Proto", "Host"))
    else:
        elements = [_pairs(element) for element in _elements(headers.get("Forwarded", ""))]
        hops, protos, hosts = ([element.get(name, "") for element in elements] for name in ("for", "proto", "host"))
    client, number = _client(peer, hops, trusted)
    scheme = _nth(protos, number).lower()
    host = _nth(hosts, number)
    host = host if _HOST.fullmatch(host) else ""
    port = headers.get("X-Forwarded-Port", "").strip()
    if host and port.isdecimal() and len(port) <= 5 and not re.search(r":\d+$", host):
        host = f"{host}:{port}"
    prefix = _listed(headers.get("X-Forwarded-Prefix", ""))[-1:]
    path = prefix[0].rstrip("/") if prefix else ""
    return Passed(client, host, scheme if scheme in {"http", "https"} else "", path if is_prefix(path) else "")


def _client(peer: str, hops: Sequence[str], trusted: Sequence[Network]) -> tuple[str, int]:
    """The client, and how many of the list's entries, from its end, trusted proxies have written."""
    client = peer
    for number, hop in enumerate(reversed(hops[-_MOST_HOPS:]), 1):
        found = _address(hop)
        if found is None:  # "unknown", a name, or nonsense: whoever wrote it, nothing before it counts
            return client, number
        client = str(found)
        if not is_trusted(client, trusted):
            return client, number
    return client, max(1, len(hops))


def _nth(values: Sequence[str], number: int) -> str:
    """The value of the outermost trusted proxy. Where each proxy replaces it, there is only one."""
    return values[-min(number, len(values))] if values else ""


def _address(text: str) -> Address | None:
    """The address of a hop: with a port, in brackets, in quotes; an IPv4 one that is written as IPv6 is IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _elements(text: str) -> list[str]:
    """The elements of a Forwarded header (RFC 7239); a comma in quotes ends none."""
    return [found for found in re.findall(r"""(?:"(?:[^"\\]|\\.)*"|[^",])+""", text) if found.strip()]


def _pairs(element: str) -> dict[str, str]:
    found = {}
    for part in re.findall(r"""(?:"(?:[^"\\]|\\.)*"|[^";])+""", element):
        pair = _PAIR.fullmatch(part)
        if pair:
            value = pair[2]
            found[pair[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    return found
