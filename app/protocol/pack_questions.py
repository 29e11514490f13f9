"""Questions that a list of node packs leaves to the run: which pack has a workflow's class, asked before anything is
fetched. `questions` beside `nodes` in a manifest has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Collection, Dict, List, Mapping, Tuple

from app.protocol.manifest import ManifestFault, NodePack, parse_nodes

SKIP = "skip"
MAX_PACK_QUESTIONS = 40
MAX_CHOICES = 8
_MOST_TEXT = 300


@dataclass(frozen=True)
class PackQuestion:
    """`text`: the question; `choices`: an answer's word, its label and the pack that it means."""

    text: str
    choices: Tuple[Tuple[str, str, NodePack], ...]

    @property
    def labels(self) -> Dict[str, str]:
        """The answers with their labels, that of who wants none of them last."""
        return {**{word: label for word, label, _ in self.choices}, SKIP: "Leave it out: its nodes stay red"}

    def pack(self, answer: str) -> List[NodePack]:
        """The pack that an answer means; none for SKIP."""
        return [pack for word, _, pack in self.choices if word == answer]


def read_pack_questions(raw: Any, schemes: Collection[str]) -> List[PackQuestion]:
    """The questions of a manifest. Raises ManifestFault naming the entry."""
    if not isinstance(raw, list) or len(raw) > MAX_PACK_QUESTIONS:
        raise ManifestFault("manifest.questions", "The questions are a list of at most %d." % MAX_PACK_QUESTIONS)
    return [_question(each, schemes, "manifest.questions[%d]" % index) for index, each in enumerate(raw)]


def _question(raw: Any, schemes: Collection[str], field: str) -> PackQuestion:
    if not isinstance(raw, Mapping) or set(raw) != {"text", "choices"}:
        raise ManifestFault(field, "A question is an object with text and choices.")
    choices = raw["choices"]
    if not isinstance(choices, list) or not 0 < len(choices) <= MAX_CHOICES:
        raise ManifestFault(field, "A question has 1 to %d choices." % MAX_CHOICES)
    found = []
    for index, each in enumerate(choices):
        where = "%s.choices[%d]" % (field, index)
        if not isinstance(each, Mapping) or set(each) != {"label", "node"}:
            raise ManifestFault(where, "A choice is an object with label and node.")
        pack = parse_nodes([each["node"]], schemes, where)[0]
        found.append(("pack-%d" % (index + 1), _text(each["label"], where), pack))
    return PackQuestion(_text(raw["text"], field), tuple(found))


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ManifestFault(field, "This is no text.")
    return value[:_MOST_TEXT]
