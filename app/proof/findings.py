"""What a proof finds: a verdict, and each thing that is missing with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.proof.limits import MAX_FINDINGS, MAX_TEXT


class Verdict(StrEnum):
    """Whether a workflow is ready to run. `unknown`: something could not be decided."""

    READY = "ready"
    NOT_READY = "not_ready"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """What is wrong at a node. `unsure`: whether anything is, could not be decided."""

    CLASS = "class_missing"
    MODEL = "model_missing"
    FILE = "file_missing"
    CHOICE = "choice_missing"
    VALUE = "value_refused"
    INPUT = "input_missing"
    LINK = "link_wrong"
    NOTHING = "nothing_to_run"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Finding:
    """One of them. `name`, `folder` and `url`: of a model or a file."""

    kind: Kind
    node_id: str
    class_name: str
    input: str
    what: str
    hint: str
    name: str | None = None
    folder: str | None = None
    url: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the API shows it."""
        model = None if self.name is None else {"name": self.name, "folder": self.folder, "url": self.url}
        return {
            "kind": self.kind.value,
            "node_id": self.node_id,
            "class": self.class_name[:MAX_TEXT],
            "input": self.input[:MAX_TEXT] or None,
            "what": self.what[: 3 * MAX_TEXT],
            "hint": self.hint[: 3 * MAX_TEXT],
            "file": model,
        }


@dataclass(frozen=True)
class Proof:
    """What was found. `checked`: how much was looked at."""

    findings: tuple[Finding, ...]
    checked: Mapping[str, int]

    @property
    def verdict(self) -> Verdict:
        """What is missing for certain decides; then what is not certain."""
        if any(each.kind is not Kind.UNSURE for each in self.findings):
            return Verdict.NOT_READY
        return Verdict.UNKNOWN if self.findings else Verdict.READY

    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind."""
        found: dict[str, int] = {}
        for each in self.findings:
            found[each.kind.value] = found.get(each.kind.value, 0) + 1
        return found

    def to_json(self) -> dict[str, Any]:
        """As the API shows it: what is certain first, and no more than anybody reads."""
        listed = sorted(self.findings, key=lambda each: each.kind is Kind.UNSURE)
        return {
            "verdict": self.verdict.value,
            "sentence": self.sentence(),
            "counts": self.counts(),
            "checked": dict(self.checked),
            "findings": [each.to_json() for each in listed[:MAX_FINDINGS]],
        }

    def sentence(self) -> str:
        """How it stands, for a person."""
        if self.verdict is Verdict.READY:
            return "This workflow is ready to run here."
        counts = self.counts()
        if self.verdict is Verdict.UNKNOWN:
            number = counts[Kind.UNSURE.value]
            amount = "1 place" if number == 1 else f"{number} places"
            return f"Nothing is known to be missing, but {amount} of this workflow could not be checked."
        parts = [_amount(counts[kind.value], *words) for kind, words in _WORDS.items() if kind.value in counts]
        return f"This workflow is not ready to run here: {_joined(parts)}."


_WORDS: Mapping[Kind, tuple[str, str]] = {
    Kind.CLASS: ("1 node is of a class that is not there", "{} nodes are of classes that are not there"),
    Kind.MODEL: ("1 model is missing", "{} models are missing"),
    Kind.FILE: ("1 input file is missing", "{} input files are missing"),
    Kind.CHOICE: ("1 choice is not offered", "{} choices are not offered"),
    Kind.VALUE: ("1 value is refused", "{} values are refused"),
    Kind.INPUT: ("1 input is empty", "{} inputs are empty"),
    Kind.LINK: ("1 link does not fit", "{} links do not fit"),
    Kind.NOTHING: ("it has nothing to run", "it has nothing to run"),
}


def _amount(number: int, one: str, many: str) -> str:
    return one if number == 1 else many.format(number)


def _joined(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
