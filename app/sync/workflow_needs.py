"""What a workflow needs, as its run holds it against the ComfyUI that it finds: `needs` in a manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from app.nodemap.answer import Answer, Evidence, Question
from app.nodemap.core_versions import core_versions
from app.protocol.core_needs import CoreNeeds
from app.protocol.workflow_needs import MOST_CLASSES, OpenClass, PackClasses, WorkflowNeeds


def needs_json(answer: Answer, questions: Iterable[Question] = ()) -> dict[str, Any]:
    """Of an answer, with the questions that the run is to ask. Of a workflow with more classes than a manifest may say,
    only what ComfyUI itself needs."""
    packs = [
        PackClasses(each.pack.name, each.classes) for each in answer.needed if Evidence.ANSWER not in each.evidence
    ]
    asked = [OpenClass(each.class_name, _repositories(each)) for each in questions]
    core = _telling(answer.core_needs)
    count = sum(len(each.classes) for each in packs) + len(asked) + (len(core.classes) if core else 0)
    if count > MOST_CLASSES:
        packs, asked, core = [], asked[:MOST_CLASSES], CoreNeeds(core.known_to, core.newest) if core else None
    return WorkflowNeeds(tuple(packs), tuple(asked), core).to_json()


def _telling(core: CoreNeeds | None) -> CoreNeeds | None:
    """Without the classes that every ComfyUI has had."""
    oldest = core_versions().oldest
    kept = tuple(each for each in core.classes if each.since != oldest or each.until) if core else ()
    return replace(core, classes=kept) if core else None


def _repositories(question: Question) -> tuple[str, ...]:
    return tuple(each.pack.repo_url for each in question.candidates if each.pack.repo_url)
