"""A line to PostgreSQL, of which one connection can be cut without a word: neither bytes nor an end come over it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self


class SwallowingLine:
    """A relay on loopback; a context manager. `swallow` drops what the server says on connections whose client has said
    `name` when it connected."""

    def __init__(self, port: int, name: bytes) -> None:
        self._port = port
        self._name = name
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.swallow = threading.Event()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._listener.settimeout(0.2)
        while not self._closing.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                self._start(self._relay, client)

    def _relay(self, client: socket.socket) -> None:
        is_named = False
        with client, selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._port))
            with server:
                for each in (client, server):
                    ready.register(each, selectors.EVENT_READ)
                while not self._closing.is_set():
                    for key, _ in ready.select(0.2):
                        content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not content:
                            return
                        if key.fileobj is client:
                            is_named = is_named or self._name in content
                            server.sendall(content)
                        elif not (is_named and self.swallow.is_set()):
                            client.sendall(content)
