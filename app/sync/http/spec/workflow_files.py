"""The schemas of workflow files and of what a workflow needs."""

from __future__ import annotations

from collections.abc import Mapping

from app.nodemap.answer import Evidence
from app.nodemap.registry_answers import Status
from app.protocol.core_needs import GONE, TOO_OLD
from app.sync.http.spec.schema import COUNT, FLAG, TEXT, TIME, UUID, YES, Schema, array, nullable, record, words

_PACK = {"repo_url": nullable(TEXT), "registry_id": nullable(TEXT)}
_FACTS = {"stars": nullable(COUNT), "last_update": nullable(TEXT)}
_NEEDED = record(
    {
        "name": TEXT,
        **_PACK,
        "from_registry": FLAG,
        "ref": nullable(TEXT),
        "version": nullable(TEXT),
        "classes": array(TEXT),
        "evidence": array(words(Evidence)),
        "answered_at": nullable(TIME),
        "runs": FLAG,
        **_FACTS,
    },
    about="A pack that the workflow needs. `runs`: the run needs it; otherwise only the page. `from_registry`: "
    "its archive is installed, not its repository. `answered_at`: of an answer that was remembered.",
)
_MODEL = record(
    {
        "name": TEXT,
        "folder": nullable(TEXT),
        "url": nullable(TEXT),
        "sha256": nullable(TEXT),
        "runs": FLAG,
        "node_ids": array(TEXT),
    }
)
_CANDIDATE = {
    **_PACK,
    "version": nullable(TEXT),
    "answer": TEXT,
    "title": nullable(TEXT),
    **_FACTS,
    "also": array(TEXT),
}
_VERSIONS = {"since": nullable(TEXT), "until": nullable(TEXT), "replaced_by": nullable(TEXT)}
_VERDICT = record(
    {
        "code": words(TOO_OLD, GONE),
        "title": TEXT,
        "message": TEXT,
        "hint": TEXT,
        "certain": FLAG,
        "classes": array(record({"class": TEXT, **_VERSIONS})),
    },
    about="Why ComfyUI itself cannot run the workflow. `since`, `until`: the versions that have the class.",
)
_CORE = record(
    {
        "frontend": TEXT,
        "too_new": array(TEXT),
        "gone": array(TEXT),
        "made_with": nullable(TEXT),
        "comfyui_version": nullable(TEXT),
        "needs": nullable(TEXT),
        "newer_than_known": FLAG,
        "verdicts": array(_VERDICT),
    },
    about="The ComfyUI that the workflow needs. `comfyui_version`: the one that it was held against; `needs`: the "
    "oldest that has all of its classes, as far as that is known.",
)
QUESTION = record(
    {
        "question_id": TEXT,
        "class": TEXT,
        "node_ids": array(TEXT),
        "runs": FLAG,
        "registry_id": nullable(TEXT),
        "core": nullable(record(_VERSIONS)),
        "candidates": array(record(_CANDIDATE)),
    },
    about="A class of which several packs may be meant, or none is known.",
)
REGISTRY_PACKS = record(
    {
        "packs": array(
            record(
                {
                    "asked": TEXT,
                    "registry_id": TEXT,
                    "version": nullable(TEXT),
                    "status": nullable(words(Status)),
                    "deprecated": FLAG,
                    "repo_url": nullable(TEXT),
                    "title": nullable(TEXT),
                    "refused": nullable(record({"code": TEXT, "message": TEXT})),
                }
            )
        ),
        "read_at": nullable(TIME),
        "problem": nullable(TEXT),
    },
    about="What ComfyUI's registry says of its packs in the manifest; null for a manifest without.",
)
WORKFLOW_NEEDS = record(
    {
        "evidence": array(_NEEDED),
        "models": array(_MODEL),
        "questions": array(QUESTION),
        "core": _CORE,
        "node_map": record({"read_at": nullable(TIME), "problem": nullable(TEXT)}),
        "registry": record({"on": FLAG, "read_at": nullable(TIME), "problem": nullable(TEXT)}),
        "skipped": array(record({"question_id": TEXT, "answered_at": TIME})),
    },
    about="What a workflow in the manifest needs.",
)
SCHEMAS: Mapping[str, Schema] = {
    "WorkflowFile": record({"success": YES, "file_id": UUID, "kind": TEXT}),
    "WorkflowAnswers": record(
        {"success": YES, "answers": array(record({"question_id": TEXT, "answer": TEXT, "answered_at": TIME}))}
    ),
    "AnswersForgotten": record({"success": YES, "forgotten": COUNT}),
}
