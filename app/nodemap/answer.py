"""What the question "which packs does this workflow need?" is answered with."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.nodemap.manager_map import Facts
from app.protocol.core_needs import CoreClass, CoreNeeds
from app.protocol.repo_url import repo_name


class Evidence(StrEnum):
    """Why a pack is the one, the strongest first."""

    INSTANCE = "instance"
    HINT = "hint"
    NAME_PATTERN = "name_pattern"
    PREEMPTION = "preemption"
    REGISTRY = "registry"
    MAP = "map"
    SAME_WORKFLOW = "same_workflow"
    ANSWER = "answer"
    REMEMBERED = "remembered"


@dataclass(frozen=True)
class Pack:
    """A node pack. At least one of `repo_url` and `registry_id` is known; `ref` is a commit, `version` one of the
    registry's. `from_registry`: its archive is what is installed; otherwise a pack that is needed has a `repo_url`."""

    repo_url: str | None
    registry_id: str | None = None
    ref: str | None = None
    version: str | None = None
    from_registry: bool = False

    @property
    def is_archive(self) -> bool:
        """Whether the registry's archive is installed: a commit that can be had goes before."""
        return self.from_registry and not (self.ref and self.repo_url)

    @property
    def name(self) -> str:
        """As a list names it."""
        return str(self.registry_id) if self.is_archive or not self.repo_url else repo_name(self.repo_url)

    @property
    def as_answer(self) -> str:
        """What answers a question with this pack."""
        if self.is_archive or not self.repo_url:
            return f"{self.registry_id}@{self.version}" if self.version else str(self.registry_id)
        return self.repo_url


@dataclass(frozen=True)
class Needed:
    """A pack that a workflow needs, for which of its classes, and why. `runs`: whether the run needs it; otherwise only
    the page, so that no box is red."""

    pack: Pack
    classes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    runs: bool
    facts: Facts = field(default_factory=Facts)
    answered_at: str | None = None
    """The day of an answer that was remembered."""


@dataclass(frozen=True)
class Candidate:
    """A pack that may be meant. `also` are other classes of this workflow that it has."""

    pack: Pack
    facts: Facts
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A class of which the evidence leaves several packs, none, or one whose repository nobody knows (`registry_id`).
    `node_ids` are the nodes that are of it; `core` is there where some ComfyUI has it itself."""

    question_id: str
    class_name: str
    candidates: tuple[Candidate, ...]
    runs: bool
    node_ids: tuple[str, ...]
    registry_id: str | None = None
    core: CoreClass | None = None


@dataclass(frozen=True)
class Answer:
    """`needed` in the order in which the workflow comes to them. `too_new` are classes of ComfyUI itself that the known
    ComfyUI lacks, `gone` those that it had once; `comfyui_version` is the oldest that has all, as far as the workflow
    says; `core_needs` as far as ComfyUI's history says."""

    needed: tuple[Needed, ...]
    questions: tuple[Question, ...]
    core: tuple[str, ...]
    virtual: tuple[str, ...]
    too_new: tuple[str, ...] = ()
    comfyui_version: str | None = None
    core_needs: CoreNeeds | None = None
    gone: tuple[str, ...] = ()
