"""The API as an OpenAPI 3.1 specification, made from the routes there are and the models that check their requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, current_app
from pydantic import BaseModel
from werkzeug.routing import Rule

from app.domain.access import COOKIE
from app.sync.http import bodies, fleet_bodies
from app.sync.http.guards import is_open
from app.sync.http.services import answer, query, services
from app.version import VERSION

openapi = Blueprint("openapi", __name__)

_EXTENSION = "nodeferry-openapi"
_SSH = "ssh -p 12345 root@ssh6.vast.ai"
_TASK = "550e8400-e29b-41d4-a716-446655440000"
_WORKFLOW = "9a3f5f0e-3b1c-4c0a-9d0c-5d5a0f7f1e21"
_REFS = "#/components/schemas/{model}"
_PLACE = re.compile(r"<(?:[a-z]+:)?([a-z_]+)>")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request carries: the model that checks its body, or its parameters (GET), and an example of a body."""

    model: type[BaseModel]
    example: Mapping[str, Any] = field(default_factory=dict)


_SOME_SSH = {"ssh_connection": _SSH}
ASKED: Mapping[str, Asked] = {
    "POST /ssh/install-custom-nodes": Asked(bodies.InstallBody, _SOME_SSH),
    "POST /ssh/install-custom-nodes/progress": Asked(bodies.ProgressBody, {"task_id": _TASK}),
    "POST /ssh/test": Asked(bodies.CheckBody, _SOME_SSH),
    "POST /host-keys/scan": Asked(bodies.ScanBody, _SOME_SSH),
    "POST /host-keys/accept": Asked(bodies.AcceptBody, _SOME_SSH | {"sha256": "SHA256:…"}),
    "GET /session": Asked(bodies.NoQuery),
    "POST /session": Asked(bodies.LoginBody, {"token": "ndf_…"}),
    "GET /ssh-keys": Asked(bodies.NoQuery),
    "POST /ssh-keys": Asked(bodies.SshKeyBody),
    "POST /manifests/check": Asked(bodies.ManifestBody, {"manifest": {"urls": ["https://github.com/owner/name"]}}),
    "POST /workflow/start": Asked(bodies.WorkflowBody, _SOME_SSH),
    "POST /workflow/stop": Asked(bodies.WorkflowIdBody, {"workflow_id": _WORKFLOW}),
    "POST /workflow/resume": Asked(bodies.ResumeBody, {"workflow_id": _WORKFLOW, "answer": "accept"}),
    "GET /workflow/state": Asked(bodies.WorkflowQuery),
    "GET /workflows": Asked(bodies.WorkflowsQuery),
    "POST /fleet/install-custom-nodes": Asked(
        fleet_bodies.FleetBody, {"ssh_connections": [_SSH, "ssh -p 2222 root@10.0.0.7"]}
    ),
    "GET /fleet/<fleet_id>": Asked(fleet_bodies.FleetQuery),
    "GET /tasks": Asked(bodies.TasksQuery),
    "GET /tasks/<task_id>": Asked(bodies.TaskQuery),
    "GET /tasks/<task_id>/lock": Asked(bodies.LockQuery),
    "GET /tasks/<task_id>/log": Asked(bodies.LogQuery),
    "GET /tasks/<task_id>/audit": Asked(bodies.AuditQuery),
    "GET /tasks/<task_id>/wheels/content": Asked(bodies.WheelQuery),
    "POST /tasks/<task_id>/retry": Asked(fleet_bodies.RetryBody),
    "POST /tasks/<task_id>/skip": Asked(bodies.SkipBody, {"package": "insightface"}),
    "POST /tasks/<task_id>/answer": Asked(bodies.AnswerBody, {"id": "q1", "answer": "replace"}),
    "POST /tasks/prune": Asked(bodies.PruneBody, {"older_than_days": 30}),
}
"""By method and route. The others carry nothing: an empty object, or no body at all."""


@openapi.get("/openapi.json")
def show_specification() -> Response:
    """This specification."""
    query(bodies.NoQuery)
    needs_token = services().access.needs_login()
    made: dict[bool, dict[str, Any]] = current_app.extensions.setdefault(_EXTENSION, {})
    if needs_token not in made:  # many times as costly as any other answer
        made[needs_token] = specification(current_app.url_map.iter_rules(), needs_token=needs_token)
    return answer(made[needs_token])


def specification(rules: Iterator[Rule], *, needs_token: bool) -> dict[str, Any]:
    """The specification of these routes, without pages."""
    paths: dict[str, dict[str, Any]] = {}
    models: dict[str, Any] = {"Error": _ERROR}
    for method, rule in sorted(_api(rules), key=lambda found: (found[1].rule, found[0])):
        operation = _operation(method, rule, models)
        if needs_token and not is_open(method, rule.rule):
            operation["security"] = [{"token": []}, {"session": []}]
        paths.setdefault(_PLACE.sub(r"{\1}", rule.rule), {})[method.lower()] = operation
    components: dict[str, Any] = {"schemas": models}
    if needs_token:
        cookie = {"type": "apiKey", "in": "cookie", "name": f"{COOKIE}PORT"}
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}, "session": cookie}
    about = {"title": "Nodeferry", "version": VERSION, "description": "docs/api.md says what the fields mean."}
    return {"openapi": "3.1.0", "info": about, "paths": paths, "components": components}


def _api(rules: Iterator[Rule]) -> Iterator[tuple[str, Rule]]:
    for rule in rules:
        if not rule.endpoint.startswith("webui."):  # pages
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield method, rule


def _operation(method: str, rule: Rule, models: dict[str, Any]) -> dict[str, Any]:
    asked = ASKED.get(f"{method} {rule.rule}")
    text = current_app.view_functions[rule.endpoint].__doc__ or ""
    locations = [_parameter(name, "path", {"type": "string"}, required=True) for name in _PLACE.findall(rule.rule)]
    operation: dict[str, Any] = {
        "operationId": f"{rule.endpoint.rpartition('.')[2]}",
        "summary": " ".join(text.partition("\n\n")[0].split()),
        "tags": [rule.rule.split("/")[1]],
        "parameters": locations,
        "responses": {
            "2XX": {"description": "As docs/api.md shows it."},
            "default": {"description": "What is wrong.", "content": _json({"$ref": _REFS.format(model="Error")})},
        },
    }
    if asked is None:
        return operation
    schema = asked.model.model_json_schema(ref_template=_REFS)
    models.update(schema.pop("$defs", {}))
    if method == "GET":
        needed = schema.get("required", ())
        found = schema.get("properties", {}).items()
        locations += [_parameter(name, "query", how, required=name in needed) for name, how in found]
    else:
        models[asked.model.__name__] = schema
        body = _json({"$ref": _REFS.format(model=asked.model.__name__)}, dict(asked.example))
        operation["requestBody"] = {"required": bool(asked.example), "content": body}
    return operation


def _parameter(name: str, place: str, schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": dict(schema)}


def _json(schema: Mapping[str, Any], example: Mapping[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"schema": dict(schema)}
    return {"application/json": found | ({"example": example} if example else {})}


_TEXT = {"type": "string"}
_ERROR = {
    "type": "object",
    "required": ["success", "error", "message", "hint"],
    "properties": {
        "success": {"const": False},
        "error": {**_TEXT, "description": "A code."},
        "message": {**_TEXT, "description": "What happened, to what."},
        "hint": {**_TEXT, "description": "What to do."},
        "field": {**_TEXT, "description": "The part of the request that is at fault."},
    },
}
