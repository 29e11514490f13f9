"""The flood: slow connections, long polls and tests of a silent instance, all in one process and one thread.

Each client does the same again as soon as it was answered or closed; one that is told to come later does so then.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlsplit

SLOW, LONG_POLLS, TESTS = 500, 200, 100
PAUSE_SECONDS = 1.0
READY = "flood"


@dataclass
class Client:
    """One connection. `start`: sent at once; `more`: sent now and then; `reads`: whether it takes its answer."""

    kind: str
    start: bytes
    more: bytes = b""
    reads: bool = True
    connection: socket.socket | None = None
    received: bytes = field(default=b"", repr=False)


class Flood:
    """All clients, against one service."""

    def __init__(self, address: tuple[str, int], clients: list[Client], chance: random.Random) -> None:
        self._address = address
        self._chance = chance
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.counts: Counter[str] = Counter()
        for client in clients:
            self._after(chance.uniform(0, 2), partial(self._connect, client))

    def run(self, stop: socket.socket | int, seconds: float) -> None:
        """Until something can be read from `stop`, or the time is over."""
        self._selector.register(stop, selectors.EVENT_READ, None)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            pause = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else 1.0
            for key, _ in self._selector.select(min(1.0, pause)):
                if key.data is None:
                    return
                self._read(key.data)

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), call))

    def _connect(self, client: Client) -> None:
        client.received = b""
        try:
            connection = socket.create_connection(self._address, timeout=10)
            if not client.reads:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(client.start)
        except OSError as exc:
            self.counts[f"{client.kind}: {exc.__class__.__name__}"] += 1
            self._after(PAUSE_SECONDS, lambda: self._connect(client))
            return
        connection.setblocking(False)
        client.connection = connection
        self.counts[f"{client.kind}: sent"] += 1
        if client.reads:
            self._selector.register(connection, selectors.EVENT_READ, client)
        self._after(self._chance.uniform(0.5, 1.5), lambda: self._go_on(client, connection))

    def _go_on(self, client: Client, connection: socket.socket) -> None:
        """A slow one's next byte; what tells one that reads nothing that it was dropped."""
        if client.connection is not connection or not (client.more or not client.reads):
            return
        try:
            connection.send(client.more or b"x")
        except BlockingIOError:
            pass
        except OSError:
            self._ended(client, "dropped", PAUSE_SECONDS)
            return
        self._after(self._chance.uniform(0.5, 1.5), lambda: self._go_on(client, connection))

    def _read(self, client: Client) -> None:
        assert client.connection is not None
        try:
            data = client.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.received += data
        if data:
            return
        head = client.received.partition(b"\r\n\r\n")[0].decode("latin-1")
        status = head.split(" ")[1] if " " in head else "closed"
        later = next((line for line in head.split("\r\n") if line.lower().startswith("retry-after:")), "")
        self._ended(client, status, float(later.split(":")[1]) if later else PAUSE_SECONDS)

    def _ended(self, client: Client, how: str, pause: float) -> None:
        assert client.connection is not None
        if client.reads:
            self._selector.unregister(client.connection)
        client.connection.close()
        client.connection = None
        self.counts[f"{client.kind}: {how}"] += 1
        self._after(pause, lambda: self._connect(client))


def clients_of(host: str, task_id: str, instance: str, chance: random.Random) -> list[Client]:
    """All of them, in an order by chance."""

    def head(method: str, path: str, *lines: str) -> bytes:
        return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()

    test = json.dumps({"ssh_connection": instance, "timeout_seconds": 15}).encode()
    body = head("POST", "/tasks/prune", "Content-Length: 60000", "Content-Type: application/json")
    slow = [
        Client("slow, silent", b""),
        Client("slow, head", head("GET", "/health").removesuffix(b"\r\n"), b"X-Slow: 1\r\n"),
        Client("slow, body", body, b" "),
        Client("slow, never reads", head("GET", "/openapi.json") * 20, reads=False),
    ]
    close = "Connection: close"
    tests = head("POST", "/ssh/test", close, "Content-Type: application/json", f"Content-Length: {len(test)}") + test
    poll = head("GET", f"/tasks/{task_id}?wait=30", close)
    found = [replace(chance.choice(slow)) for _ in range(SLOW)]
    found += [Client("long poll", poll) for _ in range(LONG_POLLS)]
    found += [Client("ssh test", tests) for _ in range(TESTS)]
    chance.shuffle(found)
    return found


def main() -> None:
    """URL, task, instance, seed, seconds. Ends when stdin does; prints what became of the clients."""
    url, task_id, instance, seed, seconds = sys.argv[1:]
    parts = urlsplit(url)
    chance = random.Random(int(seed))
    address = (parts.hostname or "", parts.port or 80)
    flood = Flood(address, clients_of(parts.netloc, task_id, instance, chance), chance)
    print(READY, flush=True)
    flood.run(sys.stdin.fileno(), float(seconds))
    print(json.dumps(flood.counts), flush=True)


if __name__ == "__main__":
    main()
