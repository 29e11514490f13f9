"""Status links: one run, read-only, for whoever has the link."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from app.domain.errors import RunNotFound
from app.domain.status_errors import StatusLinkNotFound, StatusLinksOff
from app.protocol import progress_json
from app.sync.http import bodies
from app.sync.http.etags import answer_if_changed
from app.sync.http.services import answer, body, note_task, query, services

status_links = Blueprint("status_links", __name__)
PAGE = "/ui/status#"
"""What stands behind # no browser sends: the secret comes into no log and to no proxy."""
HEADER = "Status-Link"


@status_links.get("/runs/<run_id>/link")
def show_link(run_id: str) -> Response:
    """Whether the run has a link. The link itself is told only where it is made."""
    query(bodies.NoQuery)
    return answer(_state(_known(run_id)))


@status_links.post("/runs/<run_id>/link")
def make_link(run_id: str) -> tuple[Response, int]:
    """Makes a link in the place of an older one."""
    body(bodies.NoBody)
    known = _known(run_id)
    if not services().settings.status_links:
        raise StatusLinksOff
    secret, _ = services().status_links.make(known)
    return answer(_state(known) | {"path": f"{PAGE}{secret}"}, has_secret=True), 201


@status_links.delete("/runs/<run_id>/link")
def end_link(run_id: str) -> Response:
    """Ends it: who has it sees nothing any more."""
    body(bodies.NoBody)
    known = _known(run_id)
    services().status_links.end(known)
    return answer(_state(known))


@status_links.get("/status")
def show_status() -> Response:
    """The run of the link whose secret the header `Status-Link` has: no address, no path, no log."""
    query(bodies.NoQuery)
    secret = request.headers.get(HEADER, "")
    run_id = services().status_links.run_of(secret) if secret and services().settings.status_links else None
    if run_id is None:
        raise StatusLinkNotFound
    try:
        return answer_if_changed({"success": True, **services().runs.shared(run_id)})
    except RunNotFound:  # the run was forgotten, and with it goes what led to it
        services().status_links.end(run_id)
        raise StatusLinkNotFound from None


def _known(run_id: str) -> str:
    """The run's own id, by any of its ids. Raises RunNotFound."""
    return services().runs.root_of(note_task(bodies.uuid_of(run_id, "run_id")))[0]


def _state(run_id: str) -> dict[str, Any]:
    made = services().status_links.of_run(run_id)
    return {
        "success": True,
        "run_id": run_id,
        "allowed": services().settings.status_links,
        "made_at": None if made is None else progress_json.iso(made.made_at),
    }
