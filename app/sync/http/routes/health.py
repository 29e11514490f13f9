"""Whether the service lives, and whether it takes work."""

from __future__ import annotations

from flask import Blueprint, Response

from app.sync.http import bodies
from app.sync.http.errors import NotReady
from app.sync.http.services import answer, query, services
from app.version import VERSION

health = Blueprint("health", __name__)


@health.get("/health")
def show_health() -> Response:
    """Answers without a token, and without looking at anything else."""
    query(bodies.NoQuery)
    return answer({"success": True, "status": "ok", "version": VERSION})


@health.get("/health/ready")
def show_readiness() -> Response:
    """Whether an install that is started now would be taken up; needs no token, and tells no more than that."""
    query(bodies.NoQuery)
    missing = services().readiness.missing()
    if missing is not None:
        raise NotReady(f"The service does not accept work: {missing}.")
    return answer({"success": True, "status": "ready", "version": VERSION})
