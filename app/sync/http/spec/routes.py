"""Every route of the API: what it is asked, what it answers, and with which codes it refuses.

The table owns this: the specification is made from it, and in the tests each answer of a service is held against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from app.domain.errors import RemoteError, RunnerError
from app.sync.http import bodies, fleet_bodies, log_bodies
from app.sync.http.check_bodies import CheckManifestBody, FileQuery, ForgetAnswersBody, ProofBody, TemplatesQuery
from app.sync.http.errors import codes_of

_SSH = "ssh -p 12345 root@ssh6.vast.ai"
_TASK = "550e8400-e29b-41d4-a716-446655440000"
_WORKFLOW = "9a3f5f0e-3b1c-4c0a-9d0c-5d5a0f7f1e21"

JSON, TEXT, EVENTS = "application/json", "text/plain", "text/event-stream"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no error. `schemas`: names of components, any of which it is; none for text, and for what has
    no body (no content type). `headers`: besides those that all have; `sometimes`: those that it may lack."""

    schemas: tuple[str, ...] = ()
    content_type: str = JSON
    headers: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    about: str = "As docs/api.md shows it."


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. `asked`: the model that checks its body, or its parameters (GET); `example`: of a body; `takes_file`:
    its body is a file. `replies`: by status, one or (by content type) several; `codes`: of its own errors, besides
    those that every route has."""

    replies: Mapping[int, tuple[Reply, ...]]
    codes: tuple[str, ...] = ()
    asked: type[BaseModel] | None = None
    example: Mapping[str, Any] = field(default_factory=dict)
    takes_file: bool = False


def _route(status: int, *replies: Reply | str, codes: str = "", **more: Any) -> Operation:
    made = tuple(Reply((each,)) if isinstance(each, str) else each for each in replies)
    return Operation({status: made}, tuple(codes.split()), **more)


def _listed(*schemas: str, codes: str = "", **more: Any) -> Operation:
    """What a client may have already: `If-None-Match` with its ETag is answered 304 then."""
    unchanged = Reply(content_type="", headers=("ETag",), about="The client has exactly this (`If-None-Match`).")
    return Operation({200: (Reply(schemas, headers=("ETag",)),), 304: (unchanged,)}, tuple(codes.split()), **more)


_INSTANCE = " ".join(codes_of(RemoteError) + codes_of(RunnerError))
_STARTS = "service_closing too_many_tasks"
_BROKEN = "workflow_file_unreadable workflow_file_unknown workflow_file_empty workflow_file_too_large"
_FILES = f"workflow_file_not_found template_not_found templates_missing {_BROKEN}"
_REFUSED_PACKS = "registry_pack_not_found registry_version_not_found registry_version_refused"
_LIST = f"invalid_manifest manifest_has_questions {_FILES} {_REFUSED_PACKS}"
_FOLLOWS = f"task_not_found task_conflict {_STARTS} runner_protocol_error"
_KEYS = "idempotency_conflict too_many_keys"
_SOME_SSH = {"ssh_connection": _SSH}
_LOG_HEADERS = ("X-Log-Offset", "X-Log-Size", "X-Log-Complete")
_WHEEL_HEADERS = ("Content-Disposition", "X-Wheel-SHA256")

_TASKS: Mapping[str, Operation] = {
    "POST /ssh/install-custom-nodes": _route(
        202,
        "Started",
        codes=f"invalid_address {_LIST} {_STARTS} {_KEYS}",
        asked=bodies.InstallBody,
        example=_SOME_SSH,
    ),
    "POST /ssh/install-custom-nodes/progress": _route(
        200,
        Reply(("RunningProgress", "EndedProgress", "UnchangedProgress", "ProgressPatch")),
        codes="task_not_found",
        asked=bodies.ProgressBody,
        example={"task_id": _TASK},
    ),
    "GET /tasks": _route(200, "Tasks", asked=bodies.TasksQuery),
    "POST /tasks/prune": _route(200, "Pruned", asked=bodies.PruneBody, example={"older_than_days": 30}),
    "GET /tasks/<task_id>": _route(
        200, Reply(("Task",), sometimes=("Retry-After",)), codes="task_not_found", asked=bodies.TaskQuery
    ),
    "GET /tasks/<task_id>/lock": _route(
        200,
        Reply(("TaskLock", "ManagerSnapshot", "LockFile")),
        codes="task_not_found not_found runner_protocol_error",
        asked=bodies.LockQuery,
    ),
    "GET /tasks/<task_id>/log": _route(
        200,
        "Log",
        Reply(content_type=TEXT, headers=_LOG_HEADERS, about="With `format=text`: the text alone."),
        codes="task_not_found log_not_found",
        asked=log_bodies.LogQuery,
    ),
    "GET /tasks/<task_id>/log/search": _route(
        200, "FoundLines", codes="task_not_found log_not_found", asked=log_bodies.LogSearchQuery
    ),
    "GET /tasks/<task_id>/audit": _route(200, "Audit", codes="task_not_found", asked=log_bodies.AuditQuery),
    "GET /tasks/<task_id>/wheels": _route(
        200, "Wheels", codes=f"task_not_found too_many_streams {_INSTANCE}", asked=bodies.NoQuery
    ),
    "GET /tasks/<task_id>/wheels/content": _route(
        200,
        Reply(content_type="application/octet-stream", headers=_WHEEL_HEADERS, about="The wheel, from `offset` on."),
        codes=f"task_not_found wheel_not_found too_many_streams {_INSTANCE}",
        asked=bodies.WheelQuery,
    ),
    "GET /tasks/<task_id>/events": Operation(
        {
            200: (
                Reply(
                    ("ProgressEvent",),
                    content_type=EVENTS,
                    headers=("X-Accel-Buffering",),
                    about="An event `progress` for each revision; its data is what a poll answers.",
                ),
            ),
            204: (Reply(content_type="", about="The task has ended, and that was seen: nothing more will come."),),
        },
        ("task_not_found", "too_many_streams"),
        bodies.EventsQuery,
    ),
    "POST /tasks/<task_id>/cancel": _route(
        202, "Cancelled", codes="task_not_found task_not_cancellable service_closing", asked=bodies.NoBody
    ),
    "POST /tasks/<task_id>/reconnect": _route(
        202, "Cancelled", codes="task_not_found task_not_waiting", asked=bodies.NoBody
    ),
    "POST /tasks/<task_id>/skip": _route(
        202,
        "Skipped",
        codes="task_not_found build_not_skippable service_closing",
        asked=bodies.SkipBody,
        example={"package": "insightface"},
    ),
    "POST /tasks/<task_id>/answer": _route(
        202,
        "Answered",
        codes="task_not_found question_not_found question_gone service_closing",
        asked=bodies.AnswerBody,
        example={"id": "q1", "answer": "replace"},
    ),
    "POST /tasks/<task_id>/retry": _route(
        202, "Retried", codes=f"{_FOLLOWS} nothing_to_retry invalid_manifest", asked=fleet_bodies.RetryBody
    ),
    "POST /tasks/<task_id>/rollback": _route(
        202, "RolledBack", codes=f"{_FOLLOWS} nothing_to_roll_back", asked=bodies.NoBody
    ),
    "POST /tasks/<task_id>/repair": _route(202, "Repaired", codes=f"{_FOLLOWS} nothing_to_repair", asked=bodies.NoBody),
    "POST /tasks/<task_id>/restart": _route(202, "Restarted", codes=_FOLLOWS, asked=bodies.NoBody),
    "POST /tasks/<task_id>/open": _route(202, "Tunnel", codes="task_not_found too_many_tunnels", asked=bodies.NoBody),
    "GET /tasks/<task_id>/open": _route(200, "Tunnel", codes="task_not_found", asked=bodies.NoQuery),
    "DELETE /tasks/<task_id>/open": _route(200, "Tunnel", codes="task_not_found", asked=bodies.NoBody),
    "GET /manifests/default": _route(200, "DefaultList", asked=bodies.NoQuery),
    "POST /manifests/default": _route(
        200, "DefaultList", codes="invalid_address", asked=bodies.ScanBody, example=_SOME_SSH
    ),
    "POST /manifests/check": _route(
        200,
        "CheckedManifest",
        codes=f"invalid_manifest invalid_address {_FILES} {_REFUSED_PACKS}",
        asked=CheckManifestBody,
        example={"manifest": {"urls": ["https://github.com/owner/name"]}},
    ),
    "GET /workflow-answers": _route(200, "WorkflowAnswers", asked=bodies.NoQuery),
    "DELETE /workflow-answers": _route(
        200, "AnswersForgotten", asked=ForgetAnswersBody, example={"question_id": "pack:ShowText"}
    ),
    "GET /templates": _route(200, "Templates", asked=TemplatesQuery),
    "POST /workflow-files": _route(
        201,
        "WorkflowFile",
        codes=f"not_a_file {_BROKEN}",
        asked=FileQuery,
        takes_file=True,
    ),
    "POST /workflow-proofs": _route(
        200,
        "ProofHere",
        codes=f"invalid_address invalid_manifest {_FILES} service_busy {_INSTANCE}",
        asked=ProofBody,
        example=_SOME_SSH | {"manifest": {"template": "default"}},
    ),
}

_GROUPS: Mapping[str, Operation] = {
    "POST /workflow/start": _route(
        202,
        "WorkflowStarted",
        codes=f"invalid_address {_LIST} service_closing too_many_workflows {_KEYS}",
        asked=bodies.WorkflowBody,
        example=_SOME_SSH,
    ),
    "POST /workflow/stop": _route(
        202,
        "WorkflowStarted",
        codes="workflow_not_found workflow_conflict service_closing",
        asked=bodies.WorkflowIdBody,
        example={"workflow_id": _WORKFLOW},
    ),
    "POST /workflow/resume": _route(
        202,
        "WorkflowStarted",
        codes="workflow_not_found workflow_conflict task_not_found question_not_found question_gone service_closing",
        asked=bodies.ResumeBody,
        example={"workflow_id": _WORKFLOW, "answer": "accept"},
    ),
    "POST /workflow/reconnect": _route(
        202,
        "WorkflowStarted",
        codes="workflow_not_found workflow_conflict task_not_found task_not_waiting",
        asked=bodies.WorkflowIdBody,
        example={"workflow_id": _WORKFLOW},
    ),
    "GET /workflow/state": _route(200, "Workflow", codes="workflow_not_found", asked=bodies.WorkflowQuery),
    "GET /workflows": _route(200, "Workflows", asked=bodies.WorkflowsQuery),
    "POST /fleet/install-custom-nodes": _route(
        202,
        "FleetTasks",
        codes=f"invalid_address {_LIST} fleet_too_large too_many_fleets {_STARTS} {_KEYS}",
        asked=fleet_bodies.FleetBody,
        example={"ssh_connections": [_SSH, "ssh -p 2222 root@10.0.0.7"]},
    ),
    "GET /fleet": _route(200, "Fleets", asked=bodies.NoQuery),
    "GET /fleet/<fleet_id>": _listed(
        "FleetProgress", "UnchangedFleet", codes="fleet_not_found", asked=fleet_bodies.FleetQuery
    ),
    "POST /fleet/<fleet_id>/cancel": _route(
        202, "FleetChanged", codes="fleet_not_found task_not_cancellable service_closing", asked=bodies.NoBody
    ),
    "POST /fleet/<fleet_id>/retry": _route(
        202,
        "FleetChanged",
        codes=f"fleet_not_found nothing_to_retry invalid_manifest {_FOLLOWS}",
        asked=bodies.NoBody,
    ),
}

_RUNS: Mapping[str, Operation] = {
    "GET /runs": _listed("Runs", asked=bodies.RunsQuery),
    "GET /runs/<run_id>": _listed("Run", codes="run_not_found", asked=fleet_bodies.FleetPageQuery),
    "GET /instances": _route(200, "Instances", asked=bodies.NoQuery),
    "DELETE /instances/<instance_id>": _route(
        200, "InstanceForgotten", codes="instance_not_found instance_busy", asked=bodies.NoBody
    ),
}

_SERVICE: Mapping[str, Operation] = {
    "POST /ssh/test": _route(
        200,
        Reply(("InstanceFound", "InstanceFailed"), about="What was found, or why the instance failed the test."),
        codes="invalid_address",
        asked=bodies.CheckBody,
        example=_SOME_SSH,
    ),
    "GET /host-keys": _route(200, "HostKeys", asked=bodies.NoQuery),
    "POST /host-keys/scan": _route(
        200, "HostKeyShown", codes=f"invalid_address {_INSTANCE}", asked=bodies.ScanBody, example=_SOME_SSH
    ),
    "POST /host-keys/accept": _route(
        200,
        "HostKeyShown",
        codes=f"invalid_address {_INSTANCE}",
        asked=bodies.AcceptBody,
        example=_SOME_SSH | {"sha256": "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"},
    ),
    "DELETE /host-keys/<address>": _route(200, "HostKeysForgotten", asked=bodies.NoBody),
    "GET /session": _route(200, "Session", asked=bodies.NoQuery),
    "POST /session": _route(
        201,
        Reply(("Session",), headers=("Set-Cookie",)),
        codes="unauthorized too_many_attempts",
        asked=bodies.LoginBody,
        example={"token": "ndf_…"},
    ),
    "DELETE /session": _route(200, Reply(("LoggedOut",), headers=("Set-Cookie",)), asked=bodies.NoBody),
    "POST /runs/<run_id>/proof": _route(
        200,
        "Proof",
        codes="run_not_found run_has_no_workflow task_not_found service_busy",
        asked=bodies.NoBody,
    ),
    "GET /runs/<run_id>/link": _route(200, "StatusLink", codes="run_not_found", asked=bodies.NoQuery),
    "POST /runs/<run_id>/link": _route(
        201, "StatusLinkMade", codes="run_not_found status_links_off", asked=bodies.NoBody
    ),
    "DELETE /runs/<run_id>/link": _route(200, "StatusLink", codes="run_not_found", asked=bodies.NoBody),
    "GET /status": _listed("SharedRun", codes="status_link_not_found", asked=bodies.NoQuery),
    "GET /notifications": _route(200, "Notifications", asked=bodies.NoQuery),
    "POST /notifications": _route(200, "Notifications", asked=bodies.NotificationsBody, example={"on": False}),
    "POST /notifications/test": _route(202, "Notifications", codes="notifications_unusable", asked=bodies.NoBody),
    "GET /ssh-keys": _route(200, "SshKeys", asked=bodies.NoQuery),
    "POST /ssh-keys": _route(
        201, "SshKeyMade", codes="key_exists key_not_made too_many_ssh_keys", asked=bodies.SshKeyBody
    ),
    "GET /health": _route(200, "Health", asked=bodies.NoQuery),
    "GET /health/ready": _route(200, "Readiness", codes="not_ready", asked=bodies.NoQuery),
    "GET /metrics": _route(
        200, Reply(content_type=TEXT, about="Figures in Prometheus' text format."), asked=bodies.NoQuery
    ),
    "GET /openapi.json": _route(200, "Specification", asked=bodies.NoQuery),
}

OPERATIONS: Mapping[str, Operation] = {**_TASKS, **_GROUPS, **_RUNS, **_SERVICE}
"""By method and rule."""
