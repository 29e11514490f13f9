"""The schemas of tasks, locks, logs, wheels, tunnels, workflows and fleets."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.workflow import StepName, StepState, WorkflowState
from app.protocol.audit import RUNNER, SERVICE
from app.protocol.manifest import NodePack
from app.protocol.states import Outcome, Phase, TaskState
from app.sync.http.spec.progress import NUMBERS
from app.sync.http.spec.schema import (
    ANY_OBJECT,
    COUNT,
    FLAG,
    NUMBER,
    PERCENT,
    SECONDS,
    TEXT,
    TIME,
    UUID,
    WHOLE,
    YES,
    Schema,
    array,
    mapping,
    nullable,
    of_dataclass,
    record,
    ref,
    words,
)
from app.sync.http.spec.workflow_files import OTHER_FILE, REGISTRY_PACKS, WORKFLOW_NEEDS
from app.sync.installs.logs import LogPart
from app.sync.installs.retention import Pruned
from app.sync.wheels import Wheel

_ROW: Mapping[str, Schema] = {
    "task_id": UUID,
    "created_at": TIME,
    "started_at": nullable(TIME),
    "finished_at": nullable(TIME),
    "ssh_connection": nullable(TEXT),
    "instance": TEXT,
    "ui_home": nullable(TEXT),
    "state": words(TaskState),
    "in_progress": FLAG,
    "outcome": nullable(words(Outcome)),
    **dict.fromkeys(("total_nodes", "successful", "failed", "skipped", "revision"), COUNT),
    "error": nullable(ref("Problem")),
    "retry_of": nullable(UUID),
    "retried_by": nullable(UUID),
    "rollback_of": nullable(UUID),
    "restart_of": nullable({**TEXT, "description": "A task_id, or `none` for a restart without an install."}),
    "fleet_id": nullable(UUID),
}
_STATES = record({state.value: COUNT for state in TaskState})
_STARTED = array(record({"ssh_connection": TEXT, "task_id": UUID, "state": words(TaskState)}))
_LEFT_OUT = array(record({"name": TEXT, "version": TEXT, "reason": TEXT}))


def started(**more: Schema) -> Schema:
    """The answer to what begins a task, or changes how one stands."""
    return record({"success": YES, "task_id": UUID, "state": words(TaskState), **more, "message": TEXT})


_TASKS: Mapping[str, Schema] = {
    "TaskRow": record(_ROW),
    "Tasks": record({"success": YES, "tasks": array(ref("TaskRow")), "next_cursor": nullable(TEXT)}),
    "StoredRequest": record(
        {"ssh_connection": TEXT, "options": ANY_OBJECT},
        {
            "version": COUNT,
            "ui_home": nullable(TEXT),
            "venv_path": nullable(TEXT),
            "manifest": nullable(ANY_OBJECT),
            "idempotency_key": nullable(TEXT),
            "rollback_of": nullable(UUID),
            "retry_of": nullable(UUID),
            "retry_number": COUNT,
            "restart_of": nullable(TEXT),
            "expected": array(array(TEXT)),
            "limits": nullable(ANY_OBJECT),
        },
        closed=False,
        about="What was asked for, as the version of Nodeferry that accepted it has stored it.",
    ),
    "Task": record(
        {
            "success": YES,
            **_ROW,
            "request": {"anyOf": [ref("StoredRequest"), {**ANY_OBJECT, "description": "Of a damaged record."}]},
            "plan": nullable(array(ref("PlannedChange"))),
            "probe": {**ANY_OBJECT, "description": "What the run's probe of the instance has told."},
            "progress": ref("Progress"),
        }
    ),
    "Lock": record(
        {"node_packs": array(ANY_OBJECT)},
        {
            "format": COUNT,
            "ui_home": nullable(TEXT),
            "comfyui_commit": nullable(TEXT),
            "interpreter": nullable(TEXT),
            "python": nullable(TEXT),
            "torch": nullable(ANY_OBJECT),
            "gpu": nullable(array(ANY_OBJECT)),
            "packages": nullable(mapping(TEXT)),
            "sources": nullable(mapping(TEXT)),
            "compared": nullable(ANY_OBJECT),
        },
        closed=False,
        about="A manifest, as the run's runner has written it: docs/runner.md names its fields.",
    ),
    "TaskLock": record({"success": YES, "task_id": UUID, "lock": ref("Lock")}),
    "LockFile": record(
        {"success": YES, "task_id": UUID, "file_name": TEXT, "text": TEXT, "line": TEXT, "told": array(TEXT)},
        about="A lock as another tool's file. `line`: what starts it, with ADDRESS for where the file lies.",
    ),
    "ManagerSnapshot": record(
        {
            "comfyui": nullable(TEXT),
            "git_custom_nodes": mapping(record({"hash": nullable(TEXT), "disabled": FLAG})),
            "cnr_custom_nodes": record({}),
            "file_custom_nodes": array(TEXT),
            "pips": mapping(TEXT),
        },
        about="A snapshot that ComfyUI-Manager restores. It has no `success`.",
    ),
    "Log": record(
        {
            "success": YES,
            "task_id": UUID,
            **of_dataclass(LogPart),
            "logs": array(record({"log": TEXT, "node": nullable(TEXT), "size": COUNT})),
        }
    ),
    "FoundLines": record(
        {
            "success": YES,
            "task_id": UUID,
            "matches": array(record({"log": TEXT, "node": nullable(TEXT), "line": COUNT, "text": TEXT})),
            "complete": {**FLAG, "description": "Whether these are all."},
        }
    ),
    "AuditedCommand": record(
        {
            "number": COUNT,
            "at": {**TEXT, "description": "By the clock of the side that ran it; the instance may say anything."},
            "task_id": UUID,
            "by": words(SERVICE, RUNNER),
            "why": TEXT,
            "argv": array(TEXT),
            "cwd": TEXT,
            "user": TEXT,
            "ended": nullable(TEXT),
            "status": nullable(WHOLE),
            "seconds": nullable(SECONDS),
        }
    ),
    "Audit": record(
        {
            "success": YES,
            "task_id": UUID,
            **dict.fromkeys(("offset", "total", "left_out"), COUNT),
            "complete": FLAG,
            "commands": array(ref("AuditedCommand")),
        }
    ),
    "Wheels": record({"success": YES, "task_id": UUID, "wheels": array(record(of_dataclass(Wheel)))}),
    "Cancelled": started(),
    "Retried": started(retry_of=UUID),
    "RolledBack": started(rollback_of=UUID),
    "Repaired": started(repair_of=UUID),
    "Restarted": started(restart_of=UUID),
    "Skipped": record({"success": YES, "task_id": UUID, "build": ref("Build"), "message": TEXT}),
    "Answered": record({"success": YES, "task_id": UUID, "question": ref("RunQuestion"), "message": TEXT}),
    "Pruned": record({"success": YES, "older_than_days": NUMBER, **of_dataclass(Pruned)}),
    "Tunnel": record(
        {
            "success": YES,
            "task_id": UUID,
            "state": words("opening", "open", "closed", "failed"),
            "url": nullable(TEXT),
            "reason": nullable(TEXT),
            "error": nullable(ref("Problem")),
        }
    ),
    "Started": record(
        {"success": YES, "task_id": UUID, "state": words(TaskState), "message": TEXT}, {"left_out": _LEFT_OUT}
    ),
    "DefaultList": record(
        {
            "success": YES,
            "source": record({"repo": TEXT, "path": TEXT}),
            "nodes": nullable(array(record(of_dataclass(NodePack)))),
            "read_at": nullable(TIME),
            "age_seconds": nullable(SECONDS),
            "problem": nullable(record({"code": TEXT, "message": TEXT, "hint": TEXT})),
        }
    ),
    "CheckedManifest": record(
        {
            "success": YES,
            "manifest": nullable(ANY_OBJECT),
            "nodes": nullable(array(record(of_dataclass(NodePack)))),
            "left_out": _LEFT_OUT,
            "registry": nullable(REGISTRY_PACKS),
        },
        {"workflow": WORKFLOW_NEEDS, "file": OTHER_FILE},
    ),
}

_TASK_LINE = {"name": TEXT, "status": TEXT, "detail": nullable(TEXT), "seconds": nullable(NUMBER)}
_WORKFLOWS: Mapping[str, Schema] = {
    "WorkflowStarted": record({"success": YES, "workflow_id": UUID, "state": words(WorkflowState), "message": TEXT}),
    "Workflows": record(
        {
            "success": YES,
            "workflows": array(
                record(
                    {
                        "workflow_id": UUID,
                        "created_at": TIME,
                        "state": words(WorkflowState),
                        "ssh_connection": TEXT,
                        "task_ids": array(UUID),
                    }
                )
            ),
        }
    ),
    "WorkflowLine": record({**_TASK_LINE, "sub_tasks": array(ref("WorkflowLine"))}),
    "WorkflowStep": record(
        {
            "name": words(StepName),
            "label": TEXT,
            "status": words(StepState),
            "message": TEXT,
            "percent": nullable(PERCENT),
            "seconds": nullable(NUMBER),
            "task_id": nullable(UUID),
            "plan_task_id": nullable(UUID),
            "found": ANY_OBJECT,
            "next_attempt_at": nullable(TIME),
            "tasks": array(ref("WorkflowLine")),
            "error": nullable(ref("Problem")),
        }
    ),
    "WorkflowQuestion": record(
        {
            "code": TEXT,
            "title": TEXT,
            "text": TEXT,
            "hint": TEXT,
            "answers": array(ref("PossibleAnswer")),
            "facts": ANY_OBJECT,
        },
        {"id": TEXT, "default": TEXT, "answer": nullable(TEXT), "expires_at": nullable(TIME), "task_id": UUID},
        about="A step's own question, or (with `id`) that of its task.",
    ),
    "Workflow": record(
        {
            "success": YES,
            "workflow_id": UUID,
            "state": words(WorkflowState),
            "in_progress": FLAG,
            "revision": COUNT,
            "created_at": TIME,
            "finished_at": nullable(TIME),
            "ssh_connection": TEXT,
            "ui_home": nullable(TEXT),
            "current_step": nullable(words(StepName)),
            "steps": array(ref("WorkflowStep")),
            "question": nullable(ref("WorkflowQuestion")),
            "error": nullable(ref("Problem")),
        }
    ),
}

_OF_FLEET = {"success": YES, "fleet_id": UUID, "revision": COUNT, "in_progress": FLAG}
_FLEETS: Mapping[str, Schema] = {
    "FleetTasks": record({"success": YES, "fleet_id": UUID, "tasks": _STARTED, "message": TEXT}),
    "FleetChanged": record(
        {"success": YES, "fleet_id": UUID, "tasks": _STARTED, "left": mapping(COUNT), "message": TEXT},
        about="`left`: how many tasks were left as they are, by the code of the reason.",
    ),
    "Fleets": record(
        {
            "success": YES,
            "fleets": array(
                record(
                    {
                        "fleet_id": UUID,
                        "created_at": TIME,
                        "total_instances": COUNT,
                        "in_progress": FLAG,
                        "states": _STATES,
                    }
                )
            ),
        }
    ),
    "FleetInstanceProgress": record(
        {
            "ssh_connection": TEXT,
            "ui_home": nullable(TEXT),
            "venv_path": nullable(TEXT),
            "task_id": UUID,
            "retry_of": nullable(UUID),
            "state": words(TaskState),
            "outcome": nullable(words(Outcome)),
            "percent": PERCENT,
            "phase": words(Phase),
            "message": TEXT,
            "message_code": nullable(TEXT),
            "summary": ref("Summary"),
            "questions": array(ref("RunQuestion")),
            **NUMBERS,
            "error": nullable(ref("Problem")),
        }
    ),
    "FleetPage": record({"total": COUNT, "offset": COUNT, "limit": COUNT, "next_offset": nullable(COUNT)}),
    "FleetProgress": record(
        {
            **_OF_FLEET,
            "completed": FLAG,
            "created_at": TIME,
            "total_instances": COUNT,
            "states": _STATES,
            "percent": PERCENT,
            **NUMBERS,
            "summary": ref("Summary"),
            "kinds": mapping(COUNT),
            "needing": COUNT,
            "page": ref("FleetPage"),
            "instances": array(ref("FleetInstanceProgress")),
        }
    ),
    "UnchangedFleet": record({**_OF_FLEET, "unchanged": YES}),
}

SCHEMAS: Mapping[str, Schema] = {**_TASKS, **_WORKFLOWS, **_FLEETS}
