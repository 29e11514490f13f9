"""The addresses by which other machines may reach this one."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys

_ASK_ADDRESS = 0x8915
"""Linux's SIOCGIFADDR (netdevice(7)): the IPv4 address of an interface."""
_INSIDE = ("lo", "docker", "br-", "veth", "virbr", "cni", "flannel")
"""Interfaces that lead to this machine itself or to its containers."""
_MOST = 4


def own_addresses() -> list[str]:
    """IPv4 addresses, the one of the usual way out first; not those of loopback and of networks of containers."""
    found = [_way_out(), *_of_interfaces()]
    return [address for address in dict.fromkeys(found) if address and not address.startswith("127.")][:_MOST]


def _way_out() -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(("192.0.2.1", 9))  # sends nothing: only asks which address a packet would have
            return str(asking.getsockname()[0])
    except OSError:
        return ""


def _of_interfaces() -> list[str]:
    if sys.platform != "linux":
        return []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        names = [name for _number, name in socket.if_nameindex() if not name.startswith(_INSIDE)]
        return [address for address in (_of_interface(asking, name) for name in names) if address]


def _of_interface(asking: socket.socket, name: str) -> str:
    try:
        answer = fcntl.ioctl(asking.fileno(), _ASK_ADDRESS, struct.pack("256s", name.encode()[:15]))
    except OSError:  # it is down, or has only IPv6
        return ""
    return socket.inet_ntoa(answer[20:24])
