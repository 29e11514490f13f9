"""A TCP relay on loopback, to put between a client and an sshd: a line that can freeze and be cut."""

from __future__ import annotations

import socket
import threading
from types import TracebackType

_CHUNK = 64 * 1024
_JOIN_SECONDS = 5.0


class Relay:
    """Forwards connections to `host:port`; a context manager. All methods may be called from any thread.

    Frozen, it accepts connections and forwards nothing, in neither direction, and closes nothing: what a proxy that has
    lost its other side looks like.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """Nothing happens before `start`."""
        self._target = (host, port)
        self._flowing = threading.Event()
        self._flowing.set()
        self._closing = False
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()

    def __enter__(self) -> Relay:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def host(self) -> str:
        """Where it listens."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The port that it listens on; known after `start`."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Listen on a free port."""
        self._listener.bind((self.host, 0))
        self._listener.listen(64)
        self._run(self._accept)

    def freeze(self) -> None:
        """Stop forwarding, without closing anything."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Forward again, what was held back first."""
        self._flowing.set()

    def cut(self) -> None:
        """Close every connection, both sides; new ones are accepted."""
        with self._lock:
            sockets = list(self._sockets)
        for end in sockets:
            _shut(end)

    def close(self) -> None:
        """Cut all, stop listening, wait for the threads."""
        self._closing = True
        _shut(self._listener)
        self.cut()
        self._flowing.set()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(_JOIN_SECONDS)
        self._listener.close()

    def _run(self, target: object, *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, name="relay", daemon=True)  # type: ignore[arg-type]
        with self._lock:
            self._threads = [*(t for t in self._threads if t.is_alive()), thread]
            thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:  # shut down
                return
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets |= {client, server}
            self._run(self._forward_both, client, server)

    def _forward_both(self, client: socket.socket, server: socket.socket) -> None:
        back = threading.Thread(target=self._forward, args=(server, client), name="relay", daemon=True)
        back.start()
        self._forward(client, server)
        back.join()
        with self._lock:
            self._sockets -= {client, server}
        client.close()
        server.close()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while content := source.recv(_CHUNK):
                self._flowing.wait()
                sink.sendall(content)
            self._flowing.wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:  # one side has gone: so has the line
            _shut(source)
            _shut(sink)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
