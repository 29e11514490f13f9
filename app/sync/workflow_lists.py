"""What a workflow needs, as a list of node packs: the manifest forms `workflow` and `workflow_file`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.domain.errors import InvalidManifest
from app.domain.workflow_file_errors import ManifestHasQuestions
from app.nodemap.answer import Answer, Needed, Pack, Question
from app.nodemap.core_classes import core_classes
from app.nodemap.core_versions import core_versions
from app.nodemap.resolve import Sources, resolve
from app.protocol.progress_json import iso
from app.protocol.repo_url import repo_name
from app.sync.core_answer import core_class_json, core_json
from app.sync.node_sources import KnownPacks, NodeSources
from app.sync.workflow_files import WorkflowFiles
from app.sync.workflow_needs import needs_json
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.forms import graphs_of
from app.workflowfile.graph import Workflow, read_workflow
from app.workflowfile.models import Model, models_of

FORMS = ("workflow", "workflow_file")
MAX_ANSWERS = 1000
_LONGEST_ANSWER = 500
_MOST_NODE_IDS = 50
SKIP = "skip"
"""The answer of who wants none of a question's packs."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A workflow and what it needs. `known` says how old the map is; `comfyui_version` is the instance's, where it is
    known."""

    workflow: Workflow
    models: list[Model]
    answer: Answer
    known: KnownPacks
    comfyui_version: str | None = None

    def nodes(self) -> list[dict[str, Any]]:
        """The packs as a manifest has them."""
        return [_node(each.pack) for each in self.answer.needed]

    def to_json(self) -> dict[str, Any]:
        """What `/manifests/check` says of it besides the packs."""
        return {
            "evidence": [_needed_json(each) for each in self.answer.needed],
            "models": [_model_json(each) for each in self.models],
            "questions": [_question_json(each) for each in self.answer.questions],
            "core": core_json(self.answer, self.comfyui_version),
            "node_map": {
                "read_at": None if self.known.read_at is None else iso(self.known.read_at),
                "problem": self.known.problem,
            },
        }


class WorkflowLists:
    """Turns workflows into lists. Every method may be called from any thread."""

    def __init__(self, files: WorkflowFiles, sources: NodeSources) -> None:
        self.files = files
        self._sources = sources

    def check(
        self, manifest: Mapping[str, Any], answers: Mapping[str, str], comfyui_version: str | None = None
    ) -> Checked | None:
        """What a manifest's workflow needs, of the instance with this ComfyUI where it is known; None for a manifest of
        another form. Raises InvalidManifest, WorkflowFileNotFound."""
        form = next((name for name in FORMS if name in manifest), None)
        if form is None:
            return None
        if set(manifest) - {form, "answers"}:
            raise InvalidManifest(f"A manifest with {form} has nothing else but answers.", field="manifest")
        workflow = self._workflow(form, manifest[form])
        known = self._sources.look()
        chosen = {question: answer for question, answer in answers.items() if answer != SKIP}
        skipped = {question for question, answer in answers.items() if answer == SKIP}
        sources = Sources(
            core_classes(),
            known.manager_map,
            answers=chosen,
            core_versions=core_versions(),
            comfyui_version=comfyui_version,
        )
        answer = _without(resolve(workflow, sources), skipped)
        return Checked(workflow, models_of(workflow), answer, known, comfyui_version)

    def as_list(self, manifest: Mapping[str, Any] | None, *, asks: bool = False) -> Mapping[str, Any] | None:
        """A request's manifest with a workflow as the list that it needs. Raises ManifestHasQuestions while one is
        open, unless the run `asks` them itself: one whose class its ComfyUI has needs no answer."""
        checked = self.check(manifest, answers_in(manifest)) if manifest is not None else None
        if checked is None:
            return manifest
        nodes, questions = checked.nodes(), checked.answer.questions
        if questions and not (asks and nodes):
            names = ", ".join(each.class_name[:60] for each in questions[:5])
            error = ManifestHasQuestions(f"It is not certain which node packs have {names}.", field="manifest.answers")
            error.questions = tuple(_question_json(each) for each in questions)
            raise error
        if not nodes:
            raise InvalidManifest("This workflow needs no node pack: ComfyUI itself has all of it.", field="manifest")
        return {"nodes": nodes, "needs": needs_json(checked.answer, questions)}

    def _workflow(self, form: str, value: Any) -> Workflow:
        try:
            if form == "workflow_file":
                graphs = self.files.find(_uuid(value)).graphs
            else:
                graphs = graphs_of({"": value}, "manifest.workflow")
            return read_workflow(graphs)
        except WorkflowFileError as exc:
            raise InvalidManifest(str(exc), field=f"manifest.{form}", code=exc.code) from exc


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else str(uuid.UUID(""))
    except ValueError:
        raise InvalidManifest(
            "workflow_file is not the id of a workflow file.", field="manifest.workflow_file"
        ) from None


def answers_in(manifest: Mapping[str, Any]) -> Mapping[str, str]:
    """What a person has answered: repositories or `skip`, by the questions' ids. Raises
    InvalidManifest."""
    answers = manifest.get("answers") or {}
    if not isinstance(answers, dict) or len(answers) > MAX_ANSWERS:
        raise InvalidManifest("answers is not an object of texts.", field="manifest.answers")
    for question, answer in answers.items():
        if (
            not isinstance(answer, str)
            or not 0 < len(answer) <= _LONGEST_ANSWER
            or not answer.isprintable()
            or (answer != SKIP and "/" not in answer)
        ):
            raise InvalidManifest(
                "An answer is a repository's address, or skip.",
                field=f"manifest.answers.{question}"[:200],
            )
    return answers


def _without(answer: Answer, skipped: set[str]) -> Answer:
    return replace(answer, questions=tuple(each for each in answer.questions if each.question_id not in skipped))


def _node(pack: Pack) -> dict[str, Any]:
    url = str(pack.repo_url)
    return {"name": repo_name(url), "repo_url": url, "ref": pack.ref}


def _needed_json(needed: Needed) -> dict[str, Any]:
    pack = needed.pack
    return {
        "name": repo_name(str(pack.repo_url)),
        "repo_url": pack.repo_url,
        "registry_id": pack.registry_id,
        "ref": pack.ref,
        "version": pack.version,
        "classes": list(needed.classes),
        "evidence": [each.value for each in needed.evidence],
        "runs": needed.runs,
        "stars": needed.facts.stars,
        "last_update": needed.facts.last_update,
    }


def _question_json(question: Question) -> dict[str, Any]:
    return {
        "question_id": question.question_id,
        "class": question.class_name,
        "node_ids": list(question.node_ids[:_MOST_NODE_IDS]),
        "runs": question.runs,
        "registry_id": question.registry_id,
        "core": core_class_json(question.core),
        "candidates": [
            {
                "repo_url": each.pack.repo_url,
                "registry_id": each.pack.registry_id,
                "title": each.facts.title,
                "stars": each.facts.stars,
                "last_update": each.facts.last_update,
                "also": list(each.also),
            }
            for each in question.candidates
        ],
    }


def _model_json(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "folder": model.folder,
        "url": model.url,
        "sha256": model.sha256,
        "runs": model.runs,
        "node_ids": list(model.node_ids[:_MOST_NODE_IDS]),
    }
