"""The schemas of workflow files and of what a workflow needs."""

from __future__ import annotations

from collections.abc import Mapping

from app.nodemap.answer import Evidence
from app.nodemap.registry_answers import Status
from app.proof.findings import Kind, Verdict
from app.protocol.core_needs import GONE, TOO_OLD
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
        "files": array(COUNT),
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
        "files": array(COUNT),
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
        "files": array(COUNT),
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
        "only_opens": COUNT,
        "unreadable": COUNT,
        "needed": words("run", "open"),
        "files": array(record({"name": nullable(TEXT), "models_size": nullable(COUNT)})),
    },
    about="What a workflow in the manifest needs. `needed`: to run it, or also to open it without red nodes; `files`: "
    "its files, or the template; `files` of a pack, a model or a question: the numbers (from 0) of those that want it; "
    "`unreadable`: how many nodes have a class that cannot be a name, and were ignored.",
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
        "name": TEXT,
        "verdict": words(Verdict),
        "sentence": TEXT,
        "counts": mapping(COUNT),
        "checked": mapping(COUNT),
        "findings": array(_FINDING),
        "saved_as": nullable(TEXT),
        "problem": nullable(TEXT),
    },
    about="Whether a workflow is ready to run. `counts`: of the findings by kind, of which at most 100 are listed; "
    "`saved_as`: where ComfyUI has it in its own list of workflows.",
)
RUN_PROOF = record(
    {
        "names": array(TEXT),
        "in_progress": FLAG,
        "checked_at": nullable(TIME),
        "verdict": nullable(words(Verdict)),
        "sentence": nullable(TEXT),
        "results": array(PROOF),
    },
    about="Of the workflow files that a run was started with. `verdict`: the worst; null until they were checked.",
)
_TEMPLATE = record(
    {
        "name": TEXT,
        "title": TEXT,
        "description": TEXT,
        "category": TEXT,
        "tags": array(TEXT),
        "models": array(TEXT),
        "size": nullable(COUNT),
        "min_comfyui_version": nullable(TEXT),
        "hosted": FLAG,
    },
    about="An official template. `size`: of its models, in bytes; `hosted`: it calls paid services on the web.",
)
OTHER_FILE = record(
    {"kind": TEXT, "models": array(_MODEL), "remarks": array(TEXT), "problem": TEXT},
    about="A file of another tool, and what it says besides its packs. `problem`: why there is nothing to install.",
)
SCHEMAS: Mapping[str, Schema] = {
    "Templates": record(
        {
            "success": YES,
            "total": COUNT,
            "templates": array(_TEMPLATE),
            "categories": array(record({"name": TEXT, "count": COUNT})),
            "problem": nullable(record({"code": TEXT, "message": TEXT, "hint": TEXT})),
        }
    ),
    "WorkflowFile": record({"success": YES, "file_id": UUID, "kind": TEXT}),
    "Proof": record({"success": YES, "run_id": UUID, "proof": RUN_PROOF}),
    "ProofHere": record({"success": YES, "proof": RUN_PROOF}),
    "WorkflowAnswers": record(
        {"success": YES, "answers": array(record({"question_id": TEXT, "answer": TEXT, "answered_at": TIME}))}
    ),
    "AnswersForgotten": record({"success": YES, "forgotten": COUNT}),
}
