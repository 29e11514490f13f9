"""ComfyUI's registry of node packs on loopback: what its API says of some packs, and their archives."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class NodeRegistry:
    """Serves JSON and files by path; a context manager. `asked` are the paths that it was asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.silent = threading.Event()
        """Once set, nothing is answered any more, and the connections stay open."""
        registry = self
        self._closing = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                if registry.silent.is_set():
                    registry._closing.wait(60)
                    return
                body = registry.answers.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: Any) -> None:
                """`asked` has it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> NodeRegistry:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def add(self, node_id: str, repository: str, archive: bytes, *, version: str = "1.2.3", path: str = "") -> None:
        """A pack, found at `path` (its own by its id if there is none)."""
        node = {"id": node_id, "repository": repository}
        said = {"nodes": [{"id": "another", "repository": "https://x.invalid/o/n"}, node]} if path else node
        install = {"version": version, "downloadUrl": f"{self.url}/files/{node_id}.zip"}
        self.answers |= {
            path or f"/nodes/{node_id}": json.dumps(said).encode(),
            f"/nodes/{node_id}/install": json.dumps(install).encode(),
            f"/files/{node_id}.zip": archive,
        }


def zipped(files: Mapping[str, str], *, links: Mapping[str, str] | None = None) -> bytes:
    """An archive with these files, and symbolic links."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            archive.writestr(entry, target)
    return raw.getvalue()
