"""A service that plays a script: real HTTP by the real server, answers that were decided before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from test.cli.stories import TASK_ID
from test.support.http_servers import http_server

Answer = tuple[int, dict[str, Any]]


@dataclass
class Script:
    """What `POST …/progress` answers, one after another, the last one for ever; a cancel leads on to `after_cancel`."""

    polls: list[dict[str, Any]]
    after_cancel: list[dict[str, Any]] = field(default_factory=list)
    start: Answer = (202, {"success": True, "task_id": TASK_ID, "state": "queued", "message": "started"})
    seen: list[tuple[str, str, dict[str, Any], str]] = field(default_factory=list)
    plan: list[dict[str, Any]] | None = None

    def application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The WSGI side."""
        raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = json.loads(raw or b"{}")
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.seen.append((method, path, body, environ.get("HTTP_AUTHORIZATION", "")))
        status, answer = self.answer(method, path, body)
        start_response(f"{status} .", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """What this request is answered."""
        if path == "/ssh/install-custom-nodes":
            return self.start
        if path == "/ssh/install-custom-nodes/progress":
            return 200, self._poll(body)
        if path.endswith("/cancel"):
            self.polls = self.after_cancel or self.polls
            return 202, {"success": True, "task_id": TASK_ID, "state": "cancelling"}
        if path == f"/tasks/{TASK_ID}":
            task = {"success": True, "task_id": TASK_ID, "state": "x", "plan": self.plan}
            return 200, {**task, "progress": self.polls[0]}
        if path == "/tasks":
            row = {"task_id": TASK_ID, "created_at": "2026-01-01T00:00:00Z", "instance": "root@h", "state": "completed"}
            return 200, {"success": True, "tasks": [row | {"outcome": "all", "total_nodes": 3, "successful": 3}]}
        if path == "/tasks/prune":
            return 200, {"success": True, "records": 2, "progress_files": 2, "logs": 1, "bytes": 2048, "kept": 1}
        return 404, {"success": False, "error": "not_found", "message": f"No {method} {path}.", "hint": "Look again."}

    def _poll(self, body: dict[str, Any]) -> dict[str, Any]:
        now = self.polls[0]
        if body.get("since") == now["revision"]:
            if len(self.polls) == 1:
                return {"success": True, "unchanged": True, "revision": now["revision"]}
            self.polls = self.polls[1:]
            now = self.polls[0]
        return now


@contextmanager
def serving(script: Script, port: int = 0) -> Iterator[str]:
    """The URL of a service that plays `script`."""
    with http_server(script.application, port=port, threads=4) as url:
        yield url
