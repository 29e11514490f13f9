"""What every route shares: the service's parts, reading a request, writing an answer, errors, and the request log."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from flask import Flask, Response, current_app, g, request
from pydantic import BaseModel
from werkzeug.exceptions import HTTPException

from app.domain.access import Identity
from app.domain.errors import AppError, InvalidRequest, Unauthorized
from app.domain.forwarded import is_prefix
from app.domain.request import without_other_file
from app.protocol.redaction import masked
from app.protocol.terminal_text import json_text
from app.remote.own_keys import OwnKeys
from app.settings import Settings
from app.sync.access import Access
from app.sync.capacity import Capacity
from app.sync.default_list import DefaultList
from app.sync.fleets import Fleets
from app.sync.http import admission, bodies, errors, guards, json_body
from app.sync.http.behind_proxy import via_of
from app.sync.http.compression import compress
from app.sync.installs.logs import TaskLogs
from app.sync.installs.retention import Retention
from app.sync.installs.retries import Retries
from app.sync.installs.service import Installs
from app.sync.instance_checks import InstanceChecks
from app.sync.metrics import Metrics
from app.sync.missing_packs import ClassPacks
from app.sync.notifications import Notifications
from app.sync.proofs import Proofs
from app.sync.readiness import Readiness
from app.sync.registry.packs import RegistryPacks
from app.sync.runs.fleet_progress import FleetProgress
from app.sync.runs.remembered import RememberedInstances
from app.sync.runs.runs import Runs
from app.sync.status_links import StatusLinks
from app.sync.tunnels import Tunnels
from app.sync.wheels import Wheels
from app.sync.workflow_executor import WorkflowExecutor
from app.sync.workflow_lists import SentWorkflow, WorkflowLists
from app.workflowfile.several import MAX_FILES

EXTENSION = "nodeferry"
PROBLEM_PAGE = "nodeferry-problem-page"
"""What makes an error's answer a page like the others, where there are pages."""
ProblemPage = Callable[[Response, AppError], None]

_log = logging.getLogger(__name__)
_M = TypeVar("_M", bound=BaseModel)
_IN_MEMORY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes call. `capacity`: places for requests that hold a thread."""

    installs: Installs
    checks: InstanceChecks
    workflows: WorkflowExecutor
    tunnels: Tunnels
    retries: Retries
    fleets: Fleets
    retention: Retention
    settings: Settings
    logs: TaskLogs
    readiness: Readiness
    metrics: Metrics
    wheels: Wheels
    ssh_keys: OwnKeys
    access: Access
    capacity: Capacity
    default_list: DefaultList
    notifications: Notifications
    status_links: StatusLinks
    runs: Runs
    remembered: RememberedInstances
    workflow_lists: WorkflowLists
    registry_packs: RegistryPacks
    proofs: Proofs
    fleet_progress: FleetProgress


def services() -> Services:
    """The parts of the service that this request came to."""
    found: Services = current_app.extensions[EXTENSION]
    return found


def body_values() -> dict[str, Any]:
    """The request's JSON object ({} for no body). Raises NotJson, BodyTooLarge, InvalidRequest."""
    raw = request.get_data(cache=False)
    json_body.check_content_type(request.headers.get("Content-Type", ""), empty=not raw)
    return json_body.parse_object(raw) if raw else {}


def body_file() -> IO[bytes]:
    """The request's body as a file that can be gone to and fro in. Raises NotAFile for a form."""
    if request.mimetype == "multipart/form-data":
        raise errors.NotAFile
    given: IO[bytes] = request.environ["wsgi.input"]
    if given.seekable():
        return given
    request.max_content_length = admission.MAX_FILE_BYTES
    with ExitStack() as undone:
        spool = undone.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))
        shutil.copyfileobj(request.stream, spool)
        undone.pop_all()  # it lives as long as the request
    return spool


