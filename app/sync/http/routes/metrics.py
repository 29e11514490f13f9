"""Figures for a monitoring system."""

from __future__ import annotations

from flask import Blueprint, Response

from app.sync.http import bodies
from app.sync.http.services import query, services
from app.sync.metrics import CONTENT_TYPE

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
def show_metrics() -> Response:
    """Prometheus' text format; needs the token like every other route."""
    query(bodies.NoQuery)
    return Response(services().metrics.text(), content_type=CONTENT_TYPE)
