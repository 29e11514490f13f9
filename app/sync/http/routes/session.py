"""A browser's session: logging in with a token, who is logged in, logging out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request

from app.domain.access import Identity, cookie_name
from app.sync.http import bodies
from app.sync.http.behind_proxy import Via, via_of
from app.sync.http.services import answer, body, query, sender, services

session = Blueprint("session", __name__)


@session.get("/session")
def show_session() -> Response:
    """Who sends this request: the token's name and scope, and when the session ends."""
    query(bodies.NoQuery)
    return answer(_shown_of(sender()))


@session.post("/session")
def log_in() -> Response:
    """Log in with a token; the answer brings a cookie. A session that the browser had before ends."""
    asked, via = body(bodies.LoginBody), via_of(request.environ)
    made, identity = services().access.log_in(asked.token, dict(request.headers), scheme=via.scheme, client=via.client)
    response = answer(_shown_of(identity), 201)
    _set_cookie(response, via, made, services().settings.session_seconds)
    return response


@session.delete("/session")
def log_out() -> Response:
    """Log out: the session ends here too, not only in the browser."""
    body(bodies.NoBody)
    via = via_of(request.environ)
    services().access.log_out(dict(request.headers), scheme=via.scheme)
    response = answer({"success": True})
    _set_cookie(response, via, "", 0)
    return response


def _shown_of(identity: Identity) -> dict[str, Any]:
    end = identity.expires_at
    return {
        "success": True,
        "login_needed": services().access.needs_login(),
        "name": identity.token.name if identity.token else None,
        "scope": identity.scope.value,
        "expires_at": None if end is None else datetime.fromtimestamp(end, UTC).isoformat(timespec="seconds"),
    }


def _set_cookie(response: Response, via: Via, value: str, seconds: float) -> None:
    """The browser's own word for its origin, which was checked, tells of https where a proxy does not."""
    origin = request.headers.get("Origin", "").lower()
    response.set_cookie(
        cookie_name(request.headers.get("Host", ""), via.scheme),
        value,
        max_age=int(seconds),
        path=request.root_path or "/",
        secure=request.is_secure or origin.startswith("https://"),
        httponly=True,
        samesite="Strict",
    )