def install_values() -> dict[str, Any]:
    """The request's JSON object, with a workflow or another tool's file in its manifest as the list that it is, and
    packs of the registry with what it says of them. Raises as `body_values`, InvalidManifest, ManifestHasQuestions."""
    values = body_values()
    manifest = values.get("manifest")
    g.wanted = ClassPacks()
    if isinstance(manifest, dict):
        found: Mapping[str, Any] | None
        found, g.wanted = services().workflow_lists.as_list(manifest, asks=_asks(values))
        found = without_other_file(found, services().settings.allowed_git_schemes)
        values["manifest"] = services().registry_packs.resolved(found).manifest
    g.sent_workflows = _sent_workflows(manifest, values.get("workflow_files"))
    return values


def _asks(values: Mapping[str, Any]) -> bool:
    options = values.get("options")
    return isinstance(options, dict) and options.get("ask") == "ask"


def _sent_workflows(manifest: object, files: object) -> list[SentWorkflow]:
    """The workflows that a request's manifest is, or was made from."""
    lists = services().workflow_lists
    found = lists.sent(manifest) if isinstance(manifest, dict) else []
    is_list = isinstance(files, list) and 0 < len(files) <= MAX_FILES
    return found or (lists.sent({"workflow_file": files}) if is_list else [])


def has_workflow() -> bool:
    """Whether the request named a workflow; after `install_values`."""
    return bool(g.get("sent_workflows"))


def keep_workflow(run_id: str) -> None:
    """Keeps the request's workflows, if it has any, for the proof of the run that it has started."""
    if has_workflow():
        services().proofs.begin(run_id, g.sent_workflows, g.wanted)


def body(model: type[_M]) -> _M:
    """The request's JSON as `model`."""
    return bodies.read(model, body_values())


def query(model: type[_M]) -> _M:
    """The request's parameters as `model`. Raises InvalidRequest, for a parameter that comes twice too."""
    for name, values in request.args.lists():
        if len(values) > 1:
            raise InvalidRequest(f"The parameter {name[:80]!r} is given twice.", field=name[: bodies.MAX_FIELD_CHARS])
    return bodies.read(model, request.args.to_dict())


def sender() -> Identity:
    """Who sent this request. Raises Unauthorized."""
    via = via_of(request.environ)
    identity = services().access.who(dict(request.headers), scheme=via.scheme, client=via.client)
    if identity is None:
        raise Unauthorized
    return identity


def checked_task_id(text: object) -> str:
    """A checked task_id, noted for the request log. Raises InvalidRequest."""
    return note_task(bodies.task_id_of(text))


def note_task(known: str) -> str:
    """`known`, which the request's log line will name."""
    g.task_id = known
    return known


def answer(payload: Mapping[str, Any], status: int = 200, *, has_secret: bool = False) -> Response:
    """`payload` as JSON, its secrets masked. `has_secret`: it brings one to whom it belongs."""
    text = json_text(payload, separators=(",", ":"))
    response = Response(text if has_secret else masked(text), status, content_type=errors.JSON_TYPE)
    if has_secret:
        response.headers["Cache-Control"] = "no-store, no-transform"  # nobody compresses it
    return response


def error_answer(error: AppError) -> Response:
    """`error` in the one shape, with its status; as a page, where a browser goes to an address."""
    as_page = admission.wants_page(request.method, request.headers.get("Accept", ""))
    made = response_of(error, as_page=as_page)
    fill: ProblemPage | None = current_app.extensions.get(PROBLEM_PAGE)
    if as_page and fill is not None and made.status_code != 403:  # who may not come here gets none of our scripts
        fill(made, error)
    return made


def response_of(error: AppError, *, as_page: bool = False) -> Response:
    """`error_answer`, wherever there is no request of Flask's."""
    made = errors.answer_of(error, as_page=as_page)
    return Response(made.body, made.status, headers=list(made.headers))


