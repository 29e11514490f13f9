"""The bench's own package index on loopback: answers after a latency, with or without headers that let clients keep
what they got (PEP 503, 691, 658)."""

from __future__ import annotations

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

_JSON = "application/vnd.pypi.simple.v1+json"
_PAGE = re.compile(r"/simple/([a-z0-9-]+)/?")
_FILE = re.compile(r"/files/([\w.+-]+/[\w.+-]+)")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_IDLE_SECONDS = 60


class IndexServer:
    """Serves what `index_files.prepare` made; a context manager."""

    def __init__(self, folder: Path, pages: Path, *, latency_seconds: float = 0.0, cache_headers: bool = True) -> None:
        """`latency_seconds`: before every answer. `cache_headers`: without, no answer says how long it may be kept, or
        how to ask whether it is still the same."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.files = folder / "files"
        self._server.pages = pages
        self._server.cache_headers = cache_headers
        self._server.latency_seconds = latency_seconds
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="index", daemon=True)

    def __enter__(self) -> IndexServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    @property
    def url(self) -> str:
        """What `--index-url` takes."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/simple/"

    def set_latency(self, seconds: float) -> None:
        """From the next answer on."""
        self._server.latency_seconds = seconds


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    files: Path
    pages: Path
    latency_seconds = 0.0
    cache_headers = True

    def __init__(self, *given: object) -> None:
        self.stopping = threading.Event()
        super().__init__(*given)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        """Until the client goes, in whichever way."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_HEAD(self) -> None:
        """The headers alone."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """A project's page, or a file."""
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.server.stopping.wait(self.server.latency_seconds)
        path, kind, keep = self._asked()
        try:
            size = path.stat().st_size if path else -1
        except OSError:
            size = -1
        if path is None or size < 0:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        tag = f'"{path.name}-{size}"'
        if self.server.cache_headers and self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self._keep(tag, keep)
            self.end_headers()
            return
        begin, end = self._range(size)
        self.send_response(200 if (begin, end) == (0, size) else 206)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(end - begin))
        self.send_header("Accept-Ranges", "bytes")
        if (begin, end) != (0, size):
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        self._keep(tag, keep)
        self.end_headers()
        if with_body:
            self._send(path, begin, end)

    def _asked(self) -> tuple[Path | None, str, str]:
        path = self.path.partition("?")[0]
        if page := _PAGE.fullmatch(path):
            as_json = _JSON in self.headers.get("Accept", "")
            name = f"{page[1]}.{'json' if as_json else 'html'}"
            return self.server.pages / name, _JSON if as_json else "text/html", "max-age=600, public"
        if file := _FILE.fullmatch(path):
            kept = "max-age=365000000, immutable, public"
            return self.server.files / file[1], "application/octet-stream", kept
        return None, "", ""

    def _range(self, size: int) -> tuple[int, int]:
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if not asked or not (asked[1] or asked[2]):
            return 0, size
        if not asked[1]:
            return max(0, size - int(asked[2])), size
        return min(int(asked[1]), size), min(int(asked[2]) + 1, size) if asked[2] else size

    def _keep(self, tag: str, keep: str) -> None:
        if self.server.cache_headers:
            self.send_header("ETag", tag)
            self.send_header("Cache-Control", keep)

    def _send(self, path: Path, begin: int, end: int) -> None:
        self.wfile.flush()
        with contextlib.suppress(ConnectionError), path.open("rb") as file:
            file.seek(begin)
            self.connection.sendfile(file, begin, end - begin)
