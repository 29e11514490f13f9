"""Fleets: the same manifest on many instances."""

from __future__ import annotations

from flask import Blueprint, Response

from app.sync.http import bodies, fleet_bodies
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
    """How every instance of a fleet stands, and all together."""
    known, asked = bodies.uuid_of(fleet_id, "fleet_id"), query(fleet_bodies.FleetQuery)
    return answer(services().fleets.progress(known, asked.since))


@fleet.post("/fleet/<fleet_id>/cancel")
def cancel_fleet(fleet_id: str) -> Response:
    """Stop every task of a fleet that has not ended."""
    known = bodies.uuid_of(fleet_id, "fleet_id")
    body(bodies.NoBody)
    tasks = services().fleets.cancel(known)
    return answer(
        {"success": True, "fleet_id": known, "tasks": tasks, "message": "The installs are being stopped"}, 202
    )


@fleet.post("/fleet/<fleet_id>/retry")
def retry_fleet(fleet_id: str) -> Response:
    """Retry every task of a fleet that did not end well."""
    known = bodies.uuid_of(fleet_id, "fleet_id")
    body(bodies.NoBody)
    tasks = services().fleets.retry(known)
    return answer({"success": True, "fleet_id": known, "tasks": tasks, "message": "Retries started in background"}, 202)