def register_http(app: Flask, shared: Services) -> None:
    """Give `app` its parts, guards, error answers and request log."""
    app.extensions[EXTENSION] = shared
    app.config["MAX_CONTENT_LENGTH"] = admission.MAX_BODY_BYTES
    app.url_map.merge_slashes = False
    app.before_request(_before)
    app.after_request(_after)
    app.register_error_handler(AppError, _app_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def _before() -> Response | None:
    g.started = time.perf_counter()
    refused = _refusal()
    if refused:
        return error_answer(refused)
    if request.method == "OPTIONS":
        return Response(status=204, headers={"Allow": ", ".join(sorted(_allowed() | {"OPTIONS"}))})
    if request.url_rule is not None and request.url_rule.arguments and request.method not in _allowed():
        return _not_allowed()  # `/tasks/prune` is no task
    return None


def _refusal() -> AppError | None:
    return admission.refusal(admission.head_of(request.environ), services().access)


def _allowed() -> set[str]:
    """The methods of the request's address: of the routes that name it most exactly."""
    adapter = current_app.create_url_adapter(request)
    if adapter is None:
        return set()
    found = [adapter.match(method=method, return_rule=True)[0] for method in adapter.allowed_methods()]
    nearest = min((rule.rule for rule in found), key=lambda rule: (rule.count("<"), rule), default="")
    return {method for rule in found if rule.rule == nearest for method in rule.methods or ()}


def _not_allowed() -> Response:
    response = error_answer(errors.MethodNotAllowed())
    response.headers["Allow"] = ", ".join(sorted(_allowed()))
    return response


def _after(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    if seconds > admission.LOOKED_SECONDS and request.method == "GET" and response.status_code < 400:
        refused = _refusal()
        response = error_answer(refused) if refused else response
    for name, value in errors.HEADERS.items():
        response.headers.setdefault(name, value)
    compress(response, request.headers.get("Accept-Encoding", ""))
    if request.url_rule is not None:
        services().metrics.answered(f"{request.method} {request.url_rule.rule}", seconds)
    is_news = guards.changes(request.method, request.path) or response.status_code >= 400
    _log.log(
        logging.INFO if is_news else logging.DEBUG,  # a page polls, and a run is polled for hours
        "request method=%s path=%s status=%d ms=%.1f task_id=%s client=%s",
        request.method,
        admission.logged_path(request.path),
        response.status_code,
        seconds * 1000,
        g.get("task_id", "-"),
        request.remote_addr or "-",
    )
    return response


def _app_error(error: AppError) -> Response:
    return _bug(error) if errors.status_of(error) == 500 else error_answer(error)


def _http_error(error: HTTPException) -> Response:
    """What Flask itself refuses, in the one shape."""
    code = error.code or 500
    if code == 404:
        return error_answer(errors.NotFound(hint=_not_found_hint()))
    if code == 405:
        return _not_allowed()
    if code == 413:
        return error_answer(errors.BodyTooLarge())
    return error_answer(InvalidRequest(error.description or "")) if code < 500 else _bug(error)


def _not_found_hint() -> str:
    """Where a path that a proxy adds stands before one of our own: the setting that names it."""
    adapter = current_app.create_url_adapter(request)
    parts = request.path.split("/")
    for number in range(2, min(len(parts), 8)):
        inner, prefix = "/" + "/".join(parts[number:]), "/".join(parts[:number])
        if adapter is not None and is_prefix(prefix) and (inner == "/" or adapter.test(inner, "GET")):
            return f"If a proxy shows this service below {prefix}, set NODEFERRY_PATH_PREFIX={prefix}."
    return ""


def _bug(error: Exception) -> Response:
    """The last handler: only bugs come here. The same id is in the answer and in the log."""
    incident = uuid.uuid4().hex[:12]
    _log.error("request_failed incident=%s path=%s", incident, admission.logged_path(request.path), exc_info=error)
    hint = f"Please report it with the lines around {incident} in the service's log."
    known = error.message if isinstance(error, AppError) else "Something went wrong inside Nodeferry."
    return error_answer(errors.InternalError(f"{known} (incident {incident})", hint=hint))
