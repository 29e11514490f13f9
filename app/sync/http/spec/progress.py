"""The schemas of a task's progress and of its parts, as `app.protocol.progress_json` makes them."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.run_summary import Kind, Tone
from app.protocol.counts import Standing
from app.protocol.repairs import PackageMove, PackMove, PackTried, Repair, RepairState
from app.protocol.snapshot import PlannedChange
from app.protocol.states import (
    TERMINAL_TASK_STATES,
    BuildState,
    NodeState,
    Outcome,
    Phase,
    StepStatus,
    TaskState,
)
from app.sync.http.spec.schema import (
    ANY_OBJECT,
    COUNT,
    FLAG,
    NO,
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

_STEP = {"status": words(StepStatus), "detail": nullable(TEXT), "seconds": nullable(NUMBER)}
_ENDED = sorted(TERMINAL_TASK_STATES)
_GOES_ON = [state for state in TaskState if state not in TERMINAL_TASK_STATES]

_NODE: Mapping[str, Schema] = {
    "name": TEXT,
    "repo_url": TEXT,
    "folder": TEXT,
    "status": words(StepStatus),
    "state": words(NodeState),
    "standing": words(Standing),
    "counts_as": {**words(Standing), "description": "An older alias of `standing`."},
    "kept": FLAG,
    "clone_progress": PERCENT,
    "bytes_received": nullable(COUNT),
    "bytes_per_second": nullable(NUMBER),
    "eta_seconds": nullable(NUMBER),
    "requirements_status": words(StepStatus),
    "script_status": words(StepStatus),
    "commit": nullable(TEXT),
    "registry_id": {**nullable(TEXT), "description": "Of a pack that comes from ComfyUI's registry."},
    "version": {**nullable(TEXT), "description": "The registry's version of it that is there, or asked for."},
    "verified": nullable(FLAG),
    "import_seconds": nullable(NUMBER),
    "seconds": nullable(NUMBER),
    "wait_seconds": nullable(NUMBER),
    "timeline": mapping(NUMBER),
    "heard_at": nullable(NUMBER),
    "error": nullable(ref("Problem")),
}
_BUILD: Mapping[str, Schema] = {
    "package": TEXT,
    "version": nullable(TEXT),
    "state": words(BuildState),
    "packs": array(TEXT),
    "detail": nullable(TEXT),
    "seconds": nullable(NUMBER),
    "since": nullable(NUMBER),
    "skip_requested": FLAG,
}
_PHASE: Mapping[str, Schema] = {"name": words(Phase), **_STEP, "began": nullable(NUMBER)}
_LINE: Mapping[str, Schema] = {
    "line": {**TEXT, "description": "Who counted the revision; only where a patch was asked for."}
}

NUMBERS: Mapping[str, Schema] = {
    "counts": ref("Counts"),
    **dict.fromkeys(("total_nodes", "processed", "successful", "failed", "skipped", "cancelled"), COUNT),
}
"""What a task and a fleet have in common."""

_COMMON: Mapping[str, Schema] = {
    "task_id": UUID,
    "revision": COUNT,
    "phase": words(Phase),
    "message": TEXT,
    "message_code": nullable(TEXT),
    "queue": nullable(record({"position": COUNT, "behind": nullable(UUID)})),
    "retry": nullable(ref("RetryLinks")),
    "attempt": nullable(COUNT),
    "next_attempt_at": nullable(TIME),
    "summary": ref("Summary"),
    "percent": PERCENT,
    "elapsed_seconds": SECONDS,
    "run_seconds": nullable(SECONDS),
    "eta_seconds": nullable(SECONDS),
    **NUMBERS,
    **dict.fromkeys(
        ("packages_done", "packages_total", "packages_bytes_done", "packages_bytes_total"), nullable(COUNT)
    ),
    "current_node": nullable(TEXT),
    "current_status": nullable(words(StepStatus)),
    "has_requirements": FLAG,
    "requirements_status": nullable(words(StepStatus)),
    "clone_progress": nullable(PERCENT),
    "data_received": nullable(TEXT),
    "download_rate": nullable(TEXT),
    "total_size": {"type": "null", "deprecated": True},
    "elapsed_time": TEXT,
    "eta": nullable(TEXT),
    "phases": array(record(_PHASE)),
    "steps": array(record({"name": TEXT, **_STEP})),
    "nodes": array(ref("NodeProgress")),
    "builds": array(ref("Build")),
    "questions": array(ref("RunQuestion")),
    "repair": nullable(ref("Repair")),
    "warnings": array(ref("Problem")),
    "last_event_seconds_ago": nullable(SECONDS),
    "error": nullable(ref("Problem")),
}

_AT_END: Mapping[str, Schema] = {
    "outcome": nullable(words(Outcome)),
    **dict.fromkeys(("successful_clones", "failed_clones", "successful_requirements", "failed_requirements"), COUNT),
    "return_code": WHOLE,
    "finished_at": nullable(TIME),
}
"""What only a run has that has ended."""

_STATE = {"in_progress": YES, "completed": NO, "state": words(_GOES_ON)}
_END = {"in_progress": NO, "completed": YES, "state": words(_ENDED)}

SCHEMAS: Mapping[str, Schema] = {
    "Problem": record(
        {"code": TEXT, "title": TEXT, "message": TEXT, "hint": TEXT, "retryable": FLAG},
        about="Why a run or a node pack failed. docs/messages.md lists every code.",
    ),
    "Summary": record(
        {"kind": words(Kind), "tone": words(Tone), "sentence": TEXT},
        about="How a run stands, in one sentence: what pages, lists and the command line say.",
    ),
    "Counts": record({"total": COUNT, **{each.value: COUNT for each in Standing}}),
    "RetryLinks": record(
        {
            "retry_of": nullable(UUID),
            "retried_by": nullable(UUID),
            "limit": COUNT,
            "count": COUNT,
            "next_attempt_at": nullable(TIME),
        }
    ),
    "NodeProgress": record(_NODE),
    "Build": record(_BUILD),
    "RunQuestion": record(
        {
            "id": TEXT,
            "code": TEXT,
            "title": TEXT,
            "text": TEXT,
            "hint": TEXT,
            "answers": array(ref("PossibleAnswer")),
            "default": TEXT,
            "facts": ANY_OBJECT,
            "answer": nullable(TEXT),
            "expires_at": nullable(TIME),
        }
    ),
    "PossibleAnswer": record({"answer": TEXT, "label": TEXT}),
    "Repair": record(
        of_dataclass(
            Repair,
            state=words(RepairState),
            packages=array(record(of_dataclass(PackageMove))),
            packs=array(record(of_dataclass(PackMove))),
            not_helped=array(record(of_dataclass(PackTried))),
        )
    ),
    "PlannedChange": record(of_dataclass(PlannedChange, stage=None, lane={**TEXT, "deprecated": True})),
    "RunningProgress": record({"success": YES, **_STATE, **_COMMON}, _LINE),
    "EndedProgress": record({"success": FLAG, **_END, **_COMMON, **_AT_END}, _LINE),
    "UnchangedProgress": record(
        {
            "success": YES,
            "unchanged": YES,
            "task_id": UUID,
            "revision": COUNT,
            "state": words(TaskState),
            "in_progress": FLAG,
            "completed": FLAG,
            "last_event_seconds_ago": nullable(SECONDS),
        },
        _LINE,
        about="What a poll with `since` is answered when nothing is new.",
    ),
    "ProgressPatch": record(
        {
            "success": FLAG,
            "task_id": UUID,
            "revision": COUNT,
            "since": COUNT,
            "state": words(TaskState),
            "in_progress": FLAG,
            "completed": FLAG,
            "last_event_seconds_ago": nullable(SECONDS),
            **_LINE,
            "patch": record(
                {"set": record({}, {**_COMMON, **_AT_END})},
                {
                    "nodes": mapping(record({}, _NODE)),
                    "phases": mapping(record({}, _PHASE)),
                    "steps": mapping(record({}, {"name": TEXT, **_STEP})),
                    "builds": mapping(record({}, _BUILD)),
                },
            ),
        },
        about="What has changed since a revision. The fields beside `patch`, `since` and `line` are the progress's.",
    ),
    "ProgressEvent": record(
        {
            "event": {"const": "progress"},
            "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The revision."},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": ref("Progress")},
        },
        about="One event of a stream of server-sent events.",
    ),
    "Progress": {"anyOf": [ref("RunningProgress"), ref("EndedProgress")]},
}
