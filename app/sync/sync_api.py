"""The HTTP API: the two routes that start an install and show its progress, and the application of all routes.

A view parses, calls and serialises; what an install does is in `app.sync.installs`. docs/api.md shows every route.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from app.domain.request import left_out_of
from app.sync.http import bodies, errors
from app.sync.http.openapi import openapi
from app.sync.http.routes.events import events
from app.sync.http.routes.fleet import fleet
from app.sync.http.routes.health import health
from app.sync.http.routes.instances import instances
from app.sync.http.routes.logs import logs
from app.sync.http.routes.manifests import manifests
from app.sync.http.routes.metrics import metrics
from app.sync.http.routes.notifications import notifications
from app.sync.http.routes.runs import runs
from app.sync.http.routes.session import session
from app.sync.http.routes.ssh_keys import ssh_keys
from app.sync.http.routes.status_links import status_links
from app.sync.http.routes.tasks import tasks
from app.sync.http.routes.tunnels import tunnels
from app.sync.http.routes.wheels import wheels
from app.sync.http.routes.workflow_proofs import workflow_proofs
from app.sync.http.routes.workflows import workflows as workflow_routes
from app.sync.http.services import (
    Services,
    answer,
    body,
    checked_task_id,
    install_values,
    keep_workflow,
    note_task,
    register_http,
    services,
)

installing = Blueprint("installing", __name__)
_BLUEPRINTS = (
    installing,
    tasks,
    runs,
    fleet,
    logs,
    wheels,
    events,
    instances,
    ssh_keys,
    session,
    notifications,
    status_links,
    workflow_routes,
    manifests,
    workflow_proofs,
    tunnels,
    health,
    metrics,
    openapi,
)


def create_app(shared: Services) -> Flask:
    """The WSGI application. Its views may run on any number of threads at once."""
    app = Flask("nodeferry", static_folder=None)
    register_http(app, shared)
    for blueprint in _BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


@installing.post("/ssh/install-custom-nodes")
def start_install() -> Response:
    """Start an install in the background; opens no connection."""
    asked = bodies.install_request(install_values(), services().settings)
    accepted = services().installs.start(asked)
    message = "This install was started before" if accepted.deduplicated else "Installation started in background"
    known = note_task(accepted.task_id)
    if not accepted.deduplicated:
        keep_workflow(known)
    payload = {"success": True, "task_id": known, "state": accepted.state.value, "message": message}
    left_out = left_out_of(asked.manifest)
    return answer({**payload, "left_out": left_out} if left_out else payload, 202)


@installing.post("/ssh/install-custom-nodes/progress")
def show_progress() -> Response:
    """The progress of one install, from what is known here; opens no connection."""
    asked = body(bodies.ProgressBody)
    known = checked_task_id(asked.task_id)
    found = services().installs.progress_text(known, asked.since, patch=asked.patch, line=asked.line)
    return Response(found.sent, content_type=errors.JSON_TYPE)
