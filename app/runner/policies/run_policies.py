"""The policies of one run, and its questions about what they say `ask` of: one question for all packs of a kind, and
one a pack for who wants to decide each. Nobody answers 34 questions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Sequence

from app.protocol import budgets
from app.protocol.policies import ASK, REFUSE, Policies
from app.protocol.redaction import masked
from app.protocol.snapshot import MAX_FACTS_CHARS, MAX_QUESTION_CHARS
from app.runner.context import Context

_MOST_SINGLE = 20
"""Packs that are asked about one by one."""
_TEXT_CHARS = 1200
"""Of what would run, in a question's own words; its facts have more."""
_LIST_CHARS = MAX_QUESTION_CHARS - 400
_READ_BYTES = 64 * 1024
_HASHED_BYTES = 64 * 1024 * 1024


class _Kind(NamedTuple):
    """How a kind is asked about. `what`: a clause about one pack or several."""

    code: str
    what: str
    do: str
    hint: str


_IMPORT_DECIDES = "If you refuse, the pack is installed without that; the check shows whether it loads."
_KINDS: Mapping[str, _Kind] = {
    "scripts": _Kind(
        code="run_install_scripts",
        what="an install.py, which would run now",
        do="Run",
        hint=_IMPORT_DECIDES,
    ),
    "prestartup": _Kind(
        code="run_prestartup_scripts",
        what="a prestartup_script.py, which ComfyUI runs at each start before all else",
        do="Let ComfyUI run",
        hint="It runs each time that ComfyUI starts. If you refuse, the pack is not installed.",
    ),
    "direct_urls": _Kind(
        code="install_direct_urls",
        what="packages that come from web addresses instead of the package index",
        do="Install",
        hint=_IMPORT_DECIDES,
    ),
    "indexes": _Kind(
        code="use_extra_indexes",
        what="package indexes besides the usual one",
        do="Use",
        hint=_IMPORT_DECIDES,
    ),
    "builds": _Kind(
        code="run_builds",
        what="packages that have to be compiled, which runs their code",
        do="Compile",
        hint="If you refuse, only ready-made packages are installed. Packs that need the others fail.",
    ),
}


@dataclass(frozen=True)
class Item:
    """What a pack would run or bring. `what`: in some words; `text`: what would run; `facts`: as JSON has them."""

    pack: str
    what: str
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_file(cls, pack: str, path: Path) -> Item:
        """A script. Raises OSError."""
        content, size = read_script(path), path.stat().st_size
        text = content[:_READ_BYTES].decode("utf-8", "replace")
        facts = {"file": path.name, "bytes": size, "sha256": hashlib.sha256(content).hexdigest()}
        return cls(pack, "%s, %d bytes, SHA-256 %s" % (path.name, size, facts["sha256"]), masked(text), facts)

    @classmethod
    def of_lines(cls, pack: str, lines: Sequence[str]) -> Item:
        """Lines of requirements."""
        text = masked("\n".join(lines))
        number = "1 line" if len(lines) == 1 else "%d lines" % len(lines)
        return cls(pack, "%s of its requirements" % number, text, {"lines": len(lines)})

    def described(self, longest: int) -> Dict[str, Any]:
        """As a question's facts have it, with at most so many characters of the text."""
        cut = len(self.text) > longest
        return {"pack": self.pack, "what": self.what, **self.facts, "text": self.text[:longest], "is_cut": cut}


def read_script(path: Path) -> bytes:
    """The script's bytes, of a very large one the first. Raises OSError."""
    with open(str(path), "rb") as file:
        return file.read(_HASHED_BYTES)


class RunPolicies:
    """One run's. From any thread; who asks holds no lock."""

    def __init__(self, context: Context) -> None:
        own = Policies.read(context.request.get("policies"))
        self._words = own.stricter(Policies.of_words(context.options.policies)).to_json()
        self._context = context

    @classmethod
    def of(cls, context: Context) -> RunPolicies:
        """The run's, made at its first use."""
        known = context.shared.setdefault(cls.__name__, cls(context))
        assert isinstance(known, cls)
        return known

    def asks(self, kind: str) -> bool:
        """Whether a person is to say it."""
        return self._words[kind] == ASK

    def refuses(self, kind: str) -> bool:
        """Whether it is refused unasked."""
        return self._words[kind] == REFUSE

    def allows(self, kind: str) -> bool:
        """Whether it is allowed unasked."""
        return not self.asks(kind) and not self.refuses(kind)

    def why(self, kind: str) -> str:
        """Who refused it, as a clause."""
        return "you were asked and did not allow it" if self.asks(kind) else "the policy %s=refuse holds" % kind

    def allowed(self, kind: str, items: Sequence[Item]) -> FrozenSet[str]:
        """The packs of these items that may. Raises RunCancelled."""
        if not items or self.refuses(kind):
            return frozenset()
        if self.allows(kind):
            return frozenset(item.pack for item in items)
        if len(items) == 1:
            return self._one(kind, items[0])
        answer = self._many(kind, items)
        if answer != "each":
            return frozenset(item.pack for item in items if answer == "allow")
        return frozenset(pack for item in items for pack in self._one(kind, item))

    def _one(self, kind: str, item: Item) -> FrozenSet[str]:
        about = _KINDS[kind]
        cut = " It is cut here: %d of %d characters." % (_TEXT_CHARS, len(item.text))
        text = "%s has %s (%s). %s it?\n\n%s" % (item.pack, about.what, item.what, about.do, item.text[:_TEXT_CHARS])
        answer = self._context.questions.ask(
            text + (cut if len(item.text) > _TEXT_CHARS else ""),
            code=about.code,
            hint=about.hint,
            answers={"refuse": "Refuse", "allow": "Allow"},
            default="refuse",
            facts=_facts([item]),
        )
        return frozenset([item.pack] if answer == "allow" else [])

    def _many(self, kind: str, items: Sequence[Item]) -> str:
        about = _KINDS[kind]
        answers = {"refuse": "Refuse all of them", "allow": "Allow all of them"}
        if len(items) <= _MOST_SINGLE:
            answers["each"] = "Ask me about each"
        return self._context.questions.ask(
            "%d packs have %s: %s. %s them?" % (len(items), about.what, _listed(items), about.do),
            code=about.code,
            hint=about.hint,
            answers=answers,
            default="refuse",
            facts=_facts(items),
        )


def _listed(items: Sequence[Item]) -> str:
    found: List[str] = []
    for item in items:
        word = "%s (%s)" % (item.pack, item.what)
        if sum(map(len, found)) + len(word) > _LIST_CHARS:
            return "%s and %d more" % (", ".join(found), len(items) - len(found))
        found.append(word)
    return ", ".join(found)


def _facts(items: Sequence[Item]) -> Dict[str, Any]:
    """With as much of each text as a question has room for; without the texts where there is none."""
    facts: Dict[str, Any] = {"packs": [item.pack for item in items]}
    longest = budgets.LONG  # who reads it cuts longer ones
    while longest > 16:
        found = {**facts, "items": [item.described(longest) for item in items]}
        if len(json.dumps(found)) <= MAX_FACTS_CHARS:
            return found
        longest //= 2
    return facts
