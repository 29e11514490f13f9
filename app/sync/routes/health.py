"""Whether the service lives."""

from __future__ import annotations

from importlib import metadata

from flask import Blueprint, Response

from app.sync import schemas
from app.sync.routes.edge import answer, query

health = Blueprint("health", __name__)


def _version() -> str:
    """The installed distribution's version; a source tree that is not installed has none."""
    try:
        return metadata.version("nodeferry")
    except metadata.PackageNotFoundError:
        return "unknown"


VERSION = _version()


@health.get("/health")
def show_health() -> Response:
    """Answers without a token, and without looking at anything else."""
    query(schemas.NoQuery)
    return answer({"success": True, "status": "ok", "version": VERSION})
