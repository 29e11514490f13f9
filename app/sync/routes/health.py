"""Whether the service lives."""

from __future__ import annotations

from flask import Blueprint, Response

from app.sync import schemas
from app.sync.routes.edge import answer, query
from app.version import VERSION

health = Blueprint("health", __name__)


@health.get("/health")
def show_health() -> Response:
    """Answers without a token, and without looking at anything else."""
    query(schemas.NoQuery)
    return answer({"success": True, "status": "ok", "version": VERSION})
