"""ComfyUI's registry of node packs on loopback: the shapes of its API, the archives, and what goes wrong with both."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from app.standin.registry_archives import zipped

ACTIVE, DELETED, BANNED, PENDING, FLAGGED = "Active", "Deleted", "Banned", "Pending", "Flagged"
"""A version's status, without the registry's `NodeVersionStatus` before it."""
_PIECE = 16 * 1024
_SILENT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How requests whose path begins in some way are answered instead. `times`: so often, then as usual. `status` with
    `retry_after` (seconds); `cut_after`: so many bytes of the body, then the line is cut; `piece_seconds`: between
    pieces of the body; `is_silent`: nothing at all; `no_ranges`: a Range header counts for nothing; `location`: where a
    redirect leads."""

    status: int = 0
    retry_after: str = ""
    times: int = 1_000_000
    cut_after: int | None = None
    piece_seconds: float = 0.0
    is_silent: bool = False
    no_ranges: bool = False
    location: str = ""


@dataclass(slots=True)
class Version:
    """One version of a pack. `classes`: of its nodes."""

    version: str
    archive: bytes
    status: str = ACTIVE
    reason: str = ""
    dependencies: Sequence[str] = ()
    classes: Sequence[str] = ()
    sha256: str = ""
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class Node:
    """One pack; its versions are oldest first."""

    node_id: str
    repository: str = ""
    status: str = ACTIVE
    stars: int = 0
    versions: list[Version] = field(default_factory=list)


