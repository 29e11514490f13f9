"""ComfyUI's registry on loopback, with the answers that its API gives about packs, versions and classes, and with those
that it should not give."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

ACTIVE = "NodeVersionStatusActive"
Fault = Callable[[http.server.BaseHTTPRequestHandler], None]


class RegistryApi:
    """The packs by their ids. `asked`: paths with how each was answered; `faults`: what is done once in place of an
    answer, the next request first; `always`: for every request."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, dict[str, Any]]] = {}
        self.classes: dict[str, list[str]] = {}
        self.raw: dict[str, Any] = {}
        self.asked: list[tuple[str, int]] = []
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.url = ""
        self.closing = threading.Event()

    def add(self, node_id: str, *versions: str, classes: tuple[str, ...] = (), **about: Any) -> None:
        """A pack with its versions, the newest last, each active."""
        made = {version: self._version(node_id, version) for version in versions}
        self.versions[node_id.lower()] = made
        self.nodes[node_id.lower()] = {
            "id": node_id,
            "name": about.pop("name", node_id),
            "repository": about.pop("repository", f"https://github.com/packs/{node_id}"),
            "status": "NodeStatusActive",
            "github_stars": about.pop("stars", 7),
            "latest_version": made[versions[-1]] if versions else None,
            **about,
        }
        for name in classes:
            self.classes.setdefault(name, []).append(node_id.lower())

    def set_status(self, node_id: str, version: str, status: str, reason: str = "") -> None:
        """What the registry says of one version."""
        self.versions[node_id.lower()][version] |= {
            "status": f"NodeVersionStatus{status}",
            "status_reason": reason,
        }

    def calls(self, part: str = "") -> list[tuple[str, int]]:
        """What was asked for, where a text stands in the path."""
        return [each for each in self.asked if part in each[0]]

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        fault = self.faults.pop(0) if self.faults else self.always
        if fault is not None:
            self.asked.append((handler.path, 0))
            return fault(handler)
        value = self.raw.get(handler.path, self._value(handler.path))
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        etag = f'"{hash(body)}"'
        status = 404 if value is None else 304 if handler.headers.get("If-None-Match") == etag else 200
        self.asked.append((handler.path, status))
        handler.send_response(status)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(body) if status == 200 else 0))
        handler.end_headers()
        if status == 200:
            handler.wfile.write(body)
        return None

    def _version(self, node_id: str, version: str) -> dict[str, Any]:
        return {
            "id": "6f1c8d1e-0000-4000-8000-000000000000",
            "version": version,
            "status": ACTIVE,
            "deprecated": False,
            "downloadUrl": f"{self.url}/files/{node_id}-{version}.zip",
            "createdAt": "2026-05-01T10:00:00Z",
        }

    def _value(self, path: str) -> Any:
        parts, query = urlsplit(path), parse_qs(urlsplit(path).query)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        if words == ["nodes", "search"]:
            ids = self.classes.get(query["comfy_node_search"][0], [])
            return {"nodes": [self.nodes[each] for each in ids], "total": len(ids)}
        if words == ["comfy-nodes"]:
            name = query["comfy_node_name"][0]
            rows = [{"comfy_node_name": name, "category": "x"} for _ in self.classes.get(name, [])]
            return {"comfy_nodes": rows, "total": len(rows)}
        if words[0] == "comfy-nodes" and words[-1] == "node":
            return self.nodes.get(next(iter(self.classes.get(words[1], [])), ""))
        if words[0] == "nodes" and len(words) == 2:
            return self.nodes.get(words[1].lower())
        if words[0] == "nodes" and words[2:3] == ["versions"] and len(words) == 4:
            return self.versions.get(words[1].lower(), {}).get(words[3])
        return None


@contextmanager
def registry_api() -> Iterator[RegistryApi]:
    """One that serves until the end of the block."""
    found = RegistryApi()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, *_: object) -> None:
            """`asked` has it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield found
        finally:
            found.closing.set()
            server.shutdown()


def refuses(status: int, **headers: str) -> Fault:
    """A fault: this status alone."""

    def fault(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def cuts_off(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A fault: the answer ends in its middle."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"id": "half')
    handler.close_connection = True


def says(body: bytes) -> Fault:
    """A fault: this text for an answer."""

    def fault(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return fault


def is_silent(api: RegistryApi) -> Fault:
    """A fault: nothing is said, and the connection stays open."""

    def fault(_: http.server.BaseHTTPRequestHandler) -> None:
        api.closing.wait(30)

    return fault
