"""What a workflow needs, as a list of node packs: the manifest forms `workflow` and `workflow_file`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.domain.errors import InvalidManifest
from app.domain.workflow_file_errors import ManifestHasQuestions
from app.nodemap.answer import Answer, Evidence, Needed, Pack, Question
from app.nodemap.core_classes import core_classes
from app.nodemap.core_versions import core_versions
from app.nodemap.resolve import Sources, question_id, resolve
from app.protocol.pasted_address import read_address
from app.protocol.progress_json import iso
from app.protocol.registry_ref import read_registry_ref
from app.protocol.repo_url import BadRepoUrl
from app.protocol.versions import newest_of
from app.remote.web_text import Open
from app.sync.core_answer import core_class_json, core_json
from app.sync.missing_packs import ClassPacks
from app.sync.node_sources import KnownPacks, NodeSources
from app.sync.registry.client import Asking, Registry
from app.sync.registry.of_workflow import with_registry
from app.sync.remembered_answers import RememberedAnswers
from app.sync.workflow_files import WorkflowFiles
from app.sync.workflow_needs import needs_json
from app.sync.workflow_parts import OPEN, RUN, Extent, Part, one_workflow, parts_in, wanted_in, with_files
from app.workflowfile.forms import Graphs
from app.workflowfile.graph import Workflow
from app.workflowfile.models import Model, models_of

SentWorkflow = tuple[Graphs, str | None]
MAX_ANSWERS = 1000
_LONGEST_ANSWER = 500
_MOST_NODE_IDS = 50
SKIP = "skip"
"""The answer of who wants none of a question's packs."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A workflow and what it needs. `known` says how old the map is, `asked` what the registry was asked: nothing where
    hints alone decide. `comfyui_version` is the instance's, where it is known. `unreached`: what could not be read, in
    sentences: another way to the network may say more. `skipped`: the questions that an answer of an earlier day leaves
    out, with its day. `only_opens`: how many packs and questions the run does not need; `left_out`:
    the classes of questions answered with nothing."""

    workflow: Workflow
    models: list[Model]
    answer: Answer
    known: KnownPacks
    comfyui_version: str | None = None
    asked: Asking | None = None
    registry_on: bool = False
    unreached: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = ()
    wanted: Extent = field(default_factory=Extent)
    only_opens: int = 0
    left_out: frozenset[str] = frozenset()

    def nodes(self) -> list[dict[str, Any]]:
        """The packs as a manifest has them."""
        left = [each for each in self.answer.needed if each.runs or self.wanted.opens]
        nodes = [_node(each.pack) for each in left]
        return [node for node in nodes if not self.wanted.without & {node.get("repo_url"), node.get("registry_id")}]

    def to_json(self) -> dict[str, Any]:
        """What `/manifests/check` says of it besides the packs."""
        found = {
            "evidence": [_needed_json(each) for each in self.answer.needed],
            "models": [_model_json(each) for each in self.models],
            "questions": [_question_json(each) for each in self.answer.questions],
            "core": core_json(self.answer, self.comfyui_version, newest_of(part.version for part in self.parts)),
            "node_map": {
                "read_at": None if self.known.read_at is None else iso(self.known.read_at),
                "problem": self.known.problem,
            },
            "registry": {
                "on": self.registry_on,
                "read_at": None if self.asked is None or self.asked.read_at is None else iso(self.asked.read_at),
                "problem": None if self.asked is None else self.asked.problem,
            },
            "problem": " ".join(self.unreached) or None,
            "skipped": [{"question_id": key, "answered_at": day} for key, day in self.skipped.items()],
            "only_opens": self.only_opens,
            "unreadable": self.workflow.unreadable,
            "needed": OPEN if self.wanted.opens else RUN,
        }
        return with_files(found, self.parts)

    def named(self) -> ClassPacks:
        """Of each class the pack that is to have it, as the proof of a run says it."""
        packs: dict[str, Mapping[str, Any]] = {}
        for each in self.answer.needed:
            pack = each.pack
            known = {"name": pack.name, "repo_url": pack.repo_url, "registry_id": pack.registry_id}
            without = bool(self.wanted.without & {pack.repo_url, pack.registry_id})
            packs |= {name: {**known, "without": without} for name in each.classes}
        return ClassPacks(packs, sorted(self.left_out))


class WorkflowLists:
    """Turns workflows into lists. Every method may be called from any thread."""

    def __init__(
        self,
        files: WorkflowFiles,
        sources: NodeSources,
        registry: Registry,
        remembered: RememberedAnswers,
        schemes: Collection[str],
    ) -> None:
        """`schemes`: what git may fetch by."""
        self.files = files
        self.remembered = remembered
        self._sources = sources
        self._registry = registry
        self._schemes = schemes

    def check(
        self,
        manifest: Mapping[str, Any],
        answers: Mapping[str, str],
        comfyui_version: str | None = None,
        open_stream: Open | None = None,
    ) -> Checked | None:
        """What a manifest's workflow needs, of the instance with this ComfyUI where it is known; None for a manifest of
        another form. `open_stream`: another way to the network than this service's own. Raises InvalidManifest,
        WorkflowFileNotFound."""
        parts, wanted = parts_in(manifest, self.files), wanted_in(manifest)
        if not parts:
            return None
        workflow = one_workflow(parts)
        if _wants_remembering(manifest):
            self.remembered.add(_usable(_of_this(workflow, answers), self._schemes))
        days = {each.question_id: (each.answer, iso(each.answered_at)) for each in self.remembered.all()}
        sources = Sources(
            core_classes(),
            registry_on=self._registry.is_on,
            answers={question: answer for question, answer in answers.items() if answer != SKIP},
            remembered={question: said for question, said in days.items() if said[0] != SKIP},
            core_versions=core_versions(),
            comfyui_version=comfyui_version,
            made_for=newest_of(part.version for part in parts),
        )
        checked = self._resolved(workflow, sources, open_stream)
        skipped = {question for question, answer in answers.items() if answer == SKIP}
        earlier = {
            each.question_id: days[each.question_id][1]
            for each in checked.answer.questions
            if days.get(each.question_id, ("",))[0] == SKIP and each.question_id not in answers
        }
        found = checked.answer
        answer = _without(found, {*skipped, *earlier}, opens=wanted.opens)
        only_opens = sum(not each.runs for each in found.needed) + sum(not each.runs for each in found.questions)
        left_out = frozenset(each.class_name for each in found.questions if each.question_id in {*skipped, *earlier})
        checked = replace(checked, skipped=earlier, left_out=left_out, only_opens=only_opens)
        return replace(checked, answer=answer, parts=parts, wanted=wanted)

    def _resolved(self, workflow: Workflow, sources: Sources, open_stream: Open | None) -> Checked:
        """The packs by what the workflow itself says and, only where that does not decide, by what the registry and the
        map say."""
        known, asked = self._sources.kept(), None
        sources = replace(sources, manager_map=known.manager_map)
        answer = resolve(workflow, sources)
        if not _is_decided(answer):
            known, asked = self._sources.look(open_stream), self._registry.asking(open_stream)
            sources = replace(sources, manager_map=known.manager_map)
            answer = resolve(workflow, with_registry(workflow, sources, self._registry, asked))
        unread = () if asked is None else (known.told if self._sources.is_on else None, asked.problem)
        unreached = tuple(filter(None, unread))
        version, is_on = sources.comfyui_version, self._registry.is_on
        return Checked(
            workflow, models_of(workflow), answer, known, version, asked, is_on, tuple(filter(None, unreached))
        )

    def sent(self, manifest: Mapping[str, Any]) -> list[SentWorkflow]:
        """A manifest's workflows, with their files' names; none for a manifest of another form. Raises as `check`."""
        return [(part.graphs, part.name) for part in parts_in(manifest, self.files)]

    def as_list(self, manifest: Mapping[str, Any], *, asks: bool = False) -> tuple[Mapping[str, Any], ClassPacks]:
        """A request's manifest with a workflow as the list that it needs, and which pack has which of its classes.
        Raises ManifestHasQuestions while one is open, unless the run `asks` them itself: one whose class its ComfyUI
        has needs no answer."""
        checked = self.check(manifest, answers_in(manifest))
        if checked is None:
            return manifest, ClassPacks()
        nodes, questions = checked.nodes(), checked.answer.questions
        if questions and not (asks and nodes):
            names = ", ".join(each.class_name[:60] for each in questions[:5])
            error = ManifestHasQuestions(f"It is not certain which node packs have {names}.", field="manifest.answers")
            error.questions = tuple(checked.to_json()["questions"])
            raise error
        if not nodes:
            hint = "POST /workflow-proofs says whether it is ready on an instance, or which models are missing."
            message = "This workflow needs no node pack: ComfyUI itself has all of it."
            raise InvalidManifest(message, hint=hint, field="manifest")
        return {"nodes": nodes, "needs": needs_json(checked.answer, questions)}, checked.named()


def _is_decided(answer: Answer) -> bool:
    """Whether the workflow's own hints and a person's answers say everything that has to be known."""
    strong = {Evidence.HINT, Evidence.ANSWER, Evidence.REMEMBERED}
    return not answer.questions and all(
        set(each.evidence) <= strong and not (each.pack.ref and each.pack.repo_url is None) for each in answer.needed
    )


def _wants_remembering(manifest: Mapping[str, Any]) -> bool:
    remember = manifest.get("remember", False)
    if not isinstance(remember, bool):
        raise InvalidManifest("remember is neither true nor false.", field="manifest.remember")
    return remember


def _of_this(workflow: Workflow, answers: Mapping[str, str]) -> dict[str, str]:
    """The answers to questions that this workflow can ask."""
    asked = {question_id(name) for name in workflow.classes(runs=False)}
    return {question: answer for question, answer in answers.items() if question in asked}


def _usable(answers: dict[str, str], schemes: Collection[str]) -> dict[str, str]:
    """The answers, if each can be installed. Raises InvalidManifest."""
    for question, answer in answers.items():
        try:
            if answer != SKIP and read_registry_ref(answer) is None:
                read_address(answer, schemes)
        except BadRepoUrl as exc:
            raise InvalidManifest(str(exc), field=f"manifest.answers.{question}"[:200]) from exc
    return answers


def answers_in(manifest: Mapping[str, Any]) -> Mapping[str, str]:
    """What a person has answered: repositories, packs of the registry or `skip`, by the questions' ids. Raises
    InvalidManifest."""
    answers = manifest.get("answers") or {}
    if not isinstance(answers, dict) or len(answers) > MAX_ANSWERS:
        raise InvalidManifest("answers is not an object of texts.", field="manifest.answers")
    for question, answer in answers.items():
        if (
            not isinstance(answer, str)
            or not 0 < len(answer) <= _LONGEST_ANSWER
            or not answer.isprintable()
            or (answer != SKIP and "/" not in answer and read_registry_ref(answer) is None)
        ):
            raise InvalidManifest(
                "An answer is a repository's address, a pack of ComfyUI's registry (id@version), or skip.",
                field=f"manifest.answers.{question}"[:200],
            )
    return answers


def _without(answer: Answer, skipped: set[str], *, opens: bool = True) -> Answer:
    """Without questions that somebody has answered with nothing, or (unless `opens`) whose nodes do not run."""
    left = [each for each in answer.questions if each.question_id not in skipped and (each.runs or opens)]
    return replace(answer, questions=tuple(left))


def _node(pack: Pack) -> dict[str, Any]:
    if pack.is_archive:
        known = {"registry_id": pack.registry_id, "version": pack.version, "repo_url": pack.repo_url}
        return {key: value for key, value in known.items() if value}
    return {"name": pack.name, "repo_url": str(pack.repo_url), "ref": pack.ref}


def _needed_json(needed: Needed) -> dict[str, Any]:
    pack = needed.pack
    return {
        "name": pack.name,
        "from_registry": pack.is_archive,
        "repo_url": pack.repo_url,
        "registry_id": pack.registry_id,
        "ref": None if pack.is_archive else pack.ref,
        "version": pack.version,
        "classes": list(needed.classes),
        "evidence": [each.value for each in needed.evidence],
        "answered_at": needed.answered_at,
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
                "version": each.pack.version,
                "answer": each.pack.as_answer,
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