class RegistryServer:
    """Serves the API and the archives; a context manager. `asked`: every method and path, in their order."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.asked: list[str] = []
        self.ranges: list[str] = []
        """The Range headers that came."""
        self._rules: dict[str, Rule] = {}
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> RegistryServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def add(
        self,
        node_id: str,
        version: str,
        content: Mapping[str, str | bytes] | bytes,
        *,
        status: str = ACTIVE,
        reason: str = "",
        repository: str = "",
        classes: Sequence[str] = (),
        sha256: str = "",
    ) -> Version:
        """Publishes a version of a pack: an archive, or the files of one. `sha256`: what the registry says of it; it
        says none mostly."""
        node = self.nodes.setdefault(node_id, Node(node_id))
        node.repository = repository or node.repository
        archive = content if isinstance(content, bytes) else zipped(content)
        made = Version(version, archive, status, reason, classes=classes, sha256=sha256)
        node.versions.append(made)
        return made

    def set_rule(self, prefix: str, rule: Rule | None) -> None:
        """For paths that begin so: `/nodes/ID/install`, `/files/ID/`; None takes it away."""
        with self._lock:
            if rule is None:
                self._rules.pop(prefix, None)
            else:
                self._rules[prefix] = rule

    def rule_of(self, path: str) -> Rule:
        """The rule for one request, which is used up by it."""
        with self._lock:
            for prefix, rule in self._rules.items():
                if path.startswith(prefix) and rule.times > 0:
                    left = {name: getattr(rule, name) for name in Rule.__slots__}
                    self._rules[prefix] = Rule(**{**left, "times": rule.times - 1})
                    return rule
        return Rule()

    # -- what the API says ---------------------------------------------------------------------------------------------

    def answer(self, path: str, query: Mapping[str, Sequence[str]]) -> Any:
        """The JSON at a path; None for nothing."""
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["nodes"]:
                return self._page(list(self.nodes.values()))
            case ["nodes", "search"]:
                return self._page(self._searched(query))
            case ["nodes", node_id, *rest]:
                node = self._node(node_id)
                return self._of_node(node, rest, query) if node else None
            case ["comfy-nodes", name, "node"]:
                owners = [node for node in self.nodes.values() if name in _classes(node)]
                return self._node_json(owners[0]) if owners else None
            case ["comfy-nodes"]:
                return self._classes_page(query)
        return None

    def bulk(self, body: Any) -> dict[str, Any]:
        """POST /bulk/nodes/versions."""
        rows = []
        for each in body.get("node_versions", []):
            node = self._node(each["node_id"])
            found = _version(node, each["version"]) if node else None
            row: dict[str, Any] = {"identifier": each, "status": "success" if found else "not_found"}
            if node and found:
                row["node_version"] = self._version_json(node, found)
            else:
                row["error_message"] = "node version not found"
            rows.append(row)
        return {"node_versions": rows}

    def archive(self, node_id: str, name: str) -> bytes | None:
        """The bytes of /files/ID/VERSION.zip."""
        node = self._node(node_id)
        found = _version(node, name.removesuffix(".zip")) if node else None
        return found.archive if found else None

    def _of_node(self, node: Node, rest: Sequence[str], query: Mapping[str, Sequence[str]]) -> Any:
        match rest:
            case []:
                return self._node_json(node)
            case ["install"]:
                given = query.get("version")
                found = _version(node, given[0]) if given else _newest(node)
                return self._version_json(node, found) if found and found.status != DELETED else None
            case ["versions"]:
                wanted = {status.removeprefix("NodeVersionStatus") for status in query.get("statuses", [ACTIVE])}
                return [self._version_json(node, each) for each in reversed(node.versions) if each.status in wanted]
            case ["versions", version]:
                found = _version(node, version)
                return self._version_json(node, found) if found else None
            case ["versions", version, "comfy-nodes"]:
                found = _version(node, version)
                return _class_rows(node, found.classes) if found else None
        return None

    def _node(self, node_id: str) -> Node | None:
        return next((node for key, node in self.nodes.items() if key.lower() == node_id.lower()), None)

    def _searched(self, query: Mapping[str, Sequence[str]]) -> list[Node]:
        name = query.get("comfy_node_search", [""])[0]
        address = query.get("repository_url_search", [""])[0]
        word = query.get("search", [""])[0].lower()
        return [
            node
            for node in self.nodes.values()
            if (name and name in _classes(node))
            or (address and address in node.repository)
            or (word and word in node.node_id.lower())
        ]

    def _page(self, nodes: Sequence[Node]) -> dict[str, Any]:
        rows = [self._node_json(node) for node in nodes]
        return {"nodes": rows, "total": len(rows), "page": 1, "limit": 100, "totalPages": 1}

    def _classes_page(self, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        name = query.get("comfy_node_name", [""])[0]
        rows = [
            row
            for node in self.nodes.values()
            for row in _class_rows(node, sorted(_classes(node)))["comfy_nodes"]
            if not name or row["comfy_node_name"] == name
        ]
        return {"comfy_nodes": rows, "total": len(rows)}

    def _node_json(self, node: Node) -> dict[str, Any]:
        newest = _newest(node)
        return {
            "id": node.node_id,
            "name": node.node_id,
            "description": "",
            "author": "",
            "repository": node.repository,
            "publisher": {"id": "somebody", "name": "Somebody"},
            "downloads": 10,
            "github_stars": node.stars,
            "preempted_comfy_node_names": [],
            "status": f"NodeStatus{node.status}",
            **({"latest_version": self._version_json(node, newest)} if newest else {}),
        }

    def _version_json(self, node: Node, version: Version) -> dict[str, Any]:
        return {
            "id": version.uuid,
            "node_id": node.node_id,
            "version": version.version,
            "createdAt": "2026-01-02T03:04:05Z",
            "dependencies": list(version.dependencies),
            "deprecated": False,
            "changelog": "",
            "downloadUrl": f"{self.url}/files/{node.node_id}/{version.version}.zip",
            "status": f"NodeVersionStatus{version.status}",
            "status_reason": version.reason,
            **({"sha256": version.sha256} if version.sha256 else {}),
        }


def _version(node: Node, version: str) -> Version | None:
    return next((each for each in node.versions if each.version == version), None)


def _newest(node: Node) -> Version | None:
    active = [each for each in node.versions if each.status == ACTIVE]
    return active[-1] if active else None


def _classes(node: Node) -> set[str]:
    return {name for version in node.versions for name in version.classes}


def _class_rows(node: Node, names: Sequence[str]) -> dict[str, Any]:
    rows = [{"comfy_node_name": name, "node_id": node.node_id, "category": ""} for name in names]
    return {"comfy_nodes": rows, "total": len(rows)}


class _Handler(BaseHTTPRequestHandler):
    """One connection; `registry` is set by the class of each server."""

    registry: RegistryServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}"))

    def _serve(self, body: Any) -> None:
        self.registry.asked.append(f"{self.command} {self.path}")
        rule = self.registry.rule_of(self.path)
        if rule.is_silent:
            self.registry.closing.wait(_SILENT_SECONDS)
            self.close_connection = True
        elif rule.status:
            self._send(rule.status, b'{"message":"as a rule says"}', rule)
        else:
            self._send_found(body, rule)

    def _send_found(self, body: Any, rule: Rule) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith("/files/"):
            raw = self.registry.archive(*parts.path.removeprefix("/files/").split("/", 1))
            self._send(404, b"", rule) if raw is None else self._send_file(raw, rule)
            return
        if body is not None:
            found: Any = self.registry.bulk(body) if parts.path == "/bulk/nodes/versions" else None
        else:
            found = self.registry.answer(parts.path, parse_qs(parts.query))
        missing = json.dumps({"message": "Node not found", "error": ""}).encode()
        self._send(404 if found is None else 200, missing if found is None else json.dumps(found).encode(), rule)

    def _send_file(self, raw: bytes, rule: Rule) -> None:
        wanted = self.headers.get("Range", "")
        if not wanted.startswith("bytes=") or rule.no_ranges:
            self._send(200, raw, rule, {"ETag": '"1"', "Accept-Ranges": "bytes"})
            return
        self.registry.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        span = f"bytes {start}-{len(raw) - 1}/{len(raw)}"
        self._send(206, raw[start:], rule, {"ETag": '"1"', "Content-Range": span})

    def _send(self, status: int, body: bytes, rule: Rule, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if rule.retry_after:
            self.send_header("Retry-After", rule.retry_after)
        if rule.location:
            self.send_header("Location", rule.location)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        sent = body if rule.cut_after is None else body[: rule.cut_after]
        try:
            for start in range(0, len(sent), _PIECE):
                self.wfile.write(sent[start : start + _PIECE])
                self.wfile.flush()
                if rule.piece_seconds:
                    self.registry.closing.wait(rule.piece_seconds)
        except OSError:
            self.close_connection = True
        if len(sent) < len(body):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """`asked` has it."""
