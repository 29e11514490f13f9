"""Fleets: the same manifest on many instances."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from app.sync.fleets import Changed
from app.sync.http import bodies, fleet_bodies
from app.sync.http.etags import answer_if_changed
from app.sync.http.routes.runs import page_of
from app.sync.http.services import answer, body, install_values, query, services

fleet = Blueprint("fleet", __name__)


@fleet.post("/fleet/install-custom-nodes")
def start_fleet() -> Response:
    """Start an install on each instance in the background; opens no connection."""
    asked = fleet_bodies.fleet_request(install_values(), services().settings)
    accepted = services().fleets.start(asked)
    message = "This fleet was started before" if accepted.deduplicated else "Installations started in background"
    return answer({"success": True, "fleet_id": accepted.fleet_id, "tasks": accepted.tasks, "message": message}, 202)


@fleet.get("/fleet")
def list_fleets() -> Response:
    """The newest fleets, newest first."""
    query(bodies.NoQuery)
    return answer({"success": True, "fleets": services().fleets.newest()})


@fleet.get("/fleet/<fleet_id>")
def show_fleet(fleet_id: str) -> Response:
    """How all instances of a fleet stand together, and a page of them."""
    known, asked = bodies.uuid_of(fleet_id, "fleet_id"), query(fleet_bodies.FleetQuery)
    return answer_if_changed(services().fleet_progress.progress(known, page_of(asked), asked.since))


@fleet.post("/fleet/<fleet_id>/cancel")
def cancel_fleet(fleet_id: str) -> Response:
    """Stop every task of a fleet that has not ended."""
    known = bodies.uuid_of(fleet_id, "fleet_id")
    body(bodies.NoBody)
    changed = services().fleets.cancel(known)
    return answer(_changed(known, changed, "The installs are being stopped"), 202)


@fleet.post("/fleet/<fleet_id>/retry")
def retry_fleet(fleet_id: str) -> Response:
    """Retry every task of a fleet that did not end well."""
    known = bodies.uuid_of(fleet_id, "fleet_id")
    body(bodies.NoBody)
    changed = services().fleets.retry(known)
    return answer(_changed(known, changed, "Retries started in background"), 202)


def _changed(fleet_id: str, changed: Changed, message: str) -> dict[str, Any]:
    left = {code: number for code, number in changed.left.items() if number}
    return {"success": True, "fleet_id": fleet_id, "tasks": changed.tasks, "left": left, "message": message}
