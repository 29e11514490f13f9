"""What a tunnel answers by itself: the page that brings the cookie, and refusals."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

import h11

from app.remote.gateway.access import Access, Headers, Refused, values

_SAFE: Headers = [
    (b"Cache-Control", b"no-store"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Connection", b"close"),
]
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_UP = "../../"
"""From the address with the capability to ComfyUI's first page; relative, as a proxy may show it below a path."""
_LEAD_ON = f'history.replaceState(null, "", "{_UP}"); location.replace(location.href);'
"""Takes the address out of the history first: ComfyUI's page may ask where it came from (`navigation.activation`)."""
_LEAD_ON_HASH = b64encode(sha256(_LEAD_ON.encode()).digest()).decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, after which the connection ends."""

    status: int
    headers: Headers
    body: bytes

    def sent_by(self, front: h11.Connection, method: bytes) -> bytes:
        """Its bytes, as the answer to a request of this method."""
        headers = [*_SAFE, *self.headers, (b"Content-Length", b"%d" % len(self.body))]
        reason = HTTPStatus(self.status).phrase.encode()
        parts = (
            h11.Response(status_code=self.status, reason=reason, headers=headers),
            h11.Data(data=b"" if method == b"HEAD" else self.body),
            h11.EndOfMessage(),
        )
        return b"".join(front.send(part) or b"" for part in parts)


def opening(access: Access, headers: Headers) -> Answer:
    """Gives the browser its cookie and leads it on.

    A page does that for browsers, as a navigation of its own: a redirect would still be the other site's, and would
    come without a cookie that is SameSite=Strict.
    """
    cookie = f"{access.cookie}={access.capability}; Path=/; HttpOnly; SameSite=Strict".encode()
    if not _wants_page(headers):
        return Answer(303, [(b"Set-Cookie", cookie), (b"Location", _UP.encode())], b"")
    script = f"<script>{_LEAD_ON}</script><noscript><p><a href='{_UP}'>Open ComfyUI</a></p></noscript>"
    return _page(200, "Opening ComfyUI", script, [(b"Set-Cookie", cookie)], f"; script-src 'sha256-{_LEAD_ON_HASH}'")


def refusal(refused: Refused, headers: Headers) -> Answer:
    """Why not; as a page where a browser goes to an address."""
    if _wants_page(headers):
        text = f"<p>{html.escape(refused.hint)}</p>\n<p>Nodeferry said this (<code>{refused.code}</code>).</p>"
        return _page(refused.status, html.escape(refused.message), text)
    content = {"success": False, "error": refused.code, "message": refused.message, "hint": refused.hint}
    return Answer(refused.status, [(b"Content-Type", b"application/json")], json.dumps(content).encode())


def _wants_page(headers: Headers) -> bool:
    return any(b"text/html" in value for value in values(headers, b"accept"))


def _page(status: int, title: str, text: str, headers: Headers | None = None, more_policy: str = "") -> Answer:
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Nodeferry</title></head>'
        f"<body>\n<h1>{title}</h1>\n{text}\n</body></html>\n"
    )
    policy = (b"Content-Security-Policy", f"{_POLICY}{more_policy}".encode())
    return Answer(status, [policy, (b"Content-Type", b"text/html; charset=utf-8"), *(headers or [])], page.encode())
