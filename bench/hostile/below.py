"""What is done to a connection before SSH is spoken over it."""

from __future__ import annotations

import socket
from collections.abc import Callable

from bench.hostile.pace import Pace
from bench.hostile.script import Script

_BANNER = b"SSH-2.0-OpenSSH_9.6\r\n"


def play(sock: socket.socket, script: Script, pace: Pace) -> None:
    """To the end of the lie. Raises OSError when the other side has gone."""
    sock.settimeout(5.0)
    _PLAYS[script.what](sock, script, pace)


def _banner_without_end(sock: socket.socket, _script: Script, pace: Pace) -> None:
    pace.repeat(lambda: _send(sock, b"S" * 4096))


def _lines_without_end(sock: socket.socket, _script: Script, pace: Pace) -> None:
    pace.repeat(lambda: _send(sock, b"Welcome to a machine that has much to say.\r\n" * 64))


def _drip(sock: socket.socket, _script: Script, pace: Pace) -> None:
    for number in pace.rounds(0.2):
        _send(sock, _BANNER[number : number + 1] or b"-")


def _random_packets(sock: socket.socket, script: Script, pace: Pace) -> None:
    dice = script.dice("packets")
    _send(sock, _BANNER)
    _hear(sock)
    pace.repeat(lambda: _send(sock, dice.randbytes(2048)))


def _large_packet(sock: socket.socket, _script: Script, pace: Pace) -> None:
    _send(sock, _BANNER + b"\xff\xff\xff\xfc\x04\x14")
    pace.repeat(lambda: _send(sock, bytes(4096)))


def _http(sock: socket.socket, _script: Script, _pace: Pace) -> None:
    _send(sock, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def _other_version(sock: socket.socket, _script: Script, pace: Pace) -> None:
    _send(sock, b"SSH-1.5-\x1b]52;c;ZXZpbA==\x07old\r\n")
    pace.hold(1.0)


def _kex_begun(sock: socket.socket) -> None:
    """A true beginning of a key exchange: what the other side sent, sent back (its names are ours as well)."""
    _send(sock, _BANNER)
    said = _hear(sock)
    _send(sock, said.partition(b"\n")[2] or _hear(sock))


def _closes_in_kex(sock: socket.socket, _script: Script, pace: Pace) -> None:
    _kex_begun(sock)
    pace.hold(0.2)


def _stops_in_kex(sock: socket.socket, _script: Script, pace: Pace) -> None:
    _kex_begun(sock)
    pace.stay()


def _closes_after_banner(sock: socket.socket, _script: Script, _pace: Pace) -> None:
    _send(sock, _BANNER)


def _send(sock: socket.socket, content: bytes) -> int:
    sock.sendall(content)
    return len(content)


def _hear(sock: socket.socket) -> bytes:
    return sock.recv(65536)


_PLAYS: dict[str, Callable[[socket.socket, Script, Pace], None]] = {
    "silent": lambda _sock, _script, pace: pace.stay(),
    "banner without end": _banner_without_end,
    "lines before the banner without end": _lines_without_end,
    "banner a byte at a time": _drip,
    "closes at once": lambda _sock, _script, _pace: None,
    "closes after the banner": _closes_after_banner,
    "speaks HTTP": _http,
    "banner of another version": _other_version,
    "key exchange of random bytes": _random_packets,
    "a packet of 4 GB": _large_packet,
    "closes in the key exchange": _closes_in_kex,
    "stops in the key exchange": _stops_in_kex,
}
