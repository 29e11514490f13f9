"""The schemas of workflow files and of what a workflow needs."""

from __future__ import annotations

from collections.abc import Mapping

from app.nodemap.answer import Evidence
from app.nodemap.registry_answers import Status
from app.proof.findings import Kind, Verdict
from app.sync.http.spec.schema import (
    COUNT,
    FLAG,
    TEXT,
    TIME,
    UUID,
    YES,
    Schema,
    array,
    mapping,
    nullable,
    record,
    words,
)

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
QUESTION = record(
    {
        "question_id": TEXT,
        "class": TEXT,
        "node_ids": array(TEXT),
        "runs": FLAG,
        "registry_id": nullable(TEXT),
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
        "core": record({"frontend": TEXT, "too_new": array(TEXT), "made_with": nullable(TEXT)}),
        "node_map": record({"read_at": nullable(TIME), "problem": nullable(TEXT)}),
        "registry": record({"on": FLAG, "read_at": nullable(TIME), "problem": nullable(TEXT)}),
        "skipped": array(record({"question_id": TEXT, "answered_at": TIME})),
    },
    about="What a workflow in the manifest needs.",
)
_FINDING = record(
    {
        "kind": words(Kind),
        "node_id": TEXT,
        "class": TEXT,
        "input": nullable(TEXT),
        "what": TEXT,
        "hint": TEXT,
        "file": nullable(record({"name": TEXT, "folder": nullable(TEXT), "url": nullable(TEXT)})),
    },
    about="Something of a workflow that is missing, or (`unsure`) could not be decided. `file`: a model, or an input.",
)
PROOF = record(
    {
        "verdict": words(Verdict),
        "sentence": TEXT,
        "counts": mapping(COUNT),
        "checked": mapping(COUNT),
        "findings": array(_FINDING),
        "checked_at": TIME,
        "saved_as": nullable(TEXT),
        "problem": nullable(TEXT),
    },
    about="Whether a workflow is ready to run. `counts`: of the findings by kind, of which at most 100 are listed; "
    "`saved_as`: where ComfyUI has it in its own list of workflows.",
)
RUN_PROOF = record(
    {"name": TEXT, "in_progress": FLAG, "result": nullable(PROOF)},
    about="Of the workflow file that a run was started with. `result` is null until it was checked.",
)
SCHEMAS: Mapping[str, Schema] = {
    "WorkflowFile": record({"success": YES, "file_id": UUID, "kind": TEXT}),
    "Proof": record({"success": YES, "run_id": UUID, "proof": RUN_PROOF}),
    "WorkflowAnswers": record(
        {"success": YES, "answers": array(record({"question_id": TEXT, "answer": TEXT, "answered_at": TIME}))}
    ),
    "AnswersForgotten": record({"success": YES, "forgotten": COUNT}),
}
