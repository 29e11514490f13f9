"""The schemas of runs and of the instances that are remembered."""

from __future__ import annotations

from collections.abc import Mapping

from app.protocol.counts import Standing
from app.sync.http.spec.schema import (
    COUNT,
    FLAG,
    PERCENT,
    SECONDS,
    TEXT,
    TIME,
    UUID,
    YES,
    Schema,
    array,
    mapping,
    nullable,
    record,
    ref,
    words,
)
from app.sync.http.spec.workflow_files import RUN_PROOF

_ROW: Mapping[str, Schema] = {
    "run_id": UUID,
    "kind": words("install", "workflow", "fleet"),
    "fleet_id": nullable(UUID),
    "machine": ref("RunMachine"),
    "list": record({"label": TEXT, "total": COUNT}),
    "created_at": TIME,
    "finished_at": nullable(TIME),
    "in_progress": FLAG,
    "seconds": SECONDS,
    "working_since": nullable(TIME),
    "summary": ref("Summary"),
    "counts": ref("Counts"),
    "percent": PERCENT,
}
_ACTIONS = ("install_again", "lock", "open", "repair", "restart", "retry", "rollback", "stop")

_LINK: Mapping[str, Schema] = {"success": YES, "run_id": UUID, "allowed": FLAG, "made_at": nullable(TIME)}
_SHARED = tuple(name for name in _ROW if name not in ("run_id", "kind", "fleet_id", "machine"))

SCHEMAS: Mapping[str, Schema] = {
    "RunMachine": record(
        {
            "name": TEXT,
            "instance": nullable(TEXT),
            "ssh_connection": nullable(TEXT),
            "ui_home": nullable(TEXT),
            "gpu": nullable(TEXT),
        },
        about="Where a run works. Of a fleet only the name is known: how many machines it has.",
    ),
    "RunRow": record(_ROW),
    "ListedRun": record({**_ROW, "workflow_files": array(TEXT)}, about="`workflow_files`: those it was started with."),
    "Runs": record({"success": YES, "runs": array(ref("ListedRun")), "next_cursor": nullable(TEXT)}),
    "RunChapter": record(
        {
            "name": words("connect", "question", "plan", "install", "retry", "restart", "put_back", "check", "proof"),
            "label": TEXT,
            "task_id": nullable(UUID),
            "in_progress": FLAG,
            "summary": ref("Summary"),
            "counts": ref("Counts"),
            "created_at": TIME,
            "finished_at": nullable(TIME),
            "seconds": nullable(SECONDS),
        }
    ),
    "RunAction": record(
        {"name": words(*_ACTIONS), "primary": FLAG, "task_id": nullable(UUID)},
        about="`task_id`: of the task that the action is asked of; null for the run itself.",
    ),
    "Run": record(
        {
            "success": YES,
            **_ROW,
            "current": nullable(UUID),
            "rows_of": nullable(UUID),
            "question": nullable(ref("WorkflowQuestion")),
            "chapters": array(ref("RunChapter")),
            "workflow": nullable(ref("Workflow")),
            "actions": array(ref("RunAction")),
            "runs": nullable(array(ref("RunRow"))),
            "page": nullable(ref("FleetPage")),
            "kinds": nullable(mapping(COUNT)),
            "needing": nullable(record({"total": COUNT, "runs": array(ref("RunRow"))})),
            "proof": nullable(RUN_PROOF),
        },
    ),
    "StatusLink": record(_LINK),
    "StatusLinkMade": record({**_LINK, "path": TEXT}),
    "SharedRun": record(
        {
            "success": YES,
            **{name: _ROW[name] for name in _SHARED},
            "nodes": array(
                record(
                    {"name": TEXT, "machine": nullable(COUNT), "standing": words(Standing), "problem": nullable(TEXT)}
                )
            ),
        }
    ),
    "Instance": record(
        {
            "instance_id": UUID,
            "name": TEXT,
            "instance": TEXT,
            "ssh_connection": TEXT,
            "source": words("remembered"),
            "ui_home": nullable(TEXT),
            "gpu": nullable(TEXT),
            "host_key": nullable(record({"type": TEXT, "sha256": TEXT, "first_seen_at": nullable(TIME)})),
            "last_run": nullable(
                record(
                    {
                        "run_id": UUID,
                        "in_progress": FLAG,
                        "summary": ref("Summary"),
                        "counts": ref("Counts"),
                        "at": TIME,
                    }
                )
            ),
            "packs_known": COUNT,
        }
    ),
    "Instances": record({"success": YES, "instances": array(ref("Instance"))}),
    "InstanceForgotten": record({"success": YES, "instance_id": UUID, "host_keys_forgotten": COUNT}),
}
