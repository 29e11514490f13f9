"""A bare reader of a task's stream of events: when each state of each pack arrived, without any page."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from urllib.parse import urlsplit


class Reader:
    """Reads in a thread. `arrived`: by the pack's name and its state, in Unix seconds."""

    def __init__(self, url: str, task_id: str) -> None:
        self._address = urlsplit(url).netloc
        self._path = f"/tasks/{task_id}/events"
        self._last = ""
        self._stop = threading.Event()
        self.arrived: dict[tuple[str, str], float] = {}
        self._thread = threading.Thread(target=self._read_all, name="reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """After the task's end."""
        self._stop.set()
        self._thread.join(15)

    def _read_all(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._read()

    def _read(self) -> None:
        """One stream; the service ends each after a minute."""
        with contextlib.closing(http.client.HTTPConnection(self._address, timeout=20)) as connection:
            connection.request("GET", self._path, headers={"Last-Event-ID": self._last} if self._last else {})
            answer = connection.getresponse()
            if answer.status != 200:
                self._stop.wait(0.5)
                return
            while line := answer.readline():
                if line.startswith(b"id:"):
                    self._last = line[3:].strip().decode()
                elif line.startswith(b"data:"):
                    self._note(line[5:], time.time())

    def _note(self, payload: bytes, at: float) -> None:
        for node in json.loads(payload).get("nodes") or []:
            self.arrived.setdefault((node["name"], node["state"]), at)
