"""What a list leaves open: which pack has a workflow's class, asked before the list is told."""

from __future__ import annotations

from typing import List, Sequence

from app.protocol.manifest import NodePack, check_packs
from app.protocol.pack_questions import SKIP, read_pack_questions
from app.runner.context import Context


def with_answers(context: Context, packs: Sequence[NodePack], schemes: Sequence[str]) -> List[NodePack]:
    """The packs, with those that a person has chosen; what nobody answers is left out. Raises RunCancelled,
    ManifestFault."""
    manifest = context.request.get("manifest") or {}
    chosen: List[NodePack] = []
    for question in read_pack_questions(manifest.get("questions") or [], schemes):
        answer = context.questions.ask(
            question.text,
            code="choose_node_pack",
            hint="The workflow itself does not say it. Without the pack these nodes are red.",
            answers=question.labels,
            default=SKIP,
        )
        known = {pack.repo_url for pack in (*packs, *chosen)}
        chosen += [pack for pack in question.pack(answer) if pack.repo_url not in known]
    return check_packs([*packs, *chosen], "manifest.questions") if chosen else list(packs)
