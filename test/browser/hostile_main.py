"""A hostile server in ComfyUI's place. The test writes it over the stand-in's main.py, so it needs nothing else."""

import base64
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEEN: list[dict[str, object]] = []
SERVICE_PORT = sys.argv[-1]


class Handler(BaseHTTPRequestHandler):
    """Remembers what it is sent; sets the cookies of others."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A page, a script, or what was seen."""
        if self.path == "/seen":
            self._answer("application/json", json.dumps(SEEN))
            return
        SEEN.append({"path": self.path, "method": self.command, "headers": list(self.headers.items())})
        if self.headers.get("Upgrade") == "websocket":
            key = (self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
            self.end_headers()
            self.wfile.write(b"\x81\x05hello")
            self.rfile.read()
            return
        if self.path.endswith(".js"):
            self._answer("text/javascript", "self.addEventListener('fetch', () => {});")
            return
        self._answer("text/html", "<!doctype html><title>Hostile</title><h1>Hostile ComfyUI</h1>")

    do_POST = do_DELETE = do_GET  # noqa: N815 - the names that it calls

    def _answer(self, kind: str, text: str) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name in ("nodeferry_session", f"nodeferry-session-{SERVICE_PORT}", "own"):
            self.send_header("Set-Cookie", f"{name}=evil; Path=/; Domain=localhost")
            self.send_header("Set-Cookie", f"{name}=evil; Path=/; HttpOnly")
        self.send_header("Clear-Site-Data", '"cookies", "storage"')
        self.send_header("Service-Worker-Allowed", "/")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
