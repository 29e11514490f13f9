"""A real service without a socket: the application, its database in a folder, and a client that speaks JSON to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from app.factory import build_service
from app.settings import Settings
from app.sync.http.at_once import AtOnce
from test.support.chosen_engine import database_of
from test.support.database import put_database
from test.support.ports import closed_port

START = "/ssh/install-custom-nodes"
PROGRESS = "/ssh/install-custom-nodes/progress"


class Api:
    """Requests to one application; `answer.json` is the answer's JSON."""

    def __init__(self, app: Flask, at_once: AtOnce = lambda _environ: None) -> None:
        self.app = app
        self.at_once = at_once
        self._client = app.test_client()

    def send(self, method: str, path: str, **parts: Any) -> TestResponse:
        return self._client.open(path, method=method, **parts)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.send("GET", path, headers=_named(headers))

    def post(self, path: str, body: object = None, **headers: str) -> TestResponse:
        return self.send("POST", path, json={} if body is None else body, headers=_named(headers))

    def post_text(self, path: str, text: str | bytes, content_type: str | None = "application/json") -> TestResponse:
        return self.send("POST", path, data=text, content_type=content_type)

    def start(self, ssh_connection: str, **fields: Any) -> str:
        """Start an install; its task_id."""
        answer = self.post(START, {"ssh_connection": ssh_connection, **fields})
        assert answer.status_code == 202, answer.text
        return str(content(answer)["task_id"])

    def progress(self, task_id: str, since: int | None = None) -> dict[str, Any]:
        answer = self.post(PROGRESS, {"task_id": task_id} | ({} if since is None else {"since": since}))
        assert answer.status_code == 200, answer.text
        return content(answer)

    def ended(self, task_id: str) -> dict[str, Any]:
        """The task when it has ended, at most a minute from now."""
        task = content(self.get(f"/tasks/{task_id}?wait=60"))
        assert not task["progress"]["in_progress"], task
        return task


def content(answer: TestResponse) -> dict[str, Any]:
    """The answer's JSON object."""
    found = json.loads(answer.text)
    assert isinstance(found, dict)
    return found


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def service_in(folder: Path, **settings: Any) -> Iterator[Api]:
    """A service whose data is in `folder`."""
    put_database(folder)
    known: dict[str, Any] = {"connect_timeout_seconds": 5.0, "node_map_url": "", "registry_url": ""}
    known |= database_of(folder)
    service = build_service(Settings(data_dir=folder, **(known | settings)))
    try:
        yield Api(service.app, service.at_once)
    finally:
        service.close()


@contextmanager
def silent_address() -> Iterator[str]:
    """An SSH address that is connected to and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"root@127.0.0.1 -p {listening.getsockname()[1]}"


def closed_address() -> str:
    """An SSH address where nothing listens."""
    return f"root@127.0.0.1 -p {closed_port()}"
