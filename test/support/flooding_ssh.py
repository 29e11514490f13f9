"""An SSH server that sends as much as it likes: it heeds no window."""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import paramiko
from paramiko.common import cMSG_CHANNEL_DATA

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"


class _LetsIn(paramiko.ServerInterface):
    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]


class FloodingSshServer:
    """Serves one connection; floods its first channel until the other side ends it."""

    def __init__(self, host_key: Path) -> None:
        self._key = paramiko.Ed25519Key(filename=str(host_key))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="flooding")
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._pool.submit(self._serve)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._pool.shutdown(wait=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            transport = paramiko.Transport(self._listening.accept()[0])
            try:
                transport.add_server_key(self._key)
                transport.start_server(server=_LetsIn())
                channel = transport.accept(30)
                if channel is not None:
                    self._flood(transport, channel)
            finally:
                transport.close()

    def _flood(self, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        chunk = _HEAD
        while transport.is_active() and not self._ended.is_set():
            message = paramiko.Message()
            message.add_byte(cMSG_CHANNEL_DATA)
            message.add_int(channel.remote_chanid)
            message.add_string(chunk)
            transport._send_user_message(message)  # type: ignore[attr-defined]
            chunk = bytes(30_000)
